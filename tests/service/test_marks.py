"""The marks of AMIs with standing shares: the pass, a promotion's worker and an operator write on them at once."""

import pytest

from chalicelib.engine import addresses
from chalicelib.promotion import evolving
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.worker.standing_pass import WITHDRAWN_AT
from chalicelib.promotion.worker.tag_pass import read_heads
from tests.service.cloud import HUB, REGION, START
from tests.service.hub import Hub
from tests.service.organization import A, B
from tests.service.shared_ami import AMI, pass_time, shared
from tests.stores import on_dynamodb

MARK = addresses.standing(AMI)
WRITES = ("put", "change", "forget")


class Marked:
    """A shared AMI with its mark, and passes of discovery that another writer comes between."""

    def __init__(self):
        self.hub = shared()
        self.records = self.hub.stores.records
        self.run()

    @property
    def mark(self):
        return self.records.get(MARK)

    def run(self, found=None, other=lambda: None):
        """A pass, half a minute after the last; ``other`` writes once, right before the pass writes on the mark."""
        self.hub.cloud.now += 30
        waiting = [other]

        def watch(port, method, args):
            if port == "records" and method in WRITES and args[0] == MARK and waiting:
                waiting.pop()()

        self.hub.watchful, self.hub.gate.watch = False, watch
        tagged = self.hub._discover.source.tagged() if found is None else found
        self.hub._discover.passes[1].run(tagged, read_heads(self.records), time_left=lambda: 30)

    def fresh(self):
        """A new episode puts a fresh mark before it opens anything."""
        self.records.put(MARK, {"kind": "standing", "episode": 2})

    def withdraw(self):
        """An operator withdraws somebody."""
        self.records.put(MARK, {**self.mark, WITHDRAWN_AT: "a stamp"})


@pytest.mark.parametrize("looks", [0, 1], ids=["at the first look", "after the comparison"])
@pytest.mark.parametrize("by", ["fresh", "withdraw"])
def test_what_another_writes_on_a_mark_while_a_pass_runs_is_not_lost(looks, by):
    """It would not be compared again for a day."""
    marked = Marked()
    marked.hub.cloud.tag(AMI, A)
    for _ in range(looks):
        marked.run()

    marked.run(other=getattr(marked, by))

    wanted = {"fresh": (2, None), "withdraw": (1, "a stamp")}
    assert (marked.mark["episode"], marked.mark.get(WITHDRAWN_AT)) == wanted[by]
    assert by != "fresh" or "compared" not in marked.mark
    marked.run()
    marked.run()
    assert "compared" in marked.mark


def test_of_two_passes_at_once_the_slower_takes_nothing_back():
    """The quicker one has seen the tag go; what the slower one has compared with the older tag says nothing of that."""
    marked = Marked()
    old = marked.hub._discover.source.tagged()
    marked.records.put(MARK, {"kind": "standing", "episode": 1, "tag": f"{A} {B}", "tag_since": START})

    marked.run(old, other=lambda: marked.run([]))

    assert marked.mark["tag"] is None
    assert marked.mark["tag_since"] > START


def test_a_mark_that_was_taken_away_does_not_come_back():
    """A slow pass writes on it after another has forgotten it: else it stays without end."""
    marked = Marked()
    marked.hub.cloud.tag(AMI, A)
    marked.run(other=lambda: marked.records.forget(MARK, {"kind": "standing"}))
    assert marked.mark is None


def test_a_mark_of_an_ami_that_was_never_promoted_goes():
    """An operator has recalled it all the same, or lifted that: else each pass would look at it without end."""
    marked, other = Marked(), addresses.standing("ami-07")
    marked.records.put(other, {"kind": "standing", "episode": 0, WITHDRAWN_AT: "a stamp"})

    for _ in range(3):
        marked.run()

    assert marked.records.get(other) is None
    assert marked.mark is not None


def test_the_mark_of_a_promotion_in_a_newer_form_holds_up_no_pass():
    """As after a rollback of the stack: the pass raised there in each run, and compared no AMI behind it."""
    with on_dynamodb() as stores:
        hub, stuck, other = Hub((A, B), target={"mode": "share"}, stores=stores), "ami-01", "ami-02"
        stores.records.create(PROMOTIONS.encode(evolving.started(stuck, HUB, REGION, START)), START)
        stores.table.update(addresses.promotion(stuck), "SET #s = :s", {":s": 99}, names={"#s": "schema"})
        for ami in (stuck, other):
            stores.records.put(addresses.standing(ami), {"kind": "standing", "episode": 0})

        for _ in range(3):
            hub.cloud.now += 30
            hub._discover.passes[1].run([], read_heads(stores.records), time_left=lambda: 30)

        left = [stores.records.get(addresses.standing(ami)) is not None for ami in (stuck, other)]
        assert left == [True, False], "the one mark stays until its promotion can be read; the other goes"


@pytest.mark.parametrize("how", ["parked", "damaged"])
def test_a_mark_stays_while_the_record_of_its_promotion_cannot_be_read(how):
    """Its head is lost, too: only the mark makes a pass look after what is shared, and the pass goes on behind it."""
    marked, key = Marked(), addresses.promotion("ami-07")
    marked.hub.cloud.make_image("ami-07", {"snap-07": True})
    marked.records.create(PROMOTIONS.encode(evolving.started("ami-07", HUB, REGION, START)), START)
    setattr(marked.records.records[key], how, how)
    marked.records.put(addresses.standing("ami-07"), {"kind": "standing", "episode": 0})

    for _ in range(3):
        marked.run()

    assert marked.records.get(addresses.standing("ami-07")) is not None


@pytest.mark.parametrize("mark", [{"episode": 0}, {}], ids=["of an older episode", "without one"])
def test_a_mark_that_a_late_worker_has_put_goes_when_nothing_is_held(mark):
    """It was put once more by a run of an older episode that its message outlived, or is damaged."""
    marked = Marked()
    marked.hub.cloud.tag(AMI, None)
    pass_time(marked.hub, 3600)
    assert marked.mark is None
    marked.records.put(MARK, {"kind": "standing", **mark})

    marked.run()
    marked.run(other=marked.fresh)
    assert marked.mark == {"kind": "standing", "episode": 2}
    marked.records.put(MARK, {"kind": "standing", **mark})
    for _ in range(3):
        marked.run()
    assert marked.mark is None
