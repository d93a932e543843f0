"""An instance from each new AMI must start in the target before the AMI is published."""

import json
from dataclasses import replace

import pytest

from awsim.services.ec2.seeds import blank
from awsim.services.ec2.state import Boot
from tests.scenarios.failures import deny
from tests.scenarios.platform import pace, reconcile
from tests.scenarios.pointers import notice
from tests.scenarios.scene import DEV, HOUR, HUB, HUB_TAG, REGION, put_key_policy, targets_file

CHOSEN = {"ami-promoter:launch-test": "true"}
ENDS = {"copy": "delivered", "share": "shared"}


def wants(scene, mode="copy", kind="t3.micro"):
    """Apply a file with a launch test for DEV."""
    test = {"instance_type": kind, "within": "10m"}
    scene.apply(targets_file({"default": [DEV]}, mode=mode, service_linked_roles=[], launch_test=test))


@pytest.fixture
def testing(scene):
    """DEV has the launch role and a subnet for it, and its file asks for a launch test."""
    scene.deploy_target(LaunchTest="true")
    scene.subnet = scene.world.ec2.seed_subnet(DEV, REGION, tags=CHOSEN)
    wants(scene)
    return scene


def instances(scene):
    """Every instance in DEV that EC2 still shows."""
    found = scene.client("ec2", DEV).describe_instances()["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


def started(scene):
    """The parameters of each RunInstances call of the service."""
    return [call.params for call in scene.calls("RunInstances")]


def deny_key(scene, *actions):
    """Let the policy of DEV's key deny the launch role some actions; return what takes that back."""
    kms, key = scene.client("kms", DEV), scene.stage.targets[DEV].outputs["KeyArn"]
    before = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    role = f"arn:aws:iam::{DEV}:role/AmiCopyRole-launch"
    denied = {"Effect": "Deny", "Principal": {"AWS": role}, "Action": list(actions), "Resource": "*"}
    put_key_policy(kms, key, *json.loads(before)["Statement"], denied)
    return lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=before)


def codes(scene):
    return [fault["code"] for fault in notice(scene)["faults"]]


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_an_instance_of_the_ami_starts_and_is_gone_before_the_notice(testing, mode):
    """Without a public address, key pair or user data; its volumes go with it."""
    wants(testing, mode)
    assert testing.promoted("") == {DEV: ENDS[mode]}

    (one,) = instances(testing)
    (asked,) = started(testing)
    assert (one["State"]["Name"], asked["NetworkInterfaces"][0]["SubnetId"]) == ("terminated", testing.subnet)
    assert asked["MetadataOptions"]["HttpTokens"] == "required"
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False
    assert {"UserData", "KeyName", "IamInstanceProfile"} & asked.keys() == set()
    tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
    assert (tags[HUB_TAG], tags["ami-promoter:attempt"]) == (HUB, asked["ClientToken"])
    mine = [{"Name": "tag-key", "Values": [HUB_TAG]}]
    assert testing.client("ec2", DEV).describe_volumes(Filters=mine)["Volumes"] == []
    testing.assert_invariants()


def test_an_ami_with_a_blank_volume_is_tested_with_that_volume(testing):
    """EC2 may not look up in the AMI how large it is."""
    image = testing.seed("with-blank", volumes=[8, blank("/dev/sdb", 50, VolumeType="gp3", Iops=4000, Throughput=200)])
    assert testing.promoted("", image) == {DEV: "delivered"}

    (asked,) = started(testing)
    assert [one["Ebs"] for one in asked["BlockDeviceMappings"] if one["DeviceName"] == "/dev/sdb"] == [
        {
            "VolumeSize": 50,
            "VolumeType": "gp3",
            "Iops": 4000,
            "Throughput": 200,
            "DeleteOnTermination": True,
            "Encrypted": True,
        }
    ]
    testing.assert_invariants()


