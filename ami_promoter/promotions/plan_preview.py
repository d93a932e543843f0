"""What a value of the tag would do, target by target. Pure; it asks no target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub.records import place_of, target_of
from ami_promoter.promotions import endings, pointers, prices, provenance, waves
from ami_promoter.promotions.promotion_text import SINGLY, quoted, said
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import alike, alike_anywhere, first_of, groups, named
from ami_promoter.terminal.output import short, state, table
from chalicelib.delivery import naming, preflight
from chalicelib.delivery.model import ENDED
from chalicelib.delivery.outcomes import OUTCOMES, BeginsAgain
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Place, last_part
from chalicelib.images import names
from chalicelib.images.family import family_of
from chalicelib.images.image import SourceImage, snapshots_to_copy
from chalicelib.images.keys import KeyFacts, source_keys
from chalicelib.targets.applied_file import VALUE, Resolution, Target
from chalicelib.targets.approvals import needs
from chalicelib.targets.recalls import Pin
from chalicelib.targets.waves import FileWaves
from chalicelib.targets.withdrawals import covering

DOES = {BeginsAgain.NEVER: "there already", BeginsAgain.LIFTED: "restored"}
"""By when its delivery begins again: what a value does to a target; the others are tried again."""
NOTHING: Mapping[str, Any] = {"gib": 0, "dollars": {}, "calls": {}}
"""What a target costs where nothing begins, or where that is not known yet."""

TARGET = js.thing(
    "one target",
    **js.PLACE,
    does=js.text(
        "what happens to the target: new, tried again, there already, under way, restored (its recall was lifted), "
        "withdrawn or recalled (nothing is promoted, and what is there is deprecated); for a target that the "
        "value no longer names: cancelled, withdrawn or stays"
    ),
    withdrawn_by=js.text("ARN of the operator who has withdrawn the target; empty: no operator has"),
    approval=js.text("required or none; empty: the value no longer names the target"),
    mode=js.text("copy or share; empty: the value no longer names the target"),
    method=js.text(
        "snapshots (CopySnapshot and RegisterImage) or image (CopyImage); empty: nothing is copied, or not known yet"
    ),
    method_why=js.text("why the service chooses this method; empty: the targets file sets it"),
    key=js.text("KMS key of the target, as the targets file names it; empty: nothing is copied"),
    key_access=js.text("how the service lets the target use the source's KMS key: grant, policy or none"),
    service_linked_roles=js.several(
        "roles that get a grant on the AMI's key, if the target has them", js.text("name of a role")
    ),
    roles_named=js.flag("whether the targets file names these roles: without one of them the delivery fails"),
    ami_name=js.text("name of the AMI in the target"),
    family=js.text("family of the source AMI, as its tag names it; empty: it has none"),
    pointer=js.perhaps(pointers.PLANNED),
    gib=js.number("total size in GiB of the snapshots to copy; an incremental copy transfers less"),
    dollars=js.mapping(
        "highest cost in US dollars by list price: `storage` each month; `transfer` to another Region, `timed` "
        "(time-based copies) and `launch` (the launch test, if the price of its instance type is known) once; empty: "
        "nothing is copied or launched, or it is not known yet",
        js.amount("US dollars"),
    ),
    calls=js.mapping(
        "calls that create resources in the target, by name; empty: none, or not known yet", js.number("how many calls")
    ),
    groups=js.several("groups of the value that contain the target", js.text("name of a group")),
    faults=js.FAULTS,
)
PLAN = js.thing(
    "what a value would do",
    ami=js.text("id of the source AMI"),
    name=js.text("name of the source AMI"),
    value=js.text("value of the tag"),
    targets=js.several("targets, sorted by account and Region", TARGET),
    faults=js.several("why the service refuses the source AMI; if there are any, no delivery starts", js.FAULT),
    doubts=js.several(
        "warnings about the origin of the source's snapshots, about its family, and about roles that get no grant; the "
        "service refuses nothing for them",
        js.FAULT,
    ),
    blocked=js.several("accounts that the value names and the service cannot deliver to", js.FAULT),
    waves=waves.PLANNED,
    waits_for=js.perhaps(js.described("the fault that the whole value waits for; null: none", js.FAULT)),
    checks=js.number("how many checks of the source AMI the command made"),
    ready=js.flag("whether the hub found no fault; the service checks each target when its delivery begins"),
)


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What was read for a plan; the value is valid."""

    ami: str
    value: str
    resolution: Resolution
    image: SourceImage
    keys: Mapping[str, KeyFacts]
    """The keys of the image's snapshots."""
    hub: Place
    tag_key: str
    now: float
    """Epoch seconds."""
    states: Mapping[str, str] = field(default_factory=dict)
    """"account/region" -> state of its delivery."""
    pointers: pointers.Pointers = field(default_factory=dict)
    """Those that the AMI has in its targets."""
    pins: Mapping[RecordKey, Pin | None] = field(default_factory=dict)
    """Those that hold them; None: a damaged one."""
    waves: FileWaves = field(default_factory=lambda: FileWaves({}, {}))
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Place -> the operator who has withdrawn it."""
    recalled: Fault | None = None
    """Why nothing is promoted: the AMI is recalled; None: it is not."""
    named_by: Mapping[str, str] = field(default_factory=dict)
    """"account/region" -> the setting `ssm_parameter` for which its delivery counts."""


def plan(facts: PlanFacts) -> dict[str, Any]:
    """Return what the value would do."""
    image, resolution, wanted = facts.image, facts.resolution, facts.resolution.targets
    pending = image.state == "pending"
    waits = resolution.waits or (_pending(image) if pending and facts.recalled is None else None)
    faults = tuple(filter(None, (facts.recalled,)))
    if not pending:
        faults += preflight.source_faults(image, facts.hub.account, facts.keys, wanted, trigger_tag=facts.tag_key)
        faults += preflight.method_faults(image, wanted)
    foreign = {one.place: fault for one in wanted if (fault := _foreign(one, image, facts.hub.account)) is not None}
    without_grant = [fault for place, fault in foreign.items() if resolution.by_place[place].roles_by_default]
    no_family = [fault for one in wanted if (fault := naming.begun(image, one).fault)]
    targets = [_target(one, facts, foreign.get(one.place)) for one in wanted]
    stays = {place for place, was in facts.states.items() if was == "recalled" and facts.recalled is not None}
    gone = facts.states.keys() - resolution.by_place.keys() - stays
    targets += [_gone(place, facts.states[place]) for place in gone]
    unknown = {**NOTHING, "method": "", "method_why": ""} if pending else {}
    every = [{**_held_back(one, facts), **unknown} for one in sorted(targets, key=place_of)]
    accounts = {target.account for target in wanted}
    blocked = (*resolution.blocked.values(), *facts.waves.faults(accounts, VALUE))
    bad = bool(faults or blocked or waits or any(one["faults"] for one in every))
    return {
        "ami": facts.ami,
        "name": image.name or "",
        "value": facts.value,
        "targets": every,
        "faults": [fault.to_json() for fault in faults],
        "doubts": [fault.to_json() for fault in (*provenance.doubts(image), *without_grant, *no_family)],
        "blocked": [fault.to_json() for fault in blocked],
        "waves": waves.planned(facts.waves, accounts, resolution.by_place),
        "waits_for": waits.to_json() if waits else None,
        "checks": len(image.snapshots) + len(facts.keys) + 1,
        "ready": not bad,
    }


def _pending(image: SourceImage) -> Fault:
    what = "The AMI is pending; the service waits until it is available. What it then copies is not known yet."
    return Fault("source-pending", image.id, what, "Run the command again when the AMI is available.")


def _held_back(one: Mapping[str, Any], facts: PlanFacts) -> dict[str, Any]:
    """Mark what is withdrawn or recalled: it gets nothing new. What is withdrawn keeps what was delivered."""
    by = covering(facts.withdrawn, place_of(one))
    stays = one["does"] in ("there already", "stays") and one["mode"] != "share"
    does = one["does"] if by is None or stays else "withdrawn"
    if facts.recalled is not None and does != "cancelled":
        does = "recalled"
    if does == one["does"] and by is None:
        return {**one, "withdrawn_by": ""}
    pointer = one["pointer"] and {**one["pointer"], "counts": False}
    nothing = {} if does == one["does"] else NOTHING
    return {**one, **nothing, "does": does, "pointer": pointer, "withdrawn_by": by or ""}


def _foreign(target: Target, image: SourceImage, hub: str) -> Fault | None:
    """Return why the target's service-linked roles get no grant on the keys of the AMI that it is to launch."""
    keys = source_keys(image) if target.mode == "share" else ()
    return preflight.roles_on_foreign_keys(target, hub, keys)


