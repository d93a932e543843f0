"""The RegisterImage request, its name and tags, and the comparison of the copy with its source."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import botocore.session
import jsonschema
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from ami_promoter.reconcile import verify_checks
from ami_promoter.targets_file import settings
from chalicelib.images import comparison, deprecation, names, register
from chalicelib.images.image import snapshots_to_copy
from tests.images.examples import (
    KEY,
    OUR_TAGS,
    an_image,
    describe_snapshot,
    describe_volume,
    ec2_shows,
    promotable,
)
from tools.image_members import MEMBERS, Treatment

NOW = datetime(2026, 1, 5, 12, 5, tzinfo=UTC).timestamp()
TEMPLATE = "{source_name}-{source_id}"
AMI_NAME = jsonschema.Draft202012Validator(settings.table()["ami_name"])
LEGAL_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
REGISTER_IMAGE = botocore.session.Session().get_service_model("ec2").operation_model("RegisterImage").input_shape


class CopiedImage:
    """An image as the service registers it, and as EC2 then shows it."""

    def __init__(self, image) -> None:
        self.image = image
        self.copies = {snapshot: f"{snapshot}-copy" for snapshot in snapshots_to_copy(image)}
        self.name = names.image_name(TEMPLATE, image)
        self.tags = register.result_tags(image, OUR_TAGS, {"CostCentre": "42"}, "promote")
        self.request = register.request(image, self.copies, self.name, self.tags)
        self.shown = ec2_shows(self.request, deprecation.deprecate_at(image, NOW))
        self.attributes: dict[str, Any] = {}
        if "UefiData" in self.request:
            self.attributes = {"uefiData": {"UefiData": {"Value": self.request["UefiData"]}}}

    def differences(self) -> list[str]:
        """Names of the members that differ."""
        faults = comparison.differences(
            self.image, self.shown, self.attributes, self.copies, name=self.name, tags=self.tags
        )
        assert {fault.code for fault in faults} <= {"copy-differs"}
        return [fault.where.removeprefix("ami-0bbbbbbbbbbbbbbbb ") for fault in faults]

    def changed(self) -> list[str]:
        """Names of the members that its account has changed."""
        as_made = {name: str(self.shown[name]) for name in comparison.CHANGEABLE if self.shown.get(name)}
        return [found.partition(" ")[0] for found in verify_checks.changed(self.image, as_made)]

    def ebs(self, device: str) -> dict[str, Any]:
        """What EC2 shows of a volume."""
        return next(m["Ebs"] for m in self.shown["BlockDeviceMappings"] if m["DeviceName"] == device)


def full() -> CopiedImage:
    """The copy of an image with a value in every member."""
    return CopiedImage(
        an_image(
            [describe_snapshot("snap-0a"), describe_snapshot("snap-0b", Encrypted=False, KmsKeyId=None)],
            uefi_data="QU1aTlVFRkk=",
            Description="A golden one",
            Architecture="arm64",
            BootMode="uefi",
            TpmSupport="v2.0",
            ImdsSupport="v2.0",
            SriovNetSupport="simple",
            DeprecationTime="2027-03-04T05:06:00.000Z",
            BlockDeviceMappings=[
                describe_volume("/dev/xvda", "snap-0a", VolumeType="io2", Throughput=None, Iops=5000, VolumeSize=20),
                describe_volume("/dev/xvdb", "snap-0b", Throughput=250, EbsCardIndex=1, DeleteOnTermination=False),
                describe_volume("/dev/xvdc", None, VolumeSize=100, Encrypted=True),
                {"DeviceName": "/dev/xvdd", "VirtualName": "ephemeral0"},
                {"DeviceName": "/dev/xvde", "NoDevice": ""},
            ],
        )
    )


# The request


@given(promotable())
def test_the_request_for_any_image_is_one_that_ec2_takes(described):
    """The SDK accepts it, and no mapping names a key, or the encryption of a snapshot: EC2 refuses both.

    It has none of the source's snapshot or key ids.
    """
    request = CopiedImage(described.read()).request
    volumes = [mapping["Ebs"] for mapping in request["BlockDeviceMappings"] if "Ebs" in mapping]

    assert not ParamValidator().validate(request, REGISTER_IMAGE).has_errors()
    assert LEGAL_NAME.fullmatch(request["Name"])
    assert not [ebs for ebs in volumes if "KmsKeyId" in ebs or {"SnapshotId", "Encrypted"} <= ebs.keys()]
    assert all(ebs["SnapshotId"].endswith("-copy") for ebs in volumes if "SnapshotId" in ebs)
    assert KEY not in str(request)


def test_the_request_in_full():
    """It has every member of the source, with mappings of all kinds."""
    assert full().request == {
        "Name": "golden-ami-0aaaaaaaaaaaaaaaa",
        "Description": "A golden one",
        "Architecture": "arm64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "BootMode": "uefi",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "SriovNetSupport": "simple",
        "EnaSupport": True,
        "UefiData": "QU1aTlVFRkk=",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "SnapshotId": "snap-0a-copy",
                    "VolumeSize": 20,
                    "VolumeType": "io2",
                    "Iops": 5000,
                    "DeleteOnTermination": True,
                },
            },
            {
                "DeviceName": "/dev/xvdb",
                "Ebs": {
                    "SnapshotId": "snap-0b-copy",
                    "VolumeSize": 8,
                    "VolumeType": "gp3",
                    "Iops": 3000,
                    "Throughput": 250,
                    "EbsCardIndex": 1,
                    "DeleteOnTermination": False,
                },
            },
            {
                "DeviceName": "/dev/xvdc",
                "Ebs": {
                    "VolumeSize": 100,
                    "VolumeType": "gp3",
                    "Iops": 3000,
                    "Throughput": 125,
                    "DeleteOnTermination": True,
                    "Encrypted": True,
                },
            },
            {"DeviceName": "/dev/xvdd", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/xvde", "NoDevice": ""},
        ],
        "TagSpecifications": [
            {
                "ResourceType": "image",
                "Tags": [
                    {"Key": "CostCentre", "Value": "42"},
                    {"Key": "Team", "Value": "blue"},
                    {"Key": "ami-promoter:delivery", "Value": "d-1"},
                    {"Key": "ami-promoter:hub", "Value": "111111111111"},
                    {"Key": "ami-promoter:promotion", "Value": "ami-0aaaaaaaaaaaaaaaa"},
                    {"Key": "ami-promoter:source-image", "Value": "ami-0aaaaaaaaaaaaaaaa"},
                ],
            }
        ],
    }


def test_what_the_source_has_not_is_left_out():
    """Without a boot mode the instance type decides, as for the source."""
    request = CopiedImage(an_image(EnaSupport=False)).request

    assert request.keys() == {
        "Name",
        "Architecture",
        "VirtualizationType",
        "RootDeviceName",
        "BlockDeviceMappings",
        "TagSpecifications",
    }


def test_iops_that_ec2_derives_are_not_sent_back():
    """A gp2 volume's baseline is not a setting."""
    image = an_image(
        BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a", VolumeType="gp2", Iops=300, Throughput=None)]
    )

    assert "Iops" not in CopiedImage(image).request["BlockDeviceMappings"][0]["Ebs"]


