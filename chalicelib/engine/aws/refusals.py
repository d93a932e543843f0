"""Turns botocore's errors into refusals: their kind, account, Region and step, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.engine import denials
from chalicelib.engine.aws import sdk
from chalicelib.engine.calls import changes
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault

STALE_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "RequestExpired",
        "UnrecognizedClientException",
    }
)
"""The session is over, or its role was deleted and created again: a new session helps."""

INTERNAL = frozenset({"InternalException", "RequestTimeout", "RequestTimeoutException", "ServiceException"})
"""Ask again soon, whatever the HTTP status: the call may have been carried out."""
RATE_LIMITED = frozenset(
    {
        "RequestLimitExceeded",
        "Throttled",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "KMSThrottling",
        "KmsThrottled",
        "KMS.ThrottlingException",  # SQS's KmsThrottled, as it is sent [AWS SDK for JavaScript, client-sqs, schemas]
        "ProvisionedThroughputExceededException",
        "SlowDown",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
    }
)
"""The call came too soon and was not carried out, whatever the HTTP status: EC2 sends 503 with it."""
NOT_ACTIVE = frozenset({"OptInRequired", "PendingVerification", "SubscriptionRequiredException"})
"""AWS has not activated an account yet that is new, or new in a Region: it may take hours [aws-facts 6, VERIFIED]."""
NO_CAPACITY = "InsufficientInstanceCapacity"
"""AWS itself has no instance of that type left in the subnet's zone; an answer that the SDK tries again."""
THROTTLED = (
    STALE_CREDENTIALS
    | NOT_ACTIVE
    | INTERNAL
    | RATE_LIMITED
    | frozenset(
        {
            "ServiceUnavailable",
            "Unavailable",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "KMSInternalException",
            "DependencyTimeoutException",
            "ConcurrentTagAccess",
            "TransactionInProgressException",
            "PriorRequestNotComplete",
            "TransactionConflictException",
            "TooManyUpdates",
            "ConcurrentModificationException",
            NO_CAPACITY,
            "ChildNotFoundException",  # of Organizations: an OU was deleted between two calls, its accounts moved
        }
    )
)
"""Ask again soon: what botocore counts as throttling, and the words of DynamoDB, EventBridge and Organizations.

LimitExceededException is not among them: in KMS it is a full quota, which a person must raise.
"""

NO_SNAPSHOT = "InvalidSnapshot.NotFound"
NOT_AVAILABLE = "InvalidAMIID.Unavailable"
"""What EC2 says of an AMI that is pending or disabled, and perhaps of one that has only just become available."""
NO_IMAGE = ("InvalidAMIID.NotFound", NOT_AVAILABLE)
GONE = (NO_SNAPSHOT, *NO_IMAGE)
"""Codes of what EC2 does not have, or no longer."""
IN_USE = "InvalidSnapshot.InUse"
KEY_GONE = "NotFoundException"

NO_ROOM = (
    "InstanceLimitExceeded",
    "InsufficientFreeAddressesInSubnet",
    "NetworkInterfaceLimitExceeded",
    "ResourceLimitExceeded",
    "VcpuLimitExceeded",
)
"""What RunInstances says where others have used up a quota or the subnet [EC2 API reference, error codes].

CopySnapshot says ResourceLimitExceeded, too.
"""

KINDS = {
    **dict.fromkeys(NO_ROOM, RefusalKind.LIMIT),
    "PendingSnapshotLimitExceeded": RefusalKind.LIMIT,
    NO_SNAPSHOT: RefusalKind.NOT_YET,
    "InvalidSnapshotID.NotFound": RefusalKind.NOT_YET,  # what RegisterImage says of it [aws-facts 5]
    "InvalidAMIID.NotFound": RefusalKind.NOT_YET,
    NOT_AVAILABLE: RefusalKind.NOT_YET,
    "InvalidAMIName.Duplicate": RefusalKind.NAME_TAKEN,
}

