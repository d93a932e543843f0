"""What a look at the instance of a launch test shows while EC2 does not know it."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.delivery.aws.target_instances import AwsTargetInstances
from chalicelib.delivery.instances import InstanceSeen
from chalicelib.delivery.model import DeliveryState
from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.errors import Refusal
from tests.delivery.examples import a_delivery


class RefusingLooks:
    """The sessions of a target whose EC2 refuses each look with this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.as_refusal = as_refusal

    def client(self, *_named: object, **_how: object) -> Any:
        return SimpleNamespace(describe_instances=self.refuse)

    def refuse(self, **_asked: object) -> None:
        raise ClientError({"Error": {"Code": self.code}}, "DescribeInstances")


def look(code: str) -> InstanceSeen:
    """Look at an instance, which EC2 refuses so."""
    sessions: Any = RefusingLooks(code)
    return AwsTargetInstances(sessions).see(a_delivery(DeliveryState.LAUNCHING), "i-0a")


def test_an_instance_that_ec2_does_not_know_yet_is_not_shown():
    """Right after RunInstances, or long after its end: the delivery looks again, and nothing is refused."""
    assert look("InvalidInstanceID.NotFound") == InstanceSeen("i-0a")


def test_another_refusal_of_that_look_is_none_of_the_instance():
    """A right that is missing must not look like an instance that is gone."""
    with pytest.raises(Refusal, match="UnauthorizedOperation"):
        look("UnauthorizedOperation")
