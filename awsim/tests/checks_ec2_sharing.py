"""Checks of createVolumePermission and of launch permissions."""

from collections.abc import Sequence
from typing import Any

from awsim.world import World
from ec2_words import DEV, HERE, OPS, PROD, a_snapshot, an_image, ec2, new_key, reported, share, snapshot_of, unshare
from iam_words import allowed
from platform_words import refused

ORGANIZATION = f"arn:aws:organizations::{OPS}:organization/o-abcdefghij"
UNIT = f"arn:aws:organizations::{OPS}:ou/o-abcdefghij/ou-abcd-12345678"


def _permissions(world: World, snapshot: str) -> list[dict[str, str]]:
    """Return a snapshot's permissions, as its owner reads them."""
    found = ec2(world).describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    return found["CreateVolumePermissions"]


def _change(world: World, snapshot: str, **changes: Sequence[dict[str, str]]) -> None:
    ec2(world).modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=changes)


def ec2_snapshot_share_add_or_remove(world: World) -> None:
    snapshot = a_snapshot(world)
    share(world, snapshot, PROD)

    both = {"Add": [{"UserId": DEV}], "Remove": [{"UserId": PROD}]}
    refused("InvalidParameterCombination", _change, world, snapshot, **both)
    ec2(world).modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[DEV]
    )
    share(world, snapshot, DEV)
    assert _permissions(world, snapshot) == [{"UserId": DEV}, {"UserId": PROD}]
    assert [(p.resource, p.holder) for p in world.ec2.foreign_permissions()] == [(snapshot, DEV), (snapshot, PROD)]
    unshare(world, snapshot, PROD)
    unshare(world, snapshot, PROD)
    assert _permissions(world, snapshot) == [{"UserId": DEV}]
    ec2(world).reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert _permissions(world, snapshot) == []
    assert world.ec2.shares_open() == []


def ec2_snapshot_share_500_a_call(world: World) -> None:
    snapshot = a_snapshot(world)
    many = [{"UserId": f"{n:012d}"} for n in range(1, 502)]

    refused("InvalidParameterValue", _change, world, snapshot, Add=many)
    _change(world, snapshot, Add=many[:500])
    assert len(_permissions(world, snapshot)) == 500


def ec2_recycle_bin_restores_sharing(world: World) -> None:
    image = an_image(world)
    snapshot = snapshot_of(world, image)
    world.ec2.state.recycle_bins.add((OPS, HERE))
    share(world, snapshot, PROD)
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": PROD}]})

    ec2(world).deregister_image(ImageId=image)
    ec2(world).delete_snapshot(SnapshotId=snapshot)
    assert world.ec2.shares_open() == []
    ec2(world).restore_snapshot_from_recycle_bin(SnapshotId=snapshot)
    ec2(world).restore_image_from_recycle_bin(ImageId=image)

    assert _permissions(world, snapshot) == [{"UserId": PROD}]
    shown = ec2(world).describe_image_attribute(ImageId=image, Attribute="launchPermission")
    assert shown["LaunchPermissions"] == [{"UserId": PROD}]
    (restored,) = ec2(world).describe_images(ImageIds=[image])["Images"]
    assert restored["State"] == "available"
    refused("InvalidSnapshot.NotFound", ec2(world).restore_snapshot_from_recycle_bin, SnapshotId=snapshot)


def ec2_recycle_bin_snapshots_first(world: World) -> None:
    image = an_image(world)
    snapshot = snapshot_of(world, image)
    world.ec2.state.recycle_bins.add((OPS, HERE))
    ec2(world).deregister_image(ImageId=image)
    ec2(world).delete_snapshot(SnapshotId=snapshot)

    refused("InvalidSnapshot.NotFound", ec2(world).restore_image_from_recycle_bin, ImageId=image)
    ec2(world).restore_snapshot_from_recycle_bin(SnapshotId=snapshot)
    ec2(world).restore_image_from_recycle_bin(ImageId=image)


def ec2_aws_ebs_snapshot_not_shared(world: World) -> None:
    snapshot = a_snapshot(world, key="alias/aws/ebs")

    refused("OperationNotPermitted", share, world, snapshot)


def ec2_encrypted_snapshot_not_public(world: World) -> None:
    everybody = [{"Group": "all"}]
    sealed = a_snapshot(world, key=new_key(world))
    sold = a_snapshot(world, ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}])

    refused("OperationNotPermitted", _change, world, sealed, Add=everybody)
    refused("OperationNotPermitted", _change, world, sold, Add=everybody)
    _change(world, a_snapshot(world), Add=everybody)
    assert world.ec2.foreign_permissions()[0].kind == "Group"


def ec2_share_needs_account_id(world: World) -> None:
    snapshot, nobody = a_snapshot(world), "000000000000"

    refused("InvalidAMIAttributeItemValue", share, world, snapshot, "22", saying="UserId 22")
    older = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV, "22"]}
    modify = ec2(world).modify_snapshot_attribute
    refused("InvalidAMIAttributeItemValue", modify, SnapshotId=snapshot, saying="UserId (22) is invalid.", **older)
    refused("InvalidAMIAttributeItemValue", _change, world, snapshot, Add=[{"UserId": DEV}, {"Group": "everybody"}])
    assert _permissions(world, snapshot) == []
    share(world, snapshot, nobody)
    assert _permissions(world, snapshot) == [{"UserId": nobody}]


