"""The ledger's items: one per share and one per holding, beside the record of their resource.

A share is ``share#NAME`` in its resource's partition, and what a delivery holds of it ``share-hold#NAME#DELIVERY``. A
closed share without holders becomes ``closed#NAME#TIME`` there, which expires. An index finds the standing holdings of
an AMI, which can be judged and released without the share's item.

The last steps of a share's history are on its item, and one write writes both. Steps move to
``history#share#NAME#TIME#VERSION-DIGEST``, which expires, when they are many. Those of a standing share are there at
once, so that they say what was open if somebody deletes its item; the first ones stay on the item for as long as it is
open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any

from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import ARCHIVED, GONE_WITH_RESOURCE, HOLD, SHARE, RecordKey
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import LostRace, NewerSchema, Refusal, RefusalKind, Unreadable
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import POLICY, Resource
from chalicelib.engine.ports import NOTHING, Stored
from chalicelib.engine.schedule import DAY
from chalicelib.engine.schema import FORMS, Forms
from chalicelib.engine.store.records import RECENT, history, stored
from chalicelib.engine.store.table import EXPIRES, KEEP_HISTORY_DAYS, Table, setting
from chalicelib.engine.stored import compact, fitting
from chalicelib.sharing import holders, machine
from chalicelib.sharing.grant_names import unrecorded_name
from chalicelib.sharing.key_policy import PolicyShare
from chalicelib.sharing.ports import Lines, StandingHolding
from chalicelib.sharing.share import DELIVERED_AMIS, OPEN_STATES, Holding, Purpose, Share, ShareState, ShareStep

PER_TRANSACTION = 50
"""Two items each: the share, and its archive or the steps that are moved; a transaction takes 100."""

MOST_RECENT = 8
"""Most steps on a share: its life has six, and a write costs by the KB."""

IN_THE_BIN = 366 * DAY
"""What went with its resource may come back with it: the Recycle Bin keeps that for a year at most [aws-facts 4]."""

UNRECORDED = unrecorded_name("")
"""The beginning of the name of a share that stands for a grant of which only the id is known."""

UNKNOWN = -1
"""A version that cannot be read."""

NOBODY_CAME = "(NOT attribute_type(asked, :number) OR asked = :asked)"
"""The condition that no holding came since the share was read. A damaged count keeps no share open."""

_BESIDE = ("resource", "share_name", "holdings", "asked", "last_closing_at", "grantee", "version", "recent", "newer")
"""What is beside the body: in the key, because deliveries write it, or as history."""

TO_THE_LAST_HOLDING = "share-hold$"
"""Up to this sort key a resource's partition has its record, the shares, and the holdings, in this order."""

BY_AMI, STANDING_OF = "standing", "standing_of"
"""The index of standing holdings by AMI, and its attribute, which says that a holding is standing."""

IS_NEW = "NOT attribute_type(episode, :number) OR episode < :episode"
"""The condition of a holding's put: there is none, or one of an earlier episode."""

TRIES = 5
"""To hold a share that others write at the same time."""