def test_an_ami_whose_checks_stay_impaired_is_removed_and_its_console_is_for_status_alone(testing):
    """A hostile console shows as text; no notice has it, and no line of the log."""
    testing.world.ec2.state.boots[testing.image] = Boot(impaired="instance", console="panic \x1b[31m hunter2")
    assert testing.promoted("") == {DEV: "failed"}

    assert codes(testing) == ["launch-test-failed"]
    assert testing.images_in(DEV) == []
    assert {one["State"]["Name"] for one in instances(testing)} == {"terminated"}
    _, said = testing.said("status")
    assert "hunter2" in said
    assert "\x1b[31m" not in said
    assert "hunter2" not in json.dumps(testing.notices())
    lines = testing.client("logs", HUB).filter_log_events(logGroupName=f"/aws/lambda/ami-promoter-{REGION}-worker")
    seen = [one["message"] for one in lines["events"] if "InstanceSeen" in one["message"]]
    assert seen
    assert "hunter2" not in "".join(seen)
    testing.assert_invariants()


def test_a_copy_whose_key_the_launch_role_may_not_use_stays_and_is_tested_again_when_it_may(testing):
    """The key's policy admits the copy role and not the launch role: that says nothing about the AMI."""
    admit = deny_key(testing, "kms:CreateGrant")
    assert testing.promoted("") == {DEV: "failed"}
    assert codes(testing) == ["launch-not-tested"]
    (fault,) = notice(testing)["faults"]
    assert "AmiCopyRole-launch may not use the key" in fault["what"]
    copies = testing.calls("CopySnapshot")

    admit()
    testing.ask("retry", testing.image)
    testing.run_until(lambda: testing.delivery_state(DEV) == "delivered", HOUR)
    assert testing.calls("CopySnapshot") == copies


def test_a_key_whose_policy_admits_the_copy_role_alone_is_said_before_anything_is_opened(testing):
    """Hours of copying would end in an AMI that nobody can test; the cure names what to add to the key's policy."""
    deny_key(testing, "kms:*")
    testing.wait(10 * 60)
    assert testing.promoted("") == {DEV: "failed"}

    assert codes(testing) == ["launch-key"]
    (fault,) = notice(testing)["faults"]
    assert "admin key-policy target" in fault["cure"]
    assert testing.calls("CopySnapshot") == []


@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.thorough_but("share")
def test_only_what_is_shared_needs_a_launch_role_that_may_use_the_hubs_key(testing, mode):
    """A copy is under the target's own key; what is shared would not start, and the target's checks say so."""
    wants(testing, mode)
    role, name = "AmiCopyRole-launch", "ami-promoter-launch"
    policy = testing.client("iam", DEV).get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    denied = {"Effect": "Deny", "Action": "kms:CreateGrant", "NotResource": f"arn:aws:kms:*:{DEV}:key/*"}
    document = json.dumps({**policy, "Statement": [*policy["Statement"], denied]})
    testing.world.iam.roles.put_policy(f"arn:aws:iam::{DEV}:role/{role}", name, document)

    assert testing.promoted("") == {DEV: "delivered" if mode == "copy" else "failed"}
    assert codes(testing) == ([] if mode == "copy" else ["launch-key"])


@pytest.mark.thorough
def test_an_instance_that_is_over_before_its_answer_was_written_is_found_by_its_token(testing):
    """The worker is killed, and the repeated call is refused, as the first one's instance has ended itself."""
    testing.world.ec2.state.boots[testing.image] = Boot(ends=1)
    crash = testing.world.injections.crash("worker", "RunInstances", when="after")
    assert testing.promoted("") == {DEV: "failed"}
    assert crash.happened
    asked = [call.error for call in testing.world.calls if call.operation == "RunInstances"]
    assert asked == [None, "IdempotentInstanceTerminated"]
    assert codes(testing) == ["launch-test-failed"]
    assert len(instances(testing)) == 1
    assert testing.images_in(DEV) == []


