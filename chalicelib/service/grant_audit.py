"""Looks through all grants on a source key, some time after one of ours was closed there.

Two things can only be seen late and from the key as a whole. A grant may show although the ledger calls it closed: two
runs at once and a crash could do that, or a grant that was late to show. And CreateGrant is among the operations that
we grant, and a child outlives its parent [aws-facts 3, VERIFIED]: what an account that holds no share any longer has
made there is reported, not revoked, as it may serve an instance that runs, or have been there before us (law 2).
A grant for a service-linked role is of the account's making too, but by us and under our name: it is none of these.
One list serves all accounts of a key, however many closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from chalicelib.core import addresses, pace, share
from chalicelib.core.addresses import Key
from chalicelib.core.errors import ParkRecord
from chalicelib.core.share import GRANT_PREFIX, Share, State, grant_stem
from chalicelib.ports import Grants, Ledger, LostRace, Records, Refusal, SeenGrant, Telemetry, Write
from chalicelib.service.bell import Bell, Clock

AFTER = 10 * pace.MINUTE
"""Grants appear and vanish late, within five minutes [aws-facts 3, VERIFIED]; what shows after twice that is true."""
CLOSED = "closed"
AFTER_GRANT = "after"
PREFIX = "resource#grants#"
ROLE_PATH = ":role/aws-service-role/"


def is_audit(key: Key) -> bool:
    """Whether a lane is one of these."""
    return key.pk.startswith(PREFIX)


def reminder(resource: str, now: int) -> tuple[Write, Mapping[str, str]]:
    """Return what to leave for the audit when an account's last share on a key has closed: record and hint."""
    key = addresses.grants_on(addresses.key_of(resource))
    return Write(key, "open", {"resource": key.pk}, now + AFTER), {CLOSED: str(now)}


class GrantAudit:
    """Works on one source key at a time."""

    def __init__(
        self, records: Records, ledger: Ledger, grants: Grants, bell: Bell, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._grants = grants
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    def run(self, key: Key, *, time_left: Clock) -> None:
        """Look once all closings are long enough ago; then rest until the next one.

        Where time runs out the record says how far it came, and the sweep lets it go on.
        """
        try:
            stored = self._records.begin(key)
            if stored is None or stored.parked:
                return
            now = self._clock()
            ready = int(stored.hints.get(CLOSED, "0")) + AFTER
            after = str(stored.body.get(AFTER_GRANT, ""))
            due, after = (ready, "") if now < ready else self._look(key.pk.removeprefix(PREFIX), after, time_left)
            self._records.save(stored, Write(key, "open", {"resource": key.pk, AFTER_GRANT: after}, due), (), now)
        except ParkRecord as trouble:
            self._records.park(key, str(trouble), self._clock())
            self._telemetry.parked(key, str(trouble))

    needs_seconds = 10
    """Another grant is looked at only with so much time left."""

    def _look(self, key_arn: str, after: str, time_left: Clock) -> tuple[int | None, str]:
        """Return when to look again (epoch seconds; None: all is well), and after which grant to go on."""
        try:
            grants = self._grants.on(key_arn)
        except Refusal as refusal:
            self._telemetry.share(f"{PREFIX}{key_arn}", "", "grants not listed", why=refusal.fault.what)
            return self._clock() + pace.POLLS[-1], after
        found = False
        for grant in sorted(grants, key=lambda grant: grant.id):
            if grant.id <= after or not grant.name.startswith(GRANT_PREFIX):
                continue
            if time_left() < self.needs_seconds:
                return self._clock(), after
            found = self._is_ghost(key_arn, grant) or found
            after = grant.id
        self._report_strays(key_arn, grants)
        return (self._clock() + pace.POLLS[-1] if found else None), ""

    def _is_ghost(self, key_arn: str, grant: SeenGrant) -> bool:
        """Close a grant that is ours by its name, and that the ledger calls closed; True if it is such a one."""
        resource, known = self._known(key_arn, grant)
        if known is None or share.needed(known):
            return False
        try:
            again = share.found_open(known, self._clock(), grant.id)
            self._ledger.save([again], "its grant shows, though closed", self._clock())
        except LostRace:
            return True
        self._telemetry.share(resource.pk, known.account, "open though closed", grant=grant.id)
        cause = f"ghost:{grant.id}:{self._clock()}"
        self._bell.note(resource, {"ghost": cause}, cause)
        return True

    def _known(self, key_arn: str, grant: SeenGrant) -> tuple[Key, Share | None]:
        """Find the ledger's share that a grant is of: one of the hub's making, or one for a service-linked role."""
        account = account_of(grant.grantee)
        of_role = addresses.role_resource(key_arn, account)
        resource = of_role if ROLE_PATH in grant.grantee else addresses.key_resource(key_arn, account)
        return resource, next((s for s in self._ledger.shares(resource.pk) if _is(s, grant)), None)

    def _report_strays(self, key_arn: str, grants: Sequence[SeenGrant]) -> None:
        """Report what accounts have made that hold no share any longer; one with a ghost has it to close."""
        by_account: dict[str, list[str]] = defaultdict(list)
        for grant in grants:
            by_account[account_of(grant.issuer)].append(grant.id)
        policy = self._ledger.shares(addresses.policy_resource(key_arn).pk)
        for account, made in sorted(by_account.items()):
            resource = addresses.key_resource(key_arn, account).pk
            for_roles = self._ledger.shares(addresses.role_resource(key_arn, account).pk)
            shares = [*self._ledger.shares(resource), *for_roles, *(s for s in policy if s.account == account)]
            if shares and not any(share.needed(s) for s in shares):
                self._telemetry.strays(resource, account, made)


def account_of(arn: str) -> str:
    """Return the account in a principal's ARN; "" where there is none (a service principal)."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else ""


def _is(s: Share, grant: SeenGrant) -> bool:
    """Whether a grant is, or was, this share's: of whichever generation."""
    return s.state is not State.WANTED and grant.name.rpartition("-")[0] == grant_stem(s.holder_key)
