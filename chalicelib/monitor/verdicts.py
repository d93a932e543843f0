"""Findings of the access monitor and the drift audit: verdict, severity and receivers, and their notice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.engine.places import account_of
from chalicelib.monitor.trail_actions import PUBLIC
from chalicelib.targets.applied_file import AppliedFile

RECEIVERS_NAMED = 100
"""Most receivers that a notice, or what is kept, names."""


class ActionVerdict(StrEnum):
    """The verdict on an action; each is worse than the one before."""

    EXPECTED = "expected"
    """The ledger has its intent, or it admits nobody and removes nothing that is needed."""
    LISTED = "foreign-listed"
    """Somebody else admitted an account that the applied file lists: a notice."""
    VANISHED = "vanished"
    """Somebody else removed what the service still needs: a warning."""
    STRANGER = "foreign-stranger"
    """Somebody else admitted an account that the applied file does not list, or everybody: a page."""
    NO_INTENT = "own-without-intent"
    """A role of the service acted without an intent in the ledger; its credentials are probably stolen: a page."""


class Severity(StrEnum):
    """How a finding is notified."""

    NONE = "none"
    NOTICE = "notice"
    WARNING = "warning"
    PAGE = "page"


SEVERITIES = {
    ActionVerdict.EXPECTED: Severity.NONE,
    ActionVerdict.LISTED: Severity.NOTICE,
    ActionVerdict.VANISHED: Severity.WARNING,
    ActionVerdict.STRANGER: Severity.PAGE,
    ActionVerdict.NO_INTENT: Severity.PAGE,
}


@dataclass(frozen=True, slots=True)
class MonitorFinding:
    """The verdict on one action, or on one permission, with the receivers that it concerns."""

    verdict: ActionVerdict
    why: str
    receivers: tuple[str, ...] = field(default=())

    @property
    def severity(self) -> Severity:
        """How the finding is notified."""
        return SEVERITIES[self.verdict]


def severity(finding: MonitorFinding, *, learning: bool) -> Severity:
    """Return the severity of a finding's notice; never a page while ``learning``."""
    return Severity.NOTICE if learning and finding.severity is Severity.PAGE else finding.severity


def said(
    finding: MonitorFinding, at: int, call: str, region: str, principal: str = "", request: str = ""
) -> dict[str, object]:
    """Return what is kept and published of a finding. ``at``: epoch seconds; ``request``: AWS's id of the call."""
    return {
        "at": at,
        "call": call,
        "region": region,
        "principal": principal,
        "request_id": request,
        "verdict": finding.verdict.value,
        "severity": finding.severity.value,
        "why": finding.why,
        "receivers": list(finding.receivers)[:RECEIVERS_NAMED],
    }


def notice(
    said: Mapping[str, object],
    severity: Severity,
    ident: str,
    hub: tuple[str, str],
    resource: str,
    cure: str,
    event: str = "",
    *,
    learning: bool,
) -> dict[str, object]:
    """Return the notice of a finding of which this was ``said``. ``event``: its id in the trail."""
    return {
        **said,
        "event": "access.finding",
        "severity": severity.value,
        "id": ident,
        "hub": hub[0],
        "hub_region": hub[1],
        "learning": learning,
        "resource": resource,
        "trail_event_id": event,
        "cure": cure,
    }


def accounts_and_units(receivers: Collection[str], applied: AppliedFile) -> list[str]:
    """Return what Organizations must be asked about before it is said who is a stranger: account ids, ARNs of units.

    Whom the file lists by id is none, whatever Organizations says.
    """
    names = {one if ":organizations:" in one else account_of(one) for one in receivers}
    return sorted(names - {""} - applied.directory.accounts.keys())


def strangers(receivers: Collection[str], applied: AppliedFile) -> frozenset[str]:
    """Return the receivers that the applied file does not list; all of them if no file was applied.

    Every organization is listed while the file names none.

    The members of ``applied`` must be those that Organizations itself says (``LiveMembers``): `discover` could write
    others into the table of members.
    """
    units = {unit.arn for unit in applied.directory.membership.units.values()}
    own = applied.directory.organization
    accounts = {one: account_of(one) for one in receivers if ":organizations:" not in one}
    known = set(accounts.values()) - {""}
    unlisted = known if applied.fault else applied.strangers(known)
    found = {one for one, account in accounts.items() if account in unlisted}
    found |= {one for one in receivers if own and one.startswith("o-") and one != own.id}
    return frozenset(found | ({one for one in receivers if ":organizations:" in one} - units) | {PUBLIC})
