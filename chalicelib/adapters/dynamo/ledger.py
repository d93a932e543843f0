"""The ledger's items: one per share, beside the record of its resource, and one per standing holding, by AMI.

A share is ``share#NAME`` in its resource's partition. A closed share without holders becomes ``closed#NAME#TIME``
there, and each step ``history#share#NAME#TIME#VERSION``; both expire. A standing holding has a link in the partition of
its AMI, from which it can be judged and released without the share's item.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters.dynamo.table import DAY, EXPIRES, KEEP_HISTORY_DAYS, Table
from chalicelib.core.errors import LostRace, NewerSchema, Refusal, RefusalKind, Unreadable
from chalicelib.core.faults import Fault
from chalicelib.core.records import addresses, codec
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.records.schema import VERSION, check
from chalicelib.core.sharing import share_events
from chalicelib.core.sharing.grant_names import unrecorded_name
from chalicelib.core.sharing.holders import MOST_HOLDINGS, held_by_too_many
from chalicelib.core.sharing.share import ENDED_LONG_AGO, Holding, Purpose, Share, ShareState
from chalicelib.ports.ledger import NO_LINES, Lines, StandingHolding

ONE_SHARE = 2
"""Writes: its item, and its history."""

PER_TRANSACTION = 50
"""Two items each: the share and its history or archive; a transaction takes 100."""

HOLDINGS_AT_ONCE = 30_000
"""Most holdings of all shares in one transaction: DynamoDB may count whole items, and takes 4 MB [aws-facts 6]."""

UNHELD = "attribute_not_exists(holdings)"
"""DynamoDB stores no empty set."""

UNRECORDED = unrecorded_name("")
"""The beginning of the name of a share that stands for a grant of which only the id is known."""

UNKNOWN = -1
"""A version that cannot be read."""

NO_SET = "not a set"
"""The entry in ``damaged`` if the holdings are not a set."""

NOBODY_CAME = "(NOT attribute_type(asked, :number) OR asked = :asked)"
"""The condition that no holding came since the share was read. A damaged count keeps no share open."""

_OF_HOLDERS = ("holdings", "asked", "damaged", "last_closing_at", "grantee", "version")
"""Attributes beside the body, which deliveries write."""

_CLEAN_UP = {"no set": " REMOVE holdings", "some": " DELETE holdings :damaged", "none": ""}


class DynamoLedger:
    """The port ``Ledger`` on one table. ``version``: the form in which bodies are written and read.

    ``keep_days``: for how long history and archive are kept.
    """

    def __init__(self, table: Table, version: int = VERSION, keep_days: int = KEEP_HISTORY_DAYS) -> None:
        self._table = table
        self._version = version
        self._keep = keep_days * DAY

    # --- holdings ----------------------------------------------------------------------------------------------------

    def hold(self, resource: str, share: Share, holding: Holding) -> None:
        """A later end is written first: a crash must not leave a holding past its end."""
        if holding.stands:
            self._table.put(_link_key(resource, share.share_name, holding), _link(holding))
        key = addresses.share(RecordKey(resource), share.share_name)
        if self._add(key, share, holding, "(attribute_not_exists(pk) OR last_closing_at >= :until)"):
            return
        self._table.update(
            key, "SET last_closing_at = :until", {":until": share.last_closing_at}, condition="last_closing_at < :until"
        )
        if self._add(key, share, holding):
            return
        item = self._table.get(key) or {}
        there = item.get("holdings")
        if not isinstance(there, set):
            self._drop_no_set(key)
            self.hold(resource, share, holding)
        elif str(holding) not in there:
            raise Refusal(RefusalKind.DENIED, held_by_too_many(replace(share, resource=resource)))
        elif item.get("grantee") != share.grantee:  # the applied file has renamed the role
            given = {":grantee": share.grantee, ":text": str(holding)}
            self._table.update(key, "SET grantee = :grantee", given, condition="contains(holdings, :text)")

    def _add(self, key: RecordKey, share: Share, holding: Holding, condition: str = "") -> bool:
        """Add a holding, unless it is there already; False: a condition did not hold."""
        added = self._table.update(
            key,
            "SET kind = :kind, account = :account, grantee = :grantee, #schema = if_not_exists(#schema, :schema), "
            "body = if_not_exists(body, :body), #state = if_not_exists(#state, :state), "
            "version = if_not_exists(version, :zero), last_closing_at = if_not_exists(last_closing_at, :until) "
            "ADD holdings :holding, asked :one",
            {
                ":body": _body(share),
                ":state": share.state.value,
                ":account": share.account,
                ":grantee": share.grantee,
                ":zero": 0,
                ":until": share.last_closing_at,
                ":holding": {str(holding)},
                ":text": str(holding),
                ":one": 1,
                ":kind": "share",
                ":schema": self._version,
                ":set": "SS",
                ":most": MOST_HOLDINGS,
            },
            names={"#state": "state", "#schema": "schema"},
            condition=(f"{condition} AND " if condition else "")
            + "(attribute_not_exists(holdings) OR (attribute_type(holdings, :set) "
            "AND NOT contains(holdings, :text) AND size(holdings) < :most))",
        )
        return added is not None

    def release(self, resource: str, share_name: str, holding: Holding, *, unlink: bool = True) -> None:
        key = addresses.share(RecordKey(resource), share_name)
        try:
            self._release(key, holding)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            self._drop_no_set(key)
        if holding.stands and unlink:
            # An older episode's release must not take away the link of a newer one's holding.
            self._table.delete(
                _link_key(resource, share_name, holding),
                "attribute_not_exists(episode) OR NOT attribute_type(episode, :number) OR episode <= :episode"
                if holding.episode
                else "attribute_exists(pk)",
                {":number": "N", ":episode": holding.episode} if holding.episode else {},
            )

    def _drop_no_set(self, key: RecordKey) -> None:
        """Remove a value that somebody wrote in place of the holdings."""
        self._table.update(key, "REMOVE holdings", {":set": "SS"}, condition="NOT attribute_type(holdings, :set)")

    def _release(self, key: RecordKey, holding: Holding) -> None:
        texts = {str(holding)}
        if holding.episode == 0:
            item = self._table.get(key) or {}
            held, _ = _holdings(item)
            texts = {str(one) for one in held if (one.delivery, one.stands) == (holding.delivery, holding.stands)}
        if texts:
            self._table.update(key, "DELETE holdings :holdings", {":holdings": texts}, condition="attribute_exists(pk)")

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        return [_standing(ami, item) for item in self._table.query(addresses.standing_links(ami), "resource#")]

    # --- shares ------------------------------------------------------------------------------------------------------

    def shares(self, resource: str) -> Sequence[Share]:
        return [self._share(item) for item in self._table.query(resource, "share#")]

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        keys = [addresses.share(RecordKey(resource), share_name) for resource, share_name in dict.fromkeys(places)]
        return [self._share(item) for item in self._table.get_all(keys)]

    def save(
        self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False, calls: Lines = NO_LINES
    ) -> None:
        """What is written before a race is lost stays, and is true."""
        for some in _fitting_transactions(shares):
            writes = []
            for share in some:
                key = addresses.share(RecordKey(share.resource), share.share_name)
                more: dict[str, Any] = {":damaged": set(share.damaged)} if _clean_up(share) == "some" else {}
                if unheld and share.holdings:
                    more |= {":number": "N", ":asked": share.asked}
                update = self._table.update_request(
                    key,
                    "SET #schema = :schema, body = :body, #state = :state, intended_at = :intended, "
                    "grant_id = :grant, preexisting = :preexisting, version = :next" + _CLEAN_UP[_clean_up(share)],
                    {**self._given(share), ":seen": share.version, **more},
                    names={"#schema": "schema", "#state": "state"},
                    condition=_unchanged(share) + (f" AND {_unheld(share)}" if unheld else ""),
                )
                what = [happened, *calls.get(share.share_name, ())]
                writes += [{"Update": update}, self._history(share, what, now)]
            if not self._written(writes):
                raise LostRace(some[0].resource)

    def _written(self, writes: Sequence[Mapping[str, Any]]) -> bool:
        """Write shares, each with its history; False: a condition did not hold.

        Of one share the history goes first, as a transaction would cost twice: a step that is then lost to a race says
        what this run was about to do, or has called.
        """
        if len(writes) > ONE_SHARE:
            return self._table.transact(writes)
        update, history = writes
        self._table.do("put_item", history["Put"])
        return self._table.do("update_item", update["Update"])

    def put_right(self, share: Share, happened: str, now: int, calls: Sequence[str] = ()) -> bool:
        """Keep the holdings, and an end that is set."""
        update = self._table.update_request(
            addresses.share(RecordKey(share.resource), share.share_name),
            "SET kind = :kind, account = :account, grantee = if_not_exists(grantee, :grantee), #schema = :schema, "
            "body = :body, #state = :state, intended_at = :intended, grant_id = :grant, preexisting = :preexisting, "
            "version = :next, last_closing_at = if_not_exists(last_closing_at, :until)",
            {
                ":kind": "share",
                ":account": share.account,
                ":grantee": share.grantee,
                ":until": share.last_closing_at,
                ":seen": share.version,
                **self._given(share),
            },
            names={"#schema": "schema", "#state": "state"},
            condition="version = :seen" + (" OR attribute_not_exists(pk)" if share.version == 0 else ""),
        )
        return self._table.transact([{"Update": update}, self._history(share, [happened, *calls], now)])

    def archive(self, shares: Sequence[Share], now: int) -> None:
        for start in range(0, len(shares), PER_TRANSACTION):
            writes: list[Mapping[str, Any]] = []
            for share in shares[start : start + PER_TRANSACTION]:
                key = addresses.share(RecordKey(share.resource), share.share_name)
                condition = f"{_unchanged(share)} AND {UNHELD}"
                gone = self._table.delete_request(key, condition, {":seen": share.version})
                entry = {
                    "kind": "archive",
                    "at": now,
                    "state": share.state.value,
                    "account": share.account,
                    "grantee": share.grantee,
                    "preexisting": share.preexisting,
                    "body": _body(share_events.archived(share)),
                    "schema": self._version,
                    EXPIRES: now + self._keep,
                }
                place = addresses.archived_share(share.resource, share.share_name, now)
                writes += [{"Delete": gone}, {"Put": self._table.put_request(place, entry)}]
            if not self._table.transact(writes):
                raise LostRace(shares[start].resource)

    def was_open(self, resource: str, names: str = "") -> bool:
        return self._table.any(resource, f"closed#{names}")

    def _given(self, share: Share) -> dict[str, Any]:
        return {
            ":schema": self._version,
            ":body": _body(share),
            ":state": share.state.value,
            ":intended": share.intended_at,
            ":grant": share.grant_id,
            ":preexisting": share.preexisting,
            ":next": share.version + 1,
        }

    def _history(self, share: Share, what: Sequence[str], now: int) -> Mapping[str, Any]:
        entry = {
            "at": now,
            "state": share.state.value,
            "what": list(what),
            "account": share.account,
            "preexisting": share.preexisting,
            EXPIRES: now + self._keep,
        }
        key = addresses.share(RecordKey(share.resource), share.share_name)
        return {"Put": self._table.put_request(addresses.share_history(key, now, share.version + 1), entry)}

    def _share(self, item: dict[str, Any]) -> Share:
        """Read a share. Damage must not keep this share or others of the same resource open."""
        where = f"{item['pk']} {item['sk']}"
        place = {"resource": item["pk"], "share_name": _share_name(item)}
        try:
            check(where, item.get("schema"), self._version)
            body = json.loads(item["body"])
            share = codec.decode(Share, {**body, **place}, where)
        except (KeyError, TypeError, ValueError, NewerSchema, Unreadable) as error:
            share = least(item, where, error)
        else:
            share = share if _agrees(item, share) else least(item, where, ValueError("its parts differ"), share)
        holdings, damaged = _holdings(item)
        return replace(
            share,
            account=_account(item),
            holdings=holdings,
            asked=_fitting(item, "asked", 0),
            damaged=damaged,
            last_closing_at=_fitting(item, "last_closing_at", ENDED_LONG_AGO),
            grantee=_fitting(item, "grantee", ""),
            version=_fitting(item, "version", UNKNOWN),
        )


def _fitting_transactions(shares: Sequence[Share]) -> Iterator[Sequence[Share]]:
    """Cut into what one transaction takes, by the number of shares and of those who hold them."""
    some, held = list[Share](), 0
    for share in shares:
        if some and (len(some) == PER_TRANSACTION or held + len(share.holdings) > HOLDINGS_AT_ONCE):
            yield some
            some, held = [], 0
        some.append(share)
        held += len(share.holdings)
    if some:
        yield some


def _body(share: Share) -> str:
    plain = codec.encode(replace(share, holdings=frozenset()), sparse=True)
    own = {name: value for name, value in plain.items() if name not in _OF_HOLDERS}
    return json.dumps(own, separators=(",", ":"))


def _share_name(item: Mapping[str, Any]) -> str:
    return str(item["sk"]).removeprefix("share#")


def _holdings(item: Mapping[str, Any]) -> tuple[frozenset[Holding], tuple[str, ...]]:
    """Return the readable holdings, and the other values in the set."""
    stored = item.get("holdings", frozenset())
    if not isinstance(stored, (set, frozenset)) or not all(isinstance(text, str) for text in stored):
        return frozenset(), (NO_SET,)
    read = {text: Holding.read(text) for text in stored}
    return frozenset(filter(None, read.values())), tuple(sorted(text for text, one in read.items() if one is None))


def _clean_up(share: Share) -> str:
    if NO_SET in share.damaged:
        return "no set"
    return "some" if share.damaged else "none"


def _unheld(share: Share) -> str:
    return NOBODY_CAME if share.holdings else UNHELD


def _unchanged(share: Share) -> str:
    """The condition of a write. If no version can be read, there is none to compare, and the write repairs it."""
    return "version = :seen" if share.version != UNKNOWN else "NOT (version = :seen) AND attribute_exists(pk)"


def _agrees(item: Mapping[str, Any], share: Share) -> bool:
    """Whether the item's own attributes say what its body says: one write writes both."""
    saved = item.get("version") != 0  # before the first save there is only what `hold` has written
    said: dict[str, object] = {"state": share.state.value}
    if saved or "intended_at" in item:
        said |= {"intended_at": share.intended_at, "grant_id": share.grant_id, "preexisting": share.preexisting}
    return all(name in item and item[name] == value for name, value in said.items())


