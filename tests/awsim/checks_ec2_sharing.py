"""Checks of createVolumePermission and of launch permissions."""

from collections.abc import Callable, Sequence
from typing import Any

from awsim.services.ec2 import access, image_sharing, notices, snapshot_sharing
from awsim.world import World
from tests.awsim.ec2_words import DEV, HERE, HUB, PROD, a_snapshot, an_image, ec2, new_key, reported, share, unshare
from tests.awsim.platform_words import refused

ORGANIZATION = f"arn:aws:organizations::{HUB}:organization/o-abcdefghij"
UNIT = f"arn:aws:organizations::{HUB}:ou/o-abcdefghij/ou-abcd-12345678"


def permissions(world: World, snapshot: str) -> list[dict[str, str]]:
    """Return a snapshot's permissions, as its owner reads them."""
    found = ec2(world).describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    listed: list[dict[str, str]] = found["CreateVolumePermissions"]
    return listed


def change(world: World, snapshot: str, **changes: Sequence[dict[str, str]]) -> None:
    """Call ModifySnapshotAttribute."""
    ec2(world).modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=changes)


def add_or_remove(world: World) -> None:
    """Adding and removing in one call is refused; each alone works, in the older form too, and twice."""
    snapshot = a_snapshot(world)
    share(world, snapshot, PROD)

    both = {"Add": [{"UserId": DEV}], "Remove": [{"UserId": PROD}]}
    refused("InvalidParameterCombination", lambda: change(world, snapshot, **both))
    ec2(world).modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[DEV]
    )
    share(world, snapshot, DEV)
    assert permissions(world, snapshot) == [{"UserId": DEV}, {"UserId": PROD}]
    assert [(p.resource, p.holder) for p in world.ec2.foreign_permissions()] == [(snapshot, DEV), (snapshot, PROD)]
    unshare(world, snapshot, PROD)
    unshare(world, snapshot, PROD)
    assert permissions(world, snapshot) == [{"UserId": DEV}]
    ec2(world).reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert permissions(world, snapshot) == []
    assert world.ec2.shares_open() == []


def most_changes(world: World) -> None:
    """500 changes are accepted, 501 are not."""
    snapshot = a_snapshot(world)
    many = [{"UserId": f"{n:012d}"} for n in range(1, 502)]

    refused("InvalidParameterValue", lambda: change(world, snapshot, Add=many))
    change(world, snapshot, Add=many[:500])
    assert len(permissions(world, snapshot)) == 500


def not_under_default_key(world: World) -> None:
    """A snapshot under aws/ebs cannot be shared, nor can an image that uses one."""
    snapshot = a_snapshot(world, key="alias/aws/ebs")

    refused("OperationNotPermitted", lambda: share(world, snapshot))


def not_public(world: World) -> None:
    """An encrypted snapshot, and one with product codes, cannot be public; a plain one can."""
    everybody = [{"Group": "all"}]
    sealed = a_snapshot(world, key=new_key(world))
    sold = a_snapshot(world, ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}])

    refused("OperationNotPermitted", lambda: change(world, sealed, Add=everybody))
    refused("OperationNotPermitted", lambda: change(world, sold, Add=everybody))
    change(world, a_snapshot(world), Add=everybody)
    assert world.ec2.foreign_permissions()[0].kind == "Group"


def real_accounts(world: World) -> None:
    """Only 12-digit account ids are accepted."""
    snapshot = a_snapshot(world)

    refused("InvalidParameterValue", lambda: share(world, snapshot, "22"))
    refused("InvalidParameterValue", lambda: change(world, snapshot, Add=[{"Group": "everybody"}]))


def closed_account(world: World) -> None:
    """One closed account fails the whole call: no account is added."""
    snapshot = a_snapshot(world)
    world.ec2.state.closed_accounts.add(PROD)

    refused("InvalidParameterValue", lambda: change(world, snapshot, Add=[{"UserId": DEV}, {"UserId": PROD}]))
    assert permissions(world, snapshot) == []
    share(world, snapshot)


def deaf_removal(world: World) -> None:
    """Injected: a removal answers success and does nothing; the next one works."""
    snapshot = a_snapshot(world)
    share(world, snapshot)
    world.ec2.state.deaf_removals = 1

    unshare(world, snapshot)
    assert permissions(world, snapshot) == [{"UserId": DEV}]
    unshare(world, snapshot)
    assert permissions(world, snapshot) == []


def share_event(world: World) -> None:
    """The receiving account gets one event with the owner; the owner gets none."""
    snapshot = a_snapshot(world)
    share(world, snapshot)
    share(world, snapshot)

    details = [event["detail"] for event in reported(world, DEV, "EBS Snapshot Notification")]
    assert [(d["event"], d["source"], d["snapshot_id"]) for d in details] == [
        ("shareSnapshot", HUB, f"arn:aws:ec2::{HERE}:snapshot/{snapshot}")
    ]
    assert reported(world, HUB, "EBS Snapshot Notification") == []


