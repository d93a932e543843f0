"""Each verb works with just the permissions that its documentation names; the policies in deploy/ do what they say."""

import sys

import pytest
from botocore.exceptions import ClientError

from ami_promoter.rights import FIND_AMI, FIND_DELIVERIES, LOOK_AGAIN, READ, SWITCH, UNTAG
from tests.scenarios.approving import deployed
from tests.scenarios.failures import write
from tests.scenarios.platform import own_client
from tests.scenarios.scene import DEV, TABLE, Answering, Scene
from tools.cli_policies import policy

AWS = 3
READING = (
    "status",
    "status AMI",
    "status --failed",
    "wait AMI",
    "plan AMI dev",
    "history AMI",
    f"history --account {DEV}",
    "where AMI",
    "where COPY",
    "where AMI dev --ids",
    "targets members",
    "report -o PAGE",
    "targets diff FILE",
)
CHANGING = (
    "admin pause",
    "admin resume",
    "targets apply --yes FILE",
    "promote AMI dev",
    "retry AMI",
    f"withdraw AMI --yes --account {DEV}",
    "withdraw AMI --yes --lift",
    "recall AMI --why bad --yes",
    "recall AMI --lift --yes",
    "verify AMI",
    "doctor",
    "targets members accept",
    "admin reconcile",
    "cancel --yes AMI",
    "admin drain --yes",
)


TAGGING = ("promote AMI dev", "cancel --yes AMI")
APPROVING = ("approve AMI --dry-run", "approve --yes AMI")


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """One AMI was delivered to two accounts."""
    scene.promote("dev")
    scene.copy = scene.image_in(DEV)["ImageId"]
    return scene


def run(scene, line):
    """Run a verb; return exit status and its whole output."""
    file = str(scene._directory / "targets.yaml")
    named = {"AMI": scene.image, "COPY": scene.copy, "FILE": file, "PAGE": f"{file}.html"}
    words = [named.get(word, word) for word in line.split()]
    status, out, err = scene.cli(*words)
    return status, out + err


def test_each_verb_needs_just_what_it_says(scene, become):
    """With only its own permissions AWS refuses it nothing."""
    from ami_promoter.verbs import root  # noqa: PLC0415 - the tree is whole once the command line was used

    for line in (*READING, *CHANGING, *APPROVING):
        first, second = (*line.split(), "")[:2]
        command = root.commands[first]
        verb = command.commands.get(second, command) if hasattr(command, "commands") else command
        become(policy([verb.rights]))

        status, said = run(scene, line)

        assert (status == AWS, "AccessDenied" in said or "not authorized" in said) == (False, False), line + said


def test_who_only_reads_changes_nothing(scene, become):
    """Every verb that reads works; every one that changes anything is refused, and says so."""
    become(deployed("cli-read-only"))

    for line in READING:
        status, said = run(scene, line)
        assert status == 0, line + said
    write(scene, f"promotion#{scene.image}", parked={"S": "It was damaged."})  # else there is nothing to retry
    for line in (
        "admin pause",
        "promote AMI dev",
        "cancel --yes AMI",
        f"withdraw AMI --yes --account {DEV}",
        "recall AMI --why bad --yes",
        "retry AMI --account 222222222222",
    ):
        status, said = run(scene, line)
        assert status == AWS, line + said
        assert "docs/reference/cli.md" in said
    assert scene.client("ec2").describe_images(ImageIds=[scene.image])["Images"][0]["Tags"]


def test_who_tags_may_write_the_trigger_alone(scene, become):
    """It reads, promotes and cancels; it writes no other tag, and no item of a table.

    The same value is no new event, and the promotion is not asked to look: it says that an operator must try again.
    """
    become(deployed("cli-tagger"))

    assert "an operator must start failed deliveries" in run(scene, "promote AMI dev")[1]
    for line in (*READING, *TAGGING):
        status, said = run(scene, line)
        assert status in (0, 4, 5), line + said
    assert run(scene, "admin pause")[0] == AWS
    dynamodb = own_client("dynamodb")
    for table in (TABLE, f"{TABLE}-config"):
        with pytest.raises(ClientError, match="AccessDenied"):
            dynamodb.put_item(TableName=table, Item={"pk": {"S": "targets"}, "sk": {"S": "current"}})
    status, said = run(scene, "promote AMI dev --tag-key owner")
    assert (status, "tagging" in said) == (AWS, True)


@pytest.mark.parametrize("line", ["cancel --yes AMI", "cancel AMI"])
@pytest.mark.thorough_but("cancel AMI")
def test_who_may_write_the_tag_alone_ends_a_promotion(scene, become, monkeypatch, line):
    """With --yes nothing needs to be read; otherwise the question says what is not known, and can be answered."""
    become(policy([FIND_AMI | UNTAG]))
    monkeypatch.setattr(sys, "stdin", Answering("y\n"))

    status, said = run(scene, line)

    assert (status, "no longer has the tag promote" in said) == (0, True), said
    assert ("Which deliveries that ends is not known" in said) == (line == "cancel AMI")
    (image,) = scene.client("ec2").describe_images(ImageIds=[scene.image])["Images"]
    assert "promote" not in {tag["Key"] for tag in image["Tags"]}


def test_who_may_not_ask_the_targets_recalls_all_the_same(scene, become, monkeypatch):
    """The question says that it is not known who uses the AMI."""
    become(policy([READ | FIND_DELIVERIES | LOOK_AGAIN | SWITCH]))
    monkeypatch.setattr(sys, "stdin", Answering("y\n"))

    status, said = run(scene, "recall AMI --why bad")

    assert (status, f"{scene.image} is recalled." in said) == (0, True), said
    assert "Who uses it is not known: asking the targets failed: " in said


def test_who_operates_does_all_but_tag_and_approve(scene, become):
    """The person who decides who receives AMIs promotes none.

    DeleteTags without tags would delete all of them; only discovery writes the members' table.
    """
    become(deployed("cli-operator"))
    ec2, dynamodb = own_client("ec2"), own_client("dynamodb")
    item = {"pk": {"S": "members"}, "sk": {"S": "current"}}
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.delete_tags(Resources=[scene.image])
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.put_item(TableName=f"{TABLE}-members", Item=item)
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.delete_item(TableName=f"{TABLE}-config", Key=item)
    assert scene.client("ec2").describe_images(ImageIds=[scene.image])["Images"][0]["Tags"]

    for line in (*READING, *CHANGING):
        status, said = run(scene, line)
        assert status == AWS if line in TAGGING else status in (0, 4, 5), line + said
