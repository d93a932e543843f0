"""``pause`` and ``resume``: one switch, with who turned it and why."""

import pytest
import time_machine
from botocore.exceptions import ClientError, ReadTimeoutError

from ami_promoter.hub import pause_switch
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.pause_switch import SWITCH
from ami_promoter.hub.withdrawals import Withdrawn
from tests.ami_promoter.a_hub import AMI, DEV, NINE, REGION

CALLER = "arn:aws:sts::123456789012:user/moto"


def test_pausing_writes_one_item_that_the_functions_read(operators, run):
    """That all is paused, by whom, when (epoch seconds) and why; resuming turns it back, and deletes nothing."""
    run("admin", "pause", "--why", "KMS outage")

    item = operators.get(SWITCH)
    assert (item["pk"], item["sk"]) == ("switches", "promotions")
    assert (item["paused"], item["by"], item["why"], item["kind"]) == (True, CALLER, "KMS outage", "switch")
    assert isinstance(item["at"], int)

    run("admin", "resume")
    assert (operators.get(SWITCH)["paused"], operators.get(SWITCH)["by"]) == (False, CALLER)


def test_who_paused_first_stays_named(client, run):
    """Pausing again changes only the reason, if there is one, and prints since when it has been paused."""
    with time_machine.travel(NINE, tick=False):
        connection = Connection(REGION)
        assert pause_switch.turn(connection, paused=True, why="first") is True
    assert pause_switch.turn(connection, paused=True, why="second") is False
    assert pause_switch.read(connection)["why"] == "first"

    assert run("admin", "pause", "--why", "third").out.splitlines() == [
        (
            f"Already paused, for another reason now, in account 123456789012, us-east-1: "
            f"since 2026-01-05T09:00:00Z, by {CALLER}: third."
        ),
        "Nothing new starts; running deliveries continue. `ami-promoter admin resume` ends the pause.",
    ]
    assert "third." in run("admin", "pause").out
    again = run("admin", "pause", "--why", "third")
    assert again.out.startswith("Already paused in account 123456789012"), "the reason is the same"


def test_resuming_what_is_not_paused_writes_nothing(operators, run):
    """The command says so, with exit status 0."""
    said = run("admin", "resume")

    assert operators.get(SWITCH) is None
    assert said.out.startswith("Nothing to do: promotions are not paused in account 123456789012")


def test_for_a_program(client, run):
    """`--json` prints the same as data."""
    paused = run("admin", "pause", "--why", "because", "--json").data
    resumed = run("admin", "resume", "--json").data

    assert (paused["changed"], paused["paused"]["by"], paused["paused"]["why"]) == (True, CALLER, "because")
    assert (resumed["changed"], resumed["paused"]) == (True, None)


def test_status_says_first_that_all_is_paused(client, run):
    """The first line says since when, by whom and why; nothing is printed when it is not paused."""
    assert run("status", "--json").data["paused"] is None
    with time_machine.travel(NINE, tick=False):
        pause_switch.turn(Connection(REGION), paused=True, why="KMS outage")

    assert run("status").out.splitlines()[0] == (
        f"Paused since 2026-01-05T09:00:00Z, by {CALLER}: KMS outage. Nothing new starts."
    )


@pytest.mark.parametrize("lost", [True, False])
def test_where_no_answer_came_it_does_not_say_that_nothing_has_changed(operators, lost):
    """The SDK gives up after three tries, each of which DynamoDB may have served; a refusal has changed nothing."""
    connection = Connection(REGION)

    def fails(**_rest):
        if lost:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")

    connection.dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", fails)

    with pytest.raises(HubError) as failed:
        pause_switch.turn(connection, paused=True, why="")

    said = "pausing or resuming (it may be done: run the command again) failed: Read timeout"
    assert failed.value.fault.what.startswith(said if lost else "pausing or resuming (nothing has changed) failed: ")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_who_may_not_withdraw_is_not_asked_to_try_again(operators, code):
    """The same credentials are refused again; after a throttle the command goes on."""
    connection = Connection(REGION)

    def fails(**_rest):
        raise ClientError({"Error": {"Code": code}}, "UpdateItem")

    connection.dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", fails)

    with pytest.raises(HubError, match=code) as failed:
        Withdrawn(connection, AMI).write([DEV], "dev", 0)

    assert ("run the command again" in failed.value.fault.what) is (code == "ThrottlingException")
