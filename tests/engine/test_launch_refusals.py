"""What RunInstances says of an account or a place, and what people read of it."""

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine.aws.refusals import refusal
from chalicelib.engine.errors import Refusal, RefusalKind

QUOTA = ("InstanceLimitExceeded", "NetworkInterfaceLimitExceeded", "ResourceLimitExceeded", "VcpuLimitExceeded")


def refused(code: str, status: int = 400) -> Refusal:
    """A launch that EC2 refuses with this code."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return refusal(ClientError(answer, "RunInstances"), "RunInstances", "ec2")


@pytest.mark.parametrize("code", QUOTA)
def test_a_full_quota_of_launches_is_waited_for_and_says_that_a_larger_one_helps(code):
    """A copy that ends makes no room for an instance."""
    refusal = refused(code)
    assert refusal.kind is RefusalKind.LIMIT
    assert "larger quota" in refusal.fault.cure


@pytest.mark.parametrize("status", [400, 500])
def test_a_zone_without_capacity_is_waited_for_and_says_what_else_helps(status):
    """AWS's status and the account's limits say nothing of it. The status of its answer is not documented."""
    refusal = refused("InsufficientInstanceCapacity", status)
    assert refusal.kind is RefusalKind.THROTTLED
    assert "another zone" in refusal.fault.cure


def test_an_instance_type_that_the_zone_does_not_have_says_what_helps():
    """Tagging the AMI again would meet the same subnet."""
    assert "another zone" in refused("Unsupported").fault.cure
