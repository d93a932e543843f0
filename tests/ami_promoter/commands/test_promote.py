"""``promote`` and ``withdraw`` of an AMI from which operators have withdrawn accounts."""

import json
from dataclasses import replace

import boto3
import pytest
from botocore.exceptions import ClientError

from ami_promoter.hub import pause_switch, record_requests
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.hub_images import Tag
from ami_promoter.hub.records import Reader
from ami_promoter.hub.withdrawals import Withdrawn
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import Promotion, PromotionState, Retry
from tests.ami_promoter.a_hub import DEV, HUB, PROD, REGION, a_delivery, delivered, track

CALLER = "arn:aws:sts::123456789012:user/moto"
FILE = f"""
groups:
  dev: ["{DEV}"]
  prod: ["{DEV}", "{PROD}"]
"""


@pytest.fixture
def ec2(table):
    return boto3.client("ec2", region_name=REGION)


@pytest.fixture
def ami(ec2, table, file, run):
    """An AMI that is tagged `dev`, and whose promotion is over; the file has two groups."""
    run("targets", "apply", "--yes", file(FILE))
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]
    name = ec2.register_image(Name="golden", RootDeviceName="/dev/sda1", BlockDeviceMappings=mapping)["ImageId"]
    tag(ec2, name, "dev")
    over = PromotionState.OVER
    promotion = Promotion(name, HUB, REGION, over, value="dev", seen_value="dev", in_force_since=1, file="x")
    DynamoRecords(table).create(PROMOTIONS.encode(promotion), 1)
    return name


def tag(ec2, ami, value):
    ec2.create_tags(Resources=[ami], Tags=[{"Key": "promote", "Value": value}])


def places(ami):
    """Return who is withdrawn, with the value that the operator saw."""
    return {one.place: one.value for one in Withdrawn(Connection(REGION), ami).read()}


def inbox(table, ami):
    return DynamoRecords(table).read(addresses.promotion(ami)).inbox


def test_promoting_with_the_same_value_says_who_stays_withdrawn(table, ami, run):
    """It ends no withdrawal, and names the command that does."""
    assert "until its tag has another value or is removed" in run("withdraw", "--yes", ami, "--account", DEV).words

    said = run("promote", ami, "dev").out
    assert f"Not delivered: {DEV}: {CALLER} has withdrawn it." in said
    assert f"`ami-promoter withdraw {ami} --lift`" in said
    assert places(ami) == {DEV: "dev"}
    assert inbox(table, ami)["retry"].endswith(":")
    assert "written" not in inbox(table, ami)


def test_waiting_for_some_targets_says_nothing_of_the_others(table, ami, run):
    """A pipeline that waits for one account reads of that account alone."""
    table.update(addresses.promotion(ami), "SET #state = :over", {":over": "over"}, names={"#state": "state"})
    delivered(table, *(replace(a_delivery(*one), ami=ami) for one in ((DEV, "delivered"), (PROD, "failed"))))

    said = run("wait", ami, "--account", DEV).words

    assert "delivered. Its target has the AMI." in said
    assert PROD not in said
    assert "retry" not in said


def test_what_was_not_verified_is_counted_in_the_last_line(table, ami, run):
    """Checks of what was delivered say nothing of the whole promotion."""
    delivered(table, *(replace(a_delivery(*one), ami=ami) for one in ((DEV, "shared"), (PROD, "failed"))))

    assert run("verify", ami, exits=5).lines[-1].endswith(" Not checked: 1 delivery.")


def test_an_ami_that_is_gone_has_come_out_as_its_promotion_did(table, ami, ec2, run):
    """Somebody has deregistered it since: that is no wrong id, and its targets have their copies."""
    delivered(table, replace(a_delivery(DEV), ami=ami))
    body = json.dumps({**json.loads(table.get(addresses.promotion(ami))["body"]), "value": None, "seen_value": None})
    names = {"#state": "state", "#body": "body"}
    table.update(
        addresses.promotion(ami), "SET #state = :over, #body = :body", {":over": "over", ":body": body}, names=names
    )
    ec2.deregister_image(ImageId=ami)

    assert "Its target has the AMI." in run("wait", ami).words


