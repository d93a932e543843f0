"""The model can fail: with each protection removed, it finds a broken invariant in a known story.

One fault is not among them, a stale read of a key's policy: ``tests/sharing/test_key_policies.py`` shows it. The
two looks after a removal repair all of it that the model can see.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest

from chalicelib.delivery.attempts import RegisterImage
from chalicelib.delivery.codecs import DELIVERIES, DeliveryCodec
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.phases.checking import WaitingNotified
from chalicelib.delivery.phases.copying import LookAtCopies
from chalicelib.delivery.phases.ending import FindLeftovers, LeftoversSeen, NotifyOutcome
from chalicelib.delivery.phases.imaging import VerifyImage
from chalicelib.delivery.shares import HoldShares, SharesHeld
from chalicelib.delivery.slots import AskSlots
from chalicelib.delivery.worker.deliveries import DeliveryExecutor, delivery_machine
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.faults import Fault
from chalicelib.promotion import events as promotion_events
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.sharing.aws.key_policies import PolicyStatements
from chalicelib.sharing.share_events import ShareOpened, evolve
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.sharing.worker.share_worker import ShareWorker
from tests.service import quota_scenes
from tests.service import wrong_parts as wrong
from tests.service.hub import Parts
from tests.service.scenes import HubSetup, all_delivered
from tests.service.world import HOUR, ModelWorld, WorldSetup
from tests.stores import in_memory


class PortOverride:
    """A port with another function for one method; ``change`` gets the real port, then the arguments."""

    def __init__(self, port, method, change):
        self._port, self._method, self._change = port, method, change

    def __getattr__(self, name):
        if name == self._method:
            return lambda *args, **kwargs: self._change(self._port, *args, **kwargs)
        return getattr(self._port, name)


def instead(command: type, what: Callable) -> type[DeliveryExecutor]:
    """An executor that does something else for this command. ``what`` gets executor, record and command."""

    class Override(DeliveryExecutor):
        def execute(self, record, asked, budget):
            return what(self, record, asked) if isinstance(asked, command) else self.really(record, asked)

        def really(self, record, asked):
            return super().execute(record, asked, Budget(lambda: 30))

    return Override


def opens_before_its_turn(executor, record, command):
    """Hold the shares while it waits for a slot."""
    if record.state is DeliveryState.WAITING:
        executor._hold(record, HoldShares(executor._clock() + 10**5), Budget(lambda: 30))
    return executor.really(record, command)


def throws_away(executor, record, command):
    """Delete a copy after looking at it."""
    executor._ports.snapshots.delete(record, command.copies)
    return executor.really(record, command)


def tidies_too_soon(executor, record, command):
    """Remove what it made while it still works."""
    executor._ports.images.deregister(record, record.image.id)
    return executor.really(record, command)


class NeverEnds(ShareWorker):
    """Ignores last closing times."""

    def __init__(self, records, ledger, *rest):
        def with_record(port, key):
            stored, shares = port.with_record(key)
            return stored, [replace(share, last_closing_at=10**12) for share in shares]

        super().__init__(records, PortOverride(ledger, "with_record", with_record), *rest)


REMOVES_NOTHING = instead(FindLeftovers, lambda *_: LeftoversSeen((), ()))
"""Reports that nothing is left, without a look."""
TELLS_OF_NOTHING = instead(NotifyOutcome, lambda it, record, asked: it.really(record.with_image(id="ami-none"), asked))
"""Names an AMI that does not exist."""
TELLS_NOBODY = instead(NotifyOutcome, lambda it, record, _asked: it.really(record, NotifyOutcome(publish=False)))
"""Ends without a notice."""


def registers_unwritten(draw):
    """Call RegisterImage without a written intent."""
    right = delivery_machine(draw)

    def record_intent(record, commands, now):
        return right.record_intent(record, [one for one in commands if not isinstance(one, RegisterImage)], now)

    return replace(right, record_intent=record_intent)


class ComesTooLate(DeliveryCodec):
    """Is due again days after its deadline."""

    def encode(self, record):
        write = super().encode(record)
        return write if write.due_at is None else replace(write, due_at=write.due_at + 10**6)


def meets_the_unexpected(draw):
    """Take an event to a state that has no edge for it."""
    right = delivery_machine(draw)

    def evolve(record, event, now):
        return right.evolve(record, WaitingNotified() if isinstance(event, SharesHeld) else event, now)

    return replace(right, evolve=evolve)


def waits_for_the_running(draw):
    """Hold the shares of a delivery that stops until its last copy has ended."""
    right = delivery_machine(draw)

    def evolve(record, event, now):
        after = right.evolve(record, event, now)
        running = isinstance(event, LeftoversSeen) and event.unfinished
        return after.with_cleanup(deletes_accepted=False) if running else after

    return replace(right, evolve=evolve)


class OpensTheDelivered(PromotionExecutor):
    """Takes a delivered delivery for a cancelled one, and begins it again."""

    def __init__(self, records, waker, clock, ports, **named):
        def tracked(port, ami):
            return [replace(one, state="cancelled") if one.state == "delivered" else one for one in port.all(ami)]

        super().__init__(
            records, waker, clock, replace(ports, tracked=PortOverride(ports.tracked, "all", tracked)), **named
        )


class OneForAll(PromotionExecutor):
    """Stops at the first delivery that it cannot read."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        begin = self._pass.begin

        def after_all_were_read(promotion, meant, tracked, budget):
            for one in tracked:
                DELIVERIES.decode(self._records.read(addresses.delivery(one.delivery)))
            return begin(promotion, meant, tracked, budget)

        self._pass.begin = after_all_were_read


