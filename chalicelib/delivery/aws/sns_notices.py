"""Sends notices: to one SNS topic and, with the same body, to the hub's event bus."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from chalicelib.engine import mails
from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.notices import LISTS, accounts, attributes, subject, with_plain

SOURCE = "ami-promoter"

Names = Callable[[Collection[str]], Mapping[str, str]]
"""What the targets file calls these accounts; those without a name are left out."""


class SnsNotices:
    """The port ``Notices``. It sends at least once; the notice's ``id`` identifies a repeat."""

    def __init__(self, sessions: Sessions, topic_arn: str, bus: str, names: Names) -> None:
        self._sessions = sessions
        self._topic_arn = topic_arn
        self._bus = bus
        self._names = names

    def publish(self, notice: Mapping[str, Any]) -> None:
        """The topic comes last, so that a second try after a refusal of the bus sends people no second mail."""
        notice = with_plain(notice, self._names(accounts(notice)))
        self._put_event(notice)
        found = attributes(notice)
        message = mails.message(notice, mails.text(notice), found)
        _publish(self._sessions, self._topic_arn, subject(notice), message, found)

    def _put_event(self, notice: Mapping[str, Any]) -> None:
        where = f"event bus {self._bus}"
        entry = {
            "Source": SOURCE,
            "DetailType": notice["event"],
            "Detail": json.dumps(notice),
            "EventBusName": self._bus,
        }
        with as_refusal("PutEvents", where):
            answer = self._sessions.own("events").put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            refused = answer["Entries"][0]
            what = f"PutEvents was refused: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}"
            raise Refusal(
                RefusalKind.THROTTLED, Fault("event-not-put", where, what, "If this lasts, look at AWS's status.")
            )


class SecurityTopic:
    """The port ``Notices``, of findings: one SNS topic of its own, which the access monitor alone may publish to."""

    def __init__(self, sessions: Sessions, topic_arn: str) -> None:
        self._sessions = sessions
        self._topic_arn = topic_arn

    def publish(self, notice: Mapping[str, Any]) -> None:
        """``severity`` and ``verdict`` are attributes, for filter policies."""
        found = {name: str(notice[name]) for name in ("severity", "verdict")}
        shown = f"[{notice['severity']}] AMI promoter: {notice['verdict']}, {notice['call']}"
        shown = "".join(letter if 32 <= ord(letter) < 127 else "?" for letter in shown)[:99]
        _publish(self._sessions, self._topic_arn, shown, mails.message(notice, mails.finding(notice), found), found)


def _publish(
    sessions: Sessions, topic_arn: str, subject: str, message: Mapping[str, str], attributes: Mapping[str, str]
) -> None:
    typed = {
        name: {"DataType": "String.Array" if name in LISTS else "String", "StringValue": value}
        for name, value in attributes.items()
    }
    with as_refusal("Publish", topic_arn):
        sessions.own("sns").publish(TopicArn=topic_arn, Subject=subject, **message, MessageAttributes=typed)
