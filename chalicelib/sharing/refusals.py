"""Whether AWS refuses a batch of shares because of one account, or because of the resource.

Because of one account, the share worker halves the batch down to that account, so that only its share fails (invariant
7). Because of the resource, each half would be refused, too.
"""

from __future__ import annotations

ABOUT_THE_RESOURCE = frozenset(
    {
        # EC2 [error codes of the EC2 API]
        "aws-AuthFailure",
        "aws-Blocked",
        "aws-UnauthorizedOperation",
        "aws-OperationNotPermitted",  # the default key, a product code, a disabled AMI [aws-facts 4]
        "aws-InvalidSnapshot.NotFound",
        "aws-InvalidSnapshotID.Malformed",
        "aws-IncorrectState",
        "aws-InvalidAMIID.NotFound",
        "aws-InvalidAMIID.Unavailable",
        "aws-InvalidAMIID.Malformed",
        # KMS's own, as botocore lists them
        "aws-AccessDenied",
        "aws-AccessDeniedException",
        "aws-DisabledException",
        "aws-KMSInvalidStateException",
        "aws-NotFoundException",
        # a key's policy, in the words of its adapter
        "key-policy-denied",
        "key-policy-foreign",
        "key-policy-unreadable",
        "key-policy-malformed",
        "key-policy-dead-principal",
        "key-policy-would-be-empty",
        "key-policy-key-state",
        "key-policy-key-gone",
        "key-policy-not-shown",
        # all of them
        "aws-throttled",
        "aws-unreachable",
    }
)
"""Codes of faults about the resource, the service's own rights, or an outage: AWS's own with "aws-" in front, or its.

All others count as about one account of the batch, and it is halved. Such are EC2's InvalidParameterValue,
InvalidParameter, InvalidUserID.Malformed, InvalidUserID.NotFound and InvalidAMIAttributeItemValue, which fails the
whole call [aws-facts 4; that a closed account does, too, is UNVERIFIED], KMS's InvalidArnException, also for a grantee
that KMS cannot see [aws-facts 3], and of a key's policy an invalid principal, as an account that was closed [aws-facts
3], and the size: fewer may fit.
"""


def most_calls(size: int) -> int:
    """Return the most calls of one run for a batch: enough to find one account and to open the others."""
    return 2 * max(size, 1).bit_length() + 8
