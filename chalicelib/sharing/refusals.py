"""Whether AWS refuses a batch of shares because of one account, or because of the resource.

Because of one account, the share worker halves the batch down to that account, so that only its share fails (invariant
7). Because of the resource, each half would be refused, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import last_part


class Subject(StrEnum):
    """What a refusal is about."""

    ACCOUNT = "account"
    """One account of the batch: halve it."""
    RESOURCE = "resource"
    """The resource, the service's own rights, or an outage: all accounts would be refused."""


SUBJECTS: Mapping[str, Subject] = {
    # EC2 [error codes of the EC2 API; that a closed account fails the whole call: aws-facts, UNVERIFIED]
    "aws-InvalidParameterValue": Subject.ACCOUNT,
    "aws-InvalidParameter": Subject.ACCOUNT,
    "aws-InvalidUserID.Malformed": Subject.ACCOUNT,
    "aws-InvalidUserID.NotFound": Subject.ACCOUNT,
    "aws-InvalidAMIAttributeItemValue": Subject.ACCOUNT,
    "aws-AuthFailure": Subject.RESOURCE,
    "aws-Blocked": Subject.RESOURCE,
    "aws-OptInRequired": Subject.RESOURCE,
    "aws-UnauthorizedOperation": Subject.RESOURCE,
    "aws-OperationNotPermitted": Subject.RESOURCE,  # the default key, a product code, a disabled AMI [aws-facts 4]
    "aws-InvalidSnapshot.NotFound": Subject.RESOURCE,
    "aws-InvalidSnapshotID.Malformed": Subject.RESOURCE,
    "aws-IncorrectState": Subject.RESOURCE,
    "aws-InvalidAMIID.NotFound": Subject.RESOURCE,
    "aws-InvalidAMIID.Unavailable": Subject.RESOURCE,
    "aws-InvalidAMIID.Malformed": Subject.RESOURCE,
    # KMS's own, as botocore lists them
    "aws-AccessDenied": Subject.RESOURCE,
    "aws-AccessDeniedException": Subject.RESOURCE,
    "aws-DisabledException": Subject.RESOURCE,
    "aws-KMSInvalidStateException": Subject.RESOURCE,
    "aws-NotFoundException": Subject.RESOURCE,
    "aws-InvalidArnException": Subject.ACCOUNT,  # also for a grantee that KMS cannot see [aws-facts 3]
    # a key's policy, in the words of its adapter
    "key-policy-invalid-principal": Subject.ACCOUNT,  # an account that was closed [aws-facts 3]
    "key-policy-too-large": Subject.ACCOUNT,  # fewer may fit
    "key-policy-denied": Subject.RESOURCE,
    "key-policy-foreign": Subject.RESOURCE,
    "key-policy-unreadable": Subject.RESOURCE,
    "key-policy-malformed": Subject.RESOURCE,
    "key-policy-dead-principal": Subject.RESOURCE,
    "key-policy-would-be-empty": Subject.RESOURCE,
    "key-policy-key-state": Subject.RESOURCE,
    "key-policy-key-gone": Subject.RESOURCE,
    "key-policy-not-shown": Subject.RESOURCE,
    # all of them
    "aws-throttled": Subject.RESOURCE,
    "aws-unreachable": Subject.RESOURCE,
}
"""By the fault's code: AWS's own with "aws-" in front, or the service's."""


def subject(code: str) -> Subject:
    """Return what a refusal is about. An unknown code counts as one account."""
    return SUBJECTS.get(code, Subject.ACCOUNT)


def most_calls(size: int) -> int:
    """Return the most calls of one run for a batch: enough to find one account and to open the others."""
    return 2 * max(size, 1).bit_length() + 8


def creates_role(role: str) -> str:
    """Return the command that makes a service-linked role ("SERVICE/NAME")."""
    service, _, name = role.rpartition("/")
    suffix = name.partition("_")[2]
    named = f" --custom-suffix {suffix}" if suffix else ""
    return f"aws iam create-service-linked-role --aws-service-name {service}{named}"


def role_missing(where: str, role: str) -> Fault:
    """Return the fault of a target without this service-linked role ("SERVICE/NAME")."""
    name = last_part(role)
    return Fault(
        "service-linked-role-missing",
        where,
        f"The account has no service-linked role {name}, to which the key is to be granted.",
        f"Make it there ({creates_role(role)}), or take it out of "
        "`service_linked_roles` in the targets file; then tag the AMI again.",
    )
