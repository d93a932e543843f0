"""Who is to have an AMI, and which deliveries differ from that. All is computed from what was just read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chalicelib.delivery.outcomes import BeginsAgain
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.promotion.machine import RECALL
from chalicelib.promotion.model import NO_TAG, Promotion, Retry
from chalicelib.sharing import entitlement
from chalicelib.sharing.entitlement import Entitlement, launched_by
from chalicelib.targets.applied_file import VALUE, AppliedFile, Resolution, Target
from chalicelib.targets.approvals import needs
from chalicelib.targets.organization import NOT_READ_YET
from chalicelib.targets.recalls import recalled
from chalicelib.targets.waves import FileWaves
from chalicelib.targets.withdrawals import EVERYWHERE, Withdrawal, by_place, covering, in_force, why_ended

NOT_NAMED = "By the applied targets file the tag's value no longer names it."


@dataclass(frozen=True, slots=True)
class WantedTargets:
    """Whom the value that counts names now. Targets are named "account/region"."""

    value: str | None = None
    """The value that counts."""
    entitled: Entitlement = field(default_factory=Entitlement)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    back_fill: bool = True
    file: str = ""
    """Digests of targets file and members; "": none is known."""
    places: str = ""
    refused: str | None = None
    """The tag's value, if it is refused."""
    faults: tuple[Fault, ...] = ()
    """Faults of the refused value; else those of blocked accounts, and of waves that wait in vain."""
    unknown: bool = False
    """Whether nobody knows whom the value names: then nothing begins, and only what an operator has withdrawn ends."""
    waits: Fault | None = None
    """Why that is unknown, if it passes by itself."""
    unbelieved: bool = False
    """Whether one look alone has shown a value that names fewer: the value in force counts, and nothing begins."""
    kept_out: Mapping[str, Target] = field(default_factory=dict)
    """Targets that the value names and a withdrawal keeps out: their own, or that of another account in their unit."""
    waves: FileWaves = field(default_factory=lambda: FileWaves({}, {}))

    @property
    def targets(self) -> Mapping[str, Target]:
        """The wanted targets."""
        return self.entitled.targets

    def inputs(self, promotion: Promotion) -> str:
        """Return a digest of all that decides: the same inputs need no second pass."""
        generations = (promotion.generation, sorted(promotion.retried.items()), promotion.is_gone)
        withdrawn = sorted(self.entitled.withdrawn.items())
        how = self.refused, self.unknown, self.unbelieved, promotion.inbox.get(RECALL) if self.recalled else None
        return digest(repr((self.value, how, generations, self.file, withdrawn)))

    @property
    def recalled(self) -> bool:
        """Whether an operator has recalled the AMI: then what was delivered is deprecated, until that is lifted."""
        return recalled(self.entitled.withdrawn)

    def surplus(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> list[TrackedDelivery]:
        """Return the deliveries that are to end, and those that are over to recall, restore or rename; sorted by id.

        A recall that a target has refused is surplus again where an operator has asked for another try since.
        """
        found = [one for one in tracked if self._is_surplus(one, promotion)]
        return sorted(found, key=lambda one: one.delivery)

    def _is_surplus(self, one: TrackedDelivery, promotion: Promotion) -> bool:
        if self.renames(one, promotion):
            return True
        if one.outcome.stands and promotion.is_gone_for(one.account, one.place):
            return True
        if one.may_end:
            return not self.may_go_on(one.place)
        if one.is_recalled and self.recalled:
            return Retry.parse(promotion.inbox.get(RECALL, "")).recalls_again(one)
        return one.has_copy if self.recalled else one.is_recalled

    def renames(self, one: TrackedDelivery, promotion: Promotion) -> bool:
        """Whether the file has another parameter for what a target has, and somebody has asked for the target since."""
        target = self.renamed(one)
        if target is None or self.unbelieved or promotion.is_gone_for(one.account, one.place):
            return False
        return _is_asked_for(target, promotion)

    def renamed(self, one: TrackedDelivery) -> Target | None:
        """Return the target of a delivered or shared AMI if the file now has another parameter for it; else None.

        One that the file no longer sets stays as it is.
        """
        target = None if self.recalled or not one.outcome.there else self.targets.get(one.place)
        return target if target and not needs(target) and target.ssm_parameter not in ("", one.ssm_parameter) else None

    def may_go_on(self, place: str) -> bool:
        """Whether a target is wanted, or its account is only blocked; while that is unknown: is not withdrawn."""
        if self.unknown:
            return covering(self.entitled.withdrawn, place) is None
        return self.entitled.may_go_on(place)

    def leaves_out(self, surplus: Iterable[TrackedDelivery]) -> bool:
        """Whether one of these ends because the value, or the file, no longer names it: no operator withdrew it."""
        return any(covering(self.entitled.withdrawn, one.place) is None for one in surplus)

    def missing(self, tracked: Sequence[TrackedDelivery], promotion: Promotion) -> list[Target]:
        """Return the targets whose deliveries are to begin, or to begin again; sorted by place."""
        nobody = self.unknown or self.unbelieved or promotion.is_gone or promotion.made_here
        if nobody or not promotion.newest:
            return []
        known = {one.place: one for one in tracked}
        begin = {place for place, target in self.targets.items() if self._begins(target, known.get(place), promotion)}
        waiting = [self.targets[place] for place in begin]
        # the hub's own copies that some of these copy from begin with them, unless they run or are there
        hub_copies = {f"{target.by_way_of}/{target.region}" for target in waiting if target.by_way_of}
        for place in hub_copies & self.targets.keys() - begin:
            one = known.get(place)
            if one is None or one.outcome.begins_again not in (BeginsAgain.NEVER, BeginsAgain.LIFTED):
                begin.add(place)
        return [self.targets[place] for place in sorted(begin)]

    def _begins(self, target: Target, one: TrackedDelivery | None, promotion: Promotion) -> bool:
        """Whether a target's delivery begins, or begins again (``one``: what is tracked of it).

        An account that is added to the file waits for a tag event; one that joins an OU does not.
        """
        if promotion.is_gone_for(target.account, target.place):
            return False
        if one is None:
            joins = self.back_fill and bool(target.unit)
            left_out = promotion.was_left_out(target.account, target.region)
            return _is_asked_for(target, promotion) or joins or left_out
        match one.outcome.begins_again:
            case BeginsAgain.WANTED:
                return True
            case BeginsAgain.ASKED:
                return one.generation < promotion.generation_of(target.account, target.place)
            case BeginsAgain.NAMED:
                return one.generation < promotion.named_generation_of(target.account, target.place)
        return False

    def left_out(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> Mapping[str, str]:
        """Return the targets that a withdrawal kept from beginning, as the record has them: its lift begins them.

        An account that has joined an OU since is not among them: it begins anyway with the lift, and holds up no wave.
        """
        if self.unknown or self.unbelieved or self.recalled:
            return promotion.left_out
        begun = {one.place for one in tracked}
        out = defaultdict[str, list[str]](list)
        for place, target in sorted({**self.targets, **self.kept_out}.items()):
            newly = place in self.kept_out and _is_asked_for(target, promotion)
            if place not in begun and (newly or promotion.was_left_out(target.account, target.region)):
                out[target.region].append(target.account)
        return {region: " ".join(accounts) for region, accounts in out.items()}

    def announced(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> list[Target]:
        """Return the targets whose deliveries are tracked as begun in this generation; sorted by place.

        A run that tracked a delivery may have been killed before it wrote the delivery's record.
        """
        places = {
            one.place
            for one in tracked
            if one.state == RUNNING and one.generation == promotion.generation_of(one.account, one.place)
        }
        return [self.targets[place] for place in sorted(places & self.targets.keys())]

    def why_it_ends(self, promotion: Promotion, place: str) -> str:
        """Return why a delivery is asked to end: a sentence."""
        if promotion.is_gone_for(Place.parse(place).account, place):
            why = "The AMI is gone or disabled."
        elif promotion.value is None:
            why = promotion.why or NO_TAG
        else:
            why = NOT_NAMED
        return why_ended(self.entitled.withdrawn, place, otherwise=why)

    def waits_for_approval(self, tracked: Iterable[TrackedDelivery]) -> bool:
        """Whether a delivery that has not ended may wait for an approval."""
        running = {one.place for one in tracked if one.state == RUNNING}
        return any(needs(target) for place, target in self.targets.items() if place in running)


def _is_asked_for(target: Target, promotion: Promotion) -> bool:
    """Whether somebody has asked for this target since the last time that nothing was missing."""
    return promotion.generation_of(target.account, target.place) > promotion.passed_generation


def wanted_targets(
    promotion: Promotion, shown: str | None, applied: AppliedFile, withdrawals: Collection[Withdrawal]
) -> WantedTargets:
    """Return whom the AMI is for, if its tag has the value ``shown``.

    That value counts if it is understood; else the value in force, of which a name that the file has lost names nobody.
    """
    made = promotion.faults if promotion.made_here else ()
    refused = promotion.refused_value if made else None
    recalls = by_place(one for one in withdrawals if one.place == EVERYWHERE)
    nobody = Entitlement(withdrawn=recalls)  # a recall counts without any value that is understood
    if shown is None:
        return WantedTargets(entitled=nobody, refused=refused, faults=made)
    judged = applied.judge(shown, in_force=shown == promotion.value and bool(promotion.file))
    if judged.waits is not None:
        return _unknown(promotion, withdrawals, promotion.refused_value, waits=judged.waits)
    if judged.understood:
        return _known(promotion, shown, applied.waves, judged, withdrawals, refused=refused, faults=made)
    last = promotion.value if promotion.file else None
    if last is None:
        return WantedTargets(entitled=nobody, refused=shown, faults=judged.faults, file=judged.digests)
    resolved = applied.resolve(last, in_force=True)
    if not resolved.understood:
        return _unknown(promotion, withdrawals, shown, faults=judged.faults)
    return _known(promotion, last, applied.waves, resolved, withdrawals, refused=shown, faults=judged.faults)


def _unknown(
    promotion: Promotion,
    withdrawals: Collection[Withdrawal],
    refused: str | None,
    *,
    faults: tuple[Fault, ...] = (),
    waits: Fault | None = None,
) -> WantedTargets:
    """Return what is known if the file, or a unit in it, cannot be read: only whom an operator has withdrawn."""
    entitled = Entitlement(withdrawn=withdrawn_by(promotion, withdrawals, promotion.value))
    return WantedTargets(promotion.value, entitled, refused=refused, faults=faults, unknown=True, waits=waits)


def _known(
    promotion: Promotion,
    value: str,
    waves: FileWaves,
    resolution: Resolution,
    withdrawals: Collection[Withdrawal],
    *,
    refused: str | None = None,
    faults: tuple[Fault, ...] = (),
) -> WantedTargets:
    """Return the targets of a value that is understood. ``faults``: why another value is refused."""
    entitled = entitlement.of(resolution, withdrawn_by(promotion, withdrawals, value))
    kept_out = {place: target for place, target in resolution.by_place.items() if place not in entitled.targets}
    single = tuple(resolution.without(entitled.withdrawn).blocked.values())
    in_vain = waves.faults({target.account for target in entitled.targets.values()}, VALUE)
    return WantedTargets(
        value=value,
        entitled=entitled,
        groups=resolution.groups,
        back_fill=resolution.back_fill,
        file=resolution.digests,
        places=places_digest(resolution.targets, resolution.blocked),
        refused=refused,
        faults=faults or (*single, *(one for one in in_vain if one.code != NOT_READ_YET)),
        kept_out=kept_out,
        waves=waves,
    )


def withdrawn_by(promotion: Promotion, withdrawals: Iterable[Withdrawal], value: str | None) -> Mapping[str, str]:
    """Return place -> operator for the withdrawals that are in force while this value counts."""
    since = promotion.withdrawals_count_from(value)
    return by_place(in_force(withdrawals, {value, promotion.seen_value}, since))


def places_digest(targets: Iterable[Target], blocked: Iterable[str] = ()) -> str:
    """Return a digest of targets: their places and, in share mode, the receivers of their launch permissions.

    ``blocked``: accounts whose settings conflict; what they have ends when the file does not name them any longer.
    """
    named = [f"{one.place}={launched_by(one) if one.mode == 'share' else ''}" for one in targets]
    return digest(*sorted((*named, *blocked)))
