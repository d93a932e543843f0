"""Service-linked roles, which only their service can assume or change."""

from __future__ import annotations

from awsim.api import AwsError
from awsim.iam.policy import Document
from awsim.iam.roles import Role, Roles
from awsim.rules import rule

PROTECTED = rule(
    "iam-service-linked-role-protected",
    "Trust and policies of a service-linked role are AWS's, and only AWS deletes it: UnmodifiableEntity "
    "[IAM user guide: service-linked roles]",
)
ONCE = rule(
    "iam-service-linked-role-once",
    "A service-linked role is made once in an account, a further one only with another suffix, where the service takes "
    "one: InvalidInput [IAM CreateServiceLinkedRole; words: DataDog/pathfinding-labs#23]",
)
NAMES = {
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "ec2fleet.amazonaws.com": "AWSServiceRoleForEC2Fleet",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "imagebuilder.amazonaws.com": "AWSServiceRoleForImageBuilder",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
}
SUFFIXED = {"autoscaling.amazonaws.com"}
"""Services whose roles take a CustomSuffix."""
LAUNCHES: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ec2:Describe*", "ec2:RunInstances"], "Resource": "*"}],
}
"""The relevant part of AWS's managed policies for these roles: they launch, and have no right on any key."""
PATH = "/aws-service-role/"


def make(roles: Roles, account: str, service: str, suffix: str = "", *, once: bool = True) -> Role:
    """Make a service's role in an account.

    Raises AwsError (InvalidInput) if the service has no such role, allows no suffix, or the role exists.
    """
    if service not in NAMES:
        raise AwsError("InvalidInput", f"Service role name cannot be found for {service}")
    if suffix and service not in SUFFIXED:
        raise AwsError("InvalidInput", f"Custom suffix is not allowed for {service}")
    name = f"{NAMES[service]}_{suffix}" if suffix else NAMES[service]
    path = f"{PATH}{service}/"
    if roles.named(account, name) is not None and once:
        why = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise AwsError("InvalidInput", why)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    return roles.put(account, name, trust, {"managed": LAUNCHES}, path=path)


def is_one(role: Role) -> bool:
    """Whether a role is service-linked."""
    return role.path.startswith(PATH)


def protected(role: Role) -> AwsError:
    """Return the refusal of a change to a service-linked role."""
    why = f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS"
    return AwsError("UnmodifiableEntity", why)
