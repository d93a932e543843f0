"""The launch role in a target: what a thief of ``worker`` could run with it, and what not."""

from typing import Any

import pytest

from demo import stage
from tests.scenarios.regions import FAR
from tests.scenarios.scene import DEV, HOUR, HUB, HUB_TAG, REGION, STRANGER, Scene, targets_file
from tests.scenarios.sharing import SHARE
from tests.scenarios.stolen import COPIES, LAUNCHES, entered, refused

CHOSEN = {"ami-promoter:launch-test": "true"}
OURS = [{"Key": HUB_TAG, "Value": HUB}]
KINDS = ("instance", "volume", "network-interface")


def asked(scene: Scene, image: str, *devices: str, **more: Any) -> dict[str, Any]:
    """What a launch test asks for, in the chosen subnet."""
    interface = {"DeviceIndex": 0, "SubnetId": scene.subnet, "AssociatePublicIpAddress": False}
    sealed = [{"DeviceName": name, "Ebs": {"Encrypted": True}} for name in devices or ("/dev/xvda", "/dev/sdb")]
    return {
        "ImageId": image,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "MetadataOptions": {"HttpTokens": "required"},
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": sealed,
        "TagSpecifications": [{"ResourceType": kind, "Tags": OURS} for kind in KINDS],
        **more,
    }


def run(ec2: Any, scene: Scene, image: str, *devices: str, **more: Any) -> str:
    """Launch an AMI so; return the instance's id."""
    made = ec2.run_instances(**asked(scene, image, *devices, **more))["Instances"][0]
    return str(made["InstanceId"])


def state(scene: Scene, instance: str) -> tuple[str, str]:
    """An instance's state, and the code of its reason."""
    found = scene.client("ec2", DEV).describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"], found.get("StateReason", {}).get("Code", "")


@pytest.fixture
def testing(scene: Scene) -> Scene:
    """DEV's stack has the launch role, and DEV has chosen a subnet."""
    scene.deploy_target(LaunchTest="true")
    scene.subnet = scene.world.ec2.seed_subnet(DEV, REGION, tags=CHOSEN)
    return scene


@pytest.fixture
def delivered(testing: Scene) -> Scene:
    """An AMI was delivered to DEV."""
    assert testing.promoted("") == {DEV: "delivered"}
    return testing


def test_the_launch_role_runs_an_image_of_the_hub_with_the_hubs_key_only_while_that_is_shared(testing):
    """Share mode; what is standing for the account is enough for this role of it, by grant and by policy."""
    scene = testing
    for access in ("policy", "grant"):
        scene.apply(targets_file(key_access=access, **SHARE))
        scene.image = scene.image if access == "policy" else scene.seed("golden-by-grant", volumes=stage.SIZES)
        assert scene.promoted("") == {DEV: "shared"}
        ec2 = entered(scene, "worker", LAUNCHES, "ec2")
        instance = run(ec2, scene, scene.image)
        scene.wait(60)
        assert state(scene, instance) == ("running", ""), access

    ec2.terminate_instances(InstanceIds=[instance])
    scene.deploy_target(LaunchTest="true", SourceKeyArns=f"arn:aws:kms:{REGION}:{HUB}:key/another")
    instance = run(ec2, scene, scene.image)
    scene.wait(60)
    assert state(scene, instance) == ("terminated", "Client.InternalError")


def test_the_launch_role_runs_nothing_else(delivered):
    """No other AMI, type, subnet or template; no public address, plain volume or instance without the hub's tag."""
    scene, ec2 = delivered, entered(delivered, "worker", LAUNCHES, "ec2")
    owner, image, device = scene.client("ec2", DEV), scene.image_in(DEV)["ImageId"], "/dev/xvda"
    own = scene.world.ec2.seed_image(DEV, REGION, name="theirs", volumes=(8,))
    foreign = scene.world.ec2.seed_image(STRANGER, REGION, name="foreign", volumes=(8,), tags={HUB_TAG: HUB})
    scene.client("ec2", STRANGER).modify_image_attribute(ImageId=foreign, LaunchPermission={"Add": [{"UserId": DEV}]})
    template = owner.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image})
    interface = asked(scene, image)["NetworkInterfaces"][0]
    other = {
        **interface,
        "SubnetId": scene.world.ec2.seed_subnet(DEV, REGION, tags={**CHOSEN, "ami-promoter:launch-test": "no"}),
    }
    public = {**interface, "AssociatePublicIpAddress": True}
    silent = {name: value for name, value in interface.items() if name != "AssociatePublicIpAddress"}

    for theirs in (own, foreign):
        refused(run, ec2, scene, theirs, device)
    for more in (
        {"InstanceType": "m5.large"},
        {"MetadataOptions": {"HttpTokens": "optional"}},
        {"MetadataOptions": {}},
        {"TagSpecifications": [{"ResourceType": "volume", "Tags": OURS}]},
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": OURS}]},
        *({"NetworkInterfaces": [one]} for one in (other, public, silent)),
        {"BlockDeviceMappings": []},
        {"LaunchTemplate": {"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"]}},
    ):
        refused(run, ec2, scene, image, **more)
    assert owner.describe_instances()["Reservations"] == []
    run(ec2, scene, image)


