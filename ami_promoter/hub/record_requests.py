"""Writes an operator's requests to records (look again, withdraw, accept, continue after parking), and wakes them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from ami_promoter.hub.aws import CallersSessions, Connection, HubError, errors
from ami_promoter.hub.records import UNSETTLED, Reader, RecordSeen, record_of
from chalicelib.delivery.model import ACCEPTED, DeliveryState
from chalicelib.engine import addresses
from chalicelib.engine.aws.sqs import SqsWakes
from chalicelib.engine.errors import Refusal
from chalicelib.engine.store.records import INBOX
from chalicelib.engine.store.table import setting
from chalicelib.promotion.machine import RECALL, WITHDRAW
from chalicelib.promotion.model import Promotion, Retry

MOST_PLACES = 500
"""Most places of an entry: a promotion's record keeps them."""
ASK_TRIES = 10
"""Others may write the same entry at the same moment."""


def wake(connection: Connection, keys: Iterable[addresses.RecordKey]) -> None:
    """Send a wake to the worker of each record. A lost or refused wake is harmless: the sweep wakes within a minute."""
    wakes = [(key, f"operator:{time.time_ns()}") for key in keys]
    if not wakes:
        return
    with suppress(Refusal, *errors()):
        name = f"ami-promoter-{connection.region}-worker.fifo"
        queue = connection.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        SqsWakes(CallersSessions(connection), queue, "").wake_all(wakes)


def look_again(connection: Connection, ami: str, places: Collection[str] = ()) -> bool:
    """Make an AMI's promotion look at its tag, as after a new event; return whether its entry names ``places``.

    ``places``: start again only failed deliveries to these accounts, or ACCOUNT/REGION.
    """
    doing = "asking the service to look again (the tag is written)"
    with connection.telling(doing):
        asked = _ask(connection, Reader(connection, doing), ami, "retry", places)
        _look_now(connection, ami)
        return asked


def look_at(connection: Connection, keys: Sequence[addresses.RecordKey]) -> None:
    """Make records due now: their workers look, and try again what they find to do."""
    with connection.telling("asking the service to look again"):
        for key in keys:
            connection.records.make_due(key, int(connection.now()))
    wake(connection, keys)


def nudge(connection: Connection, ami: str, value: str, *, again: bool) -> str:
    """Ask for a look at the tag that the caller has just written or removed; return a warning, "" if that succeeded.

    ``value``: the tag's, "" if it is removed. ``again``: the tag had this value before, so what failed is tried again.
    Otherwise it is a look and no more: the service may have seen the tag by its event, and begun.
    Who may tag, and no more, cannot write records. EC2's event, or discovery, then wakes the promotion.
    """
    asked = {"seen": f"{time.time_ns()}:{value}"}
    try:
        if again:
            look_again(connection, ami)
        else:
            with connection.telling("asking the service to look at once"):
                _look_now(connection, ami, asked)
    except HubError as refused:
        allowed = refused.fault.code != "AccessDeniedException"
        why = refused.fault.what if allowed else "these credentials lack dynamodb:UpdateItem."
        return f"The service was not asked to look at once: {why} It sees the tag by its event, within five minutes."
    return ""


def _ask(connection: Connection, reader: Reader, ami: str, name: str, places: Collection[str]) -> bool:
    """Write the entry ``retry`` or ``lifted``, with the places of an earlier one that the service has not read yet.

    No place means all. More than an entry holds are asked for by ``lifted`` for all (False): what has failed is tried
    again everywhere, and nothing begins that had not begun. Another operator may ask at the same moment, so it is
    written on condition of the entry that was read.
    """
    for _ in range(ASK_TRIES):
        record = reader.promotion(ami)
        if record is None:
            return True
        waiting = record.it.unread(name)
        others = places if waiting is None else Retry.parse(waiting).places
        every = sorted({*places, *others}) if places and others else []
        if len(every) > MOST_PLACES and name != "lifted":
            _ask(connection, reader, ami, "lifted", ())
            return False
        if _leave(connection, record, name, Retry(str(time.time_ns()), every if len(every) <= MOST_PLACES else [])):
            return True
    raise _overtaken(ami)


def _leave(connection: Connection, record: RecordSeen[Promotion], name: str, entry: Retry) -> bool:
    """Write an entry, unless it is another one by now than that of the record, which was read before."""
    attribute = INBOX + name
    before = record.item.get(attribute)
    same = "attribute_not_exists(#n0)" if before is None else "#n0 = :before"
    update = setting({attribute: str(entry)}, {} if before is None else {":before": before})
    written = connection.record_items.update(record.key, **update, condition=f"attribute_exists(pk) AND {same}")
    return written is not None


def _overtaken(ami: str) -> HubError:
    return HubError("Others were writing the same request all the time.", ami, "Run the command again.", "lost-race")


