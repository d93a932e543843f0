"""Parameter Store in a target, on the simulator: a call may be repeated, come late, or end between two others."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from awsim.world import World
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal
from chalicelib.release.aws.parameters import AwsParameters
from chalicelib.release.pointer import IMAGE_TYPE, Intent, Pointer, ShownParameter
from chalicelib.targets.applied_file import Target
from tests.engine.hub_worker import DEV, HUB, REGION, works

NAME = "/golden/base/current"
TAGS = {"ami-promoter:hub", "ami-promoter:source-image"}


class ParameterSetup:
    """A hub and a target with two AMIs; ``before`` is called once, right before the named operation is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.parameters = AwsParameters(Sessions(REGION, time.time, lambda _role, _size: None), "aws")
        self.target = Target(DEV, REGION)
        self.ssm: Any = world.client("ssm", DEV, REGION)
        self.old, self.new = (world.ec2.seed_image(DEV, REGION, name=name) for name in ("old", "new"))
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        world.gateway.before.append(self._before)

    def _before(self, call: Any) -> None:
        if self._waiting and call.operation == self._waiting[0][0]:
            self._waiting.pop(0)[1]()

    def before(self, operation: str, what: Callable[[], None]) -> None:
        """Do this right before the next call of an operation takes effect."""
        self._waiting.append((operation, what))

    def put(self, image: str) -> None:
        """A person writes the parameter."""
        self.ssm.put_parameter(Name=NAME, Value=image, Type="String", DataType=IMAGE_TYPE, Overwrite=True)
        self.passes()

    def passes(self) -> None:
        """Ten minutes pass; AWS has checked what was written by then."""
        self.world.kernel.run(limit=timedelta(minutes=10))

    def pointer(self, image: str, over: str) -> Pointer:
        """A pointer that means to write this AMI over that one."""
        return Pointer(DEV, REGION, NAME, "base", HUB, intent=Intent(image, over, "ami-0123456789abcdef0", 0))

    def shown(self) -> ShownParameter | None:
        """What the adapter reads back."""
        return self.parameters.look(self.target, self.pointer(self.new, ""), [self.new]).shown

    def tags(self) -> set[str]:
        """The keys of the parameter's tags."""
        found = self.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
        return {tag["Key"] for tag in found}


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ParameterSetup]:
    """The service works with the credentials of the worker's role."""
    with World() as world:
        works(world, monkeypatch, tmp_path)
        yield ParameterSetup(world)


class KilledHere(BaseException):
    """The process ends before the call takes effect."""


def kill() -> None:
    """End the process."""
    raise KilledHere


def test_a_parameter_that_was_made_since_the_read_is_kept_and_read_back(scene):
    """Also one that showed late: asked again without that, the worker would ask without end."""
    scene.before("PutParameter", lambda: scene.put(scene.old))

    assert scene.parameters.change(scene.target, scene.pointer(scene.new, over=""))
    assert scene.shown() == ShownParameter(scene.old, IMAGE_TYPE)
    assert not scene.parameters.change(scene.target, scene.pointer(scene.new, over=""))
    assert scene.shown() == ShownParameter(scene.old, IMAGE_TYPE)


@pytest.mark.parametrize("operation", ["AddTagsToResource", "PutParameter"])
def test_a_process_killed_between_tags_and_value_leaves_none_that_is_not_the_hubs(scene, operation):
    """Tags and a new value cannot be given in one call, so there is a moment between the two; a repetition ends it."""
    scene.put(scene.old)
    scene.before(operation, kill)
    with pytest.raises(KilledHere):
        scene.parameters.change(scene.target, scene.pointer(scene.new, over=scene.old))
    scene.passes()
    assert scene.shown() == ShownParameter(scene.old, IMAGE_TYPE)

    assert scene.parameters.change(scene.target, scene.pointer(scene.new, over=scene.old))
    scene.passes()
    assert (scene.shown(), scene.tags()) == (ShownParameter(scene.new, IMAGE_TYPE), TAGS)
    assert scene.ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 2


def test_a_look_at_the_amis_of_a_family_reads_no_others_of_the_account(scene):
    """One that was deregistered long ago, and which EC2 does not have any more, hides none of the others."""
    for number in range(1100):
        scene.world.ec2.seed_image(DEV, REGION, name=f"other-{number}")
    calls = list[str]()
    scene.world.gateway.before.append(lambda call: calls.append(call.operation))
    look = scene.parameters.look(scene.target, scene.pointer(scene.new, ""), [scene.old, scene.new])
    assert (look.available, calls.count("DescribeImages")) == ({scene.old, scene.new}, 1)

    calls.clear()
    gone = [f"ami-{number:017}" for number in range(40)]
    look = scene.parameters.look(scene.target, scene.pointer(scene.new, ""), [scene.old, *gone])
    assert look.available == {scene.old}
    assert calls.count("DescribeImages") < 5, "of those that are gone, EC2 names one a call"
    pending = scene.world.ec2.seed_image(DEV, REGION, name="pending", available_after=10**6)
    look = scene.parameters.look(scene.target, scene.pointer(scene.new, ""), [scene.old, pending, *gone])
    assert look.available == {scene.old}


def test_a_write_that_is_refused_is_a_refusal_and_not_one_that_shows_late(scene):
    """Its fault says who forbids it; only a parameter that exists already is read back."""
    scene.world.injections.refuse("PutParameter", "AccessDeniedException")
    with pytest.raises(Refusal):
        scene.parameters.change(scene.target, scene.pointer(scene.new, over=""))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServiceException"])
def test_a_refusal_of_the_tags_leaves_the_value_that_they_belong_to(scene, code):
    """Else the tags would name another source than the value does, and nobody would write them again."""
    scene.put(scene.old)
    scene.world.injections.refuse("AddTagsToResource", code)
    with pytest.raises(Refusal) as refused:
        scene.parameters.change(scene.target, scene.pointer(scene.new, over=scene.old))
    scene.passes()

    assert scene.shown() == ShownParameter(scene.old, IMAGE_TYPE)
    assert not refused.value.unknown


def test_deleting_a_parameter_twice_is_deleting_it(scene):
    """Its repetition finds what it wanted; somebody may delete it between the read and the call."""
    scene.put(scene.old)
    scene.before("DeleteParameter", lambda: scene.ssm.delete_parameter(Name=NAME))

    assert scene.parameters.change(scene.target, scene.pointer("", over=scene.old))
    assert scene.parameters.change(scene.target, scene.pointer("", over=scene.old))
    assert scene.shown() is None
