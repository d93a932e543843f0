"""A promotion's tracked deliveries, and the count that tells the last delivery to end that it is the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.engine.ports import Telemetry
from chalicelib.engine.schema import FORMS, Forms
from chalicelib.engine.store.table import Table, setting
from chalicelib.engine.stored import compact

BY_ACCOUNT, BY_IMAGE = "account", "image"
"""Indexes of tracked deliveries: by account, and by the AMI that they made. Only people query them."""

RUNS = "episode = :was AND running = :yes"
"""The condition that it has not ended, or begun again, since it was read."""
BESIDE = ("generation", "joined", "ssm_parameter")
"""Attributes beside the body, which its delivery writes again when it ends."""
LEAST = ("region", "state", "image", "ended_at")
"""Members of the body that are also beside it, for when it cannot be read."""


class DynamoTrackedDeliveries:
    """The port ``TrackedDeliveries`` on one table. ``forms``: in which bodies are written and read."""

    def __init__(self, table: Table, forms: Forms = FORMS, telemetry: Telemetry | None = None) -> None:
        self._table = table
        self._forms = forms
        self._telemetry = telemetry

    def add(self, ami: str, tracked: TrackedDelivery, *, count: bool = True) -> bool:
        attributes = {
            "kind": "tracked",
            **self._stored(tracked),
            "episode": tracked.episode,
            "generation": tracked.generation,
            "joined": tracked.joined,
            "ssm_parameter": tracked.ssm_parameter,
            "running": True,
            "delivered_to": tracked.account,
        }
        added = self._table.update(
            addresses.tracked_delivery(ami, tracked.delivery),
            **setting(attributes),
            condition="attribute_not_exists(pk) OR episode < :episode",
        )
        if added is not None and count:
            self.count(ami, +1)
        return added is not None

    def count(self, ami: str, more: int) -> int:
        counted: dict[str, Any] | None = self._table.update(
            addresses.promotion(ami),
            "ADD children_running :change",
            {":change": more},
            condition="attribute_exists(pk)",
            returning="UPDATED_NEW",
        )
        return 0 if counted is None else int(counted["children_running"])

    def end(self, ami: str, tracked: TrackedDelivery) -> bool:
        """The count may be off by one after a crash; the promotion's poll reads the tracked deliveries themselves."""
        key, was = addresses.tracked_delivery(ami, tracked.delivery), {":was": tracked.episode, ":yes": True}
        over = {**self._stored(tracked), "running": False, "ssm_parameter": tracked.ssm_parameter}
        over |= {"delivered_as": tracked.image} if tracked.image else {}
        ended = self._table.update(key, **setting(over, was), condition=RUNS)
        if ended is not None:
            return self.count(ami, -1) <= 0
        older = "episode <= :episode" if tracked.outcome.follows else "episode < :episode"
        self._table.update(key, **setting({**over, "episode": tracked.episode}), condition=older)  # counted before
        return True

    def take_back(self, ami: str, tracked: TrackedDelivery, before: TrackedDelivery) -> None:
        key, was = addresses.tracked_delivery(ami, tracked.delivery), {":was": tracked.episode, ":yes": True}
        numbers = {"episode": before.episode, "generation": before.generation}
        back = setting({**self._stored(before), **numbers, "running": False}, was)
        taken_back = self._table.update(key, **back, condition=RUNS)
        if taken_back is not None:
            self.count(ami, -1)

    def rename(self, ami: str, delivery: str, ssm_parameter: str) -> None:
        written = setting({"ssm_parameter": ssm_parameter})
        self._table.update(addresses.tracked_delivery(ami, delivery), **written, condition="attribute_exists(pk)")

    def all(self, ami: str) -> Sequence[TrackedDelivery]:
        return [self._tracked(item) for item in self._table.query(addresses.promotion(ami).pk, "delivery#")]

    def _stored(self, tracked: TrackedDelivery) -> dict[str, Any]:
        beside = {name: getattr(tracked, name) for name in LEAST}
        return {"schema": self._forms.newest("tracked"), "body": compact(codec.encode(tracked)), **beside}

    def _tracked(self, item: dict[str, Any]) -> TrackedDelivery:
        """Read a tracked delivery. Damage, or a newer form, must hold up no removal: then what stands beside counts."""
        where = f"{item['pk']} {item['sk']}"
        always = {name: item[name] for name in BESIDE if name in item}
        try:
            body = codec.parsed_json(self._forms.text(where, item))
            return codec.decode(TrackedDelivery, {**body, **always}, where)
        except (KeyError, TypeError, ValueError, NewerSchema, Unreadable) as error:
            if self._telemetry is not None:
                self._telemetry.unreadable(RecordKey.of(item), f"{error!r:.200}")
            return _least(item, where)


def stand_beside(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a tracked delivery that its item has beside the body: all that counts without a body."""
    known = {name: item[name] for name in ("episode", *BESIDE, *LEAST) if name in item}
    account = {"account": item["delivered_to"]} if "delivered_to" in item else {}
    return {**known, **account, "delivery": item["sk"].removeprefix("delivery#")}


def _least(item: Mapping[str, Any], where: str) -> TrackedDelivery:
    """Return a tracked delivery without its body; if nothing says whose it is, raise an error that parks."""
    try:
        return codec.decode(TrackedDelivery, stand_beside(item), where)
    except ValueError as error:
        raise Unreadable(f"{where} cannot be read: {error}.") from error