def test_the_launch_role_touches_nothing_else(delivered):
    """No instance without the hub's tag, no tag on what is there, no key but through EC2, no role and no other call."""
    scene, ec2 = delivered, entered(delivered, "worker", LAUNCHES, "ec2")
    owner, image = scene.client("ec2", DEV), scene.image_in(DEV)["ImageId"]
    theirs = owner.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]

    refused(ec2.terminate_instances, InstanceIds=[theirs])
    refused(ec2.get_console_output, InstanceId=theirs)
    for resource in (theirs, image, scene.subnet):
        refused(ec2.create_tags, Resources=[resource], Tags=OURS)
    refused(ec2.create_volume, AvailabilityZone=f"{REGION}a", Size=8)
    refused(ec2.copy_image, SourceImageId=image, SourceRegion=REGION, Name="copy")
    refused(ec2.deregister_image, ImageId=image)
    refused(ec2.describe_images)
    thief, *_ = scene.world.accounts.issue(f"arn:aws:iam::{DEV}:role/{LAUNCHES}", "thief")
    own = scene.stage.targets[DEV].outputs["KeyArn"]
    for action in ("Decrypt", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"):
        allowed = [
            scene.world.kms.may_use(thief, f"kms:{action}", own, f"{service}.{REGION}.amazonaws.com")[0]
            for service in ("ec2", "s3")
        ]
        assert allowed == [True, False], action
    iam = entered(scene, "worker", LAUNCHES, "iam")
    iam.get_role_policy(RoleName=LAUNCHES, PolicyName="ami-promoter-launch")
    refused(iam.get_role_policy, RoleName="AmiCopyRole", PolicyName="ami-promoter")


@pytest.mark.parametrize("way", ["registers it", "registers a copy of it", "copies the AMI"])
def test_the_two_roles_together_run_nothing_of_the_targets_own(testing, way):
    """What a thief makes of the target's own snapshot can have the hub's tag, by which the launch role runs it."""
    scene, ec2 = testing, entered(testing, "worker", COPIES, "ec2")
    key = scene.client("kms", DEV).create_key()["KeyMetadata"]["Arn"]
    theirs = scene.world.ec2.seed_image(DEV, REGION, name="theirs", volumes=(8,), key=key)
    (snapshot,) = scene.snapshots_of(theirs, DEV)
    tagged = [{"ResourceType": kind, "Tags": OURS} for kind in ("image", "snapshot")]
    register = {"Name": "evil", "RootDeviceName": "/dev/xvda", "Architecture": "x86_64", "VirtualizationType": "hvm"}

    def steal() -> str:
        if way == "copies the AMI":
            copy = {"SourceImageId": theirs, "SourceRegion": REGION, "Name": "evil", "TagSpecifications": tagged}
            return str(ec2.copy_image(**copy, Encrypted=True, KmsKeyId=key)["ImageId"])
        source = snapshot
        if way == "registers a copy of it":
            copy = {"SourceSnapshotId": snapshot, "SourceRegion": REGION, "TagSpecifications": tagged[1:]}
            source = ec2.copy_snapshot(**copy, Encrypted=True, KmsKeyId=key)["SnapshotId"]
            scene.wait(HOUR / 2)
        volumes = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": source}}]
        made = ec2.register_image(**register, BlockDeviceMappings=volumes, TagSpecifications=tagged[:1])
        return str(made["ImageId"])

    refused(steal)
    assert [image["ImageId"] for image in scene.images_in(DEV)] == [theirs]

    scene.deploy_target()  # where nothing can be launched, nothing is refused
    evil = steal()
    scene.deploy_target(LaunchTest="true")
    scene.wait(HOUR)
    instance = run(entered(scene, "worker", LAUNCHES, "ec2"), scene, evil, "/dev/xvda")
    scene.wait(60)
    assert state(scene, instance) == ("running", ""), "the attack works where nothing denies it"


def test_where_the_hub_is_a_target_with_launch_tests_its_own_snapshots_can_still_be_copied(by_way):
    """In the hub's account the sources are the account's own, without the hub's tag."""
    by_way.deploy_target(HUB, FAR, LaunchTest="true")
    by_way.promote("")

    assert set(by_way.states().values()) == {"delivered"}
