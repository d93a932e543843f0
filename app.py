"""What wakes this service. No decisions: each function hands its event to one part of the service.

What a decorator cannot say is merged onto it by name from ``.chalice/extras/``: the trigger tag's key, which is a
parameter, the targets' bus, the access monitor's schedule, dead letters and concurrency. Importing this module makes no
AWS call and needs no environment variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, ConvertToMiddleware, Rate, SQSEvent

from chalicelib.entry import bootstrap
from chalicelib.entry.telemetry import log_metrics, logged

app = Chalice(app_name="ami-promoter", configure_logs=False)
app.register_middleware(ConvertToMiddleware(logged), "all")
app.register_middleware(ConvertToMiddleware(log_metrics), "all")

TAG_CHANGE = {
    "source": ["aws.tag"],
    "detail-type": ["Tag Change on Resource"],
    "detail": {"service": ["ec2"], "resource-type": ["image"], "changed-tag-keys": ["promote"]},
}
IMAGE_STATE = {"source": ["aws.ec2"], "detail-type": ["EC2 AMI State Change"]}
TARGET_EVENT = {"source": ["aws.ec2"], "detail-type": ["EBS Snapshot Notification", "EC2 AMI State Change"]}
QUEUE = "ami-promoter-${AWS::Region}-"
"""Begins the name of each queue. Chalice writes the name into an ``Fn::Sub``, so CloudFormation fills in the Region."""


@app.on_cw_event(TAG_CHANGE, name="on-tag-change")
def on_tag_change(event: CloudWatchEvent) -> None:
    """Handle a change of an image's tags (default bus). The parameter ``TriggerTagKey`` replaces ``promote``."""
    bootstrap.application().events.tag_change(event.to_dict())


@app.on_cw_event(IMAGE_STATE, name="on-image-state")
def on_image_state(event: CloudWatchEvent) -> None:
    """Handle a change of the state of an image of the hub (default bus)."""
    bootstrap.application().events.image_state(event.to_dict())


@app.on_cw_event(TARGET_EVENT, name="on-target-event")
def on_target_event(event: CloudWatchEvent) -> None:
    """Handle the end of a copy, or a change of an AMI's state, in a target (inbound bus)."""
    bootstrap.application().events.target_event(event.to_dict())


@app.on_sqs_message(queue=f"{QUEUE}worker.fifo", name="worker")
def worker(event: SQSEvent) -> None:
    """Work on the record that was woken (FIFO queue, one message group per record)."""
    bootstrap.application().worker_entry.run(event.to_dict(), time_left=bootstrap.seconds_left(event.context))


@app.on_sqs_message(queue=f"{QUEUE}share-worker.fifo", name="share-worker")
def share_worker(event: SQSEvent) -> None:
    """Open and close the shares of the resource that was woken (FIFO queue, one message group per resource)."""
    bootstrap.application().share_worker_entry.run(event.to_dict(), time_left=bootstrap.seconds_left(event.context))


@app.schedule(Rate(1, Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> None:
    """Wake what is due."""
    bootstrap.application().sweep().run(time_left=bootstrap.seconds_left(event.context))


@app.schedule(Rate(5, Rate.MINUTES), name="discover")
def discover(event: CloudWatchEvent) -> None:
    """Find lost tag events, release standing shares that nobody is entitled to, read the OUs."""
    bootstrap.application().discover().run(time_left=bootstrap.seconds_left(event.context))


@app.on_sqs_message(queue=f"{QUEUE}access-monitor", name="access-monitor")
def access_monitor(event: SQSEvent) -> Mapping[str, Any]:
    """Judge events of CloudTrail, and every five minutes, by a schedule, look whether the trail is silent."""
    return bootstrap.application().access_monitor(event.to_dict(), bootstrap.seconds_left(event.context))


@app.schedule(Rate(5, Rate.MINUTES), name="drift-audit")
def drift_audit(event: CloudWatchEvent) -> None:
    """Compare what is open in the hub with the ledger; one of these runs each day begins a pass."""
    bootstrap.application().drift_audit().run(time_left=bootstrap.seconds_left(event.context))
