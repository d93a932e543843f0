"""What may befall a hub, in any order: one rule for each act of ``World``. The invariants are asked after each."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.service.story import Storied
from tests.service.weather import DAY, EARLY, LOST, ON_TIME
from tests.service.world import ACCOUNTS, HOUR, NOBODY, REFUSALS, ModelWorld, Shape

NUMBERS = st.integers(0, 11)
SNAPSHOTS = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(tuple)
VALUES = (None, None, "default", "default", "default", NOBODY, *ACCOUNTS[:2], "+".join(ACCOUNTS[:2]))
EVENT_FATES = st.sampled_from([ON_TIME, LOST, LOST, (0, 0), (5, 1), (0, 40), (EARLY,), (EARLY, 200), (600,), (30, DAY)])
WAKE_FATES = st.sampled_from([ON_TIME, LOST, LOST, (0, 0), (0, 7), (3,), (45,), (200,)])
NATURE = {
    "copying": st.sampled_from([0, 1, 600, 1800]),
    "access": st.sampled_from([0, 20, 200]),
    "registering": st.sampled_from([0, 300]),
    "lag": st.sampled_from([0, 3, 90]),
    "stale": st.sampled_from([0, 5, 25]),
    "hurry": st.sampled_from([7]),
}
MEDDLING = ["unshare", "share", "share", "revoke_grant", "delete_copy", "forge", "plant"]
THEN = st.sampled_from([0, 0, 1, 6, 20, 70, 200])
"""Seconds that pass after an act."""
ERRORS = st.sampled_from(["An internal error occurred", "Given key ID is not accessible"])


def some(values, most=4):
    """A few of them."""
    return st.lists(values, min_size=1, max_size=most)


def shapes() -> st.SearchStrategy[Shape]:
    """Up to three AMIs, which may have snapshots and keys in common."""
    return st.builds(
        Shape,
        accounts=st.integers(1, 3),
        amis=st.lists(SNAPSHOTS, min_size=1, max_size=3).map(tuple),
        encrypted=st.tuples(*(st.sampled_from([True, True, False]) for _ in range(3))),
        pending=st.sampled_from([False, False, True]),
        limit=st.sampled_from([20, 20, 3, 1]),
        queue_deadline=st.sampled_from([24 * HOUR, 8 * HOUR]),
        copy_deadline=st.sampled_from([24 * HOUR, 8 * HOUR]),
        linger=st.sampled_from([0, 0, 600]),
        release_when=st.sampled_from(["copied", "registered"]),
        key_access=st.sampled_from(["grant", "policy"]),
        service_roles=st.sampled_from([0, 0, 1, 2]),
        copy_method=st.sampled_from(["snapshots", "snapshots", "image"]),
        mode=st.sampled_from(["copy", "copy", "share"]),
        by_unit=st.sampled_from([False, False, True]),
        whole=st.booleans(),
    )


class Model(Storied):
    """The whole service in memory, and everything that may befall it."""

    make = ModelWorld
    """How a world is made of a shape; a mutation replaces it."""

    def __init__(self) -> None:
        super().__init__()
        self.world: ModelWorld = ModelWorld()

    @initialize(shape=shapes(), values=some(st.sampled_from(VALUES[2:]), 3))
    def begin(self, shape, values):
        """AMIs are made, and some are tagged."""
        self.world = self.make(shape)
        self.hear(self.world.story)
        for number, value in enumerate(values[: len(shape.amis)]):
            self.world.tag(number, value)

    @rule(seconds=st.sampled_from([1, 2, 5, 6, 30, 61, 200, 900, HOUR, 5 * HOUR]))
    def wait(self, seconds):
        """Time passes."""
        self.world.wait(seconds)

    @rule(number=NUMBERS, value=st.sampled_from(VALUES), then=THEN)
    def tag(self, number, value, then):
        """A tag is set, changed, extended, narrowed, removed or put back."""
        self.world.tag(number, value)
        self.world.wait(then)

    @rule(number=NUMBERS, value=st.sampled_from(VALUES[2:]), seconds=st.sampled_from([1, 31, 200]), then=THEN)
    def tag_again(self, number, value, seconds, then):
        """A tag is removed and put back."""
        self.world.tag(number, None)
        self.world.wait(seconds)
        self.world.tag(number, value)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.pending)
    @rule()
    def make_available(self):
        """An AMI is made at last."""
        self.world.make_available()

    @rule(fates=some(EVENT_FATES), then=THEN)
    def events(self, fates, then):
        """Events are lost, doubled, late or early."""
        self.world.expect("events", fates)
        self.world.wait(then)

    @rule(fates=some(WAKE_FATES), then=THEN)
    def wakes(self, fates, then):
        """Wakes are lost, doubled or late."""
        self.world.expect("wakes", fates)
        self.world.wait(then)

    @rule(data=st.data(), what=st.sampled_from(sorted(NATURE)), then=THEN)
    def nature(self, data, what, then):
        """AWS is quick or slow, or shows what was."""
        self.world.expect(what, data.draw(some(NATURE[what])))
        self.world.wait(then)

    @rule(calls=st.integers(0, 40), after=st.booleans(), then=THEN)
    def crash(self, calls, after, then):
        """A process dies at any call."""
        self.world.crash(calls, after=after)
        self.world.wait(then)

    @rule(
        duets=some(st.sampled_from(["twin", "twin", "other", "alone"])),
        order=st.lists(st.booleans(), min_size=1, max_size=20),
        then=THEN,
    )
    def side_by_side(self, duets, order, then):
        """A message group is worked on twice at once, or two message groups call by call."""
        self.world.side_by_side(duets, order)
        self.world.wait(then)

    @rule(what=st.sampled_from(sorted(REFUSALS)), number=st.none() | NUMBERS, times=st.integers(1, 4), then=THEN)
    def refuse(self, what, number, times, then):
        """AWS refuses."""
        self.world.refuse(what, number, times)
        self.world.wait(then)

    @rule(messages=some(ERRORS, 2), then=THEN)
    def copies_fail(self, messages, then):
        """Copies end in error."""
        self.world.expect("fails", messages)
        self.world.wait(then)

    @rule(act=st.sampled_from(MEDDLING), number=NUMBERS, then=THEN)
    def meddle(self, act, number, then):
        """Somebody meddles with what is under way."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(act=st.sampled_from(["deregister_source", "deregister_delivered", "take_name"]), number=NUMBERS, then=THEN)
    def give_up(self, act, number, then):
        """Somebody gives up an AMI, or takes its name."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(act=st.sampled_from(["switch_key", "switch_role", "switch_file", "conflict"]), number=NUMBERS, then=THEN)
    def switch(self, act, number, then):
        """A key, a role, or an account in the file or its unit goes or comes back, or its settings do."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.by_unit)
    @rule(then=THEN)
    def switch_unit(self, then):
        """The file names another unit that has the same accounts."""
        self.world.switch_unit()
        self.world.wait(then)

    @rule(act=st.sampled_from(["withdraw_from", "withdraw_from", "lift_some"]), number=NUMBERS, then=THEN)
    def withdraw(self, act, number, then):
        """An operator withdraws an account from an AMI, or takes that back."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(then=THEN)
    def pause(self, then):
        """An operator pauses or resumes."""
        self.world.pause()
        self.world.wait(then)

    @precondition(lambda self: not self.world.invariants.poisoned)
    @rule(number=NUMBERS, unreadable=st.booleans(), then=THEN)
    def poison(self, number, unreadable, then):
        """A record is damaged."""
        self.world.poison(number, unreadable=unreadable)
        self.world.wait(then)

    @precondition(lambda self: not self.world.invariants.poisoned)
    @rule(
        what=st.sampled_from(["head", "mark", "link", "plan", "share", "share", "source image"]),
        number=NUMBERS,
        then=THEN,
    )
    def damage(self, what, number, then):
        """What stands beside a record is damaged."""
        self.world.damage(what, number)
        self.world.wait(then)

    @invariant()
    def invariants_hold(self):
        """At each moment."""
        self.count()
        self.world.invariants.step()

    def teardown(self):
        """All of it comes to its one end."""
        self.world.end()