class NeverOver(PromotionExecutor):
    """Compares without end, once it has begun its deliveries."""

    def _compare(self, promotion, budget):
        found = super()._compare(promotion, budget)
        return promotion_events.Blocked(Fault("again", "", "", "")) if promotion.episode else found


class WithdrawsTheFirst(DeliveryExecutor):
    """Releases the first of its shares, and keeps the others."""

    def _release(self, delivery, budget, *, everything):
        needed = delivery.shares.needed
        some = needed[:1] if delivery.ending == "withdrawn" else needed
        return super()._release(delivery.with_shares(needed=some), budget, everything=everything)


class OpensHalf(ShareWorker):
    """Takes a launch permission for open without asking for it."""

    def _opened(self, adapter, resource, some):
        if not resource.startswith("resource#image#"):
            return super()._opened(adapter, resource, some)
        return [evolve(one, ShareOpened(), self._clock()) for one in some]


class NoPass(StandingPass):
    """Compares no standing shares: it would close what a delivery forgot."""

    def run(self, *_args, **_named):
        pass


def nobody(_port, _ami):
    return ()


class PromotesTheWithdrawn(PromotionExecutor):
    """Ignores withdrawals."""

    def __init__(self, records, waker, clock, ports, **named):
        seen = replace(ports, targets=PortOverride(ports.targets, "withdrawals", nobody))
        super().__init__(records, waker, clock, seen, **named)


class EntitlesTheWithdrawn(LiveEntitlements):
    """Entitles withdrawn accounts."""

    def __init__(self, records, deliveries, source, targets, *rest):
        super().__init__(records, deliveries, source, PortOverride(targets, "withdrawals", nobody), *rest)


class KeepsTheWithdrawn(StandingPass):
    """Keeps withdrawn accounts."""

    def __init__(self, records, ports, *rest):
        super().__init__(records, replace(ports, targets=PortOverride(ports.targets, "withdrawals", nobody)), *rest)


IGNORED = Parts(promotions=PromotesTheWithdrawn, entitlements=EntitlesTheWithdrawn, standing_pass=KeepsTheWithdrawn)
"""Only all three together break the invariant: each covers for the others."""


# --- stories ---------------------------------------------------------------------------------------------------------


class PutsTheOldAgain(PolicyStatements):
    """Writes a policy that it read earlier."""

    def _read(self, key):
        known = self.__dict__.setdefault("known", {})
        return known.setdefault(key, super()._read(key))


def plain(world: ModelWorld) -> None:
    world.tag(0, "default")
    world.end()


def slow(world: ModelWorld) -> None:
    """Promote an AMI whose copies take half an hour."""
    world.expect("copying", [1800] * 4)
    world.tag(0, "default")
    world.wait(200)
    world.end()


def shared_before(world: ModelWorld) -> None:
    """A person shared the snapshot before the service does."""
    world.share(0)
    world.wait(120)
    plain(world)


def stopped(world: ModelWorld) -> None:
    """The tag is removed while a copy of four hours runs."""
    world.expect("copying", [4 * HOUR] * 4)
    world.tag(0, "default")
    world.wait(600)
    world.tag(0, None)
    world.wait(5 * HOUR)
    world.end()


