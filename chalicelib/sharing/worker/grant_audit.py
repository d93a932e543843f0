"""The grant audit: lists all grants on a source key, ten minutes after an account's last share there has closed.

It looks for two things:

- An unrecorded grant: one of the service that the ledger does not know as open. Two runs raced and one was killed, or
  the grant showed late. The audit closes it. It knows the grant by its name, which contains the hub's Region, so it
  leaves alone the grants of a hub in another Region.
- A derived grant: one that an account without a share has made. The service grants CreateGrant, and a derived grant
  outlives its parent [aws-facts 3, VERIFIED]. The audit reports it and does not revoke it: a running instance may need
  it, or it may be preexisting (invariant 2).

One look serves all accounts of a key. It reads ListGrants page by page, and each page account by account; if time runs
out, it writes its place on the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.errors import Refusal
from chalicelib.engine.places import Resource, account_of
from chalicelib.engine.ports import Records, Stored, Telemetry, Write
from chalicelib.engine.runner import parking
from chalicelib.engine.stored import fitting
from chalicelib.engine.waker import Clock, Waker
from chalicelib.sharing import grant_names, holders, machine, share
from chalicelib.sharing.ports import Grants, Ledger, SeenGrant
from chalicelib.sharing.share import Share
from chalicelib.sharing.shown import ShownAccess, of_grant, shares_of

AFTER = 10 * schedule.MINUTE
"""Grants appear and vanish up to five minutes late [aws-facts 3, VERIFIED]; after twice that a list is right."""
PUT_OFF_FOR = 1 * schedule.HOUR
"""Further closings delay a look by this at most: on a busy key there is always another one."""
KEY_GONE = "aws-NotFoundException"
"""The fault's code where the key was deleted: no grant is left on it."""
CLOSED = "closed"
SINCE = "since"
"""Member of the record: since when (epoch seconds) a look is due."""
CALLS_FOR_ACCOUNT = 5
"""Calls for one account: read its shares by grant, policy and role, write one unknown grant, and wake its worker."""


