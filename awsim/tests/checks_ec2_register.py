"""Checks of RegisterImage: what it refuses, what it ignores, and what it takes from snapshots."""

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    OPS,
    a_snapshot,
    an_image,
    copy,
    ec2,
    new_key,
    reported,
    share,
    shown_image,
    snapshot_of,
)
from ec2_words import register as make
from iam_words import allowed
from platform_words import after, refused, wait


def ec2_register_inherits_nothing(world: World) -> None:
    source = an_image(
        world,
        tags={"team": "images"},
        Description="the source",
        BootMode="uefi",
        TpmSupport="v2.0",
        ImdsSupport="v2.0",
        uefi_data="QQ==",
    )
    made = make(world, snapshot_of(world, source))

    found = shown_image(world, made)
    absent = {"Description", "BootMode", "TpmSupport", "ImdsSupport", "SriovNetSupport", "EnaSupport", "Tags"}
    assert absent & found.keys() == set()
    assert "DeprecationTime" not in found
    attribute = ec2(world).describe_image_attribute(ImageId=made, Attribute="uefiData")
    assert not attribute["UefiData"].get("Value")


def ec2_register_bad_defaults(world: World) -> None:
    made = make(world, a_snapshot(world), Architecture=None, VirtualizationType=None)

    found = shown_image(world, made)
    assert (found["Architecture"], found["VirtualizationType"]) == ("i386", "paravirtual")
    assert (found["RootDeviceType"], found["Hypervisor"], found["ImageType"]) == ("ebs", "xen", "machine")
    assert found["ImageLocation"] == f"{OPS}/{found['Name']}"


def ec2_image_name_form(world: World) -> None:
    snapshot = a_snapshot(world)

    for name in ("a" * 129, "with:colon", "ümlaut", "two\nlines"):
        refused("InvalidAMIName.Malformed", make, world, snapshot, Name=name)
    make(world, snapshot, Name="a(b)[c] d./-'@_" + "9" * 113)


def ec2_image_name_unique(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    theirs = copy(world, snapshot)
    wait(world, 4 * 3600)
    made = make(world, snapshot, Name="the one")

    refused("InvalidAMIName.Duplicate", make, world, snapshot, Name="the one")
    make(world, theirs, DEV, Name="the one")
    ec2(world).deregister_image(ImageId=made)
    refused("InvalidAMIName.Duplicate", make, world, snapshot, Name="the one")
    wait(world, 90)
    make(world, snapshot, Name="the one")


def ec2_register_has_no_client_token(world: World) -> None:
    snapshot = a_snapshot(world)
    make(world, snapshot, Name="the one")

    refused("InvalidAMIName.Duplicate", make, world, snapshot, Name="the one")


def ec2_image_pending_first(world: World) -> None:
    made = make(world, a_snapshot(world))

    assert shown_image(world, made)["State"] == "pending"
    assert shown_image(after(world, 10), made)["State"] == "available"


def ec2_image_event(world: World) -> None:
    made = make(world, a_snapshot(world))
    wait(world, 10)
    ec2(world).deregister_image(ImageId=made)

    found = reported(world, OPS, "EC2 AMI State Change")
    assert [event["detail"]["State"] for event in found] == ["available", "deregistered"]
    assert {event["resources"][0] for event in found} == {f"arn:aws:ec2:{HERE}::image/{made}"}
    assert set(found[0]["detail"]) == {"RequestId", "ImageId", "State", "ErrorMessage"}


def ec2_register_tpm_needs_uefi(world: World) -> None:
    snapshot = a_snapshot(world)

    refused("InvalidParameterCombination", make, world, snapshot, TpmSupport="v2.0", BootMode="uefi-preferred")
    refused("InvalidParameterCombination", make, world, snapshot, TpmSupport="v2.0")
    found = shown_image(world, make(world, snapshot, TpmSupport="v2.0", BootMode="uefi"))
    assert (found["TpmSupport"], found["BootMode"]) == ("v2.0", "uefi")


def ec2_register_hvm_only(world: World) -> None:
    snapshot = a_snapshot(world)

    refused("InvalidParameterCombination", make, world, snapshot, VirtualizationType=None, EnaSupport=True)
    refused("InvalidParameterCombination", make, world, snapshot, VirtualizationType=None, SriovNetSupport="simple")
    refused("InvalidParameterCombination", make, world, snapshot, KernelId="aki-00000001")
    found = shown_image(world, make(world, snapshot, EnaSupport=True, SriovNetSupport="simple"))
    assert (found["EnaSupport"], found["SriovNetSupport"]) == (True, "simple")
    paravirtual = make(world, snapshot, VirtualizationType="paravirtual", KernelId="aki-00000001")
    assert shown_image(world, paravirtual)["KernelId"] == "aki-00000001"


def ec2_register_known_values(world: World) -> None:
    snapshot = a_snapshot(world)

    for name, value in (
        ("SriovNetSupport", "enhanced"),
        ("TpmSupport", "v1.2"),
        ("ImdsSupport", "v1.0"),
        ("BootMode", "bios"),
        ("Architecture", "sparc"),
        ("UefiData", "not base64!"),
        ("UefiData", "QUFB" * 16001),
    ):
        asked = {"BootMode": "uefi"} if name == "TpmSupport" else {}
        refused("InvalidParameterValue", lambda more={**asked, name: value}: make(world, snapshot, **more))


def ec2_register_billing_products_refused(world: World) -> None:
    refused("AuthFailure", make, world, a_snapshot(world), BillingProducts=["bp-1"])


def ec2_register_takes_codes_from_snapshot(world: World) -> None:
    snapshot = a_snapshot(world, shared=True, ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}])
    mine = copy(world, snapshot)
    wait(world, 4 * 3600)

    codes = [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]
    assert shown_image(world, make(world, mine, DEV), DEV).get("ProductCodes") == codes
    assert (
        ec2(world).describe_snapshot_attribute(SnapshotId=snapshot, Attribute="productCodes")["ProductCodes"] == codes
    )