def dropped(world: ModelWorld) -> None:
    """The account leaves the file after its slot was granted, before anything is opened."""
    world.tag(0, "default")
    world.wait(4)
    world.switch_file(0)
    world.end()


def damaged(world: ModelWorld) -> None:
    """A person damages the delivery's record while its copy runs."""
    world.expect("copying", [1800])
    world.tag(0, "default")
    world.wait(60)
    world.poison(0, "delivery")
    world.end()


def damaged_and_tagged_again(world: ModelWorld) -> None:
    """A person damages one of two deliveries; then the tag names the other."""
    world.tag(0, world.account(0))
    world.wait(60)
    world.poison(0, "delivery")
    world.tag(0, "default")
    world.end()


def failing(world: ModelWorld) -> None:
    """A copy fails: the service must remove what it made."""
    world.expect("fails", ["", "An internal error occurred"])
    world.tag(0, "default")
    world.wait(600)
    world.end()


def withdrawn(world: ModelWorld) -> None:
    """An operator withdraws the account after a minute."""
    world.tag(0, "default")
    world.wait(600)
    world.withdraw_from(0)
    world.wait(600)
    world.end()


def withdrawn_first(world: ModelWorld) -> None:
    """An operator withdraws the account before anything is opened."""
    world.tag(0, "default")
    world.withdraw_from(0)
    world.end()


def extended(world: ModelWorld) -> None:
    """The tag names another account when the first has its AMI."""
    world.tag(0, world.account(0))
    world.wait(600)
    world.tag(0, "default")
    world.end()


def lost(world: ModelWorld) -> None:
    """No event or wake arrives from the beginning."""
    world.expect("events", [()] * 20)
    world.expect("wakes", [()] * 50)
    plain(world)


def waiting(world: ModelWorld) -> None:
    """The copy quota's wake comes late, so that a delivery waits for its slot."""
    world.expect("wakes", [(0,), (0,), (0,), (0,), (200,)])
    world.tag(0, "default")
    world.wait(30)
    world.end()


def died(call: int) -> Callable[[ModelWorld], None]:
    """A process is killed after a call."""

    def story(world: ModelWorld) -> None:
        world.crash(call, after=True)
        world.tag(0, "default")
        world.wait(600)
        world.end()

    return story


def twice(order: int) -> Callable[[ModelWorld], None]:
    """Every message group is processed twice at once."""

    def story(world: ModelWorld) -> None:
        world.side_by_side(["twin"] * 100, ([False] * order + [True]) * 100)
        world.tag(0, "default")
        world.wait(600)
        world.end()

    return story


def voided(world: ModelWorld) -> None:
    """What was approved is changed while it waits for its slot, and nobody approves the change."""
    world.tag(0, "default")
    world.wait(600)
    world.approve_some(0, HOUR)
    world.change_settings()
    world.wait(2 * HOUR)
    world.end()


def expired(world: ModelWorld) -> None:
    """An approval expires before anything opens."""
    world.tag(0, "default")
    world.wait(600)
    world.pause()
    world.approve_some(0, 1)
    world.wait(600)
    world.pause()
    world.wait(2 * HOUR)
    world.end()


class OpensByAnyApproval(LiveEntitlements):
    """Opens by any approval that was ever given."""

    def _not_approved(self, share, holding, entitled, approved):
        place = f"{holding.account}/{holding.region}"
        return None if place in approved.given else super()._not_approved(share, holding, entitled, approved)


def tagged_twice(parts: Parts) -> None:
    """What was delivered is tagged again with the same value: there is nothing to do, and nothing to notify."""
    hub = HubSetup().hub(parts=parts)
    hub.cloud.tag("ami-0a", "default")
    hub.run()
    hub.cloud.tag("ami-0a", None)
    hub.cloud.tag("ami-0a", "default")
    hub.run()
    all_delivered(hub)


BY_POLICY = WorldSetup(accounts=2, key_access="policy")
SHARED = WorldSetup(mode="share", key_access="policy", service_roles=1)
VOID = Parts(approvals=wrong.TakesAllForApproved, entitlements=OpensByAnyApproval)
ONE, TWO, PAIR = WorldSetup(), WorldSetup(accounts=2), WorldSetup(amis=((0, 1),))


@dataclass(frozen=True)
class ModelMutation:
    """A wrong service, the story in which it fails, and all of the model's message, as a regular expression.

    ``scene``: played instead of the stories; it asserts its own end.
    """

    says: str
    parts: Parts
    stories: tuple[Callable[[ModelWorld], None], ...] = (plain,)
    shape: WorldSetup = ONE
    stores: Callable = in_memory
    scene: Callable[[Parts], object] | None = None


