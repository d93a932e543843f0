"""Checks of SNS: filters, size, who may publish."""

import json
from typing import Any

from awsim.services.buses import RuleTarget
from awsim.world import World
from platform_words import OPS, a_function, a_rule, a_topic, after, put, refused, wait


def sns_filter_policy(world: World) -> None:
    topic = a_topic(world)
    policy = json.dumps({"outcome": ["failed"], "account": [{"prefix": "2"}]})
    some = world.sns.subscribe(topic.arn, "email", "team@example.com", {"FilterPolicy": policy})
    every = world.sns.subscribe(topic.arn, "email", "all@example.com")
    for outcome, account in (("failed", "222222222222"), ("failed", "333333333333"), ("delivered", "222222222222")):
        values = {"outcome": outcome, "account": account}
        attributes = {key: {"DataType": "String", "StringValue": value} for key, value in values.items()}
        world.client("sns", OPS).publish(
            TopicArn=topic.arn, Message=f"{outcome} {account}", MessageAttributes=attributes
        )

    assert len(every.inbox) == len(world.sns.published) == 3
    assert [notice["Message"] for notice in some.inbox] == ["failed 222222222222"]


def sns_message_of_256_kib(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", OPS)
    client.publish(TopicArn=topic.arn, Message="x" * 262_144)
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x" * 262_145)


def sns_subject_below_100_characters(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", OPS)
    client.publish(TopicArn=topic.arn, Message="x", Subject="s" * 99)
    for bad in ("s" * 100, "two\nlines", "a bell\a"):
        refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x", Subject=bad)


def sns_nothing_empty(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", OPS)
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="")
    refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message="x", Subject="")
    attributes = {"account": {"DataType": "String", "StringValue": ""}}
    refused("ParameterValueInvalid", client.publish, TopicArn=topic.arn, Message="x", MessageAttributes=attributes)


def sns_attribute_without_supplementary_characters(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", OPS)

    def named(text: str) -> dict[str, Any]:
        return {"image_name": {"DataType": "String", "StringValue": text}}

    client.publish(TopicArn=topic.arn, Message="\U0001f642", Subject="\U0001f642", MessageAttributes=named("\u96ea"))
    refused(
        "InvalidParameter", client.publish, TopicArn=topic.arn, Message="x", MessageAttributes=named("\u96ea\U0001f642")
    )


def sns_function_gets_arrays_as_text(world: World) -> None:
    topic, function = a_topic(world), a_function(world)
    world.sns.subscribe(topic.arn, "lambda", function.arn, {"FilterPolicy": json.dumps({"group": ["prod"]})})
    group = {"group": {"DataType": "String.Array", "StringValue": '["dev", "prod"]'}}
    world.client("sns", OPS).publish(TopicArn=topic.arn, Message='{"steps": []}', MessageAttributes=group)

    (invocation,) = after(world, 10).lambda_.invocations
    (record,) = invocation.event["Records"]
    assert record["Sns"]["MessageAttributes"] == {"group": {"Type": "String", "Value": '["dev", "prod"]'}}


def sns_form_for_each_protocol(world: World) -> None:
    topic = a_topic(world)
    mail = world.sns.subscribe(topic.arn, "email", "team@example.com")
    phone = world.sns.subscribe(topic.arn, "sms", "+15550100")
    forms = {"default": '{"n": 1}', "email": "One.", "smoke": "signal", "http": 3}
    world.client("sns", OPS).publish(TopicArn=topic.arn, Message=json.dumps(forms), MessageStructure="json")

    assert [one["Message"] for one in (*mail.inbox, *phone.inbox)] == ["One.", '{"n": 1}']
    assert world.sns.published[0].body == {"n": 1}


def sns_forms_need_a_default(world: World) -> None:
    topic = a_topic(world)
    client = world.client("sns", OPS)
    for bad in ("no JSON", "[]", '{"email": "One."}', '{"default": 1}'):
        refused("InvalidParameter", client.publish, TopicArn=topic.arn, Message=bad, MessageStructure="json")


def sns_body_filter_reads_own_form(world: World) -> None:
    topic = a_topic(world)
    filtered = {"FilterPolicy": json.dumps({"n": [1]}), "FilterPolicyScope": "MessageBody"}
    mail = world.sns.subscribe(topic.arn, "email", "team@example.com", filtered)
    phone = world.sns.subscribe(topic.arn, "sms", "+15550100", filtered)
    forms = {"default": '{"n": 1}', "email": "One."}
    world.client("sns", OPS).publish(TopicArn=topic.arn, Message=json.dumps(forms), MessageStructure="json")

    assert (len(mail.inbox), len(phone.inbox)) == (0, 1)


def sns_service_needs_topic_policy(world: World) -> None:
    closed, opened = a_topic(world, "closed"), a_topic(world, "opened")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    opened.policy = {"Statement": {**statement, "Resource": opened.arn}}
    a_rule(world, {"source": ["ours"]}, RuleTarget("closed", closed.arn), RuleTarget("opened", opened.arn))
    put(world, {"what": "it"})
    wait(world, 5)

    assert [message.topic for message in world.sns.published] == [opened.arn]
    assert world.sns.published[0].body["detail"] == {"what": "it"}