class DynamoLedger:
    """The port ``Ledger`` on one table. ``forms``: in which bodies are written and read.

    ``keep_days``: for how long history and archive are kept.
    """

    def __init__(self, table: Table, forms: Forms = FORMS, keep_days: int = KEEP_HISTORY_DAYS) -> None:
        self._table = table
        self._forms = forms
        self._keep = keep_days * DAY

    # --- holdings ----------------------------------------------------------------------------------------------------

    def hold(self, share: Share, holding: Holding) -> None:
        """A holder that comes later usually has the latest end, so that is tried first."""
        place = addresses.holding(share.resource, share.share_name, holding.delivery)
        put = self._held(share, holding)
        for _ in range(TRIES):
            asks = (self._wanted(share, latest=latest, asks=True) for latest in (True, False))
            if any(self._table.transact([put, {"Update": ask}]) for ask in asks):
                return
            if (known := self._table.get(place)) is None:
                continue
            if holds(known):
                for latest in (True, False):
                    self._table.do("update_item", self._wanted(share, latest=latest))
                return
            self._table.delete(place, "NOT episode > :episode", {":episode": holding.episode})
        raise Refusal(RefusalKind.THROTTLED, _busy(share))

    def hold_all(self, wanted: Sequence[tuple[Share, Holding]]) -> int:
        writes = list[Mapping[str, Any]]()
        for share, holding in wanted:
            writes += [self._held(share, holding), {"Update": self._wanted(share, latest=True, asks=True)}]
        if self._table.transact(writes):
            return len(wanted)
        share, holding = wanted[0]
        self.hold(share, holding)
        return 1

    def _held(self, share: Share, holding: Holding) -> Mapping[str, Any]:
        place = addresses.holding(share.resource, share.share_name, holding.delivery)
        given = {":number": "N", ":episode": holding.episode}
        return {"Put": self._table.put_request(place, _item(holding), IS_NEW, given)}

    def _wanted(self, share: Share, *, latest: bool, asks: bool = False) -> dict[str, Any]:
        """Build a delivery's write of a share, which may rename the grantee.

        ``latest``: only if no other holder has a later end, else only if one has. ``asks``: it raises ``asked``.
        """
        attributes = {
            "kind": "share",
            "account": share.account,
            "grantee": share.grantee,
            "schema": self._forms.newest("share"),
            "body": _body(share),
            "state": share.state.value,
            "version": 0,
            **({"last_closing_at": share.last_closing_at} if latest else {}),
        }
        given = {":until": share.last_closing_at, **({":one": 1} if asks else {})}
        update = setting(attributes, given, keeping=["schema", "body", "state", "version"])
        return self._table.update_request(
            share.key,
            update["expression"] + (" ADD asked :one" if asks else ""),
            update["given"],
            names=update["names"],
            condition="NOT last_closing_at > :until" if latest else "last_closing_at > :until",
        )

    def release(self, resource: str, share_name: str, holding: Holding, *, listed: bool = False) -> None:
        place = addresses.holding(resource, share_name, holding.delivery)
        condition, given = "attribute_exists(pk)", dict[str, Any]()
        if holding.episode:
            condition += " AND (NOT attribute_type(episode, :number) OR episode <= :episode)"
            given = {":number": "N", ":episode": holding.episode}
        if listed:
            self._table.update(place, "SET released = :true", {**given, ":true": True}, condition=condition)
        else:
            self._table.delete(place, condition, given)

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        found = self._table.query_index_all(BY_AMI, STANDING_OF, ami)
        return [StandingHolding(item["pk"], *_holding(item)) for item in found]

    # --- shares ------------------------------------------------------------------------------------------------------

    def shares(self, resource: str) -> Sequence[Share]:
        """Read shares before holdings: of a holding that comes meanwhile, ``asked`` is raised after it was read."""
        return self.read(self._table.query_between(resource, SHARE, TO_THE_LAST_HOLDING))

    def with_record(self, key: RecordKey) -> tuple[Stored | None, Sequence[Share]]:
        """Read the record first: who holds a share after that was read writes the record again."""
        items = list(self._table.query_between(key.pk, key.sk, TO_THE_LAST_HOLDING))
        record = next((item for item in items if item["sk"] == key.sk), None)
        return None if record is None else stored(key, record, self._forms), self.read(items)

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        keys = [addresses.share(RecordKey(resource), share_name) for resource, share_name in dict.fromkeys(places)]
        items = list(self._table.get_all(keys))
        held = [one for it in map(RecordKey.of, items) for one in self._table.query(it.pk, f"{HOLD}{it.share_name}#")]
        return self.read([*items, *held])

    def find_for(self, wanted: Collection[tuple[str, str, str]]) -> Sequence[Share]:
        keys = dict.fromkeys(addresses.share(RecordKey(resource), share_name) for resource, share_name, _ in wanted)
        return self.read(self._table.get_all([*keys, *dict.fromkeys(starmap(addresses.holding, wanted))]))

    def read(self, items: Iterable[Mapping[str, Any]]) -> list[Share]:
        """Read the shares among these items, with the holdings among them."""
        there = list(items)
        held = holdings_in(there)
        return [
            self._share(item, held.get((item["pk"], RecordKey.of(item).share_name), frozenset()))
            for item in there
            if item["sk"].startswith(SHARE)
        ]

    def save(
        self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False, calls: Lines = NOTHING
    ) -> list[Share]:
        """What is written before a race is lost stays, and is true."""
        saved: list[Share] = []
        for few in slices(shares, PER_TRANSACTION):
            some = [_stepped(s, happened, now, calls) for s in few]
            writes, after = [], []
            for share in some:
                kept, moved = self._history(share)
                writes += [*moved, {"Update": self._update(kept, unheld=unheld)}]
                after.append(replace(kept, version=share.version + 1))
            if not self._written(writes) and not self._are_there(after):
                self._keep_calls([s for s in some if calls.get(s.share_name)])
                raise LostRace(some[0].resource)
            saved += after
        return saved

    def _update(self, share: Share, *, unheld: bool) -> dict[str, Any]:
        given = {":seen": share.version, **(_asked(share) if unheld else {})}
        condition = _unchanged(share) + (f" AND {NOBODY_CAME}" if unheld else "")
        return self._table.update_request(share.key, **setting(self._saved(share), given), condition=condition)

    def _written(self, writes: Sequence[Mapping[str, Any]]) -> bool:
        """Write shares, each after the steps that are moved; False: a condition did not hold, or others write them.

        One share is written without a transaction. If the process is killed before that, its steps are in both places.
        """
        *moved, last = writes
        if any("Put" not in write for write in moved):
            return self._table.transact(writes)
        for write in moved:
            self._table.do("put_item", write["Put"])
        return self._table.do_alone("update_item", last["Update"])

    def _are_there(self, shares: Sequence[Share]) -> bool:
        """Whether a refused write is in the table: its answer was lost, and the SDK sent it again.

        Of a transaction DynamoDB itself knows that, by its token; not of one share's update.
        """
        if len(shares) > 1:
            return False
        (share,) = shares
        item = self._table.get(share.key) or {}
        written = (item.get("version"), item.get("body"), item.get(RECENT))
        return written == (share.version, _body(share), _text(share.recent))

    def _keep_calls(self, lost: Iterable[Share]) -> None:
        """Write the last step of shares that another run wrote first: this run has made calls for them."""
        writes = [self._moved(replace(share, version=UNKNOWN, recent=share.recent[-1:])) for share in lost]
        if writes:
            self._table.transact(writes)

    def put_right(self, share: Share, happened: str, now: int) -> bool:
        """Keep the holdings, and an end that is set."""
        share, moved = self._history(_stepped(share, happened, now))
        attributes = {
            "kind": "share",
            "account": share.account,
            "grantee": share.grantee,
            "last_closing_at": share.last_closing_at,
            **self._saved(share),
        }
        update = self._table.update_request(
            share.key,
            **setting(attributes, {":seen": share.version}, keeping=["grantee", "last_closing_at"]),
            condition="version = :seen" + (" OR attribute_not_exists(pk)" if share.version == 0 else ""),
        )
        return self._written([*moved, {"Update": update}])

    def archive(self, shares: Sequence[Share], now: int, happened: str = "", calls: Lines = NOTHING) -> None:
        # what has closed since such a share must not be forgotten before it
        before = self.gone_with_resource(shares[0].resource) if shares and self._keep < IN_THE_BIN else ()
        for few in slices(shares, PER_TRANSACTION):
            writes: list[Mapping[str, Any]] = []
            for share in few:
                gone_once = share.gone_with_resource or share.share_name in before
                steps = _stepped(share, happened, now, calls).recent if happened else share.recent
                condition = f"{_unchanged(share)} AND {NOBODY_CAME}"
                gone = self._table.delete_request(share.key, condition, {":seen": share.version, **_asked(share)})
                entry = {
                    "kind": "archive",
                    "at": now,
                    "state": share.state.value,
                    "account": share.account,
                    "grantee": share.grantee,
                    "preexisting": share.preexisting,
                    **({GONE_WITH_RESOURCE: True} if share.gone_with_resource else {}),
                    "body": _body(machine.evolve(share, machine.Archived(), now)),
                    RECENT: _text(steps),
                    "schema": self._forms.newest("archive"),
                    EXPIRES: now + (max(self._keep, IN_THE_BIN) if gone_once else self._keep),
                }
                place = addresses.archived_share(share.resource, share.share_name, now)
                writes += [{"Delete": gone}, {"Put": self._table.put_request(place, entry)}]
            if not self._table.transact(writes):
                raise LostRace(few[0].resource)

    def was_open(self, resource: str, names: str = "") -> bool:
        return any(self._table.query(resource, f"{ARCHIVED}{names}", Limit=1))

    def gone_with_resource(self, resource: str) -> Collection[str]:
        latest = {RecordKey.of(item).share_name: item for item in self._table.query(resource, ARCHIVED)}
        return {name for name, item in latest.items() if item.get(GONE_WITH_RESOURCE)}

    def _saved(self, share: Share) -> dict[str, Any]:
        return {
            "schema": self._forms.newest("share"),
            "body": _body(share),
            "state": share.state.value,
            "intended_at": share.intended_at,
            "grant_id": share.grant_id,
            "preexisting": share.preexisting,
            "recent": _text(share.recent),
            "version": share.version + 1,
        }

    def _history(self, share: Share) -> tuple[Share, Sequence[Mapping[str, Any]]]:
        """Return the share with the steps that stay on its item, and the write of those that are to be beside it."""
        stands = share.state is ShareState.OPEN and holders.standing(share)
        if len(share.recent) <= MOST_RECENT and not stands:
            return share, ()
        return replace(share, recent=share.recent[:MOST_RECENT] if stands else ()), [self._moved(share)]

    def _moved(self, share: Share) -> Mapping[str, Any]:
        last, steps = share.recent[-1], _text(share.recent)
        entry = {
            "at": last.at,
            "state": last.state,
            "entries": steps,
            "account": share.account,
            "preexisting": share.preexisting,
            EXPIRES: last.at + self._keep,
        }
        place = addresses.share_history(share.key, last.at, share.version + 1, steps)
        return {"Put": self._table.put_request(place, entry)}

    def _share(self, item: Mapping[str, Any], holdings: frozenset[Holding]) -> Share:
        """Read a share. Damage must not keep this share or others of the same resource open."""
        where = f"{item['pk']} {item['sk']}"
        place = {"resource": item["pk"], "share_name": RecordKey.of(item).share_name}
        try:
            body = codec.parsed_json(self._forms.text(where, item))
            share = codec.decode(Share, {**body, **place}, where)
        except (KeyError, TypeError, ValueError, NewerSchema, Unreadable) as error:
            share = least(item, where, error)
        else:
            share = share if _agrees(item, share) else least(item, where, ValueError("its parts differ"), share)
        return replace(
            share,
            account=account_of(RecordKey.of(item)),
            holdings=holdings,
            asked=fitting(item, "asked", 0),
            last_closing_at=fitting(item, "last_closing_at", holders.ENDED_LONG_AGO),
            grantee=fitting(item, "grantee", ""),
            version=fitting(item, "version", UNKNOWN),
            recent=steps_in(item),
        )


