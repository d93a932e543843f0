"""One promotion on a terminal of 80 columns or more. Pure: from ``promotion_data`` to what rich prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ami_promoter.hub import recalls, shares
from ami_promoter.hub.records import place_of, record_named, target_of, unpark
from ami_promoter.promotions import endings, pointers, waves
from ami_promoter.promotions.promotion_data import STOPPED, awaited_copies, only_failed
from ami_promoter.terminal.alike import alike, alike_anywhere, example, first_of, groups, named
from ami_promoter.terminal.output import COLORS, Bar, Folded, cell, short, state, table
from ami_promoter.terminal.report import span
from chalicelib.delivery.model import CopyState, DeliveryState
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import AGAIN, count
from chalicelib.promotion.model import PromotionState
from chalicelib.targets import approvals

MOST_LINES = 20
"""Of the console output on a terminal."""
BARS = 12
"""Up to this many copies have a row each; with more (and without --wide) each delivery has one bar."""
SINGLY = 24
"""Up to this many deliveries (half if watched), or open shares, have a row each; without --wide more share rows."""
AWAITING = ("awaiting-approval", "awaiting-wave")
"""States in which a delivery waits for others: it looks whether they are done, and tries nothing."""
LAST = {"failed": 0, "awaiting-slot": 2, "requested": 2, **dict.fromkeys(STOPPED, 3), **dict.fromkeys(GOOD, 4)}
"""The order of deliveries by state, where it counts; those under way come second."""
ENDS = ("copies", "stays", "preexisting", "closing")
"""By what a share ends, in the order in which `status` counts them."""

Data = Mapping[str, Any]


def show(
    data: Data, place: str, now: float, *, wide: bool = False, watched: bool = False, failed: bool = False
) -> Iterator[RenderableType]:
    """Yield a page's lines; ``now`` is in epoch seconds.

    ``failed``: show only deliveries in trouble; the head counts all. ``watched``: a screen may show only the first
    lines, so deliveries that failed or run come first.
    """
    yield from head(data, place, now, wide=wide)
    data = only_failed(data, and_pointers=True) if failed else data
    deliveries = data["deliveries"]
    together = len(deliveries) > (SINGLY // 2 if watched else SINGLY) and not wide
    if watched or together:
        deliveries = sorted(deliveries, key=lambda one: LAST.get(str(one["state"]), 1))
    if deliveries:
        yield ""
        yield _table(groups(deliveries, itemgetter("state"), each=not together), now, wide=wide)
    if together:
        yield "With `--wide` each target has a row of its own."
    if seen := [
        copy["progress_at"] for one in deliveries for copy in awaited_copies(one) if copy["progress_at"] != "-"
    ]:
        yield f"EC2 reported this progress at most {age(min(seen), now)} ago."
    said = list(notes(deliveries, wide=wide))
    yield from ["", *said] if said else []
    yield from next_step(data)
    yield from _shares(data["open_shares"], now, wide=wide)


def head(data: Data, place: str, now: float, *, wide: bool) -> Iterator[RenderableType]:
    """Write the state of the whole promotion."""
    yield Text.assemble((data["ami"], "bold"), " ", cell(data["name"]), f" in {place}")
    value = "no tag in force" if data["value"] is None else f"value {quoted(data['value'])}"
    since = age(data["since"], now)
    yield Text.assemble(
        state(data["outcome"] or data["state"] or "unknown"),
        f" {since} ago, " if data["outcome"] else f" for {since}, ",
        cell(value),
        ": ",
        cell(summary(data["deliveries"])),
    )
    if data["candidate"] is not None:
        yield f"being checked: {quoted(data['candidate'])}"
    if data["state"] == PromotionState.REQUESTED and data["seen_value"] is not None:
        yield f"It waits until the AMI is available; tagged {quoted(data['seen_value'])}."
    if data["why"] and not data["faults"]:
        yield data["why"]
    if data["parked"]:
        yield f"parked: {data['parked']}"
    if data["approval"] is not None:
        digest = f" --digest {approvals.short(data['approval'])}" if data["approval"] else ""
        yield Folded(f"awaiting approval: ami-promoter approve {data['ami']}{digest}", 2)
    yield from (Folded(line, 2) for line in waves.lines(data["waves"], data["ami"]))
    yield from (Folded(line, 2) for line in recalls.lines(data["ami"], data["recall"]))
    for same in groups(sorted(data["withdrawn"].items()), itemgetter(1), each=wide):
        by = f"withdrawn by {same[0][1]}, {endings.until(data['ami'])}"
        yield Folded(f"{named([target for target, _ in same])}: {by}.", 2)
    for fault in data["faults"]:
        yield Folded(f"refused: {said(fault)}", 2)


def quoted(value: str) -> str:
    """Write a tag's value; an empty one as words."""
    return f"`{value}`" if value else "empty (group `default`)"


