"""The verb ``clean-up``: a target's own administrator removes what is superseded there, and nothing that is used."""

import io
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ami_promoter.rights import CLEAN_UP
from awsim.api import AwsError, Call
from awsim.services.ec2.snapshots import IN_USE
from tests.scenarios.platform import pace
from tests.scenarios.pointers import FAMILY, NAME, shows, successor, with_pointers
from tests.scenarios.scene import DEV, HOUR, REGION, Scene
from tools.cli_policies import policy

OK, FAULT, AWS, UNFINISHED = 0, 1, 3, 4


@pytest.fixture
def as_admin(become: Callable[..., object]) -> Any:
    """Go on as a principal of DEV with just the verb's rights, without some, or without them on ``resource``."""

    def as_admin(*without: str, resource: str = "*") -> None:
        allowed = policy([CLEAN_UP])
        if without:
            allowed["Statement"].append({"Effect": "Deny", "Action": list(without), "Resource": resource})
        become(allowed, DEV)

    return as_admin


@pytest.fixture
def three(scene: Scene) -> list[str]:
    """Three releases of a family stand in DEV, oldest first; the parameter names the last, others are deprecated."""
    with_pointers(scene)
    scene.promote("dev")
    sources = [scene.image]
    for month in ("02", "03"):
        sources.append(successor(scene, f"golden-2026-{month}"))
        scene.promote("dev", sources[-1])
    copies = [copy_of(scene, source) for source in sources]
    assert shows(scene) == copies[-1]
    for image in copies[:-1]:
        deprecate(scene, image)
    scene.wait(120)
    return copies


def copy_of(scene: Scene, source: str) -> str:
    """DEV's copy of a source."""
    tag = [{"Name": "tag:ami-promoter:source-image", "Values": [source]}]
    (found,) = scene.client("ec2", DEV).describe_images(Owners=["self"], Filters=tag)["Images"]
    return str(found["ImageId"])


def deprecate(scene: Scene, image: str) -> None:
    """From the next minute on."""
    at = (scene.world.now + timedelta(minutes=1)).isoformat()
    scene.client("ec2", DEV).enable_image_deprecation(ImageId=image, DeprecateAt=at)


def clean_up(scene: Scene, *words: str) -> tuple[int, dict[str, Any]]:
    """Run it for a program."""
    return scene.answer("admin", "clean-up", *words)


def images(scene: Scene) -> set[str]:
    """The AMIs that DEV owns."""
    found = scene.client("ec2", DEV).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    return {one["ImageId"] for one in found if one["State"] == "available"}


