"""Checks of EventBridge: patterns, buses, forwarding, dead letters."""

import json
from collections.abc import Mapping
from typing import Any

from awsim.services import buses
from awsim.services.buses import Bus, RuleTarget
from awsim.world import World
from iam_words import allow, document
from platform_words import DEV, HERE, OPS, PROD, a_queue, a_rule, admit, after, put, received, refused, wait

TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}}
SERVICE = "events.amazonaws.com"


def _inbound(world: World, account: str = OPS, *senders: str) -> Bus:
    """A bus that accepts aws.ec2's events from these accounts."""
    bus = world.events.create(account, HERE, "inbound")
    who = {"AWS": [f"arn:aws:iam::{sender}:root" for sender in senders]}
    condition = {"StringEquals": {"events:source": "aws.ec2"}}
    statement = allow("events:PutEvents", bus.arn, Principal=who, Condition=condition)
    bus.policy = document(statement) if senders else None
    return bus


def _role(world: World, account: str, action: str = "events:PutEvents") -> str:
    """A role with which EventBridge may put events on any bus."""
    return str(world.iam.put_role(account, f"forward-{action[7:]}", TRUST, {"put": document(allow(action))}).arn)


def _forward(world: World, account: str, bus: Bus, role: str | None) -> None:
    a_rule(world, {"source": ["aws.ec2"]}, RuleTarget("bus", bus.arn, role), account=account)


def _emit(world: World, account: str) -> None:
    world.events.emit(account, HERE, "aws.ec2", "EBS Snapshot Notification", ["snap"], {"event": "copySnapshot"})
    wait(world, 10)


def _arrived(world: World, bus: Bus) -> list[Mapping[str, Any]]:
    return [event for arn, event in world.events.seen if arn == bus.arn]


def events_rule_matches_pattern(world: World) -> None:
    queue = a_queue(world)
    admit(queue, SERVICE)
    a_rule(world, {"source": ["ours"], "detail": {"state": ["done"]}}, RuleTarget("q", queue.arn))
    put(world, {"state": "done"})
    put(world, {"state": "begun"})
    wait(world, 5)

    assert [json.loads(body)["detail"] for body in received(world, queue)] == [{"state": "done"}]


def events_read_only_calls_need_a_state(world: World) -> None:
    plain, reads = a_queue(world, "plain"), a_queue(world, "reads")
    used = {"source": ["aws.kms"]}
    for queue, state in ((plain, "ENABLED"), (reads, buses.WITH_READS)):
        admit(queue, SERVICE)
        world.client("events", OPS).put_rule(Name=queue.name, EventPattern=json.dumps(used), State=state)
        target = {"Id": "q", "Arn": queue.arn}
        world.client("events", OPS).put_targets(Rule=queue.name, Targets=[target])
    through = "AWS API Call via CloudTrail"
    world.events.emit(OPS, HERE, "aws.kms", through, [], {"eventName": "Decrypt", "readOnly": True})
    world.events.emit(OPS, HERE, "aws.kms", through, [], {"eventName": "CreateGrant", "readOnly": False})
    wait(world, 5)

    names = [[json.loads(body)["detail"]["eventName"] for body in received(world, one)] for one in (plain, reads)]
    assert names == [["CreateGrant"], ["Decrypt", "CreateGrant"]]


def events_bad_pattern_refused(world: World) -> None:
    client = world.client("events", OPS)
    for wrong in ({"source": "ours"}, {"source": [{"perfix": "aws."}]}):
        refused("InvalidEventPatternException", client.put_rule, Name="r", EventPattern=json.dumps(wrong))


def events_aws_sources_are_reserved(world: World) -> None:
    assert put(world, {}, source="aws.ec2").get("ErrorCode") == "NotAuthorizedForSourceException"
    assert after(world, 5).events.seen == []


def events_put_events_of_ten(world: World) -> None:
    client = world.client("events", OPS)
    entries = [{"Source": "ours", "DetailType": "Thing", "Detail": "{}"}] * 11
    assert client.put_events(Entries=entries[:10])["FailedEntryCount"] == 0
    refused("ValidationException", client.put_events, Entries=entries)


