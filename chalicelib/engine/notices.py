"""What all notices have in common: one body for SNS and the event bus, of limited size.

Its id shows a repeat. Each subject has its own kinds, a row each: ``notices`` in delivery, promotion and targets.
docs/reference/events.md describes the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault, count, listed
from chalicelib.engine.places import called
from chalicelib.engine.ports import NOTHING

SCHEMA = 1
MAX_LISTED = 100
"""Of deliveries in a summary. SNS takes 256 KiB, EventBridge more; each line is well under 300 bytes."""
MAX_TEXT = 1000
SUBJECT_LENGTH = 99
"""SNS takes less than 100 characters [botocore 1.44 sns model, PublishInput]."""
LISTS = frozenset({"group"})
"""Message attributes that hold several values."""


@dataclass(frozen=True, slots=True)
class NoticeKind:
    """A kind of notice; the docstring below it says for docs/reference/events.md what it means.

    ``said``: its outcomes, the usual one first, and each within a sentence; of a delivery the target follows.
    ``chat``: the rule of deploy/chat.yaml that shows it; empty: none does.
    """

    event: str
    said: Mapping[str, str]
    chat: str = ""

    def head(self, now: int, *about: str, cause: Iterable[str] = (), outcome: str = "") -> dict[str, Any]:
        """Return the first members of a notice. Its id follows from ``about``, kind and ``cause``: a repeat shows.

        ``outcome``: empty for the usual one. ``with_plain`` completes ``plain`` when the notice is sent.
        """
        outcome = outcome or next(iter(self.said))
        known = {"schema": SCHEMA, "id": digest(*about, self.event, *cause), "event": self.event, "at": now}
        return {**known, "outcome": outcome, "plain": {"said": self.said[outcome]}}


def attributes(notice: Mapping[str, Any]) -> dict[str, str]:
    """Return the message attributes that a filter policy can use; SNS takes no empty value.

    What is not printable, in a name that somebody else gave, becomes ``?``, as do characters beyond U+FFFF, such as an
    emoji: SNS refuses the whole notice for these [aws-facts, Added, November 2026, VERIFIED].

    ``group`` is a JSON list, for an attribute of type String.Array: a filter policy then matches any of its members.
    """
    wanted = {
        "event": notice["event"],
        "outcome": notice["outcome"],
        "account": notice.get("account"),
        "region": notice.get("region"),
        "group": json.dumps(groups) if (groups := list(notice.get("groups", ()))) else None,
        "image_name": notice.get("source_name"),
    }
    texts = {name: str(value) for name, value in wanted.items() if value}
    return {
        name: "".join(char if char.isprintable() and char <= "\uffff" else "?" for char in text)
        for name, text in texts.items()
    }


_PLAIN = str.maketrans({"`": "'", '"': "'", "\\": "/", "<": "(", ">": ")", "&": "+"})


def plain(text: str) -> str:
    """Return what others have written for a chat's span of code, which it cannot end.

    A client reads ``<``, ``>`` and ``&`` before all else, for links and mentions. The other signs end a span, or the
    JSON in which a rule of EventBridge puts the text.
    """
    return "".join(char if char.isprintable() else " " for char in text).translate(_PLAIN)


def with_plain(notice: Mapping[str, Any], names: Mapping[str, str] = NOTHING) -> dict[str, Any]:
    """Add what a chat channel and a mail show of a notice, as plain text, and the accounts' names.

    ``names``: by account, as the targets file has them.
    """
    notice = _named(notice, names)
    first: Mapping[str, Any] = next(iter(notice.get("faults") or ()), _pointer(notice) or _recall(notice))
    said = {
        "name": notice.get("source_name") or notice.get("source_image", ""),
        "what": first.get("what") or notice.get("why") or "",
        "cure": first.get("cure", ""),
        "said": notice.pop("plain")["said"],
        "place": called(notice["account"], notice.get("account_name", "")) if notice.get("account") else "",
    }
    return {**notice, "plain": {name: plain(str(text)) for name, text in said.items()}}


def accounts(notice: Mapping[str, Any]) -> frozenset[str]:
    """Return the accounts that a notice is about."""
    listed = (entry["account"] for name in _WITH_ACCOUNTS for entry in notice.get(name, ()))
    return frozenset(filter(None, (notice.get("account"), *listed)))


_WITH_ACCOUNTS = ("deliveries", "targets")
"""Members whose entries have an account."""


def _named(notice: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Add ``account_name`` to a notice and to each target in its lists, where the file has one."""
    found = {**notice, **({"account_name": name} if (name := names.get(notice.get("account", ""))) else {})}
    if names:
        lists = {one: notice[one] for one in _WITH_ACCOUNTS if one in notice}
        found |= {one: [_named(entry, names) for entry in entries] for one, entries in lists.items()}
    return found


def _pointer(notice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fault of the parameter of the AMI's family, or else that a rollback holds it; empty: neither."""
    pointer: Mapping[str, Any] = notice.get("pointer") or {}
    if pointer.get("fault") or not pointer.get("pinned"):
        return pointer.get("fault") or {}
    is_now = f"stays at {pointer['image']}" if pointer["image"] else "names no AMI"
    what = f"The parameter {pointer['parameter']} {is_now}: a rollback holds it at {pointer['pinned']}"
    where = f"{notice['account']}/{notice['region']}"
    cure = f"`ami-promoter rollback {notice['family']} --account {where} --lift` ends that."
    return {"what": what, "cure": cure}


def _recall(notice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a recall means for who uses the AMI; empty: it was not recalled."""
    recall = notice.get("recall")
    if not recall:
        return {}
    cure = f"Launch nothing more from {notice['image']}, and replace what runs from it."
    return {"what": f"Recalled by {recall['by']}: {recall['why']}", "cure": cure}


def subject(notice: Mapping[str, Any]) -> str:
    """Return a line for people who subscribe by mail: printable ASCII, as short as SNS wants it."""
    place = f" in {called(notice['account'], notice.get('account_name', ''))}" if notice.get("account") else ""
    file = f"targets file {notice.get('version')}" if "version" in notice else ""
    image = file or notice.get("source_image", count(len(notice.get("images", ())), "AMI"))
    name = f" ({notice['source_name']})" if notice.get("source_name") else ""
    pointer = ", its parameter has a fault" if (notice.get("pointer") or {}).get("fault") else ""
    text = f"{image} {notice['outcome']}{place}{pointer}{name}"
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:SUBJECT_LENGTH]


def said_faults(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Return faults for a notice: the first ones, each text shortened, and how many are left out."""
    some = listed(faults, "", "`ami-promoter status` lists all.")
    return [{name: str(value)[:MAX_TEXT] for name, value in fault.to_json().items()} for fault in some]