def test_a_value_that_ends_deliveries_is_asked_about(table, ami, run):
    """Without a terminal it is refused; --yes is for scripts, and says what ends.

    A value that ends nothing asks nothing; what was delivered stays, and is not mentioned.
    """
    for account, state in ((DEV, "running"), (PROD, "shared"), (HUB, "delivered")):
        track(table, TrackedDelivery(account, account, REGION, 1, state), ami)
    run("promote", ami, "prod")

    asked = run("promote", ami, "dev", exits=1)

    assert f"This tags {ami} promote='dev', and so ends what that value does not name." in asked.errors
    assert asked.words == f"{PROD} {REGION}: the share is withdrawn."
    assert Tag(Connection(REGION), ami).read() == "prod"
    assert f"{PROD} {REGION}: the share is withdrawn." in run("promote", ami, "dev", "--yes").out
    assert Tag(Connection(REGION), ami).read() == "dev"


def test_a_value_whose_ou_is_not_read_yet_is_asked_about_too(table, ami, file, run):
    """Once the service has read the OU it ends what was not named: nobody is asked then. What is named does not end."""
    unit = 'organization: {id: o-abcdefgh12}\ngroups: {all: [ou-ab12-11111111], dev: ["%s"], prod: ["%s"]}\n'
    run("targets", "apply", "--yes", file(unit % (DEV, PROD)))
    for account in (DEV, PROD):
        track(table, TrackedDelivery(account, account, REGION, 1, "running"), ami)
    tag(boto3.client("ec2", region_name=REGION), ami, "dev prod")

    asked = run("promote", ami, "all dev", exits=1)

    assert f"{PROD} {REGION}: the delivery is cancelled." in asked.words
    assert DEV not in asked.out
    assert "has not read an OU yet that the value needs: what it names by that OU does not end." in asked.words
    assert [one["account"] for one in run("promote", ami, "all dev", "--yes", "--json").data["ends"]] == [PROD]


def test_what_ends_already_is_not_asked_about_again(table, ami, run):
    """A delivery stops for minutes: the next value finds it running still, though the one before has ended it."""
    track(table, TrackedDelivery(DEV, DEV, REGION, 1, "running"), ami)
    run("promote", ami, "prod", "--yes")

    assert "ends" not in run("promote", ami, f"prod {PROD}").out


def test_a_new_value_asks_for_a_look_and_for_no_second_try(table, ami, run):
    """The tag's event may have come first: a delivery that has failed since must not be tried, and reported, twice."""
    run("promote", ami, "prod")

    assert "retry" not in inbox(table, ami)
    assert inbox(table, ami)["seen"].endswith(":prod")


def test_who_may_not_write_records_is_warned(table, ami, run, monkeypatch):
    """Whatever refuses that request: the tag is written, and the service sees it by itself."""
    monkeypatch.setattr(DynamoRecords, "make_due", refuse)

    assert "warning: The service was not asked to look at once" in run("promote", ami, "prod").err


def test_an_approver_of_a_refused_ami_learns_why(table, ami, file, run):
    """Not to wait until it is examined: it was."""
    run("targets", "apply", "--yes", file(f"{FILE}defaults: {{approval: required}}\n"))
    why = Fault("source-key-aws-managed", ami, "It is encrypted under aws/ebs.", "Encrypt it under another key.")
    refused = Promotion(ami, HUB, REGION, value="dev", seen_value="dev", refused_value="dev", faults=(why,), file="x")
    table.update(addresses.promotion(ami), "SET body = :body", {":body": json.dumps(PROMOTIONS.encode(refused).body)})

    said = run("approve", ami, "--yes", exits=1).errors
    assert f"{why.what} {why.cure}" in said
    assert "not examined" not in said


def test_an_ami_is_not_tagged_where_what_is_to_be_said_cannot_be_read(ec2, ami, run, monkeypatch):
    """Exit status 3 lets the operator believe that nothing has begun; nothing has."""
    monkeypatch.setattr(pause_switch, "read", refuse)
    with pytest.raises(ClientError):
        run("promote", ami, "prod")

    assert Tag(Connection(REGION), ami).read() == "dev"


def refuse(*_arguments):
    raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")


def test_promoting_with_another_value_names_no_ended_withdrawal(ami, run):
    """The account gets the AMI, if that value names it."""
    run("withdraw", "--yes", ami, "--account", DEV)

    assert "has withdrawn it" not in run("promote", ami, "prod").out


def test_a_withdrawal_for_a_value_that_the_service_has_not_seen_is_an_entry_of_its_own(ec2, ami, run):
    """The earlier one will end with that value; and stays until then, as the value may be refused."""
    run("withdraw", "--yes", ami, "--account", DEV)
    tag(ec2, ami, "prod")

    run("withdraw", "--yes", ami, "--account", DEV)
    assert places(ami) == {DEV: "prod"}

    run("withdraw", "--yes", ami, "--account", PROD)
    assert places(ami) == {DEV: "prod", PROD: "prod"}