def test_a_snapshot_used_twice_has_one_copy():
    """Both mappings name this copy."""
    image = an_image(
        BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a"), describe_volume("/dev/xvdb", "snap-0a")]
    )
    mappings = register.request(image, {"snap-0a": "snap-0f"}, "name", {})["BlockDeviceMappings"]

    assert [mapping["Ebs"]["SnapshotId"] for mapping in mappings] == ["snap-0f", "snap-0f"]


def test_a_missing_copy_is_an_error():
    """The service never registers an image without one of its volumes."""
    with pytest.raises(KeyError, match=r"\A'snap-\w+'\Z"):
        register.request(an_image(), {}, "name", {})


# The comparison


MUTATIONS: dict[str, Callable[[CopiedImage], None]] = {
    "Architecture": lambda c: c.shown.update(Architecture="i386"),
    "BootMode": lambda c: c.shown.pop("BootMode"),
    "Description": lambda c: c.shown.update(Description="Another"),
    "EnaSupport": lambda c: c.shown.pop("EnaSupport"),
    "Hypervisor": lambda c: c.shown.update(Hypervisor="ovm"),
    "ImageType": lambda c: c.shown.update(ImageType="kernel"),
    "ImdsSupport": lambda c: c.shown.pop("ImdsSupport"),
    "Name": lambda c: c.shown.update(Name="another"),
    "PlatformDetails": lambda c: c.shown.update(PlatformDetails=""),
    "RootDeviceName": lambda c: c.shown.update(RootDeviceName="/dev/xvdb"),
    "RootDeviceType": lambda c: c.shown.update(RootDeviceType="instance-store"),
    "SriovNetSupport": lambda c: c.shown.pop("SriovNetSupport"),
    "State": lambda c: c.shown.update(State="failed"),
    "TpmSupport": lambda c: c.shown.pop("TpmSupport"),
    "UsageOperation": lambda c: c.shown.update(UsageOperation="RunInstances:0010"),
    "VirtualizationType": lambda c: c.shown.update(VirtualizationType="paravirtual"),
    "KernelId": lambda c: c.shown.update(KernelId="aki-1"),
    "RamdiskId": lambda c: c.shown.update(RamdiskId="ari-1"),
    "Platform": lambda c: c.shown.update(Platform="windows"),
    "ProductCodes": lambda c: c.shown.update(ProductCodes=[{"ProductCodeId": "x", "ProductCodeType": "marketplace"}]),
    "ImageWatermarks": lambda c: vars(c).update(image=replace(c.image, watermarks=("x",))),
    "InstanceTypeSpecification": lambda c: c.shown.update(
        InstanceTypeSpecification={"UnsupportedInstanceTypes": [{"InstanceType": "m5.large"}]}
    ),
    "Tags[Team]": lambda c: c.shown.update(Tags=[tag for tag in c.shown["Tags"] if tag["Key"] != "Team"]),
    "Tags[ami-promoter:hub]": lambda c: c.shown.update(
        Tags=[tag | ({"Value": "x"} if tag["Key"].endswith(":hub") else {}) for tag in c.shown["Tags"]]
    ),
    "UefiData": lambda c: c.attributes.update(uefiData={"UefiData": {"Value": "QUJD"}}),
    "BlockDeviceMappings[/dev/xvda]": lambda c: c.shown["BlockDeviceMappings"].pop(),
    "BlockDeviceMappings[/dev/xvdf]": lambda c: c.shown["BlockDeviceMappings"].append(
        {"DeviceName": "/dev/xvdf", "VirtualName": "ephemeral1"}
    ),
    "BlockDeviceMappings[/dev/xvdd].VirtualName": lambda c: c.shown["BlockDeviceMappings"][1].update(
        VirtualName="ephemeral7"
    ),
    "BlockDeviceMappings[/dev/xvda].Ebs.SnapshotId": lambda c: c.ebs("/dev/xvda").update(SnapshotId="snap-0b-copy"),
    "BlockDeviceMappings[/dev/xvda].Ebs.VolumeSize": lambda c: c.ebs("/dev/xvda").update(VolumeSize=21),
    "BlockDeviceMappings[/dev/xvda].Ebs.VolumeType": lambda c: c.ebs("/dev/xvda").update(VolumeType="io1"),
    "BlockDeviceMappings[/dev/xvda].Ebs.Iops": lambda c: c.ebs("/dev/xvda").update(Iops=100),
    "BlockDeviceMappings[/dev/xvda].Ebs.Encrypted": lambda c: c.ebs("/dev/xvda").pop("Encrypted"),
    "BlockDeviceMappings[/dev/xvdb].Ebs.Throughput": lambda c: c.ebs("/dev/xvdb").update(Throughput=125),
    "BlockDeviceMappings[/dev/xvdb].Ebs.EbsCardIndex": lambda c: c.ebs("/dev/xvdb").update(EbsCardIndex=0),
    "BlockDeviceMappings[/dev/xvdb].Ebs.Encrypted": lambda c: c.ebs("/dev/xvdb").update(Encrypted=False),
    "BlockDeviceMappings[/dev/xvdb].Ebs.DeleteOnTermination": lambda c: c.ebs("/dev/xvdb").update(
        DeleteOnTermination=True
    ),
    "BlockDeviceMappings[/dev/xvdc].Ebs.Encrypted": lambda c: c.ebs("/dev/xvdc").update(Encrypted=False),
}


