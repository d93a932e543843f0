"""Each fault injection, and its effect."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from awsim.services.buses import RuleTarget
from awsim.world import World
from platform_words import (
    DEV,
    HERE,
    OPS,
    a_function,
    a_queue,
    a_rule,
    admit,
    after,
    feed,
    order,
    received,
    run,
    send,
    wait,
)


def _sending(url: str, body: str = "x") -> list[object]:
    return ["call", "sqs", "send_message", {"QueueUrl": url, "MessageBody": body}]


def _emit(world: World, number: int = 1) -> None:
    for index in range(number):
        world.events.emit(OPS, HERE, "aws.ec2", "Thing", [], {"number": index})


def test_a_crash_strikes_at_the_call_and_time_it_was_planned_for(world: World) -> None:
    """The second SendMessage is killed before its effect; the first had its effect, the third is never made."""
    queue = a_queue(world)
    crash = world.injections.crash("probe", "SendMessage", nth=2)
    invocation = run(world, a_function(world), *(_sending(queue.url, body) for body in "abc"))

    assert (invocation.outcome, invocation.error) == ("crashed", "crashed before SendMessage")
    assert crash.happened
    assert received(world, queue) == ["a"]


def test_a_crash_strikes_once(world: World) -> None:
    """The next invocation completes, in a new environment: the killed one's is gone."""
    queue, function = a_queue(world), a_function(world)
    world.injections.crash("probe", "SendMessage", when="after")
    first = run(world, function, _sending(queue.url))
    second = run(world, function, _sending(queue.url))

    assert (first.outcome, second.outcome, second.cold) == ("crashed", "ok", True)
    assert received(world, queue) == ["x", "x"]


def test_a_crash_of_one_function_spares_the_others(world: World) -> None:
    """The last part of a name identifies the function; no other is affected."""
    queue = a_queue(world)
    one, other = a_function(world, "app-us-east-1-one"), a_function(world, "app-us-east-1-other")
    world.injections.crash("one", "SendMessage")

    assert run(world, other, _sending(queue.url)).outcome == "ok"
    assert run(world, one, _sending(queue.url)).outcome == "crashed"


def test_a_crashed_message_comes_again_after_its_visibility_timeout(world: World) -> None:
    """A crash delays its message group by that time."""
    queue, out = a_queue(world, "q.fifo", VisibilityTimeout="180"), a_queue(world, "out")
    feed(world, queue, a_function(world))
    world.injections.crash("probe", "SendMessage")
    send(world, queue, order(_sending(out.url)))
    began = world.now
    world.kernel.run(until=lambda: out.messages)

    assert timedelta(seconds=179) < world.now - began < timedelta(seconds=185)
    assert [invocation.outcome for invocation in world.lambda_.invocations] == ["crashed", "ok"]


def test_events_can_be_lost_doubled_and_shuffled(world: World) -> None:
    """Lost: none arrives. Doubled: each twice, with one id. Shuffled: all, in another order."""
    world.injections.drop_events()
    _emit(world, 5)
    assert after(world, 100).events.seen == []

    world.injections.calm()
    world.injections.double_events()
    _emit(world, 5)
    wait(world, 100)
    ids = [event["id"] for _, event in world.events.seen]
    assert len(ids) == 10
    assert len(set(ids)) == 5

    world.events.seen.clear()
    world.injections.calm()
    world.injections.shuffle_events(60)
    _emit(world, 10)
    wait(world, 100)
    order_seen = [event["detail"]["number"] for _, event in world.events.seen]
    assert order_seen != sorted(order_seen) == list(range(10))


def test_events_can_come_early(world: World) -> None:
    """An event can arrive before the call that caused it returns."""
    queue = a_queue(world)
    world.injections.early_events(5)
    image = world.ec2.seed_image(OPS, HERE, name="base")
    arrived = []
    world.kernel.after(2, lambda: arrived.extend(world.events.seen), "look")
    world.client("ec2", OPS).create_tags(Resources=[image], Tags=[{"Key": "stage", "Value": "dev"}])

    assert [event["source"] for _, event in arrived] == ["aws.tag"]
    assert received(world, queue) == []


def test_scheduled_events_are_not_lost_with_the_others(world: World) -> None:
    """Schedules always fire, so the timer runs whatever happens to events."""
    queue = a_queue(world)
    admit(queue, "events.amazonaws.com")
    client = world.client("events", OPS)
    client.put_rule(Name="minute", ScheduleExpression="rate(1 minute)")
    client.put_targets(Rule="minute", Targets=[{"Id": "q", "Arn": queue.arn}])
    world.injections.drop_events()
    assert len(received(after(world, 185), queue)) == 3


