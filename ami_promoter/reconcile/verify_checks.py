"""Checks a promotion after its end: the copies exist, and no permission is open that nothing needs. Pure.

The service compared each copy with its source when it delivered it. These checks cover what can change afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.grouped_checks import bad, good, unseen
from ami_promoter.terminal import schema as js
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import IMAGE, Place, Resource
from chalicelib.images import comparison
from chalicelib.images.deprecation import to_minute
from chalicelib.images.image import SourceImage
from chalicelib.inventory.machine import OwnImage, OwnSnapshot
from chalicelib.sharing.shown import ShownAccess

CHECK = js.thing(
    "one check",
    **js.PLACE,
    check=js.text(
        "name of the check: answers, image, attributes, protection, snapshots, encryption, snapshot-permissions, "
        "launch-permission or key-grants"
    ),
    passed=js.perhaps(js.flag("whether the check passed; null: the command could not make it")),
    what=js.text("what the command found"),
    cure=js.text("what to do; empty: the check passed"),
)
ASK = (
    "Look in that account's CloudTrail who did it. To deliver again, remove the tag, wait until "
    "`status` says `over`, and tag again."
)
CHANGED = (
    "Look in that account's CloudTrail who did it (ModifyImageAttribute, EnableImageDeprecation, "
    "DisableImageDeprecation), and ask them to change it back."
)
CLOSES = (
    "The service closes it within minutes: run `verify` again. If it is still open, run `ami-promoter admin reconcile`."
)
MARKS = re.compile("'WatermarkKey': '([^']*)'")
REREAD = "Use a role that can read that, and run `verify` again."
LOOK = "`ami-promoter admin reconcile` lists what no record explains; with --apply it removes that."


@dataclass(frozen=True, slots=True)
class SeenInTarget:
    """What AWS shows in targets (``targets``) and at the sources. ``unread``: what of the sources could not be read."""

    targets: Mapping[Place, TargetFacts]
    permissions: Mapping[Resource, frozenset[str]]
    grants: Mapping[str, Sequence[ShownAccess]] = field(default_factory=dict)
    """Those of the service, by their keys."""
    unread: tuple[Fault, ...] = ()
    source: SourceImage | None = None
    """The source AMI as it was when it was promoted; None if that cannot be read."""
    held: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """(resource, account) of the shares that are open on purpose: standing, preexisting, or for copies."""
    not_closing: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """(resource, account) of a share that does not close -> what happened, and the cure."""


def checks(delivery: Mapping[str, Any], seen: SeenInTarget) -> list[dict[str, Any]]:
    """Check one delivery that is delivered or shared, as ``promotion_data`` shows it."""
    place = Place(str(delivery["account"]), str(delivery["region"]))
    own = delivery["state"] == "delivered"
    every = [*(_arrived(delivery, seen.targets[place], seen.source) if own else ()), *_open(delivery, place[0], seen)]
    return [{"account": place[0], "region": place[1], **one} for one in every]


def _arrived(delivery: Mapping[str, Any], target: TargetFacts, source: SourceImage | None) -> Iterator[dict[str, Any]]:
    if target.trouble:
        yield unseen("answers", target.trouble.what, f"{target.trouble.cure} Then run `verify` again.".strip())
        return
    yield good("answers", "The target answered.")
    image = next((one for one in target.images if one.id == delivery["image"]), None)
    if image is None:
        yield bad("image", f"{delivery['image']} is gone, or no longer has the service's tag.", ASK)
    elif image.state != "available":
        yield bad("image", f"{image.id} is {image.state}.", ASK)
    else:
        yield good("image", f"{image.id} is available.")
        yield _attributes(_as_retired(image, delivery, source), source)
        if delivery["protect"]:
            yield _protection(delivery, protected=image.protected)
    there = {one.id: one for one in target.snapshots}
    wanted = [str(copy["copy"]) for copy in delivery["copies"] if copy["copy"]]
    gone = [one for one in wanted if one not in there]
    broken = [f"{one} is {there[one].state}" for one in wanted if one in there and there[one].state != "completed"]
    if gone or broken:
        missing = [f"{one} is gone, or no longer has the service's tag" for one in gone]
        yield bad("snapshots", f"{'; '.join((*missing, *broken))}.", ASK)
    else:
        yield good("snapshots", f"{len(wanted)} of {len(wanted)} are completed.")
    yield _encryption(delivery, [there[one] for one in wanted if one in there])


def _as_retired(image: OwnImage, delivery: Mapping[str, Any], source: SourceImage | None) -> OwnImage:
    """Return the AMI with its source's deprecation date, if the service itself has deprecated it as superseded."""
    if source is None or not (delivery.get("pointer") or {}).get("retired"):
        return image
    others = {name: value for name, value in image.changeable.items() if name != "DeprecationTime"}
    date = {"DeprecationTime": source.deprecation_time} if source.deprecation_time else {}
    return replace(image, changeable=others | date)


def _attributes(image: OwnImage, source: SourceImage | None) -> dict[str, Any]:
    """Compare what the target's own account can change of its AMI with the source as it was promoted."""
    if source is None:
        why = "The record of the source AMI as it was promoted is gone or damaged."
        return unseen("attributes", why, "Compare the two AMIs yourself: `aws ec2 describe-images`.")
    if differing := changed(source, image.changeable):
        return bad("attributes", f"{image.id} was changed: {'; '.join(differing)}.", CHANGED)
    return good("attributes", "The attributes that an account can change equal those of the source.")


