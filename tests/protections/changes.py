"""What is changed in the service so that one protection is gone.

A mutated package gets this module, too, and makes the changes when a function starts. So it knows nothing of the tests:
it replaces members of classes and modules of ``chalicelib``.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from chalicelib.delivery import instances, leftovers, machine, permissions, proof
from chalicelib.delivery.attempts import CopiesFound, FindCopies
from chalicelib.delivery.aws.target_images import AwsTargetImages
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.codecs import DeliveryCodec
from chalicelib.delivery.model import Attempt, DeliveryState
from chalicelib.delivery.phase import DeadlinePassed
from chalicelib.delivery.phases import ending, trouble
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.delivery.phases.ending import fail
from chalicelib.delivery.phases.recalling import RestoreCopy
from chalicelib.delivery.phases.waiting import WaveSeen
from chalicelib.delivery.shares import SharesReleased
from chalicelib.delivery.worker import deliveries
from chalicelib.delivery.worker.deliveries import DeliveryExecutor
from chalicelib.delivery.worker.live_waves import LiveWaves
from chalicelib.delivery.worker.releases import ReleaseCommands
from chalicelib.engine import schedule, sweep
from chalicelib.engine.budget import Budget
from chalicelib.engine.rotation import Rotation
from chalicelib.engine.runner import Machine
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.wakes import TagEntry
from chalicelib.promotion import evolving
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.promotion.worker.discover import Discover
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.promotion.worker.tag_pass import TagPass
from chalicelib.release import pointer
from chalicelib.release.current import current
from chalicelib.release.retirement import OwnDate, to_deprecate
from chalicelib.sharing import grant_names, share_events
from chalicelib.sharing.aws import grants
from chalicelib.sharing.aws.role_grants import RoleGrants
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.share import ShareState
from chalicelib.sharing.store import ledger
from chalicelib.sharing.worker import entitlements, share_batches
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.worker.live_members import LiveMembers


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


def wrapped(home: Any, name: str, by: Callable[[Any], Any]) -> MemberChange:
    """A change that puts something around the member."""
    return MemberChange(home, name, by(getattr(home, name)))


def make(
    changes: Iterable[MemberChange], put: Callable[[Any, str, Any], object] = setattr, *, raising: bool = False
) -> None:
    """Make changes; ``raising``: put what only raises in the place of each."""
    for change in changes:
        made = change.raising() if raising else change
        put(made.home, made.name, made.wrong)


# --- promotions ------------------------------------------------------------------------------------------------------


def as_if_asked(lifted):
    """Let the lift of a withdrawal or recall be a retry, which begins also what had not begun."""
    return lambda promotion, entry: replace(lifted(promotion, entry), passed_generation=promotion.passed_generation)


# --- deliveries ------------------------------------------------------------------------------------------------------


def unless_copies_start(record_intent):
    """Leave the record unchanged if copies are to be started."""

    def wrong(record, commands, now, nonces):
        if any(isinstance(command, StartCopy) for command in commands):
            return record
        return record_intent(record, commands, now, nonces)

    return wrong


def finds_no_copies(execute):
    """Copy again without a look whether the first call took effect."""

    def wrong(self, record, command, budget):
        return CopiesFound(()) if isinstance(command, FindCopies) else execute(self, record, command, budget)

    return wrong


def nothing_while_ending(release):
    """Release nothing while the delivery is ending."""

    def wrong(self, delivery, time_left, *, everything):
        if delivery.ending:
            return SharesReleased(everything)
        return release(self, delivery, time_left, everything=everything)

    return wrong


def the_first_of_the_withdrawn(release):
    """Release only the first share of a withdrawn delivery."""

    def wrong(self, delivery, time_left, *, everything):
        needed = delivery.shares.needed
        some = needed[:1] if delivery.ending == "withdrawn" else needed
        return release(self, delivery.with_shares(needed=some), time_left, everything=everything)

    return wrong


class Anew:
    """An EC2 client whose CopyImage always makes another AMI."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def copy_image(self, **asked):
        """Call CopyImage with a new client token."""
        return self._client.copy_image(**{**asked, "ClientToken": uuid.uuid4().hex})


