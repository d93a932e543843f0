"""Who is to have an AMI, and what differs from that. Everything here is computed from what was just read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chalicelib.delivery.tracked import DELIVERED, EXPIRED, FAILED, RECALLED, RUNNING, SHARED, TrackedDelivery
from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.promotion.model import BACK_AGAIN, NO_TAG, Promotion
from chalicelib.sharing import entitlement
from chalicelib.sharing.entitlement import Entitlement, launched_by
from chalicelib.targets.applied_file import VALUE, AppliedFile, Resolution, Target
from chalicelib.targets.approvals import needs
from chalicelib.targets.organization import NOT_READ_YET
from chalicelib.targets.recalls import recalled
from chalicelib.targets.waves import FileWaves
from chalicelib.targets.withdrawals import EVERYWHERE, Withdrawal, by_place, covering, in_force, why_ended

NOT_NAMED = "The tag's value and the applied targets file no longer name it."


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
    faults: tuple[Fault, ...] = ()
    """Faults of the tag's value, if it is refused; else those of blocked accounts."""
    unknown: bool = False
    """Whether nobody knows whom it names: then nothing begins, and only what an operator has withdrawn ends."""
    waits: Fault | None = None
    """Why it is unknown, if that passes by itself."""
    unbelieved: bool = False
    """Whether it is for the value in force, as one look alone showed another that names fewer: nothing begins."""
    kept_out: Mapping[str, Target] = field(default_factory=dict)
    """The targets of the value that a withdrawal keeps out: their own, or that of another account in their unit."""
    waves: FileWaves = field(default_factory=lambda: FileWaves({}, {}))

    @property
    def targets(self) -> Mapping[str, Target]:
        """The wanted targets."""
        return self.entitled.targets

    def inputs(self, promotion: Promotion) -> str:
        """Return a digest of all that decides: the same inputs need no second pass."""
        generations = (promotion.generation, sorted(promotion.retried.items()), promotion.is_gone)
        withdrawn = sorted(self.entitled.withdrawn.items())
        how = self.refused, self.unknown, self.unbelieved
        return digest(repr((self.value, how, generations, self.file, withdrawn)))

    def surplus(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> list[TrackedDelivery]:
        """Return the deliveries that run, or are shared, and should not, or are to be recalled or restored; by id."""
        turns = DELIVERED if self.recalled else RECALLED
        ends = [
            one
            for one in tracked
            if (one.state in (RUNNING, SHARED) and not self._may_go_on(one.place))
            or (one.state == SHARED and promotion.is_gone_for(one.account, one.place))
            or one.state == turns
        ]
        return sorted(ends, key=lambda one: one.delivery)

    @property
    def recalled(self) -> bool:
        """Whether an operator has recalled the AMI: then what was delivered is deprecated, until that is lifted."""
        return recalled(self.entitled.withdrawn)

    def _may_go_on(self, place: str) -> bool:
        if self.unknown:
            return covering(self.entitled.withdrawn, place) is None
        return self.entitled.may_go_on(place)

    def leaves_out(self, surplus: Iterable[TrackedDelivery]) -> bool:
        """Whether some of these were not withdrawn by an operator: the value, or the file, no longer names them."""
        return any(covering(self.entitled.withdrawn, one.place) is None for one in surplus)

    def missing(self, tracked: Sequence[TrackedDelivery], promotion: Promotion) -> list[Target]:
        """Return the targets whose deliveries are to begin, or to begin again; sorted by place."""
        nobody = self.unknown or self.unbelieved or promotion.is_gone or promotion.made_here
        if nobody or not promotion.newest:
            return []
        known = {one.place: one for one in tracked}
        found = {
            place: target for place, target in self.targets.items() if self._begins(target, known.get(place), promotion)
        }
        by_way = {f"{target.by_way_of}/{target.region}" for target in found.values() if target.by_way_of}
        for place in by_way & self.targets.keys() - found.keys():  # the hub's own copy, which a target waits for
            one = known.get(place)
            if one is None or one.state in (FAILED, EXPIRED, *BACK_AGAIN):
                found[place] = self.targets[place]
        return [found[place] for place in sorted(found)]

    def _begins(self, target: Target, one: TrackedDelivery | None, promotion: Promotion) -> bool:
        """An account that is added to the file waits for a tag event; one that joins an OU does not."""
        if promotion.is_gone_for(target.account, target.place):
            return False
        if one is None:
            joins = promotion.generation > 0 and self.back_fill and bool(target.unit)
            left_out = promotion.was_left_out(target.account, target.region)
            return _is_asked_for(target, promotion) or joins or left_out
        if one.state == EXPIRED:
            return one.generation < promotion.named_generation_of(target.account, target.place)
        older = one.generation < promotion.generation_of(target.account, target.place)
        return one.state in BACK_AGAIN or (one.state == FAILED and older)

    def left_out(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> Mapping[str, str]:
        """Return the targets that would have begun but for a withdrawal, as the record has them: its lift begins them.

        Without those that have joined an OU since: these begin with the lift anyway, and hold up no wave.
        """
        if self.unknown or self.unbelieved or self.recalled:
            return promotion.left_out
        begun = {one.place for one in tracked}
        out = defaultdict[str, list[str]](list)
        for place, target in sorted({**self.targets, **self.kept_out}.items()):
            fresh = place in self.kept_out and _is_asked_for(target, promotion)
            if place not in begun and (fresh or promotion.was_left_out(target.account, target.region)):
                out[target.region].append(target.account)
        return {region: " ".join(accounts) for region, accounts in out.items()}

    def announced(self, tracked: Iterable[TrackedDelivery], promotion: Promotion) -> list[Target]:
        """Return the targets whose deliveries are tracked as begun in this generation; sorted by place.

        A run may have been killed before it wrote them.
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
            otherwise = "The AMI is gone or disabled."
        elif promotion.value is None:
            otherwise = promotion.why or NO_TAG
        else:
            otherwise = NOT_NAMED
        return why_ended(self.entitled.withdrawn, place, otherwise)

    def waits_for_approval(self, tracked: Iterable[TrackedDelivery]) -> bool:
        """Whether a delivery that has not ended may wait for an approval."""
        running = {one.place for one in tracked if one.state == RUNNING}
        return any(needs(target) for place, target in self.targets.items() if place in running)


def _is_asked_for(target: Target, promotion: Promotion) -> bool:
    """Whether no pass has begun all that was missing since a tag event, or an operator, asked for this target."""
    return promotion.generation_of(target.account, target.place) > promotion.passed_generation


def wanted_targets(
    promotion: Promotion, applied: AppliedFile, withdrawals: Collection[Withdrawal], *, believed: bool = True
) -> WantedTargets:
    """Return whom the AMI is for.

    The tag's value counts if it is understood, else the value in force: a name that the file has lost names nobody.
    ``believed``: whether the tag's value counts at all.
    """
    shown, made = value_by_looks(promotion), promotion.faults if promotion.made_here else ()
    shown = shown if believed else promotion.value
    refused = promotion.refused_value if made else None
    recalls = by_place(one for one in withdrawals if one.place == EVERYWHERE)
    nobody = Entitlement(withdrawn=recalls)  # a recall counts without any value that is understood
    if shown is None:
        return WantedTargets(entitled=nobody, refused=refused, faults=made)
    first = applied.judge(shown, in_force=shown == promotion.value and bool(promotion.file))
    if first.waits is not None:
        return _unknown(promotion, withdrawals, promotion.refused_value, waits=first.waits)
    if first.understood:
        return _of(promotion, shown, applied.waves, first, withdrawals, refused=refused, faults=made)
    last = promotion.value if promotion.file else None
    if last is None:
        return WantedTargets(entitled=nobody, refused=shown, faults=first.faults, file=first.digests)
    before = applied.resolve(last, in_force=True)
    if not before.understood:
        return _unknown(promotion, withdrawals, shown, faults=first.faults)
    return _of(promotion, last, applied.waves, before, withdrawals, refused=shown, faults=first.faults)


def value_by_looks(promotion: Promotion) -> str | None:
    """Return the tag's value; the value in force while looks disagree, the AMI is gone, or the service made it."""
    weak = promotion.absent_since or promotion.is_gone or promotion.made_here
    return promotion.value if weak else promotion.seen_value


def _unknown(
    promotion: Promotion,
    withdrawals: Collection[Withdrawal],
    refused: str | None,
    *,
    faults: tuple[Fault, ...] = (),
    waits: Fault | None = None,
) -> WantedTargets:
    """Return what is known of a value where the file, or a unit in it, cannot be read: who was withdrawn."""
    value = promotion.value
    left = Entitlement(withdrawn=withdrawn_by(promotion, withdrawals, value))
    return WantedTargets(value, left, refused=refused, faults=faults, unknown=True, waits=waits)


def _of(
    promotion: Promotion,
    value: str,
    waves: FileWaves,
    resolution: Resolution,
    withdrawals: Collection[Withdrawal],
    *,
    refused: str | None = None,
    faults: tuple[Fault, ...] = (),
) -> WantedTargets:
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
    """Return the withdrawals in force while this value counts: place -> operator."""
    since = promotion.withdrawals_count_from(value)
    return by_place(in_force(withdrawals, {value, promotion.seen_value}, since))


def places_digest(targets: Iterable[Target], blocked: Iterable[str] = ()) -> str:
    """Return a digest of targets: their places and, in share mode, the receivers of their launch permissions.

    ``blocked``: accounts whose settings conflict; what they have ends when the file does not name them any longer.
    """
    named = [f"{one.place}={launched_by(one) if one.mode == 'share' else ''}" for one in targets]
    return digest(*sorted((*named, *blocked)))
