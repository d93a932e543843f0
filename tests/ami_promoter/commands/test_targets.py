"""``targets validate``, ``diff`` and ``apply`` against moto's DynamoDB."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError

from ami_promoter.cli import main
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from ami_promoter.targets_file.publishing import KEEP, Publisher
from chalicelib.targets.store.targets_table import TargetsTable, partition
from tests.ami_promoter.a_hub import CONFIG, HUB, MEMBERS, TABLE, AnotherClient

PLACE = f"account {HUB}, us-east-1"
FILE = """
groups:
  default: ["111111111111"]
  all: ["111111111111", "222222222222"]
accounts:
  "222222222222": {external_id: two, queue_deadline: 90m}
"""
OTHER = """
groups:
  default: ["111111111111", "333333333333"]
  new: ["333333333333"]
defaults: {tags: {owner: platform}}
"""


def contents(client):
    """Read every item of the table."""
    return client.scan(TableName=CONFIG, ConsistentRead=True)["Items"]


def compiled(text):
    return compile_targets(text, "targets.yaml", HubPlace("us-east-1", HUB))


NOWHERE = """\
groups:
  dev:
    members: ["222222222222"]
"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "valid for a hub in any Region: 1 group, 1 account."),
        ("    mode: share\n    regions: [eu-west-1]\n", "valid for a hub in eu-west-1: 1 group, 1 account."),
        ("    regions: [eu-west-1, us-east-1]\n", "valid for a hub in any Region: 1 group, 1 account."),
    ],
)
def test_validate_needs_no_region(file, capsys, environment, more, says):
    """It asks AWS nothing: the file is valid where it is so for a hub in some Region, and it says for which."""
    assert main(["targets", "validate", file(NOWHERE + more)]) == 0

    assert says in capsys.readouterr().out


def test_validate_without_a_region_finds_what_is_wrong(file, capsys, environment):
    """The faults that no Region of a hub would change, and no others."""
    text = NOWHERE + "    mode: share\n    regions: [eu-west-1]\n  prod: [12]\n"

    assert main(["targets", "validate", file(text), "--json"]) == 1

    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert "cannot be `12`" in fault["what"]


def test_what_is_applied_is_what_the_functions_read(client, file, capsys):
    """The functions resolve a tag as the applied file says."""
    assert main(["targets", "apply", "--yes", file(FILE)]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"Nothing has been applied yet in {PLACE}.",
        "+ target 111111111111 us-east-1",
        "+ target 222222222222 us-east-1  (external_id: two, queue_deadline: 90m)",
        "+ group all: 2 accounts: 111111111111 222222222222",
        "+ group default: 1 account: 111111111111",
        f"Applied as version 1 in {PLACE}: 2 groups, 2 accounts.",
        "`ami-promoter doctor` checks whether the targets are ready.",
    ]
    table = TargetsTable(client, CONFIG, MEMBERS)
    assert [target.account for target in table.read().resolve("all").targets] == ["111111111111", "222222222222"]
    assert table.live("222222222222") == ("AmiCopyRole", "two")


def test_applying_the_same_again_changes_nothing(client, file, capsys):
    """Comments and order are no difference; the second run writes nothing."""
    main(["targets", "apply", "--yes", file(FILE)])
    before = contents(client)
    capsys.readouterr()

    assert main(["targets", "apply", "--yes", file("# reviewed\n" + FILE)]) == 0

    assert contents(client) == before
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["No difference.", f"Nothing to apply: version 1 in {PLACE} is the same."]


@pytest.mark.parametrize("argv", [["diff"], ["apply", "--dry-run"]])
def test_a_difference_is_shown_without_changing_anything(argv, client, file, capsys):
    """Added, removed and changed targets and groups, with each changed setting."""
    main(["targets", "apply", "--yes", file(FILE)])
    before = contents(client)
    capsys.readouterr()

    assert main(["targets", *argv, file(OTHER)]) == 0

    assert contents(client) == before
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Compared with version 1 in {PLACE}, applied 20")
    assert said[1:] == [
        "+ target 333333333333 us-east-1  (tags: owner=platform)",
        "- target 222222222222 us-east-1  (external_id: two, queue_deadline: 90m)",
        "~ target 111111111111 us-east-1",
        "    tags: none -> owner=platform",
        "+ group new: 1 account: 333333333333",
        "- group all: 2 accounts: 111111111111 222222222222",
        "~ group default",
        "    + 1 account: 333333333333",
    ]


