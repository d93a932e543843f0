"""AWS Lambda: functions and their invocations (direct, asynchronous, from a queue) on the kernel's strands."""

from __future__ import annotations

import itertools
import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Protocol

from awsim import traces
from awsim.api import AwsError, Call, Caller
from awsim.functions import Context, EventSource, Function, Invocation
from awsim.kernel import Kernel, Strand
from awsim.parts import Base
from awsim.patterns import called
from awsim.rules import rule
from awsim.runtime import Environment
from awsim.services.queues import Message, Queue, system_attributes

TIMEOUT = rule(
    "lambda-timeout",
    "An invocation that takes longer than the function's timeout is stopped where it stands. [Lambda developer guide]",
)
PERMISSION = rule(
    "lambda-service-needs-permission",
    "EventBridge and SNS invoke a function only if its resource policy allows it. [EventBridge user guide, targets]",
)
RETRIES = rule(
    "lambda-async-retried-twice",
    "An asynchronous invocation that fails is tried again after one minute and after two more. [aws-facts 6, VERIFIED]",
)
DEAD_LETTERS = rule(
    "lambda-async-dead-letters",
    "An event that asynchronous invocation gave up on goes to the function's dead-letter queue (the event alone) "
    "and to "
    "its on-failure destination. [aws-facts 6, VERIFIED]",
)
DEAD_LETTER_RIGHTS = rule(
    "lambda-dead-letters-need-rights",
    "A function is refused when its role may not send to its dead-letter queue. [Lambda developer guide, "
    "dead-letter queues]",
)
SOURCE_ARN = rule(
    "lambda-source-function-arn",
    "A function's credentials carry lambda:SourceFunctionArn in their session token, so also where a thief uses them. "
    "What Lambda calls for it has none (its queue, dead letters), nor has a session that the function assumes. "
    "[aws-facts 3, VERIFIED but for dead letters; IAM user guide, properties of a role session]",
)
APART = rule(
    "lambda-environment-for-each-concurrent-invocation",
    "Two invocations at once never share an execution environment; one after another they may. [Lambda developer "
    "guide]",
)
CONCURRENCY = rule(
    "lambda-mapping-maximum-concurrency",
    "A queue's mapping runs at most MaximumConcurrency invocations at once, and it cannot be below 2. "
    "[aws-facts 6 and SQS FIFO, VERIFIED]",
)
QUEUE_RIGHTS = rule(
    "lambda-mapping-needs-queue-rights",
    "A function's role must be allowed to receive, delete and read attributes of its queue. [aws-facts 3, VERIFIED]",
)
VISIBLE = rule(
    "lambda-mapping-visibility-covers-timeout",
    "A mapping is refused when the queue's visibility timeout is below the function's timeout. [Lambda developer "
    "guide, SQS]",
)
NO_WINDOW = rule(
    "lambda-mapping-fifo-limits",
    "For a FIFO queue a batching window above 0 is refused, and a batch above ten. [aws-facts SQS FIFO, VERIFIED]",
)
FAILED_STAYS = rule(
    "lambda-mapping-failed-batch-stays",
    "Messages of a failed invocation stay invisible until their visibility timeout ends; those of a good one are "
    "deleted. "
    "[aws-facts SQS FIFO, VERIFIED]",
)

RECURSION = rule(
    "lambda-recursive-loop-terminated",
    "Lambda counts by a trace header, which the SDK sends along through SQS and Invoke, how often a function has run "
    "in one chain, and refuses the 17th run: RecursiveInvocationException. A message stays in its queue, and goes to "
    "the dead-letter queue after maxReceiveCount. A function with RecursiveLoop: Allow is not refused. "
    "[Lambda developer guide, invocation-recursion: about 16 times; exactly 16 in aws-facts, SQS FIFO and Lambda, "
    "VERIFIED; that the count follows each message where a function sends several: UNVERIFIED]",
)
MOST_IN_CHAIN = 16
QUOTA = rule(
    "lambda-account-concurrency-quota",
    "All functions of an account and Region together run at most so often at once as its quota says: 1,000, or 10 in a "
    "new account. A mapping polls all the same; what is throttled returns, with its receive count raised. "
    "[Lambda developer guide, quotas; aws-facts SQS FIFO and Lambda, VERIFIED]",
)