@pytest.mark.parametrize(
    ("words", "when"),
    [(["withdraw", "--account", DEV, "--account", PROD], " once its promotion's record continues"), (["cancel"], "")],
)
def test_what_happens_to_many_deliveries_is_asked_about_once(table, ami, run, words, when):
    """--wide has a line for each. A withdrawal waits for a parked record."""
    for account in (DEV, PROD):
        track(table, TrackedDelivery(account, account, REGION, 1, "running"), ami)
    DynamoRecords(table).park(addresses.promotion(ami), "damaged", 1)
    verb, *options = words

    ends = f"the delivery is cancelled{when}."
    assert f"2 targets ({DEV} {REGION}, {PROD} {REGION}): {ends}" in run(verb, ami, *options, exits=1).words
    each = run(verb, ami, *options, "--wide", exits=1).words
    assert f"{DEV} {REGION}: {ends}" in each
    assert f"{PROD} {REGION}: {ends}" in each


def test_a_lift_where_no_withdrawal_is_in_force_says_that_there_is_nothing_to_do(ami, run):
    """It asks the service to look all the same, so it must not say that nothing was changed; beside others, too."""
    said = run("withdraw", "--yes", ami, "--account", DEV, "--lift")
    run("withdraw", "--yes", ami, "--account", DEV)
    beside = run("withdraw", "--yes", ami, "--account", DEV, "--account", PROD, "--lift")

    assert (said.words, said.err) == (f"Nothing to do: no withdrawal of {DEV} from {ami} is in force.", "")
    assert f"{DEV} can receive the AMI again" in beside.words
    assert f"no withdrawal of {PROD} from {ami} is in force." in beside.words
    assert places(ami) == {}


@pytest.mark.parametrize("words", [[], ["--account", DEV]])
def test_a_lift_whose_request_was_lost_is_asked_for_by_the_next_one(table, ami, run, words):
    """The first had ended the withdrawal and then failed: its error says to run the command again."""
    run("withdraw", "--yes", ami, "--account", DEV)
    Withdrawn(Connection(REGION), ami).remove([DEV])
    before = inbox(table, ami)["withdraw"]

    run("withdraw", "--yes", ami, "--lift", *words)

    assert inbox(table, ami)["withdraw"] > before


@pytest.mark.parametrize(("withdrawn", "lifted"), [(DEV, f"{DEV}/{REGION}"), (f"{DEV}/{REGION}", DEV)])
def test_the_lift_of_more_or_less_than_was_withdrawn_writes_nothing(table, ami, run, withdrawn, lifted):
    """One target of a withdrawn account, or the account of a withdrawn target: the cure names what can be lifted."""
    run("withdraw", "--yes", ami, "--account", withdrawn)
    before = inbox(table, ami)

    said = run("withdraw", "--yes", ami, "--account", lifted, "--lift", exits=1)

    assert f"Lift that withdrawal: `--account {withdrawn}`." in said.errors
    assert (inbox(table, ami), places(ami)) == (before, {withdrawn: "dev"})


def test_a_lift_asks_for_what_had_begun_there_and_for_no_retry(ec2, table, ami, run):
    """A second one, before the service has read the first, names both; whom it does not name stays withdrawn."""
    tag(ec2, ami, "prod")
    run("withdraw", "--yes", ami, "--account", DEV, "--account", PROD)
    run("withdraw", "--yes", ami, "--lift", "--account", DEV)
    assert places(ami) == {PROD: "prod"}
    run("withdraw", "--yes", ami, "--lift", "--account", PROD)

    assert places(ami) == {}
    assert "retry" not in inbox(table, ami)
    assert Retry.parse(inbox(table, ami)["lifted"]).places == [DEV, PROD]


def others_beside(monkeypatch, table, ami, often):
    """Another operator asks for PROD, each time, ``often`` in all, right after a command has read the record."""
    read, left = Reader.promotion, iter(range(often))

    def promotion(reader, ami):
        found = read(reader, ami)
        if (number := next(left, None)) is not None:
            DynamoRecords(table).make_due(addresses.promotion(ami), 1, {"retry": f"{number}:{PROD}"})
        return found

    monkeypatch.setattr(Reader, "promotion", promotion)


def test_two_operators_who_retry_two_accounts_at_the_same_moment_are_both_served(table, ami, monkeypatch):
    """Neither entry is written over the other."""
    others_beside(monkeypatch, table, ami, 1)

    record_requests.look_again(Connection(REGION), ami, [DEV])

    assert Retry.parse(inbox(table, ami)["retry"]).places == [DEV, PROD]


