"""What wakes this service. No decisions: each function hands its event to one use case.

Which event wakes which function is in ``.chalice/extras/functions.yaml``, because the tag's key is a parameter there.
Importing this module makes no AWS call and needs no environment variable.
"""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice, ConvertToMiddleware

from chalicelib import bootstrap
from chalicelib.telemetry import log_metrics, logged

app = Chalice(app_name="ami-promoter", configure_logs=False)
app.register_middleware(ConvertToMiddleware(logged), "all")
app.register_middleware(ConvertToMiddleware(log_metrics), "all")


@app.lambda_function(name="on-tag-change")
def on_tag_change(event: dict[str, Any], _context: Any) -> None:
    """Receive that an image's tags changed (default bus)."""
    bootstrap.application().events.tag_change(event)


@app.lambda_function(name="on-image-state")
def on_image_state(event: dict[str, Any], _context: Any) -> None:
    """Receive that an image of the hub changed its state (default bus)."""
    bootstrap.application().events.image_state(event)


@app.lambda_function(name="on-target-event")
def on_target_event(event: dict[str, Any], _context: Any) -> None:
    """Receive that a copy ended or an AMI changed its state in a target (inbound bus)."""
    bootstrap.application().events.target_event(event)


@app.lambda_function(name="worker")
def worker(event: dict[str, Any], context: Any) -> None:
    """Work on the record that was woken (FIFO queue, one message group per record)."""
    bootstrap.application().worker_entry.run(event, context)


@app.lambda_function(name="share-worker")
def share_worker(event: dict[str, Any], context: Any) -> None:
    """Open and close the shares of the resource that was woken (FIFO queue, one message group per resource)."""
    bootstrap.application().share_worker_entry.run(event, context)


@app.lambda_function(name="sweep")
def sweep(_event: dict[str, Any], context: Any) -> None:
    """Wake what is due (every minute)."""
    bootstrap.application().sweep().run(time_left=bootstrap.seconds_left(context))


@app.lambda_function(name="discover")
def discover(_event: dict[str, Any], context: Any) -> None:
    """Find lost tag events, release standing shares that nobody is entitled to, read the OUs (every five minutes)."""
    bootstrap.application().discover().run(time_left=bootstrap.seconds_left(context))


@app.lambda_function(name="access-monitor")
def access_monitor(event: dict[str, Any], context: Any) -> None:
    """Judge what CloudTrail tells (standard queue), and look whether the trail is silent (every five minutes)."""
    bootstrap.application().access_monitor(event, bootstrap.seconds_left(context))


@app.lambda_function(name="drift-audit")
def drift_audit(_event: dict[str, Any], context: Any) -> None:
    """Compare what is open in the hub with the ledger (every five minutes; a pass a day)."""
    bootstrap.application().drift_audit().run(time_left=bootstrap.seconds_left(context))