@pytest.mark.parametrize("member", MUTATIONS)
def test_each_changed_member_is_one_difference(member):
    """The comparison finds the changed member, and no other."""
    changed = full()
    MUTATIONS[member](changed)

    assert changed.differences() == [member]


def test_every_member_that_should_be_compared_is_among_the_changes_above():
    """The members that the table calls mapped and compared are those above."""
    tried = {re.split(r"[\[.]", member)[0] for member in MUTATIONS}
    tried_volumes = {member.rpartition(".")[2] for member in MUTATIONS if ".Ebs." in member}

    def compared(shape: str) -> set[str]:
        wanted = (Treatment.MAPPED, Treatment.COMPARED)
        return {name for name, member in MEMBERS[shape].items() if member.treatment in wanted}

    assert compared("Image") - {"DeprecationTime"} <= tried, "its date is set later"
    assert compared("EbsBlockDevice") <= tried_volumes
    assert "UefiData" in tried


_OTHER = {
    "VolumeSize": lambda v: v + 1,
    "DeleteOnTermination": lambda v: not v,
    "SnapshotId": lambda v: v + "x",
    "VolumeType": lambda v: "standard" if v != "standard" else "gp2",
}


@given(promotable(), st.data())
def test_a_faithful_copy_of_any_image_has_no_differences_and_any_changed_volume_is_found(described, data):
    """In any order in which EC2 shows the mappings; the comparison names the device of a changed volume."""
    changed = CopiedImage(described.read())
    assert changed.differences() == []
    volumes = [mapping for mapping in changed.shown["BlockDeviceMappings"] if "Ebs" in mapping]
    mapping = data.draw(st.sampled_from(volumes))
    member = data.draw(st.sampled_from(sorted(_OTHER.keys() & mapping["Ebs"].keys())))
    mapping["Ebs"][member] = _OTHER[member](mapping["Ebs"][member])

    found = changed.differences()
    assert f"BlockDeviceMappings[{mapping['DeviceName']}].Ebs.{member}" in found
    assert all(difference.startswith(f"BlockDeviceMappings[{mapping['DeviceName']}]") for difference in found)