def with_new_tokens(client):
    """Let each CopyImage have a new client token."""
    return lambda self, service, *rest, **more: Anew(client(self, service, *rest, **more))


def what_is_known_to_be_disabled(execute):
    """Let a lift enable only what EC2 has said is disabled."""

    def wrong(self, delivery, command):
        known = delivery.with_recall(may_disable=delivery.recall.disabled)
        return execute(self, known if isinstance(command, RestoreCopy) else delivery, command)

    return wrong


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
    fresh = Attempt(nonce, instances.image(delivery), now, episode=delivery.episode)
    return delivery.with_launch(attempts=(*others, fresh), tries=1)


# --- promotions ------------------------------------------------------------------------------------------------------


def examined_first(understand):
    """Let nothing begin or end until the source passes its checks."""

    def wrong(self, record, tracked):
        wanted, promotion = understand(self, record, tracked)
        _, faults = self._source(promotion, ())
        return replace(wanted, unknown=bool(faults)), promotion

    return wrong


def strictly(resolve):
    """Treat a name that the file has lost as a fault, also in a value in force."""

    def wrong(self, value, *, in_force=False):
        return resolve(self, value)

    return wrong


def but_for_the_shared(run):
    """Read no head of a shared AMI."""

    def wrong(self, found, heads, *, time_left):
        shared = {ami for ami, head in heads.items() if head.standing}
        others = {ami: head for ami, head in heads.items() if ami not in shared}
        run(self, [one for one in found if one.ami not in shared], others, time_left=time_left)

    return wrong


# --- shares ----------------------------------------------------------------------------------------------------------


def closed_at_once(evolve):
    """Take the intent of a closing for its result."""

    def wrong(one, event, now):
        after = evolve(one, event, now)
        return replace(after, state=ShareState.CLOSED) if isinstance(event, share_events.ClosingIntended) else after

    return wrong


def but_for_policies(evolve):
    """Record no intent for key policies."""

    def wrong(one, event, now):
        intends = isinstance(event, share_events.OpeningIntended) and one.resource.startswith("resource#policy#")
        return one if intends else evolve(one, event, now)

    return wrong


def gone_at_once(evolve):
    """Take a permission for gone after the first look that misses it."""

    def wrong(one, event, now):
        missed = isinstance(event, share_events.LookedAfter) and not event.showing
        removed = {"removed_at": now - share_events.GONE_NO_SOONER_THAN, "gone_at": 0}
        return evolve(replace(one, **removed) if missed else one, event, now)

    return wrong


def at_one_look(judge):
    """Believe a look by itself that shows no AMI."""

    def wrong(self, resource, some, _has_time=None):
        found = judge(self, resource, some)
        return judge(self, resource, [replace(one, waits_for=found.waits.get(one.share_name)) for one in some])

    return wrong


def everybodys_trouble(why_not):
    """Take what AWS refuses to say of one AMI for its answer about all."""

    def wrong(self, look, *asked):
        answer = why_not(self, look, *asked)
        return next(iter(look.owed.values()), answer)

    return wrong


def new_name(share, _region):
    """Name a grant so that the grant audit does not recognize it."""
    return f"somebody:here:{share.share_name}:{uuid.uuid4().hex}"


# --- stores ----------------------------------------------------------------------------------------------------------


def over_what_others_wrote(save):
    """Write a record as if it had just been read."""

    def wrong(self, before, *rest, **more):
        while True:
            now = self.read(before.key)
            saved = save(self, replace(before, version=now.version), *rest, **more)
            if saved is not None:
                return saved

    return wrong