def ec2_newer_sharing_parameter_counts_alone(world: World) -> None:
    snapshot, modify = a_snapshot(world), ec2(world).modify_snapshot_attribute
    older = {"OperationType": "remove", "UserIds": [PROD]}
    share(world, snapshot, PROD)

    newer = {"CreateVolumePermission": {"Add": [{"UserId": DEV}]}, "Attribute": "productCodes"}
    allowed(modify, SnapshotId=snapshot, **newer, **older)
    assert _permissions(world, snapshot) == [{"UserId": DEV}, {"UserId": PROD}]
    refused("MissingParameter", modify, SnapshotId=snapshot, **older)
    refused("InvalidParameterValue", modify, SnapshotId=snapshot, Attribute="name", saying="Unrecognized", **older)
    modify(SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[])
    refused("InvalidParameterCombination", modify, SnapshotId=snapshot, saying="No attributes specified.")
    modify(SnapshotId=snapshot, Attribute="createVolumePermission", **older)
    assert _permissions(world, snapshot) == [{"UserId": DEV}]


def ec2_snapshot_owner_not_listed(world: World) -> None:
    snapshot = a_snapshot(world)
    share(world, snapshot, OPS)
    share(world, snapshot, DEV)
    assert _permissions(world, snapshot) == [{"UserId": DEV}]
    unshare(world, snapshot, OPS)


def ec2_closed_account_fails_the_batch(world: World) -> None:
    snapshot = a_snapshot(world)
    world.ec2.state.closed_accounts.add(PROD)

    refused("InvalidParameterValue", _change, world, snapshot, Add=[{"UserId": DEV}, {"UserId": PROD}])
    assert _permissions(world, snapshot) == []
    share(world, snapshot)


def ec2_share_removal_may_not_take(world: World) -> None:
    """Injected: a removal answers success and does nothing; the next one works."""
    snapshot = a_snapshot(world, shared=True)
    world.ec2.state.deaf_removals = 1

    unshare(world, snapshot)
    assert _permissions(world, snapshot) == [{"UserId": DEV}]
    unshare(world, snapshot)
    assert _permissions(world, snapshot) == []


def ec2_share_event(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    share(world, snapshot)

    details = [event["detail"] for event in reported(world, DEV, "EBS Snapshot Notification")]
    assert [(d["event"], d["source"], d["snapshot_id"]) for d in details] == [
        ("shareSnapshot", OPS, f"arn:aws:ec2::{HERE}:snapshot/{snapshot}")
    ]
    assert reported(world, OPS, "EBS Snapshot Notification") == []


def _launch(world: World, image: str, *entries: dict[str, Any]) -> None:
    """Add launch permissions to an image of OPS."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": list(entries)})


def ec2_images_not_public(world: World) -> None:
    image, ec2 = an_image(world), world.client("ec2", OPS)
    refused("OperationNotPermitted", _launch, world, image, {"Group": "all"})
    ec2.disable_image_block_public_access()
    _launch(world, image, {"Group": "all"})
    ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
    refused("OperationNotPermitted", _launch, world, an_image(world), {"Group": "all"})


def ec2_snapshots_not_public_where_blocked(world: World) -> None:
    ec2, everybody = world.client("ec2", OPS), [{"Group": "all"}]
    ec2.enable_snapshot_block_public_access(State="block-new-sharing")
    assert ec2.get_snapshot_block_public_access_state()["State"] == "block-new-sharing"

    refused("OperationNotPermitted", _change, world, a_snapshot(world), Add=everybody)
    ec2.disable_snapshot_block_public_access()
    _change(world, a_snapshot(world), Add=everybody)


def ec2_launch_permission_full_arns(world: World) -> None:
    image = an_image(world)
    whole = "arn:aws:organizations::111111111111:organization/o-abcdefghij"

    refused("InvalidAMIAttributeItemValue", _launch, world, image, {"OrganizationArn": "o-abcdefghij"})
    words = 'Invalid attribute item value "22 " for userId item type.'
    refused("InvalidAMIAttributeItemValue", _launch, world, image, {"UserId": "22"}, saying=words)
    _launch(world, image, {"OrganizationArn": whole}, {"UserId": DEV})
    expected = {("OrganizationArn", whole), ("UserId", DEV)}
    assert {(p.kind, p.holder) for p in world.ec2.foreign_permissions()} == expected
    ec2(world).reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert world.ec2.foreign_permissions() == []


def ec2_image_shared_with_organization(world: World) -> None:
    organization = world.organizations.create(OPS)
    unit = world.organizations.add_unit(organization, "unit")
    world.organizations.add_account(organization, DEV, unit)
    world.organizations.add_account(organization, PROD)
    for_unit, for_all = an_image(world, "unit"), an_image(world, "all")
    _launch(world, for_unit, {"OrganizationalUnitArn": organization.arn_of(unit)})
    _launch(world, for_all, {"OrganizationArn": organization.arn})

    def seen(account: str) -> set[str]:
        return {image["ImageId"] for image in ec2(world, account).describe_images()["Images"]}

    assert seen(DEV) == {for_unit, for_all}
    assert seen(PROD) == {for_all}
    assert world.launch(DEV, HERE, for_unit) == ""
    assert world.launch(PROD, HERE, for_unit).startswith("AuthFailure")


def ec2_disabled_image_not_shared(world: World) -> None:
    image = an_image(world)
    ec2(world).disable_image(ImageId=image)

    refused("OperationNotPermitted", _launch, world, image, {"UserId": DEV})
    ec2(world).enable_image(ImageId=image)
    _launch(world, image, {"UserId": DEV})


def ec2_aws_ebs_image_not_shared(world: World) -> None:
    image = an_image(world, key="alias/aws/ebs")

    refused("InvalidParameter", _launch, world, image, {"UserId": DEV})