def test_volumes_that_changed_places_are_found():
    """Root and data volume swapped: the same snapshots, but another image."""
    changed = full()
    root, data = changed.ebs("/dev/xvda"), changed.ebs("/dev/xvdb")
    root["SnapshotId"], data["SnapshotId"] = data["SnapshotId"], root["SnapshotId"]
    expected = ["BlockDeviceMappings[/dev/xvda].Ebs.SnapshotId", "BlockDeviceMappings[/dev/xvdb].Ebs.SnapshotId"]

    assert changed.differences() == expected


def blank_volume() -> CopiedImage:
    """Of an image with a volume that has no snapshot; the target account encrypts all volumes."""
    made = CopiedImage(
        an_image(BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a"), describe_volume("/dev/xvdb", None)])
    )
    made.ebs("/dev/xvdb")["Encrypted"] = True
    return made


def spelled_out() -> CopiedImage:
    """EC2 shows gp3's defaults and the snapshot's size, which the source omits."""
    omitted = {"VolumeSize": None, "Iops": None, "Throughput": None, "EbsCardIndex": None}
    made = CopiedImage(an_image(BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a", **omitted)]))
    made.ebs("/dev/xvda").update(VolumeSize=8, Iops=3000, Throughput=125, EbsCardIndex=0)
    return made


def tagged_by_a_robot() -> CopiedImage:
    """Accounts have automation that tags new resources."""
    made = full()
    made.shown["Tags"].append({"Key": "created-by", "Value": "robot"})
    return made


def wrapped_data() -> CopiedImage:
    """Base64 may be wrapped into lines."""
    made = full()
    made.attributes = {"uefiData": {"UefiData": {"Value": "QU1a\nTlVFRkk=\n"}}}
    return made


@pytest.mark.parametrize("made", [blank_volume, spelled_out, tagged_by_a_robot, wrapped_data])
def test_what_ec2_or_the_account_adds_or_writes_otherwise_is_no_difference(made):
    """The AMI means the same."""
    assert made().differences() == []


def test_a_fault_says_both_values_and_the_source():
    """The text names both."""
    changed = full()
    changed.shown["BootMode"] = "legacy-bios"
    [fault] = comparison.differences(
        changed.image, changed.shown, changed.attributes, changed.copies, name=changed.name, tags=changed.tags
    )

    assert str(fault) == (
        "ami-0bbbbbbbbbbbbbbbb BootMode: It is legacy-bios and should be uefi, for a copy of ami-0aaaaaaaaaaaaaaaa. "
        "The copy is not the same image, and must not be used. Tag the source again for another try; if it differs "
        "again, report it as an issue."
    )


def test_uefi_data_is_read_from_the_copy_only_if_the_source_has_some():
    """Otherwise there is nothing to compare."""
    assert comparison.attributes_to_compare(full().image) == ("uefiData",)
    assert comparison.attributes_to_compare(an_image()) == ()


def test_uefi_data_that_was_not_read_back_is_an_error():
    """The comparison raises, and does not call the images equal."""
    made = full()
    made.attributes = {}

    with pytest.raises(ValueError, match="attributes not read: uefiData"):
        made.differences()


# Deprecation


def test_a_deprecation_date_is_carried_over():
    """The source's date, in the form that EC2 takes."""
    assert deprecation.deprecate_at(an_image(DeprecationTime="2027-03-04T05:06:00.000Z"), NOW) == "2027-03-04T05:06:00Z"
    assert deprecation.deprecate_at(an_image(), NOW) is None


def test_a_deprecated_source_gives_a_copy_that_soon_is():
    """EC2 takes no date in the past: the copy is deprecated as soon as possible, and that is no difference."""
    made = CopiedImage(an_image(DeprecationTime="2020-01-01T00:00:00.000Z"))

    assert made.shown["DeprecationTime"] == "2026-01-05T12:10:00Z"
    assert made.changed() == []


@pytest.mark.parametrize(
    "shown", ["2027-03-04T05:07:00.000Z", "2028-03-04T05:06:00.000Z", "2026-03-04T05:06:00.000Z", ""]
)
def test_another_deprecation_date_is_a_difference(shown):
    """Earlier or later, by a minute or by a year, or none."""
    made = full()
    made.shown["DeprecationTime"] = shown

    assert made.changed() == ["DeprecationTime"]
    assert made.differences() == [], "it is set after that comparison"


@pytest.mark.parametrize(
    ("member", "value"),
    [("Description", "another"), ("ImdsSupport", "v2.0"), ("DeprecationTime", "2027-01-01T00:00:00.000Z")],
)
def test_what_an_account_changes_of_its_copy_later_is_found(member, value):
    """Each that EC2 lets it change; as it was delivered there is no finding."""
    made = CopiedImage(an_image())
    as_made = {name: str(made.shown[name]) for name in comparison.CHANGEABLE if made.shown.get(name)}

    assert verify_checks.changed(made.image, as_made) == ()
    (found,) = verify_checks.changed(made.image, {**as_made, member: value})
    assert found.startswith(f"{member} is {value[:10]}")
    (found,) = verify_checks.changed(made.image, {**as_made, "Public": "True"})
    assert found == "Public is True and should be False"


def test_a_watermark_that_was_detached_and_other_instance_types_are_found():
    """EC2 lets the owner of a copy change both; a watermark of its own takes nothing away."""
    source, own = ({"WatermarkKey": f"{account}:approved"} for account in ("111111111111", "222222222222"))
    made = CopiedImage(an_image(ImageWatermarks=[source]))
    made.shown["ImageWatermarks"] = [source, own]
    assert made.differences() == made.changed() == []

    made.shown["ImageWatermarks"] = [own, {"WatermarkKey": f"{source['WatermarkKey']}-v2"}]
    made.shown["InstanceTypeSpecification"] = {"SupportedInstanceTypes": [{"InstanceType": "t3.*"}]}
    assert made.changed() == ["InstanceTypeSpecification", "ImageWatermarks"]


# Tags


def test_the_copy_has_the_sources_tags_and_the_services_override_them():
    """Not the trigger, aws: tags, or tags of an earlier promotion; the target's tags override the source's.

    Those that EC2 shows with a shared AMI arrive under the same key [decision 39].
    """
    tags = {
        "promote": "dev",
        "aws:backup": "x",
        "Team": "blue",
        "Stage": "built",
        "ec2:SharedTag/os": "al2023",
        "ami-promoter:source-snapshot": "snap-0old",
        "ami-promoter:hub": "999999999999",
        "AMI-Promoter:Delivery": "for IAM this is the service's own, too",
    }
    image = an_image(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    expected = {"Team": "blue", "Stage": "prod", "ec2:SharedTag/os": "al2023", **OUR_TAGS}

    assert register.result_tags(image, OUR_TAGS, {"Stage": "prod"}, "promote") == expected


def test_a_snapshots_copy_bears_its_tags_too():
    """The same rule for a snapshot."""
    [snapshot] = an_image([describe_snapshot("snap-0a", Tags=[{"Key": "Team", "Value": "blue"}])]).snapshots

    assert register.result_tags(snapshot, OUR_TAGS, {}, "promote") == {"Team": "blue", **OUR_TAGS}


# Names


TEMPLATES = st.lists(st.sampled_from(["{source_id}", "{source_name}", "-", "/", "a" * 30])).map("".join)


@given(st.text(min_size=3, max_size=300) | st.just("n" * 128), TEMPLATES.filter(AMI_NAME.is_valid))
def test_every_name_is_legal(source_name, template):
    """For any source name, the longest one, too, and any template that a targets file admits, EC2 accepts the name."""
    assert LEGAL_NAME.fullmatch(names.image_name(template, an_image(Name=source_name)))


def test_a_long_source_name_is_cut_and_the_id_kept():
    """The id makes the name unique."""
    name = names.image_name(TEMPLATE, an_image(Name="n" * 128))

    assert name == "n" * 106 + "-ami-0aaaaaaaaaaaaaaaa"
    assert len(name) == 128


@pytest.mark.parametrize(
    "template",
    [
        "{source_name",
        "{source_id}-{date}",
        "{source_id:>30}",
        "golden",
        "{source_id}:ü",
        "{source_id}-{source_id}",
        "{source_id}" + "-" * 108,
    ],
)
def test_a_template_that_can_give_no_legal_name_of_its_own_is_refused(template):
    """A name that EC2 refuses, or that two AMIs would have, is a fault of the targets file, not of a delivery."""
    assert not AMI_NAME.is_valid(template)