def _target(target: Target, facts: PlanFacts, foreign: Fault | None) -> dict[str, Any]:
    image, copied = facts.image, target.mode == "copy"
    method, why = preflight.method(target, image) if copied else ("", "")
    wanted = snapshots_to_copy(image)
    sizes = {one.id: one.volume_size for one in image.snapshots}
    made = {"CopyImage": 1} if method == "image" else {"CopySnapshot": len(wanted), "RegisterImage": 1}
    does = _does(facts.states.get(target.place))
    begins = does in ("new", "tried again")
    gib = sum(sizes.get(one, 0) for one in wanted) if copied and begins else 0
    launched = prices.of_launch(target)
    held = pointers.pin_for(image, target)
    pointer = pointers.planned(image, target, facts.pointers, facts.pins.get(held) if held else None)
    same = target.ssm_parameter == facts.named_by.get(target.place)
    free = not needs(target)
    read_again = free or same  # a delivery reads the file before its notice
    moves = {"there already": free and not same, "under way": read_again, "restored": read_again}
    faults = preflight.sharing_faults(target, int(facts.now))
    faults += (foreign,) if foreign is not None and begins and not target.roles_by_default else ()
    return {
        "account": target.account,
        "region": target.region,
        "does": does,
        "approval": target.approval,
        "mode": target.mode,
        "method": method,
        "method_why": why,
        "key": target.key if copied else "",
        "key_access": target.key_access,
        "service_linked_roles": [last_part(one) for one in target.service_linked_roles if foreign is None],
        "roles_named": bool(target.service_linked_roles) and not target.roles_by_default,
        "ami_name": names.image_name(target.ami_name, image) if copied else image.name or "",
        "family": family_of(image.tags, target.family_tag),
        "pointer": pointer and {**pointer, "counts": moves.get(does, True)},
        "gib": gib,
        "dollars": {
            **(prices.of_target(target, gib, facts.hub.region) if gib else {}),
            **(launched if begins else {}),
        },
        "calls": {**(made if copied else {}), **({"RunInstances": 1} if target.launch_test else {})} if begins else {},
        "groups": list(facts.resolution.groups.get(target.place, ())),
        "faults": [fault.to_json() for fault in faults],
    }