def withdraw(connection: Connection, ami: str, value: str, lifted: Collection[str] = ()) -> None:
    """Make an AMI's promotion, and the pass over standing shares, read the withdrawals.

    ``value``: the tag's value, which the promotion may not have seen yet. ``lifted``: where a withdrawal has ended, so
    that what had begun there is tried again.
    """
    stamp = str(time.time_ns())
    doing = "asking the service to withdraw (run the command again)"
    with connection.telling(doing):
        _mark(connection, ami, stamp)
        if lifted:
            _ask(connection, Reader(connection, doing), ami, "lifted", lifted)
        _look_now(connection, ami, {WITHDRAW: stamp, "seen": f"{stamp}:{value}"})


def recall(connection: Connection, ami: str, places: Collection[str] = ()) -> None:
    """Make an AMI's promotion, and the pass over standing shares, read the recall.

    ``places``: it is tried again at these targets ("ACCOUNT/REGION"), ``MOST_PLACES`` at once; also, as far as there is
    room, where others have asked for that and it was not tried since.
    """
    doing = "asking the service to look at the recall (run the command again)"
    with connection.telling(doing):
        _mark(connection, ami, str(time.time_ns()))
        reader = Reader(connection, doing)
        for _ in range(ASK_TRIES):
            promotion = reader.promotion(ami)
            if promotion is None:
                return
            before = Retry.parse(promotion.it.inbox.get(RECALL, ""))
            tracked = reader.tracked(ami) if before.places else ()
            waiting = sorted(one.it.place for one in tracked if before.recalls_again(one.it))
            again = [*dict.fromkeys((*sorted(places), *waiting))][:MOST_PLACES]
            when = int(connection.now()) if again else time.time_ns()
            if _leave(connection, promotion, RECALL, Retry(str(when), again)):
                _look_now(connection, ami)
                return
    raise _overtaken(ami)


def recall_lifted(connection: Connection, ami: str) -> None:
    """Make an AMI's promotion, and the pass over standing shares, see the lift; what had begun is tried again."""
    stamp = str(time.time_ns())
    with connection.telling("asking the service to look at the recall (run the command again)"):
        _mark(connection, ami, stamp)
        _look_now(connection, ami, {RECALL: stamp, "lifted": stamp})


def _look_now(connection: Connection, ami: str, asked: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make an AMI's promotion due, with these requests, and wake it. A wake for none does nothing."""
    key = addresses.promotion(ami)
    connection.records.make_due(key, int(connection.now()), asked)
    wake(connection, [key])


def _mark(connection: Connection, ami: str, stamp: str) -> None:
    """Mark the AMI for the pass over standing shares."""
    mark = setting({"withdrawn": stamp, "kind": "standing", "episode": 0}, keeping=("kind", "episode"))
    connection.record_items.update(addresses.standing(ami), **mark)


def accept(connection: Connection, deliveries: Iterable[str], image: str) -> None:
    """Write on each of these deliveries that a person has compared and accepted the AMI."""
    with connection.telling(f"accepting {image}"):
        for ident in deliveries:
            connection.records.leave(addresses.delivery(ident), {ACCEPTED: image}, int(connection.now()))


def approved(connection: Connection, ami: str, places: Collection[str]) -> None:
    """Wake the deliveries to these targets ("ACCOUNT/REGION"), which wait for an approval."""
    with suppress(HubError):  # they look by themselves
        tracked = [one.it for one in Reader(connection).tracked(ami)]
        wake(connection, [addresses.delivery(one.delivery) for one in tracked if one.place in places])


def resumed(connection: Connection) -> int:
    """Wake what a pause held back: promotions that were to begin deliveries, and what waits for its wave; count them.

    A promotion compares again, as after a change of the file: its record says when it looks next, and a wake alone
    changes that not.
    """
    unsettled = {f":{one}": str(one) for one in UNSETTLED}
    which = (
        f"(begins_with(pk, :promotion) AND sk = :record AND #state IN ({', '.join(unsettled)})) "
        "OR (begins_with(pk, :delivery) AND sk = :record AND #state = :wave)"
    )
    given = {":wave": str(DeliveryState.AWAITING_WAVE), **unsettled}
    now, stamp = int(connection.now()), time.time_ns()
    doing = "waking what waits (it looks by itself within 15 minutes)"
    keys = [record_of(item).key for item in Reader(connection, doing).items(which, given)]
    with connection.telling(doing):
        for key in keys:
            if key.kind == "promotion":
                connection.records.make_due(key, now, {"file": f"{stamp}:resumed"})
    wake(connection, keys)
    return len(keys)


def unpark(connection: Connection, keys: Collection[addresses.RecordKey]) -> list[addresses.RecordKey]:
    """Let parked records continue; return those that were parked."""
    doing = "letting parked records continue (run the command again)"
    found = Reader(connection, doing).many(keys)
    parked = [key for key in keys if key in found and "parked" in found[key].item]
    with connection.telling(doing):
        return [key for key in parked if connection.records.unpark(key, int(connection.now()))]
