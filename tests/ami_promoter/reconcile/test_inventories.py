"""How the command orders an inventory of each target, and waits for the answers."""

import json

import pytest

from ami_promoter.hub.applied_targets import in_force
from ami_promoter.hub.aws import Connection
from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.verbs import TerminalClock
from chalicelib.engine import addresses, codec
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.inventory.machine import LOOK, OwnSnapshot
from chalicelib.targets import applied_file as files
from chalicelib.targets.organization import Organization
from tests.ami_promoter.a_hub import HUB, REGION, apply, read_unit

FAR = "eu-west-1"
OU, ONE, TWO, THREE = "ou-ab12-11111111", "200000000001", "200000000002", "200000000003"
RUN = "run-1"
SEEN = OwnSnapshot("snap-9a", "pending", "0123456789abcdef0123", "snap-0a", 0, used=False)


class InventoryTime:
    """A clock that only waiting advances; meanwhile targets answer. ``answers``: place -> after how many seconds."""

    def __init__(self, table, answers):
        self.now, self.table, self.answers = 1_800_000_000, table, dict(answers)
        self.begun = self.now

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        """Wait; targets whose time has come write their answers."""
        self.now += seconds
        for place, after in list(self.answers.items()):
            if self.now >= self.begun + after:
                answer(self.table, place)
                del self.answers[place]


def answer(table, place):
    """What `worker` writes when it has looked for the last who asked: here one copy of the service's."""
    key = addresses.inventory(*place)
    run = DynamoRecords(table).read(key).inbox[LOOK]
    row = {"snapshot": codec.encode(SEEN)}
    page = {"kind": "found", "run": run, "body": json.dumps([row])}
    DynamoRecords(table).put(addresses.inventory_page(key, 0), page)
    body = json.loads(table.get(key)["body"]) | {"seen": run, "pages": 1}
    table.update(key, "SET body = :body", {":body": json.dumps(body)})


def ask(table, places, answers):
    """Ask these targets, some of which answer in time."""
    time = InventoryTime(table, answers)
    return Inventories(Connection(REGION), 60, TerminalClock(time.sleep, time)).ask(places, RUN)


@pytest.mark.parametrize(("answers", "last"), [(2, "2 of 2"), (1, "1 of 2")])
def test_the_last_count_is_the_whole_one(table, answers, last, capsys):
    """A count that stays behind, above a good result, reads as if nobody had answered."""
    places = [(ONE, REGION), (TWO, REGION)]

    ask(table, places, dict.fromkeys(places[:answers], 5))

    counts = capsys.readouterr().err.splitlines()
    assert counts[0] == "Targets that answered: 0 of 2."
    assert counts[-1] == f"Targets that answered: {last}."


def test_accounts_that_an_ou_brings_are_asked_in_all_their_regions(client, table):
    """Accounts with their own block in that block's Regions; accounts that the file lists, too."""
    directory = files.Directory(
        {"default": (OU,)},
        {THREE: (files.Target(THREE, REGION),)},
        {"default": (files.Target("", REGION), files.Target("", FAR))},
        {TWO: {"default": (files.Target(TWO, FAR),)}},
        Organization("o-a1b2c3d4e5", {OU: ("default",)}),
    )
    apply(directory)
    read_unit(client, OU, HUB, ONE, TWO)

    receivers = in_force(Connection(REGION))
    places = receivers.places((HUB, REGION))
    found = ask(table, places, dict.fromkeys(places, 5))

    assert (receivers.known, receivers.faults) == (True, ())
    assert found == {
        place: TargetFacts(snapshots=(SEEN,))
        for place in [(HUB, FAR), (ONE, FAR), (ONE, REGION), (TWO, FAR), (THREE, REGION)]
    }


class AnotherAsks(InventoryTime):
    """While it waits, another command asks the same target. ``checks``: what that is like, which `doctor` asks."""

    def __init__(self, table, answers, *, checks):
        """Nobody else has asked yet."""
        super().__init__(table, answers)
        self.checks, self.asked = checks, False

    def sleep(self, seconds):
        """The other command asks first, and gives up at once."""
        if not self.asked:
            self.asked = True
            other = Inventories(Connection(REGION), -1, TerminalClock(self.sleep, self), checks=self.checks)
            other.ask([(ONE, REGION)], "run-2")
        super().sleep(seconds)


