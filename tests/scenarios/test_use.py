"""Who still uses an AMI: `where --use`, and `recall` before its question, ask each target whose stack allows that."""

import sys

import pytest

from tests.scenarios.pointers import NAME, deploy, with_pointers
from tests.scenarios.scene import DEV, REGION, TEST, Answering, Scene
from tests.scenarios.sharing import sharing_file

LISTS = "DescribeImageReferences"


def uses(found: dict) -> dict[str, list[str]]:
    """Account -> the last parts of the ARNs of what names the AMI there."""
    return {one["account"]: [use["arn"].rpartition(":")[2] for use in one["named_by"]] for one in found["uses"]}


@pytest.fixture
def used(scene: Scene) -> Scene:
    """The AMI was delivered to two accounts; in DEV an instance, a launch template and the parameter name it."""
    with_pointers(scene, accounts=(DEV, TEST))
    for account in (DEV, TEST):
        deploy(scene, account=account, AllowUseReport="true")
    scene.promote("dev")
    return scene


def test_what_names_each_copy_is_listed(used):
    """An instance, an old version of a launch template and a parameter; nothing where nothing names it.

    A recall ends no instance: their owners replace them, and must find them.
    """
    scene, ec2 = used, used.client("ec2", DEV)
    copy = scene.delivery_record(DEV)["image"]["id"]
    instance = ec2.run_instances(ImageId=copy, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": copy})
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    for _ in range(12):
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData={"InstanceType": "t3.micro"})

    found = scene.ask("where", scene.image, "--use")

    assert uses(found) == {
        DEV: sorted([f"instance/{instance}", f"launch-template/{template}", f"parameter{NAME}"]),
        TEST: [f"parameter{NAME}"],
    }
    assert {one["image"] for one in found["uses"]} == {one["image"] for one in found["copies"]}
    said = scene.cli("where", copy, "--use")[1]
    assert f"{DEV} {REGION}: instance {instance}" in said
    assert "uses" not in scene.ask("where", scene.image)

    scene.ask("recall", scene.image, "--why", "bad", "--yes")
    scene.run_until(lambda: scene.states() == {DEV: "recalled", TEST: "recalled"})
    found = scene.ask("where", scene.image, "--use")
    assert f"instance/{instance}" in uses(found)[DEV]
    assert [one["image"] for one in found["copies"]] == [None, None], "nobody is to launch it"


def test_a_recall_shows_who_uses_the_ami_before_it_asks(used, monkeypatch):
    """At a terminal; where nobody is asked, no target is, either, and a recall does not wait for one.

    A target whose stack does not allow it delays nothing; `where --use` names the cure.
    """
    scene = used
    deploy(scene, account=TEST)
    words = ("recall", scene.image, "--why", "bad")
    assert scene.cli(*words)[0] == 1
    assert not [call for call in scene.world.calls if call.operation == LISTS]

    monkeypatch.setattr(sys, "stdin", Answering("n\n"))
    begun = scene.world.now
    status, said = scene.prints(*words)
    assert (status, f"Who uses it: {DEV} {REGION}: parameter {NAME}" in said) == (1, True)
    assert f"{TEST} {REGION}: not known; `ami-promoter where {scene.image} --use` shows it, or why not." in said
    assert (scene.world.now - begun).total_seconds() <= 10

    found = scene.ask("where", scene.image, "--use")
    (dark,) = (one for one in found["uses"] if one["account"] == TEST)
    assert dark["named_by"] == []
    assert "AllowUseReport=true" in dark["fault"]["cure"]
    assert uses(found)[DEV] == [f"parameter{NAME}"]
    assert "AllowUseReport=true" in scene.cli("where", scene.image, "--use")[1]


def test_of_a_shared_ami_the_hubs_own_is_asked_for(scene):
    """In the account that launches it, which shows nobody else's instances."""
    scene.apply(sharing_file())
    for account in (DEV, TEST):
        deploy(scene, account=account, AllowUseReport="true")
    scene.promote("dev")
    instance = scene.client("ec2", DEV).run_instances(ImageId=scene.image, MinCount=1, MaxCount=1)["Instances"][0]

    found = scene.ask("where", scene.image, "--use")

    assert uses(found) == {DEV: [f"instance/{instance['InstanceId']}"], TEST: []}
