"""Amazon SNS: topics, and subscriptions with filter policies to queues, functions or an inbox in memory."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from awsim import patterns
from awsim.api import AwsError, Call
from awsim.parts import Base, Queues, Receiver
from awsim.rules import rule

FILTER = rule(
    "sns-filter-policy",
    "A subscription with a filter policy gets only messages whose attributes match it. [SNS developer guide, "
    "filtering]",
)
SIZE = rule(
    "sns-message-of-256-kib",
    "A message and its attributes have at most 256 KiB, unless the topic allows more. [SNS API reference, Publish]",
)
SUBJECT = rule(
    "sns-subject-below-100-characters",
    "A subject has less than 100 characters, no line break and no control character. [SNS API reference, Publish]",
)
NOT_EMPTY = rule(
    "sns-nothing-empty",
    "A message, a subject that is given, and an attribute's value must not be empty. [SNS API reference, Publish; "
    "SNS developer guide, message attributes]",
)
BASIC_PLANE = rule(
    "sns-attribute-without-supplementary-characters",
    "A string attribute has no character beyond U+FFFF, such as an emoji; subject and message may. "
    "[aws-facts, Added, November 2026, VERIFIED]",
)
TOPIC_POLICY = rule(
    "sns-service-needs-topic-policy",
    "A service such as EventBridge publishes to a topic only if its policy allows it. [EventBridge user guide, "
    "targets]",
)
FORMS = rule(
    "sns-form-for-each-protocol",
    "With MessageStructure json, a subscription receives the text under its own protocol's key, else that under "
    "`default`. [SNS API reference, Publish]",
)
DEFAULT_FORM = rule(
    "sns-forms-need-a-default",
    "With MessageStructure json, Publish refuses what is no JSON object with a text under `default`. [SNS API "
    "reference, Publish]",
)
BODY_FILTER = rule(
    "sns-body-filter-reads-own-form",
    "A filter policy on the body reads the text that its own subscription would receive, and matches none that is no "
    "JSON. [LocalStack does so; SNS developer guide, filtering, does not say which]",
)
FOR_FUNCTIONS = rule(
    "sns-function-gets-arrays-as-text",
    "To a function an attribute of type String.Array or Number comes as a String; filter policies read it as it was "
    "sent. [SNS developer guide, sns-message-attributes; the second half UNVERIFIED]",
)
SERVICE = "sns.amazonaws.com"
LARGEST = 262_144
LONGEST_SUBJECT = 100
"""The length that a subject must stay below."""


@dataclass(slots=True)
class Subscription:
    """A subscription to a topic; messages for protocols such as ``email`` go to ``inbox``."""

    arn: str
    protocol: str
    endpoint: str
    filter: Mapping[str, Any] | None = None
    on_body: bool = False
    """The filter policy is about the message's JSON body instead of its attributes."""
    raw: bool = False
    inbox: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Topic:
    """A topic."""

    arn: str
    policy: Mapping[str, Any] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    subscriptions: list[Subscription] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Published:
    """One message as it was published. ``attributes`` are plain: name -> text or list of texts.

    ``message`` is the default's text, ``forms`` those of protocols that have their own.
    """

    topic: str
    message: str
    subject: str
    attributes: Mapping[str, Any]
    forms: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The message, parsed as JSON."""
        return json.loads(self.message)


class Sns:
    """All topics of a world; ``published`` holds every message, in order."""

    name = "sns"
    exclusive = True

    def __init__(self, base: Base, queues: Queues, functions: Receiver) -> None:
        self.topics: dict[str, Topic] = {}
        self.published: list[Published] = []
        self._base = base
        self._queues = queues
        self._functions = functions
        self._numbers = itertools.count(1)
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "CreateTopic": self._create_topic,
            "ListTopics": self._list_topics,
            "GetTopicAttributes": self._get_topic_attributes,
            "SetTopicAttributes": self._set_topic_attributes,
            "Publish": self._publish,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._unsubscribe,
            "ListSubscriptionsByTopic": self._list_subscriptions,
        }

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers."""
        return self._operations

    def create(self, account: str, region: str, name: str) -> Topic:
        """Create a topic, or return it."""
        topic = Topic(f"arn:aws:sns:{region}:{account}:{name}")
        return self.topics.setdefault(topic.arn, topic)

    def subscribe(
        self, arn: str, protocol: str, endpoint: str, attributes: Mapping[str, str] | None = None
    ) -> Subscription:
        """Subscribe to a topic; ``attributes`` as in the API: FilterPolicy, FilterPolicyScope, RawMessageDelivery."""
        given = attributes or {}
        number = next(self._numbers)
        new = Subscription(
            f"{arn}:{number:08d}-0000-4000-8000-000000000000",
            protocol,
            endpoint,
            json.loads(given["FilterPolicy"]) if given.get("FilterPolicy") else None,
            given.get("FilterPolicyScope") == "MessageBody",
            given.get("RawMessageDelivery") == "true",
        )
        self._topic(arn).subscriptions.append(new)
        return new

    def deliver(self, arn: str, body: str, *, principal: str, source_arn: str) -> None:
        """Publish for a service. Raises AwsError if there is no such topic or its policy forbids."""
        topic = self._topic(arn)
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": source_arn.split(":")[4]}
        allowed = self._base.policies.service_may(principal, topic.policy, "sns:Publish", arn, context)
        if not allowed and self._base.on(TOPIC_POLICY):
            raise AwsError(
                "AuthorizationError", f"the policy of {arn} does not let {principal} publish for {source_arn}", 403
            )
        self._spread(topic, Published(arn, body, "", {}), {})

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a topic."""
        topic = self.topics.get(arn)
        return topic.policy if topic else None

    def _spread(self, topic: Topic, message: Published, attributes: Mapping[str, Any]) -> str:
        self.published.append(message)
        identity = f"{next(self._numbers):08d}-0000-4000-8000-000000000000"
        notice = {
            "Type": "Notification",
            "MessageId": identity,
            "TopicArn": topic.arn,
            "Subject": message.subject,
            "Timestamp": self._base.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "MessageAttributes": {
                k: {"Type": v["DataType"], "Value": v.get("StringValue", "")} for k, v in attributes.items()
            },
        }
        for one in topic.subscriptions:
            text = message.forms.get(one.protocol, message.message)
            if self._wants(one, message, text if self._base.on(BODY_FILTER) else message.message):
                self._hand_over(topic, one, {**notice, "Message": text}, attributes)
        return identity

    def _wants(self, one: Subscription, message: Published, text: str) -> bool:
        """Whether a message passes a subscription's filter policy; ``text`` is what one on the body reads."""
        if one.filter is None or not self._base.on(FILTER):
            return True
        try:
            return patterns.matches(one.filter, json.loads(text) if one.on_body else message.attributes)
        except ValueError:
            return False

    def _hand_over(
        self, topic: Topic, one: Subscription, notice: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> None:
        if one.protocol == "sqs":
            body = notice["Message"] if one.raw else json.dumps(notice)
            passed = attributes if one.raw else {}
            try:
                self._queues.deliver(one.endpoint, body, principal=SERVICE, source_arn=topic.arn, attributes=passed)
            except AwsError:
                return  # SNS gives up on it: no dead-letter queue is played here
        elif one.protocol == "lambda":
            if self._base.on(FOR_FUNCTIONS):
                texts = {
                    name: {**it, "Type": it["Type"] if it["Type"] == "Binary" else "String"}
                    for name, it in notice["MessageAttributes"].items()
                }
                notice = {**notice, "MessageAttributes": texts}
            event = {
                "Records": [
                    {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": one.arn, "Sns": notice}
                ]
            }
            try:
                self._functions.deliver(one.endpoint, json.dumps(event), principal=SERVICE, source_arn=topic.arn)
            except AwsError:
                return
        else:
            one.inbox.append(notice)

    # --- the API ---

    def _create_topic(self, call: Call) -> Mapping[str, Any]:
        return {"TopicArn": self.create(call.caller.account, call.region, call.params["Name"]).arn}

    def _list_topics(self, call: Call) -> Mapping[str, Any]:
        own = [arn for arn in self.topics if arn.split(":")[3:5] == [call.region, call.caller.account]]
        return {"Topics": [{"TopicArn": arn} for arn in own]}

    def _get_topic_attributes(self, call: Call) -> Mapping[str, Any]:
        topic = self._topic(call.params["TopicArn"])
        policy = {"Policy": json.dumps(topic.policy)} if topic.policy else {}
        return {"Attributes": {"TopicArn": topic.arn, **topic.attributes, **policy}}

    def _set_topic_attributes(self, call: Call) -> Mapping[str, Any]:
        topic, name, value = (
            self._topic(call.params["TopicArn"]),
            call.params["AttributeName"],
            call.params["AttributeValue"],
        )
        if name == "Policy":
            topic.policy = json.loads(value)
        else:
            topic.attributes[name] = value
        return {}

    def _publish(self, call: Call) -> Mapping[str, Any]:
        given = call.params
        topic = self._topic(given.get("TopicArn") or given.get("TargetArn") or "")
        attributes = given.get("MessageAttributes", {})
        self._check(given, attributes)
        size = len(given["Message"].encode()) + sum(
            len(k) + len(str(v.get("StringValue", ""))) for k, v in attributes.items()
        )
        if size > LARGEST and self._base.on(SIZE):
            raise AwsError("InvalidParameter", "Invalid parameter: Message too long")
        text: str = given["Message"]
        forms: dict[str, str] = {}
        if given.get("MessageStructure") == "json":
            text, forms = self._forms(text)
        plain = {k: _plain(v) for k, v in attributes.items()}
        message = Published(topic.arn, text, given.get("Subject", ""), plain, forms)
        return {"MessageId": self._spread(topic, message, attributes)}

    def _forms(self, message: str) -> tuple[str, dict[str, str]]:
        """Return the default's text, and the texts of protocols that have their own."""
        try:
            found = json.loads(message)
        except ValueError:
            found = None
        texts = {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
        if "default" not in texts and self._base.on(DEFAULT_FORM):
            why = "No default entry in" if isinstance(found, dict) else "Failed to parse"
            raise AwsError("InvalidParameter", f"Invalid parameter: Message Structure - {why} JSON message body")
        default = texts.pop("default", message)
        return default, texts if self._base.on(FORMS) else {}

    def _check(self, given: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Refuse an invalid message."""
        for name, attribute in attributes.items():
            if max(attribute.get("StringValue", ""), default="") > "\uffff" and self._base.on(BASIC_PLANE):
                what = f"Invalid attribute value was passed in for message attribute {name}"
                raise AwsError("InvalidParameter", f"Invalid parameter: {what}")
        subject = given.get("Subject")
        if subject and self._base.on(SUBJECT) and (len(subject) >= LONGEST_SUBJECT or _has_control(subject)):
            raise AwsError("InvalidParameter", "Invalid parameter: Subject")
        if not self._base.on(NOT_EMPTY):
            return
        for name, value in (("Message", given["Message"]), ("Subject", subject)):
            if value == "":
                raise AwsError("InvalidParameter", f"Invalid parameter: Empty {name.lower()}")
        for name, attribute in attributes.items():
            if not (attribute.get("StringValue") or attribute.get("BinaryValue")):
                raise AwsError(
                    "ParameterValueInvalid",
                    f"The message attribute '{name}' must contain non-empty message attribute value for message "
                    f"attribute type '{attribute.get('DataType', 'String')}'.",
                )

    def _subscribe(self, call: Call) -> Mapping[str, Any]:
        given = call.params
        new = self.subscribe(given["TopicArn"], given["Protocol"], given.get("Endpoint", ""), given.get("Attributes"))
        return {"SubscriptionArn": new.arn}

    def _unsubscribe(self, call: Call) -> Mapping[str, Any]:
        arn = call.params["SubscriptionArn"]
        for topic in self.topics.values():
            topic.subscriptions = [one for one in topic.subscriptions if one.arn != arn]
        return {}

    def _list_subscriptions(self, call: Call) -> Mapping[str, Any]:
        topic = self._topic(call.params["TopicArn"])
        owner = topic.arn.split(":")[4]
        return {
            "Subscriptions": [
                {
                    "SubscriptionArn": s.arn,
                    "Owner": owner,
                    "Protocol": s.protocol,
                    "Endpoint": s.endpoint,
                    "TopicArn": topic.arn,
                }
                for s in topic.subscriptions
            ]
        }

    def _topic(self, arn: str) -> Topic:
        if arn not in self.topics:
            raise AwsError("NotFound", "Topic does not exist", 404)
        return self.topics[arn]


def _has_control(text: str) -> bool:
    """Whether a text has a line break or another control character."""
    return any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text)


def _plain(attribute: Mapping[str, Any]) -> Any:
    """Read a message attribute as filter policies see it."""
    text = attribute.get("StringValue", "")
    kind = attribute.get("DataType", "String")
    if kind == "String.Array":
        return json.loads(text)
    return float(text) if kind.startswith("Number") else text
