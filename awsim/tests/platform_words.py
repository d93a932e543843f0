"""Helpers of the checks of queues, events, topics and functions."""

import hashlib
import importlib
import inspect
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from awsim.functions import EventSource, Function, Invocation
from awsim.runtime import package
from awsim.services import buses
from awsim.services.queues import Queue
from awsim.services.sns import Topic
from awsim.world import World
from iam_words import allow, document

OPS, DEV, PROD = "111111111111", "222222222222", "333333333333"
HERE = "us-east-1"
PROBE = Path(__file__).parent / "fixtures" / "probe"
LAMBDA = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
FIFO = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}


def checks_of(files: str) -> Iterator[tuple[str, Callable[[World], None]]]:
    """Find the rules' checks in these files, each with its rule's name: the functions that are named after a rule."""
    for path in sorted(Path(__file__).parent.glob(files)):
        module = importlib.import_module(path.stem)
        for name, found in inspect.getmembers(module, inspect.isfunction):
            if found.__module__ == module.__name__ and not name.startswith("_"):
                yield name.replace("_", "-"), found


def wait(world: World, seconds: float) -> None:
    """Let virtual time pass, and run what is due."""
    world.kernel.run(limit=timedelta(seconds=seconds))


def after(world: World, seconds: float) -> World:
    """Let virtual time pass; return the world, for an assertion about what holds then."""
    wait(world, seconds)
    return world


def refused(code: str, call: Callable[..., Any], /, *args: Any, saying: str = "", **params: Any) -> None:
    """Assert that a call is refused with this code, and with ``saying`` in the message."""
    error: ClientError | None = None
    try:
        call(*args, **params)
    except ClientError as caught:
        error = caught
    assert error is not None, f"was not refused with {code}"
    assert error.response["Error"]["Code"] == code, error
    assert saying in str(error), error


def a_queue(world: World, name: str = "work", **attributes: str) -> Queue:
    """Make a queue of OPS; FIFO with deduplication by group, if its name ends so."""
    return world.sqs.create(OPS, HERE, name, (FIFO if name.endswith(".fifo") else {}) | attributes)


def send(world: World, queue: Queue, body: str, group: str = "g", key: str = "") -> None:
    """Send a message; to a FIFO queue with a group and a deduplication id (by default from the body)."""
    own = hashlib.sha256(body.encode()).hexdigest()
    more = {"MessageGroupId": group, "MessageDeduplicationId": key or own} if queue.fifo else {}
    world.client("sqs", OPS).send_message(QueueUrl=queue.url, MessageBody=body, **more)


def received(world: World, queue: Queue, most: int = 10) -> list[str]:
    return [message["Body"] for message in messages(world, queue, most)]


def messages(world: World, queue: Queue, most: int = 10) -> list[dict[str, Any]]:
    got = world.client("sqs", OPS).receive_message(QueueUrl=queue.url, MaxNumberOfMessages=most, AttributeNames=["All"])
    return got.get("Messages", [])


def admit(queue: Queue, service: str) -> None:
    statement = allow("sqs:SendMessage", queue.arn, Principal={"Service": service})
    queue.attributes["Policy"] = json.dumps(document(statement))


def a_function(world: World, name: str = "probe", **options: Any) -> Function:
    """Deploy the probe with a role that may do everything; EventBridge and SNS may invoke it."""
    role = world.iam.put_role(OPS, name, LAMBDA, {"all": options.pop("policy", EVERYTHING)})
    handler = options.pop("handler", "app.probe")
    function = Function(name, OPS, HERE, role.arn, handler, package(PROBE), timeout=30)
    for option, value in options.items():
        setattr(function, option, value)
    services = {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}
    function.policy.append(allow("lambda:InvokeFunction", function.arn, Principal=services))
    return world.lambda_.put(function)


def feed(world: World, queue: Queue, function: Function, **options: Any) -> EventSource:
    """Map a queue to a function, by default one message at a time."""
    window = options.pop("window", 0)
    source = EventSource(
        str(uuid.uuid5(uuid.NAMESPACE_URL, queue.arn)), queue.arn, function, **{"batch_size": 1, **options}
    )
    return world.lambda_.add_source(source, window)


def run(world: World, function: Function, *steps: Sequence[Any]) -> Invocation:
    """Invoke a function, wait until it has ended, and return the invocation."""
    invocation = world.lambda_.start(function, {"steps": steps}, lambda _: None)
    assert world.kernel.run(until=lambda: invocation.done, limit=timedelta(minutes=10))
    return invocation


def order(*steps: Sequence[Any]) -> str:
    """A message that makes the probe do these steps."""
    return json.dumps({"steps": steps})


def a_rule(
    world: World, pattern: Mapping[str, Any], *targets: buses.RuleTarget, bus: str = "", account: str = OPS
) -> buses.EventRule:
    """Make a rule on an account's default bus, or on the bus with this ARN."""
    bus = bus or world.events.default(account, HERE).arn
    made = world.events.put_rule(buses.EventRule(f"rule-{len(world.events.buses[bus].rules)}", bus, pattern))
    for target in targets:
        world.events.put_target(made, target)
    return made


def put(
    world: World, detail: Mapping[str, Any], account: str = OPS, source: str = "ours", bus: str = ""
) -> Mapping[str, Any]:
    """Put one event and return its entry in the answer."""
    entry = {"Source": source, "DetailType": "Thing", "Detail": json.dumps(detail)} | (
        {"EventBusName": bus} if bus else {}
    )
    return world.client("events", account).put_events(Entries=[entry])["Entries"][0]


def a_topic(world: World, name: str = "notices") -> Topic:
    return world.sns.create(OPS, HERE, name)
