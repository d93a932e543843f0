"""Edits a key's policy that also names an account which KMS does not take, such as a closed one.

PutKeyPolicy puts the whole document, so KMS refuses an edit because of another statement that stays. Its message
names no principal [aws-facts 3, VERIFIED], and it has no dry run. A refused put changes nothing, so the accounts are
left out one at a time: only without the one that KMS refuses is the put accepted, and no other loses its access.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing.machine import ClosingIntended, FoundClosed, evolve
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState
from chalicelib.sharing.worker.resource_shares import ResourceShares
from chalicelib.sharing.worker.share_batches import CALLS_FOR_MANY

INVALID = "key-policy-invalid-principal"
"""The fault of a policy with a principal that KMS does not find."""
FOR_SINGLE_ACCOUNTS = 0.7
"""The part of the time left for leaving out one account at a time: then there is time to put the policy without all."""
CALLS_IN_VAIN = 4
"""The policy and the ledger are read, the policy is read again, and the put is refused."""
Put = Callable[[Sequence[Share]], None]
"""Puts the policy without the statements of these shares, too."""
HAPPENED = "KMS refuses a principal of the policy: its statement is put again by itself"


def open_(these: ResourceShares, opening: Sequence[Share], budget: Budget, now: int) -> Mapping[str, str]:
    """Open shares, as their adapter does; if KMS refuses a principal, without the statements of the account that it is.

    One of several shares may be what KMS refuses, so it does that only for one. That account's share is opened again:
    its refusal is that share's fault. Raises Refusal, also if no single account is the reason, or time is short.
    """
    try:
        return these.adapter.open(opening)
    except Refusal as refusal:
        if refusal.fault.code != INVALID or len(opening) > 1:
            raise
        staying = [s for s in these.shares if s.state is ShareState.OPEN and s.account != opening[0].account]

        def put(out: Sequence[Share]) -> None:
            these.adapter.open([*opening, *(evolve(s, ClosingIntended(), now) for s in out)])

        if not _left_out(put, these, staying, budget, now):
            raise
    return {}


def close(these: ResourceShares, closing: Sequence[Share], budget: Budget, now: int) -> None:
    """Remove the statements of these shares; if KMS refuses a principal, also those of the accounts that it refuses.

    A share whose statement went with them is opened again: KMS takes it, or its refusal is the share's fault. If no
    single account is the reason, or time is short, the statements of all go, so that revoking does not wait; the intent
    to open them again is written before. If the process is killed before it writes that of a single account, the ledger
    calls this account's share open until it is closed. Raises Refusal, also if a principal in a statement of others is
    refused.
    """
    try:
        these.adapter.close(closing)
    except Refusal as refusal:
        if refusal.fault.code != INVALID:
            raise
        names = {s.share_name for s in closing}
        staying = [s for s in these.shares if s.state in OPEN_STATES and s.share_name not in names]

        def put(out: Sequence[Share]) -> None:
            these.adapter.close([*closing, *out])

        if _left_out(put, these, staying, budget, now):
            return
        if budget.allows(CALLS_FOR_MANY):
            _open_again(these, staying, now)
            if _accepted(put, staying):
                return
        # throttled: no half of the batch would fare better, so the share worker tries all of it later
        raise Refusal(RefusalKind.THROTTLED, refusal.fault) from refusal


def _left_out(put: Put, these: ResourceShares, staying: Sequence[Share], budget: Budget, now: int) -> bool:
    """Put the policy without one account at a time, until KMS takes it; then that account's share is opened again."""
    accounts = sorted({s.account for s in staying})
    for account in budget.part(FOR_SINGLE_ACCOUNTS).each(accounts, CALLS_IN_VAIN):
        out = [s for s in staying if s.account == account]
        if _accepted(put, out):
            _open_again(these, out, now)
            return True
    return False


def _accepted(put: Put, out: Sequence[Share]) -> bool:
    try:
        put(out)
    except Refusal as refusal:
        if refusal.fault.code != INVALID:
            raise
        return False
    return True


def _open_again(these: ResourceShares, shares: Sequence[Share], now: int) -> None:
    these.save((evolve(s, FoundClosed(), now) for s in shares if s.state is ShareState.OPEN), HAPPENED)