NOT_YET_WORDS = ("access the storage of this ami", "Not authorized for image")
"""CopyImage's messages for a missing share, besides InvalidAMIID.NotFound [aws-facts 5]; their codes are ambiguous."""

KEY_DENIED = "Not authorized to use key"
"""What CopySnapshot says, with an AuthFailure, of a key of which the role may not read the description [aws-facts 2].

A new session does not help.
"""

CURES = {  # they stay with a delivery that the service has given up, so none says that it tries again
    RefusalKind.THROTTLED: "If this lasts, look at the account's limits and AWS's status.",
    RefusalKind.LIMIT: "A copy there must end first; other copies into that account count too.",
    RefusalKind.NOT_YET: (
        "If this lasts ten minutes, check whether a share or its source was removed, its AMI disabled, or hidden there "
        "by Allowed AMIs (`ami-promoter doctor` says so)."
    ),
    RefusalKind.NAME_TAKEN: "Deregister the AMI of that name, or set `ami_name` in the targets file; then tag again.",
}

_OTHER_PLACE = (
    "give the tag of launch tests to a subnet in another zone, or name another instance type in `launch_test` in the "
    "targets file."
)
LAUNCH_CURES = {
    **dict.fromkeys(
        NO_ROOM,
        "If this lasts, ask AWS for a larger quota, or give the tag of launch tests to a subnet with more free "
        "addresses.",
    ),
    NO_CAPACITY: f"If this lasts, {_OTHER_PLACE}",
    "Unsupported": _OTHER_PLACE.capitalize(),
}
"""The cures of what RunInstances says. ``Unsupported``: the subnet's zone does not have instances of that type."""
PASSING_CURES = {
    **dict.fromkeys(
        STALE_CREDENTIALS,
        "If this lasts, check that the Region is enabled in that account (aws account get-region-opt-status).",
    ),
    **dict.fromkeys(
        NOT_ACTIVE,
        "AWS has not activated that account, or its Region, yet, which may take hours. If this lasts, ask AWS Support.",
    ),
}

STS_OFF = "RegionDisabledException"
STS_OFF_CURE = (
    "The hub asks STS for sessions in its own Region, and STS is off there for that account: enable the hub's Region "
    "in it (aws account enable-region) or, if it is enabled by default, activate STS for it (IAM console, account "
    "settings)."
)

SERVER_ERROR = 500
SESSION_TOO_LARGE = ("PackedPolicyTooLarge", "PackedPolicyTooLargeException", "MalformedPolicyDocument")
"""STS takes no session policy as long as this, or none so formed."""
TOO_LONG = "length less than or equal to"
"""What STS says, with a ValidationError, of more than 2,048 characters."""


@contextmanager
def as_refusal(step: str, where: str, *, sts: bool = False) -> Iterator[None]:
    """Turn an error of the calls inside into a Refusal that names step and place. ``sts``: the call was AssumeRole."""
    try:
        yield
    except sdk.ClientError as error:
        raise refusal(error, step, where, sts=sts) from error
    except (sdk.BotoCoreError, sdk.ResponseParserError) as error:
        fault = Fault("aws-unreachable", where, f"{step} got no answer: {error!s:.500}.", CURES[RefusalKind.THROTTLED])
        raise Refusal(RefusalKind.THROTTLED, fault, unknown=True) from error


class gone:  # noqa: N801 - reads as a word in a with statement
    """In this block these codes are not errors: a missing resource needs no closing."""

    def __init__(self, *codes: str) -> None:
        self._codes = codes

    def __enter__(self) -> None:
        """Enter; nothing to do."""

    def __exit__(self, kind: object, error: object, _trace: object) -> bool:
        """Swallow only the codes that mean gone."""
        return isinstance(error, sdk.ClientError) and error.response["Error"]["Code"] in self._codes


def too_large(error: sdk.ClientError) -> bool:
    """Whether AssumeRole may have been refused for the size of its session policy."""
    said = error.response["Error"]
    return said["Code"] in SESSION_TOO_LARGE or TOO_LONG in said.get("Message", "")


