"""How the simulator runs functions: environment, modules, credentials, logs, queues."""

import importlib
import json
import logging
import os
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

from awsim.runtime import package
from awsim.world import World
from platform_words import OPS, PROBE, a_function, a_queue, after, feed, messages, order, run, send, wait


def test_a_function_sees_its_own_environment_and_this_process_keeps_its_own(world: World) -> None:
    """While its thread runs, the function has its own variables only."""
    os.environ["OF_THE_PROCESS"] = "ours"
    try:
        function = a_function(world, variables={"OF_THE_FUNCTION": "theirs"})
        names = ("OF_THE_FUNCTION", "OF_THE_PROCESS", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION")
        invocation = run(world, function, *(["environment", name] for name in names))
    finally:
        ours = os.environ.pop("OF_THE_PROCESS")

    assert invocation.result == {"said": ["theirs", None, "probe", "us-east-1"]}
    assert (ours, os.environ.get("OF_THE_FUNCTION")) == ("ours", None)


def test_a_function_calls_as_its_role(world: World) -> None:
    """Its credentials are a session of its role, and each call has the invocation's id."""
    invocation = run(world, a_function(world), ["call", "sts", "get_caller_identity", {}])

    assert invocation.result["said"][0]["Arn"] == f"arn:aws:sts::{OPS}:assumed-role/probe/probe"
    (call,) = [call for call in world.calls if call.operation == "GetCallerIdentity"]
    assert (call.invocation, call.caller.function) == (invocation.id, "probe")


def test_modules_of_a_function_are_its_own(world: World) -> None:
    """A function's imports and changes are invisible to this process and to other functions."""
    own = importlib.import_module("chalicelib")
    one, other = a_function(world, "one"), a_function(world, "other")
    run(world, one, ["remember", 1])
    again, elsewhere = run(world, one, ["recall"]), run(world, other, ["recall"])

    assert (again.result["said"], elsewhere.result["said"]) == ([[1]], [[]])
    assert sys.modules["chalicelib"] is own
    assert "chalicelib.memory" not in sys.modules
    assert "app" not in sys.modules or "probe" not in str(sys.modules["app"].__file__)


def test_an_environment_serves_two_hours_and_then_starts_cold(world: World) -> None:
    """As on Lambda, an environment starts cold at first, and again when it is old."""
    function = a_function(world)
    first, second = run(world, function), run(world, function)
    wait(world, 3 * 3600)
    third = run(world, function)

    assert [first.cold, second.cold, third.cold] == [True, False, True]


def test_what_a_function_prints_is_its_log(world: World, capsys) -> None:
    """Standard output and error, and an error's traceback, go to the invocation's log."""
    invocation = run(world, a_function(world), ["print", "hello"], ["print", "there", "stderr"], ["fail", "oh no"])

    assert invocation.log.startswith("hello\nthere\n[ERROR] RuntimeError: oh no\n")
    assert (invocation.outcome, invocation.error) == ("error", "RuntimeError: oh no")
    assert capsys.readouterr().out == ""


def test_logging_of_a_function_is_its_own(world: World) -> None:
    """The loggers of this process are unchanged."""
    before = logging.getLogger(), logging.getLogger("ours")
    run(world, a_function(world))

    assert (logging.getLogger(), logging.getLogger("ours")) == before


def test_metrics_can_be_read_from_the_log(world: World) -> None:
    """Lines in CloudWatch's embedded metric format are parsed."""
    line = json.dumps({"_aws": {"Timestamp": 1}, "Found": 1})
    invocation = run(world, a_function(world), ["print", "{not json of ours}"], ["print", line])

    assert invocation.metrics == [json.loads(line)]


def test_powertools_metrics_do_not_mix(world: World) -> None:
    """Powertools collects metrics on a class of this process; each environment still flushes its own only."""
    function = a_function(world)
    pause = ["sleep", 1]
    pair = [
        world.lambda_.start(function, {"steps": [["metric", name], pause, ["flush"]]}, lambda _: None) for name in "AB"
    ]
    wait(world, 10)
    again = run(world, function, ["metric", "C"], ["flush"])

    said = [[set(line) & {"A", "B", "C"} for line in one.metrics] for one in [*pair, again]]
    assert said == [[{"A"}], [{"B"}], [{"C"}]]


def test_remaining_time_runs_on_the_virtual_clock(world: World) -> None:
    """``get_remaining_time_in_millis`` decreases by the time of the calls."""
    invocation = run(world, a_function(world), ["remaining"], ["sleep", 10], ["remaining"])

    first, last = invocation.result["said"]
    assert first == 30_000
    assert first - last == 10_000


def test_a_message_is_deleted_when_its_invocation_succeeds(world: World) -> None:
    """The record has SQS's attributes, and the queue is empty afterwards."""
    queue = a_queue(world, "q.fifo", VisibilityTimeout="180")
    feed(world, queue, a_function(world))
    send(world, queue, order(), group="group#1")
    wait(world, 10)

    (invocation,) = world.lambda_.invocations
    (record,) = invocation.event["Records"]
    assert record["attributes"]["MessageGroupId"] == "group#1"
    assert record["eventSourceARN"] == queue.arn
    assert queue.messages == []


def test_message_groups_run_side_by_side_and_one_message_group_in_order(world: World) -> None:
    """Three groups run at once; within a group messages run one after the other."""
    queue = a_queue(world, "q.fifo", VisibilityTimeout="180")
    function = a_function(world)
    feed(world, queue, function, concurrency=10)
    for number in range(6):
        send(world, queue, order(["sleep", 5], ["result", number]), group=str(number % 3), key=str(number))
    wait(world, 60)

    spans = {one.result["said"][0]: (one.began, one.ended) for one in world.lambda_.invocations}
    assert all(spans[n + 3][0] >= spans[n][1] for n in range(3))
    assert max(spans[n][0] for n in range(3)) < min(spans[n][1] for n in range(3))


def test_a_poisoned_message_group_dies_alone(world: World) -> None:
    """After maxReceiveCount tries a message goes to the dead-letter queue; its group continues, others never waited."""
    dead_queue = a_queue(world, "dead.fifo")
    redrive = json.dumps({"deadLetterTargetArn": dead_queue.arn, "maxReceiveCount": 5})
    queue = a_queue(world, "q.fifo", VisibilityTimeout="180", RedrivePolicy=redrive)
    function = a_function(world)
    feed(world, queue, function)
    send(world, queue, order(["fail"]), group="a")
    send(world, queue, order(), group="a")
    send(world, queue, order(), group="b")
    wait(world, 30)
    assert [one.outcome for one in world.lambda_.invocations].count("ok") == 1

    wait(world, 15 * 60 + 30)
    assert [one.outcome for one in world.lambda_.invocations].count("error") == 5
    assert queue.messages == []
    (dead,) = messages(world, dead_queue)
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == queue.arn
    assert dead["Attributes"]["MessageGroupId"] == "a"


def test_only_the_reported_messages_of_a_batch_stay(world: World) -> None:
    """With ReportBatchItemFailures the others are deleted."""
    queue = a_queue(world, VisibilityTimeout="180")
    function = a_function(world, handler="app.report")
    feed(world, queue, function, batch_size=10, partial=True)
    for body in ("good", "bad", "fine"):
        send(world, queue, body)
    wait(world, 10)

    assert [message.body for message in queue.messages] == ["bad"]


def test_a_mapping_that_is_switched_off_lets_messages_lie(world: World) -> None:
    """A disabled mapping takes no message; an enabled one takes all."""
    queue = a_queue(world, VisibilityTimeout="180")
    source = feed(world, queue, a_function(world))
    client = world.client("lambda", OPS)
    client.update_event_source_mapping(UUID=source.id, Enabled=False)
    send(world, queue, order())
    assert after(world, 60).lambda_.invocations == []

    client.update_event_source_mapping(UUID=source.id, Enabled=True)
    wait(world, 10)
    assert [one.outcome for one in world.lambda_.invocations] == ["ok"]


def test_a_function_can_be_invoked_through_the_api(world: World) -> None:
    """The answer is the function's, or Lambda's error; calls from inside a function work, too."""
    function = a_function(world)
    client = world.client("lambda", OPS)

    def invoke(*steps: object) -> dict:
        return client.invoke(FunctionName=function.name, Payload=json.dumps({"steps": steps}))

    assert json.load(invoke(["result", 7])["Payload"]) == {"said": [7]}
    failed = invoke(["fail", "no"])
    assert failed["FunctionError"] == "Unhandled"
    assert json.load(failed["Payload"]) == {"errorMessage": "no", "errorType": "RuntimeError"}
    inner = {"FunctionName": "probe", "InvocationType": "Event", "Payload": json.dumps({"steps": [["result", 1]]})}
    assert run(world, function, ["call", "lambda", "invoke", inner]).outcome == "ok"
    assert after(world, 5).lambda_.invocations[-1].result == {"said": [1]}


def test_a_throttled_function_is_tried_again(world: World) -> None:
    """Reserved concurrency of 0 holds asynchronous events back; they run when it is raised."""
    function = a_function(world, reserved=0)
    client = world.client("lambda", OPS)
    client.invoke(FunctionName="probe", InvocationType="Event", Payload=json.dumps({"steps": []}))
    assert after(world, 300).lambda_.invocations == []

    client.put_function_concurrency(FunctionName="probe", ReservedConcurrentExecutions=5)
    world.kernel.run(until=lambda: world.lambda_.invocations, limit=timedelta(minutes=5))
    assert function.running == 1


def test_a_zip_is_unpacked_to_what_is_the_functions_own(tmp_path: Path) -> None:
    """Only a package's own modules are unpacked; this process's third-party ones are used."""
    with zipfile.ZipFile(tmp_path / "deployment.zip", "w") as archive:
        for path in PROBE.rglob("*.py"):
            archive.write(path, path.relative_to(PROBE))
        archive.writestr("boto3/__init__.py", "raise SystemExit('not this one')")
        archive.writestr("only_here/__init__.py", "")
    made = package(tmp_path / "deployment.zip")

    assert made.roots == {"app", "chalicelib", "only_here"}
    assert made.modules == ("app", "chalicelib", "chalicelib.memory", "only_here")
    assert sorted(path.name for path in Path(made.directory).iterdir()) == ["app.py", "chalicelib", "only_here"]


def test_environments_share_what_its_owner_calls_stateless(world: World, tmp_path: Path) -> None:
    """Of another module each environment has its own, as Lambda's would."""
    probe = tmp_path / "deployment.zip"
    with zipfile.ZipFile(probe, "w") as archive:
        for path in PROBE.rglob("*.py"):
            archive.write(path, path.relative_to(PROBE))

    def remembered(*stateless: str) -> list[list[str]]:
        code = package(probe, stateless)
        names = [f"{len(stateless)}-{number}" for number in range(2)]
        return [run(world, a_function(world, name, package=code), ["remember", name]).result["said"] for name in names]

    assert remembered() == [[["0-0"]], [["0-1"]]]
    assert remembered("chalicelib") == [[["1-0"]], [["1-0", "1-1"]]]
