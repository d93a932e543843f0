"""What `status` works out from records."""

import json
from dataclasses import replace

import pytest

from ami_promoter.hub.records import record_of
from ami_promoter.promotions.promotion_data import delivery, page, progress_at, seconds_left
from ami_promoter.promotions.promotion_text import left
from chalicelib.delivery.model import Attempt, Cleanup, Copy, CopyState, Delivery, DeliveryState, NewImage, ShareMode
from chalicelib.engine import codec
from chalicelib.targets.applied_file import Target

BEGAN = 1000


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (1120, "~6m"),  # a quarter after two minutes
        (1300, "~3m"),  # nobody has looked since, and the time runs all the same
        (1479, "~1s"),
        (1500, "soon"),
    ],
)
def test_the_time_left_is_by_the_pace_until_the_last_look(now, said):
    """It shrinks between two looks, though the percentage does not move."""
    copy = Copy("snap-1", CopyState.PENDING, progress=25, next_look=2020)  # the second look was at 1120
    seen = progress_at(copy)

    assert seen == 1120
    assert left([{"state": "pending", "seconds_left": seconds_left(25, BEGAN, seen, now)}]) == said


@pytest.mark.parametrize(
    "copy",
    [
        Copy("snap-1", CopyState.PENDING, next_look=1120),
        Copy("snap-1", CopyState.COMPLETED, progress=100, next_look=1120),
        Copy("snap-1", CopyState.PENDING, progress=25),
        Copy("snap-1"),
    ],
)
def test_where_nothing_can_be_said_nothing_is(copy):
    """Before the first progress, and after the end."""
    assert progress_at(copy) is None
    assert seconds_left(copy.progress, BEGAN, None, 1200) is None


@pytest.mark.parametrize(("progress", "began"), [(100, BEGAN), (25, None), (25, 1200)])
def test_no_pace(progress, began):
    """It has all moved, or it is not known when it began."""
    assert seconds_left(progress, began, 1120, 1200) is None


def a_record(**body):
    """Build a promotion's record as the command line reads it: without members that have their default."""
    known = {"hub": "", "region": "", **body}
    state = {"state": body["state"]} if "state" in body else {}
    return record_of({"pk": "promotion#ami-1", "sk": "record", "body": json.dumps(known), **state})


@pytest.mark.parametrize(
    ("body", "candidate"),
    [
        ({"state": "comparing", "seen_value": "dev prod", "value": "dev"}, "dev prod"),
        ({"state": "comparing", "seen_value": "dev"}, "dev"),
        ({"state": "comparing", "seen_value": "dev", "value": "dev"}, None),
        ({"state": "running", "seen_value": "dve", "value": "dev", "refused_value": "dve"}, None),
    ],
)
def test_the_value_that_is_being_checked(body, candidate):
    """The tag's, while it is resolved and differs from that in force."""
    assert page(a_record(**body), (), (), 0)["candidate"] == candidate


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"refused_value": "dve"}, True),
        ({"refused_value": ""}, True),
        ({"unfit_since": 60, "inputs": "9c1f"}, True),
        ({"unfit_since": 60, "inputs": "9c1f", "cursor": {"part": "examine"}}, False),
        ({}, False),
    ],
)
def test_whether_value_or_source_is_refused(body, refused):
    """The source counts as refused when its checks are over: before, EC2 may not show it whole yet."""
    assert page(a_record(**body), (), (), 0)["refused"] is refused


@pytest.mark.parametrize(
    ("body", "inbox", "again"),
    [
        ({}, {}, False),
        ({"generation": 1, "value": "dev", "state": "over"}, {"lifted": "7"}, True),
        ({"generation": 1, "value": "dev", "state": "over"}, {"recall": "7:recalled"}, True),
        ({"state": "over"}, {"recall": "7:recalled"}, False),
        ({"value": "dev", "seen_since": 60}, {}, True),
    ],
)
def test_whether_the_service_looks_again(body, inbox, again):
    """`wait` waits for that: until a lift was read, and not for a recall of what nobody got."""
    record = a_record(**body)
    seen = replace(record, it=replace(record.it, inbox=inbox))

    assert page(seen, (), (), 0)["looks_again"] is again