def test_a_familys_parameter_is_compared_and_applied(client, file, capsys):
    """As every setting; a file without it takes it back."""
    named = FILE + "defaults:\n  ssm_parameter: /golden/{family}/current\n  family_tag: image-family\n"
    for before, after, change in (
        (FILE, named, ("family -> image-family", "none -> /golden/{family}/current")),
        (named, FILE, ("image-family -> family", "/golden/{family}/current -> none")),
    ):
        main(["targets", "apply", "--yes", file(before)])
        capsys.readouterr()

        assert main(["targets", "apply", "--yes", file(after)]) == 0

        said = capsys.readouterr().out.splitlines()
        assert said[1:4] == [
            "~ target 111111111111 us-east-1",
            f"    family_tag: {change[0]}",
            f"    ssm_parameter: {change[1]}",
        ]
        (target, _) = TargetsTable(client, CONFIG, MEMBERS).read().resolve("all").targets
        assert target.ssm_parameter == ("" if after == FILE else "/golden/{family}/current")


def test_the_difference_for_a_program(client, file, capsys):
    """`--json` prints the same as data."""
    main(["targets", "apply", "--yes", file(FILE)])
    capsys.readouterr()

    assert main(["targets", "diff", file(OTHER), "--json"]) == 0

    data = json.loads(capsys.readouterr().out)
    assert (data["account"], data["region"], data["table"], data["applied"]) == (HUB, "us-east-1", TABLE, False)
    assert data["digest"]["applied"] != data["digest"]["file"]
    assert [target["account"] for target in data["targets"]["added"]] == ["333333333333"]
    assert [target["external_id"] for target in data["targets"]["removed"]] == ["two"]
    assert data["targets"]["changed"] == [
        {
            "account": "111111111111",
            "region": "us-east-1",
            "settings": {"tags": {"from": {}, "to": {"owner": "platform"}}},
        }
    ]
    assert data["groups"] == {
        "added": [{"name": "new", "accounts": ["333333333333"]}],
        "removed": [{"name": "all", "accounts": ["111111111111", "222222222222"]}],
        "changed": [{"name": "default", "added": ["333333333333"], "removed": []}],
    }


def test_a_file_with_faults_changes_nothing(client, file, capsys):
    """Every fault on standard error, exit status 1; the file in force stays."""
    main(["targets", "apply", "--yes", file(FILE)])
    before = contents(client)
    capsys.readouterr()

    assert main(["targets", "apply", "--yes", file(f'groups: {{default: [111111111111, "{HUB}"]}}')]) == 1

    assert contents(client) == before
    assert capsys.readouterr().err.splitlines() == [
        (
            "targets.yaml:1:20: 111111111111 has no quotes: YAML readers take it for a number and lose leading zeros. "
            'Quote it: "111111111111".'
        ),
        (
            f"targets.yaml:1:34: {HUB} is the hub itself, which owns the AMI already in us-east-1. Take it out, or "
            "name only its other Regions under `accounts`: `regions: [REGION]`."
        ),
        "2 faults; nothing was changed.",
    ]


def test_validating_needs_no_aws(environment, file, capsys):
    """A pipeline can check a pull request without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)

    assert main(["targets", "validate", file(FILE), "--region", "us-east-1"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "targets.yaml is valid: 2 groups, 2 accounts, hub's Region us-east-1.",
        "To check also that the hub's own account is not among them, give --hub-account.",
    ]


def test_validating_with_the_hubs_account_refuses_it_as_a_target(environment, file, capsys):
    """`--hub-account` replaces the call to AWS."""
    argv = ["targets", "validate", file(FILE), "--region", "us-east-1", "--hub-account", "222222222222"]

    assert main(argv) == 1

    assert "222222222222 is the hub itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "the file cannot be read: No such file or directory. Check the name, and"),
        (lambda path: path.mkdir(), "the file cannot be read: Is a directory. Check the name, and"),
        (lambda path: path.write_bytes(b"a: \xff"), "byte 4 is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_a_file_that_cannot_be_read(make, message, environment, file, tmp_path, capsys):
    """A file error is reported as a fault of the argument."""
    make(tmp_path / "targets.yaml")
    file("", "other.yaml")

    assert main(["targets", "validate", "targets.yaml", "--region", "us-east-1"]) == 1

    assert capsys.readouterr().err.startswith(f"targets.yaml: {message}")


def test_two_who_apply_at_once(client):
    """The second one gets an error, and the first one's file is in force, complete."""
    connection = Connection("us-east-1")
    first, second = Publisher(connection), Publisher(connection)
    seen_by_first, seen_by_second = first.applied(), second.applied()
    first.publish(seen_by_first, compiled(FILE), FILE, "2026-01-05T09:00:00Z")

    with pytest.raises(HubError) as lost:
        second.publish(seen_by_second, compiled(OTHER), OTHER, "2026-01-05T09:00:01Z")

    assert str(lost.value) == (
        f"{PLACE}: somebody else has applied a targets file since you started: that file is in force, "
        "and yours is not. "
        "Run `ami-promoter targets diff FILE`, then apply again."
    )
    assert Publisher(connection).applied().directory == compiled(FILE)


