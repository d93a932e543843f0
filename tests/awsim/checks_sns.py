"""Checks of SNS: filters, size, who may publish."""

import json

from awsim.services import sns
from awsim.services.buses import RuleTarget
from awsim.world import World
from tests.awsim.platform_words import HUB, a_rule, a_topic, put, refused, wait


def filter_policy(world: World) -> None:
    """A subscriber with a filter policy gets messages with matching attributes; one without gets all."""
    topic = a_topic(world)
    policy = json.dumps({"outcome": ["failed"], "account": [{"prefix": "2"}]})
    some = world.sns.subscribe(topic.arn, "email", "team@example.com", {"FilterPolicy": policy})
    every = world.sns.subscribe(topic.arn, "email", "all@example.com")
    for outcome, account in (("failed", "222222222222"), ("failed", "333333333333"), ("delivered", "222222222222")):
        values = {"outcome": outcome, "account": account}
        attributes = {key: {"DataType": "String", "StringValue": value} for key, value in values.items()}
        world.client("sns", HUB).publish(
            TopicArn=topic.arn, Message=f"{outcome} {account}", MessageAttributes=attributes
        )

    assert len(every.inbox) == len(world.sns.published) == 3
    assert [notice["Message"] for notice in some.inbox] == ["failed 222222222222"]


def size(world: World) -> None:
    """A message of more than 256 KiB is refused."""
    topic = a_topic(world)
    client = world.client("sns", HUB)
    client.publish(TopicArn=topic.arn, Message="x" * 262_144)
    refused("InvalidParameter", lambda: client.publish(TopicArn=topic.arn, Message="x" * 262_145))


def subject(world: World) -> None:
    """A subject of 100 characters is refused, and one with a line break or a control character; one of 99 is not."""
    topic = a_topic(world)
    client = world.client("sns", HUB)
    client.publish(TopicArn=topic.arn, Message="x", Subject="s" * 99)
    for bad in ("s" * 100, "two\nlines", "a bell\a"):
        refused("InvalidParameter", lambda bad=bad: client.publish(TopicArn=topic.arn, Message="x", Subject=bad))


def nothing_empty(world: World) -> None:
    """An empty message, an empty subject and an attribute with an empty value are refused."""
    topic = a_topic(world)
    client = world.client("sns", HUB)
    refused("InvalidParameter", lambda: client.publish(TopicArn=topic.arn, Message=""))
    refused("InvalidParameter", lambda: client.publish(TopicArn=topic.arn, Message="x", Subject=""))
    attributes = {"account": {"DataType": "String", "StringValue": ""}}
    refused(
        "ParameterValueInvalid", lambda: client.publish(TopicArn=topic.arn, Message="x", MessageAttributes=attributes)
    )


def topic_policy(world: World) -> None:
    """A rule publishes to a topic only if the topic's policy admits EventBridge."""
    closed, opened = a_topic(world, "closed"), a_topic(world, "opened")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    opened.policy = {"Statement": {**statement, "Resource": opened.arn}}
    a_rule(world, {"source": ["ours"]}, RuleTarget("closed", closed.arn), RuleTarget("opened", opened.arn))
    put(world, {"what": "it"})
    wait(world, 5)

    assert [message.topic for message in world.sns.published] == [opened.arn]
    assert world.sns.published[0].body["detail"] == {"what": "it"}


CHECKS = {
    sns.FILTER.name: filter_policy,
    sns.SIZE.name: size,
    sns.SUBJECT.name: subject,
    sns.NOT_EMPTY.name: nothing_empty,
    sns.TOPIC_POLICY.name: topic_policy,
}
