"""Renders the page: one HTML document with its style, without scripts, that loads nothing from elsewhere."""

from __future__ import annotations

from importlib import resources
from xml.etree.ElementTree import Element

from ami_promoter.report_page import sections
from ami_promoter.report_page.html import Content, document, el
from ami_promoter.report_page.model import Overview
from ami_promoter.report_page.parts import when
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.engine.faults import count, noun

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The browser loads nothing and runs nothing, even if a name contains markup."""
FIRST = 5
"""Images at the top of the page, and in the command's output; those that failed come first."""
NOTHING = "No AMI has been promoted to any account."


def render(shown: Overview) -> str:
    """Write the page."""
    context = shown.context
    title = f"AMI promotions of {context.account}, {context.region}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="robots", content="noindex"),
        el("title", title),
        el("style"),
    )
    parts = [make(shown) for make in (sections.attention, sections.images, sections.exposure, sections.deliveries)]
    main = el(
        "main", _headlines(shown), _warnings(shown), _glance(shown), parts, _read(shown), id="main", tabindex="-1"
    )
    body = el("body", el("a", "Skip to the content", href="#main", class_="skip"), _header(shown), main, _footer())
    return document(el("html", head, body, lang="en"), _style())


def _style() -> str:
    text = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    cards = "".join(table.cards() for table in sections.TABLES)
    return f"{text}@media (max-width:640px){{{cards}}}"


def _header(shown: Overview) -> Element:
    context = shown.context
    links = [el("li", el("a", name, href=f"#{ident}")) for ident, name in sections.TITLES.items()]
    return el(
        "header",
        el("h1", "AMI promotions"),
        el("p", f"Hub account {context.account}, {context.region}. Written {when(context.now)} UTC."),
        el("nav", el("ul", links), aria_label="Sections"),
    )


def _footer() -> Element:
    return el("footer", el("p", "All times are UTC. Written by ", el("code", "ami-promoter report"), "."))


def _headlines(shown: Overview) -> Element:
    """Answer first what is asked first: whether the newest image is everywhere."""
    first, rest = shown.headlines[:FIRST], shown.headlines[FIRST:]
    items = [el("li", el("b", one.image), str(one).removeprefix(one.image)) for one in first]
    if rest:
        items.append(el("li", el("a", f"{count(len(rest), 'more image')}", href="#images")))
    return el("ul", items or el("li", NOTHING), class_="headlines", role="list", aria_label="The newest images")


def _warnings(shown: Overview) -> Element | None:
    """List what makes the page incomplete, and what stops the hub."""
    said: list[Content] = []
    if shown.damaged:
        number = count(len(shown.damaged), "record")
        of = noun(len(shown.damaged), "it", "them")
        words = f"{number} could not be read completely: what the page shows of {of} can be wrong or missing. "
        said.append(el("li", words, el("a", "Which records, and why", href="#read"), "."))
    if shown.context.paused:
        said.append(el("li", f"Paused {shown.context.paused}. Nothing new starts."))
    said += [el("li", line) for line in shown.context.organization]
    return el("ul", said, class_="warnings", role="list", aria_label="Warnings") if said else None


def _glance(shown: Overview) -> Element:
    open_now = [one for one in shown.exposures if one.open]
    accounts = {one.account for one in open_now}
    states = [str(one["state"]) for shown_ in shown.promotions for one in shown_.data["deliveries"]]
    running = sum(1 for one in states if one not in OUTCOMES)
    refused = sum(bool(one["faults"]) for one in shown.troubled)
    behind = sum(one.behind for one in shown.families)
    tiles = (
        ("attention", f"{states.count('failed'):,}", f"failed, {refused} refused, {len(shown.parked)} parked"),
        (
            "images",
            f"{len(shown.families):,}",
            f"{noun(len(shown.families), 'family', 'families')} of images, {count(behind, 'target')} behind",
        ),
        (
            "exposure",
            f"{len(open_now):,}",
            f"{noun(len(open_now), 'permission')} open, for {count(len(accounts), 'account')}",
        ),
        ("deliveries", f"{running:,}", f"{noun(running, 'delivery', 'deliveries')} under way, of {len(states):,}"),
    )
    items = [el("li", el("a", el("b", number), " ", words, href=f"#{ident}")) for ident, number, words in tiles]
    return el("ul", items, class_="glance", role="list", aria_label="At a glance")


def _read(shown: Overview) -> Element:
    context = shown.context
    facts: tuple[tuple[str, Content], ...] = (
        ("Table", [el("code", context.table), f" in account {context.account}, {context.region}"]),
        ("Records", f"{count(shown.items, 'item')}, by consistent reads that ended at {when(context.now)} UTC"),
        (
            "Time",
            f"history since {when(context.since)} UTC ({count(context.days, 'day')}); open permissions and images: all",
        ),
        ("Not read", "EC2, KMS and the targets; the page shows only the service's records"),
    )
    could_not: Content = el("p", "Every record could be read.", class_="none")
    if shown.damaged:
        rows = [el("li", el("code", record), f": {why}") for record, why in shown.damaged.items()]
        cure = el("p", el("code", "ami-promoter admin reconcile"), " shows what to do about each.", class_="cure")
        could_not = [
            el("p", "These records are damaged or were written by another version. The page shows what it could read:"),
            el("ul", rows),
            cure,
        ]
    listed = el("dl", ([el("dt", name), el("dd", words)] for name, words in facts))
    return sections.section("read", listed, el("h3", "What could not be read"), could_not)
