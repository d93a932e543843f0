"""Notices have a bounded size, and an id that shows repeats."""

import json
from dataclasses import replace

from chalicelib.delivery import notices as delivery_notices
from chalicelib.delivery.model import DeliveryState, NewImage
from chalicelib.delivery.outcomes import TRACKED_OUTCOMES
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import mails, notices
from chalicelib.engine.faults import Fault
from chalicelib.promotion import notices as promotion_notices
from chalicelib.promotion.evolving import started
from chalicelib.promotion.wave_counts import WaveCount
from chalicelib.targets.approvals import Asked
from chalicelib.targets.waves import Wave
from tests.delivery.examples import NOW, a_delivery

LIMIT = 256 * 1024
"""Bytes that SNS and EventBridge take."""


def test_a_repeat_is_known_by_its_id():
    """A repeat after a crash has the same id; another episode has another."""
    delivery = a_delivery(DeliveryState.PUBLISHING, image=NewImage("ami-0b"))

    assert delivery_notices.outcome(delivery, NOW)["id"] == delivery_notices.outcome(delivery, NOW + 60)["id"]
    assert (
        delivery_notices.outcome(replace(delivery, episode=2), NOW)["id"]
        != delivery_notices.outcome(delivery, NOW)["id"]
    )


def test_a_question_and_a_stopped_wave_have_the_same_id_in_each_episode():
    """A promotion killed after it asked, and before it wrote so, may ask in its next episode; another question differs.

    The summary is one for each episode.
    """
    first = started("ami-0a", "111111111111", "us-east-1", NOW)
    failed = TrackedDelivery("d", "222222222222", "us-east-1", 1, "failed")
    stopped = WaveCount(Wave("dev"), failed=(failed,))
    ids = [
        (
            promotion_notices.awaiting_approval(promotion, Asked("digest"), (), NOW)["id"],
            promotion_notices.wave_stopped(promotion, stopped, ("prod",), (), NOW)["id"],
            promotion_notices.summary(promotion, (failed,), NOW)["id"],
        )
        for promotion in (first, replace(first, episode=first.episode + 1))
    ]

    assert [one == other for one, other in zip(*ids, strict=True)] == [True, True, False]
    assert promotion_notices.awaiting_approval(first, Asked("another"), (), NOW)["id"] not in ids[0]


def test_the_terminal_message_names_source_account_region_outcome_and_image():
    """All that a consumer needs; a failed AMI has no id in it."""
    delivery = a_delivery(DeliveryState.PUBLISHING, image=NewImage("ami-0b"))
    good = delivery_notices.outcome(delivery, NOW)
    expected = ("ami-0a", "222222222222", "us-east-1", "delivered", "ami-0b")
    assert (good["source_image"], good["account"], good["region"], good["outcome"], good["image"]) == expected

    bad = delivery_notices.outcome(
        replace(delivery, ending=DeliveryState.FAILED, faults=(Fault("c", "w", "x.", "y."),)), NOW
    )
    assert (bad["outcome"], bad["image"], bad["faults"][0]["cure"]) == ("failed", None, "y.")


def test_a_message_is_bounded_at_any_number_of_targets_and_faults():
    """A thousand deliveries with a thousand long faults fit; the notice counts what it leaves out."""
    promotion = started("ami-0a", "111111111111", "us-east-1", NOW)
    tracked = [TrackedDelivery(f"{n:020d}", f"{n:012d}", "us-east-1", 1, "failed", "ami-0b") for n in range(1000)]
    faults = (Fault("code", "w" * 5000, "x" * 5000, "y" * 5000),) * 1000

    reported = promotion_notices.summary(promotion, tracked, NOW)
    assert sent(reported).keys() == {"Message", "MessageStructure"}
    assert len(reported["deliveries"]) + reported["unlisted"] == 1000
    assert reported["counts"]["failed"] == 1000
    refused = promotion_notices.refused(replace(promotion, faults=faults), NOW)
    assert sent(refused).keys() == {"Message", "MessageStructure"}
    assert "981 more" in refused["faults"][-1]["what"]


def test_a_summary_counts_each_target_as_it_is_tracked():
    """Also one whose share has ended at its date: its mail says why the AMI is not everywhere."""
    tracked = [TrackedDelivery(state, f"{n:012}", "us-east-1", 1, state) for n, state in enumerate(TRACKED_OUTCOMES)]
    reported = promotion_notices.summary(started("ami-0a", "111111111111", "us-east-1", NOW), tracked, NOW)

    assert reported["counts"] == dict.fromkeys(TRACKED_OUTCOMES, 1)
    assert reported["plain"]["said"].endswith("; 1 failed, 1 cancelled, 1 withdrawn, 1 recalled, 1 expired")


def test_a_notice_that_fits_only_without_its_mail_goes_as_it_is():
    """All forms of a message together have SNS's limit, and JSON within JSON takes more than JSON alone."""
    notice = {**delivery_notices.outcome(a_delivery(DeliveryState.PUBLISHING), NOW), "leftovers": ['"' * 100_000]}
    assert json.loads(sent(notice)["Message"])["leftovers"] == notice["leftovers"]


def sent(notice):
    """The parameters of Publish, which fit."""
    notice = notices.with_plain(notice)
    attributes = notices.attributes(notice)
    message = mails.message(notice, mails.text(notice), attributes)
    assert len(message["Message"].encode()) + sum(len(k) + len(v.encode()) for k, v in attributes.items()) <= LIMIT
    return message


def test_message_attributes_have_no_empty_value_and_the_subject_fits():
    """SNS refuses empty attributes, some characters in them, and subjects of 100 or with a line break or control."""
    delivery = replace(a_delivery(DeliveryState.PUBLISHING), source_name="gölden\n\x1b[2J\u202e\U0001f642" * 40)
    notice = delivery_notices.outcome(delivery, NOW)

    assert all(notices.attributes(notice).values())
    assert len(notices.subject(notice)) < 100
    assert notices.subject(notice).isascii()
    assert notices.subject(notice).isprintable()
    assert all(value.isprintable() and max(value) <= "\uffff" for value in notices.attributes(notice).values())
