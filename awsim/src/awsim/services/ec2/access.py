"""Who may see a resource. A resource that a caller may not see is refused like a missing one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2.errors import ACCOUNT, KINDS, check_id, kind_of, no_longer_available, not_authorized, not_found
from awsim.services.ec2.records import Ec2Image, Ec2Snapshot, Resource
from awsim.services.ec2.state import Ec2State, VersionedTable

S = TypeVar("S", bound=Ec2Snapshot | Ec2Image)

PRIVATE = rule(
    "ec2-foreign-is-invisible",
    "A snapshot or image of another account is visible only while shared with the caller's account or public "
    "[aws-facts 2 and 4, VERIFIED]",
)
OWNER_ONLY = rule(
    "ec2-only-the-owner-changes",
    "Only its owner may change, delete, deprecate or read the attributes of a snapshot or image it has shared; of a "
    "snapshot's attributes the others hear InvalidSnapshot.NotFound [aws-facts 4, VERIFIED; 5 and 8; for uefiData "
    "UNVERIFIED]",
)
BY_ORGANISATION = rule(
    "ec2-image-shared-with-organization",
    "An image shared with an organization or OU is for every account in it, OUs below it included [aws-facts 4, "
    "VERIFIED; EC2 user guide, share-amis-with-organizations-and-OUs]",
)

REMEMBERED = timedelta(hours=1)
"""How long EC2 knows the id of a deregistered image: a look gets an empty answer instead of a refusal."""


def may_see(ec2: Ec2State, account: str, resource: Resource) -> bool:
    """Whether an account may see a resource."""
    if resource.owner == account or not ec2.on(PRIVATE):
        return True
    match resource:
        case Ec2Snapshot():
            return not resource.shared_with.isdisjoint({account, "all"})
        case Ec2Image():
            return not resource.launch.isdisjoint({("UserId", account), ("Group", "all")}) or _by_organization(
                ec2, account, resource
            )
        case _:
            return False


def _by_organization(ec2: Ec2State, account: str, image: Ec2Image) -> bool:
    """Whether an account is in an organization or OU that an image is shared with."""
    named = {value for kind, value in image.launch if kind in {"OrganizationArn", "OrganizationalUnitArn"}}
    if not named or not ec2.on(BY_ORGANISATION):
        return False
    return any(ec2.organizations.contains(arn, account) for arn in named)


def visible(ec2: Ec2State, call: Call, table: VersionedTable[S], at: datetime) -> list[S]:
    """Return all that the caller may see in the call's Region, as it was at a time."""
    account = call.caller.account
    if ec2.on(PRIVATE):
        found = [*table.of(account, at), *(record for record in table.lent(at) if record.owner != account)]
    else:
        found = table.all(at)
    return [record for record in found if record.region == call.region and may_see(ec2, account, record)]


def reachable(ec2: Ec2State, call: Call, resource_id: str) -> Resource:
    """Return a resource of the call's Region that the caller may see."""
    kind_of(resource_id)
    found = ec2.resource(resource_id, call.region)
    if found is None or not may_see(ec2, call.caller.account, found):
        raise not_found(resource_id)
    if isinstance(found, Ec2Image) and found.state == "deregistered":
        known = found.owner == call.caller.account and found.ended is not None and ec2.now < found.ended + REMEMBERED
        raise no_longer_available(resource_id) if known else not_found(resource_id)
    return found


def accounts_named(call: Call, name: str, words: set[str]) -> set[str]:
    """Return the accounts in a parameter, with ``self`` resolved; refuse what is neither an id nor a known word."""
    wanted = {call.caller.account if value == "self" else str(value) for value in call.params.get(name, ())}
    if wrong := sorted(value for value in wanted - words if not ACCOUNT.fullmatch(value)):
        raise AwsError("InvalidUserID.Malformed", f"Invalid user id: {wrong[0]!r}")
    return wanted


def own(ec2: Ec2State, call: Call, resource_id: str, prefix: str, *, hidden: bool = False) -> Resource:
    """Return a resource that the caller owns. ``hidden``: for other accounts it is not there."""
    check_id(resource_id, prefix)
    found = reachable(ec2, call, resource_id)
    if found.owner != call.caller.account and ec2.on(OWNER_ONLY):
        raise not_found(resource_id) if hidden else not_authorized(KINDS[prefix], resource_id)
    return found


def own_snapshot(ec2: Ec2State, call: Call, *, hidden: bool = False) -> Ec2Snapshot:
    """Return the snapshot that the call names and its caller owns."""
    found = own(ec2, call, call.params["SnapshotId"], "snap", hidden=hidden)
    assert isinstance(found, Ec2Snapshot)  # noqa: S101 - the prefix says so
    return found


def own_image(ec2: Ec2State, call: Call) -> Ec2Image:
    """Return the image that the call names and its caller owns."""
    found = own(ec2, call, call.params["ImageId"], "ami")
    assert isinstance(found, Ec2Image)  # noqa: S101 - the prefix says so
    return found
