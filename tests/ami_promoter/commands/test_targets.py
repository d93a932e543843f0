"""``targets validate``, ``diff`` and ``apply`` against moto's DynamoDB."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError

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


def publish(publisher, text, seen=None):
    """Put a file into force, by a command that has read this before; by default what is in force now."""
    publisher.publish(seen or publisher.applied(), compiled(text), text, "2026-01-05T09:00:00Z")


def in_force():
    """What another command reads."""
    return Publisher(Connection("us-east-1")).applied()


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
def test_validate_needs_no_region(file, run, environment, more, says):
    """It asks AWS nothing: the file is valid where it is so for a hub in some Region, and it says for which."""
    assert says in run("targets", "validate", file(NOWHERE + more)).out


def test_validate_without_a_region_finds_what_is_wrong(file, run, environment):
    """The faults that no Region of a hub would change, and no others."""
    text = NOWHERE + "    mode: share\n    regions: [eu-west-1]\n  prod: [12]\n"

    (fault,) = run("targets", "validate", file(text), "--json", exits=1).data["faults"]
    assert "cannot be `12`" in fault["what"]


def test_what_is_applied_is_what_the_functions_read(client, file, run):
    """The functions resolve a tag as the applied file says."""
    assert run("targets", "apply", "--yes", file(FILE)).out.splitlines() == [
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


def test_applying_the_same_again_changes_nothing(client, file, run):
    """Comments and order are no difference; the second run writes nothing."""
    run("targets", "apply", "--yes", file(FILE))
    before = contents(client)

    said = run("targets", "apply", "--yes", file("# reviewed\n" + FILE)).lines

    assert contents(client) == before
    assert said[1:] == ["No difference.", f"Nothing to apply: version 1 in {PLACE} is the same."]


@pytest.mark.parametrize("argv", [["diff"], ["apply", "--dry-run"]])
def test_a_difference_is_shown_without_changing_anything(argv, client, file, run):
    """Added, removed and changed targets and groups, with each changed setting."""
    run("targets", "apply", "--yes", file(FILE))
    before = contents(client)

    said = run("targets", *argv, file(OTHER)).lines

    assert contents(client) == before
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


def test_on_a_narrow_terminal_a_sign_stands_alone(client, file, run, monkeypatch):
    """A line that is folded goes on beside its sign, so that each sign at the margin is a change."""
    run("targets", "apply", "--yes", file(FILE))
    monkeypatch.setenv("COLUMNS", "60")

    said = run("targets", "diff", file(OTHER)).lines

    removed = next(number for number, line in enumerate(said) if line.startswith("- target"))
    assert said[removed : removed + 2] == [
        "- target 222222222222 us-east-1  (external_id: two,",
        "  queue_deadline: 90m)",
    ]


def test_the_difference_for_a_program(client, file, run):
    """`--json` prints the same as data."""
    run("targets", "apply", "--yes", file(FILE))

    data = run("targets", "diff", file(OTHER), "--json").data
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


def test_a_file_with_faults_changes_nothing(client, file, run):
    """Every fault on standard error, exit status 1; the file in force stays."""
    run("targets", "apply", "--yes", file(FILE))
    before = contents(client)

    said = run("targets", "apply", "--yes", file(f'groups: {{default: [111111111111, "{HUB}"]}}'), exits=1)

    assert contents(client) == before
    assert said.err.splitlines() == [
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


def test_validating_needs_no_aws(environment, file, run):
    """A pipeline can check a pull request without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)

    assert run("targets", "validate", file(FILE), "--region", "us-east-1").out.splitlines() == [
        "targets.yaml is valid: 2 groups, 2 accounts, hub's Region us-east-1.",
        "To check also that the hub's own account is not among them, give --hub-account.",
    ]


