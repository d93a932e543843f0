"""The lane of a resource: opens and closes its shares for all who came.

Deliveries write themselves in and out as holders and ring; here the resource settles itself, in as few calls as AWS
allows. One bad account in a batch is found by halving the batch, so that only it fails (law 7).

The shares are read once in a round. Who comes or goes meanwhile writes the ledger first and then notes the resource's
record, so the record's conditional write fails and another round reads them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from chalicelib.core import addresses, share
from chalicelib.core.addresses import Key
from chalicelib.core.delivery import machine
from chalicelib.core.delivery.events import Why
from chalicelib.core.errors import ParkRecord
from chalicelib.core.faults import Fault
from chalicelib.core.share import Share, State
from chalicelib.ports import Door, Ledger, LostRace, Records, Refusal, Stored, Targets, Telemetry, Write
from chalicelib.service import deliveries, grant_audit
from chalicelib.service.bell import Bell, Clock

CHUNK = 500
"""Shares worked on in one round; more rounds follow, in this invocation or the next."""
ROUNDS = 6
RACES = 3
TRIES_BEFORE_ALARM = 5
"""A share that so many tries have not closed is shown to a person."""

NOT_LISTED = "The applied targets file does not contain this account; nothing is shared with it."
NOT_LISTED_CURE = "Add it to the file and apply it, then tag the AMI again; or leave it out of the tag's value."


class _Book:
    """The shares of one resource as the ledger has them: read once, then kept up with what is written."""

    def __init__(self, ledger: Ledger, resource: str, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.resource = resource
        self._shares = {s.holder_key: s for s in ledger.shares(resource)}

    @property
    def shares(self) -> Sequence[Share]:
        """All of them."""
        return tuple(self._shares.values())

    def save(self, shares: Iterable[Share], happened: str, *, unheld: bool = False) -> list[Share]:
        """Write them, and return them with their new versions. Raises LostRace."""
        shares = list(shares)
        if shares:
            self._ledger.save(shares, happened, self._clock(), unheld=unheld)
        saved = [replace(s, version=s.version + 1) for s in shares]
        self._shares.update({s.holder_key: s for s in saved})
        return saved

    def save_results(self, results: Sequence[Share], happened: str) -> list[Share]:
        """Write what calls have done. If others wrote meanwhile, what was done is still true: it is put right."""
        try:
            return self.save(results, happened)
        except LostRace:
            self._put_right({s.holder_key: s for s in results})
            raise

    def _put_right(self, tried: Mapping[str, Share]) -> None:
        for _ in range(RACES):
            found = [s for s in self._ledger.shares(self.resource) if s.holder_key in tried]
            wrong = [w for s in found if (w := share.raced(tried[s.holder_key], s, self._clock()))]
            try:
                self.save(wrong, "another run's call came between")
            except LostRace:
                continue
            return


class Settle:
    """Works on one resource at a time. ``doors`` maps the second word of its name to how its permissions open."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        doors: Mapping[str, Door],
        targets: Targets,
        bell: Bell,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._doors = doors
        self._targets = targets
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    def run(self, key: Key, *, time_left: Clock) -> None:
        """Open and close what is to be, tell the holders, and write down when to look again."""
        try:
            for _ in range(ROUNDS):
                stored = self._begin(key)
                if stored is None:
                    return
                book = _Book(self._ledger, key.pk, self._clock)
                more = time_left() > self.needs_seconds and self._round(book)
                now = self._clock()
                oldest = share.oldest_open(book.shares, now)
                if oldest is not None:
                    self._telemetry.open_shares(oldest)
                write = Write(key, "open", {"resource": key.pk}, share.due_at(book.shares, now), _latest(book.shares))
                if self._records.save(stored, write, (), now) and not more:
                    return
            self._bell.ring(key, f"more:{self._clock()}")
        except LostRace:
            self._bell.ring(key, f"raced:{self._clock()}")

    def _begin(self, key: Key) -> Stored | None:
        """Begin; a record that cannot be read, or that somebody has set aside, does not keep its doors open.

        The shares are items of their own. Its due date is left as it is, so that the sweep comes back to it.
        """
        try:
            stored = self._records.begin(key)
            if stored is None or not stored.parked:
                return stored
        except ParkRecord as trouble:
            self._telemetry.parked(key, str(trouble))
        self._round(_Book(self._ledger, key.pk, self._clock))
        return None

    needs_seconds = 16
    """A round is begun only with so much time left: two SDK time-outs."""

    def _round(self, book: _Book) -> bool:
        """Do one chunk; True if there is more to do at once."""
        door = self._doors[book.resource.split("#")[1]]
        now = self._clock()
        opening = share.to_open(book.shares, now)[:CHUNK]
        closing = share.to_close(book.shares, now)[:CHUNK]
        if opening:
            self._open(door, book, opening)
        if closing:
            self._close(door, book, closing)
        self._tell(book)
        now = self._clock()
        return bool(share.to_open(book.shares, now) or share.to_close(book.shares, now))

    # --- opening -----------------------------------------------------------------------------------------------------

    def _open(self, door: Door, book: _Book, opening: Sequence[Share]) -> None:
        """Write the intent, with what was there before us; then open; then write the result."""
        opening = self._listed(book, opening)
        now = self._clock()
        fresh = [s for s in opening if s.state is not State.OPENING]
        seen: frozenset[str] = frozenset()
        if door.foreign and fresh:
            try:
                seen = door.showing(book.resource, fresh)
            except Refusal as refusal:
                book.save((self._hindered(s, refusal) for s in opening), f"not opened: {refusal.fault.what}")
                return
        doubts = {s.holder_key: d for s in fresh if s.holder_key in seen and (d := share.doubtful(s, now))}
        book.save(doubts.values(), "the permission shows before it was asked for: to be looked at again")
        opening = [s for s in opening if s.holder_key not in doubts]
        intended = book.save(
            (share.intend_opening(s, now, seen=s.holder_key in seen) for s in opening), "opening is intended"
        )
        ready = [s for s in intended if s.before_us]
        to_ask = [s for s in intended if not s.before_us]
        results = [share.opened(s, now) for s in ready]
        for start in range(0, len(to_ask), door.batch):
            batch = to_ask[start : start + door.batch]
            results += self._in_batches(batch, lambda some: self._opened(door, book.resource, some))
        for s in book.save_results(results, "opening was tried"):
            what = "opened" if s.state is State.OPEN else "not opened"
            self._telemetry.share(book.resource, s.account, what, before_us=s.before_us, grant=s.grant_id)

    def _opened(self, door: Door, resource: str, some: Sequence[Share]) -> list[Share]:
        grants = door.open(resource, some)
        return [share.opened(s, self._clock(), grants.get(s.holder_key, "")) for s in some]

    def _listed(self, book: _Book, opening: Sequence[Share]) -> list[Share]:
        """Refuse whoever the applied file does not contain: the promotion's own list is not believed (law 8)."""
        listed = self._targets.listed({s.account for s in opening})
        strangers = [s for s in opening if s.account not in listed or _elsewhere(s)]
        book.save(
            (
                share.refused(
                    s, Fault("account-not-listed", f"account {s.account}", NOT_LISTED, NOT_LISTED_CURE), self._clock()
                )
                for s in strangers
            ),
            "refused: not in the applied targets file",
        )
        return [s for s in opening if s not in strangers]

    def _in_batches(self, batch: Sequence[Share], act: Callable[[Sequence[Share]], list[Share]]) -> list[Share]:
        """Act on all at once; where AWS refuses, on each half, down to the one it means."""
        try:
            return act(batch)
        except Refusal as refusal:
            if len(batch) == 1 or refusal.why is Why.THROTTLED:
                return [self._hindered(s, refusal) for s in batch]
        middle = len(batch) // 2
        return self._in_batches(batch[:middle], act) + self._in_batches(batch[middle:], act)

    def _hindered(self, s: Share, refusal: Refusal) -> Share:
        now = self._clock()
        if s.state is State.CLOSING:
            self._telemetry.share(s.resource, s.account, "not closed", why=refusal.fault.what)
            waits = refusal.why is Why.THROTTLED
            return (None if waits else share.given_up(s, refusal.fault, now)) or share.put_off(s, now)
        if not share.worth_waiting(s, refusal.why, now):
            return share.refused(s, refusal.fault, now)
        if refusal.why is not Why.THROTTLED:
            for holder in sorted(s.holders):
                self._say(holder, s, _worded("waits", refusal.fault))
        return share.put_off(s, now)

    # --- closing -----------------------------------------------------------------------------------------------------

    def _close(self, door: Door, book: _Book, closing: Sequence[Share]) -> None:
        """Write the intent; remove; read back; closed means read back as absent."""
        now = self._clock()
        intended = book.save((share.intend_closing(s, now) for s in closing), "closing is intended", unheld=True)
        stays = [share.closed(s, now) for s in intended if s.before_us]
        ours = [s for s in intended if not s.before_us]
        results = []
        for start in range(0, len(ours), door.batch):
            batch = ours[start : start + door.batch]
            results += self._in_batches(batch, lambda some: self._removed(door, book.resource, some))
        for s in book.save_results([*stays, *results], "closing was tried"):
            self._closed(book.resource, s)
        left = {s.account for s in closing} - {s.account for s in book.shares if share.needed(s)}
        if left and not door.foreign and not addresses.at_home(book.resource):
            self._bell.remind(*grant_audit.reminder(book.resource, self._clock()))

    def _removed(self, door: Door, resource: str, some: Sequence[Share]) -> list[Share]:
        door.close(resource, some)
        showing = door.showing(resource, some)
        now = self._clock()
        return [
            share.look_again(s, now)
            if s.holder_key in showing or now < share.believable_from(s)
            else share.closed(s, now)
            for s in some
        ]

    def _closed(self, resource: str, s: Share) -> None:
        if s.state is State.CLOSING:
            self._telemetry.share(resource, s.account, "not seen closed yet", tries=s.tries)
            if s.tries >= TRIES_BEFORE_ALARM:
                self._telemetry.not_closing(resource, s.account, s.tries)
            return
        if s.closed_at is None:
            self._telemetry.share(resource, s.account, "left open in the target", why=s.fault and s.fault.what)
            return
        what = "kept, as it was there before us" if s.before_us else "closed"
        seconds = None if s.opened_at is None or s.closed_at is None else s.closed_at - s.opened_at
        self._telemetry.share(resource, s.account, what, open_seconds=seconds)
        if s.closed_blind:
            self._telemetry.closed_blind(resource, s.account)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, book: _Book) -> None:
        """Write to each holder's delivery what became of its share; ring it once that leads it on."""
        told = []
        for s in book.shares:
            news = share.untold(s)
            for holder in sorted(news):
                self._say(holder, s, _said(s))
            if news:
                told.append(replace(s, told=s.told | news))
        book.save(told, "holders were told")

    def _say(self, holder: str, s: Share, said: str) -> None:
        held_by = share.Holder.read(holder)
        hints = {addresses.share_hint(s.resource, s.holder_key): f"{held_by.episode}:{said}"}
        cause = f"{s.resource}:{s.holder_key}:{s.generation}:{s.state}"
        self._bell.note(addresses.delivery(held_by.delivery), hints, cause, leads_on=self._leads_on)

    def _leads_on(self, stored: Stored) -> bool:
        """Whether a delivery has now heard all that it waits for: the last of its shares wakes it, and no other."""
        return bool(machine.heard(deliveries.parse(stored), self._clock()))


def _elsewhere(s: Share) -> bool:
    """Whether a grant would go to a principal of another account than the one that was looked up."""
    return bool(s.grantee) and s.grantee.split(":")[4:5] != [s.account]


def _said(s: Share) -> str:
    if s.state is State.OPEN:
        return "open"
    fault = s.fault or Fault(
        "share-closed-at-its-end",
        f"{s.resource}, account {s.account}",
        "The share was closed at its hard end while the delivery still held it.",
        "Look why the delivery did not end by its own deadline: its history, dead letters, the role in the target.",
    )
    return _worded("refused", fault)


def _worded(how: str, fault: Fault) -> str:
    return f"{how}:{fault.code}\x1f{fault.where}\x1f{fault.what}\x1f{fault.cure}"


def _latest(shares: Sequence[Share]) -> int | None:
    ends = [share.hard_end(s) for s in shares if s.state in (State.OPENING, State.OPEN, State.CLOSING)]
    return min(filter(None, ends), default=None)
