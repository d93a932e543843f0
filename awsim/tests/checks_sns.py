"""Checks of SNS: filters, size, who may publish."""

import json

from awsim.services.buses import RuleTarget
from awsim.world import World
from platform_words import HUB, a_rule, a_topic, put, refused, wait


def sns_filter_policy(world: World) -> None:
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


def sns_message_of_256_kib(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", HUB)
    client.publish(TopicArn=topic.arn, Message="x" * 262_144)
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x" * 262_145)


def sns_subject_below_100_characters(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", HUB)
    client.publish(TopicArn=topic.arn, Message="x", Subject="s" * 99)
    for bad in ("s" * 100, "two\nlines", "a bell\a"):
        refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x", Subject=bad)


def sns_nothing_empty(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", HUB)
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="")
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x", Subject="")
    attributes = {"account": {"DataType": "String", "StringValue": ""}}
    refused("ParameterValueInvalid", client.publish, TopicArn=topic.arn, Message="x", MessageAttributes=attributes)


def sns_service_needs_topic_policy(world: World) -> None:
    closed, opened = a_topic(world, "closed"), a_topic(world, "opened")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    opened.policy = {"Statement": {**statement, "Resource": opened.arn}}
    a_rule(world, {"source": ["ours"]}, RuleTarget("closed", closed.arn), RuleTarget("opened", opened.arn))
    put(world, {"what": "it"})
    wait(world, 5)

    assert [message.topic for message in world.sns.published] == [opened.arn]
    assert world.sns.published[0].body["detail"] == {"what": "it"}