def test_a_crash_before_the_new_version_is_in_force_changes_nothing(client):
    """Items without the last put are not in force, and the next apply succeeds."""
    connection = Connection("us-east-1")
    publisher = Publisher(connection)
    publisher.publish(publisher.applied(), compiled(FILE), FILE, "2026-01-05T09:00:00Z")
    crashing = Publisher(connection)

    def crash(**_):
        raise KeyboardInterrupt

    seen = crashing.applied()
    handler = ("before-call.dynamodb.PutItem", lambda params, **_: crash() if b"applied_by" in params["body"] else None)
    client_events = connection.dynamodb.meta.events
    client_events.register(*handler)
    with pytest.raises(KeyboardInterrupt):
        crashing.publish(seen, compiled(OTHER), OTHER, "2026-01-05T09:00:01Z")
    client_events.unregister(*handler)

    assert publisher.applied().directory == compiled(FILE)
    publisher.publish(publisher.applied(), compiled(OTHER), OTHER, "2026-01-05T09:00:02Z")
    assert publisher.applied().directory == compiled(OTHER)


def test_only_the_last_versions_are_kept(client, file):
    """Old versions are deleted with all their items, including those of an unfinished apply."""
    for number in range(KEEP + 3):
        assert main(["targets", "apply", "--yes", file(f'accounts: {{"{number:012d}": {{}}}}')]) == 0

    partitions = {item["pk"]["S"] for item in contents(client)} - {"targets"}
    notes = {item["sk"]["S"] for item in contents(client) if item["pk"]["S"] == "targets"} - {"current"}
    numbers = sorted(int(pk.split("#")[1]) for pk in partitions)
    assert numbers == [4, 5, 6, 7, 8]
    assert {f"targets#{note.removeprefix('version#')}" for note in notes} == partitions


def test_an_older_file_can_be_brought_back(client, file):
    """A rollback applies the old file as a new version."""
    for text in (FILE, OTHER, FILE):
        assert main(["targets", "apply", "--yes", file(text)]) == 0

    applied = Publisher(Connection("us-east-1")).applied()
    assert applied.current is not None
    assert (applied.current.number, applied.directory) == (3, compiled(FILE))


def test_items_changed_by_hand_are_written_again(client, file, capsys):
    """The same file can be applied again, which repairs everything."""
    main(["targets", "apply", "--yes", file(FILE)])
    current = TargetsTable(client, CONFIG, MEMBERS).version_in_force()
    client.delete_item(TableName=CONFIG, Key={"pk": {"S": partition(current.version)}, "sk": {"S": "group#all"}})

    assert main(["targets", "apply", "--yes", file(FILE)]) == 0

    assert "The items of that version have changed since" in capsys.readouterr().out
    assert Publisher(Connection("us-east-1")).applied().directory == compiled(FILE)


@pytest.mark.parametrize(
    ("damage", "given"),
    [
        ("REMOVE applied_by", {}),
        ("REMOVE version_number", {}),
        ("SET version_number = :other", {":other": {"S": "two"}}),
        ("SET digest = :other", {":other": {"BOOL": True}}),
    ],
)
def test_where_it_cannot_be_read_what_is_in_force_it_can_be_applied_again(client, file, capsys, damage, given):
    """As the message says. No number is used twice, and of two who do so at once one learns that it lost."""
    for text in (OTHER, FILE):
        main(["targets", "apply", "--yes", file(text)])
    values = {"ExpressionAttributeValues": given} if given else {}
    key = {"pk": {"S": "targets"}, "sk": {"S": "current"}}
    client.update_item(TableName=CONFIG, Key=key, UpdateExpression=damage, **values)
    other = Publisher(Connection("us-east-1"))
    seen_by_other = other.applied(to_replace=True)
    assert main(["targets", "show"]) == 3
    assert "apply it again" in capsys.readouterr().err

    assert main(["targets", "apply", "--yes", file(FILE)]) == 0

    assert "cannot be read; the comparison treats everything as new." in capsys.readouterr().out
    applied = Publisher(Connection("us-east-1")).applied()
    assert (applied.directory, applied.current.number) == (compiled(FILE), 3)
    with pytest.raises(HubError, match="somebody else has applied"):
        other.publish(seen_by_other, compiled(OTHER), OTHER, "2026-01-05T09:00:01Z")