@pytest.mark.thorough
def test_an_ami_that_ec2_calls_unavailable_right_after_its_recall_was_lifted_is_tested_all_the_same(testing):
    """The recall has stopped the test and disabled the copy; EnableImage takes effect late."""
    testing.deploy_target(LaunchTest="true", AllowDisable="true")
    testing.tag("")
    testing.run_until_state("launching")
    testing.ask("recall", testing.image, "--why", "It does not boot.", "--yes")
    testing.run_until_state("recalled")

    testing.world.injections.refuse("RunInstances", "InvalidAMIID.Unavailable", n=2)
    testing.ask("recall", testing.image, "--lift", "--yes")
    testing.run_until(lambda: testing.delivery_state(DEV) in ("delivered", "failed"), HOUR)
    testing.come_to_rest()
    asked = [call.error for call in testing.world.calls if call.operation == "RunInstances"]
    assert asked == [None, "InvalidAMIID.Unavailable", "InvalidAMIID.Unavailable", None]
    assert testing.delivery_state(DEV) == "delivered"
    assert codes(testing) == []


UNFIT = {
    "ena": {"EnaSupport": False},
    "uefi": {"BootMode": "uefi"},
    "tpm": {"Architecture": "arm64", "BootMode": "uefi", "TpmSupport": "v2.0", "EnaSupport": True},
    "volumes": {"volumes": (8,) * 29},
}
"""What the instance type lacks -> an AMI that needs it."""


@pytest.mark.parametrize("lacks", ["subnet", "type", "role", *UNFIT])
@pytest.mark.thorough_but("type", "tpm")
def test_what_the_target_lacks_is_said_before_anything_is_opened(scene, lacks):
    """No subnet with the tag, a type that the role may not run, no launch role; an AMI that the type cannot start."""
    if lacks != "role":
        scene.deploy_target(LaunchTest="true", LaunchTestTypes="t2.micro,t3.micro,t4g.micro")
    if lacks != "subnet":
        scene.world.ec2.seed_subnet(DEV, REGION, tags=CHOSEN)
    wants(scene, kind={"type": "t3.small", "uefi": "t2.micro", "tpm": "t4g.micro"}.get(lacks, "t3.micro"))
    if lacks in UNFIT:
        scene.image = scene.seed(lacks, **UNFIT[lacks])
    scene.tag("")
    scene.wait(10 * 60)

    expected = {"subnet": "launch-place", "role": "launch-role-not-assumable"}
    assert codes(scene) == [expected.get(lacks, "launch-type")]
    assert scene.world.shares_open() == []
    assert scene.calls("CopySnapshot") == []


def test_an_instance_that_the_target_lets_nobody_end_is_named(testing):
    """After a day of refusals; the AMI has passed, and is delivered. `admin reconcile` lists the instance."""
    deny(testing, DEV, "ec2:TerminateInstances", role="AmiCopyRole-launch")
    pace(testing, "discover", 12 * 60)  # nothing is to be found meanwhile
    testing.tag("")
    testing.wait(30 * HOUR)
    assert testing.delivery_state(DEV) == "delivered"
    assert codes(testing)[0] == "launch-instance-left"
    left = instances(testing)[0]["InstanceId"]
    assert left in notice(testing)["leftovers"]
    _, report = reconcile(testing)
    assert [(one["code"], one["where"].split()[0]) for one in report["found"]] == [("instance-stray", left)]


@pytest.mark.parametrize("lacks", ["vCPUs", "addresses"])
@pytest.mark.thorough_but("vCPUs")
def test_launch_tests_for_which_there_is_no_room_wait_for_those_that_run(testing, lacks):
    """Two AMIs at once, and the account's quota, or its subnet, has room for one instance."""
    other = testing.seed("second")
    if lacks == "vCPUs":
        testing.world.ec2.state.vcpus[DEV, REGION] = 2
    else:
        subnets = testing.world.ec2.state.subnets
        subnets.put(replace(subnets.get(testing.subnet), addresses=1))
    testing.tag("")
    assert testing.promoted("", other) == {DEV: "delivered"}
    assert testing.outcome() == {DEV: "delivered"}
    assert {one["State"]["Name"] for one in instances(testing)} == {"terminated"}
