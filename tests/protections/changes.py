"""What is changed in the service so that one protection is gone.

A mutated package gets this module, too, and makes the changes when a function starts. So it knows nothing of the tests:
it replaces members of classes and modules of ``chalicelib``.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn

from chalicelib.delivery import instances, leftovers, machine, permissions, proof, slots
from chalicelib.delivery.attempts import CopiesFound, FindCopies, RegisterImage
from chalicelib.delivery.aws.target_images import AwsTargetImages
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.codecs import DELIVERIES, DeliveryCodec
from chalicelib.delivery.holdings import SharesHeld, SharesReleased
from chalicelib.delivery.model import DeliveryState, InstanceAttempt
from chalicelib.delivery.phase import DeadlinePassed
from chalicelib.delivery.phases import ending, trouble
from chalicelib.delivery.phases.checking import AwaitingRoleNotified
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.delivery.phases.ending import LeftoversSeen, NotifyOutcome, RemoveLeftovers, fail
from chalicelib.delivery.phases.imaging import VerifyImage
from chalicelib.delivery.phases.recalling import RestoreCopy
from chalicelib.delivery.phases.waiting import ApprovalSeen, WaveSeen
from chalicelib.delivery.slots import AskSlots, SlotsAsked
from chalicelib.delivery.worker import deliveries
from chalicelib.delivery.worker.copy_quotas import CopyQuotas
from chalicelib.delivery.worker.deliveries import DeliveryExecutor
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.delivery.worker.live_waves import LiveWaves
from chalicelib.delivery.worker.naming_and_recall import NamingAndRecallCommands
from chalicelib.engine import addresses, schedule, sweep
from chalicelib.engine.budget import Budget
from chalicelib.engine.faults import Fault
from chalicelib.engine.rotation import Rotation
from chalicelib.engine.runner import Machine
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.wakes import TagEntry
from chalicelib.promotion import events as promotion_events
from chalicelib.promotion import evolving, wanted
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.promotion.worker.discover import Discover
from chalicelib.promotion.worker.passes import DeliveryPass
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.promotion.worker.tag_pass import TagPass
from chalicelib.release import pointer
from chalicelib.release.current import current
from chalicelib.release.retirement import OwnDate, to_deprecate
from chalicelib.sharing import entitlement, grant_names
from chalicelib.sharing import machine as share_machine
from chalicelib.sharing.aws import grants
from chalicelib.sharing.aws.key_policies import PolicyStatements
from chalicelib.sharing.aws.role_grants import RoleGrants
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.share import ShareState
from chalicelib.sharing.store import ledger
from chalicelib.sharing.worker import entitlements, share_batches
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.sharing.worker.share_worker import ShareWorker
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.worker.live_members import LiveMembers

NEVER = 10**11


class Replaced(Exception):
    """What a change replaces was called."""


def raises(*_args: object, **_named: object) -> NoReturn:
    """Stand in for what a change replaces."""
    raise Replaced("by the meta-test")


class Unusable:
    """A collection that raises when it is asked."""

    __contains__ = __iter__ = raises


@dataclass(frozen=True)
class MemberChange:
    """A member of a class or module, and what stands in its place."""

    home: Any
    name: str
    wrong: Any

    def raising(self) -> "MemberChange":
        """Return the same with what raises when it is used."""
        return MemberChange(self.home, self.name, raises if callable(self.wrong) else Unusable())


def wrapped(home: Any, name: str, by: Callable[..., Any]) -> MemberChange:
    """A change that calls something else in place of a member, which it gets before the member's own arguments."""
    usual = getattr(home, name)

    def wrong(*given: Any, **named: Any) -> Any:
        return by(usual, *given, **named)

    return MemberChange(home, name, wrong)


def make(
    changes: Iterable[MemberChange], put: Callable[[Any, str, Any], object] = setattr, *, raising: bool = False
) -> None:
    """Make changes; ``raising``: put what only raises in the place of each."""
    for change in changes:
        made = change.raising() if raising else change
        put(made.home, made.name, made.wrong)


# --- promotions ------------------------------------------------------------------------------------------------------


def as_if_asked(lifted, promotion, entry):
    """Let the lift of a withdrawal or recall be a retry, which begins also what had not begun."""
    return replace(lifted(promotion, entry), passed_generation=promotion.passed_generation)


def as_if_not_summarised(compare, self, promotion, budget):
    """Publish the summary at every look after the end, also if owners were notified."""
    return compare(self, replace(promotion, summarised_episode=0), budget)


