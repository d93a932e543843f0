"""The page's sections; each function turns a part of the model into HTML elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element

from ami_promoter.hub import recalls
from ami_promoter.hub.records import target_of, unpark
from ami_promoter.promotions import pointers, promotion_text
from ami_promoter.report_page.current import Family, Placed
from ami_promoter.report_page.exposure import UNREADABLE, Exposure
from ami_promoter.report_page.html import Content, el
from ami_promoter.report_page.model import Overview, ShownPromotion, Timeline
from ami_promoter.report_page.parts import (
    OPEN_ROWS,
    STEPS,
    Scale,
    TableKind,
    code,
    drawing,
    folded,
    legend,
    prose,
    said,
    scale,
    state,
    steps,
    when,
)
from ami_promoter.terminal.alike import groups
from ami_promoter.terminal.report import span
from chalicelib.engine.faults import count
from chalicelib.engine.places import Arn

CURRENT = TableKind("cur", ("Target", "Image", "Source", "Delivered"))
POINTERS = TableKind("ptr", (*CURRENT.head, "Parameter"))
OPEN = TableKind("now", ("Account", "May use", "For", "Since", "State", "Ends"))
INTERVALS = TableKind("was", ("Account", "From", "Until", "For", "Time"))
DELIVERIES = TableKind("del", ("Target", "State", "Since", "Image", "Time in each state"))
TABLES = (CURRENT, POINTERS, OPEN, INTERVALS, DELIVERIES)
TITLES = {
    "attention": "Needs attention",
    "images": "Current images",
    "exposure": "Exposure",
    "deliveries": "Deliveries",
    "read": "What was read",
}
"""Id of a section -> its title, in their order on the page."""

KINDS = {
    "image": "AMI",
    "snapshot": "Snapshot",
    "key": "Key, by grant",
    "policy": "Key, by its policy",
    "role": "Key, by grant to a service-linked role",
}
"""Kind of a permission -> the resource that it is on."""
ON_KEYS = ("key", "policy", "role")
"""Permissions that name a principal; the others are for a whole account."""


def attention(shown: Overview) -> Element:
    """List what failed, was refused or parked, with what to do."""
    parts: list[Content] = [_troubled(one) for one in shown.troubled]
    if shown.parked:
        rows = [el("li", _what(f"`{pk}`: {why}", unpark(pk))) for pk, why in shown.parked.items()]
        parts += [
            el("h3", "Parked records"),
            el("p", "The service does nothing with these until an operator lets them continue."),
        ]
        parts.append(el("ul", rows))
    if shown.pointers:
        same = [_targets(group, *_pointer(group[0])) for group in groups(shown.pointers, pointers.like)]
        words = "These parameters do not name the current AMI of their family, and the AMIs are delivered all the same."
        parts += [el("h3", "Pointers with a fault"), el("p", words), el("ul", same, class_="faults")]
    return section("attention", parts or _nothing("Nothing has failed, and nothing is refused or parked."))


def _troubled(data: Mapping[str, Any]) -> Element:
    faults = ((f"refused: {fault.get('what', '')}", str(fault.get("cure", ""))) for fault in data["faults"])
    parked = [(f"parked: {data['parked']}", "")] if data["parked"] else []
    said_of = [el("li", _what(*one)) for one in (*faults, *parked)]
    same = groups(data["deliveries"], promotion_text.trouble)
    targets = [_targets(group, state(str(group[0]["state"])), promotion_text.remarks(group[0])) for group in same]
    first, rest = targets[:OPEN_ROWS], targets[OPEN_ROWS:]
    return el(
        "article",
        el("h3", data["name"] or "Unnamed", " ", code(data["ami"])),
        el("p", *prose(_value(data)), class_="dim"),
        el("ul", said_of, first, class_="faults") if said_of or first else None,
        folded(f"{count(len(rest), 'more problem')}", el("ul", rest, class_="faults")) if rest else None,
        el("p", "Details: ", code(f"ami-promoter status {data['ami']}"), class_="dim"),
    )


def _targets(group: Sequence[Mapping[str, Any]], word: Content, remarks: Iterable[tuple[str, str]]) -> Element:
    """Show what one target has, or several alike: the remarks are those on the first."""
    first, *others = group
    of = f"{len(group):,} targets" if others else target_of(first)
    head: list[Content] = [el("p", el("b", of), " ", word)]
    said_of = [_what(what, cure) for what, cure in remarks]
    if not others:
        return el("li", head, said_of)
    places = el("ul", [el("li", target_of(one)) for one in group], class_="places")
    of_first = el("p", f"In {target_of(first)}, for example:", class_="dim")
    return el("li", head, of_first, said_of, folded("Which targets", places, rows=len(group)))


def _pointer(one: Mapping[str, Any]) -> tuple[Content, Sequence[tuple[str, str]]]:
    return [code(one["parameter"]), f", family {one['family']}"], [(one["fault"]["what"], one["fault"]["cure"])]


def _what(what: str, cure: str) -> list[Element]:
    return [el("p", *prose(what)), *([el("p", *prose(cure), class_="cure")] if cure else [])]


def _value(data: Mapping[str, Any]) -> str:
    value = data["value"]
    return "no tag in force" if value is None else f"value in force: {promotion_text.quoted(value)}"


def _target(account: str, region: str) -> Content:
    """Show a target in a table; a Region stays on one line."""
    return [f"{account} ", el("span", region, class_="whole")]


# --- images ----------------------------------------------------------------------------------------------------------


def images(shown: Overview) -> Element:
    """List the current image of each target."""
    if not shown.families:
        return section("images", _nothing("No target has an image."))
    words = (
        "For each target, the image that its parameter names; without a parameter, the image that was delivered last. "
        "Images belong to one family if a tag of their sources says so; without that tag, if their names differ only "
        "in a date, a long number or a version at the end. The list includes images that their account has removed "
        "since; "
    )
    rule: Content = (words, code("ami-promoter verify"), " checks each image.")
    listed = (el("p", rule, class_="dim"), map(_family, shown.families))
    return section("images", *listed, *_removable(shown.retired))


def _removable(retired: Sequence[Mapping[str, Any]]) -> Iterator[Element]:
    """List the superseded copies that the accounts' administrators can remove."""
    if not retired:
        return
    rows = [el("li", f"{one['family']}, {target_of(one)}: ", code(one["image"])) for one in retired]
    yield el("h3", "Removable images")
    yield el(
        "p", "They are superseded and deprecated. ", code("ami-promoter admin clean-up"), " removes them.", class_="dim"
    )
    yield folded(f"{count(len(rows), 'image')} removable", el("ul", rows, class_="places"), rows=len(rows))


