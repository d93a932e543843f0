"""A notice as the text of a mail, for a person: one screen, times in ISO form.

What others have written (an AMI's name, a tag's value, AWS's messages) comes from the notice's ``plain`` or passes
through ``plain``: it stays in its line, and cannot end the quotes around a name.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from chalicelib.engine import schedule
from chalicelib.engine.faults import count
from chalicelib.engine.notices import plain
from chalicelib.engine.places import called

WIDTH = 78
LISTED = 5
"""Most targets that a mail names."""
LONGEST = 300
"""Characters of a cause or a cure; the commands show all of it."""
LONGEST_VALUE = 150
"""Characters of anything else, such as a tag's value; an ARN has fewer."""
LARGEST = 262_144
"""Bytes that SNS takes, of all forms of a message and its attributes [botocore 1.44 sns model, PublishInput]."""


def message(notice: Mapping[str, Any], mail: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a message for SNS: the text for mails, the notice itself for all others.

    A notice that fits only without its mail goes to all as it is.
    """
    body = json.dumps(notice)
    forms = json.dumps({"default": body, "email": mail})
    size = len(forms) + sum(len(f"{name}{value}".encode()) for name, value in attributes.items())
    return {"Message": forms, "MessageStructure": "json"} if size <= LARGEST else {"Message": body}


def text(notice: Mapping[str, Any]) -> str:
    """Return the mail of a notice that has its ``plain``."""
    said = notice["plain"]
    faults = len(notice.get("faults") or ())
    more = f"{count(faults - 1, 'more fault')} in its status." if faults > 1 else ""
    why = (said["what"], said["cure"], more)
    return _page(_headline(notice), _listed(notice), _facts(notice), why, _commands(notice))


def finding(notice: Mapping[str, Any]) -> str:
    """Return the mail of a finding of the access monitor or the drift audit."""
    facts = {
        "by": notice["principal"],
        "admitted": ", ".join(notice["receivers"][:LISTED]),
        "Region": notice["region"],
        "hub": f"{notice['hub']}, {notice['hub_region']}",
        "at": _iso(notice["at"]),
        "request": notice["request_id"],
    }
    headline = f"{notice['severity']}: {notice['verdict']}, {notice['call']} on {notice['resource']}."
    return _page(plain(headline), (), facts, [notice["why"], notice["cure"]], ())


def _page(
    headline: str, listed: Iterable[str], facts: Mapping[str, str], paragraphs: Iterable[str], commands: Iterable[str]
) -> str:
    blocks = [
        [headline],
        listed,
        *([_short(one, LONGEST)] for one in paragraphs if one),
        [f"    {one}" for one in commands],
        [f"{label:<10} {_short(value, LONGEST_VALUE)}" for label, value in facts.items() if value],
    ]
    pages = ("\n".join(line for one in block for line in _lines(one)) for block in blocks)
    return "\n\n".join(filter(None, pages)) + "\n"


def _lines(line: str) -> list[str]:
    """Wrap a line between words, as ids are copied; one with an ARN stays whole."""
    return [line] if "arn:" in line else textwrap.wrap(line, WIDTH, break_on_hyphens=False)


def _short(value: str, most: int) -> str:
    said = " ".join(plain(value).split())
    return said if len(said) <= most else f"{said[: most - 2]} …"


def _headline(notice: Mapping[str, Any]) -> str:
    name, said = notice["plain"]["name"], notice["plain"]["said"]
    ami = f'"{name}"' if name else notice.get("source_image", "")
    if "version" in notice:
        return f"Version {notice['version']} of the targets file {said}."
    if "images" in notice:
        number = len(notice["images"]) + notice["unlisted"]
        return f"{count(number, 'AMI')} {said if number == 1 else said.replace('is ', 'are ', 1)}."
    place = f" {notice['plain']['place']}, {notice['region']}" if notice.get("account") else ""
    return f"{ami} {said}{place}."


def _listed(notice: Mapping[str, Any]) -> Iterator[str]:
    """Name the targets of a notice, as many as a mail takes; of a summary those in which the AMI is not."""
    found = [*notice.get("deliveries", ()), *notice.get("targets", ())]
    number = len(found) + notice.get("unlisted", 0) - notice.get("there", 0)
    for one in found[: min(number, LISTED)]:
        place = plain(called(one["account"], one.get("account_name", "")))
        yield f"{one.get('outcome', ''):<10} {place}, {one['region']}".strip()
    if found and number > LISTED:
        yield f"and {number - LISTED:,} more"


def _facts(notice: Mapping[str, Any]) -> dict[str, str]:
    pointer = notice.get("pointer") or {}
    images = [*notice.get("images", ())]
    return {
        "AMI there": notice.get("image") or "",
        "its key": notice.get("key") or "" if notice.get("image") else "",
        "parameter": f"{pointer['parameter']} names {pointer.get('image')}" if pointer.get("parameter") else "",
        "source": notice.get("source_image", ""),
        "AMIs": ", ".join(images[:LISTED]) + (" …" if len(images) > LISTED else ""),
        "tag value": notice.get("value") or "",
        "applied by": f"{notice['applied_by']} (claimed)" if notice.get("applied_by") else "",
        "approved": notice.get("approved_by") or "",
        "hub": notice.get("hub", ""),
        "took": _duration(notice.get("seconds", 0)),
        "at": _iso(notice["at"]),
    }


def _commands(notice: Mapping[str, Any]) -> Iterator[str]:
    """The commands that go on from here: what repairs, or else what shows."""
    ami = notice.get("source_image")
    if ami:
        yield f"ami-promoter status {ami}"
    yield from filter(None, (notice.get("approve"), notice.get("retry")))


def _iso(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _duration(seconds: int) -> str:
    if not seconds:
        return ""
    if seconds < schedule.MINUTE:
        return f"{seconds} s"
    hours, rest = divmod(seconds, schedule.HOUR)
    minutes, rest = divmod(rest, schedule.MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