COLD_SECONDS = (0.3, 0.7)
"""How long a cold start takes, unless ``cold_seconds`` says otherwise."""
ASYNC_SECONDS = (0.05, 0.3)
POLL_SECONDS = (0.02, 0.1)
LONGEST_LIFE = timedelta(hours=2)
"""An execution environment is not used for longer than this."""
RETRY_AFTER = (60, 120)

Done = Callable[[Invocation], None]


class QueueStore(Protocol):
    """SQS, as event source mappings and dead letters use it."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Queues by ARN."""
        ...

    def receipts(self) -> Iterator[str]:
        """Return receipt handles for messages taken from a queue."""
        ...

    def send(
        self,
        queue: Queue,
        body: str,
        sender: str,
        *,
        group: str | None = None,
        deduplication_id: str | None = None,
        attributes: dict[str, Any] | None = None,
        delay: int | None = None,
    ) -> Message:
        """Send a message to a queue."""
        ...


class Lambda:
    """All functions of a world; ``invocations`` holds all invocations, oldest first."""

    name = "lambda"
    exclusive = True

    def __init__(self, base: Base, kernel: Kernel, queues: QueueStore) -> None:
        self.functions: dict[str, Function] = {}
        self.sources: dict[str, EventSource] = {}
        self.invocations: list[Invocation] = []
        self.cold_seconds = COLD_SECONDS
        self.quota = 1000
        """How many invocations an account may run at once in a Region."""
        self.stateless: tuple[str, ...] = ()
        """Packages of deployed zips whose modules keep no state: environments share them, which makes starts faster."""
        self._base = base
        self._kernel = kernel
        self._queues = queues
        self._numbers = itertools.count(1)
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "Invoke": self._invoke,
            "GetAccountSettings": self._account_settings,
            "ListFunctions": self._list_functions,
            "GetFunction": lambda call: {"Configuration": _configuration(self._named(call)), "Tags": {}},
            "GetFunctionConfiguration": lambda call: _configuration(self._named(call)),
            "GetPolicy": self._get_policy,
            "ListEventSourceMappings": self._list_sources,
            "UpdateEventSourceMapping": self._update_source,
            "PutFunctionConcurrency": self._put_concurrency,
            "GetFunctionConcurrency": self._get_concurrency,
        }

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers."""
        return self._operations

    def put(self, function: Function) -> Function:
        """Deploy a function. Raises AwsError if its role may not send to its dead-letter queue."""
        dead_queue = function.dead_letters
        if (
            dead_queue
            and self._base.on(DEAD_LETTER_RIGHTS)
            and not self._role_may(function, "sqs:SendMessage", dead_queue)
        ):
            raise _invalid(
                f"The provided execution role of {function.name} does not have permissions to call SendMessage on SQS"
            )
        self.functions[function.arn] = function
        return function

    def function(self, name: str) -> Function:
        """Return a function by its name, or by its last part; KeyError unless exactly one matches."""
        found = [f for f in self.functions.values() if called(f.name, name)]
        if len(found) != 1:
            raise KeyError(
                f"{len(found)} functions are called {name}; there are {sorted(f.name for f in self.functions.values())}"
            )
        return found[0]

    def add_source(self, source: EventSource, window: int = 0) -> EventSource:
        """Connect a queue with a function. Raises AwsError."""
        queue, rules = self._queues.queues.get(source.queue), self._base.rules
        if queue is None:
            raise _invalid(f"the queue {source.queue} does not exist")
        if source.concurrency < 2 and rules.on(CONCURRENCY):
            raise _invalid("MaximumConcurrency must be at least 2")
        if queue.fifo and (window > 0 or source.batch_size > 10) and rules.on(NO_WINDOW):
            raise _invalid("Batching window is not supported for FIFO queues, and a batch holds at most 10")
        visible = int(queue.attributes["VisibilityTimeout"])
        if visible < source.function.timeout and rules.on(VISIBLE):
            raise _invalid(
                f"Queue visibility timeout: {visible} seconds is less than Function timeout: {source.function.timeout} "
                "seconds"
            )
        if rules.on(QUEUE_RIGHTS):
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                if not self._role_may(source.function, f"sqs:{action}", source.queue):
                    raise _invalid(f"The function execution role does not have permissions to call {action} on SQS")
        self.sources[source.id] = source
        self.queue_changed(queue)
        return source

    def queue_changed(self, queue: Queue) -> None:
        """Let the event source mappings of a queue look: it may have a message."""
        for source in self.sources.values():
            if source.queue == queue.arn:
                self._poll_in(source, self._base.random.uniform(*POLL_SECONDS))

    def deliver(self, arn: str, body: str, *, principal: str, source_arn: str) -> None:
        """Invoke asynchronously for a service. Raises AwsError if there is no such function or its policy forbids."""
        function = self.functions.get(arn)
        if function is None:
            raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404)
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": source_arn.split(":")[4]}
        document = self.resource_policy(arn)
        allowed = self._base.policies.service_may(principal, document, "lambda:InvokeFunction", arn, context)
        if not allowed and self._base.on(PERMISSION):
            raise AwsError(
                "AccessDeniedException", f"the policy of {arn} does not let {principal} invoke it for {source_arn}", 403
            )
        self._enqueue(function, json.loads(body))

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the policy of a function."""
        function = self.functions.get(arn)
        return {"Statement": function.policy} if function and function.policy else None

    def start(self, function: Function, event: Any, done: Done, attempt: int = 1, trace: str = "") -> Invocation:
        """Run a function on its own strand from now on; ``done`` is called when it has ended.

        ``trace``: the trace header of what invokes it. Raises AwsError: TooManyRequestsException if its reserved
        concurrency or the account's quota is used up, RecursiveInvocationException if it has run too often in this
        chain.
        """
        kernel = self._kernel
        chain = traces.read(trace, f"1-{int(kernel.now.timestamp()):08x}-{len(self.invocations):024x}")
        ran = chain.of(function.arn)
        if ran >= MOST_IN_CHAIN and function.recursion != "Allow" and self._base.on(RECURSION):
            raise AwsError("RecursiveInvocationException", f"{function.name} has run {ran} times in this chain.")
        if function.reserved is not None and function.running >= function.reserved:
            raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
        place = function.account, function.region
        if sum(one.running for one in self._in(place)) >= self.quota and self._base.on(QUOTA):
            raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
        number = next(self._numbers)
        invocation = Invocation(
            f"{number:08x}-0000-4000-8000-{kernel.random.getrandbits(48):012x}", function.arn, event, kernel.now
        )
        invocation.attempt, invocation.in_chain = attempt, ran + 1
        invocation.trace = chain.with_run(function.arn).text()
        self.invocations.append(invocation)
        function.running += 1
        environment = self._environment(function, invocation)
        invocation.lines = environment.log = []
        strand = kernel.spawn(
            lambda: self._run(function, invocation, environment, strand),
            f"{function.name} {number}",
            environment.surroundings,
        )
        strand.function, strand.invocation = function.name, invocation.id
        strand.ended = lambda: self._ended(function, invocation, environment, strand, done)
        return invocation

    def _environment(self, function: Function, invocation: Invocation) -> Environment:
        oldest = self._base.now - LONGEST_LIFE
        function.idle = [idle for idle in function.idle if idle.made > oldest]
        if function.idle:
            apart = self._base.on(APART)
            return function.idle.pop() if apart else function.idle[0]
        invocation.cold = True
        source = function.arn if self._base.on(SOURCE_ARN) else None
        session = self._base.credentials.issue(
            function.role, function.name, function=function.name, source_function=source
        )
        new = Environment(function.package, function.handler, _variables(function, *session), self._base.now)
        if not self._base.on(APART):
            function.idle.append(new)
        return new

    def _run(self, function: Function, invocation: Invocation, environment: Environment, strand: Strand) -> None:
        kernel = self._kernel
        try:
            if environment.cold:
                kernel.elapse(kernel.random.uniform(*self.cold_seconds))
            os.environ[traces.VARIABLE] = invocation.trace
            handler = environment.handler()
            if self._base.on(TIMEOUT):
                why = f"Task timed out after {function.timeout}.00 seconds"
                strand.deadline = kernel.after(
                    function.timeout, lambda: strand.kill(why), f"timeout of {function.name}"
                )
            event = json.loads(json.dumps(invocation.event))
            invocation.result = json.loads(json.dumps(handler(event, Context(kernel, function, invocation))))
            invocation.outcome = "ok"
        except Exception as error:  # noqa: BLE001 - whatever a guest raises is the result of its invocation
            invocation.outcome = "error"
            invocation.error = f"{type(error).__name__}: {error}"
            invocation.lines.append(f"[ERROR] {invocation.error}\n{''.join(traceback.format_tb(error.__traceback__))}")

    def _ended(
        self, function: Function, invocation: Invocation, environment: Environment, strand: Strand, done: Done
    ) -> None:
        """Handle the end of a strand; the kernel calls it in the driver."""
        function.running -= 1
        invocation.ended = self._base.now
        if strand.killed:
            invocation.outcome = "timeout" if "timed out" in strand.killed else "crashed"
            invocation.error = strand.killed
            invocation.lines.append(f"{invocation.id} {strand.killed}\n")
        elif environment not in function.idle:
            function.idle.append(environment)
        done(invocation)

    # --- asynchronous invocation ---

    def _enqueue(self, function: Function, event: Any, trace: str = "") -> None:
        began = self._base.now
        attempts = itertools.count(1)

        def attempt() -> None:
            try:
                self.start(function, event, ended, next(attempts), trace)
            except AwsError as refused:
                if refused.code == "RecursiveInvocationException":
                    self._give_up(function, event, None, 0, str(refused))
                else:  # throttled: tried again until the event is too old
                    again(60, "throttled")

        def ended(invocation: Invocation) -> None:
            if invocation.outcome == "ok":
                return
            tries = invocation.attempt
            if tries > function.retries or not self._base.on(RETRIES):
                self._give_up(function, event, invocation, tries)
            else:
                again(RETRY_AFTER[min(tries, len(RETRY_AFTER)) - 1], invocation.error, invocation)

        def again(seconds: float, why: str, invocation: Invocation | None = None) -> None:
            if self._base.now + timedelta(seconds=seconds) > began + timedelta(seconds=function.longest_age):
                self._give_up(function, event, invocation, 0, why)
            else:
                self._base.clock.after(seconds, attempt, f"retry of {function.name}")

        self._base.clock.after(self._base.random.uniform(*ASYNC_SECONDS), attempt, f"start of {function.name}")

    def _give_up(
        self, function: Function, event: Any, invocation: Invocation | None, tries: int, why: str = ""
    ) -> None:
        if not self._base.on(DEAD_LETTERS):
            return
        error = invocation.error if invocation else why
        if function.dead_letters:
            reported = {
                "RequestID": invocation.id if invocation else "",
                "ErrorCode": "200",
                "ErrorMessage": error[:1024],
            }
            attributes = {k: {"DataType": "String", "StringValue": v} for k, v in reported.items() if v}
            self._send_dead(function, function.dead_letters, json.dumps(event), attributes)
        if function.on_failure:
            envelope = {
                "version": "1.0",
                "timestamp": self._base.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "requestContext": {
                    "requestId": invocation.id if invocation else "",
                    "functionArn": f"{function.arn}:$LATEST",
                    "condition": "RetriesExhausted" if tries else "EventAgeExceeded",
                    "approximateInvokeCount": tries,
                },
                "requestPayload": event,
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "responsePayload": {"errorMessage": error},
            }
            self._send_dead(function, function.on_failure, json.dumps(envelope), {})

    def _send_dead(self, function: Function, queue: str, body: str, attributes: Mapping[str, Any]) -> None:
        """Send with the function's role; without permission the event is lost (and AWS counts it)."""
        found = self._queues.queues.get(queue)
        if found is not None and self._role_may(function, "sqs:SendMessage", queue):
            self._queues.send(found, body, function.role, attributes=dict(attributes))

    # --- queues ---

    def _poll_in(self, source: EventSource, seconds: float) -> None:
        when = self._base.now + timedelta(seconds=seconds)
        if source.poll is not None and source.poll.what is not None and source.poll.when <= when:
            return
        if source.poll is not None:
            source.poll.cancel()
        source.poll = self._kernel.at(when, lambda: self._poll(source), f"poll of {source.queue.rsplit(':', 1)[1]}")

    def _poll(self, source: EventSource) -> None:
        source.poll = None
        queue, now = self._queues.queues.get(source.queue), self._base.now
        if queue is None or not source.enabled:
            return
        function = source.function
        while source.running < source.concurrency or not self._base.on(CONCURRENCY):
            if function.reserved is not None and function.running >= function.reserved:
                return
            messages = queue.receive(now, source.batch_size, None, self._queues.receipts())
            if not messages:
                break
            self._take(source, queue, messages)
            if not self._base.on(CONCURRENCY) and source.running > 1000:
                break
        following = queue.next_change(now)
        if following is not None:
            self._poll_in(source, (following - now).total_seconds() + POLL_SECONDS[0])

    def _take(self, source: EventSource, queue: Queue, messages: list[Message]) -> None:
        receipts = {message.id: message.receipt for message in messages}

        def done(invocation: Invocation) -> None:
            source.running -= 1
            kept = self._kept(source, invocation, receipts)
            for message in messages:
                if message.id not in kept and message.receipt == receipts[message.id]:
                    queue.remove(message)
            self.queue_changed(queue)

        event = {"Records": [_record(message, queue) for message in messages]}
        trace = messages[0].trace
        try:
            self.start(source.function, event, done, trace=trace)
        except AwsError:
            return  # refused: the messages stay invisible, and come back
        source.running += 1
        if self._base.injected.twin(queue.name):
            self.start(source.function, event, lambda _: None, trace=trace)

    def _kept(self, source: EventSource, invocation: Invocation, all_ids: Mapping[str, str]) -> set[str]:
        """Return the ids of the messages that stay in the queue, because the function did not process them."""
        if not self._base.on(FAILED_STAYS):
            return set()
        if invocation.outcome != "ok":
            return set(all_ids)
        failures = (invocation.result or {}).get("batchItemFailures", []) if source.partial else []
        failed = {failure.get("itemIdentifier") for failure in failures}
        return min(failed, set(all_ids))

    def _role_may(self, function: Function, action: str, resource: str) -> bool:
        role = self._base.policies.roles.get(function.role)
        if role is None:
            return False
        session = f"arn:aws:sts::{function.account}:assumed-role/{role.name}/{function.name}"
        caller = Caller(function.account, session, "", role_arn=role.arn, function=function.name)
        return self._base.policies.decide(caller, action, resource, region=function.region).allowed

    # --- the API ---

    def _invoke(self, call: Call) -> Mapping[str, Any]:
        function, kernel = self._named(call), self._kernel
        event = json.loads(call.params.get("Payload") or b"null")
        kind = call.params.get("InvocationType", "RequestResponse")
        if kind == "DryRun":
            return {"StatusCode": 204, "Payload": b""}
        if kind == "Event":
            self._enqueue(function, event, call.trace)
            return {"StatusCode": 202, "Payload": b""}
        invocation = self.start(function, event, lambda _: None, trace=call.trace)
        end = kernel.now + timedelta(seconds=function.timeout + 60)
        while not invocation.done and kernel.now < end:
            kernel.elapse(0.05)
        answer: dict[str, Any] = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
        result = invocation.result
        if invocation.outcome != "ok":
            kind, _, text = invocation.error.partition(": ")
            result = {"errorMessage": text or kind, "errorType": kind if text else "Runtime.ExitError"}
            answer["FunctionError"] = "Unhandled"
        return {**answer, "Payload": json.dumps(result).encode()}

    def _list_functions(self, call: Call) -> Mapping[str, Any]:
        own = self._in((call.caller.account, call.region))
        return {"Functions": [_configuration(function) for function in own]}

    def _in(self, place: tuple[str, str]) -> list[Function]:
        """Return the functions of an account and Region."""
        return [one for one in self.functions.values() if (one.account, one.region) == place]

    def _account_settings(self, call: Call) -> Mapping[str, Any]:
        own = self._in((call.caller.account, call.region))
        free = self.quota - sum(one.reserved or 0 for one in own)
        limit = {"ConcurrentExecutions": self.quota, "UnreservedConcurrentExecutions": free}
        return {"AccountLimit": limit, "AccountUsage": {"FunctionCount": len(own)}}

    def _get_policy(self, call: Call) -> Mapping[str, Any]:
        function = self._named(call)
        if not function.policy:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return {"Policy": json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": function.policy})}

    def _list_sources(self, call: Call) -> Mapping[str, Any]:
        arn, name = call.params.get("EventSourceArn"), call.params.get("FunctionName")
        own = [
            s
            for s in self.sources.values()
            if (s.function.account, s.function.region) == (call.caller.account, call.region)
            and arn in {None, s.queue}
            and name in {None, s.function.name, s.function.arn}
        ]
        return {"EventSourceMappings": [_shown(source) for source in own]}

    def _update_source(self, call: Call) -> Mapping[str, Any]:
        source = self.sources.get(call.params["UUID"])
        if source is None:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        source.enabled = call.params.get("Enabled", source.enabled)
        self._poll_in(source, POLL_SECONDS[0])
        return _shown(source)

    def _get_concurrency(self, call: Call) -> Mapping[str, Any]:
        reserved = self._named(call).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def _put_concurrency(self, call: Call) -> Mapping[str, Any]:
        function = self._named(call)
        function.reserved = call.params["ReservedConcurrentExecutions"]
        return {"ReservedConcurrentExecutions": function.reserved}

    def _named(self, call: Call) -> Function:
        name = call.params["FunctionName"].rsplit(":function:", 1)[-1].rsplit(":", 1)[-1]
        arn = f"arn:aws:lambda:{call.region}:{call.caller.account}:function:{name}"
        if arn not in self.functions:
            raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404)
        return self.functions[arn]