def test_retry_starts_nothing_that_the_value_no_longer_names(table, ami, run):
    """It names what starts again, sorted, and says of the rest by which command it would."""
    delivered(table, *(replace(a_delivery(*one), ami=ami) for one in ((DEV, "cancelled"), (PROD, "cancelled"))))

    said = run("retry", ami).words

    assert f"{DEV} {REGION}: cancelled; starts again." in said
    assert f"{PROD} {REGION}: cancelled; the tag's value no longer names it." in said
    assert f"To start it, write a value that does: `ami-promoter promote {ami} VALUE`." in said
    assert Retry.parse(inbox(table, ami)["retry"]).places == [f"{DEV}/{REGION}"]


def test_retry_right_after_promote_does_not_judge_by_the_value_of_before(table, ami, run):
    """The service has not looked yet: what the new value names starts again, and nobody is asked to write a value."""
    delivered(table, replace(a_delivery(PROD, "cancelled"), ami=ami))
    run("promote", ami, "prod")

    said = run("retry", ami).words

    assert f"{PROD} {REGION}: cancelled; starts again, if the value that the service still examines names it." in said


def test_retry_does_not_judge_by_the_value_of_before_an_event_of_the_tag(table, ami, run):
    """Somebody has tagged the AMI without the command line, and the service has not looked yet."""
    delivered(table, replace(a_delivery(PROD, "cancelled"), ami=ami))
    DynamoRecords(table).make_due(addresses.promotion(ami), 1, {"tag": "1800000000:event"})

    assert f"{PROD} {REGION}: cancelled; starts again, if the value that the service" in run("retry", ami).words


def test_a_second_retry_starts_no_more_than_the_first(table, ami, run):
    """What the first has asked for is no other value."""
    delivered(table, *(replace(a_delivery(*one), ami=ami) for one in ((DEV, "cancelled"), (PROD, "cancelled"))))
    first = run("retry", ami).out

    assert run("retry", ami).out == first
    assert Retry.parse(inbox(table, ami)["retry"]).places == [f"{DEV}/{REGION}"]


def test_retry_right_after_promote_names_no_withdrawal_that_the_new_value_ends(table, ami, run):
    """A withdrawal ends as soon as the tag has another value."""
    delivered(table, replace(a_delivery(DEV, "cancelled"), ami=ami))
    run("withdraw", "--yes", ami, "--account", DEV)
    run("promote", ami, "dev prod")

    said = run("retry", ami).words

    assert "withdrawn by" not in said
    assert f"{DEV} {REGION}: cancelled; starts again, if the value that the service still examines names it." in said
    assert "VALUE" not in said


def test_a_retry_right_after_a_withdrawal_while_the_value_is_refused_keeps_the_one_of_before(ec2, table, ami, run):
    """The tag has a value that was refused, which ends nothing: both accounts stay withdrawn."""
    delivered(table, *(replace(a_delivery(*one), ami=ami) for one in ((DEV, "cancelled"), (PROD, "cancelled"))))
    run("withdraw", "--yes", ami, "--account", DEV)
    tag(ec2, ami, "dve")
    stored = PROMOTIONS.decode(DynamoRecords(table).read(addresses.promotion(ami)))
    refused = replace(stored, seen_value="dve", refused_value="dve", handled=stored.inbox)
    table.update(addresses.promotion(ami), "SET body = :body", {":body": json.dumps(PROMOTIONS.encode(refused).body)})
    run("withdraw", "--yes", ami, "--account", PROD)

    said = run("retry", ami).words

    assert f"2 targets ({DEV} {REGION}, {PROD} {REGION}): was withdrawn by {CALLER}; it does not start again." in said

    run("promote", ami, "dev prod")
    again = replace(refused, seen_value="dev prod", refused_value="dev prod")  # as before the file had the group
    table.update(addresses.promotion(ami), "SET body = :body", {":body": json.dumps(PROMOTIONS.encode(again).body)})
    assert "withdrawn by" not in run("retry", ami).words


def test_a_request_that_others_overtake_again_and_again_says_so(table, ami, monkeypatch):
    """The operator runs the command again."""
    others_beside(monkeypatch, table, ami, 1000)

    with pytest.raises(HubError, match="same request"):
        record_requests.look_again(Connection(REGION), ami, [DEV])


def test_a_request_for_very_many_places_tries_all_again_that_had_begun(table, ami):
    """The record that keeps them is bounded. An entry of ``retry`` for all would begin new accounts of the file."""
    record_requests.look_again(Connection(REGION), ami, [f"{number:012d}" for number in range(501)])

    asked = inbox(table, ami)
    assert Retry.parse(asked["lifted"]).places == []
    assert "retry" not in asked