def test_messages_are_lost_but_the_named_functions(world: World) -> None:
    """With messages lost only the timer's arrive, and senders see success."""
    first, other = (
        a_queue(world, "app-us-east-1-worker.fifo", ContentBasedDeduplication="true"),
        a_queue(world, "other"),
    )
    world.injections.lose_messages(("worker.fifo", "slow-worker.fifo"), except_from="timer")
    act, timer = a_function(world, "app-us-east-1-worker"), a_function(world, "app-us-east-1-timer")
    ringing = ["call", "sqs", "send_message", {"QueueUrl": first.url, "MessageBody": "b", "MessageGroupId": "g"}]
    assert run(world, act, ringing, _sending(other.url)).outcome == "ok"
    assert (received(world, first), received(world, other)) == ([], ["x"])

    assert run(world, timer, ringing).outcome == "ok"
    assert received(world, first) == ["b"]


def test_throttles_and_refusals_end_by_themselves(world: World) -> None:
    """The next n calls are refused, with the service's own error, and no more."""
    world.injections.throttle("DescribeImages", n=2)
    client = world.client("ec2", OPS)
    for _ in range(2):
        with pytest.raises(ClientError, match="RequestLimitExceeded"):
            client.describe_images(Owners=["self"])

    assert client.describe_images(Owners=["self"])["Images"] == []


def test_an_sdk_that_retries_waits_in_virtual_time(world: World) -> None:
    """Botocore's retries sleep on the virtual clock, and succeed."""
    queue = a_queue(world)
    world.injections.throttle("SendMessage", n=2, service="sqs")
    invocation = run(world, a_function(world), _sending(queue.url))

    assert invocation.outcome == "ok"
    assert [call.error for call in world.calls if call.operation == "SendMessage"] == ["RequestThrottled"] * 2 + [None]


def test_an_outage_is_of_one_service_in_one_account_for_a_while(world: World) -> None:
    """Other services and accounts are unaffected, and it ends."""
    world.injections.outage("kms", seconds=60, account=DEV)
    world.client("kms", OPS).list_keys()
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        world.client("kms", DEV).list_keys()
    assert after(world, 61).client("kms", DEV).list_keys()["Keys"] == []


def test_stale_reads_show_the_past_as_often_as_asked(world: World) -> None:
    """A service that reads state gets an earlier moment for the next n reads of that operation."""
    world.injections.stale_reads("DescribeImages", n=1, seconds=60)
    world.client("ec2", OPS).describe_images(Owners=["self"])
    (call,) = world.calls
    past = [world.now - world.injections.as_of(call) for _ in range(2)]

    assert past in ([timedelta(seconds=60), timedelta()], [timedelta(), timedelta()])


def test_a_rule_with_two_targets_is_not_stopped_by_the_first(world: World) -> None:
    """The event reaches the second target although the first cannot receive it."""
    good, closed = a_queue(world, "good"), a_queue(world, "closed")
    admit(good, "events.amazonaws.com")
    a_rule(world, {"source": ["aws.ec2"]}, RuleTarget("closed", closed.arn), RuleTarget("good", good.arn))
    _emit(world)
    assert len(received(after(world, 5), good)) == 1


def test_a_crash_can_be_planned_for_a_numbered_call_of_any_function(world: World) -> None:
    """Empty names match any function: the third call of all is killed."""
    queue = a_queue(world)
    one, other = a_function(world, "app-us-east-1-one"), a_function(world, "app-us-east-1-other")
    crash = world.injections.crash("", "", nth=3, when="after")

    assert run(world, one, *[_sending(queue.url, body) for body in "ab"]).outcome == "ok"
    assert run(world, other, *[_sending(queue.url, body) for body in "cd"]).outcome == "crashed"
    assert crash.happened
    assert sorted(received(world, queue)) == ["a", "b", "c"]


def test_events_can_come_as_often_as_asked(world: World) -> None:
    """Three times each, with one id."""
    world.injections.repeat_events(3)
    _emit(world, 2)
    wait(world, 100)
    ids = [event["id"] for _, event in world.events.seen]

    assert (len(ids), len(set(ids))) == (6, 2)


def test_a_message_can_be_given_to_two_invocations_at_once(world: World) -> None:
    """Both have the same event, at the same moment, in their own environments; it is deleted once."""
    queue, out = a_queue(world, "app-us-east-1-worker.fifo"), a_queue(world, "out")
    feed(world, queue, a_function(world))
    world.injections.twin_messages("worker.fifo")
    send(world, queue, order(_sending(out.url)))
    wait(world, 5)

    first, second = world.lambda_.invocations
    assert (first.event, first.began) == (second.event, second.began)
    assert received(world, out) == ["x", "x"]
    assert queue.messages == []