def remind(records: Records, resource: str, now: int) -> None:
    """Ask for the audit of a key, as an account's last share on it is closing."""
    key = addresses.grants_on(Resource.parse(resource).arn)
    records.leave(key, {CLOSED: str(now)}, now, fresh=Write(key, "open", {"resource": key.pk}, now + AFTER))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a look stopped: the page, and its last account that is done. ``found``: it found an unrecorded grant."""

    marker: str = ""
    account: str = ""
    found: bool = False
    over: bool = False


@dataclass(eq=False)
class GrantAudit:
    """Works on one source key at a time. ``hub`` and ``region``: the hub's own."""

    records: Records
    ledger: Ledger
    grants: Grants
    waker: Waker
    clock: Clock
    telemetry: Telemetry
    hub: str
    region: str

    def run(self, key: RecordKey, *, time_left: TimeLeft) -> None:
        """List the key's grants, if the last closing is ten minutes ago or the look was put off for an hour."""
        with parking(key, self.records, self.clock, self.telemetry):
            stored = self.records.read(key)
            if stored is None or stored.parked:
                return
            now = self.clock()
            ready = int(stored.inbox.get(CLOSED, "0")) + AFTER
            since = fitting(stored.body, SINCE, now)
            if now < (at := min(ready, since + PUT_OFF_FOR)):
                self.records.save(stored, Write(key, "open", {"resource": key.pk, SINCE: since}, at), (), now)
                return
            place, refused = self._look(
                key.pk.removeprefix(addresses.AUDIT), _read(stored), Budget(time_left), reports=now >= ready
            )
            due = ready if now < ready else None  # for what has closed lately
            if refused or (place.over and place.found):
                due = self.clock() + schedule.POLLS[-1]
            elif not place.over:
                due = self.clock()
            body = {"resource": key.pk, **({} if place.over else {**_written(place), SINCE: since})}
            self.records.save(stored, Write(key, "open", body, due), (), self.clock())
            if not place.over and not refused:
                self.waker.send(key, f"more:{place.marker[-40:]}:{place.account}:{self.clock()}")

    def _look(self, key_arn: str, place: _Place, budget: Budget, *, reports: bool) -> tuple[_Place, bool]:
        """Continue from a place. Returns the new place, and whether AWS refused a page.

        ``reports``: also report grants that accounts made. Right after a closing these may be about to vanish.
        """
        first = True
        while not place.over:
            try:
                grants, marker = self.grants.page(key_arn, place.marker)
            except Refusal as refusal:
                if refusal.fault.code == KEY_GONE:
                    return _Place(over=True), False
                self.telemetry.share(f"{addresses.AUDIT}{key_arn}", "", "grants not listed", why=refusal.fault.what)
                return _Place(found=place.found), True  # the marker may have expired: start at the first page
            for account, theirs in sorted(self._by_account(key_arn, grants).items()):
                if account <= place.account:
                    continue
                if not first and not budget.allows(CALLS_FOR_ACCOUNT):
                    return place, False
                first = False
                found, done = self._account(key_arn, account, theirs, budget, reports=reports)
                if not done:
                    return _Place(place.marker, place.account, place.found or found), False
                place = _Place(place.marker, account, place.found or found)
            place = _Place(marker, "", place.found, over=not marker)
        return place, False

    def _account(
        self, key_arn: str, account: str, grants: Sequence[ShownAccess], budget: Budget, *, reports: bool
    ) -> tuple[bool, bool]:
        """Look at the grants of one account. Returns whether one was unrecorded, and whether there was time for all."""
        of_key, of_roles = addresses.key_resource(key_arn, account).pk, addresses.role_resource(key_arn, account).pk
        shares = {resource: self.ledger.shares(resource) for resource in (of_key, of_roles)}
        known = shares_of((one for one in grants if one.own), chain(*shares.values()), self.region)
        unrecorded = [one for one, theirs in known.items() if not any(map(holders.needed, theirs))]
        # the run that wrote one may have been killed before it woke the share worker
        begun = {resource for resource, theirs in shares.items() if any(map(_is_unrecorded, theirs))}
        closed = [self._close(account, one) for one in budget.each(unrecorded, 2)]
        self.waker.wake_resources(sorted(begun.union(closed)), f"unrecorded:{account}:{self.clock()}")
        if len(closed) < len(unrecorded):
            return True, False
        derived = [one.grant for one in grants if not one.own]
        if reports and derived and not unrecorded:
            self._report_derived(key_arn, account, derived, shares)
        return bool(unrecorded or begun), True

    def _by_account(self, key_arn: str, grants: Sequence[SeenGrant]) -> Mapping[str, Sequence[ShownAccess]]:
        """Return for each account the service's grants to it and the grants that it made."""
        found: dict[str, list[ShownAccess]] = defaultdict(list)
        for grant in grants:
            shown = of_grant(key_arn, grant, self.hub, self.region)
            if account := account_of(grant.grantee if shown.own else grant.issuer):
                found[account].append(shown)
        return found

    def _close(self, account: str, one: ShownAccess) -> str:
        """Write a grant of the service that has no share into the ledger as closing; return its resource."""
        found = machine.unrecorded(one.resource, account, one.grantee, one.grant, self.clock())
        if self.ledger.put_right(found, "its grant shows, though it is not open", self.clock()):
            self.telemetry.share(one.resource, account, "open though closed", grant=one.grant)
        return one.resource

    def _report_derived(
        self, key_arn: str, account: str, made: Sequence[str], theirs: Mapping[str, Sequence[Share]]
    ) -> None:
        """Report the grants that an account made, if it once had a share on the key and has none now.

        ``theirs``: its shares by grant and by role, by their resource.
        """
        policy = addresses.policy_resource(key_arn).pk
        shares = [*chain(*theirs.values()), *(s for s in self.ledger.shares(policy) if s.account == account)]
        if any(map(holders.needed, shares)):
            return
        if shares or any(map(self.ledger.was_open, theirs)) or self.ledger.was_open(policy, account):
            self.telemetry.derived_grants(addresses.key_resource(key_arn, account).pk, account, made)


def _is_unrecorded(s: Share) -> bool:
    """Whether an audit wrote this share for a grant without one, and it is still closing."""
    return s.state is share.ShareState.CLOSING and s.share_name == grant_names.unrecorded_name(s.grant_id)


def _read(stored: Stored) -> _Place:
    body = stored.body
    return _Place(str(body.get("marker", "")), str(body.get("account", "")), bool(body.get("found")))


def _written(place: _Place) -> Mapping[str, object]:
    return {"marker": place.marker, "account": place.account, "found": place.found}
