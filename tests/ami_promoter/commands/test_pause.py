"""``pause`` and ``resume``: one switch, with who turned it and why."""

import json

import pytest
import time_machine
from botocore.exceptions import ClientError, ReadTimeoutError

from ami_promoter.cli import main
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.pause_switch import SWITCH, Switch
from chalicelib.engine.store.table import Table

TABLE, REGION = "ami-promoter-us-east-1", "us-east-1"
CALLER = "arn:aws:sts::123456789012:user/moto"
NINE = 1767603600
"""2026-01-05T09:00:00Z"""


@pytest.fixture
def table(client):
    return Table(client, f"{TABLE}-config")


def test_pausing_writes_one_item_that_the_functions_read(table):
    """That all is paused, by whom, when (epoch seconds) and why."""
    assert main(["admin", "pause", "--why", "KMS outage"]) == 0

    item = table.get(SWITCH)
    assert (item["pk"], item["sk"]) == ("switches", "promotions")
    assert (item["paused"], item["by"], item["why"], item["kind"]) == (True, CALLER, "KMS outage", "switch")
    assert isinstance(item["at"], int)


def test_resuming_leaves_a_note_of_who_did(table):
    """The switch is turned back, not deleted."""
    main(["admin", "pause"])

    assert main(["admin", "resume"]) == 0

    assert table.get(SWITCH)["paused"] is False
    assert table.get(SWITCH)["by"] == CALLER


def test_who_paused_first_stays_named(client, capsys):
    """Pausing again changes only the reason, if there is one, and prints since when it has been paused."""
    with time_machine.travel(NINE, tick=False):
        switch = Switch(Connection(REGION))
        assert switch.turn(paused=True, why="first") is True
    assert switch.turn(paused=True, why="second") is False
    assert switch.read()["why"] == "first"

    assert main(["admin", "pause", "--why", "third"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        (
            f"Already paused, for another reason now, in account 123456789012, us-east-1: "
            f"since 2026-01-05T09:00:00Z, by {CALLER}: third."
        ),
        "Nothing new starts; running deliveries continue. `ami-promoter admin resume` ends the pause.",
    ]
    assert main(["admin", "pause"]) == 0
    assert "third." in capsys.readouterr().out


def test_resuming_what_is_not_paused_writes_nothing(table, capsys):
    """The command says so, with exit status 0."""
    assert main(["admin", "resume"]) == 0

    assert table.get(SWITCH) is None
    assert capsys.readouterr().out.startswith("Nothing to do: promotions are not paused in account 123456789012")


def test_for_a_program(client, capsys):
    """`--json` prints the same as data."""
    main(["admin", "pause", "--why", "because", "--json"])
    paused = json.loads(capsys.readouterr().out)
    main(["admin", "resume", "--json"])
    resumed = json.loads(capsys.readouterr().out)

    assert (paused["changed"], paused["paused"]["by"], paused["paused"]["why"]) == (True, CALLER, "because")
    assert (resumed["changed"], resumed["paused"]) == (True, None)


def test_status_says_first_that_all_is_paused(client, capsys):
    """The first line says since when, by whom and why; nothing is printed when it is not paused."""
    main(["status", "--json"])
    assert json.loads(capsys.readouterr().out)["paused"] is None
    with time_machine.travel(NINE, tick=False):
        Switch(Connection(REGION)).turn(paused=True, why="KMS outage")

    main(["status"])

    assert capsys.readouterr().out.splitlines()[0] == (
        f"Paused since 2026-01-05T09:00:00Z, by {CALLER}: KMS outage. Nothing new starts."
    )


def test_credentials_of_another_account_turn_nothing(table, capsys):
    """With --hub-account the command finds a wrong profile before it writes."""
    assert main(["admin", "pause", "--hub-account", "999999999999"]) == 3

    assert table.get(SWITCH) is None
    assert "and --hub-account says 999999999999. Use credentials of the hub." in capsys.readouterr().err


def test_a_missing_table(aws, capsys):
    """Exit status 3, and nothing is changed."""
    assert main(["admin", "pause"]) == 3

    assert "pausing or resuming (nothing has changed) failed" in capsys.readouterr().err


@pytest.mark.parametrize("lost", [True, False])
def test_where_no_answer_came_it_does_not_say_that_nothing_has_changed(table, lost):
    """The SDK gives up after three tries, each of which DynamoDB may have served; a refusal has changed nothing."""
    connection = Connection("us-east-1")

    def fails(**_rest):
        if lost:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")

    connection.dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", fails)

    with pytest.raises(HubError) as failed:
        Switch(connection).turn(paused=True, why="")

    said = "pausing or resuming (it may be done: run the command again) failed: Read timeout"
    assert failed.value.fault.what.startswith(said if lost else "pausing or resuming (nothing has changed) failed: ")