def summary(deliveries: Sequence[Data]) -> str:
    """Count deliveries by state, in a line."""
    return counted(Counter(str(one["state"]) for one in deliveries))


def counted(states: Mapping[str, int]) -> str:
    """Write counts by state in a line."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(states.items())) or "no deliveries"


def age(moment: str, now: float) -> str:
    """Write how long ago an ISO 8601 moment was; a dash stays a dash."""
    return "-" if moment == "-" else span(now - datetime.fromisoformat(moment).timestamp())


def _table(alike: Sequence[Sequence[Data]], now: float, *, wide: bool) -> Table:
    """Write a row for each group: its first target, the longest time in its state, and how far its copies are."""
    each = wide or sum(len(awaited_copies(one)) for group in alike for one in group) <= BARS
    rows: list[Sequence[RenderableType]] = []
    for group in alike:
        running = [copy for one in group for copy in awaited_copies(one)]
        below = running if each and len(group) == 1 else []
        result = _result(group[0], wide=wide) if len(group) == 1 else ""
        rows.append(
            (
                first_of([target_of(one) for one in group], 1),
                state(str(group[0]["state"])),
                age(min((one["since"] for one in group if one["since"] != "-"), default="-"), now),
                left(running),
                _bar(running) if running and not below else result,
            )
        )
        for copy in below:
            label = cell(f"  {short(str(copy['source']), wide=wide)}", "dim")
            tries = f"try {copy['tries']}" if copy["tries"] > 1 else ""
            progress = cell("will be made again", "dim") if _is_made_again(copy) else _bar([copy])
            rows.append((label, cell(copy["state"] or "-", "dim"), tries, left([copy]), progress))
    return table(("TARGET", "STATE", "FOR", "LEFT", "AMI OR PROGRESS"), rows, folds=("TARGET",))


def _is_made_again(copy: Data) -> bool:
    return bool(copy["state"] == CopyState.WANTED and copy["tries"])


def _result(delivery: Data, *, wide: bool) -> RenderableType:
    if not delivery["image"]:
        tries = 0 if delivery["state"] in AWAITING else delivery["tries"]
        return f"try {tries + 1}" if tries else ""
    key = f" {short(delivery['key'], wide=wide)}" if wide and delivery["key"] else ""
    return f"{delivery['image']}{key}"


def _bar(copies: Sequence[Data]) -> RenderableType:
    """Draw the progress of copies, with the number."""
    return Bar(sum(_percent(copy) for copy in copies) // len(copies))


def _percent(copy: Data) -> int:
    if copy["state"] == "completed":
        return 100
    return copy["progress"] if isinstance(copy["progress"], int) else 0


def left(copies: Sequence[Data]) -> str:
    """Write the estimated time until the last of these copies completes; "" if one of them has no estimate."""
    each = [copy["seconds_left"] for copy in copies if copy["state"] != CopyState.COMPLETED]
    if not each or None in each:
        return ""
    return f"~{span(max(each))}" if max(each) else "soon"


def trouble(delivery: Data) -> tuple[str, ...]:
    """Return a delivery's state and remarks without what differs from target to target."""
    texts = (text for remark in remarks(delivery) for text in remark)
    return (str(delivery["state"]), *alike(delivery["account"], delivery["region"], *texts))