def changed(image: SourceImage, found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an account has changed of its copy since; ``found``: ``CHANGEABLE`` of DescribeImages, as text.

    A source has no instance types (``preflight``).
    """
    compared = (
        ("Description", image.description or None, found.get("Description") or None),
        ("ImdsSupport", image.imds_support, found.get("ImdsSupport")),
        ("DeprecationTime", *_deprecation(image, found)),
        ("InstanceTypeSpecification", None, found.get("InstanceTypeSpecification")),
        ("ImageWatermarks", *comparison.watermarks(image, MARKS.findall(found.get("ImageWatermarks", "")))),
        ("Public", False, bool(found.get("Public"))),
    )
    return tuple(
        f"{member} is {comparison.shown(is_now)} and should be {comparison.shown(wanted)}"
        for member, wanted, is_now in compared
        if wanted != is_now
    )


def _deprecation(image: SourceImage, shown: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Return the wanted date and the copy's: the same minute, or a later one if the source was deprecated before it."""
    dates = image.deprecation_time, shown.get("DeprecationTime"), shown.get("CreationDate")
    wanted, found, made = (to_minute(at) if at else None for at in dates)
    if wanted and found and made and wanted < made + timedelta(hours=1):
        wanted = max(wanted, found)
    return wanted, found


def _encryption(delivery: Mapping[str, Any], snapshots: Sequence[OwnSnapshot]) -> dict[str, Any]:
    """Check the key of each snapshot against the one that the target's own account named before the copy."""
    key = str(delivery["key"] or "")
    other = [f"{one.id} under {one.key_arn or 'no key'}" for one in snapshots if one.key_arn != key]
    if not other:
        return good("encryption", f"Each is encrypted under {key}.")
    return bad("encryption", f"Not encrypted under {key}: {', '.join(other)}.", ASK)


def _protection(delivery: Mapping[str, Any], *, protected: bool) -> dict[str, Any]:
    """Check the deregistration protection that the targets file asks for. The target account can turn it off."""
    image, why = delivery["image"], delivery["unprotected"]
    if protected:
        return good("protection", f"{image} cannot be deregistered.")
    if why:
        return bad("protection", str(why.get("what", "")), str(why.get("cure", "")))
    cure = (
        "Look in that account's CloudTrail who turned it off. If the AMI must stay: `aws ec2 "
        f"enable-image-deregistration-protection --image-id {image} --region {delivery['region']}`."
    )
    return bad("protection", f"{image} no longer has deregistration protection.", cure)


def _open(delivery: Mapping[str, Any], account: str, seen: SeenInTarget) -> Iterator[dict[str, Any]]:
    """Check that nothing is open to the account that no standing or preexisting share, and no copy, needs."""
    for images, name in ((False, "snapshot-permissions"), (True, "launch-permission")):
        unread = _unread(seen, "ami-" if images else "snap-")
        read = {source: who for source, who in seen.permissions.items() if (source.kind == IMAGE) is images}
        to_all = [source.in_words for source, who in read.items() if "all" in who]
        open_to = [source for source, who in read.items() if account in who]
        over = [source.in_words for source in open_to if (str(source), account) not in seen.held]
        shared = images and delivery["state"] == "shared"
        if to_all:
            cure = "Remove that permission at once, and look in CloudTrail who added it."
            yield bad(name, f"{', '.join(to_all)} is public.", cure)
        elif over and not shared:
            what = f"{', '.join(over)} is open to the account, and nothing needs that."
            yield _unneeded(name, what, [(str(source), account) for source in open_to], seen)
        elif unread:
            yield unseen(name, unread, REREAD)
        elif shared and not open_to:
            cure = "Run `ami-promoter status`: the AMI may be shared with an OU."
            yield bad(name, "The AMI is not shared with the account itself.", cure)
        else:
            yield good(name, "Open on purpose." if open_to else "Nothing is open to the account.")
    theirs = [one for grants in seen.grants.values() for one in grants if one.on.account == account]
    grants = [one for one in theirs if (one.resource, account) not in seen.held]
    if grants:
        named = ", ".join(sorted({one.on.arn for one in grants}))
        what = f"{count(len(grants), 'unneeded grant')} to the account on {named}."
        yield _unneeded("key-grants", what, [(one.resource, account) for one in grants], seen)
    elif unread := _unread(seen, "arn:"):
        yield unseen("key-grants", unread, REREAD)
    else:
        yield good("key-grants", "The account has no unneeded grant.")


def _unneeded(check: str, what: str, open_to: Iterable[tuple[str, str]], seen: SeenInTarget) -> dict[str, Any]:
    """A failed check, with why the service does not close it, if it tries in vain."""
    stuck = next((seen.not_closing[one] for one in open_to if one in seen.not_closing), None)
    return bad(check, f"{what} {stuck['what']}", stuck["cure"]) if stuck else bad(check, what, f"{CLOSES} {LOOK}")


def _unread(seen: SeenInTarget, beginning: str) -> str:
    """Say what could not be read of the resources whose names begin so; "": all of it was."""
    return " ".join(f"{one.where}: {one.what}" for one in seen.unread if one.where.startswith(beginning))