def ec2_register_needs_root_snapshot(world: World) -> None:
    snapshot = a_snapshot(world)

    refused("InvalidBlockDeviceMapping", make, world, snapshot, RootDeviceName="/dev/sdq")
    refused("InvalidBlockDeviceMapping", make, world, snapshot, RootDeviceName=None)


def ec2_register_no_encrypted_with_snapshot(world: World) -> None:
    key = new_key(world)
    snapshot = a_snapshot(world, key=key)

    refused("InvalidParameter", make, world, snapshot, ebs={"Encrypted": True})
    refused("InvalidParameter", make, world, snapshot, ebs={"Encrypted": False})
    refused("InvalidParameterCombination", make, world, snapshot, ebs={"KmsKeyId": key})
    found = shown_image(world, make(world, snapshot))
    assert found["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def ec2_register_needs_completed_snapshot(world: World) -> None:
    snapshot = a_snapshot(world)
    refused("InvalidSnapshotID.NotFound", make, world, "snap-00000000000000000")
    refused("InvalidSnapshotID.NotFound", make, world, snapshot, DEV)
    share(world, snapshot)
    refused("InvalidParameterValue", make, world, snapshot, DEV, saying="does not belong to")
    mine = copy(world, snapshot)

    refused("IncorrectState", make, world, mine, DEV)
    wait(world, 4 * 3600)
    make(world, mine, DEV)


def ec2_register_volume_defaults(world: World) -> None:
    ebs = shown_image(world, make(world, a_snapshot(world)))["BlockDeviceMappings"][0]["Ebs"]

    assert (ebs["VolumeType"], ebs["VolumeSize"], ebs["DeleteOnTermination"]) == ("gp2", 8, True)


def ec2_register_volume_not_smaller(world: World) -> None:
    snapshot = a_snapshot(world, volumes=[20])

    refused("InvalidBlockDeviceMapping", make, world, snapshot, ebs={"VolumeSize": 19})
    larger = shown_image(world, make(world, snapshot, ebs={"VolumeSize": 30}))
    same = shown_image(world, make(world, snapshot))
    sizes = [image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] for image in (larger, same)]
    assert sizes == [30, 20]


def ec2_register_iops_and_throughput(world: World) -> None:
    snapshot = a_snapshot(world)

    refused("MissingParameter", make, world, snapshot, ebs={"VolumeType": "io2"})
    refused("InvalidParameterCombination", make, world, snapshot, ebs={"VolumeType": "gp2", "Iops": 300})
    wrong = {"VolumeType": "io1", "Iops": 300, "Throughput": 200}
    refused("InvalidParameterCombination", make, world, snapshot, ebs=wrong)
    right = {"VolumeType": "gp3", "Iops": 4000, "Throughput": 250}
    ebs = shown_image(world, make(world, snapshot, ebs=right))["BlockDeviceMappings"][0]["Ebs"]
    assert {name: ebs[name] for name in right} == right


def ec2_register_mapping_shape(world: World) -> None:
    snapshot = a_snapshot(world)
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
    others = [
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        {"DeviceName": "/dev/sdc", "NoDevice": ""},
        {"DeviceName": "/dev/sdd", "Ebs": {"VolumeSize": 5, "VolumeType": "gp2", "DeleteOnTermination": True}},
    ]

    for wrong in (
        {"DeviceName": "/dev/xvda", "VirtualName": "ephemeral0"},
        {"DeviceName": "/dev/sdb", "VirtualName": "disk0"},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0", "Ebs": {"VolumeSize": 5}},
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeType": "gp2"}},
    ):
        refused("InvalidBlockDeviceMapping", lambda bad=wrong: make(world, snapshot, BlockDeviceMappings=[root, bad]))
    made = allowed(make, world, snapshot, BlockDeviceMappings=[root, *others])
    found = {m["DeviceName"]: m for m in shown_image(world, made)["BlockDeviceMappings"]}
    assert found["/dev/sdb"] == others[0]
    assert found["/dev/sdc"] == others[1]
    assert found["/dev/sdd"]["Ebs"] == {**others[2]["Ebs"], "Encrypted": False}