def _does(was: str | None) -> str:
    if was is None:
        return "new"
    return DOES.get(OUTCOMES[was].begins_again, "tried again") if was in OUTCOMES else "under way"


def _gone(place: str, was: str) -> dict[str, Any]:
    """Return the entry of a target that has a delivery and that the value no longer names."""
    account, region = Place.parse(place)
    does = "withdrawn" if was == "shared" else "stays" if was in ENDED else "cancelled"
    empty = dict.fromkeys(("approval", "mode", "method", "method_why", "key", "key_access", "ami_name", "family"), "")
    none: dict[str, Any] = {"groups": [], "faults": [], "service_linked_roles": [], "roles_named": False}
    return {"account": account, "region": region, "does": does, **empty, **NOTHING, **none, "pointer": None}


def show(data: Mapping[str, Any], place: str, *, wide: bool) -> Iterator[RenderableType]:
    """Yield a plan's lines."""
    yield f"{data['ami']} {data['name']} in {place}, value {quoted(data['value'])}:"
    yield f"{_counted(data['targets'])}. This is a preview."
    yield ""
    each = wide or len(data["targets"]) <= SINGLY
    rows = groups(data["targets"], _like_it, each=each)
    if rows:
        yield table(
            ("TARGET", "DOES", "HOW", "KEY", "GIB"),
            [_row(group, wide=wide) for group in rows],
            folds=("TARGET", "HOW", "KEY"),
        )
    if any(len(group) > 1 for group in rows):
        yield "With `--wide` each target has a row of its own."
    remarks = [(one, what) for one in data["targets"] for what in _remarks(one, data["ami"])]
    for said_of in groups(remarks, _remark, each=wide):
        places = named([place_of(one) for one, _ in said_of])
        yield f"{places}: {said_of[0][1]}"
    yield from waves.planned_lines(data["waves"])
    yield ""
    waits = list(filter(None, (data["waits_for"],)))
    if not waits:
        total = sum(one["gib"] for one in data["targets"])
        calls = _calls(data["targets"])
        yield f"Copies: {total:,} GiB at most (EBS may copy increments){f', {calls}' if calls else ''}."
        yield from prices.lines(data["targets"])
    faults = (*data["faults"], *data["blocked"])
    for called, some in (("WARNING", data["doubts"]), ("FAILED", faults), ("WAITS", waits)):
        for equal in groups(some, _fault, each=wide):
            yield f"{called} {equal[0]['code']}: {first_of([one['where'] for one in equal])}: {said(equal[0])}"
    if data["ready"]:
        passed = count(data["checks"], "check")
        yield f"Passed: {passed} of the source. Each target is checked when its delivery begins."