A, SNAPSHOT, DELIVERY = "200000000001", "resource#snapshot#snap-00", r"delivery#\w+"
GRANT = f"resource#key#arn:aws:kms:us-east-1:111111111111:key/source-0#{A}"
PLACE = rf"\('ami-0a', '{A}'\)"
COPIED = r"invariant 4: snap-00 is copied for \w+ although snap-\w+ is"
NO_REST = "invariant 6: it does not come to rest:"

MUTATIONS = {
    "never closes": ModelMutation(
        r"invariant 1: the grant \(.*\) is open and the ledger does not know", Parts(share_worker=wrong.NeverCloses)
    ),
    "lets go early": ModelMutation(
        rf"invariant 1: {SNAPSHOT} closes to {A} under the unfinished snap-\w+",
        Parts(deliveries=wrong.LetsGoEarly),
        (slow,),
    ),
    "waits for the running": ModelMutation(
        rf"invariant 1: {DELIVERY} stops, and has held its shares for \d+ s",
        Parts(delivery_machine=waits_for_the_running),
        (stopped,),
    ),
    "opens before its turn": ModelMutation(
        rf"invariant 1: {SNAPSHOT} opens for ami-0a at {A}/us-east-1 while waiting",
        Parts(deliveries=instead(AskSlots, opens_before_its_turn)),
        (waiting,),
    ),
    "knows no last closing time": ModelMutation(
        rf"invariant 1: {SNAPSHOT} is open \d+ s past its last closing time", Parts(share_worker=NeverEnds), (damaged,)
    ),
    "takes all for its own": ModelMutation(
        f"invariant 2: {SNAPSHOT} was open before us", Parts(share_worker=wrong.TakesAllForItsOwn), (shared_before,)
    ),
    "forgets intents": ModelMutation(
        f"invariant 3: {GRANT} opens to {A}, wanted on record", Parts(share_worker=wrong.ForgetsIntents)
    ),
    "registers unwritten": ModelMutation(
        r"invariant 3: \w+ registers without an intent on record", Parts(delivery_machine=registers_unwritten)
    ),
    "does not look": ModelMutation(
        f"{COPIED} completed", Parts(deliveries=wrong.DoesNotLook), tuple(died(call) for call in range(90, 110))
    ),
    "removes nothing": ModelMutation(
        r"invariant 4: orphans: \[CloudCopy\(.* state='completed', .*\), CloudCopy\(.* state='error', .*\)\]",
        Parts(deliveries=REMOVES_NOTHING),
        (failing,),
        PAIR,
    ),
    "throws away": ModelMutation(
        r"invariant 4: \w+ deletes \{'snap-\w+'\}, which it goes on with",
        Parts(deliveries=instead(LookAtCopies, throws_away)),
    ),
    "tidies too soon": ModelMutation(
        r"invariant 4: \w+ is verifying, and all it made is removed",
        Parts(deliveries=instead(VerifyImage, tidies_too_soon)),
    ),
    "the last writer wins": ModelMutation(
        f"{COPIED} pending", Parts(), tuple(twice(order) for order in range(8)), stores=wrong.careless
    ),
    "is never due": ModelMutation(
        f"invariant 6: {DELIVERY} is waiting, and nothing is due", Parts(delivery_codec=wrong.NeverDue)
    ),
    "comes too late": ModelMutation(
        rf"invariant 6: {DELIVERY} is waiting until \d+, and woken no sooner than \d+",
        Parts(delivery_codec=ComesTooLate),
    ),
    "meets the unexpected": ModelMutation(
        rf"parked: {DELIVERY}: {DELIVERY}: WaitingNotified is not expected in state opening\.",
        Parts(delivery_machine=meets_the_unexpected),
    ),
    "opens the delivered": ModelMutation(
        f"invariant 6: {DELIVERY} was delivered, and is requested",
        Parts(promotions=OpensTheDelivered),
        (extended,),
        TWO,
    ),
    "is never over": ModelMutation(rf"{NO_REST} \{{{PLACE}: 'delivered'\}}", Parts(promotions=NeverOver)),
    "keeps its slots": ModelMutation(
        rf"quota#{A}#us-east-1 still keeps slots: SlotLease\(.*granted=1.*\)", Parts(deliveries=wrong.KeepsItsSlots)
    ),
    "grants no slots": ModelMutation(rf"{NO_REST} \{{{PLACE}: 'failed'\}}", Parts(copy_quotas=wrong.GrantsNothing)),
    "the sweep sleeps": ModelMutation(rf"{NO_REST} \{{\}}", Parts(sweep=wrong.Sleeps), (lost,)),
    "one for all": ModelMutation(
        rf"parked: promotion#ami-0a: {DELIVERY}: Delivery has no damaged",
        Parts(promotions=OneForAll),
        (damaged_and_tagged_again,),
        TWO,
    ),
    "withdraws the first": ModelMutation(
        rf"invariant 1: left open: \{{\('snap-00', '{A}'\)\}}",
        Parts(deliveries=WithdrawsTheFirst, standing_pass=NoPass),
        shape=SHARED,
    ),
    "keeps the withdrawn": ModelMutation(f"invariant 1: ami-0a is shared with {A}", IGNORED, (withdrawn,), SHARED),
    "opens to the withdrawn": ModelMutation(
        f"invariant 8: {GRANT} opens to withdrawn {A}", IGNORED, (withdrawn_first,)
    ),
    "opens half": ModelMutation(
        rf"invariant 1: \w+ is shared, and resource#image#ami-0a is not open to {A}",
        Parts(share_worker=OpensHalf),
        shape=SHARED,
    ),
    "puts the old again": ModelMutation(
        r"invariant 1: the statement \(.*\) is there and the ledger does not know",
        Parts(policy_adapter=PutsTheOldAgain),
        (plain,),
        BY_POLICY,
    ),
    "believes the promotion": ModelMutation(
        f"invariant 8: {GRANT} opens to the stranger {A}", Parts(entitlements=wrong.EntitlesEverybody), (dropped,)
    ),
    "tells of nothing": ModelMutation(
        r"invariant 10: \w+ tells of ami-none, which never was", Parts(deliveries=TELLS_OF_NOTHING)
    ),
    "opens by a void approval": ModelMutation(
        rf"invariant 11: resource#key#\S+/source-0#{A} opens to {A} without a valid approval",
        VOID,
        (voided,),
        WorldSetup(approval="required"),
    ),
    "opens by an expired approval": ModelMutation(
        f"invariant 11: {SNAPSHOT} opens to {A} without a valid approval",
        VOID,
        (expired,),
        WorldSetup(approval="required"),
    ),
    "tells nobody": ModelMutation(r"nobody was told: \w+ delivered", Parts(deliveries=TELLS_NOBODY)),
    "tells again": ModelMutation(
        r"told more than once: Counter\(\{'\w+': 2, '\w+': 1\}\)",
        Parts(promotions=wrong.TellsAgain),
        scene=tagged_twice,
    ),
    "takes no slots back": ModelMutation(
        rf"ami-01 waits for ever: \{{\('ami-00', '{A}'\): 'copying', \('ami-01', '{A}'\): 'waiting', .*\}}",
        Parts(copy_quotas=wrong.TakesNothingBack),
        scene=partial(quota_scenes.nobody_works_on_it, quota_scenes.damaged, 40),
    ),
    "renews no slots": ModelMutation(
        "a copy is begun while as many run as may",
        Parts(copy_quotas=wrong.RenewsNothing),
        scene=quota_scenes.long_copies,
    ),
    "relies on its lease": ModelMutation(
        r"invariant 7: snap-000 is copied for \w+ without a slot: None",
        Parts(delivery_machine=wrong.relies_on_its_lease),
        scene=partial(quota_scenes.parked_and_freed, "opening"),
    ),
}


def play(mutation: ModelMutation, parts: Parts, stores: Callable) -> None:
    if mutation.scene is not None:
        mutation.scene(parts)
        return
    for story in mutation.stories:
        story(ModelWorld(mutation.shape, parts, stores()))


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_wrong_service_breaks_a_invariant_of_the_model(mutation):
    """The model reports the invariant that the removed protection is for."""
    with wrong.found_out(mutation.says):
        play(mutation, mutation.parts, mutation.stores)


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_service_that_only_raises_is_not_found_out(mutation):
    """Where the wrong part raises, the test above must fail."""
    parts, stores = wrong.all_raising(mutation.parts), wrong.raising_stores(mutation.stores)
    assert not wrong.passes_for(mutation.says, lambda: play(mutation, parts, stores))


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_the_right_service_keeps_the_invariants_in_the_same_story(mutation):
    """The story passes without the mutation."""
    play(mutation, Parts(), in_memory)