def _family(one: Family) -> Element:
    up_to_date = len(one.current) - one.behind
    all_have = f"{up_to_date} of {count(len(one.current), 'target')} have"
    kind = POINTERS if one.pointers else CURRENT
    summary = (el("b", one.name), f" — {all_have} {one.latest.name or 'the latest'}")
    behind = el("span", count(one.behind, "target"), " behind", class_="st warn") if one.behind else None
    earlier = f" Delivered to these targets before: {count(one.earlier, 'image')}." if one.earlier else ""
    ordered = sorted(one.current, key=lambda here: here.source == one.latest.source)
    return folded(
        [summary, " ", behind],
        el("p", "Latest: ", code(one.latest.source), f", delivered {said(one.latest.since)}.", earlier, class_="dim"),
        kind.show(f"{one.name}: current image by target", (_current(here, one) for here in ordered)),
        rows=len(one.current),
        open_=True,
    )


def _current(one: Placed, of: Family) -> Sequence[Content]:
    older = el("span", "behind", class_="st warn") if one.source != of.latest.source else None
    image = [code(one.image), "" if one.own else " owned by the hub, shared"]
    source = [one.name, " ", code(one.source) if one.own else None, " ", older]
    row = (_target(one.account, one.region), image, source, said(one.since))
    return (*row, _parameter(one)) if of.pointers else row