def test_a_thousand_accounts_are_applied_and_read_back(client, file):
    """In batches, all of them."""
    accounts = [f"{number:012d}" for number in range(1, 1001)]
    text = f"groups: {{default: {json.dumps(accounts)}}}\n"

    assert main(["targets", "apply", "--yes", file(text)]) == 0

    assert [target.account for target in TargetsTable(client, CONFIG, MEMBERS).read().resolve("").targets] == accounts


class Reluctant(AnotherClient):
    """A DynamoDB client that leaves all but one item of a batch unprocessed, for this many calls."""

    def batch_write_item(self, RequestItems):  # noqa: N803 - boto3's own name
        """Write one item, or all once the calls are used up."""
        ((table, requests),) = RequestItems.items()
        taken = requests[:1] if self.calls > 0 else requests
        self.calls -= 1
        self._client.batch_write_item(RequestItems={table: taken})
        rest = requests[len(taken) :]
        return {"UnprocessedItems": {table: rest} if rest else {}}


def test_what_dynamodb_leaves_unprocessed_is_sent_again(client):
    """The waits between tries grow, and in the end every item is written."""
    connection = Connection("us-east-1")
    connection.dynamodb = Reluctant(connection.dynamodb, calls=3)
    waits = []
    publisher = Publisher(connection, sleep=waits.append)

    publisher.publish(publisher.applied(), compiled(FILE), FILE, "2026-01-05T09:00:00Z")

    assert waits == [0.1, 0.2, 0.4]
    assert publisher.applied().directory == compiled(FILE)


def test_dynamodb_that_never_takes_the_items_is_given_up_on(client):
    """The file in force is still the old one."""
    connection = Connection("us-east-1")
    publisher = Publisher(connection)
    publisher.publish(publisher.applied(), compiled(FILE), FILE, "2026-01-05T09:00:00Z")
    connection.dynamodb = Reluctant(connection.dynamodb, calls=100)
    reluctant = Publisher(connection, sleep=lambda _: None)
    accounts = ", ".join(f'"{number:012d}"' for number in range(1, 30))

    with pytest.raises(HubError, match="DynamoDB still leaves items unwritten"):
        reluctant.publish(reluctant.applied(), compiled(f"groups: {{a: [{accounts}]}}"), "", "2026-01-05T09:00:01Z")

    assert publisher.applied().directory == compiled(FILE)


class Echoing(AnotherClient):
    """A DynamoDB client whose answer to the last put is lost, so that the SDK repeats the put."""

    def put_item(self, **request):
        """Put twice if there is a condition."""
        if "ConditionExpression" in request:
            self._client.put_item(**request)
        return self._client.put_item(**request)


def test_a_lost_answer_to_the_last_put_is_no_lost_race(client):
    """The SDK's retry finds that this command has put its version into force: success."""
    connection = Connection("us-east-1")
    connection.dynamodb = Echoing(connection.dynamodb)
    publisher = Publisher(connection)

    publisher.publish(publisher.applied(), compiled(FILE), FILE, "2026-01-05T09:00:00Z")

    assert publisher.applied().directory == compiled(FILE)


def test_where_no_answer_to_the_last_put_came_it_does_not_say_which_file_is_in_force(client):
    """DynamoDB may have served it: the new file is in force here."""
    connection = Connection("us-east-1")
    publisher = Publisher(connection)

    bodies = []

    def lost(**_rest):
        if b"attribute_not_exists" in bodies[-1]:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")

    events = connection.dynamodb.meta.events
    events.register("before-call.dynamodb.PutItem", lambda params, **_rest: bodies.append(params["body"]))
    events.register("after-call.dynamodb.PutItem", lost)

    with pytest.raises(HubError, match=r"into force \(it may be done: run the command again\) failed: Read timeout"):
        publisher.publish(publisher.applied(), compiled(FILE), FILE, "2026-01-05T09:00:00Z")

    assert publisher.applied().directory == compiled(FILE)