def _body(share: Share) -> str:
    plain = codec.encode(replace(share, holdings=frozenset()), sparse=True)
    own = {name: value for name, value in plain.items() if name not in _BESIDE}
    return compact(own)


def _stepped(share: Share, happened: str, now: int, calls: Lines = NOTHING) -> Share:
    step = ShareStep(now, share.state.value, (happened, *calls.get(share.share_name, ())))
    return replace(share, recent=(*share.recent, step))


def steps_in(item: Mapping[str, Any]) -> tuple[ShareStep, ...]:
    """Return the steps in an item: a share, an archived one, or one of its history. Damaged ones are left out."""
    return tuple(ShareStep(one["at"], one["state"], tuple(one["what"])) for one in history(item))


def _text(steps: Sequence[ShareStep]) -> str:
    return compact(codec.encode(steps))


def _asked(share: Share) -> dict[str, Any]:
    """Return the values of ``NOBODY_CAME``."""
    return {":number": "N", ":asked": share.asked}


def _unchanged(share: Share) -> str:
    """The condition of a write. If no version can be read, there is none to compare, and the write repairs it."""
    return "version = :seen" if share.version != UNKNOWN else "NOT (version = :seen) AND attribute_exists(pk)"


def _agrees(item: Mapping[str, Any], share: Share) -> bool:
    """Whether the item's own attributes say what its body says: one write writes both."""
    said: dict[str, object] = {"state": share.state.value}
    if item.get("version") != 0 or "intended_at" in item:  # before the first save there is only what `hold` has written
        said |= {"intended_at": share.intended_at, "grant_id": share.grant_id, "preexisting": share.preexisting}
    return all(name in item and item[name] == value for name, value in said.items())


