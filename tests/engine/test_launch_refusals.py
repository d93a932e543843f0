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


@pytest.mark.parametrize(
    ("code", "status", "kind", "helps"),
    [
        *((code, 400, RefusalKind.LIMIT, "larger quota") for code in QUOTA),
        *(("InsufficientInstanceCapacity", status, RefusalKind.THROTTLED, "another zone") for status in (400, 500)),
        ("Unsupported", 400, RefusalKind.DENIED, "another zone"),
    ],
)
def test_a_launch_that_ec2_refuses_says_what_helps_there(code, status, kind, helps):
    """A copy that ends makes no room for an instance, and tagging the AMI again would meet the same subnet.

    A full quota is waited for, and so is a zone without capacity: the status of that answer is not documented.
    """
    refusal = refused(code, status)
    assert refusal.kind is kind
    assert helps in refusal.fault.cure
