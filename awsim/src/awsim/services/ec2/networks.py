"""Subnets and security groups, as far as a launch needs them: no routes, no rules.

Each account has a default VPC in each Region, with one subnet and one security group, from its first use on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters, pages
from awsim.services.ec2.errors import check_id, not_found, wrong_combination
from awsim.services.ec2.notices import arn
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import SecurityGroup, Subnet
from awsim.services.ec2.state import Ec2State, VersionedTable
from awsim.services.ec2.tags import put_tags
from awsim.services.ec2.tags import shown as shown_tags

ONE_NETWORK = rule(
    "ec2-launch-groups-of-one-network",
    "The security groups of a launch are of its subnet's VPC: InvalidParameter, '... belong to different networks'; "
    "who names none gets the VPC's default group. [EC2 user guide, security groups, VERIFIED; the words UNVERIFIED]",
)
PUBLIC = rule(
    "ec2-launch-public-address",
    "AssociatePublicIpAddress decides whether an instance gets a public address; where it is absent, the subnet's "
    "MapPublicIpOnLaunch, which a default subnet has. [EC2 user guide, instance addressing, VERIFIED]",
)
ADDRESSES = rule(
    "ec2-launch-needs-free-address",
    "A subnet without a free address takes no instance: InsufficientFreeAddressesInSubnet. [EC2 API reference, error "
    "codes, VERIFIED; the text UNVERIFIED]",
)
PLAYED = {"DeviceIndex", "SubnetId", "Groups", "AssociatePublicIpAddress", "DeleteOnTermination"}
"""Members of a network interface at launch that the simulator knows."""
DEFAULT = "default"
AGE = timedelta(days=1)
"""How long ago a seeded subnet or group was made."""


@dataclass(frozen=True, slots=True)
class LaunchPlace:
    """Where in the network a launch puts an instance."""

    subnet: Subnet
    groups: tuple[str, ...]
    public: bool


def seed_subnet(
    ec2: Ec2State, account: str, region: str, *, tags: Mapping[str, str] | None = None, vpc: str = "", **more: Any
) -> str:
    """Make a subnet and return its id; ``more`` are members of Subnet. Without ``vpc`` it is of a new VPC."""
    network = vpc or _seed_vpc(ec2, account, region, ec2.new_id("vpc"))
    made = Subnet(ec2.new_id("subnet"), account, region, network, f"{region}a", **more)
    return _seed(ec2, ec2.subnets, made, tags or {})


def seed_group(ec2: Ec2State, subnet: str, *, name: str, tags: Mapping[str, str] | None = None) -> str:
    """Make a security group in a subnet's VPC and return its id."""
    beside = ec2.subnets.get(subnet)
    if beside is None:
        raise LookupError(f"there is no subnet {subnet}")
    made = SecurityGroup(ec2.new_id("sg"), beside.owner, beside.region, beside.vpc, name)
    return _seed(ec2, ec2.groups, made, tags or {})


def _seed_vpc(ec2: Ec2State, account: str, region: str, vpc: str) -> str:
    """Make a VPC's default security group, which is all that there is of a VPC; return the VPC's id."""
    _seed(ec2, ec2.groups, SecurityGroup(ec2.fixed_id("sg", vpc), account, region, vpc, DEFAULT), {})
    return vpc


N = TypeVar("N", Subnet, SecurityGroup)


def _seed(ec2: Ec2State, table: VersionedTable[N], made: N, wanted: Mapping[str, str]) -> str:
    with ec2.backdated(AGE):
        table.put(made)
        put_tags(ec2, made.owner, made.region, made.id, add=wanted, tell=False)
    return made.id


def _subnets(ec2: Ec2State, call: Call, at: datetime | None = None) -> list[Subnet]:
    """Return the subnets of the caller's account in the call's Region; the default one is made if it is missing."""
    account, region = call.caller.account, call.region
    place = f"{account}/{region}"
    if ec2.subnets.get(ec2.fixed_id("subnet", place)) is None:
        vpc = _seed_vpc(ec2, account, region, ec2.fixed_id("vpc", place))
        usual = Subnet(ec2.fixed_id("subnet", place), account, region, vpc, f"{region}a", public=True, default=True)
        _seed(ec2, ec2.subnets, usual, {})
    return [subnet for subnet in ec2.subnets.of(account, at) if subnet.region == region]


def chosen(ec2: Ec2State, call: Call, params: Mapping[str, Any]) -> LaunchPlace:
    """Return where a launch puts its instance. Raises AwsError."""
    wanted, groups, public = params.get("SubnetId"), params.get("SecurityGroupIds", ()), None
    if interfaces := params.get("NetworkInterfaces"):
        if wanted or groups:
            what = "subnet ID" if wanted else "security groups"
            raise wrong_combination(
                f"Network interfaces and an instance-level {what} may not be specified on the same request"
            )
        one = _interface(interfaces)
        wanted, groups, public = one.get("SubnetId"), one.get("Groups", ()), one.get("AssociatePublicIpAddress")
    subnet = _subnet(ec2, call, wanted)
    found = tuple(group.id for group in _groups(ec2, subnet, groups))
    if public is None or not ec2.on(PUBLIC):
        public = subnet.public
    return LaunchPlace(subnet, found, public)