def launch(world: World, image: str, *entries: dict[str, Any]) -> None:
    """Add launch permissions to an image of the hub."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": list(entries)})


def images_not_public(world: World) -> None:
    """No image can be made public, until the account lifts that."""
    image, ec2 = an_image(world), world.client("ec2", HUB)
    refused("OperationNotPermitted", lambda: launch(world, image, {"Group": "all"}))
    ec2.disable_image_block_public_access()
    launch(world, image, {"Group": "all"})
    ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
    refused("OperationNotPermitted", lambda: launch(world, an_image(world), {"Group": "all"}))


def snapshots_not_public(world: World) -> None:
    """Where the account blocks it no snapshot can be made public."""
    ec2, everybody = world.client("ec2", HUB), [{"Group": "all"}]
    ec2.enable_snapshot_block_public_access(State="block-new-sharing")
    assert ec2.get_snapshot_block_public_access_state()["State"] == "block-new-sharing"

    refused("OperationNotPermitted", lambda: change(world, a_snapshot(world), Add=everybody))
    ec2.disable_snapshot_block_public_access()
    change(world, a_snapshot(world), Add=everybody)


def full_arns(world: World) -> None:
    """Bare organization ids and short account ids are refused; full ARNs are accepted, and can be reset."""
    image = an_image(world)
    whole = "arn:aws:organizations::111111111111:organization/o-abcdefghij"

    refused("InvalidAMIAttributeItemValue", lambda: launch(world, image, {"OrganizationArn": "o-abcdefghij"}))
    refused("InvalidAMIAttributeItemValue", lambda: launch(world, image, {"UserId": "22"}))
    launch(world, image, {"OrganizationArn": whole}, {"UserId": DEV})
    assert {(p.kind, p.holder) for p in world.ec2.foreign_permissions()} == {
        ("OrganizationArn", whole),
        ("UserId", DEV),
    }
    ec2(world).reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert world.ec2.foreign_permissions() == []


def by_organization(world: World) -> None:
    """The accounts of an OU or organization see an image shared with it; others do not."""
    organization = world.organizations.create(HUB)
    unit = world.organizations.add_unit(organization, "unit")
    world.organizations.add_account(organization, DEV, unit)
    world.organizations.add_account(organization, PROD)
    for_unit, for_all = an_image(world, "unit"), an_image(world, "all")
    launch(world, for_unit, {"OrganizationalUnitArn": organization.arn_of(unit)})
    launch(world, for_all, {"OrganizationArn": organization.arn})

    def seen(account: str) -> set[str]:
        return {image["ImageId"] for image in ec2(world, account).describe_images()["Images"]}

    assert seen(DEV) == {for_unit, for_all}
    assert seen(PROD) == {for_all}
    assert world.launch(DEV, HERE, for_unit) == ""
    assert world.launch(PROD, HERE, for_unit).startswith("AuthFailure")


def disabled_not_shared(world: World) -> None:
    """A disabled image accepts no launch permission until it is enabled again."""
    image = an_image(world)
    ec2(world).disable_image(ImageId=image)

    refused("OperationNotPermitted", lambda: launch(world, image, {"UserId": DEV}))
    ec2(world).enable_image(ImageId=image)
    launch(world, image, {"UserId": DEV})


def image_not_under_default_key(world: World) -> None:
    """An image with a snapshot under aws/ebs is not shared."""
    image = an_image(world, key="alias/aws/ebs")

    refused("InvalidParameter", lambda: launch(world, image, {"UserId": DEV}))


CHECKS: dict[str, Callable[[World], None]] = {
    snapshot_sharing.ONE_WAY.name: add_or_remove,
    snapshot_sharing.MOST_CHANGES.name: most_changes,
    snapshot_sharing.NOT_UNDER_DEFAULT_KEY.name: not_under_default_key,
    snapshot_sharing.NOT_PUBLIC.name: not_public,
    snapshot_sharing.REAL_ACCOUNTS.name: real_accounts,
    snapshot_sharing.CLOSED_ACCOUNT.name: closed_account,
    snapshot_sharing.DEAF.name: deaf_removal,
    notices.SHARE_EVENT.name: share_event,
    image_sharing.BLOCKED.name: images_not_public,
    snapshot_sharing.BLOCKED.name: snapshots_not_public,
    image_sharing.FULL_ARNS.name: full_arns,
    access.BY_ORGANISATION.name: by_organization,
    image_sharing.NOT_DISABLED.name: disabled_not_shared,
    image_sharing.NOT_UNDER_DEFAULT_KEY.name: image_not_under_default_key,
}
