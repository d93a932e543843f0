"""The ledger's present and past shares for the access monitor, with the times at which they entered their states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.addresses import ARCHIVED, ARCHIVED_LATELY, SHARE, SHARE_STEP, RecordKey
from chalicelib.engine.store.table import Table
from chalicelib.engine.stored import fitting
from chalicelib.monitor.judging import Known, in_order, known
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import Share, ShareState, ShareStep
from chalicelib.sharing.store.ledger import account_of, steps_in

MOST = 20_000
"""Most items of each kind that ``ever`` reads: 20 pages, some seconds of a function's 30."""

FEW = 20
"""Most names that ``of`` reads one by one. A call of the share worker may name 500 accounts."""


class DynamoLedgerPast:
    """The port ``LedgerPast``. It reads a damaged item as far as it can, or leaves it out: it accounts for nothing."""

    def __init__(self, table: Table, ledger: Ledger) -> None:
        self._table = table
        self._ledger = ledger

    def lately(self, resource: str) -> Sequence[Known]:
        shares = self._ledger.shares(resource)
        return self._with_past(resource, shares, _left(self._table.get(RecordKey(resource)) or {}))

    def of(self, resource: str, names: Collection[str]) -> Sequence[Known]:
        """Of many names, read the resource's partition: each name alone takes three reads one after the other."""
        if len(names) > FEW:
            wanted = frozenset(names)
            return [one for one in self.ever(resource) if one.share_name in wanted]
        return self._with_past(resource, self._ledger.find([(resource, name) for name in names]), names)

    def ever(self, resource: str) -> Sequence[Known]:
        shares = self._ledger.shares(resource)  # first, as one may leave for the archive meanwhile
        return _put_together(resource, [*self._archived(resource), *shares], self._steps(resource))

    def _with_past(self, resource: str, shares: Sequence[Share], left: Iterable[str]) -> Sequence[Known]:
        """Put shares together with their steps, and with the archived ones that have ``left`` under these names."""
        archived = [share for name in left for share in self._archived(resource, f"{name}#")]
        names = dict.fromkeys([*(share.share_name for share in shares), *left])
        steps = {name: self._steps(resource, f"{name}#").get(name, []) for name in names}
        return _put_together(resource, [*archived, *shares], steps)

    def _steps(self, resource: str, names: str = "") -> dict[str, list[tuple[int, ShareState]]]:
        """Read when each came into which state, of those whose name begins so; the last steps are on the shares."""
        steps: dict[str, list[tuple[int, ShareState]]] = defaultdict(list)
        for item in islice(self._table.query(resource, f"{SHARE_STEP}{names}"), MOST):
            steps[RecordKey.of(item).share_name] += _steps(steps_in(item))
        return steps

    def _archived(self, resource: str, names: str = "") -> Iterator[Share]:
        """Yield archived shares whose name begins so."""
        for item in islice(self._table.query(resource, f"{ARCHIVED}{names}"), MOST):
            if share := _archived(item, resource, RecordKey.of(item).share_name):
                yield share


def _put_together(
    resource: str, shares: Iterable[Share], steps: Mapping[str, list[tuple[int, ShareState]]]
) -> Sequence[Known]:
    """Make one of each name: several lives of a permission are one after the other."""
    found: dict[str, Known] = {}
    left = {name: list(known_steps) for name, known_steps in steps.items() if known_steps}
    for share in shares:
        one = known(share, [*left.pop(share.share_name, ()), *_steps(share.recent)])
        before = found.get(share.share_name)
        found[share.share_name] = one if before is None else _both(before, one)
    for share_name, past in left.items():  # its archived item has expired, or is damaged
        account = account_of(RecordKey(resource, f"{SHARE}{share_name}"))
        found[share_name] = Known(share_name, account, steps=tuple(sorted(past)))
    return list(found.values())


def _left(record: Mapping[str, Any]) -> list[str]:
    """Return the shares that have left for the archive lately, as the record of their resource says."""
    try:
        lately = dict(codec.parsed_json(record["body"])).get(ARCHIVED_LATELY, {})
        return [name for name in lately if isinstance(name, str)]
    except (KeyError, TypeError, ValueError):
        return []


def _steps(found: Iterable[ShareStep]) -> list[tuple[int, ShareState]]:
    """Return the times and states of steps; a damaged one is left out."""
    return [(one.at, ShareState(one.state)) for one in found if one.at and one.state in tuple(ShareState)]


def _archived(item: Mapping[str, Any], resource: str, share_name: str) -> Share | None:
    """Read what closing and judging need of an archived share; its body may be of another version."""
    try:
        body = dict(codec.parsed_json(item["body"]))
    except (KeyError, TypeError, ValueError):
        return None
    opened = body.get("opened_at")
    return Share(
        resource,
        share_name,
        str(item.get("account", "")),
        str(item.get("grantee", "")),
        preexisting=bool(item.get("preexisting", False)),
        grant_id=str(body.get("grant_id", "")),
        opened_at=opened if isinstance(opened, int) else None,
        intended_at=fitting(body, "intended_at", 0),
        recent=steps_in(item),
    )


def _both(one: Known, other: Known) -> Known:
    """Two lives of one permission, the later one second."""
    return replace(
        other,
        account=other.account or one.account,
        grantee=other.grantee or one.grantee,
        grants=one.grants | other.grants,
        steps=in_order({*one.steps, *other.steps}),
    )
