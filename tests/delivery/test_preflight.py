"""The checks before anything is opened."""

from dataclasses import replace

import pytest
from hypothesis import given

from chalicelib.delivery.instances import LaunchSite
from chalicelib.delivery.preflight import (
    does_not_fit,
    launch_site_faults,
    method,
    method_faults,
    source_faults,
    target_faults,
)
from chalicelib.images.keys import source_keys
from chalicelib.targets.applied_file import LaunchTest
from tests.engine.fault_scenes import A_TARGET, GOLDEN, SCENES, TAGS_49, golden, of_image, of_snapshot, of_target
from tests.images.examples import (
    HUB,
    KEY,
    TARGET,
    TARGET_KEY,
    a_key,
    an_image,
    describe_snapshot,
    describe_volume,
    promotable,
)
from tools.image_members import MEMBERS

SHARED = replace(A_TARGET, mode="share")
UNOPENED = replace(A_TARGET, key_access="none")
TESTED = replace(A_TARGET, launch_test=LaunchTest("t3.micro"))


def codes(faults) -> list[str]:
    return [fault.code for fault in faults]


def test_fault_texts_are_as_they_were_last_read_by_a_person():
    """Each says what is wrong, where, and what to do; python -m tests.engine.fault_scenes writes them again."""
    assert golden() == GOLDEN.read_text("utf-8")


def test_each_fault_says_where_it_is_and_how_to_cure_it():
    """In whole sentences."""
    for scene, faults in SCENES.items():
        assert faults, scene
        assert all(one.where and one.what.endswith(".") and one.cure.endswith((".", ")")) for one in faults), scene


@given(promotable())
def test_an_image_of_known_parts_has_no_fault(described):
    """Unencrypted and mixed snapshots and blank, ephemeral and no-device mappings are accepted."""
    assert source_faults(described.read(), HUB, {KEY: a_key()}) == ()


@pytest.mark.parametrize(
    ("faults_of", "member", "value"),
    [
        (faults_of, name, value)
        for table, faults_of in (("Image", of_image), ("Snapshot", of_snapshot))
        for name, member in MEMBERS[table].items()
        for value in member.refused
    ],
)
def test_each_refused_value_stops_the_promotion(faults_of, member, value):
    """A check of its own refuses each value that the table of an image's or snapshot's members calls refused."""
    faults = codes(faults_of(**{member: value}))
    assert faults
    assert "source-value-unknown" not in faults


def test_all_faults_are_found_at_once():
    """One pass shows all faults of an image."""
    image = an_image(
        [
            describe_snapshot("snap-0a", State="error"),
            describe_snapshot("snap-0b", KmsKeyId="arn:aws:kms:us-east-1:111111111111:key/ebs"),
            describe_snapshot("snap-0c", KmsKeyId="arn:aws:kms:us-east-1:111111111111:key/ebs", StorageTier="archive"),
        ],
        OwnerId="999999999999",
        TpmSupport="v2.0",
        BootMode="uefi-preferred",
        UsageOperation="RunInstances:0010",
        Hypervisor="novel",
        Tags=TAGS_49,
        BlockDeviceMappings=[
            describe_volume("/dev/xvda", "snap-0a"),
            describe_volume("/dev/xvdb", "snap-0b"),
            describe_volume("/dev/xvdc", "snap-0c"),
        ],
    )
    keys = {
        KEY: a_key(enabled=False, state="Disabled"),
        "arn:aws:kms:us-east-1:111111111111:key/ebs": a_key(manager="AWS"),
    }

    assert codes((*source_faults(image, HUB, keys), *method_faults(image, (A_TARGET,)))) == [
        "source-not-owned",
        "source-snapshot-not-completed",
        "source-snapshot-archived",
        "source-key-not-enabled",
        "source-snapshot-aws-ebs-key",
        "source-too-many-tags",
        "source-value-unknown",
        "source-billing-code",
        "source-tpm-uefi-preferred",
    ]


NOT_THE_SAME = {
    "source-billing-code": {"Platform": "windows", "PlatformDetails": "Windows", "UsageOperation": "RunInstances:0002"},
    "source-tpm-uefi-preferred": {"TpmSupport": "v2.0", "BootMode": "uefi-preferred"},
    "source-watermark": {"ImageWatermarks": [{"WatermarkKey": "w"}]},
    "source-device-initialization-rate": {
        "BlockDeviceMappings": [describe_volume("/dev/xvda", "snap-0a", VolumeInitializationRate=200)]
    },
}
"""What RegisterImage cannot reproduce."""


@pytest.mark.parametrize("code", NOT_THE_SAME)
def test_what_registering_cannot_make_the_same_goes_by_copy_image_or_not_at_all(code):
    """`auto` picks CopyImage and says why; `snapshots` is refused with a cure; share mode is not affected."""
    image = an_image([describe_snapshot("snap-0a")], **NOT_THE_SAME[code])
    auto, whole, shared = (
        replace(A_TARGET, **settings)
        for settings in ({"copy_method": "auto"}, {"copy_method": "image"}, {"mode": "share"})
    )

    assert source_faults(image, HUB, {KEY: a_key()}) == method_faults(image, (auto, whole, shared)) == ()
    assert method(whole, image) == ("image", "")
    way, why = method(auto, image)
    (fault,) = method_faults(image, (auto, A_TARGET))
    assert (way, fault.code) == ("image", code)
    assert why == f"copy_method auto: {fault.what}"
    assert "copy_method: auto" in fault.cure


