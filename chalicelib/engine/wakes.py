"""A wake: the message that names a record, so that its worker looks at it. It carries no state.

The body is a JSON object: ``key`` (the record's partition), ``cause`` (what sent it, for the log) and, where an event
sent it, ``reason`` (an object of one member, below). The worker writes a reason into the record's inbox,
which makes the record look, and reads the truth from AWS. Only a tag event's version and time count as they are,
because EC2 keeps no time for a tag; a look that shows another value than the event said is followed by a second one.

===============  ===========  ===============================  =====================================================
reason           of           value                            meaning
===============  ===========  ===============================  =====================================================
``tag``          a promotion  ``TagEntry``                     the trigger tag was written; an unknown AMI is begun
``untag``        a promotion  ``TagEntry``                     the trigger tag was removed
``image``        both         the event's id                   an AMI changed its state
``look#<snap>``  a delivery   its id, or ``failed:`` before    a copy of this source snapshot has ended, or failed
===============  ===========  ===============================  =====================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.engine import codec
from chalicelib.engine.addresses import RecordKey, digest

MAX_KEY = 128
"""Most characters of a record's partition, which names the message group: SQS accepts no more."""
MAX_CAUSE = 200

FAILED_COPY = "failed:"
"""Begins the reason for a copy whose event says that it did not succeed: the delivery looks at it at once."""

EVENT_AT = "event-at"
"""The inbox entry of a delivery that says when the last event from its target came (epoch seconds)."""

_EVENT_ID = r"[ -~]{0,100}"
_TAG_ENTRY = rf"([0-9]{{12}})(-|=[0-9a-f]{{8}}|)(?:@([0-9]{{1,12}}))?(?:#({_EVENT_ID}))?"
_REASONS = {
    "promotion": {"tag": _TAG_ENTRY, "untag": _TAG_ENTRY, "image": _EVENT_ID},
    "delivery": {"image": _EVENT_ID, r"look#snap-[0-9a-f]{1,40}": _EVENT_ID},
}
"""Kind of record -> pattern of a reason's name -> pattern of its value."""


class TagEntry(NamedTuple):
    """A tag event: its version, when the tag changed (epoch seconds; None: unknown), and its id."""

    version: int = 0
    at: int | None = None
    event: str = ""
    said: str = ""
    """What it said of the tag, as ``said_of`` writes it; "": unknown."""

    @classmethod
    def parse(cls, text: str) -> TagEntry:
        """Read an entry; of other text nothing is known."""
        found = re.fullmatch(_TAG_ENTRY, text)
        if found is None:
            return cls()
        return cls(int(found[1]), int(found[3]) if found[3] else None, found[4] or "", found[2])

    def __str__(self) -> str:
        at = "" if self.at is None else f"@{self.at}"
        return f"{self.version:012d}{self.said}{at}#{self.event}"

    def contradicts(self, value: str | None) -> bool:
        """Whether a look that shows this value (None: no tag) is late, or the tag was written again since."""
        return self.said not in ("", said_of(value))


def said_of(value: str | None) -> str:
    """Return what a tag event says of the tag: a digest of its value, or that it was removed (None)."""
    return "-" if value is None else f"={digest(ascii(value), length=8)}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event makes a record look."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Wake:
    """One message. ``cause`` is the event's id, or says what in the service sent it (``sweep:...``)."""

    key: RecordKey
    cause: str
    reason: Reason | None = None


def encode(wake: Wake) -> str:
    """Write a wake as a message's body."""
    body: dict[str, object] = {"key": wake.key.pk, "cause": wake.cause}
    if wake.reason is not None:
        body["reason"] = {wake.reason.name: wake.reason.value}
    return json.dumps(body)


def decode(body: str) -> Wake:
    """Read a message's body. A reason that does not fit the kind of record is dropped: the record looks all the same.

    Raises ValueError if the body names no record.
    """
    message = codec.parsed_json(body)
    if not isinstance(message, dict):
        raise ValueError(f"{body!r:.200} is no wake: it must be an object with a key.")  # noqa: TRY004 - one error
    pk, cause = message.get("key"), message.get("cause", "")
    if not isinstance(pk, str) or not 0 < len(pk) <= MAX_KEY:
        raise ValueError(f"{body!r:.200} is no wake: its key must have 1 to {MAX_KEY} characters.")
    key = RecordKey(pk)
    return Wake(key, str(cause)[:MAX_CAUSE], _reason(key.kind, message.get("reason")))


def _reason(kind: str, given: object) -> Reason | None:
    if not isinstance(given, Mapping) or len(given) != 1:
        return None
    ((name, value),) = given.items()
    if not isinstance(name, str) or not isinstance(value, str):
        return None
    fits = any(
        re.fullmatch(names, name) and re.fullmatch(values, value) for names, values in _REASONS.get(kind, {}).items()
    )
    return Reason(name, value) if fits else None