def test_validating_with_the_hubs_account_refuses_it_as_a_target(environment, file, run):
    """`--hub-account` replaces the call to AWS."""
    argv = ["targets", "validate", file(FILE), "--region", "us-east-1", "--hub-account", "222222222222"]

    assert "222222222222 is the hub itself" in run(*argv, exits=1).err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "the file cannot be read: No such file or directory. Check the name, and"),
        (lambda path: path.mkdir(), "the file cannot be read: Is a directory. Check the name, and"),
        (lambda path: path.write_bytes(b"a: \xff"), "byte 4 is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_a_file_that_cannot_be_read(make, message, environment, file, tmp_path, run):
    """A file error is reported as a fault of the argument."""
    make(tmp_path / "targets.yaml")
    file("", "other.yaml")

    said = run("targets", "validate", "targets.yaml", "--region", "us-east-1", exits=1)

    assert said.err.startswith(f"targets.yaml: {message}")


def test_two_who_apply_at_once(client):
    """The second one gets an error, and the first one's file is in force, complete."""
    connection = Connection("us-east-1")
    first, second = Publisher(connection), Publisher(connection)
    seen_by_first, seen_by_second = first.applied(), second.applied()
    publish(first, FILE, seen_by_first)

    with pytest.raises(HubError) as lost:
        publish(second, OTHER, seen_by_second)

    assert str(lost.value) == (
        f"{PLACE}: somebody else has applied a targets file since you started: that file is in force, "
        "and yours is not. "
        "Run `ami-promoter targets diff FILE`, then apply again."
    )
    assert in_force().directory == compiled(FILE)


def test_a_crash_before_the_new_version_is_in_force_changes_nothing(client):
    """Items without the last put are not in force, and the next apply succeeds."""
    connection = Connection("us-east-1")
    publisher = Publisher(connection)
    publish(publisher, FILE)

    def crash(params, **_rest):
        if b"applied_by" in params["body"]:
            raise KeyboardInterrupt

    connection.dynamodb.meta.events.register("before-call.dynamodb.PutItem", crash)
    with pytest.raises(KeyboardInterrupt):
        publish(publisher, OTHER)

    assert in_force().directory == compiled(FILE)
    publish(Publisher(Connection("us-east-1")), OTHER)
    assert in_force().directory == compiled(OTHER)


def test_only_the_last_versions_are_kept(client, file, run):
    """Old versions are deleted with all their items, including those of an unfinished apply."""
    for number in range(KEEP + 3):
        run("targets", "apply", "--yes", file(f'accounts: {{"{number:012d}": {{}}}}'))

    partitions = {item["pk"]["S"] for item in contents(client)} - {"targets"}
    notes = {item["sk"]["S"] for item in contents(client) if item["pk"]["S"] == "targets"} - {"current"}
    numbers = sorted(int(pk.split("#")[1]) for pk in partitions)
    assert numbers == [4, 5, 6, 7, 8]
    assert {f"targets#{note.removeprefix('version#')}" for note in notes} == partitions


def test_an_older_file_can_be_brought_back(client, file, run):
    """A rollback applies the old file as a new version."""
    for text in (FILE, OTHER, FILE):
        run("targets", "apply", "--yes", file(text))

    assert (in_force().current.number, in_force().directory) == (3, compiled(FILE))


@pytest.mark.parametrize("body", [None, '["999999999999"]'])
def test_items_changed_by_hand_are_named_and_written_again(client, file, run, body):
    """Beside the text that was applied; the same file can be applied again, which repairs everything."""
    run("targets", "apply", "--yes", file(FILE))
    current = TargetsTable(client, CONFIG, MEMBERS).in_force()
    group = {"pk": {"S": partition(current.version)}, "sk": {"S": "group#all"}}
    client.delete_item(TableName=CONFIG, Key=group)
    if body:
        client.put_item(TableName=CONFIG, Item={**group, "body": {"S": body}})

    assert "the items in force are not those that were applied" in run("targets", "show").err
    assert "The items of that version have changed since" in run("targets", "apply", "--yes", file(FILE)).out
    assert in_force().directory == compiled(FILE)


@pytest.mark.parametrize(
    ("damage", "given"),
    [
        ("REMOVE applied_by", {}),
        ("REMOVE version_number", {}),
        ("SET version_number = :other", {":other": {"S": "two"}}),
        ("SET digest = :other", {":other": {"BOOL": True}}),
    ],
)
def test_where_it_cannot_be_read_what_is_in_force_it_can_be_applied_again(client, file, run, damage, given):
    """As the message says. No number is used twice, and of two who do so at once one learns that it lost."""
    for text in (OTHER, FILE):
        run("targets", "apply", "--yes", file(text))
    values = {"ExpressionAttributeValues": given} if given else {}
    key = {"pk": {"S": "targets"}, "sk": {"S": "current"}}
    client.update_item(TableName=CONFIG, Key=key, UpdateExpression=damage, **values)
    other = Publisher(Connection("us-east-1"))
    seen_by_other = other.applied(to_replace=True)
    assert "apply it again" in run("targets", "show", exits=3).err

    said = run("targets", "apply", "--yes", file(FILE))

    assert "cannot be read; the comparison treats everything as new." in said.out
    assert (in_force().directory, in_force().current.number) == (compiled(FILE), 3)
    with pytest.raises(HubError, match="somebody else has applied"):
        publish(other, OTHER, seen_by_other)


def test_a_thousand_accounts_are_applied_and_read_back(client, file, run):
    """In batches, all of them, each with a block of its own."""
    accounts = [f"{number:012d}" for number in range(1, 1001)]
    own = {account: {"external_id": account} for account in accounts}
    text = json.dumps({"groups": {"default": accounts}, "accounts": own})

    run("targets", "apply", "--yes", file(text))

    read = TargetsTable(client, CONFIG, MEMBERS).read().resolve("").targets
    assert [(target.account, target.external_id) for target in read] == [(one, one) for one in accounts]


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

    publish(Publisher(connection, sleep=waits.append), FILE)

    assert waits == [0.1, 0.2, 0.4]
    assert in_force().directory == compiled(FILE)


def test_dynamodb_that_never_takes_the_items_is_given_up_on(client):
    """The file in force is still the old one."""
    connection = Connection("us-east-1")
    publish(Publisher(connection), FILE)
    connection.dynamodb = Reluctant(connection.dynamodb, calls=100)
    accounts = ", ".join(f'"{number:012d}"' for number in range(1, 30))

    with pytest.raises(HubError, match="DynamoDB still leaves items unwritten"):
        publish(Publisher(connection, sleep=lambda _: None), f"groups: {{a: [{accounts}]}}")

    assert in_force().directory == compiled(FILE)


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

    publish(Publisher(connection), FILE)

    assert in_force().directory == compiled(FILE)


def test_where_no_answer_to_the_last_put_came_it_does_not_say_which_file_is_in_force(client):
    """DynamoDB may have served it: the new file is in force here."""
    connection = Connection("us-east-1")
    bodies = []

    def lost(**_rest):
        if b"attribute_not_exists" in bodies[-1]:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")

    events = connection.dynamodb.meta.events
    events.register("before-call.dynamodb.PutItem", lambda params, **_rest: bodies.append(params["body"]))
    events.register("after-call.dynamodb.PutItem", lost)

    with pytest.raises(HubError, match=r"into force \(it may be done: run the command again\) failed: Read timeout"):
        publish(Publisher(connection), FILE)

    assert in_force().directory == compiled(FILE)


def test_a_missing_table_says_where_it_was_looked_for(aws, file, run):
    """Wrong account or Region, or no stack yet: the message names account, Region and table; exit status 3."""
    assert run("targets", "diff", file(FILE), exits=3).err == (
        f"ami-promoter: {PLACE}: reading the applied targets failed: An error occurred (ResourceNotFoundException) "
        "when calling the GetItem operation: Requested resource not found. There is no such table: check that account "
        "and Region are the hub's, and that its stack is deployed.\n"
    )


def test_credentials_of_another_account_are_refused(client, file, run):
    """With `--hub-account`, the command cannot write into another account."""
    assert run("targets", "apply", "--yes", file(FILE), "--hub-account", "222222222222", exits=3).err == (
        f"ami-promoter: credentials: they are those of account {HUB} (arn:aws:sts::{HUB}:user/moto), and --hub-account "
        "says 222222222222. Use credentials of the hub.\n"
    )
    assert contents(client) == []


def test_no_credentials(environment, file, run):
    """The message says how to sign in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)

    assert run("targets", "apply", "--yes", file(FILE), "--region", "us-east-1", exits=3).err == (
        "ami-promoter: account unknown, us-east-1: asking STS who is calling failed: Unable to locate "
        "credentials. Set AWS_PROFILE, or sign in; see `aws sts get-caller-identity`.\n"
    )


def test_an_endpoint_that_does_not_answer_is_named(environment, file, run):
    """The command uses AWS_ENDPOINT_URL, also if nothing listens there."""
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert run("targets", "apply", "--yes", file(FILE), "--region", "us-east-1", "--table", "mine", exits=3).err == (
        "ami-promoter: account unknown, us-east-1, table mine: asking STS who is calling failed: Could not connect to "
        'the endpoint URL: "http://127.0.0.1:9/". Check the network, the Region, and '
        "AWS_ENDPOINT_URL if it is set.\n"
    )


def test_the_example_is_valid(run):
    """The shipped example can be applied after its account ids are replaced, also in the deploy guide's Region."""
    example = Path(__file__).parents[3] / "targets.example.yaml"

    assert "is valid" in run("targets", "validate", str(example), "--region", "eu-central-1").out


def test_what_is_in_force_is_shown_as_it_was_applied(client, file, run, monkeypatch):
    """Standard output has its text alone, unfolded, to be applied again; standard error has who and when."""
    monkeypatch.setenv("COLUMNS", "40")
    assert "Nothing has been applied yet" in run("targets", "show").out
    text = f"# reviewed, and a long line: {'x' * 60}\n{FILE}"
    run("targets", "apply", "--yes", file(text))

    out, err = run("targets", "show")
    assert out == text
    assert err.startswith("Version 1 in account")
    reported = run("targets", "show", "--json").data
    assert (reported["version"], reported["text"], reported["damaged"]) == (1, text, False)
    assert reported["applied_by"] == f"arn:aws:sts::{HUB}:user/moto"


@pytest.mark.parametrize("number", ["99999999", "20261130205300"])
def test_a_number_of_any_length_can_be_followed(client, file, run, number):
    """Somebody may have written a time in its place."""
    run("targets", "apply", "--yes", file(FILE))
    client.update_item(
        TableName=CONFIG,
        Key={"pk": {"S": "targets"}, "sk": {"S": "current"}},
        UpdateExpression="SET version_number = :n",
        ExpressionAttributeValues={":n": {"N": number}},
    )
    run("targets", "apply", "--yes", file(FILE))

    assert in_force().directory == compiled(FILE)