def test_auto_registers_a_plain_image_from_its_snapshots():
    """RegisterImage makes the same image, so the launch permission stays closed."""
    image = an_image([describe_snapshot("snap-0a")])

    assert method(replace(A_TARGET, copy_method="auto"), image)[0] == "snapshots"
    assert method(A_TARGET, image) == ("snapshots", "")


@pytest.mark.parametrize("mode", [None, "legacy-bios", "uefi", "uefi-preferred"])
def test_a_target_whose_instance_type_boots_the_image_has_no_fault(mode):
    """Whatever the image's boot mode, if the type has it, too."""
    image, place = an_image(BootMode=mode), LaunchSite(("subnet-0a",), (), ("x86_64",), ("legacy-bios", "uefi"))

    assert [*launch_site_faults(TESTED, place), *does_not_fit(TESTED, image, place)] == []


def test_a_target_without_a_subnet_for_launch_tests_learns_that_it_has_none():
    """The fault is of nothing that was found."""
    (fault,) = launch_site_faults(TESTED, LaunchSite(architectures=("x86_64",)))

    assert fault.what == "No subnet there has the tag ami-promoter:launch-test with the value true."


def test_a_pending_image_is_no_fault():
    """The service waits for it."""
    assert of_image(State="pending") == ()


def test_a_name_with_a_quote_is_safe_to_paste():
    """The copied command is valid for any image name."""
    faults = source_faults(an_image(Name="bob's image; $(date)"), HUB, {KEY: a_key(manager="AWS")})

    assert "--name 'bob-s image- -(date)-cmk'" in faults[0].cure


def test_one_key_is_one_fault_that_names_its_snapshots():
    """Twenty snapshots under aws/ebs need one repair."""
    image = an_image(
        [describe_snapshot("snap-0a"), describe_snapshot("snap-0b")],
        BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a"), describe_volume("/dev/xvdb", "snap-0b")],
    )

    [fault] = source_faults(image, HUB, {KEY: a_key(manager="AWS")})
    assert fault.where == "snap-0a, snap-0b"


def test_the_trigger_tag_and_reserved_tags_do_not_count():
    """Fifty tags fit: 45 of the source and 5 of the service's."""
    tags = [*TAGS_49[:45], {"Key": "promote", "Value": "dev"}, {"Key": "aws:ec2:x", "Value": "y"}]

    assert of_image(Tags=tags) == ()
    assert codes(of_image(Tags=[*tags, {"Key": "one more", "Value": ""}])) == ["source-too-many-tags"]


def test_tags_are_counted_as_the_target_that_takes_fewest_gets_them():
    """Those that every target leaves out stop nothing, nor any where a target gets no copy: it has the AMI itself."""
    image = an_image(Tags=TAGS_49)
    few, many = (replace(A_TARGET, source_tags=keys) for keys in (("tag-0*",), ("tag-*", "os")))

    def found(*targets):
        return codes(source_faults(image, HUB, {KEY: a_key()}, targets))

    assert found(A_TARGET, few) == found(SHARED) == found(A_TARGET, SHARED) == []
    assert found() == found(A_TARGET, many) == ["source-too-many-tags"]


def test_only_the_keys_of_snapshots_to_copy_are_asked_for():
    """A key of two snapshots is described once; an unencrypted snapshot has none."""
    image = an_image(
        [describe_snapshot("snap-0a"), describe_snapshot("snap-0b"), describe_snapshot("snap-0c", Encrypted=False)],
        BlockDeviceMappings=[describe_volume(f"/dev/xvd{x}", f"snap-0{x}") for x in "abc"],
    )

    assert source_keys(image) == (KEY,)


def test_a_target_with_its_key_and_a_free_name_has_no_fault():
    """A valid target."""
    assert of_target() == ()


def test_all_faults_of_a_target_are_found_at_once():
    """One pass shows key, tags and name."""
    key = a_key(arn=TARGET_KEY, account=TARGET, enabled=False, state="Disabled", spec="RSA_2048")
    tags = {"ami-0a": {f"tag-{number}": "x" for number in range(51)}}
    expected = ["target-key-not-symmetric", "target-key-not-enabled", "target-too-many-tags", "target-name-taken"]

    assert codes(target_faults(A_TARGET, key, tags, "golden", "ami-0cccccccccccccccc")) == expected


def test_a_key_that_the_service_does_not_open_may_be_of_a_third_account():
    """With `key_access: none` the hub may not be able to read its owner's key; a bad state is still a fault."""
    third = "999999999999"
    arn = KEY.replace(HUB, third)
    image = an_image([describe_snapshot("snap-0a", KmsKeyId=arn)])

    assert codes(source_faults(image, HUB, {arn: a_key(arn=arn, account=third)})) == ["source-key-foreign"]
    assert codes(source_faults(image, HUB, {})) == ["source-key-not-readable"]
    assert codes(source_faults(image, HUB, {arn: a_key(arn=arn, account=third)}, [UNOPENED])) == []
    assert codes(source_faults(image, HUB, {}, [UNOPENED])) == []
    off = a_key(arn=arn, account=third, enabled=False, state="Disabled")
    assert codes(source_faults(image, HUB, {arn: off}, [UNOPENED])) == ["source-key-not-enabled"]


def test_a_key_of_the_hub_is_looked_at_whoever_opens_it():
    """No account can use a key that is gone, or aws/ebs."""
    image = an_image()

    assert codes(source_faults(image, HUB, {}, [UNOPENED])) == ["source-key-not-readable"]