def _counted(targets: Sequence[Mapping[str, Any]]) -> str:
    """Count what happens to targets; the first three always, as a zero of these says something, too."""
    found = Counter(map(_does_to, targets))
    named = {"new": "new", "tried again": "to try again", "there already": "there already"}
    will = {"ends": "to end", "is withdrawn": "to withdraw"}
    other = [f"{number:,} {will.get(does, does)}" for does, number in sorted(found.items()) if does not in named]
    return ", ".join([*(f"{found[does]:,} {name}" for does, name in named.items()), *other])


def _remarks(one: Mapping[str, Any], ami: str) -> Iterator[str]:
    if one["withdrawn_by"]:
        yield f"withdrawn by {one['withdrawn_by']}, {endings.until(ami)}."
    if one["approval"] == "required" and one["does"] in ("new", "tried again"):
        yield f"waits for an approval first: `ami-promoter approve {ami}`."
    if one["method_why"]:
        yield one["method_why"]
    if (roles := ", ".join(one["service_linked_roles"])) and one["does"] in ("new", "tried again"):
        without = "fails there" if one["roles_named"] else "goes on there without that grant"
        yield f"{roles} gets a grant on the key. Without such a role the delivery {without}."
    if one["pointer"] and one["pointer"]["counts"] and one["does"] not in ("withdrawn", "recalled"):
        of = f"family {one['family']}, parameter {one['pointer']['parameter']}"
        yield f"{of}: {one['pointer']['why'] or 'It will name this AMI.'}"
    yield from map(said, one["faults"])


def _remark(pair: tuple[Mapping[str, Any], str]) -> tuple[str, ...]:
    one, what = pair
    return alike(one["account"], one["region"], what)


def _fault(fault: Mapping[str, Any]) -> tuple[str, ...]:
    return alike_anywhere(fault["code"], fault["where"], said(fault))


def _like_it(one: Mapping[str, Any]) -> tuple[object, ...]:
    return one["does"], _how(one), alike(one["account"], one["region"], one["key"]), one["gib"]


def _how(one: Mapping[str, Any]) -> str:
    return str({"image": "CopyImage", "snapshots": "snapshots"}.get(one["method"], one["mode"]))


def _row(group: Sequence[Mapping[str, Any]], *, wide: bool) -> Sequence[RenderableType]:
    """Write the row of one target, or of several equal ones, with their total GiB."""
    one = group[0]
    places = first_of(list(map(target_of, group)), 1)
    key = one["key"] if one["key"].startswith("alias/") else short(one["key"], wide=wide)
    gib = sum(member["gib"] for member in group)
    return places, state(_does_to(one)), _how(one), key, f"{gib:,}" if gib else ""


def _does_to(one: Mapping[str, Any]) -> str:
    """Say what happens to a target: what the value ends has not ended yet."""
    words = {"cancelled": "ends", **({} if one["withdrawn_by"] else {"withdrawn": "is withdrawn"})}
    return words.get(one["does"], str(one["does"]))


def _calls(targets: Sequence[Mapping[str, Any]]) -> str:
    totals = Counter[str]()
    for one in targets:
        totals.update(one["calls"])
    return ", ".join(f"{number:,} {call}" for call, number in sorted(totals.items()))