def code_of(refusal: Refusal) -> str:
    """Return AWS's code of a refusal; "" if there was no answer."""
    cause = refusal.__cause__
    return str(cause.response["Error"]["Code"]) if isinstance(cause, sdk.ClientError) else ""


def refusal(error: sdk.ClientError, step: str, where: str, *, sts: bool = False) -> Refusal:
    """Classify one answer."""
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "").strip()
    answer = error.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    said = f"{step} was refused: {': '.join(filter(None, (code, message)))}{_request(error)}"
    what = said if said.endswith(".") else f"{said}."  # AWS's own words often end without one
    launching = LAUNCH_CURES.get(code) if error.operation_name == "RunInstances" else None
    if any(words in message for words in NOT_YET_WORDS):
        return Refusal(RefusalKind.NOT_YET, Fault(f"aws-{code}", where, what, CURES[RefusalKind.NOT_YET]))
    if (code in THROTTLED and KEY_DENIED not in message) or status >= SERVER_ERROR:
        cure = launching or PASSING_CURES.get(code, CURES[RefusalKind.THROTTLED])
        not_begun = code in RATE_LIMITED and not answer.get("RetryAttempts")  # the SDK's first try may have been begun
        unknown = code in INTERNAL or (status >= SERVER_ERROR and not not_begun)
        return Refusal(RefusalKind.THROTTLED, Fault("aws-throttled", where, what, cure), unknown=unknown)
    if sts and too_large(error):
        cure = "Report this as an issue, with the number of snapshots and keys of the AMI."
        return Refusal(RefusalKind.DENIED, Fault("session-policy-refused", where, what, cure))
    if sts:
        return Refusal(RefusalKind.ROLE, Fault("role-not-assumable", where, what, _assume_cure(code, message)))
    why = KINDS.get(code, RefusalKind.DENIED)
    cure = launching or CURES.get(why) or _cure(code, message)
    return Refusal(why, Fault(f"aws-{code}", where, what, cure))


def _request(error: sdk.ClientError) -> str:
    """Name the request: AWS's support asks for it. Not of a read: who asks often compares what was refused before."""
    request_id = error.response.get("ResponseMetadata", {}).get("RequestId", "")
    return f" (request {request_id})" if request_id and changes(error.operation_name) else ""


def _assume_cure(code: str, message: str) -> str:
    """Tell the causes apart as far as STS does: for a missing role, its trust and external id it has one answer."""
    if code == STS_OFF:
        return STS_OFF_CURE
    kind, explicit = denials.kind_of(message)
    if kind in denials.ORGANIZATION:
        return f"{denials.by_organization(message)}."
    if kind == "identity-based policy" and explicit:
        return (
            "The hub does not admit that account: name it in the hub's parameter TargetAccounts, or its organization "
            "in OrganizationId."
        )
    if kind == "identity-based policy":
        return (
            "The hub may assume roles of one name only: make role_name in the targets file the same as the hub's "
            "parameter TargetRoleName."
        )
    return (
        "The role is missing there, or its trust or external id does not fit: deploy deploy/target.yaml with this "
        "hub's account and the external id of the targets file. If role_name there is not the hub's parameter "
        "TargetRoleName, or the hub's TargetAccounts and OrganizationId do not have the account, the hub's own policy "
        "forbids it. A service control policy (SCP) of the hub or a resource control policy (RCP) of the target may "
        "deny sts:AssumeRole, too."
    )


def _cure(code: str, message: str) -> str:
    if known := denials.cause(message):
        return f"{known}; then tag the AMI again."
    if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure"):
        return (
            "Deploy this version's templates (the role's policy lacks it), or look for a service control policy (SCP) "
            "or permissions boundary that denies it, for KMS and STS also a resource control policy (RCP) of the "
            "account that owns the key or role; then tag the AMI again."
        )
    if code == "TagPolicyViolation":
        return (
            "A tag policy of that account's organization does not admit a tag of the copy: leave it out of "
            "`source_tags` in the targets file, or write it into `tags` as that policy wants it; then tag again."
        )
    return "Repair what the message names; then tag the AMI again."