def snapshots(scene: Scene) -> set[str]:
    """The snapshots that DEV owns."""
    return {one["SnapshotId"] for one in scene.client("ec2", DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"]}


def test_what_is_superseded_goes_and_what_is_used_stays(scene, three, as_admin):
    """With just the rights that it names, and without the hub: the tags say family and age."""
    first, second, newest = three
    ec2 = scene.client("ec2", DEV)
    (tags,) = (one["Tags"] for one in ec2.describe_images(ImageIds=[first])["Images"])
    (source,) = scene.client("ec2").describe_images(ImageIds=[scene.image])["Images"]
    named = {tag["Key"]: tag["Value"] for tag in tags}
    assert named["ami-promoter:family"] == FAMILY
    assert named["ami-promoter:source-created"] == source["CreationDate"]
    data = {"LaunchTemplateData": {"ImageId": second}}
    template = ec2.create_launch_template(LaunchTemplateName="web", **data)["LaunchTemplate"]["LaunchTemplateId"]
    for _ in range(12):
        ec2.create_launch_template_version(
            LaunchTemplateId=template, LaunchTemplateData={"ImageId": f"resolve:ssm:{NAME}"}
        )
    before = snapshots(scene)
    as_admin()

    status, found = clean_up(scene, "--dry-run")
    assert (status, [one["image"] for one in found["removable"]], found["removed"]) == (OK, [first], [])
    assert {one["image"]: one["why"] for one in found["kept"]} == {
        second: "something names it",
        newest: "it is the newest of its family",
    }
    assert [one["named_by"] for one in found["kept"] if one["image"] == second] == [
        [f"arn:aws:ec2:{REGION}:{DEV}:launch-template/{template}"]
    ]
    assert found["usd_month"] == round(found["removable"][0]["gib"] * 0.05, 4) > 0
    status, out, err = scene.cli("admin", "clean-up")
    assert (status, "--yes" in err, "an estimate" in out) == (FAULT, True, True), out + err
    assert images(scene) == set(three)

    status, found = clean_up(scene, "--yes")
    assert (status, found["removed"]) == (OK, [first])
    assert images(scene) == {second, newest}
    assert before - snapshots(scene) == set(found["removable"][0]["snapshots"])
    assert clean_up(scene, "--yes")[1]["removable"] == []
    assert "Nothing can be removed in account" in scene.cli("admin", "clean-up", "--family", "other")[1]
    assert shows(scene) == newest


def test_a_removal_that_stops_between_two_calls_goes_on_when_it_is_run_again(scene, three, as_admin):
    """A refused call stands for a process that ends there: nothing is lost, and nothing stays behind.

    Each run goes on after the one before, and stops at a later call.
    """
    for stops_at in (
        "ec2:CreateTags",
        "ec2:DisableImageDeregistrationProtection",
        "ec2:DeregisterImage",
        "ec2:DeleteSnapshot",
    ):
        as_admin(stops_at)
        status, found = clean_up(scene, "--yes")
        assert (status, found["removed"]) == (UNFINISHED, []), stops_at

    as_admin()
    status, found = clean_up(scene, "--yes")

    assert status == OK
    assert images(scene) == set(three[-1:])
    assert snapshots(scene) == set(scene.snapshots_of(three[-1], DEV))
    assert scene.cli("admin", "clean-up")[1].endswith(f"Nothing can be removed in account {DEV}, {REGION}.\n")


def test_a_session_that_ends_is_said_once(scene, three, as_admin):
    """No AMI after that can be removed either; each was asked about, and refused, alone.

    Nor does a snapshot keep others that cannot be deleted: EC2 refuses to delete a locked one for years, and the others
    of its AMI go, now and if a run was stopped.
    """
    as_admin()

    def ends(call: Call) -> None:
        if call.operation == "DeregisterImage":
            scene.world.gateway.before.append(refused)

    def refused(_call: Call) -> None:
        raise AwsError("RequestExpired", "Request has expired.")

    scene.world.gateway.before.append(ends)
    status, found = clean_up(scene, "--yes")

    assert (status, len(found["removable"]), found["removed"]) == (UNFINISHED, 2, [])
    assert ["sign in again" in one["cure"] for one in found["not_removed"]] == [True]

    before = scene.world.gateway.before
    before[:] = [one for one in before if one not in (ends, refused)]
    locked, other = scene.snapshots_of(three[0], DEV)
    as_admin("ec2:DeleteSnapshot")
    assert clean_up(scene, "--yes")[0] == UNFINISHED
    assert {locked, other} <= snapshots(scene)
    as_admin("ec2:DeleteSnapshot", resource=f"arn:aws:ec2:*::snapshot/{locked}")
    status, found = clean_up(scene, "--yes")
    assert (status, [locked in one["what"] for one in found["not_removed"]]) == (UNFINISHED, [True])
    assert {locked, other} & snapshots(scene) == {locked}


class ActingTerminal(io.StringIO):
    """A person who does something before the answer."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, _size: int = -1) -> str:
        self._meanwhile()
        return "y\n"


def launch_the_first(scene: Scene, three: list[str]) -> None:
    scene.client("ec2", DEV).run_instances(ImageId=three[0], MinCount=1, MaxCount=1)


def deregister_the_newest(scene: Scene, three: list[str]) -> None:
    scene.deregister(DEV, three[2])


@pytest.mark.parametrize(
    ("act", "why", "left"),
    [(launch_the_first, "something names it", (0, 2)), (deregister_the_newest, "it is the newest of its family", (1,))],
)
@pytest.mark.thorough
def test_a_copy_that_is_used_or_the_newest_when_the_person_answers_stays(
    scene, three, as_admin, monkeypatch, act, why, left
):
    """The answer is about what was listed; each AMI is looked at once more before it goes."""
    as_admin()
    monkeypatch.setattr(sys, "stdin", ActingTerminal(partial(act, scene, three)))

    status, out, _ = scene.cli("admin", "clean-up")

    assert (status, why in out) == (UNFINISHED, True)
    assert images(scene) == {three[at] for at in left}


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.thorough
def test_a_snapshot_that_another_ami_uses_when_the_person_answers_stays(scene, three, as_admin, monkeypatch, left):
    """EC2 promises to refuse that for root snapshots only; also of one that a clean-up left behind."""
    first, *_ = three
    ec2 = scene.client("ec2", DEV)
    (image,) = ec2.describe_images(ImageIds=[first])["Images"]
    devices = [
        {"DeviceName": one["DeviceName"], "Ebs": {"SnapshotId": one["Ebs"]["SnapshotId"]}}
        for one in image["BlockDeviceMappings"]
        if "Ebs" in one
    ]
    if left:
        as_admin("ec2:DeleteSnapshot")
        assert clean_up(scene, "--yes")[0] == UNFINISHED
    as_admin()
    register = partial(
        ec2.register_image, Name="mine", BlockDeviceMappings=devices, RootDeviceName=image["RootDeviceName"]
    )
    monkeypatch.setattr(sys, "stdin", ActingTerminal(register))

    with scene.world.rules.off(IN_USE):
        status, _, _ = scene.cli("admin", "clean-up")

    assert status == OK
    assert {one["Ebs"]["SnapshotId"] for one in devices} <= snapshots(scene)
    assert first not in images(scene)


@pytest.mark.thorough
def test_a_protection_with_a_cooldown_is_said_and_the_next_run_goes_on(scene, three, as_admin):
    """Its owner asked for it; the other copy goes."""
    first, second, newest = three
    scene.client("ec2", DEV).enable_image_deregistration_protection(ImageId=first, WithCooldown=True)
    as_admin()

    status, found = clean_up(scene, "--yes")
    assert (status, found["removed"]) == (UNFINISHED, [second])
    (fault,) = found["not_removed"]
    assert (fault["where"], "cooldown" in fault["what"]) == (first, True)
    assert clean_up(scene, "--yes")[0] == UNFINISHED

    pace(scene, "discover", 60)  # nothing is to be found meanwhile
    scene.wait(25 * HOUR)
    as_admin()
    assert clean_up(scene, "--yes")[1]["removed"] == [first]
    assert images(scene) == {newest}


@pytest.mark.thorough
def test_what_the_hub_retires_its_administrator_can_remove(scene, as_admin):
    """From the setting by way of the daily look to the list, and then to the removal; a rollback works until then."""
    with_pointers(scene, retire={"keep": 1, "after": "2d"})
    scene.promote("dev")
    second = successor(scene)
    scene.promote("dev", second)
    third = successor(scene, "golden-2026-03")
    scene.promote("dev", third)
    before = scene.notices()
    assert "No copy is retired" in scene.cli("status", "--retired")[1]
    copies = {source: copy_of(scene, source) for source in (scene.image, second, third)}

    for function in ("discover", "sweep"):
        pace(scene, function, 60)
    scene.wait(73 * HOUR)
    pace(scene, "sweep", 1)
    found = scene.ask("status", "--retired")
    assert [one["image"] for one in found["retired"]] == [copies[scene.image], copies[second]]
    assert [one for one in scene.notices()[len(before) :] if "delivery" in one] == []
    called = [call.operation for call in scene.world.calls if call.operation == "EnableImageDeprecation"]
    assert len(called) == 2
    assert scene.cli("report", "-o", str(scene._directory / "page.html"))[0] == OK
    assert scene.cli("verify", second)[0] == OK
    assert "superseded and deprecated" in scene.cli("status", second)[1]
    assert "2 images removable" in (scene._directory / "page.html").read_text(encoding="utf-8")
    assert scene.cli("rollback", FAMILY, "--account", DEV, "--yes")[0] == OK
    scene.wait(600)
    assert shows(scene) == copies[second]
    (current,) = scene.client("ec2", DEV).describe_images(ImageIds=[copies[second]])["Images"]
    assert "DeprecationTime" not in current
    assert scene.cli("verify", second)[0] == OK

    as_admin()
    assert clean_up(scene, "--yes")[1]["removed"] == [copies[scene.image]]
    assert images(scene) == {copies[second], copies[third]}


@pytest.mark.thorough
def test_a_copy_that_a_parameter_of_any_data_type_names_stays(scene, three, as_admin, monkeypatch):
    """EC2 may list references from parameters of the data type `aws:ec2:image` only; one of `text` is used as well.

    One that is written while the person thinks counts, and nothing goes if a parameter may not be read.
    """
    first, second, newest = three
    put = partial(scene.client("ssm", DEV).put_parameter, Name="/app/ami", Type="String", Overwrite=True)
    for number in range(11):
        put(Name=f"/other/{number}", Value="ami-0aaaaaaaaaaaaaaaa")
    put(Value=f"web={first}")
    as_admin()

    status, found = clean_up(scene, "--dry-run")
    assert (status, [one["image"] for one in found["removable"]]) == (OK, [second])
    assert {one["image"]: one["named_by"] for one in found["kept"]}[first] == [
        f"arn:aws:ssm:{REGION}:{DEV}:parameter/app/ami"
    ]
    as_admin("ssm:GetParameters", resource="arn:aws:ssm:*:*:parameter/app/*")
    assert scene.cli("admin", "clean-up", "--yes")[0] == AWS
    assert images(scene) == set(three)

    as_admin()
    monkeypatch.setattr(sys, "stdin", ActingTerminal(partial(put, Value=f"web={second}")))
    status, out, _ = scene.cli("admin", "clean-up")
    assert (status, "something names it" in out) == (UNFINISHED, True)
    assert images(scene) == set(three)
    assert clean_up(scene, "--yes")[1]["removed"] == [first]
    assert images(scene) == {second, newest}


@pytest.mark.thorough
def test_a_snapshot_without_the_hubs_tag_stays(scene, three, as_admin):
    """Its owner took the tag off: the AMI goes without it."""
    own = scene.snapshots_of(three[0], DEV)[0]
    scene.client("ec2", DEV).delete_tags(Resources=[own], Tags=[{"Key": "ami-promoter:hub"}])
    as_admin()

    status, found = clean_up(scene, "--yes")

    assert (status, found["removed"]) == (OK, three[:2])
    assert own in snapshots(scene)
