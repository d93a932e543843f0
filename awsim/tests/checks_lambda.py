"""Checks of Lambda, and of the kernel and CloudFormation under it."""

import json
from itertools import pairwise

from botocore.exceptions import ClientError

from awsim.api import AwsError
from awsim.cfn import TemplateError
from awsim.services.buses import RuleTarget
from awsim.world import World
from iam_words import allow, document, session
from platform_words import (
    EVERYTHING,
    HERE,
    LAMBDA,
    OPS,
    a_function,
    a_queue,
    a_rule,
    after,
    feed,
    order,
    put,
    received,
    run,
    send,
    wait,
)


def _refused(action: object, said: str) -> None:
    """Assert that a deployment step is refused with these words."""
    try:
        action()
    except (AwsError, TemplateError, ClientError) as refused:
        assert said in str(refused)  # noqa: PT017 - the rule switched off must end in an AssertionError
        return
    raise AssertionError(f"was not refused: {said}")


def lambda_timeout(world: World) -> None:
    queue = a_queue(world)
    function = a_function(world, timeout=3)
    after = ["call", "sqs", "send_message", {"QueueUrl": queue.url, "MessageBody": "late"}]
    invocation = run(world, function, ["sleep", 10], after)

    if invocation.outcome == "error":
        raise RuntimeError(invocation.error)  # an error of the simulator would fail the check without its rule, too
    assert (invocation.outcome, invocation.error) == ("timeout", "Task timed out after 3.00 seconds")
    assert received(world, queue) == []


def killed_invocation_makes_no_call(world: World) -> None:
    queue = a_queue(world)
    function = a_function(world)

    def sending(body: str) -> list[object]:
        return ["call", "sqs", "send_message", {"QueueUrl": queue.url, "MessageBody": body}]

    for when, bodies in (("before", []), ("after", ["one"])):
        crash = world.injections.crash("probe", "SendMessage", when=when)
        invocation = run(
            world, function, ["swallow", [["guarded", [sending("one")], [sending("cleanup")]]]], sending("two")
        )

        assert crash.invocations == [invocation.id]
        assert invocation.outcome == "crashed"
        assert received(world, queue) == bodies


def lambda_service_needs_permission(world: World) -> None:
    function = a_function(world, policy=EVERYTHING)
    function.policy.clear()
    a_rule(world, {"source": ["ours"]}, RuleTarget("f", function.arn))
    put(world, {"steps": []})
    assert after(world, 10).lambda_.invocations == []
    assert "AccessDenied" in (world.events.deliveries[0].refused or "")


def lambda_async_retried_twice(world: World) -> None:
    function = a_function(world)
    a_rule(world, {"source": ["ours"]}, RuleTarget("f", function.arn))
    put(world, {"steps": [["fail"]]})
    wait(world, 600)

    began = [invocation.began for invocation in world.lambda_.invocations]
    assert [invocation.outcome for invocation in world.lambda_.invocations] == ["error"] * 3
    assert [round((b - a).total_seconds() / 60) for a, b in pairwise(began)] == [1, 2]


def lambda_async_dead_letters(world: World) -> None:
    dead_queue, story = a_queue(world, "dead"), a_queue(world, "story")
    function = a_function(world, dead_letters=dead_queue.arn, on_failure=story.arn, retries=1)
    a_rule(world, {"source": ["ours"]}, RuleTarget("f", function.arn))
    put(world, {"steps": [["fail", "no way"]]})
    wait(world, 600)

    assert [json.loads(body)["detail"] for body in received(world, dead_queue)] == [{"steps": [["fail", "no way"]]}]
    (reported,) = [json.loads(body) for body in received(world, story)]
    assert reported["requestContext"]["approximateInvokeCount"] == 2
    assert reported["responsePayload"] == {"errorMessage": "RuntimeError: no way"}


def lambda_dead_letters_need_rights(world: World) -> None:
    dead_queue = a_queue(world, "dead")
    nothing = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}}
    _refused(lambda: a_function(world, policy=nothing, dead_letters=dead_queue.arn), "permissions to call SendMessage")


def lambda_environment_for_each_concurrent_invocation(world: World) -> None:
    function = a_function(world)
    pause = ["call", "sqs", "list_queues", {}]
    pair = [
        world.lambda_.start(function, {"steps": [["remember", name], pause, ["recall"]]}, lambda _: None)
        for name in "ab"
    ]
    wait(world, 10)

    assert [one.result["said"][-1] for one in pair] == [["a"], ["b"]]
    later = run(world, function, ["count"])
    assert (later.cold, later.result["said"]) == (False, [2])


