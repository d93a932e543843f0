"""Discovery's pass over the tags handles every AMI that has changed, also if one AMI's record is damaged."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import HEADS, digest_of
from chalicelib.engine.errors import Misconfigured
from chalicelib.engine.waker import Waker
from chalicelib.images.ports import Tagged
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.evolving import started
from chalicelib.promotion.head import Move, head, move, places_digest
from chalicelib.promotion.model import PromotionState
from chalicelib.promotion.worker.discover import PERIOD, Discover
from chalicelib.promotion.worker.tag_pass import BASELINE, TagPass, read_heads
from chalicelib.sharing.head import Head
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.applied_items import to_items
from tests.fakes import MemoryRecords, SentWakes
from tests.service.cloud import UNREADABLE, Cloud, CloudBehavior, FakeSource, Quiet
from tests.service.hub import NoVersions

HUB, REGION, NOW = "111111111111", "us-east-1", 1_800_000_000
A, B = "222222222222", "333333333333"


def applied(*accounts, mode="copy"):
    """An applied file whose group ``dev`` contains these accounts."""
    directory = Directory({"dev": accounts}, {one: (Target(one, REGION, mode=mode),) for one in accounts})
    return AppliedFile(directory, digest_of(to_items(directory)))


BOTH = applied(A, B)
IN_FORCE = Head("dev", ("dev",), digests=BOTH.digests, places=places_digest(BOTH.resolve("dev").targets), moving=False)


class CountedReads(MemoryRecords):
    """Counts calls of the store."""

    calls = 0

    def __getattribute__(self, name):
        if name in ("get", "put", "read", "create", "create_all", "leave", "make_due", "forget", "list"):
            self.calls += 1
        return super().__getattribute__(name)


def a_pass(records, wakes, found, heads=None, file=BOTH, time_left=lambda: 30):
    """Run a pass over what EC2 shows, by the heads that were read before it."""
    waker = Waker(records, wakes, lambda: NOW)
    tags = TagPass(records, SimpleNamespace(read=lambda: file), waker, lambda: NOW, HUB, REGION)
    tags.run(found, read_heads(records) if heads is None else heads, time_left=time_left)


def looked_once():
    """Records of a hub on which discovery has run before."""
    records = CountedReads()
    records.put(BASELINE, {"kind": "baseline"})
    return records


def with_head(records, ami, one=IN_FORCE):
    """Store an ended promotion and its head."""
    record = replace(started(ami, HUB, REGION, NOW), state=PromotionState.OVER, value="dev", file="digest/")
    records.create(replace(PROMOTIONS.encode(record), due_at=None), NOW)
    records.put(addresses.head(ami), {"kind": "head", "body": json.dumps(codec.encode(one))})


@pytest.mark.parametrize("body", ["no JSON", json.dumps({"colour": "red"}), json.dumps([])])
def test_a_head_that_cannot_be_read_hides_no_other_ami_and_is_looked_at(body):
    """The damaged head wakes its promotion, which writes it again; the AMI beside it is woken, too."""
    records, wakes = looked_once(), SentWakes()
    with_head(records, "ami-0a")
    records.put(addresses.head("ami-0a"), {"kind": "head", "body": body})

    found = [Tagged("ami-0a", "dev"), Tagged("ami-0b", "dev")]
    a_pass(records, wakes, found)

    assert sorted(wakes.woken) == ["promotion#ami-0a", "promotion#ami-0b"]


def test_what_has_not_moved_costs_no_call():
    """A pass over 5,000 tagged AMIs reads their heads in one call, and wakes none."""
    records, wakes = looked_once(), SentWakes()
    amis = [f"ami-{number:05d}" for number in range(5000)]
    for ami in amis:
        with_head(records, ami)
    heads = read_heads(records)
    records.calls = 0
    a_pass(records, wakes, [Tagged(ami, "dev") for ami in amis], heads)

    assert (wakes.woken, records.calls) == ([], 1)


@pytest.mark.parametrize("calls", [1, 7, 100])
@pytest.mark.thorough
def test_many_that_have_moved_are_all_dealt_with_however_short_the_runs_are(calls):
    """Each run has time for a few AMIs, and continues behind the last one."""
    records, wakes = looked_once(), SentWakes()
    found = [Tagged(f"ami-{number:04d}", "dev") for number in range(400)]
    for one in found:
        with_head(
            records, one.ami, replace(IN_FORCE, known=("other",))
        )  # the promotion stays as it is: no worker runs here
    runs = 0
    while len(set(wakes.woken)) < len(found):
        left = itertools.chain(itertools.repeat(30, calls - 1), itertools.repeat(0))
        a_pass(records, wakes, found, time_left=lambda left=left: next(left))
        runs += 1
        assert runs <= 400 // calls + 1


@pytest.mark.parametrize("calls", [1, 3])
def test_the_baseline_is_put_on_record_however_short_the_runs_are(calls):
    """The baseline promotes no AMI; one notice is scheduled that names what was left alone."""
    records, wakes = CountedReads(), SentWakes()
    found = [Tagged(f"ami-{number:02d}", "dev") for number in range(20)]
    for _ in range(30):
        left = itertools.chain(itertools.repeat(30, calls - 1), itertools.repeat(0))
        a_pass(records, wakes, found, time_left=lambda left=left: next(left))

    assert len(records.list(HEADS, "ami-")) == 20
    assert set(wakes.woken) == {"baseline#hub"}
    assert records.read(addresses.BASELINE_NOTICE).body["count"] == 20


def test_what_may_have_to_be_closed_is_never_behind_what_is_new():
    """A thousand AMIs' tag events are lost, and each run has time for one step: it handles the removal first."""
    records, wakes = looked_once(), SentWakes()
    with_head(records, "ami-ff", STANDING)
    found = [Tagged(f"ami-{number:04d}", "dev") for number in range(1000)]
    a_pass(records, wakes, found, file=SHARED, time_left=lambda: 0)

    assert wakes.woken[0] == "promotion#ami-ff"
    assert len(wakes.woken) > 1, "what is new has its turn all the same"