def notes(deliveries: Sequence[Data], *, wide: bool = False) -> Iterator[RenderableType]:
    """Write the remarks on deliveries: faults, what they wait for, and leftovers.

    Equal remarks are written once, failures first; with ``wide`` those of each delivery.
    """
    said = [one for one in deliveries if any(remarks(one))]
    found = groups(said, trouble, each=wide)
    for group in sorted(found, key=lambda group: group[0]["state"] != "failed"):
        first, *others = group
        of = f"{target_of(first)}: "
        if others:
            word = str(first["state"])
            places = named([place_of(one) for one in group])
            yield Folded(f"{places}:", lead=f"{word}  ", lead_style=COLORS.get(word, ""))
            of = example(target_of(first), {tuple(remarks(one)) for one in group})
        for what, cure in remarks(first):
            yield Folded(f"{of}{what}", 4 if others else 0)
            if cure := AGAIN.sub(".", cure) if first["state"] == "failed" else cure:
                yield Folded(cure, 4)


def troubles(pages: Sequence[Data], place: str, now: float, *, wide: bool = False) -> Iterator[list[RenderableType]]:
    """Show promotions in trouble, each in a part; of those that differ only in AMI and target, the first."""
    bad = [(one, only_failed(one)) for one in pages]
    found = groups(bad, lambda pair: _troubles(pair[1]), each=wide)
    for (whole, first), *others in found:
        lines = [*head(whole, place, now, wide=wide), *notes(first["deliveries"], wide=wide), *next_step(first)]
        if others:
            targets = sum(len(one["deliveries"]) for _, one in others)
            of = f", {count(targets, 'target')}" if targets else ""
            names = first_of([str(one["ami"]) for one, _ in others])
            lines.append(Folded(f"The same holds for {count(len(others), 'more AMI')}{of}: {names}."))
        yield lines
    if len(found) < len(bad) or any(len(one["deliveries"]) > 1 for _, one in bad):
        yield ["With `--wide` each AMI and target is shown by itself."]


def _troubles(data: Data) -> tuple[object, ...]:
    refused = alike_anywhere(data["why"], data["parked"], *(said(fault) for fault in data["faults"]))
    return data["approval"] is None, refused, frozenset(map(trouble, data["deliveries"]))


def parked(records: Sequence[Data], *, wide: bool = False) -> Iterator[RenderableType]:
    """Say which records are parked, and what lets them continue; those of one kind and for one reason together."""

    def same(one: Data) -> tuple[object, ...]:
        return one["record"] if wide else RecordKey(one["record"]).kind, *alike_anywhere(one["why"])

    for group in groups(records, same):
        names = first_of([record_named(one["record"], one["delivers"]) for one in group])
        yield f"Parked: {names}: {group[0]['why']}"
        yield unpark(group[0]["record"], each=len(group) > 1)


def next_step(data: Data) -> Iterator[RenderableType]:
    """Say how to try again what failed, and what shows why a copy is made again: only the history has the reason."""
    if any(_is_made_again(copy) for one in data["deliveries"] if not one["waits_for"] for copy in awaited_copies(one)):
        yield f"Why a copy is made again: `ami-promoter history {data['ami']}`"
    if data["parked"] or any(one["state"] == "failed" or one["parked"] for one in data["deliveries"]):
        yield f"After you have repaired that: `ami-promoter retry {data['ami']}`"


def remarks(delivery: Data) -> Iterator[tuple[str, str]]:
    """Yield the remarks on a delivery as (what, cure); cure "": nothing to do."""
    by = "CopyImage" if delivery["method"] == "image" else "CopySnapshot and RegisterImage"
    if delivery["method_why"] or delivery["method"] == "image":
        yield f"by {by}: {delivery['method_why'] or 'the targets file says so.'}", ""
    if delivery["parked"]:
        yield f"parked: {delivery['parked']}", ""
    if delivery["cancelled_because"]:
        yield f"{delivery['state']}: {delivery['cancelled_because']}", ""
    if recall := delivery["recall"]:
        done = recalls.remark(delivery["state"], recall, faulty=bool(delivery["faults"]))
        yield from [(done, "")] if done else []
    yield from ((said, "") for said in _launch_test(delivery["launch_test"], delivery["state"]))
    for fault in delivery["faults"]:
        yield str(fault.get("what", "")), str(fault.get("cure", ""))
    # with its AMI there, only a recall waits for what concerns a person
    if (waits := delivery["waits_for"]) and not delivery["faults"] and (recall or not delivery["image"]):
        yield f"is tried again: {waits.get('what', '')}", AGAIN.sub(".", str(waits.get("cure", "")))
    for lacks in filter(None, (delivery["unprotected"], delivery["without_roles"])):
        yield str(lacks.get("what", "")), str(lacks.get("cure", ""))
    if pointer := delivery["pointer"]:
        yield pointers.remark(delivery["family"], pointer)
    if leftovers := delivery["leftovers"]:
        yield f"leftovers: {', '.join(leftovers)}", ""