def over_the_others_shares(save):
    """Write shares as if they had just been read."""

    def wrong(self, shares, *rest, **more):
        versions = {(s.resource, s.share_name): s.version for one in shares for s in self.shares(one.resource)}
        fresh = [replace(s, version=versions.get((s.resource, s.share_name), s.version)) for s in shares]
        return save(self, fresh, *rest, **more)

    return wrong


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
    "the intent of a copy is not written": (wrapped(machine, "record_intent", unless_copies_start),),
    "copies are not looked for": (wrapped(DeliveryExecutor, "execute", finds_no_copies),),
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
    "what an attempt made is not kept": (MemberChange(proof, "keep", lambda delivery, _some: delivery),),
    "a deadline acts without a look": (
        MemberChange(trouble, "await_look", lambda delivery, failure, now: fail(delivery, now, failure)),
    ),
    "what an earlier try left is forgotten": (
        MemberChange(leftovers, "deletes", lambda *_: ()),
        MemberChange(
            ending,
            "_is_tidy",
            lambda delivery: delivery.cleanup.done and not (delivery.shares.held or delivery.launch.ends),
        ),
    ),
    "a result counts for every episode": (
        MemberChange(deliveries, "Machine", lambda counts, **parts: Machine(**parts)),
    ),
    "a kept AMI that is gone goes on naming each try": (MemberChange(proof, "is_there", lambda *_: True),),
    "a kept AMI without its tags is taken for gone": (
        MemberChange(proof, "is_there", lambda image, shown: any(one.id == image and one.delivery for one in shown)),
    ),
    "a lift enables only what EC2 said is disabled": (
        wrapped(ReleaseCommands, "execute", what_is_known_to_be_disabled),
    ),
    "a share stays open until its notice was sent": (wrapped(machine, "PHASES", not_while_it_publishes),),
    "a withdrawal is notified at its release": (MemberChange(permissions, "still_open", lambda *_: ()),),
    "an instance counts as gone when its end was asked for": (MemberChange(instances, "ended", forgets_instances),),
    "one look that misses a test's instance is believed": (
        MemberChange(instances, "_may_show", lambda attempt, _since, now: now < attempt.at + schedule.SILENCE),
    ),
    "each RunInstances has a new client token": (MemberChange(instances.RunInstance, "intend", another_token),),
    # promotions
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
    "who may receive is not asked": (MemberChange(LiveEntitlements, "judge", lambda *_: Judgement()),),
    "the table of members alone says who is in an OU": (
        MemberChange(LiveMembers, "checked", lambda _self, applied, *_: applied),
    ),
    "to what it belongs is not asked": (MemberChange(LiveEntitlements, "_belongs", lambda *_: True),),
    "whom it names is not asked": (
        MemberChange(entitlements, "_receiver", lambda target, _resource, **_: target.unit or target.account),
    ),
    "one look at a source that is gone is believed": (wrapped(LiveEntitlements, "judge", at_one_look),),
    "what is open for copies is closed with the source": (
        MemberChange(entitlements, "_was_opened", lambda _share: False),
    ),
    "an AMI that AWS does not show is everybody's trouble": (
        wrapped(LiveEntitlements, "_why_not", everybodys_trouble),
    ),
    # promotions
    "one look that misses the tag answers what was asked": (MemberChange(evolving, "_doubted", lambda *_: {}),),
    "a lift promotes all": (
        MemberChange(evolving, "_lifted", lambda asked, _entry: evolving._raised(asked, generation=asked.newest + 1)),
    ),
    "a lift begins what joined later": (wrapped(evolving, "_lifted", as_if_asked),),
    "what was withdrawn before it began is forgotten": (MemberChange(WantedTargets, "left_out", lambda *_: {}),),
    # shares
    "an intended closing counts as done": (wrapped(share_events, "evolve", closed_at_once),),
    "a statement is put without an intent": (wrapped(share_events, "evolve", but_for_policies),),
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
    "one look at a removal is believed": (wrapped(share_events, "evolve", gone_at_once),),
    "a refusal about the resource is halved": (MemberChange(share_batches, "ABOUT_THE_RESOURCE", frozenset()),),
    # records
    "the last writer of a record wins": (wrapped(DynamoRecords, "save", over_what_others_wrote),),
    "the ledger has no versions": (wrapped(ledger.DynamoLedger, "save", over_the_others_shares),),
    "the sweep wakes nothing": (MemberChange(sweep.Sweep, "run", lambda *_, **__: None),),
    "the sweep forgets its place": (MemberChange(sweep.Round, "text", lambda self: f"[{self.since}, {self.until}]"),),
    "the time left is not asked": (MemberChange(Budget, "allows", lambda *_: True),),
}
"""Name of a removed protection -> its changes."""