def test_a_thousand_new_amis_are_put_in_slices_of_many_and_are_not_looked_at_again():
    """New AMIs are written once, whether or not a worker has processed them: their heads have what it will read."""
    records, wakes = looked_once(), SentWakes()
    found = [Tagged(f"ami-{number:04d}", "dev") for number in range(1000)]
    left = itertools.chain(itertools.repeat(30, 50), itertools.repeat(0))
    a_pass(records, wakes, found, time_left=lambda: next(left))

    assert sorted(wakes.woken) == sorted(f"promotion#{one.ami}" for one in found)
    wakes.woken.clear()
    a_pass(records, wakes, found)
    assert wakes.woken == []


def test_one_that_is_there_without_a_head_keeps_no_new_one_from_its_start():
    """The promotion without a head is woken and writes one; the others of that transaction are written all the same."""
    records, wakes = looked_once(), SentWakes()
    with_head(records, "ami-0005")
    records.forget(addresses.head("ami-0005"), {"kind": "head"})
    found = [Tagged(f"ami-{number:04d}", "dev") for number in range(10)]
    a_pass(records, wakes, found)

    assert sorted(wakes.woken) == sorted(f"promotion#{one.ami}" for one in found)


NARROW, SHARED = applied(A), applied(A, B, mode="share")
SAME = IN_FORCE
STANDING = replace(SAME, standing=True, digests=SHARED.digests, places=places_digest(SHARED.resolve("dev").targets))


@pytest.mark.parametrize(
    ("value", "state", "one", "file", "then"),
    [
        ("dev", "available", None, BOTH, Move.START),
        (None, "", None, BOTH, None),
        ("dev", "available", SAME, BOTH, None),
        ("dev prod", "available", SAME, BOTH, Move.LOOK),
        ("dve", "available", replace(SAME, known=("dev", "dve")), BOTH, None),
        ("dev", "pending", replace(SAME, known=()), BOTH, None),
        ("dev", "pending", replace(SAME, known=(), moving=True), BOTH, Move.LOOK),
        (None, "", SAME, BOTH, Move.LOOK),
        (None, "", replace(SAME, value=None, known=("dve",)), BOTH, Move.LOOK),
        (None, "", replace(SAME, value=None, known=()), BOTH, Move.FORGET),
        (None, "", replace(SAME, moving=True), BOTH, Move.LOOK),
        (None, "", replace(SAME, value=None, known=(), moving=True), BOTH, None),
        (None, "", STANDING, SHARED, Move.LOOK),
        (None, "", replace(STANDING, value=None, known=()), SHARED, None),
        ("dev", "disabled", STANDING, SHARED, Move.LOOK),
        ("dev", "available", STANDING, NARROW, Move.RESOLVE),
        ("dev", "available", STANDING, AppliedFile(Directory(), "none"), Move.RESOLVE),
        ("dev", "available", replace(SAME, moving=True), NARROW, Move.RESOLVE),
        ("dev", "available", SAME, NARROW, None),
        ("dev", "available", STANDING, UNREADABLE, None),
        ("dev", "available", replace(SAME, failed=1), NARROW, Move.RESOLVE),
        ("dev", "available", replace(STANDING, digests=""), NARROW, None),
    ],
)
def test_what_is_done_about_an_ami(value, state, one, file, then):
    """Wakes new, differently tagged, untagged and disabled AMIs, and those changed by a new file; no others."""
    assert move(value, state, one, file, file.judge) is then