def least(item: Mapping[str, Any], where: str, error: Exception, body: Share | None = None) -> Share:
    """Return a share of an item that is damaged, or of a newer form, with enough to close it: neither keeps it open.

    ``body``: what its body says, if that can be read. Unless it is certain that it was never opened, it may be open.
    Then it is in ``opening``: it opens again if a delivery holds it and no newer version wrote it, and otherwise
    closes, after looks at AWS.
    """
    newer = isinstance(error, NewerSchema)
    what = f"This share's record cannot be read by this version: {error}."
    cure = (
        "If a newer version wrote it, upgrade the stack again: then it goes on. "
        "Otherwise lower its `schema`, if that is too high, and tag the AMI again."
    )
    fault = Fault("share-unreadable", where, what, cure)
    name = RecordKey.of(item).share_name
    known = body or Share(item["pk"], name, "", fault=None if newer else fault, waits_for=fault if newer else None)
    state, intended = known.state, _was_intended(item, known) and known.state not in OPEN_STATES
    if intended and body is None and item.get("state") in OPEN_STATES:
        state = ShareState(item["state"]) if newer else ShareState.OPEN
    elif intended:
        state = ShareState.OPENING
    elif body is None and not newer:
        state = ShareState.REFUSED
    return replace(
        known,
        state=state,
        intended_at=max(fitting(item, "intended_at", 0), known.intended_at),
        grant_id=name.removeprefix(UNRECORDED) if name.startswith(UNRECORDED) else "",  # "": found by its name
        preexisting=fitting(item, "preexisting", known.preexisting),
        fault=None if state in OPEN_STATES else known.fault,
        answered=fitting(item, "asked", 0) if body is None else known.answered,
        newer=newer,
    )