def least(item: Mapping[str, Any], where: str, error: Exception, body: Share | None = None) -> Share:
    """Return a share of a damaged item, with enough to close it: damage must not keep it open.

    ``body``: what its body says, if that can be read. Unless it is certain that it was never opened, it may be open.
    Then it is in ``opening``: it opens again if a delivery holds it, and otherwise closes, after looks at AWS.
    """
    what = f"This share's record cannot be read by this version: {error}."
    cure = "If a newer version wrote it, upgrade the stack again; then tag the AMI again."
    name, live = _share_name(item), (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)
    known = body or Share(item["pk"], name, "", fault=Fault("share-unreadable", where, what, cure))
    state = known.state
    if _was_intended(item, known) and known.state not in live:
        state = ShareState.OPEN if item.get("state") in live and body is None else ShareState.OPENING
    elif body is None:
        state = ShareState.REFUSED
    return replace(
        known,
        state=state,
        intended_at=max(_fitting(item, "intended_at", 0), known.intended_at),
        grant_id=name.removeprefix(UNRECORDED) if name.startswith(UNRECORDED) else "",  # "": found by its name
        preexisting=_fitting(item, "preexisting", known.preexisting),
        fault=None if state in live else known.fault,
        answered=_fitting(item, "asked", 0) if body is None else known.answered,
    )


