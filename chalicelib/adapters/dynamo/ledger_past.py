"""The ledger as it is and was, for the access monitor: shares, archived ones too, and when each came into its state."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.monitor.deeds import account_of
from chalicelib.core.monitor.judging import Known, known
from chalicelib.core.sharing.share import Share, ShareState
from chalicelib.ports.ledger import Ledger

OF_HISTORY = 2
"""Parts at the end of a history's sort key: time and version."""


class DynamoLedgerPast:
    """The port ``LedgerPast``. What is damaged is read as far as it can be, or left out: it accounts for nothing."""

    def __init__(self, table: Table, ledger: Ledger) -> None:
        self._table = table
        self._ledger = ledger

    def known(self, resource: str, names: str = "") -> Sequence[Known]:
        steps: dict[str, list[tuple[int, ShareState]]] = defaultdict(list)
        for item in self._table.query(resource, f"history#share#{names}"):
            if step := _step(item):
                share_name = str(item["sk"]).removeprefix("history#share#").rsplit("#", OF_HISTORY)[0]
                steps[share_name].append(step)
        found: dict[str, Known] = {}
        for share in self._shares(resource, names):
            one = known(share, steps.pop(share.share_name, ()))
            before = found.get(share.share_name)
            found[share.share_name] = one if before is None else _both(before, one)
        for share_name, past in steps.items():  # its archived item has expired, or is damaged
            before = found.get(share_name)
            one = Known(share_name, account_of(share_name), steps=tuple(sorted(past)))
            found[share_name] = one if before is None else _both(before, one)
        return list(found.values())

    def _shares(self, resource: str, names: str) -> Iterator[Share]:
        """Yield archived shares, then those that are in the ledger now."""
        for item in self._table.query(resource, f"closed#{names}"):
            share_name = str(item["sk"]).removeprefix("closed#").rpartition("#")[0]
            share = _archived(item, resource, share_name)
            if share is not None:
                yield share
        held = [str(item["sk"]).removeprefix("share#") for item in self._table.query(resource, f"share#{names}")]
        yield from self._ledger.find([(resource, share_name) for share_name in held])


def _step(item: Mapping[str, Any]) -> tuple[int, ShareState] | None:
    at, state = item.get("at"), item.get("state")
    return (at, ShareState(state)) if isinstance(at, int) and state in tuple(ShareState) else None


def _archived(item: Mapping[str, Any], resource: str, share_name: str) -> Share | None:
    """Read what closing and judging need of an archived share; its body may be of another version."""
    try:
        body = dict(json.loads(item["body"]))
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
        intended_at=int(body.get("intended_at", 0)),
    )


def _both(one: Known, other: Known) -> Known:
    """Two lives of one permission, the later one second."""
    return replace(
        other,
        account=other.account or one.account,
        grantee=other.grantee or one.grantee,
        grants=one.grants | other.grants,
        steps=tuple(sorted({*one.steps, *other.steps}, key=lambda step: (step[0], list(ShareState).index(step[1])))),
    )
