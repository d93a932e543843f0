"""The ledger's items: one per share, beside the record of its resource's lane."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses, codec
from chalicelib.core.addresses import Key
from chalicelib.core.errors import NewerSchema, Unreadable
from chalicelib.core.faults import Fault
from chalicelib.core.schema import CURRENT, Forms
from chalicelib.core.share import Share, State
from chalicelib.ports import LostRace

PER_TRANSACTION = 50
"""Two items each: the share and its history; a transaction takes 100."""

NO_HOLDER = " AND attribute_not_exists(holders)"
"""An empty set is no attribute in DynamoDB."""

LONG_PAST = 1
"""Where a last hour cannot be read, it has come: a door without an end must not stay open."""

UNKNOWN = -1
"""A version that cannot be read."""

_HOLDERS_OWN = ("holders", "hard_close_at", "grantee", "version")


class DynamoLedger:
    """The port ``Ledger`` on one table. ``forms``: in which form bodies are written and read."""

    def __init__(self, table: Table, forms: Forms = CURRENT) -> None:
        self._table = table
        self._forms = forms

    def hold(self, resource: str, share: Share, holder: str) -> None:
        """See the port."""
        key = addresses.share(Key(resource), share.holder_key)
        given = {
            ":body": _body(share),
            ":state": share.state.value,
            ":account": share.account,
            ":grantee": share.grantee,
            ":zero": 0,
            ":until": share.hard_close_at,
            ":holder": {holder},
            ":kind": "share",
            ":schema": self._forms.version,
        }
        self._table.update(
            key,
            "SET kind = :kind, account = :account, grantee = :grantee, #schema = if_not_exists(#schema, :schema), "
            "body = if_not_exists(body, :body), #state = if_not_exists(#state, :state), "
            "version = if_not_exists(version, :zero), hard_close_at = if_not_exists(hard_close_at, :until) "
            "ADD holders :holder",
            given,
            names={"#state": "state", "#schema": "schema"},
        )
        self._table.update(
            key, "SET hard_close_at = :until", {":until": share.hard_close_at}, condition="hard_close_at < :until"
        )

    def release(self, resource: str, holder_key: str, holder: str) -> None:
        """See the port."""
        key = addresses.share(Key(resource), holder_key)
        try:
            self._release(key, holder)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            self._table.update(key, "REMOVE holders", {":set": "SS"}, condition="NOT attribute_type(holders, :set)")

    def _release(self, key: Key, holder: str) -> None:
        self._table.update(key, "DELETE holders :holder", {":holder": {holder}}, condition="attribute_exists(pk)")

    def shares(self, resource: str) -> Sequence[Share]:
        """See the port."""
        return [self._share(item) for item in self._table.query(resource, "share#")]

    def put_right(self, share: Share, happened: str, now: int) -> bool:
        """Write the lane's side of one share as it was found to be, for an operator; False if somebody was faster.

        ``share.version`` is what was read, 0 for a share that is not in the ledger. Holders stay as they are, and the
        end that is there stays. Its lane does the rest when it is rung next.
        """
        key = addresses.share(Key(share.resource), share.holder_key)
        update = self._table.update_request(
            key,
            "SET kind = :kind, account = :account, grantee = if_not_exists(grantee, :grantee), #schema = :schema, "
            "body = :body, #state = :state, generation = :generation, grant_id = :grant, before_us = :before, "
            "version = :next, hard_close_at = if_not_exists(hard_close_at, :until)",
            {
                ":kind": "share",
                ":account": share.account,
                ":grantee": share.grantee,
                ":schema": self._forms.version,
                ":body": _body(share),
                ":state": share.state.value,
                ":generation": share.generation,
                ":grant": share.grant_id,
                ":before": share.before_us,
                ":next": share.version + 1,
                ":until": share.hard_close_at,
                ":seen": share.version,
            },
            names={"#schema": "schema", "#state": "state"},
            condition="version = :seen" + (" OR attribute_not_exists(pk)" if share.version == 0 else ""),
        )
        entry = {
            "at": now,
            "state": share.state.value,
            "what": [happened],
            "account": share.account,
            "before_us": share.before_us,
        }
        history = self._table.put_request(addresses.history(key, share.version + 1), entry)
        return self._table.transact([{"Update": update}, {"Put": history}])

    def save(self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False) -> None:
        """See the port. Raises LostRace if the lane was not alone; what is written by then stays, and is true."""
        for start in range(0, len(shares), PER_TRANSACTION):
            writes = []
            for share in shares[start : start + PER_TRANSACTION]:
                key = addresses.share(Key(share.resource), share.holder_key)
                update = self._table.update_request(
                    key,
                    "SET #schema = :schema, body = :body, #state = :state, generation = :generation, "
                    "grant_id = :grant, before_us = :before, version = :next",
                    {
                        ":schema": self._forms.version,
                        ":body": _body(share),
                        ":state": share.state.value,
                        ":generation": share.generation,
                        ":grant": share.grant_id,
                        ":before": share.before_us,
                        ":next": share.version + 1,
                        ":seen": share.version,
                    },
                    names={"#schema": "schema", "#state": "state"},
                    condition=_unchanged(share) + (NO_HOLDER if unheld and not share.holders else ""),
                )
                entry = {
                    "at": now,
                    "state": share.state.value,
                    "what": [happened],
                    "account": share.account,
                    "before_us": share.before_us,
                }
                history = self._table.put_request(addresses.history(key, share.version + 1), entry)
                writes += [{"Update": update}, {"Put": history}]
            if not self._table.transact(writes):
                raise LostRace(shares[start].resource)

    def _share(self, item: dict[str, Any]) -> Share:
        """Read one. One that is damaged must not keep its own door open, nor those of others on the same resource."""
        where = f"{item['pk']} {item['sk']}"
        place = {"resource": item["pk"], "holder_key": _holder_key(item)}
        try:
            body = self._forms.body("share", where, item.get("schema", 1), json.loads(item["body"]))
            share = codec.decode(Share, {**body, **place}, where)
        except (KeyError, TypeError, ValueError, NewerSchema, Unreadable) as error:
            share = _least(item, where, error)
        return replace(
            share,
            holders=frozenset(_fitting(item, "holders", frozenset[str](), set)),
            hard_close_at=_fitting(item, "hard_close_at", LONG_PAST),
            grantee=_fitting(item, "grantee", ""),
            version=_fitting(item, "version", UNKNOWN),
        )


def _body(share: Share) -> str:
    plain = codec.encode(share)
    return json.dumps({name: value for name, value in plain.items() if name not in _HOLDERS_OWN}, separators=(",", ":"))


def _holder_key(item: dict[str, Any]) -> str:
    return str(item["sk"]).removeprefix("share#")


def _unchanged(share: Share) -> str:
    """The condition of a write; where no version can be read there is none to compare, and the write mends it."""
    return "version = :seen" if share.version != UNKNOWN else "NOT (version = :seen) AND attribute_exists(pk)"


def _least(item: dict[str, Any], where: str, error: Exception) -> Share:
    """What closing needs, from the item's own attributes: a body that cannot be read must not keep a door open."""
    what = f"This share's record cannot be read by this version: {error}."
    cure = "If a newer version wrote it, upgrade the stack again; then tag the AMI again."
    opened = item.get("state") in (State.OPENING, State.OPEN, State.CLOSING)
    return Share(
        resource=item["pk"],
        holder_key=_holder_key(item),
        account=_fitting(item, "account", _account(item)),
        state=State.OPEN if opened else State.REFUSED,
        generation=_fitting(item, "generation", 0),
        grant_id=_fitting(item, "grant_id", ""),
        before_us=_fitting(item, "before_us", False),  # noqa: FBT003 - the default
        fault=None if opened else Fault("share-unreadable", where, what, cure),
    )


def _account(item: dict[str, Any]) -> str:
    """A snapshot's share is named for its account, and so is the lane of a key; a policy's begins with it."""
    pk = str(item["pk"])
    return pk.rpartition("#")[2] if pk.startswith("resource#key#") else _holder_key(item).partition("-")[0]


def _fitting(item: dict[str, Any], name: str, default: Any, kind: type | None = None) -> Any:
    """One of the item's own attributes, or the default where somebody wrote nonsense or nothing."""
    value = item.get(name, default)
    return value if isinstance(value, kind or type(default)) else default