def again_without_end(compare, self, promotion, budget):
    """Compare without end, once the deliveries have begun."""
    found = compare(self, promotion, budget)
    return promotion_events.NotExecuted(Fault("again", "", "", "")) if promotion.episode else found


def as_if_cancelled(missing, self, tracked, promotion):
    """Take a delivered delivery for a cancelled one, which begins again."""
    cancelled = [replace(one, state="cancelled") if one.state == "delivered" else one for one in tracked]
    return missing(self, cancelled, promotion)


def if_all_can_be_read(begin, self, promotion, wanted_targets, tracked, budget):
    """Begin no delivery if one of the promotion's cannot be read."""
    for one in tracked:
        DELIVERIES.decode(self.records.read(addresses.delivery(one.delivery)))
    return begin(self, promotion, wanted_targets, tracked, budget)


def as_if_all_had_begun(missing, self, tracked, promotion):
    """Take an AMI of the baseline for one that has begun, for whose value accounts of an OU begin as they join."""
    begun = promotion if promotion.newest else replace(promotion, generation=1, passed_generation=1)
    return missing(self, tracked, begun)


# --- deliveries ------------------------------------------------------------------------------------------------------


def unwritten(kind):
    """Leave the record unchanged if a command of this kind is to be executed."""

    def wrong(record_intent, record, commands, now, nonces):
        unwritten_one = any(isinstance(command, kind) for command in commands)
        return record if unwritten_one else record_intent(record, commands, now, nonces)

    return wrapped(machine, "record_intent", wrong)


def instead(kind, what):
    """Do something else for a command of this kind.

    ``what`` gets the executor, what it does otherwise (a function of record and command), record and command.
    """

    def wrong(execute, self, record, command, budget):
        usual = partial(execute, self, budget=budget)
        return what(self, usual, record, command) if isinstance(command, kind) else usual(record, command)

    return wrapped(DeliveryExecutor, "execute", wrong)


def lets_go_early(executor, usual, record, command):
    """Release the shares as soon as a copy has started."""
    event = usual(record, command)
    executor._release(record, Budget(lambda: 30), everything=True)
    return event


def opens_before_its_turn(executor, usual, record, command):
    """Hold the shares while it waits for a slot."""
    if record.state is DeliveryState.AWAITING_SLOT:
        opening = {DeliveryState.OPENING: executor.clock()}
        executor._hold(replace(record, entered={**record.entered, **opening}), Budget(lambda: 30))
    return usual(record, command)


def keeps_its_slots(_executor, usual, record, command):
    """Request slots and never return them."""
    if record.state is DeliveryState.AWAITING_SLOT:
        return usual(record, command)
    had = record.slots
    return SlotsAsked(*slots.wanted(record), had.granted, had.until, had.limited_at or 0)


def throws_away(executor, usual, record, command):
    """Delete a copy after looking at it."""
    executor.snapshots.delete(record, [copy.id for copy in record.copies if copy.id])
    return usual(record, command)


def tidies_too_soon(executor, usual, record, command):
    """Remove what it made while it still works."""
    executor.images.deregister(record, record.image.id)
    return usual(record, command)


def relies_on_its_lease(evolve, record, event, now):
    """Skip the check, before a copy starts, whether the lease has expired."""
    after = evolve(record, event, now)
    return after.with_slots(until=NEVER) if after.slots.until else after


def meets_the_unexpected(evolve, record, event, now):
    """Take an event to a state that has no edge for it."""
    return evolve(record, AwaitingRoleNotified() if isinstance(event, SharesHeld) else event, now)


def waits_for_the_running(evolve, record, event, now):
    """Hold the shares of a delivery that stops until its last copy has ended."""
    after = evolve(record, event, now)
    running = isinstance(event, LeftoversSeen) and event.unfinished
    return after.with_cleanup(deletes_accepted=False) if running else after


def never_due(encode, self, record):
    """Store a delivery as one that is never due, and waits for events alone."""
    return replace(encode(self, record), due_at=None)


def due_too_late(encode, self, record):
    """Store a delivery as due again days after its deadline."""
    write = encode(self, record)
    return write if write.due_at is None else replace(write, due_at=write.due_at + 10**6)


def nothing_while_ending(release, self, delivery, time_left, *, everything):
    """Release nothing while the delivery is ending."""
    if delivery.ending:
        return SharesReleased(everything)
    return release(self, delivery, time_left, everything=everything)