def _was_intended(item: Mapping[str, Any], known: Share) -> bool:
    """Whether an opening may have been intended: False only if the item says so, or was never saved."""
    if known.intended_at or item.get("state") in (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING):
        return True
    never_saved = "intended_at" not in item and item.get("version") == 0
    return not never_saved and bool(item.get("intended_at") != 0)


def _account(item: Mapping[str, Any]) -> str:
    """Return the receiver, by the item's address, whatever its attributes say.

    A permission on a snapshot or AMI is named for it, a statement of a policy begins with it, and a grant's resource
    ends with it.
    """
    pk, name = str(item["pk"]), _share_name(item)
    kind = addresses.resource_kind(pk)
    return pk.rpartition("#")[2] if kind in ("key", "role") else name.partition("-")[0] if kind == "policy" else name


def _fitting(item: Mapping[str, Any], name: str, default: Any, kind: type | None = None) -> Any:
    """One of the item's own attributes, or the default if it is missing or has a wrong type."""
    value = item.get(name, default)
    return value if isinstance(value, kind or type(default)) else default


# --- links -----------------------------------------------------------------------------------------------------------


def _link_key(resource: str, share_name: str, holding: Holding) -> RecordKey:
    return addresses.standing_link(holding.ami, resource, share_name, holding.delivery)


def _link(holding: Holding) -> Mapping[str, Any]:
    members = ("account", "region", "episode", "until")
    return {"kind": "standing", **{name: getattr(holding, name) for name in members}}


def _standing(ami: str, item: Mapping[str, Any]) -> StandingHolding:
    """Read a link. Its key says resource, share and delivery; episode 0 says that the rest cannot be read."""
    resource, share_name, delivery = (*str(item["sk"]).split("|"), "", "")[:3]
    account, region = _fitting(item, "account", ""), _fitting(item, "region", "")
    episode, until = _fitting(item, "episode", 0), _fitting(item, "until", UNKNOWN)
    whole = bool(account and region and delivery and until != UNKNOWN)
    holding = Holding(
        ami, account, region, delivery, episode if whole else 0, Purpose.STANDING, until if whole else ENDED_LONG_AGO
    )
    return StandingHolding(resource, share_name, holding)