def _was_intended(item: Mapping[str, Any], known: Share) -> bool:
    """Whether an opening may have been intended: False only if the item says so, or was never saved."""
    if known.intended_at or item.get("state") in OPEN_STATES:
        return True
    never_saved = "intended_at" not in item and item.get("version") == 0
    return not never_saved and bool(item.get("intended_at") != 0)


def account_of(key: RecordKey) -> str:
    """Return the receiver, by the address of an item of a share, whatever its attributes say.

    A permission on a snapshot or AMI is named for it, a statement of a policy begins with it, and a grant's resource
    ends with it.
    """
    it, name = Resource.parse(key.pk), key.share_name
    return it.account or (PolicyShare.parse(name).account if it.kind == POLICY else name)


# --- holdings --------------------------------------------------------------------------------------------------------


def holdings_in(items: Iterable[Mapping[str, Any]]) -> Mapping[tuple[str, str], frozenset[Holding]]:
    """Return the holdings among items by (resource, ``share_name``), without those that hold nothing."""
    found = defaultdict[tuple[str, str], set[Holding]](set)
    for item in items:
        if str(item["sk"]).startswith(HOLD) and holds(item):
            share_name, holding = _holding(item)
            found[item["pk"], share_name].add(holding)
    return {place: frozenset(some) for place, some in found.items()}


def _busy(share: Share) -> Fault:
    what = f"Others wrote this share at each of {TRIES} tries to hold it."
    return Fault("share-busy", f"{share.resource}, {share.share_name}", what, "If this lasts, report it as an issue.")


def holds(item: Mapping[str, Any]) -> bool:
    """Whether an item holds its share: it can be read, and was not released."""
    return "released" not in item and _holding(item)[1].episode != 0


def _item(holding: Holding) -> Mapping[str, Any]:
    members = ("account", "region", "episode", "until")
    of_ami = {STANDING_OF if holding.stands else "ami": holding.ami}
    return {"kind": "holding", **of_ami, **{name: getattr(holding, name) for name in members}}


def _holding(item: Mapping[str, Any]) -> tuple[str, Holding]:
    """Read a holding and its share's name; episode 0 says that it cannot be read, and holds nothing.

    That of ``DELIVERED_AMIS`` holds whatever it says.
    """
    key = RecordKey.of(item)
    share_name, delivery = key.share_name, key.holder
    purpose = Purpose.STANDING if STANDING_OF in item else Purpose.COPY
    ami = fitting(item, STANDING_OF if purpose is Purpose.STANDING else "ami", "")
    account, region = fitting(item, "account", ""), fitting(item, "region", "")
    if delivery == DELIVERED_AMIS:  # no damage takes a key from the AMIs that were delivered
        return share_name, Holding(ami, account, region, delivery, 1, Purpose.STANDING)
    episode, until = fitting(item, "episode", 0), fitting(item, "until", UNKNOWN)
    whole = bool(ami and account and region and delivery and until != UNKNOWN)
    return share_name, Holding(
        ami, account, region, delivery, episode if whole else 0, purpose, until if whole else holders.ENDED_LONG_AGO
    )