def the_first_of_the_withdrawn(release, self, delivery, time_left, *, everything):
    """Release only the first share of a withdrawn delivery."""
    needed = delivery.holdings.needed
    some = needed[:1] if delivery.ending == "withdrawn" else needed
    return release(self, delivery.with_holdings(needed=some), time_left, everything=everything)


class Anew:
    """An EC2 client whose CopyImage always makes another AMI."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def copy_image(self, **asked):
        """Call CopyImage with a new client token."""
        return self._client.copy_image(**{**asked, "ClientToken": uuid.uuid4().hex})


def with_new_tokens(client, self, service, *rest, **more):
    """Let each CopyImage have a new client token."""
    return Anew(client(self, service, *rest, **more))


def what_is_known_to_be_disabled(execute, self, delivery, command):
    """Let a lift enable only what EC2 has said is disabled."""
    known = delivery.with_recall(may_disable=delivery.recall.disabled)
    return execute(self, known if isinstance(command, RestoreCopy) else delivery, command)


def not_while_it_publishes(phases):
    """Ask no delivery to end before its last notice."""
    publishing = replace(phases[DeliveryState.PUBLISHING], may_cancel=lambda _delivery: False)
    return {**phases, DeliveryState.PUBLISHING: publishing}


# --- launch tests ----------------------------------------------------------------------------------------------------


def forgets_instances(_event, delivery, _now):
    """Take an instance for gone when its end was asked for."""
    return delivery.with_launch(attempts=())


def another_token(self, delivery, nonce, now):
    """Begin each RunInstances with a new nonce."""
    known = instances.attempt_under_way(delivery)
    others = delivery.launch.attempts[:-1] if known else delivery.launch.attempts
    fresh = InstanceAttempt(nonce, now, episode=delivery.episode)
    return delivery.with_launch(attempts=(*others, fresh), tries=1)


# --- promotions ------------------------------------------------------------------------------------------------------


def examined_first(understand, self, record, tracked):
    """Let nothing begin or end until the source passes its checks."""
    wanted, promotion = understand(self, record, tracked)
    _, faults = self._source(promotion, ())
    return replace(wanted, unknown=bool(faults)), promotion


def strictly(resolve, self, value, *, in_force=False):
    """Treat a name that the file has lost as a fault, also in a value in force."""
    return resolve(self, value)


def but_for_the_shared(run, self, found, heads, *, time_left):
    """Read no head of a shared AMI."""
    shared = {ami for ami, head in heads.items() if head.standing}
    others = {ami: head for ami, head in heads.items() if ami not in shared}
    run(self, [one for one in found if one.ami not in shared], others, time_left=time_left)


# --- shares ----------------------------------------------------------------------------------------------------------


def with_adapter(**says):
    """Let a step of the share worker have an adapter that says this without asking AWS."""

    def wrong(step, self, these, *rest):
        adapter = these.adapter
        these.adapter = SimpleNamespace(**{"batch": adapter.batch, "open": adapter.open, **says})
        step(self, these, *rest)
        these.adapter = adapter

    return wrong


def without_intents(open_them, self, these, opening, budget):
    """Open shares without a written intent."""
    save = these.save
    these.save = lambda shares, happened, **rest: (
        list(shares) if happened == "opening is intended" else save(shares, happened, **rest)
    )
    open_them(self, these, opening, budget)


def without_end(begin, self, key):
    """Read shares as if they had no last closing time."""
    stored, shares = begin(self, key)
    return stored, [replace(share, last_closing_at=NEVER) for share in shares]


def but_for_images(opened, self, these, some, budget):
    """Take a launch permission for open without asking for it."""
    if not these.resource.startswith("resource#image#"):
        return opened(self, these, some, budget)
    return [share_machine.evolve(one, share_machine.ShareOpened(), self.waker.clock()) for one in some]


def as_read_first(read, self, key):
    """Edit the policy that was read first."""
    known = self.__dict__.setdefault("known", {})
    return known.setdefault(key, read(self, key))


def by_any_approval(not_approved, self, share, holding, entitled, approved):
    """Open by any approval that was ever given."""
    place = f"{holding.account}/{holding.region}"
    return None if place in approved.given else not_approved(self, share, holding, entitled, approved)


def closed_at_once(evolve, one, event, now):
    """Take the intent of a closing for its result."""
    after = evolve(one, event, now)
    return replace(after, state=ShareState.CLOSED) if isinstance(event, share_machine.ClosingIntended) else after


def but_for_policies(evolve, one, event, now):
    """Record no intent for key policies."""
    intends = isinstance(event, share_machine.OpeningIntended) and one.resource.startswith("resource#policy#")
    return one if intends else evolve(one, event, now)


def gone_at_once(evolve, one, event, now):
    """Take a permission for gone after the first look that misses it."""
    missed = isinstance(event, share_machine.LookedAfter) and not event.showing
    removed = {"removed_at": now - share_machine.GONE_NO_SOONER_THAN, "gone_at": 0}
    return evolve(replace(one, **removed) if missed else one, event, now)


def at_the_next_look(evolve, one, event, now):
    """Look again in five seconds, also where a second look at a source that is gone must agree."""
    after = evolve(one, event, now)
    return replace(after, next_try=now + 5) if isinstance(event, share_machine.PutOff) else after


def at_one_look(judge, self, some, _has_time=None):
    """Believe a look by itself that shows no AMI."""
    found = judge(self, some)
    return judge(self, [replace(one, waits_for=found.waits.get(one.share_name)) for one in some])


def everybodys_trouble(why_not, self, look, *asked):
    """Take what AWS refuses to say of one AMI for its answer about all."""
    answer = why_not(self, look, *asked)
    return next(iter(look.owed.values()), answer)


def new_name(share, _region):
    """Name a grant so that the grant audit does not recognize it."""
    return f"somebody:here:{share.share_name}:{uuid.uuid4().hex}"


# --- stores ----------------------------------------------------------------------------------------------------------


def over_what_others_wrote(save, self, before, *rest, **more):
    """Write a record as if it had just been read."""
    while True:
        now = self.read(before.key)
        saved = save(self, replace(before, version=now.version), *rest, **more)
        if saved is not None:
            return saved


def over_the_others_shares(save, self, shares, *rest, **more):
    """Write shares as if they had just been read."""
    versions = {(s.resource, s.share_name): s.version for one in shares for s in self.shares(one.resource)}
    fresh = [replace(s, version=versions.get((s.resource, s.share_name), s.version)) for s in shares]
    return save(self, fresh, *rest, **more)


ANY_END = MemberChange(
    machine,
    "TRANSITIONS",
    {
        state: {
            event: edge._replace(leads_to={*edge.leads_to, DeliveryState.STOPPING}) if event is DeadlinePassed else edge
            for event, edge in row.items()
        }
        for state, row in machine.TRANSITIONS.items()
    },
)
"""The table refuses the end of a deadline without a look, too, and parks the delivery."""
NO_PASS = MemberChange(StandingPass, "run", lambda *_, **__: None)

CHANGES = {
    # releases
    "what is recalled stays current": (
        MemberChange(pointer, "current", lambda releases, usable, _recalled, pin: current(releases, usable, (), pin)),
    ),
    "what is current is retired, too": (
        MemberChange(
            pointer,
            "to_deprecate",
            lambda releases, usable, _kept, rule, now: to_deprecate(releases, usable, (), rule, now),
        ),
    ),
    "what is current again stays deprecated": (MemberChange(OwnDate, "is_in_the_way", lambda *_: False),),
    "every deprecation counts as the service's own": (
        MemberChange(OwnDate, "is_shown", lambda _own, date: bool(date)),
    ),
    # deliveries
    "lets go early": (instead(StartCopy, lets_go_early),),
    "waits for the running": (wrapped(machine, "evolve", waits_for_the_running),),
    "opens before its turn": (instead(AskSlots, opens_before_its_turn),),
    "registers unwritten": (unwritten(RegisterImage),),
    "removes nothing": (instead(RemoveLeftovers, lambda *_: LeftoversSeen((), ())),),
    "throws away": (instead(FindCopies, throws_away),),
    "tidies too soon": (instead(VerifyImage, tidies_too_soon),),
    "is never due": (wrapped(DeliveryCodec, "encode", never_due),),
    "comes too late": (wrapped(DeliveryCodec, "encode", due_too_late),),
    "meets the unexpected": (wrapped(machine, "evolve", meets_the_unexpected),),
    "keeps its slots": (instead(AskSlots, keeps_its_slots),),
    "relies on its lease": (wrapped(machine, "evolve", relies_on_its_lease),),
    "tells of nothing": (
        instead(NotifyOutcome, lambda _, usual, record, command: usual(record.with_image(id="ami-none"), command)),
    ),
    "tells nobody": (
        instead(NotifyOutcome, lambda _, usual, record, _command: usual(record, NotifyOutcome(publish=False))),
    ),
    "the intent of a copy is not written": (unwritten(StartCopy),),
    "copies are not looked for": (instead(FindCopies, lambda *_: CopiesFound(())),),
    "opens a wave unasked": (MemberChange(LiveWaves, "look", lambda *_: WaveSeen(open=True)),),
    "images are not looked for": (MemberChange(AwsTargetImages, "named", lambda *_: ()),),
    "each CopyImage has a new client token": (
        wrapped(TargetSessions, "client", with_new_tokens),
        MemberChange(AwsTargetImages, "named", lambda *_: ()),
    ),
    "a failing delivery keeps its shares": (wrapped(DeliveryExecutor, "_release", nothing_while_ending),),
    "a withdrawn delivery releases its first share alone": (
        wrapped(DeliveryExecutor, "_release", the_first_of_the_withdrawn),
    ),
    "a look-up is not written with the intent": (MemberChange(DeliveryCodec, "intent_items", lambda *_: ()),),
    "nonces are not asked": (MemberChange(proof, "copies", lambda _delivery, seen: proof.Copies(tuple(seen))),),
    "what an attempt made is not kept": (MemberChange(proof, "with_attempts", lambda delivery, _some: delivery),),
    "a deadline acts without a look": (
        MemberChange(trouble, "await_look", lambda delivery, failure, now: fail(delivery, now, failure)),
    ),
    "what an earlier try left is forgotten": (
        MemberChange(leftovers, "deletes", lambda *_: ()),
        MemberChange(
            ending,
            "_is_tidy",
            lambda delivery: delivery.cleanup.done and not (delivery.holdings.held or delivery.launch.may_run),
        ),
    ),
    "a notice does not wait for the release of all shares": (
        MemberChange(
            ending,
            "_is_tidy",
            lambda delivery: delivery.cleanup.done and not (delivery.cleanup.to_delete or delivery.launch.may_run),
        ),
    ),
    "a result counts for every episode": (
        MemberChange(deliveries, "Machine", lambda results_count, **parts: Machine(**parts)),
    ),
    "a kept AMI that is gone goes on naming each try": (MemberChange(proof, "is_there", lambda *_: True),),
    "a kept AMI without its tags is taken for gone": (
        MemberChange(proof, "is_there", lambda image, shown: any(one.id == image and one.delivery for one in shown)),
    ),
    "a lift enables only what EC2 said is disabled": (
        wrapped(NamingAndRecallCommands, "execute", what_is_known_to_be_disabled),
    ),
    "a share stays open until its notice was sent": (
        MemberChange(machine, "PHASES", not_while_it_publishes(machine.PHASES)),
    ),
    "a withdrawal is notified at its release": (MemberChange(permissions, "still_open", lambda *_: ()),),
    "an instance counts as gone when its end was asked for": (MemberChange(instances, "ended", forgets_instances),),
    "one look that misses a test's instance is believed": (
        MemberChange(instances, "_may_show", lambda attempt, _since, now: now < attempt.at + schedule.SILENCE),
    ),
    "each RunInstances has a new client token": (MemberChange(instances.RunInstance, "intend", another_token),),
    # copy quotas
    "grants no slots": (MemberChange(CopyQuotas, "run", lambda *_, **__: None),),
    "takes no slots back": (MemberChange(CopyQuotas, "goes_on", lambda *_: True),),
    "renews no slots": (MemberChange(CopyQuotas, "goes_on", lambda *_: False),),
    # promotions
    "opens the delivered": (wrapped(WantedTargets, "missing", as_if_cancelled),),
    "is never over": (wrapped(PromotionExecutor, "_compare", again_without_end),),
    "tells again": (wrapped(PromotionExecutor, "_compare", as_if_not_summarised),),
    "one for all": (wrapped(DeliveryPass, "begin", if_all_can_be_read),),
    "every tag event counts as new": (
        MemberChange(TagEntry, "__str__", lambda _entry: f"{int(time.time() * 100):012d}"),
    ),
    "discovery looks for nothing": (MemberChange(Discover, "run", lambda *_, **__: None),),
    "standing shares are not compared": (NO_PASS, wrapped(TagPass, "run", but_for_the_shared)),
    "the pass over standing shares does nothing": (NO_PASS,),
    "the copies of a promotion that cannot act go on": (MemberChange(StandingPass, "_end_running", lambda *_: True),),
    "a removal waits for the checks of the source": (wrapped(PromotionExecutor, "_wanted", examined_first),),
    "a value in force is resolved strictly": (wrapped(AppliedFile, "resolve", strictly),),
    "a pass begins anew each time": (MemberChange(Rotation, "_stopped_behind", lambda *_: None),),
    # who is entitled
    "ignores withdrawals": (
        MemberChange(wanted, "in_force", lambda *_: ()),
        MemberChange(entitlement, "in_force", lambda *_: ()),
    ),
    "opens by any approval": (
        MemberChange(LiveApprovals, "look", lambda *_: ApprovalSeen("nobody")),
        wrapped(LiveEntitlements, "_not_approved", by_any_approval),
    ),
    "who may receive is not asked": (MemberChange(LiveEntitlements, "judge", lambda *_: Judgement()),),
    "the table of members alone says who is in an OU": (
        MemberChange(LiveMembers, "checked", lambda _self, applied, *_: applied),
    ),
    "to what it belongs is not asked": (MemberChange(LiveEntitlements, "_belongs", lambda *_: True),),
    "whom it names is not asked": (
        MemberChange(entitlements, "_receiver", lambda target, _resource, **_: target.unit or target.account),
    ),
    "one look at a source that is gone is believed": (wrapped(LiveEntitlements, "judge", at_one_look),),
    "two looks at a source that is gone follow at once": (wrapped(share_machine, "evolve", at_the_next_look),),
    "what is open for copies is closed with the source": (
        MemberChange(entitlements, "_was_opened", lambda _share: False),
    ),
    "an AMI that AWS does not show is everybody's trouble": (
        wrapped(LiveEntitlements, "_why_not", everybodys_trouble),
    ),
    # promotions
    "one look that misses the tag answers what was asked": (MemberChange(evolving, "_doubted", lambda *_, **__: {}),),
    "a lift promotes all": (
        MemberChange(evolving, "_lifted", lambda asked, _entry: evolving._raised(asked, generation=asked.newest + 1)),
    ),
    "the baseline begins in an OU": (wrapped(WantedTargets, "missing", as_if_all_had_begun),),
    "a lift begins what joined later": (wrapped(evolving, "_lifted", as_if_asked),),
    "what was withdrawn before it began is forgotten": (MemberChange(WantedTargets, "left_out", lambda *_: {}),),
    # shares
    "never closes": (
        wrapped(ShareWorker, "_close", with_adapter(close=lambda *_: False, showing=lambda *_: frozenset())),
    ),
    "knows no last closing time": (wrapped(ShareWorker, "_begin", without_end),),
    "takes all for its own": (wrapped(ShareWorker, "_open", with_adapter(showing=lambda *_: frozenset())),),
    "forgets intents": (wrapped(ShareWorker, "_open", without_intents),),
    "opens half": (wrapped(ShareWorker, "_opened", but_for_images),),
    "puts the old again": (wrapped(PolicyStatements, "_read", as_read_first),),
    "an intended closing counts as done": (wrapped(share_machine, "evolve", closed_at_once),),
    "a statement is put without an intent": (wrapped(share_machine, "evolve", but_for_policies),),
    "each CreateGrant has a new name": (
        MemberChange(grants, "grant_name", new_name),
        MemberChange(grant_names, "grant_name", new_name),
    ),
    "grants for service-linked roles count as gone": (
        MemberChange(RoleGrants, "close", lambda *_: None),
        MemberChange(RoleGrants, "showing", lambda *_: frozenset()),
    ),
    "a share whose state is lost counts as closed": (
        MemberChange(ledger, "_was_intended", lambda item, _known: item.get("state") == "open"),
    ),
    "one look at a removal is believed": (wrapped(share_machine, "evolve", gone_at_once),),
    "a refusal about the resource is halved": (MemberChange(share_batches, "ABOUT_THE_RESOURCE", frozenset()),),
    # records
    "the last writer of a record wins": (wrapped(DynamoRecords, "save", over_what_others_wrote),),
    "the ledger has no versions": (wrapped(ledger.DynamoLedger, "save", over_the_others_shares),),
    "the sweep wakes nothing": (MemberChange(sweep.Sweep, "run", lambda *_, **__: None),),
    "the sweep forgets its place": (MemberChange(sweep.Round, "text", lambda self: f"[{self.since}, {self.until}]"),),
    "the time left is not asked": (MemberChange(Budget, "allows", lambda *_: True),),
}
"""Name of a removed protection -> its changes."""