def test_an_ami_of_the_baseline_that_is_gone_says_so():
    """It keeps the value for which it waits for a tag event."""
    record = a_record(state="over", value="dev", seen_since=60, looked_at=120, in_force_since=60)

    assert "does not own this AMI" in page(record, (), (), 0)["why"]


def test_a_damaged_record_is_shown_with_a_fault():
    """What can be read of it is shown; members of another version are no damage."""
    body = {"hub": "", "region": "", "generation": "x", "value": "dev", "of_a_newer_version": 1, "since": 60}
    item = {"pk": "promotion#ami-1", "sk": "record", "state": "dancing", "body": json.dumps(body)}
    shown = page(record_of(item), [record_of({"pk": "delivery#d1", "sk": "record", "body": "{"})], (), 0)

    assert (shown["ami"], shown["state"], shown["value"]) == ("ami-1", "dancing", "dev")
    assert [one["code"] for one in (*shown["faults"], *shown["deliveries"][0]["faults"])] == ["record-damaged"] * 2
    assert "body.generation: 'x' is no int" in shown["faults"][0]["what"]
    assert "is damaged" in shown["why"]


TARGET = Target("1" * 12, "us-east-1")


def shown(state, target=TARGET, **members):
    """What `status` shows of a delivery in this state."""
    one = Delivery("d-1", "", "ami-1", target, 1, BEGAN, "golden", (), state=state, **members)
    body = json.dumps(codec.encode(replace(one, entered={state: BEGAN})))
    return delivery(record_of({"pk": "delivery#d-1", "sk": "record", "state": str(state), "body": body}), BEGAN, {})


@pytest.mark.parametrize(("state", "estimated"), [("copying", 375), ("stopping", None), ("failed", None)])
def test_only_of_a_copy_that_may_complete_the_time_left_is_estimated(state, estimated):
    """One whose delivery is stopping ends or is deleted."""
    copy = Copy("snap-1", CopyState.PENDING, progress=25, next_look=BEGAN + 900)
    tried = (Attempt("nonce", "snap-1", BEGAN - 125, episode=1),)

    (copy,) = shown(DeliveryState(state), copies=(copy,), attempts=tried)["copies"]
    assert copy["seconds_left"] == estimated
    assert (copy["progress_at"] == "-") is (estimated is None)


@pytest.mark.parametrize(
    ("state", "ending", "advised"),
    [
        (DeliveryState.SHARED, None, True),
        (DeliveryState.TIDYING, DeliveryState.WITHDRAWN, False),
        (DeliveryState.WITHDRAWN, DeliveryState.WITHDRAWN, False),
    ],
)
def test_nobody_is_advised_on_the_roles_of_what_is_withdrawn(state, ending, advised):
    """A role that the account makes now gets no grant any more."""
    target = replace(TARGET, mode="share", service_linked_roles=("autoscaling/Role",), roles_by_default=True)

    found = shown(state, target, ending=ending, share_mode=ShareMode(without_roles=True))

    assert (found["without_roles"] is not None) == advised


@pytest.mark.parametrize(
    ("state", "left", "image"),
    [
        (DeliveryState.DELIVERED, (), "ami-2"),
        (DeliveryState.RECALLED, (), "ami-2"),
        (DeliveryState.TIDYING, (), "ami-2"),
        (DeliveryState.FAILED, ("ami-2",), "ami-2"),
        (DeliveryState.FAILED, (), None),
        (DeliveryState.CANCELLED, (), None),
    ],
)
def test_an_ami_that_was_removed_is_not_shown_as_the_targets(state, left, image):
    """As after a launch test that failed; what stays there, because it may be in use, is shown."""
    assert shown(state, image=NewImage("ami-2"), cleanup=Cleanup(leftovers=left))["image"] == image


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_protection_is_asked_for_only_where_there_is_a_copy(mode):
    """The `defaults` of a file may ask for it, and concern accounts of both modes."""
    assert shown(DeliveryState.COPYING, replace(TARGET, mode=mode, protect=True))["protect"] is (mode == "copy")
