"""Facts of EC2's state that tests, the demo and the gateway read without an API call."""

from __future__ import annotations

from dataclasses import dataclass

from awsim.iam.need import ResourceFacts
from awsim.services.ec2.notices import arn
from awsim.services.ec2.records import Ec2Image, Ec2Snapshot, Instance, SecurityGroup, Subnet, Volume
from awsim.services.ec2.state import Ec2State


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """One copy of a snapshot, and its progress."""

    account: str
    region: str
    snapshot: str
    source: str
    percent: int
    state: str
    size: int
    """GiB."""


@dataclass(frozen=True, slots=True)
class ForeignPermission:
    """A permission on an account's snapshot or image for somebody else.

    ``kind`` is UserId, Group, OrganizationArn or OrganizationalUnitArn; ``holder`` its value.
    """

    resource: str
    owner: str
    region: str
    kind: str
    holder: str

    def __str__(self) -> str:
        return f"{self.resource} of {self.owner} in {self.region} to {self.kind} {self.holder}"


def progress(ec2: Ec2State) -> list[CopyProgress]:
    """Return every copy, oldest first."""
    return [
        CopyProgress(
            account=copy.owner,
            region=copy.region,
            snapshot=copy.id,
            source=copy.origin.snapshot,
            percent=copy.percent(ec2.now),
            state=copy.state,
            size=copy.size,
        )
        for copy in ec2.snapshots.all()
        if copy.origin is not None
    ]


def foreign_permissions(ec2: Ec2State) -> list[ForeignPermission]:
    """Return every permission for somebody else on a snapshot or a registered image."""
    found = [
        ForeignPermission(snapshot.id, snapshot.owner, snapshot.region, "Group" if who == "all" else "UserId", who)
        for snapshot in ec2.snapshots.lent()
        for who in sorted(snapshot.shared_with)
    ]
    found += [
        ForeignPermission(image.id, image.owner, image.region, kind, who)
        for image in ec2.images.lent()
        if image.state != "deregistered"
        for kind, who in sorted(image.launch)
    ]
    return [permission for permission in found if permission.holder != permission.owner]


def iam_facts(ec2: Ec2State, resource_id: str, region: str) -> ResourceFacts | None:
    """Return the facts of a resource that policies can test; None if the Region has no such resource."""
    found = ec2.resource(resource_id, region)
    if found is None:
        return None
    tags = ec2.tags_on(found.owner, resource_id)
    conditions = {"ec2:Region": region}
    if isinstance(found, Ec2Snapshot | Ec2Image):
        conditions["ec2:Owner"] = found.owner
    match found:
        case Ec2Snapshot():
            volume = f"arn:aws:ec2:{region}:{found.owner}:volume/{found.volume}"
            conditions |= {"ec2:ParentVolume": volume, "ec2:VolumeSize": str(found.size)}
            conditions |= {"ec2:Encrypted": str(found.key is not None).lower()}
        case Volume():
            conditions |= {"ec2:VolumeSize": str(found.size), "ec2:Encrypted": str(found.key is not None).lower()}
        case Instance():
            conditions |= {"ec2:InstanceType": found.type, "ec2:MetadataHttpTokens": found.tokens}
            conditions |= {"ec2:AvailabilityZone": found.subnet.zone}
        case Subnet():
            conditions |= {"ec2:SubnetID": found.id, "ec2:Vpc": vpc_arn(found), "ec2:AvailabilityZone": found.zone}
        case SecurityGroup():
            conditions |= {"ec2:SecurityGroupID": found.id, "ec2:Vpc": vpc_arn(found)}
        case image:
            conditions |= {"ec2:ImageID": image.id}
            conditions |= {"ec2:ImageType": "machine", "ec2:Public": str(("Group", "all") in image.launch).lower()}
            conditions |= {"ec2:RootDeviceType": str(image.members["RootDeviceType"])}
    return ResourceFacts(arn(region, found.owner, resource_id), found.owner, tags, conditions)


def vpc_arn(part: Subnet | SecurityGroup) -> str:
    """Return the ARN of the VPC that a subnet or security group is part of."""
    return f"arn:aws:ec2:{part.region}:{part.owner}:vpc/{part.vpc}"