def _interface(wanted: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(wanted) > 1 or (strange := sorted(wanted[0].keys() - PLAYED)):
        what = f"not {', '.join(strange)}" if len(wanted) == 1 else "not several"
        raise AwsError("UnsupportedOperation", f"The simulator models one network interface at launch, {what}")
    if wanted[0].get("DeviceIndex") != 0:
        raise wrong_combination("Each network interface requires a device index.")
    return wanted[0]


def _subnet(ec2: Ec2State, call: Call, wanted: str | None) -> Subnet:
    """Return the subnet that a launch names, else the default one."""
    if wanted:
        check_id(wanted, "subnet")
    found = next((one for one in _subnets(ec2, call) if (one.id == wanted if wanted else one.default)), None)
    if found is None:
        raise not_found(str(wanted))
    return found


def _groups(ec2: Ec2State, subnet: Subnet, wanted: Sequence[str]) -> list[SecurityGroup]:
    """Return the security groups that a launch names, else the default one of the subnet's VPC."""
    mine = {group.id: group for group in ec2.groups.of(subnet.owner) if group.region == subnet.region}
    for group in wanted:
        check_id(group, "sg")
        if group not in mine:
            raise not_found(group)
        if mine[group].vpc != subnet.vpc and ec2.on(ONE_NETWORK):
            why = f"Security group {group} and subnet {subnet.id} belong to different networks."
            raise AwsError("InvalidParameter", why)
    if wanted:
        return [mine[group] for group in wanted]
    return [group for group in mine.values() if group.vpc == subnet.vpc and group.name == DEFAULT]


def check_room(ec2: Ec2State, subnet: Subnet) -> None:
    """Refuse an instance for which a subnet has no address."""
    if _free(ec2, subnet) < 1 and ec2.on(ADDRESSES):
        why = (
            f"There are not enough free addresses in subnet '{subnet.id}' to satisfy the requested number of instances."
        )
        raise AwsError("InsufficientFreeAddressesInSubnet", why)


def _free(ec2: Ec2State, subnet: Subnet) -> int:
    """Return how many addresses of a subnet no instance has."""
    mine = (one for one in ec2.instances.of(subnet.owner) if one.subnet.id == subnet.id)
    return max(0, subnet.addresses - sum(one.state != "terminated" for one in mine))


def _describe_subnets(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    found = {subnet.id: subnet for subnet in _subnets(ec2, call, ec2.moment(call))}
    shown = [_shown_subnet(ec2, one) for one in _named(call, found, "SubnetIds", "subnet")]
    part, token = pages.filtered(ec2, call, shown, lambda one: str(one["SubnetId"]), SUBNET_FIELDS)
    return pages.answer("Subnets", part, token)


def _describe_groups(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    _subnets(ec2, call)
    mine = ec2.groups.of(call.caller.account, ec2.moment(call))
    found = {group.id: group for group in mine if group.region == call.region}
    shown = [_shown_group(ec2, one) for one in _named(call, found, "GroupIds", "sg")]
    part, token = pages.filtered(ec2, call, shown, lambda one: str(one["GroupId"]), GROUP_FIELDS)
    return pages.answer("SecurityGroups", part, token)


def _named(call: Call, found: Mapping[str, N], parameter: str, prefix: str) -> list[N]:
    """Return those of the found that a call names, else all."""
    pages.no_pages_with(call, parameter)
    wanted = call.params.get(parameter) or list(found)
    for one in wanted:
        check_id(one, prefix)
        if one not in found:
            raise not_found(one)
    return [found[one] for one in wanted]


def _shown_subnet(ec2: Ec2State, subnet: Subnet) -> dict[str, Any]:
    return {
        "SubnetId": subnet.id,
        "SubnetArn": arn(subnet.region, subnet.owner, subnet.id),
        "VpcId": subnet.vpc,
        "OwnerId": subnet.owner,
        "State": "available",
        "AvailabilityZone": subnet.zone,
        "AvailableIpAddressCount": _free(ec2, subnet),
        "CidrBlock": "172.31.0.0/20",
        "DefaultForAz": subnet.default,
        "MapPublicIpOnLaunch": subnet.public,
        **shown_tags(ec2, ec2.tags_on(subnet.owner, subnet.id)),
    }


def _shown_group(ec2: Ec2State, group: SecurityGroup) -> dict[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": f"{group.name} security group",
        "VpcId": group.vpc,
        "OwnerId": group.owner,
        **shown_tags(ec2, ec2.tags_on(group.owner, group.id)),
    }


SUBNET_FIELDS: filters.Fields = {
    "subnet-id": filters.member("SubnetId"),
    "vpc-id": filters.member("VpcId"),
    "state": filters.member("State"),
    "availability-zone": filters.member("AvailabilityZone"),
    "default-for-az": filters.member("DefaultForAz"),
}
GROUP_FIELDS: filters.Fields = {
    "group-id": filters.member("GroupId"),
    "group-name": filters.member("GroupName"),
    "vpc-id": filters.member("VpcId"),
}
OPERATIONS = {
    "DescribeSubnets": Operation(_describe_subnets, "SubnetIds Filters MaxResults NextToken"),
    "DescribeSecurityGroups": Operation(_describe_groups, "GroupIds Filters MaxResults NextToken"),
}