def test_a_missing_table_says_where_it_was_looked_for(aws, file, capsys):
    """Wrong account or Region, or no stack yet: the message names account, Region and table; exit status 3."""
    assert main(["targets", "diff", file(FILE)]) == 3

    assert capsys.readouterr().err == (
        f"ami-promoter: {PLACE}: reading the applied targets failed: An error occurred (ResourceNotFoundException) "
        "when calling the GetItem operation: Requested resource not found. There is no such table: check that account "
        "and Region are the hub's, and that its stack is deployed.\n"
    )


def test_credentials_of_another_account_are_refused(client, file, capsys):
    """With `--hub-account`, the command cannot write into another account."""
    assert main(["targets", "apply", "--yes", file(FILE), "--hub-account", "222222222222"]) == 3

    assert capsys.readouterr().err == (
        f"ami-promoter: credentials: they are those of account {HUB} (arn:aws:sts::{HUB}:user/moto), and --hub-account "
        "says 222222222222. Use credentials of the hub.\n"
    )
    assert contents(client) == []


def test_no_credentials(environment, file, capsys):
    """The message says how to sign in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)

    assert main(["targets", "apply", "--yes", file(FILE), "--region", "us-east-1"]) == 3

    assert capsys.readouterr().err == (
        "ami-promoter: account unknown, us-east-1: asking STS who is calling failed: Unable to locate "
        "credentials. Set AWS_PROFILE, or sign in; see `aws sts get-caller-identity`.\n"
    )


def test_an_endpoint_that_does_not_answer_is_named(environment, file, capsys):
    """The command uses AWS_ENDPOINT_URL, also if nothing listens there."""
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert main(["targets", "apply", "--yes", file(FILE), "--region", "us-east-1", "--table", "mine"]) == 3

    assert capsys.readouterr().err == (
        "ami-promoter: account unknown, us-east-1, table mine: asking STS who is calling failed: Could not connect to "
        'the endpoint URL: "http://127.0.0.1:9/". Check the network, the Region, and '
        "AWS_ENDPOINT_URL if it is set.\n"
    )


def test_the_program_itself(environment, file):
    """`python -m ami_promoter` is the same command, and returns its exit status."""
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-m", "ami_promoter", "targets", "validate", "--region", "us-east-1"]

    done = [
        subprocess.run(
            [*command, name], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False
        )
        for name in (file(FILE), file("groups: {}", "empty.yaml"))
    ]

    assert [process.returncode for process in done] == [0, 1]
    assert done[0].stdout.startswith("targets.yaml is valid: 2 groups, 2 accounts")
    assert done[1].stderr.startswith("empty.yaml:1:1: the file names no account.")


def test_the_example_is_valid(capsys):
    """The shipped example can be applied after its account ids are replaced."""
    example = Path(__file__).parents[3] / "targets.example.yaml"

    assert main(["targets", "validate", str(example), "--region", "us-east-1"]) == 0

    assert "is valid" in capsys.readouterr().out


def test_what_is_in_force_is_shown_as_it_was_applied(client, file, capsys, monkeypatch):
    """Standard output has its text alone, unfolded, to be applied again; standard error has who and when."""
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["targets", "show"]) == 0
    assert "Nothing has been applied yet" in capsys.readouterr().out
    text = f"# reviewed, and a long line: {'x' * 60}\n{FILE}"
    main(["targets", "apply", "--yes", file(text)])
    capsys.readouterr()

    assert main(["targets", "show"]) == 0

    out, err = capsys.readouterr()
    assert out == text
    assert err.startswith("Version 1 in account")
    main(["targets", "show", "--json"])
    reported = json.loads(capsys.readouterr().out)
    assert (reported["version"], reported["text"], reported["damaged"]) == (1, text, False)
    assert reported["applied_by"] == f"arn:aws:sts::{HUB}:user/moto"


def test_what_was_changed_by_hand_is_said(client, file, capsys):
    """A warning beside the text."""
    main(["targets", "apply", "--yes", file(FILE)])
    current = TargetsTable(client, CONFIG, MEMBERS).version_in_force()
    key = {"pk": {"S": partition(current.version)}, "sk": {"S": "group#default"}}
    client.update_item(
        TableName=CONFIG,
        Key=key,
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": '["999999999999"]'}},
    )

    assert main(["targets", "show"]) == 0

    assert "the items in force are not those that were applied" in capsys.readouterr().err