def _parameter(one: Placed) -> Content:
    if not one.pointer:
        return "-"
    name, fault = one.pointer["parameter"], one.pointer["fault"] or {}
    why = str(fault.get("what") or one.pointer["why"])
    held = f" names it, and a {pointers.held(one.pointer['pinned_why'])}" if one.pointer["pinned"] else " names it"
    return [code(name) if name else None, el("small", why) if why else held]


# --- exposure --------------------------------------------------------------------------------------------------------


def exposure(shown: Overview) -> Element:
    """List which account could use what, from when to when, and what is open now."""
    now, since = shown.context.now, shown.context.since
    found = shown.exposures
    open_now = [one for one in found if one.open]
    drawn = max(since, min((one.start or since for one in found), default=since))
    lead = (
        "The permissions on snapshots, AMIs and keys that the service opened for other accounts: those that are open "
        f"now, and those that were closed in the last {count(shown.context.days, 'day')}."
    )
    head = [el("p", lead, class_="dim"), _limits()]
    if not found:
        return section("exposure", head, _nothing("No permission is open now, and none was open in this time."))
    many = len(open_now)
    opened = (
        OPEN.show("Open now", (_open(one, shown) for one in open_now)) if many else _nothing("No permission is open.")
    )
    if many > OPEN_ROWS:
        opened = folded(f"{count(many, 'permission')} open", opened, rows=many)
    return section(
        "exposure",
        head,
        drawing(found, drawn, now),
        el("h3", "Open now"),
        opened,
        el("h3", "By resource"),
        _resources(shown, Scale(drawn, now)),
    )


def _limits() -> Element:
    limits = (
        (
            "The service keeps closed permissions for the time in the hub's parameter `KeepHistoryDays` (default: 400 "
            "days). The page cannot show permissions that were closed before."
        ),
        "The page does not list permissions that others added: `ami-promoter admin reconcile` finds them.",
        "The page does not list grants on a target's own key: they open nothing that the hub owns.",
    )
    return el("ul", [el("li", prose(one)) for one in limits], class_="dim")


def _open(one: Exposure, shown: Overview) -> Sequence[Content]:
    what: Content = [KINDS.get(one.kind, one.kind), " ", code(Arn.parse(one.name).resource)]
    principal = Arn.parse(one.principal).resource if one.kind in ON_KEYS else ""
    account: Content = [one.account, el("small", principal) if principal not in ("", "root") else None]
    return account, what, _amis(one, shown), _start(one), state(one.state), one.closes


def _amis(one: Exposure, shown: Overview) -> str:
    return ", ".join(shown.names.get(ami) or ami for ami in one.amis) or "-"


def _start(one: Exposure) -> str:
    return when(one.start) if one.sure or one.start is None else f"{when(one.start)} at the earliest"


def _resources(shown: Overview, bars: Scale) -> Iterator[Element]:
    yield bars.named()
    by_resource = sorted(shown.exposures, key=lambda one: (one.kind, one.name))
    for (kind, name), several in groupby(by_resource, key=lambda one: (one.kind, one.name)):
        group = list(several)
        open_now = sum(one.open for one in group)
        accounts = len({one.account for one in group})
        amis = {ami: None for one in group for ami in one.amis}
        of = ", ".join(shown.names.get(ami) or ami for ami in list(amis)[:3]) if kind == "snapshot" else ""
        of = shown.names.get(name, "") if kind == "image" else of
        yield folded(
            [
                el("b", of) if of else None,
                " — " if of else "",
                f"{KINDS.get(kind, kind)} ",
                code(name),
                f", {count(accounts, 'account')}, ",
                el("span", f"{open_now:,} open", class_="st open") if open_now else "none open",
            ],
            INTERVALS.show(
                f"{KINDS.get(kind, kind)} {name}: who could use it, and when", _intervals(group, bars, shown)
            ),
            rows=len(group),
        )


