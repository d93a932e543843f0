"""The parameter of a family in a target names its current AMI, so that a launch template can resolve it."""

import pytest

from tests.scenarios.failures import deny
from tests.scenarios.platform import doctor, pace
from tests.scenarios.pointers import (
    FAMILY,
    NAME,
    RESOLVED,
    deploy,
    notice,
    parameter,
    parameter_tags,
    shows,
    successor,
    with_pointers,
)
from tests.scenarios.scene import DEV, HOUR, HUB, HUB_TAG, TEST
from tests.scenarios.stolen import COPIES

SOURCE_TAG = "ami-promoter:source-image"


def a_day_later(scene):
    """Let the time pass in which a pointer has looked again by itself, and written; discovery runs seldom meanwhile."""
    pace(scene, "discover", 12 * 60)
    scene.wait(25 * HOUR)


def current(scene, image=""):
    """The AMI to launch in DEV: its own copy, or the hub's."""
    return scene.delivery_record(DEV, image).get("image", {}).get("id") or image or scene.image


def test_the_parameter_names_the_ami_before_its_notice_says_so_and_follows_the_newer_one(scene):
    """Value, data type and tags; the family's next AMI takes the same parameter, and it keeps the hub's tags.

    A launch template that resolves the parameter never changes, and launches what is current.
    """
    with_pointers(scene)
    ec2, written = scene.client("ec2", DEV), []
    scene.world.gateway.after.append(lambda call: call.operation == "Publish" and written.append(shows(scene)))
    for image in (scene.image, successor(scene)):
        scene.promote("", image)
        sent = notice(scene, image)
        there = current(scene, image)
        assert (sent["event"], sent["image"], sent["family"]) == ("delivery.delivered", there, FAMILY)
        assert sent["pointer"] == {"parameter": NAME, "image": there, "fault": None, "pinned": None}
        assert there in written
        assert (parameter(scene)["Value"], parameter(scene)["DataType"]) == (there, "aws:ec2:image")
        assert parameter_tags(scene) == {HUB_TAG: HUB, SOURCE_TAG: image}
        if image == scene.image:
            data = {"ImageId": RESOLVED, "InstanceType": "t3.micro"}
            ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)
        started = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "fleet"}, MinCount=1, MaxCount=1)
        assert started["Instances"][0]["ImageId"] == there
    assert parameter(scene)["Version"] == 2
    scene.assert_invariants()


@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize("prefix", ["", "/other/"])
@pytest.mark.thorough_but("-copy")
def test_without_the_right_the_ami_is_delivered_and_doctor_and_notice_say_which_stack_to_update(scene, mode, prefix):
    """The stack has no ParameterPrefix, or another one."""
    with_pointers(scene, mode)
    deploy(scene, prefix)
    scene.promote("")
    fault = notice(scene)["pointer"]["fault"]
    assert (fault["code"], scene.delivery_state(DEV)) == (
        "aws-AccessDeniedException",
        {"copy": "delivered", "share": "shared"}[mode],
    )
    assert "deploy/target.yaml" in fault["cure"]
    assert "ParameterPrefix=/golden/" in fault["cure"]
    assert f"`ami-promoter retry {scene.image} --account {DEV}`" in fault["cure"]
    assert "tag the AMI again" not in fault["cure"]
    finding = doctor(scene)[DEV, "parameter"]
    assert (finding["passed"], "ParameterPrefix=/golden/" in finding["cure"]) == (False, True)
    assert (DEV, "template") not in doctor(scene)

    deploy(scene)
    assert doctor(scene) == {}
    a_day_later(scene)
    assert shows(scene) == current(scene)


def test_tags_that_parameter_store_throttles_name_the_source_of_the_value_all_the_same(scene):
    """They say whose the parameter is, and from which AMI; once it has the right value, nobody writes them again."""
    with_pointers(scene)
    scene.promote("")
    newer = successor(scene)
    scene.world.injections.throttle("AddTagsToResource", 2)
    assert scene.promoted("", newer) == {DEV: "delivered"}

    assert notice(scene, newer)["pointer"]["fault"] is None
    assert (shows(scene), parameter_tags(scene)[SOURCE_TAG]) == (current(scene, newer), newer)


@pytest.mark.thorough
def test_a_denial_by_anothers_policy_names_that_policy(scene):
    """A stack with the parameter would not help there."""
    with_pointers(scene)
    deny(scene, DEV, "ssm:*")
    assert scene.promoted("") == {DEV: "delivered"}

    cure = notice(scene)["pointer"]["fault"]["cure"]
    assert "A policy on the role itself denies it" in cure
    assert "ParameterPrefix" not in cure
    assert "tag the AMI again" not in cure
    assert f"`ami-promoter retry {scene.image} --account {DEV}`" in cure


@pytest.mark.thorough
def test_a_session_that_cannot_describe_images_is_a_fault_of_the_pointer(scene):
    """AWS checks a value with the caller's rights. It refuses the call by no error, and never shows the value."""
    with_pointers(scene)
    scene.world.ssm.validation = 30
    written = scene.world.gateway.after
    written.append(lambda call: call.operation == "PutParameter" and deny(scene, DEV, "ec2:DescribeImages"))
    assert scene.promoted("") == {DEV: "delivered"}

    assert notice(scene)["pointer"]["fault"]["code"] == "aws-UnauthorizedOperation"
    assert shows(scene) == ""


def test_with_everything_off_no_call_right_or_statement_is_there(scene):
    """Neither a file without the setting nor an AMI without the tag makes a call; the stack has no right."""
    scene.tag(FAMILY, key="family")
    scene.promote("dev")
    assert notice(scene)["pointer"] is None
    with_pointers(scene)
    image = scene.seed("golden-without-family")
    scene.promote("dev", image)
    assert scene.states(image) == {DEV: "delivered", TEST: "delivered"}

    assert [call.operation for call in scene.world.calls if call.service == "ssm" and call.caller.function] == []
    assert [item["pk"] for item in scene.items() if item["pk"].startswith("pointer#")] == []
    plain = scene.world.iam.roles.named(TEST, COPIES).policies["ami-promoter"]
    assert "ssm:" not in str(plain)