def _variables(function: Function, _caller: Caller, key: str, secret: str, token: str) -> dict[str, str]:
    """Return the environment that Lambda gives to a function, with the function's own variables."""
    return {
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "LAMBDA_TASK_ROOT": function.package.directory,
        "_HANDLER": function.handler,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        **function.variables,
    }


def _record(message: Message, queue: Queue) -> dict[str, Any]:
    """Return a message as a function gets it."""
    attributes = {
        name: {
            "stringValue": value.get("StringValue"),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value["DataType"],
        }
        for name, value in message.attributes.items()
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": system_attributes(message, queue),
        "messageAttributes": attributes,
        "md5OfBody": message.md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": queue.region,
    }


def _configuration(function: Function) -> dict[str, Any]:
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Role": function.role,
        "Handler": function.handler,
        "Runtime": function.runtime,
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "Environment": {"Variables": dict(function.variables)},
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }


def _shown(source: EventSource) -> dict[str, Any]:
    return {
        "UUID": source.id,
        "EventSourceArn": source.queue,
        "FunctionArn": source.function.arn,
        "BatchSize": source.batch_size,
        "State": "Enabled" if source.enabled else "Disabled",
        "ScalingConfig": {"MaximumConcurrency": source.concurrency},
    }


def _invalid(why: str) -> AwsError:
    return AwsError("InvalidParameterValueException", why)