def _launch_test(test: Mapping[str, Any] | None, state: str) -> Iterator[str]:
    """Yield what a terminal shows of a launch test: that it runs, and the console output of one that failed."""
    if test is None:
        return
    if state == DeliveryState.LAUNCHING:
        next_ = "its instance is being terminated" if test["result"] else "its instance must pass its status checks"
        yield f"launch test on {test['instance_type']}: {next_}."
    yield from (f"console: {line}" for line in test["console"].splitlines()[-MOST_LINES:])


def said(fault: Data) -> str:
    """Write a fault without its place."""
    return f"{fault.get('what', '')} {fault.get('cure', '')}".strip()


def _shares(open_shares: Sequence[Data], now: float, *, wide: bool) -> Iterator[RenderableType]:
    """Count the open shares in one line; with ``wide`` list them."""
    yield ""
    if not open_shares:
        yield "Open shares: none"
    elif wide:
        yield f"Open shares: {len(open_shares):,}"
        yield shares_table(open_shares, now, wide=wide)
    else:
        ordered = sorted(open_shares, key=lambda one: ENDS.index(_end_of_share(one)))
        yield Folded(f"Shares: {'; '.join(map(_counted, groups(ordered, _end_of_share)))}.")
    yield from not_closing(open_shares)


def not_closing(open_shares: Iterable[Data]) -> Iterator[RenderableType]:
    """Say which shares do not close, why, and what to do."""
    for what, cure in shares.not_closing(open_shares):
        yield Folded(f"Does not close: {what}")
        yield Folded(cure, 4)


def _counted(alike: Sequence[Data]) -> str:
    """Say of shares that end alike how many they are, to whom, and until when."""
    accounts = sorted({str(one["account"]) for one in alike if one["account"]})
    to = f", to {accounts[0] if len(accounts) == 1 else count(len(accounts), 'account')}" if accounts else ""
    one = len(alike) == 1
    until = {
        "closing": "",
        "preexisting": f", which existed before and {'stays' if one else 'stay'}",
        "stays": f", until {'it is' if one else 'they are'} withdrawn",
        "copies": f", until {'its' if one else 'their'} copies end",
    }[_end_of_share(alike[0])]
    return f"{len(alike):,} {'closing' if alike[0]['state'] == 'closing' else 'open'}{to}{until}"


def _end_of_share(share: Data) -> str:
    if share["preexisting"]:
        return "preexisting"
    if share["state"] == "closing":
        return "closing"
    return "stays" if share["stays"] else "copies"


def shares_table(open_shares: Sequence[Data], now: float, *, wide: bool) -> Table:
    """Show shares, equal ones of many accounts in one row, and when each closes."""
    each = wide or len(open_shares) <= SINGLY
    rows = []
    for group in groups(open_shares, _share, each=each):
        last = max(group, key=lambda one: str(one["closes_at_the_latest"]))
        rows.append(
            (
                f"  {shares.named(last['resource'], wide=wide)}",
                first_of([str(one["account"]) for one in group], 1),
                state(last["state"]),
                age(min(str(one["opened_at"]) for one in group), now),
                shares.end(last),
            )
        )
    return table(("  RESOURCE", "TO", "STATE", "FOR", "CLOSES"), rows, folds=("  RESOURCE", "CLOSES"))


def _share(share: Data) -> tuple[object, ...]:
    return shares.named(share["resource"]), share["state"], share["preexisting"], share["stays"]
