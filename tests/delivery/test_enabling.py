"""Restoring a recalled AMI: what follows if EC2 refuses to enable it."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.delivery.aws.target_images import AwsTargetImages
from chalicelib.delivery.model import Delivery, DeliveryState, NewImage, Recalled
from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.errors import Refusal
from tests.delivery.examples import a_delivery

LASTING = [
    ClientError({"Error": {"Code": code}}, "EnableImage")
    for code in ("UnauthorizedOperation", "IncorrectState", "ResourceLimitExceeded")
]
PASSING = [
    *(ClientError({"Error": {"Code": code}}, "EnableImage") for code in ("AuthFailure", "RequestLimitExceeded")),
    ReadTimeoutError(endpoint_url="ec2"),
]
WHY_LASTING, WHY_PASSING = ("denied", "state", "limit"), ("credentials", "throttled", "no answer")


class RefusingTarget:
    """The sessions of a target whose EC2 shows the AMI in this state and refuses to enable it."""

    def __init__(self, state: str, refusal: Exception) -> None:
        self.state = state
        self.refusal = refusal
        self.restored = False
        self.as_refusal = as_refusal

    def client(self, *_named: object, **_how: object) -> Any:
        return SimpleNamespace(
            enable_image=self.enable,
            describe_images=lambda **_: {"Images": [{"ImageId": "ami-0b", "State": self.state}]},
            disable_image_deprecation=self.restore,
        )

    def enable(self, **_asked: object) -> None:
        raise self.refusal

    def restore(self, **_asked: object) -> None:
        self.restored = True


def recalled(*, disabled: bool = False) -> Delivery:
    """A delivery whose recall is lifted. ``disabled``: EC2 has said that its AMI is."""
    recall = Recalled(seen=True, may_disable=True, disabled=disabled, done=True)
    return a_delivery(DeliveryState.RESTORING, image=NewImage("ami-0b"), recall=recall)


def restore(delivery: Delivery, state: str, refusal: Exception) -> bool:
    """Restore the AMI; return whether its deprecation has ended."""
    target = RefusingTarget(state, refusal)
    AwsTargetImages(target, "promote", "us-east-1").restore(delivery)  # type: ignore[arg-type] - all that it uses
    return target.restored


@pytest.mark.parametrize("refusal", LASTING, ids=WHY_LASTING)
def test_what_a_look_shows_enabled_is_restored_where_another_try_would_not_help(refusal):
    """The recall never disabled it, so nothing is left to enable."""
    assert restore(recalled(), "available", refusal)


@pytest.mark.parametrize("refusal", PASSING, ids=WHY_PASSING)
def test_a_refusal_that_passes_is_tried_again_whatever_a_look_shows(refusal):
    """DisableImage may have taken effect a moment ago, unheard: EC2 may still show what was before."""
    with pytest.raises(Refusal):
        restore(recalled(), "available", refusal)


@pytest.mark.parametrize("refusal", [*LASTING, *PASSING], ids=[*WHY_LASTING, *WHY_PASSING])
def test_what_may_be_disabled_is_enabled_before_anything_else(refusal):
    """A look shows it disabled, or EC2 has said so: then one look may show what was before."""
    for delivery, state in ((recalled(), "disabled"), (recalled(disabled=True), "available")):
        with pytest.raises(Refusal):
            restore(delivery, state, refusal)