def test_a_head_says_what_its_record_is():
    """The head has only a value that the service understood; the baseline has none."""
    record = replace(started("ami-0a", HUB, REGION, NOW), value="dev", refused_value="dve", seen_value="prod")
    for state in (PromotionState.COMPARING, PromotionState.ADJUSTING):
        assert head(replace(record, state=state)) == Head(None, ("dev", "dve", "prod"), moving=True)
    for state in (PromotionState.REQUESTED, PromotionState.RUNNING):
        assert head(replace(record, state=state)) == Head(None, ("dev", "dve"), moving=True)
    assert head(replace(record, state=PromotionState.OVER)) == Head(None, ("dev", "dve"), waits=True)

    understood = head(replace(record, file="d/m", withdrawals_from=NOW))
    assert (understood.value, understood.digests, understood.withdrawals_from) == ("dev", "d/m", NOW)


class One:
    """A pass that records that it ran, and may fail."""

    def __init__(self, ran, name, *, fails=False):
        self.ran, self.name, self.fails = ran, name, fails

    def run(self, *_found, time_left):
        self.ran.append(self.name)
        if self.fails:
            raise Misconfigured("the resolver's reading cannot be read")


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("fails", ["tags", "standing", "members"])
def test_a_pass_that_fails_stops_no_other_and_the_function_fails_all_the_same(fails, turn):
    """A damaged membership record, say: the other passes run and close what they must, in whichever order."""
    ran, telemetry = [], Quiet()
    passes = tuple(One(ran, name, fails=name == fails) for name in ("tags", "standing", "members"))
    source = FakeSource(Cloud(Directory({}, {}), CloudBehavior(), lambda _event: None))
    discover = Discover(MemoryRecords(), source, passes, NoVersions(), lambda: NOW + turn * PERIOD, telemetry)

    with pytest.raises(Misconfigured):
        discover.run(time_left=lambda: 30)

    assert sorted(ran) == ["members", "standing", "tags"]
    assert "discovered" not in {name for name, _ in telemetry.reported}


def test_one_ami_over_which_a_call_fails_keeps_no_other_back():
    """One record is too large, say: the other changed AMIs are woken with the next run, and new ones at once."""
    records, wakes = looked_once(), SentWakes()
    amis = [f"ami-{number:02d}" for number in range(6)]
    for ami in amis:
        with_head(records, ami, replace(IN_FORCE, known=("other",)))
    real = records.leave

    def leave(key, *given, **named):
        if key.pk == "promotion#ami-00":
            raise ValueError("Item size has exceeded the maximum allowed size")
        return real(key, *given, **named)

    records.leave = leave
    found = [Tagged(ami, "dev") for ami in (*amis, "ami-new")]
    for _ in range(2):
        with pytest.raises(ValueError, match="Item size"):
            a_pass(records, wakes, found)

    assert {f"promotion#{ami}" for ami in (*amis[1:], "ami-new")} <= set(wakes.woken)


def test_a_head_that_was_written_again_is_not_forgotten():
    """The AMI is tagged again during a pass that has read its old head: the pass keeps the new head."""
    records, wakes = looked_once(), SentWakes()
    gone = replace(IN_FORCE, value=None, known=())
    with_head(records, "ami-0a", gone)
    heads = read_heads(records)
    anew = replace(IN_FORCE, moving=True)
    records.put(addresses.head("ami-0a"), {"kind": "head", "body": json.dumps(codec.encode(anew))})

    a_pass(records, wakes, [], heads)
    assert read_heads(records) == {"ami-0a": anew}

    with_head(records, "ami-0a", gone)
    a_pass(records, wakes, [])
    assert read_heads(records) == {}


def test_what_another_run_was_just_writing_is_left_as_well_before_the_baseline_is_done():
    """Two concurrent first runs refuse each other's transactions: the skipped AMI joins the baseline with the next."""
    records, wakes = MemoryRecords(), SentWakes()
    real = records.create_all
    refused = iter([True, True, False])
    records.create_all = lambda new, now: {new[0][0].key} if next(refused) else real(new, now)
    found = [Tagged("ami-0a", "dev")]
    a_pass(records, wakes, found)
    assert records.get(BASELINE) is None

    for _ in range(2):
        records.create_all = real
        a_pass(records, wakes, found)
    assert records.get(BASELINE) is not None
    assert PROMOTIONS.decode(records.read(addresses.promotion("ami-0a"))).state is PromotionState.OVER
    assert wakes.woken == ["baseline#hub"]


@pytest.mark.parametrize(("seconds", "left"), [(239, [159, 42, 82]), (60, [60, 2, 2])])
def test_a_pass_leaves_time_to_those_behind_it_where_there_is_any(seconds, left):
    """A new file changes every AMI, say: withdrawals in a later pass do not wait for all of them."""
    now, seen = [0], []

    class Busy(One):
        def run(self, *_found, time_left):
            seen.append(time_left())
            while len(seen) < 2 and time_left() > 2:
                now[0] += 1

    source = FakeSource(Cloud(Directory({}, {}), CloudBehavior(), lambda _event: None))
    passes = tuple(Busy([], name) for name in ("tags", "standing", "members"))
    discover = Discover(MemoryRecords(), source, passes, NoVersions(), lambda: NOW, Quiet())
    discover.run(time_left=lambda: seconds - now[0])
    assert seen == left