def lambda_source_function_arn(world: World) -> None:
    own = {"ArnEquals": {"lambda:SourceFunctionArn": f"arn:aws:lambda:{HERE}:{OPS}:function:probe"}}
    queue, function = a_queue(world), a_function(world, policy=document(allow("sqs:*", Condition=own)))

    assert run(world, function, ["call", "sqs", "list_queues", {}]).outcome == "ok"
    _refused(session(world, "sqs", function.role).list_queues, "not authorized")
    _refused(lambda: feed(world, queue, function), "permissions to call ReceiveMessage")


def lambda_mapping_maximum_concurrency(world: World) -> None:
    queue = a_queue(world, "q.fifo", VisibilityTimeout="180")
    function = a_function(world)
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, function.running)
        return len(world.lambda_.invocations) == 6 and not function.running

    feed(world, queue, function, concurrency=2)
    for number in range(6):
        send(world, queue, order(["sleep", 5]), group=str(number))
    assert world.kernel.run(until=look)

    assert most == 2
    _refused(lambda: feed(world, queue, function, concurrency=1), "at least 2")


def lambda_mapping_needs_queue_rights(world: World) -> None:
    queue = a_queue(world, VisibilityTimeout="180")
    some = ["sqs:ReceiveMessage", "sqs:GetQueueAttributes"]
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": some, "Resource": queue.arn}}
    words = "The function execution role does not have permissions to call DeleteMessage on SQS"
    _refused(lambda: feed(world, queue, a_function(world, policy=policy)), words)


def lambda_mapping_visibility_covers_timeout(world: World) -> None:
    queue = a_queue(world, VisibilityTimeout="29")
    _refused(lambda: feed(world, queue, a_function(world)), "less than Function timeout")


def lambda_mapping_fifo_limits(world: World) -> None:
    queue, function = a_queue(world, "q.fifo", VisibilityTimeout="180"), a_function(world)
    _refused(lambda: feed(world, queue, function, window=1), "not supported for FIFO")
    _refused(lambda: feed(world, queue, function, batch_size=11), "not supported for FIFO")


def lambda_mapping_failed_batch_stays(world: World) -> None:
    queue, function = a_queue(world, VisibilityTimeout="180"), a_function(world)
    feed(world, queue, function)
    send(world, queue, order(["fail"]))
    assert len(after(world, 170).lambda_.invocations) == 1

    assert len(after(world, 30).lambda_.invocations) == 2
    send(world, queue, order())
    wait(world, 10)
    assert len(queue.messages) == 1


def lambda_recursive_loop_terminated(world: World) -> None:
    dead_queue = a_queue(world, "dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_queue.arn, "maxReceiveCount": 5})
    queue = a_queue(world, VisibilityTimeout="180", RedrivePolicy=redrive)
    function = a_function(world)
    feed(world, queue, function)
    send(world, queue, order(["pass on", queue.url, 19]))
    wait(world, 60)
    assert [one.in_chain for one in world.lambda_.invocations] == list(range(1, 17))
    assert [message.receives for message in queue.messages] == [1]
    assert after(world, 720).lambda_.invocations[16:] == []
    assert dead_queue.messages == []
    wait(world, 180)
    assert received(world, dead_queue) == [order(["pass on", queue.url, 3])]

    function.recursion = "Allow"
    send(world, queue, order(["pass on", queue.url, 19]))
    assert len(after(world, 60).lambda_.invocations) == 16 + 20


def lambda_account_concurrency_quota(world: World) -> None:
    world.lambda_.quota = 2
    queue, function = a_queue(world, VisibilityTimeout="180"), a_function(world)
    feed(world, queue, function)
    for number in range(3):
        send(world, queue, order(["sleep", 5], ["result", number]))
    assert len(after(world, 60).lambda_.invocations) == 2
    assert [message.receives for message in queue.messages] == [1]
    assert len(after(world, 180).lambda_.invocations) == 3
    limit = world.client("lambda", OPS).get_account_settings()["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] == 2


def cfn_role_name_is_taken_once(world: World) -> None:
    properties = {"RoleName": "CopyRole", "AssumeRolePolicyDocument": LAMBDA}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    for _ in range(2):  # the same stack again is an update
        world.deploy(template, OPS, HERE, "one", {})
    _refused(lambda: world.deploy(template, OPS, "us-west-2", "one", {}), "already exists")


def cloudformation_parameter_value_4096(world: World) -> None:
    template = {"Parameters": {"P": {"Type": "CommaDelimitedList"}}, "Resources": {}}
    world.deploy(template, OPS, HERE, "one", {"P": "x" * 4096})
    _refused(lambda: world.deploy(template, OPS, HERE, "one", {"P": "x" * 4097}), "P: a parameter's value")
