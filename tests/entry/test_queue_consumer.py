"""Messages from the queues: which are processed, which record's worker runs, and when a record is parked."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import FOR_LISTS, Budget
from chalicelib.engine.errors import Misconfigured, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Write
from chalicelib.entry.queue_consumer import SHARE_WORKER_KINDS, TRIES, WORKER_KINDS, QueueConsumer
from chalicelib.promotion.codec import new_promotion
from tests.fakes import MemoryRecords
from tests.service.cloud import Quiet

AMI, NOW = "ami-0abc", 1_800_000_000
KEY = addresses.promotion(AMI)
FAULT = Fault("code", "where", "what.", "cure.")
ARN = "arn:aws:kms:us-east-1:111111111111:key/1"
RUNS = {
    "delivery#0123": "deliveries",
    KEY.pk: "promotions",
    "quota#222222222222#us-east-1": "copy_quotas",
    "inventory#222222222222#us-east-1": "inventories",
    "resource#snapshot#snap-0a": "share_worker",
    addresses.grants_on(ARN).pk: "grant_audit",
}
"""A record -> the service that processes it."""


class WorkerSetup:
    """A worker whose services only record that they ran, and raise what the test sets."""

    def __init__(self, kinds=(*WORKER_KINDS, *SHARE_WORKER_KINDS)):
        self.records, self.ran, self.trouble = MemoryRecords(), [], None
        services = SimpleNamespace(**{name: SimpleNamespace(run=self.run(name)) for name in RUNS.values()})
        self.telemetry = Quiet()
        ports = services, self.records, lambda: NOW, self.telemetry
        self.worker = QueueConsumer(*ports, kinds, lambda ami: new_promotion(ami, "111111111111", "us-east-1", NOW))

    def run(self, name):
        def run(key, *_cause, **_time_left):
            self.ran.append((name, key.pk))
            if self.trouble is not None:
                raise self.trouble

        return run

    def take(self, body, receives=1, seconds=30):
        """Invoke the worker with a message, as Lambda does."""
        message = {"body": json.dumps(body), "attributes": {"ApproximateReceiveCount": str(receives)}}
        self.worker.run({"Records": [message]}, time_left=lambda: seconds)


@pytest.mark.parametrize("pk", RUNS)
def test_the_record_that_is_named_is_worked_on(pk):
    """Each kind by its own worker."""
    scene = WorkerSetup()
    scene.take({"key": pk, "cause": "x"})

    assert scene.ran == [(RUNS[pk], pk)]


def test_the_time_for_long_lists_is_no_time_for_steps():
    """A run of two minutes would keep the wake of a removed tag waiting; ``Budget.whole`` gives a list all of it."""
    scene = WorkerSetup()
    scene.worker.for_lists, left = FOR_LISTS, []
    scene.worker.workers.promotions.run = lambda *_, time_left: left.append((time_left(), Budget(time_left)))
    scene.take({"key": KEY.pk, "cause": "x"}, seconds=FOR_LISTS + 14)

    ((seconds, budget),) = left
    assert (seconds, budget.allows(4), budget.whole.allows(40)) == (14, False, True)


def test_what_a_targets_event_says_of_a_delivery_costs_no_write_of_its_own():
    """Its worker gets it with the wake, and writes it with what follows from it."""
    scene = WorkerSetup()
    key = RecordKey("delivery#0123")
    scene.records.create(Write(key, "copying", {}, NOW), NOW)
    scene.take({"key": key.pk, "cause": "event-1", "reason": {"image": "event-1"}})

    assert scene.ran == [("deliveries", key.pk)]
    assert scene.records.read(key).inbox == {}


def test_a_reason_is_left_on_the_record_and_an_older_one_makes_it_look_all_the_same():
    """The promotion that a tag starts exists then. Events come in any order; the worker reads the truth from AWS."""
    scene = WorkerSetup()
    for version in ("000000000003", "000000000002"):
        scene.take({"key": KEY.pk, "cause": version, "reason": {"tag": version}})

    assert scene.records.read(KEY).inbox == {"tag": "000000000003"}
    assert scene.ran == [("promotions", KEY.pk)] * 2


@pytest.mark.parametrize(
    ("kinds", "pk"), [(WORKER_KINDS, "resource#snapshot#snap-0a"), (SHARE_WORKER_KINDS, KEY.pk), (WORKER_KINDS, "x#1")]
)
def test_a_record_of_a_kind_that_the_function_does_not_work_on_is_an_error(kinds, pk):
    """Its message goes to the dead letters, and the record is not parked: it is not at fault."""
    scene = WorkerSetup(kinds)
    scene.records.create(Write(KEY, "running", {}, NOW), NOW)
    with pytest.raises(ValueError, match="works on records of the kinds"):
        scene.take({"key": pk, "cause": "x", "reason": {"tag": "000000000003"}}, receives=TRIES)

    assert scene.ran == []
    assert not scene.records.read(KEY).parked
    assert scene.records.read(KEY).inbox == {}


def cancelled(*reasons: str) -> ClientError:
    """What DynamoDB answers to a transaction: one reason for each of its writes."""
    error = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": [{"Code": it} for it in reasons]}
    return ClientError(error, "TransactWriteItems")


@pytest.mark.parametrize(
    ("trouble", "receives", "parked"),
    [
        (KeyError("state"), TRIES, True),
        (KeyError("state"), TRIES - 1, False),
        (ClientError({"Error": {"Code": "ValidationException"}}, "UpdateItem"), TRIES, True),
        (cancelled("None", "ValidationError"), TRIES, True),
        (cancelled("None", "ThrottlingError"), TRIES, False),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem"), TRIES, False),
        (EndpointConnectionError(endpoint_url="https://x"), TRIES, False),
        (Misconfigured("no table"), TRIES, False),
        (Refusal(RefusalKind.THROTTLED, FAULT), TRIES, False),
        (Refusal(RefusalKind.DENIED, FAULT, unknown=True), TRIES, False),
        (Refusal(RefusalKind.DENIED, FAULT), TRIES, True),
    ],
    ids=[
        "own",
        "not yet",
        "invalid",
        "invalid in a transaction",
        "throttled in a transaction",
        "throttled",
        "no answer",
        "deployment",
        "patience",
        "unheard",
        "denied",
    ],
)
def test_a_record_over_which_every_try_raises_is_parked_with_the_last(trouble, receives, parked):
    """Not if AWS failed, or the deployment is wrong."""
    scene = WorkerSetup()
    scene.records.create(Write(KEY, "running", {}, NOW), NOW)
    scene.trouble = trouble
    with pytest.raises(type(trouble)):
        scene.take({"key": KEY.pk, "cause": "x"}, receives)

    assert bool(scene.records.read(KEY).parked) == parked
    assert [name for name, _ in scene.telemetry.reported] == ["parked"] * parked
