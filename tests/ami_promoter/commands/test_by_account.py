"""``history --account`` and ``where`` of a copy read one account's items only, however many others exist."""

import re
from collections import Counter
from dataclasses import dataclass, field

import pytest

from ami_promoter.commands.history import history
from ami_promoter.commands.where import where
from ami_promoter.hub.aws import Connection
from ami_promoter.verbs import VerbCaller
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import NewImage
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.store.records import DynamoRecords
from tests.ami_promoter.a_hub import AMI, DEV, PROD, REGION, a_delivery, apply_accounts, promoted, track

COPY = "ami-00000000000000c09"
HERE = [DEV, f"{DEV}/{REGION}"]


@dataclass(frozen=True, slots=True)
class CountingCaller(VerbCaller):
    """Counts the calls of DynamoDB, and the items that they read."""

    calls: Counter[str] = field(default_factory=Counter)

    def connect(self) -> Connection:
        connection = Connection(REGION)
        connection.dynamodb.meta.events.register("after-call.dynamodb", self._count)
        return connection

    def _count(self, parsed, model, **_rest):
        self.calls[model.name] += 1
        read = [item for items in parsed.get("Responses", {}).values() for item in items]
        self.calls["items"] += parsed.get("ScannedCount", 0) + len(read) + ("Item" in parsed)


@pytest.fixture
def table(table):
    """One AMI that was delivered to DEV and PROD, as the service writes it."""
    records = DynamoRecords(table)
    made = [a_delivery(DEV, image=NewImage(COPY)), a_delivery(PROD, image=NewImage("ami-00000000000000c0a"))]
    promoted(table, *made)
    for one in made:
        records.save(records.read(one.key), DELIVERIES.encode(one), ["Delivered"], 2)
    return table


def others(table):
    """Store fifty deliveries of other AMIs to another account, with the AMIs that they made."""
    for number in range(50):
        made = TrackedDelivery(f"{number:020x}", "333333333333", REGION, 1, "delivered", f"ami-{number:016x}f")
        track(table, made, f"ami-{number:017x}")


def asked():
    """The output of both verbs, and their calls."""
    first, second = CountingCaller(REGION), CountingCaller(REGION)
    return (
        history(first, None, DEV, everything=True).data,
        where(second, COPY, None, None, ids=False, use=False, timeout=0).data,
        first.calls,
        second.calls,
    )


def test_deliveries_of_others_cost_nothing(table):
    """The same answers by the same calls, which read the same number of items, without a Scan."""
    before = asked()
    others(table)
    after = asked()

    assert [entry["account"] for entry in before[0]["entries"]] == [DEV]
    assert (before[1]["source"], before[1]["asked"]["account"]) == (AMI, DEV)
    assert after == before
    assert "Scan" not in after[2] | after[3]
    assert max(after[2]["items"], after[3]["items"]) < 20


@pytest.mark.parametrize("words", ["where --image none* --ids", "where --image none*", "history --since 1d", "status"])
def test_of_no_ami_nothing_is_said_but_that(client, run, words):
    """A program reads ids from the output of `where --ids`, so that has no sentence."""
    said = run(*words.split())

    sentence = "No promotion exists in account 123456789012, us-east-1."
    assert said.out == ("" if "--ids" in words else f"{sentence}\n")
    assert (sentence in said.err) is ("--ids" in words)


def test_of_an_account_that_an_ami_has_not_come_to_the_account_is_named(table, run):
    """Of the AMI itself something is known."""
    said = run("history", AMI, "--account", "999999999999").lines[0]

    assert said == f"Nothing is known of {AMI} and account 999999999999 in account 123456789012, us-east-1."


def test_what_happened_earlier_is_not_said_to_be_unknown(table, run):
    """With --since, the sentence names the time from which nothing is known."""
    said = run("history", AMI, "--since", "1m").lines[0]

    assert re.fullmatch(rf"Nothing new is known of {AMI} in account 123456789012, us-east-1 since 20\S+Z\.", said)


@pytest.mark.parametrize("words", ["doctor --group nope", "where AMI nope", "rollback base --group nope"])
def test_a_group_that_is_not_in_the_file_is_named(table, run, words):
    """It is a word of the command, and no value of a tag."""
    apply_accounts(DEV)

    said = run(*words.replace("AMI", AMI).split(), exits=1)

    assert said.err.startswith("nope: the applied targets file has no group `nope`."), said.err


@pytest.mark.parametrize("target", [*HERE, "333333333333", "333333333333/us-east-1", f"{DEV}/eu-west-1"])
def test_where_of_a_target_to_which_nothing_is_delivered_fails_whether_its_region_is_named_or_not(table, run, target):
    """Exit status 1; the cure names the command that lists the targets."""
    exits = 0 if target in HERE else 1

    said = run("where", AMI, target, exits=exits)

    assert (COPY in said.words) is (exits == 0)
    assert (f"{target}: the AMI has no delivery there. See `ami-promoter where {AMI}`." in said.errors) is bool(exits)
