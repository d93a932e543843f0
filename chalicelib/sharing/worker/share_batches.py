"""Acts on the shares of one resource in batches, as large as AWS allows, and halves a batch that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing.ports import PermissionAdapter
from chalicelib.sharing.refusals import ABOUT_THE_RESOURCE, most_calls
from chalicelib.sharing.share import Share

CALLS_FOR_ONE = 2
CALLS_FOR_MANY = 6
"""A key's policy is read, read again and put, and read back."""

Act = Callable[[Sequence[Share]], list[Share]]
"""Opens, closes or looks at shares by one call, and returns them with their results. May raise Refusal."""
WithRefusal = Callable[[Share, Refusal], Share]
"""Returns a share with the refusal that it met."""


def in_batches(
    adapter: PermissionAdapter, shares: Sequence[Share], act: Act, with_refusal: WithRefusal, budget: Budget
) -> list[Share]:
    """Act in the largest batches allowed, while there is time; return the shares with their results."""
    done: list[Share] = []
    calls = CALLS_FOR_ONE if adapter.batch == 1 else CALLS_FOR_MANY
    for batch in budget.each(_batches(shares, adapter.batch), calls):
        done += _halved(batch, act, with_refusal, budget)
    return done


def _halved(batch: Sequence[Share], act: Act, with_refusal: WithRefusal, budget: Budget) -> list[Share]:
    """Act on a batch; if AWS refuses one account, act on each half, down to that account.

    A refusal about the resource ends the batch after one call. A run makes ``most_calls`` at most; shares that are left
    keep their intent, and ``together`` says in how small a batch the next run tries them.
    """
    waiting, done = [list(batch)], list[Share]()
    for call in range(most_calls(len(batch))):
        if not waiting or (call and not budget.allows(CALLS_FOR_ONE)):
            break
        some = waiting.pop()
        try:
            done += act(some)
        except Refusal as refusal:
            if refusal.kind is RefusalKind.THROTTLED or refusal.fault.code in ABOUT_THE_RESOURCE:
                left = [*some, *(s for more in reversed(waiting) for s in more)]
                return done + [with_refusal(s, refusal) for s in left]
            if len(some) == 1:
                done.append(with_refusal(some[0], refusal))
                continue
            middle = len(some) // 2
            waiting += [some[middle:], some[:middle]]
    return done + [replace(s, together=len(more)) for more in reversed(waiting) for s in more]


def _batches(shares: Sequence[Share], most: int) -> Iterator[list[Share]]:
    """Cut into batches of at most ``most`` shares, and at most ``together`` of each share in the batch."""
    batch: list[Share] = []
    room = most
    for s in shares:
        alone = s.together or most
        if batch and len(batch) >= min(room, alone):
            yield batch
            batch, room = [], most
        batch.append(s)
        room = min(room, alone)
    if batch:
        yield batch
