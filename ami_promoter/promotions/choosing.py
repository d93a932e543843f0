"""Chooses from all promotions of a hub, for the verbs that show many: options, and the reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import click

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import HubOverview, Reader, RecordSeen
from ami_promoter.promotions import promotion_data
from ami_promoter.verbs import GROUP, Duration, Number, VerbCaller
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import count
from chalicelib.targets.applied_file import parse_trigger

LISTED_AT_ONCE = 40
"""Most promotions that a person gets, without ``--limit`` and ``--wide``."""


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that make a ``Choice``."""
    for option in (
        click.option(
            "--limit",
            type=Number(10**6),
            metavar="N",
            help=f"Only so many, the newest. Default: {LISTED_AT_ONCE}; with --wide, and for scripts, all.",
        ),
        click.option("--group", type=GROUP, help="Only AMIs whose value in force names this group."),
        click.option("--image", metavar="PATTERN", help="Only AMIs of this name; * stands for any text."),
        click.option(
            "--since", type=Duration("d", "1m", "3650d"), help="Only what changed its state in this time, like 7d."
        ),
    ):
        option(function)
    return function


@dataclass(frozen=True, slots=True)
class Choice:
    """Which promotions to list. ``since``: seconds; None: all."""

    since: int | None = None
    image: str | None = None
    group: str | None = None
    limit: int | None = None

    @classmethod
    def of(cls, caller: VerbCaller, given: Mapping[str, Any], *, script: bool = False) -> Choice:
        """Return what these options choose; a person gets a page, unless ``--limit`` or ``--wide`` asks for more.

        ``script``: as with ``--json``, a program reads it.
        """
        made = cls(**given)
        whole = made.limit is not None or caller.wide or caller.as_json or script
        return made if whole else replace(made, limit=LISTED_AT_ONCE)

    def admits(self, one: Mapping[str, Any], now: float) -> bool:
        """Whether the list is to have a promotion, as ``promotion_data`` shows it; ``limit`` does not count here."""
        since = datetime.fromisoformat(one["since"]).timestamp() if one["since"] != "-" else now
        recent = self.since is None or now - since <= self.since
        named = self.image is None or re.fullmatch(_pattern(self.image), str(one["name"])) is not None
        return recent and named and (self.group is None or self.group in _groups(one["value"]))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The promotions that were chosen, newest first. ``left_out``: those that only the limit leaves out."""

    listed: Sequence[Mapping[str, Any]] = ()
    tracked: Mapping[str, Sequence[RecordSeen[TrackedDelivery]]] = field(default_factory=dict)
    """The tracked deliveries of each, by its AMI."""
    left_out: int = 0
    overview: HubOverview = field(default_factory=HubOverview)
    """The whole hub, whatever was chosen."""

    @property
    def more(self) -> list[str]:
        """The sentence about what is left out."""
        if not self.left_out:
            return []
        every = len(self.listed) + self.left_out
        return [f"{count(self.left_out, 'older promotion')} not shown: `--limit {every}` lists all."]

    def none(self, place: str) -> str:
        """Say that no promotion was chosen."""
        return f"{'No promotion matches' if self.overview.promotions else 'No promotion exists'} in {place}."


def read(connection: Connection, choice: Choice) -> Chosen:
    """Read the promotions that are chosen. This reads the whole table; may raise HubError."""
    now = connection.now()
    overview = Reader(connection).overview()
    found = sorted(overview.promotions, key=lambda pair: pair[0].it.since, reverse=True)
    shown = [
        ({**promotion_data.promotion(record, tracked), "deliveries": promotion_data.counts(tracked)}, tracked)
        for record, tracked in found
    ]
    matching = [(one, tracked) for one, tracked in shown if choice.admits(one, now)]
    taken = matching[: choice.limit]
    by_ami = {one["ami"]: tracked for one, tracked in taken}
    return Chosen([one for one, _ in taken], by_ami, len(matching) - len(taken), overview)


def _pattern(image: str) -> str:
    """Return the regular expression of a name; a bracket of a name, which EC2 allows, stands for itself."""
    return re.escape(image).replace(r"\*", ".*")


def _groups(value: str | None) -> tuple[str, ...]:
    trigger = None if value is None else parse_trigger(value)
    return () if trigger is None or trigger.faults else trigger.groups
