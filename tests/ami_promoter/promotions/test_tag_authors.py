"""Who wrote the tag, from the service's history and CloudTrail's."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ami_promoter.promotions import tag_authors

AMI, KEY = "ami-0123456789abcdef0", "promote"
NINE = 1767603600
DAY = 86_400


class OneCall:
    """An event history with one call that tagged; ``refused``: LookupEvents is not allowed."""

    region = "us-east-1"

    def __init__(self, record: Mapping[str, Any], *, refused: bool = False) -> None:
        self.asked: list[tuple[str, float, float]] = []
        self._record = record
        self._refused = refused

    def calls(self, name: str, since: float, until: float) -> Iterator[Mapping[str, Any]]:
        """Yield the call, for any time."""
        self.asked.append((name, since, until))
        if self._refused:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "LookupEvents")
        if name == self._record["eventName"]:
            yield self._record


def call(value="dev", key=KEY, ami=AMI, name="CreateTags"):
    """CloudTrail's record of a call that tagged."""
    asked = {"resourcesSet": {"items": [{"resourceId": ami}]}, "tagSet": {"items": [{"key": key, "value": value}]}}
    identity = {"arn": "arn:aws:sts::111111111111:assumed-role/Builders/jane"}
    known = {"eventName": name, "eventTime": "2026-01-05T09:00:00Z", "eventID": "e-1", "requestID": "r-1"}
    return {**known, "userIdentity": identity, "requestParameters": asked}


def seen(*looks, changed=NINE):
    """A promotion's history with these looks at the tag: (value, event)."""
    line = 'TagSeen {{"value": "{}", "image_state": "available", "event": "{}", "changed_at": "{}"}}'
    return [
        {"at": "2026-01-05T09:00:04Z", "what": [line.format(value, event, changed if event else 0)]}
        for value, event in looks
    ]


def asked_of(history, *looks, now=NINE + 3600):
    """What is reported for these looks."""
    return tag_authors.attributed(tag_authors.changes(seen(*looks)), history, AMI, KEY, now)


def test_a_look_that_shows_nothing_new_is_no_change():
    """The first look is a change; so is another value, and a look that an event caused.

    A removal that discovery sees before its event arrives is one change, not two; so is one that two looks confirm.
    """
    removed, other = ("None", "e3"), [("test", ""), ("late", "e4")]
    looks = seen(("dev", "e1"), ("dev", ""), ("prod", ""), ("prod", "e2"), removed, removed, *other)
    expected = [("dev", "e1"), ("prod", "e2"), (None, "e3"), *other]

    assert [(one["value"], one["event"]) for _, one in tag_authors.changes(looks)] == expected


def test_the_same_value_written_again_later_is_a_change():
    """A look without an event has shown it before."""
    found = tag_authors.changes([*seen(("dev", "")), *seen(("dev", "e1"), changed=NINE + 60)])

    assert [one["event"] for _, one in found] == ["", "e1"]


def test_it_is_looked_for_about_the_time_that_the_event_names():
    """Without an event the search goes an hour back."""
    history = OneCall(call())
    (one,) = asked_of(history, ("dev", "e1"))
    asked_of(history, ("dev", ""))
    expected = ("arn:aws:sts::111111111111:assumed-role/Builders/jane", "e-1", "r-1", "")

    assert (one["by"], one["cloudtrail_event"], one["request_id"], one["why_unknown"]) == expected
    assert history.asked == [("CreateTags", NINE - 300, NINE + 60), ("CreateTags", NINE + 4 - 3600, NINE + 64)]


def test_other_calls_tagged_something_else():
    """Another AMI, another tag, another value: their callers are not named."""
    for record in (call(ami="ami-0"), call(key="Name"), call(value="prod"), call(name="DeleteTags")):
        (one,) = asked_of(OneCall(record), ("dev", "e1"))
        assert (one["by"], one["cloudtrail_event"]) == ("", "")
        assert "has no CreateTags for it at about that time" in one["why_unknown"]


def test_a_removal_needs_no_value():
    """DeleteTags without names removes all tags."""
    record = call(name="DeleteTags")
    assert asked_of(OneCall(record), ("None", "e1"))[0]["by"]
    record["requestParameters"]["tagSet"] = {}
    assert asked_of(OneCall(record), ("None", "e1"))[0]["by"]


def test_why_nobody_can_say_who_it_was():
    """Too old (CloudTrail is not asked), too new, or not allowed."""
    old, new, refused = OneCall(call()), OneCall(call(value="prod")), OneCall(call(), refused=True)

    assert "older than the 90 days" in asked_of(old, ("dev", "e1"), now=NINE + 91 * DAY)[0]["why_unknown"]
    assert old.asked == []
    assert "some minutes later" in asked_of(new, ("dev", "e1"), now=NINE + 60)[0]["why_unknown"]
    assert "cloudtrail:LookupEvents is needed" in asked_of(refused, ("dev", "e1"))[0]["why_unknown"]


def test_an_ami_that_is_tagged_every_day_does_not_ask_for_an_hour():
    """Only the latest changes are looked up, at two requests a second."""
    history = OneCall(call())
    looks = [("dev", f"e{number}") for number in range(tag_authors.MOST + 3)]

    found = asked_of(history, *looks)

    assert [bool(one["by"]) for one in found] == [False] * 3 + [True] * tag_authors.MOST
    assert len(history.asked) == tag_authors.MOST


def test_lines_for_a_person():
    """Who, when and by which events; or why it is unknown."""
    (known,) = tag_authors.lines(asked_of(OneCall(call()), ("dev", "0123456789")), wide=False)
    (not_known,) = tag_authors.lines(asked_of(OneCall(call(), refused=True), ("None", "e1")), wide=True)

    assert known == (
        "Tagged 'dev' at 2026-01-05 09:00:00 by arn:aws:sts::111111111111:assumed-role/Builders/jane "
        "(event 01234567, CloudTrail e-1, request r-1)"
    )
    assert not_known.startswith(
        "Tag removed at 2026-01-05 09:00:00 by an unknown principal: CloudTrail cannot be asked"
    )