def events_foreign_bus_needs_policy(world: World) -> None:
    bus, closed = _inbound(world, OPS, DEV), world.events.create(OPS, HERE, "closed")
    for one in (bus, closed):
        _forward(world, DEV, one, _role(world, DEV))
    _emit(world, DEV)
    assert [event["account"] for event in _arrived(world, bus)] == [DEV]
    assert _arrived(world, closed) == []

    client = world.client("events", PROD)
    entry = {"Source": "ours", "DetailType": "Thing", "Detail": "{}", "EventBusName": bus.arn}
    refused("AccessDeniedException", client.put_events, Entries=[entry])


def events_bus_target_needs_role(world: World) -> None:
    bus, own = _inbound(world, OPS, DEV), world.events.create(DEV, HERE, "own")
    client = world.client("events", DEV)
    client.put_rule(Name="forward", EventPattern=json.dumps({"source": ["aws.ec2"]}))
    for arn in (bus.arn, own.arn):
        refused("ValidationException", client.put_targets, Rule="forward", Targets=[{"Id": "bus", "Arn": arn}])
        target = {"Id": "bus", "Arn": arn, "RoleArn": _role(world, DEV, "events:PutRule")}
        assert client.put_targets(Rule="forward", Targets=[target])["FailedEntryCount"] == 0
        _emit(world, DEV)
        assert [event for one, event in world.events.seen if one == arn] == []


def events_put_events_below_1_mb(world: World) -> None:
    client = world.client("events", OPS)
    texts = {"Source": "ours", "DetailType": "Thing"}
    room = 500_000 - len("oursThing") - len('""')
    half = {**texts, "Detail": json.dumps("x" * room)}
    less = {**texts, "Detail": json.dumps("x" * (room - 1))}
    assert client.put_events(Entries=[half, less])["FailedEntryCount"] == 0
    refused("ValidationException", client.put_events, Entries=[half, half])


def events_second_hop_of_a_kind_fails(world: World) -> None:
    west = "us-west-2"
    near, far = world.events.create(OPS, HERE, "near"), world.events.create(OPS, west, "far")
    nearer, back = world.events.create(OPS, HERE, "nearer"), world.events.create(OPS, HERE, "back")
    role = _role(world, OPS)
    for source, bus in (("", near), (near.arn, nearer), (near.arn, far), (far.arn, back)):
        a_rule(world, {"source": ["aws.ec2"]}, RuleTarget("next", bus.arn, role), bus=source)
    _emit(world, OPS)

    assert [len(_arrived(world, bus)) for bus in (near, far, nearer, back)] == [1, 1, 0, 0]


def events_forwarded_event_keeps_origin(world: World) -> None:
    bus = _inbound(world, OPS, DEV)
    _forward(world, DEV, bus, _role(world, DEV))
    _emit(world, DEV)

    (event,) = _arrived(world, bus)
    assert (event["account"], event["region"], event["resources"]) == (DEV, HERE, ["snap"])


def events_undeliverable_goes_to_dead_letters(world: World) -> None:
    dead_queue, closed = a_queue(world, "dead"), a_queue(world, "closed")
    admit(dead_queue, SERVICE)
    a_rule(world, {"source": ["ours"]}, RuleTarget("q", closed.arn, dead_letters=dead_queue.arn))
    put(world, {"what": "it"})
    wait(world, 5)

    assert [json.loads(body)["detail"] for body in received(world, dead_queue)] == [{"what": "it"}]
    assert dead_queue.messages[0].attributes["ERROR_CODE"]["StringValue"] == "AccessDenied"


def events_dead_letters_need_standard_queue(world: World) -> None:
    dead_queue, queue = a_queue(world, "dead.fifo"), a_queue(world)
    client = world.client("events", OPS)
    client.put_rule(Name="r", EventPattern=json.dumps({"source": ["ours"]}))
    target = {"Id": "q", "Arn": queue.arn, "DeadLetterConfig": {"Arn": dead_queue.arn}}
    refused("ValidationException", client.put_targets, Rule="r", Targets=[target])


def events_five_targets(world: World) -> None:
    queue = a_queue(world)
    client = world.client("events", OPS)
    client.put_rule(Name="r", EventPattern=json.dumps({"source": ["ours"]}))
    targets = [{"Id": str(number), "Arn": queue.arn} for number in range(6)]
    client.put_targets(Rule="r", Targets=targets[:5])
    refused("LimitExceededException", client.put_targets, Rule="r", Targets=targets[5:])
