"""What an approval covers: what arrives, the value, and the settings that belong to a delivery."""

from dataclasses import dataclass, field, replace

import pytest

from chalicelib.images.arriving import ExaminedSource, kept
from chalicelib.images.image import SourceImage
from chalicelib.targets import approvals
from chalicelib.targets.applied_file import NOT_OF_THE_DELIVERY, Target
from tests.images.examples import an_image, describe_snapshot, describe_volume

AMI, SNAPSHOT = "ami-0aaaaaaaaaaaaaaaa", "snap-0a"
TARGET = Target("222222222222", "us-east-1", approval="required", source_tags=("os", "build:*"))
SOURCE = an_image([describe_snapshot(SNAPSHOT)], BlockDeviceMappings=[describe_volume("/dev/xvda", SNAPSHOT)])


def digest(source: SourceImage = SOURCE, value: str = "prod", target: Target = TARGET) -> str:
    """The digest of an approval."""
    return approvals.digest_of(AMI, ExaminedSource(kept(source, "promote")), value, target)


def snapshot(**changes) -> SourceImage:
    """The source with another snapshot."""
    return replace(SOURCE, snapshots=(replace(SOURCE.snapshots[0], **changes),))


@pytest.mark.parametrize(
    "change",
    [
        {"source": replace(SOURCE, tags={"os": "linux"})},
        {"source": replace(SOURCE, tags={"build:id": "7"})},
        {"source": replace(SOURCE, description="hardened")},
        {"source": replace(SOURCE, deprecation_time="2030-01-01T00:00:00.000Z")},
        {"source": replace(SOURCE, imds_support="v2.0")},
        {"source": snapshot(tags={"os": "linux"})},
        {"source": snapshot(description="of a volume")},
        {"source": snapshot(id="snap-0b")},
        {"value": "prod dev"},
        {"target": replace(TARGET, tags={"cost": "more"})},
        {"target": replace(TARGET, source_tags=("os",))},
    ],
)
def test_an_approval_is_for_all_that_arrives_the_value_and_the_settings(change):
    """Each of these makes it another question."""
    assert digest(**change) != digest()


@pytest.mark.parametrize(
    "source",
    [
        replace(SOURCE, tags={"promote": "anything", "owner": "me", "ami-promoter:hub": "1", "aws:ec2:x": "y"}),
        replace(SOURCE, state="deprecated", state_reason="because"),
        snapshot(tags={"owner": "me"}, storage_tier="archive"),
    ],
)
def test_what_does_not_arrive_is_in_no_digest(source):
    """Tags that the target does not accept, the trigger tag, and states."""
    assert digest(source) == digest()


def test_an_approver_is_asked_only_about_the_targets_that_need_an_approval():
    """Another target of the same value waits for nobody."""
    free = Target("333333333333", "us-east-1")
    asked = approvals.question(AMI, ExaminedSource(kept(SOURCE, "promote")), "prod", [TARGET, free])
    assert asked.targets == {TARGET.place: digest()}


def test_only_the_tags_that_ec2_shows_arrive_where_the_ami_itself_is_shared():
    """Nobody but the hub sees the others there."""
    shared = replace(TARGET, mode="share", source_tags=("*",))
    assert digest(replace(SOURCE, tags={"os": "linux"}), target=shared) == digest(target=shared)
    assert digest(replace(SOURCE, tags={"ec2:SharedTag/os": "linux"}), target=shared) != digest(target=shared)


@pytest.mark.parametrize("others_at", [500, 1500])
def test_one_approvers_word_is_enough_whatever_another_approved_before_or_after(others_at):
    """Approvals come with the newest last."""
    mine = approvals.Approval("p", "d", at=1000, until=2000, by="jane")
    other = approvals.Approval("p", "x", at=others_at, until=2000, by="eve")
    given = sorted((mine, other), key=lambda one: one.at)

    assert approvals.allowing(given, "d", 1600) == mine


@dataclass(frozen=True, slots=True)
class Later(Target):
    """A target of a later version, with a setting that changes nothing of a delivery, and one that does."""

    color: str = field(default="", metadata=NOT_OF_THE_DELIVERY)
    beside: str = ""


def test_a_setting_that_changes_nothing_of_a_delivery_is_in_no_digest():
    """A setting belongs to the digest unless it says otherwise."""
    later = Later("222222222222", "us-east-1")
    assert digest(target=replace(later, color="red", name="dev")) == digest(target=later)
    assert digest(target=replace(later, beside="x")) != digest(target=later)
