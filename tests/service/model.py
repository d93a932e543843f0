"""What can happen to a hub, in any order: one rule for each act of ``World``. The invariants are checked after each."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.service.arrivals import DAY, EARLY, LOST, ON_TIME
from tests.service.story import RecordsStory
from tests.service.world import ACCOUNTS, EDITS, HOUR, NOBODY, REFUSALS, TAKEN, ModelWorld, WorldSetup

NUMBERS = st.integers(0, 11)
SNAPSHOTS = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(tuple)
VALUES = (None, None, "default", "default", "default", NOBODY, *ACCOUNTS[:2], "+".join(ACCOUNTS[:2]))
EVENT_FATES = st.sampled_from([ON_TIME, LOST, LOST, (0, 0), (5, 1), (0, 40), (EARLY,), (EARLY, 200), (600,), (30, DAY)])
WAKE_FATES = st.sampled_from([ON_TIME, LOST, LOST, (0, 0), (0, 7), (3,), (45,), (200,)])
NATURE = {
    "copying": st.sampled_from([0, 1, 600, 1800, 4 * HOUR]),
    "access": st.sampled_from([0, 20, 200]),
    "registering": st.sampled_from([0, 300]),
    "lag": st.sampled_from([0, 3, 90]),
    "stale": st.sampled_from([0, 5, 25]),
    "checking": st.sampled_from([0, 20, 300]),
    "booting": st.sampled_from([0, 100, 900]),
    "ending": st.sampled_from([0, 20, 300]),
    "hurry": st.sampled_from([7]),
}
MEDDLING = ["unshare", "share", "share", "revoke_grant", "delete_copy", "forge", "plant"]
THEN = st.sampled_from([0, 0, 1, 6, 20, 70, 200])
"""Seconds that pass after an act."""
BOOTS = st.sampled_from(["impaired", "hangs", "pending", "Client.InternalError", "Server.InternalError"])
"""How instances go that do not start as they should; see ``CloudInstance``."""
ERRORS = st.sampled_from(["An internal error occurred", "Given key ID is not accessible"])


def some(values, most=4):
    """A few values of a strategy."""
    return st.lists(values, min_size=1, max_size=most)


def shapes() -> st.SearchStrategy[WorldSetup]:
    """Up to three AMIs, which may share snapshots and keys."""
    return st.builds(
        WorldSetup,
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
        approval=st.sampled_from(["none", "none", "required"]),
        by_unit=st.sampled_from([False, False, True]),
        whole=st.booleans(),
        launch_test=st.booleans(),
        dates=st.none() | st.permutations([1, 2, 3]),
        waves=st.sampled_from([None, None, None, 0, 600, HOUR]),
        again=st.sampled_from(["tag", "retry"]),
    )


class Model(RecordsStory):
    """The whole service in memory, with an act for everything that can happen to it."""

    make = ModelWorld
    """Makes a world from a shape; a mutation replaces it."""

    def __init__(self) -> None:
        super().__init__()
        self.world: ModelWorld = ModelWorld()

    @initialize(shape=shapes(), values=some(st.sampled_from(VALUES[2:]), 3))
    def begin(self, shape, values):
        """Make the AMIs, and tag some of them."""
        self.world = self.make(shape)
        self.hear(self.world.story)
        for number, value in enumerate(values[: len(shape.amis)]):
            self.world.tag(number, value)

    @rule(seconds=st.sampled_from([1, 2, 5, 6, 30, 61, 200, 900, HOUR, 5 * HOUR]))
    def wait(self, seconds):
        self.world.wait(seconds)

    @rule(number=NUMBERS, value=st.sampled_from(VALUES), then=THEN)
    def tag(self, number, value, then):
        """Set, change, extend, narrow, remove or restore a tag."""
        self.world.tag(number, value)
        self.world.wait(then)

    @rule(number=NUMBERS, value=st.sampled_from(VALUES[2:]), seconds=st.sampled_from([1, 31, 200]), then=THEN)
    def tag_again(self, number, value, seconds, then):
        self.world.tag(number, None)
        self.world.wait(seconds)
        self.world.tag(number, value)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.pending)
    @rule()
    def make_available(self):
        self.world.make_available()

    @rule(fates=some(EVENT_FATES), then=THEN)
    def events(self, fates, then):
        """Lose, double, delay or hurry events."""
        self.world.expect("events", fates)
        self.world.wait(then)

    @rule(fates=some(WAKE_FATES), then=THEN)
    def wakes(self, fates, then):
        self.world.expect("wakes", fates)
        self.world.wait(then)

    @rule(data=st.data(), what=st.sampled_from(sorted(NATURE)), then=THEN)
    def behavior(self, data, what, then):
        """Make AWS quick or slow, or its reads stale."""
        self.world.expect(what, data.draw(some(NATURE[what])))
        self.world.wait(then)

    @rule(calls=st.integers(0, 40), after=st.booleans(), then=THEN)
    def crash(self, calls, after, then):
        """Kill a process at any call."""
        self.world.crash(calls, after=after)
        self.world.wait(then)

    @rule(
        pairings=some(st.sampled_from(["twin", "twin", "other", "alone"])),
        order=st.lists(st.booleans(), min_size=1, max_size=20),
        then=THEN,
    )
    def side_by_side(self, pairings, order, then):
        """Process a message group twice at once, or two message groups alternating at calls."""
        self.world.side_by_side(pairings, order)
        self.world.wait(then)

    @rule(order=st.lists(st.booleans(), min_size=1, max_size=20), count=st.integers(1, 6), then=THEN)
    def slices(self, order, count, then):
        """Process a message group twice at once, with time for one target of several in each invocation."""
        self.world.expect("hurry", [7] * count * 2)
        self.world.side_by_side(["twin"] * count, order)
        self.world.wait(then)

    @rule(what=st.sampled_from(sorted(REFUSALS)), number=st.none() | NUMBERS, times=st.integers(1, 4), then=THEN)
    def refuse(self, what, number, times, then):
        self.world.refuse(what, number, times)
        self.world.wait(then)

    @rule(
        what=st.sampled_from(sorted(REFUSALS)), hours=st.sampled_from([2, 5, 26]), then=st.sampled_from([0, 200, HOUR])
    )
    def refuse_for(self, what, hours, then):
        self.world.refuse_for(what, hours)
        self.world.wait(then)

    @rule(what=st.sampled_from(sorted(TAKEN)), times=st.integers(1, 4), then=THEN)
    def lose_answers(self, what, times, then):
        self.world.lose_answers(what, times)
        self.world.wait(then)

    @rule(
        calls=st.integers(0, 60),
        act=st.sampled_from(["tag", "tag", "withdraw_from", "lift_some", "switch_file", "recall_some"]),
        number=NUMBERS,
        value=st.sampled_from(VALUES),
        then=THEN,
    )
    def meanwhile(self, calls, act, number, value, then):
        """Let a tag, a withdrawal or a file come between what an invocation reads and what it writes."""
        self.world.meanwhile(calls, act, number, value)
        self.world.wait(then)

    @rule(messages=some(ERRORS, 2), then=THEN)
    def copies_fail(self, messages, then):
        self.world.expect("fails", messages)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.launch_test)
    @rule(boots=some(BOOTS, 2), then=THEN)
    def do_not_boot(self, boots, then):
        """Let the next instances not start as they should."""
        self.world.expect("boots", boots)
        self.world.wait(then)

    @rule(act=st.sampled_from(MEDDLING), number=NUMBERS, then=THEN)
    def meddle(self, act, number, then):
        """Let a person interfere with resources of deliveries under way."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.dates is not None)
    @rule(number=NUMBERS, then=THEN)
    def take_parameter(self, number, then):
        """Let somebody delete or write the parameter that names the current AMI."""
        self.world.take_parameter(number)
        self.world.wait(then)

    @rule(act=st.sampled_from(["disable_source", "disable_source", "restore_source"]), number=NUMBERS, then=THEN)
    def switch_source(self, act, number, then):
        """Let an owner disable or enable an AMI, or restore a deregistered one."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(act=st.sampled_from(["deregister_source", "deregister_delivered", "take_name"]), number=NUMBERS, then=THEN)
    def give_up(self, act, number, then):
        """Let an owner deregister an AMI, or a stranger take its name."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(act=st.sampled_from(["switch_key", "switch_role", "switch_file", "conflict"]), number=NUMBERS, then=THEN)
    def switch(self, act, number, then):
        """Switch a key or role off or on, or change an account in the file or in its OU, or its settings."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.waves is not None and len(self.world.accounts) > 1)
    @rule(number=NUMBERS, then=THEN)
    def move(self, number, then):
        """The file moves an account to another wave."""
        self.world.move(number)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.by_unit)
    @rule(then=THEN)
    def switch_unit(self, then):
        """The file names another unit that has the same accounts."""
        self.world.switch_unit()
        self.world.wait(then)

    @rule(act=st.sampled_from(["withdraw_from", "withdraw_from", "lift_some"]), number=NUMBERS, then=THEN)
    def withdraw(self, act, number, then):
        """Let an operator withdraw an account from an AMI, or lift a withdrawal."""
        getattr(self.world, act)(number)
        self.world.wait(then)

    @rule(number=NUMBERS, then=THEN)
    def recall(self, number, then):
        """Let an operator recall an AMI, or lift its recall."""
        self.world.recall_some(number)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.dates is not None)
    @rule(number=NUMBERS, then=THEN)
    def roll_back(self, number, then):
        """Let an operator roll back the family in a target, or lift that."""
        self.world.roll_back(number)
        self.world.wait(then)

    @rule(number=NUMBERS, alone=st.booleans(), then=THEN)
    def retry(self, number, alone, then):
        """Let an operator retry all that has failed of an AMI, or one account alone."""
        self.world.retry_some(number, alone=alone)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.approval == "required")
    @rule(number=NUMBERS, lasts=st.sampled_from([300, HOUR, 30 * DAY, 30 * DAY]), then=THEN)
    def approve(self, number, lasts, then):
        """Let an approver approve an AMI for its targets, for a while."""
        self.world.approve_some(number, lasts)
        self.world.wait(then)

    @precondition(lambda self: self.world.shape.approval == "required")
    @rule(then=THEN)
    def change_settings(self, then):
        """Change settings of the applied file, which makes approvals void."""
        self.world.change_settings()
        self.world.wait(then)

    @rule(number=NUMBERS, what=st.sampled_from(sorted(EDITS)), choice=st.integers(0, 2), then=THEN)
    def edit(self, number, what, choice, then):
        """Change a setting of an account in the file while its deliveries are under way."""
        self.world.edit(number, what, choice)
        self.world.wait(then)

    @rule(then=THEN)
    def pause(self, then):
        """Let an operator pause or resume."""
        self.world.pause()
        self.world.wait(then)

    @precondition(lambda self: not self.world.invariants.poisoned)
    @rule(number=NUMBERS, unreadable=st.booleans(), then=THEN)
    def poison(self, number, unreadable, then):
        self.world.poison(number, unreadable=unreadable)
        self.world.wait(then)

    @precondition(lambda self: not self.world.invariants.poisoned)
    @rule(
        what=st.sampled_from(["head", "mark", "holding", "share", "share", "source image"]),
        number=NUMBERS,
        then=THEN,
    )
    def damage(self, what, number, then):
        """Damage the items beside a record."""
        self.world.damage(what, number)
        self.world.wait(then)

    @invariant()
    def invariants_hold(self):
        """Check the invariants after each act."""
        self.count()
        self.world.invariants.step()

    def teardown(self):
        """Let all records come to their end, and check it."""
        self.world.end()