@pytest.mark.parametrize("checks", [False, True])
def test_two_commands_at_once_are_both_answered(table, checks):
    """The later of two equal questions is answered for both; another question has a record of its own."""
    time = AnotherAsks(table, {(ONE, REGION): 10}, checks=checks)

    found = Inventories(Connection(REGION), 60, TerminalClock(time.sleep, time)).ask([(ONE, REGION)], RUN)

    assert found == {(ONE, REGION): TargetFacts(snapshots=(SEEN,))}


def test_pages_of_a_look_that_was_started_again_are_not_mixed(table):
    """Another command's look has written over a page: its own answer is awaited."""
    time = InventoryTime(table, {(ONE, REGION): 10})

    def stale(seconds):
        time.sleep(seconds)
        if time.now < time.begun + 30:  # the record says what is over, the page is of the next look
            key = addresses.inventory_page(addresses.inventory(ONE, REGION), 0)
            DynamoRecords(table).put(key, {"kind": "found", "run": "run-2", "body": "[]"})
        else:
            answer(table, (ONE, REGION))

    inventories = Inventories(Connection(REGION), 60, TerminalClock(stale, time))

    assert inventories.ask([(ONE, REGION)], RUN) == {(ONE, REGION): TargetFacts(snapshots=(SEEN,))}


def test_many_targets_of_which_some_are_silent(table, capsys):
    """It ends when nobody has answered any longer, says how far it is in few lines, and knows all that answered."""
    places = [(f"{n:012d}", REGION) for n in range(1, 41)]
    time = InventoryTime(table, {place: 5 * n for n, place in enumerate(places) if n % 10})

    found = Inventories(Connection(REGION), 60, TerminalClock(time.sleep, time)).ask(places, RUN)

    assert sum(not target.trouble for target in found.values()) == 36
    assert [place for place, target in found.items() if target.trouble] == places[::10]
    assert all("has not answered" in one.trouble.what for one in found.values() if one.trouble)
    assert len(capsys.readouterr().err.splitlines()) <= 15
    assert time.now <= time.begun + 200 + 60 + 10


def test_it_waits_as_long_as_answers_come(table):
    """Many targets take longer than one: only silence ends the wait."""
    places = [(f"{n:012d}", REGION) for n in range(1, 8)]

    found = ask(table, places, {place: 50 * n for n, place in enumerate(places, 1)})

    assert [target.trouble for target in found.values()] == [None] * 7


def test_a_verb_that_must_not_wait_long_takes_what_has_answered(table):
    """Neither later answers nor the asking of many targets prolong the time."""
    places = [(f"{n:012d}", REGION) for n in range(1, 8)]
    time = InventoryTime(table, {place: 4 * n for n, place in enumerate(places, 1)})

    found = Inventories(Connection(REGION), 10, TerminalClock(time.sleep, time), in_all=True).ask(places, RUN)

    assert [place for place, target in found.items() if not target.trouble] == places[:2]
    assert set(found) == set(places)
    assert time.now <= time.begun + 10


def test_a_verb_that_must_not_wait_long_goes_on_as_soon_as_all_have_answered(table):
    """Targets that allow no question say so within a second or two; a person waits no longer."""
    places = [(ONE, REGION), (TWO, REGION)]
    time = InventoryTime(table, dict.fromkeys(places, 2))

    Inventories(Connection(REGION), 10, TerminalClock(time.sleep, time), in_all=True).ask(places, RUN)

    assert time.now == time.begun + 2


def test_a_verb_that_must_not_wait_long_asks_only_as_many_targets_as_there_is_time_for(table):
    """Asking costs time, too: the rest is not asked, and silent; there is time left for answers."""
    places = [(f"{n:012d}", REGION) for n in range(1, 301)]
    time = InventoryTime(table, dict.fromkeys(places[:3], 6))

    def slow():
        time.now += 0.1
        return time.now

    found = Inventories(Connection(REGION), 10, TerminalClock(time.sleep, slow), in_all=True).ask(places, RUN)

    assert [place for place, target in found.items() if not target.trouble] == places[:3]
    assert set(found) == set(places)
    assert time.now <= time.begun + 12