def _intervals(group: Sequence[Exposure], bars: Scale, shown: Overview) -> Iterator[Sequence[Content]]:
    now = shown.context.now
    for one in sorted(group, key=lambda one: (one.account, one.start or 0)):
        end = now if one.end is None else one.end
        until: Content = state(one.state) if one.end is None else when(one.end)
        lasted = "not known" if one.start is None else span(end - one.start) + (" so far" if one.open else "")
        kind = "open" if one.open and one.state != UNREADABLE else "stop" if one.open else "was"
        yield one.account, _start(one), until, lasted, bars.bar([(kind, one.start or bars.start, end)])


# --- deliveries ------------------------------------------------------------------------------------------------------


def deliveries(shown: Overview) -> Element:
    """Show the deliveries as timelines."""
    if not shown.promotions:
        return section("deliveries", _nothing("No AMI has been promoted."))
    days = count(shown.context.days, "day")
    note = f"Deliveries that run, or changed in the last {days}. Each row shows the last episode of a delivery."
    parts = [_promotion(one, shown.context.now) for one in shown.promotions]
    return section("deliveries", el("p", note, class_="dim"), legend(), parts)


def _promotion(shown: ShownPromotion, now: int) -> Element:
    data = shown.data
    summary: Content = [
        el("b", data["name"] or data["ami"]),
        f" — {promotion_text.summary(data['deliveries'])} ",
        state(_came_out(data)),
    ]
    ended = [one.last for one in shown.timelines]
    running = any(one.spans and one.spans[-1].end is None and one.data["state"] != "shared" for one in shown.timelines)
    bars = scale([*(one.start for one in shown.timelines), *ended, now if running else None])
    head = el(
        "p",
        code(data["ami"]),
        ", ",
        *prose(_value(data)),
        f", {_came_out(data)} since {said(data['since'])}.",
    )
    older = f"{count(shown.older, 'delivery', 'deliveries')} ended before that." if shown.older else ""
    rows = (_row(one, bars, now) for one in shown.timelines)
    caption = f"Deliveries of {data['name'] or data['ami']}"
    return folded(
        summary,
        head,
        el("p", data["why"]) if data["why"] else None,
        el("p", "It was ", recalls.said(data["recall"])) if data["recall"] else None,
        [bars.named(), DELIVERIES.show(caption, rows)] if shown.timelines else None,
        el("p", older, class_="dim") if older else None,
        rows=len(shown.timelines),
        open_=running,
    )


def _came_out(data: Mapping[str, Any]) -> str:
    """Return how a promotion came out, or its state while it is under way."""
    state_ = "no delivery" if data["state"] == "over" else data["state"]
    return str(data["outcome"] or state_ or "unknown")


def _row(one: Timeline, bars: Scale, now: int) -> Sequence[Content]:
    pieces = [
        (STEPS.get(part.state, "end"), part.start, bars.end if part.end is None else part.end)
        for part in one.spans
        if part.end is None or part.end > part.start
    ]
    copies = [_copy(copy) for copy in one.data["copies"]] if not one.data["image"] else []
    words: Content = [el("span", steps(one.spans, now)), [el("small", copy) for copy in copies if copy]]
    image: Content = code(one.data["image"]) if one.data["image"] else "-"
    if one.data["state"] == "shared":
        image = "the hub's"
    return (
        _target(one.data["account"], one.data["region"]),
        state(str(one.data["state"])),
        said(one.data["since"]),
        image,
        [bars.bar(pieces) if pieces else None, words],
    )


def _copy(copy: Mapping[str, Any]) -> str:
    if copy["state"] != "pending":
        return ""
    left = promotion_text.left([copy])
    return f"{copy['source']}: {copy['progress'] or 0} %{f', left: {left}' if left else ''}"


def section(ident: str, *content: Content) -> Element:
    """Make a section with its title."""
    head = el("h2", TITLES[ident], id=f"{ident}-title")
    return el("section", head, *content, id=ident, aria_labelledby=f"{ident}-title")


def _nothing(words: str) -> Element:
    return el("p", words, class_="none")
