"""A decision on a call, and how each service words a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from awsim.api import AwsError, Caller

FOREIGN_KEY = (
    "on this resource because the resource does not exist in this Region, no resource-based policies allow access, or "
    "a resource-based policy explicitly denies access"
)
"""What KMS says of a key of another account, in place of the resource, too [aws-facts 3, VERIFIED]."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is allowed, and if not why, in AWS's words (after "... on resource: X ")."""

    allowed: bool
    why: str = ""


def refusal(caller: Caller, service: str, action: str, resource: str, why: str) -> AwsError:
    """Return a refusal in the service's wording."""
    of_what = why if why == FOREIGN_KEY else f"on resource: {resource} {why}".rstrip()
    said = f"User: {caller.arn} is not authorized to perform: {action} {of_what}"
    if service == "ec2":
        return AwsError("UnauthorizedOperation", f"You are not authorized to perform this operation. {said}", 403)
    if service == "sns":
        return AwsError("AuthorizationError", said, 403)
    if service in {"sts", "iam", "sqs", "s3", "cloudformation"}:
        return AwsError("AccessDenied", said, 403)
    return AwsError("AccessDeniedException", said, 400)
