"""Launch permissions of the hub's AMIs, on the simulator's EC2."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from awsim.world import World
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.places import Resource
from chalicelib.sharing.aws.ec2_permissions import LaunchPermissions
from chalicelib.sharing.share import Share
from tests.engine.hub_worker import DEV, HUB, REGION, RootSessions


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A simulator; a region of the environment must not count."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    with World() as world:
        yield world


def of_an_ami(world: World) -> tuple[LaunchPermissions, list[Share]]:
    """The permission adapter, and a share of an available AMI."""
    image = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,))
    sessions: Any = RootSessions(world)
    resource = addresses.image_resource(image).pk
    return LaunchPermissions(sessions, "the hub"), [Share(resource, DEV, DEV)]


@pytest.mark.parametrize(
    ("code", "kind", "cure"),
    [
        ("ResourceLimitExceeded", RefusalKind.LIMIT, "`launch_permission: group`"),
        ("UnauthorizedOperation", RefusalKind.DENIED, "Deploy this version's templates"),
    ],
)
def test_a_refused_permission_says_what_cures_it(world, code, kind, cure):
    """A full quota of receivers has nothing to do with copies that run, and nothing opens by itself later."""
    adapter, shares = of_an_ami(world)
    world.injections.refuse("ModifyImageAttribute", code, n=9)

    with pytest.raises(Refusal) as refused:
        adapter.open(shares)

    assert (refused.value.kind, refused.value.fault.code) == (kind, f"aws-{code}")
    assert cure in refused.value.fault.cure
    assert "copy" not in refused.value.fault.cure


@pytest.mark.parametrize("disabled", [False, True])
def test_an_ami_that_a_late_look_still_shows_as_available_is_gone_and_a_disabled_one_is_not(world, disabled):
    """Its share closes with it. A disabled AMI may be enabled again, so its permission must be seen to be gone."""
    adapter, shares = of_an_ami(world)
    if disabled:
        world.client("ec2", HUB, REGION).disable_image(ImageId=Resource.parse(shares[0].resource).name)
        world.kernel.run(limit=timedelta(minutes=5))
    world.injections.refuse("ModifyImageAttribute", "InvalidAMIID.Unavailable")

    assert adapter.close(shares) is not disabled


@pytest.mark.parametrize("there", [False, True])
def test_a_removal_that_is_refused_is_over_where_nothing_shows(world, there):
    """EC2 removes the launch permissions of a disabled AMI, and then refuses to change them."""
    adapter, shares = of_an_ami(world)
    if there:
        adapter.open(shares)
    world.injections.refuse("ModifyImageAttribute", "OperationNotPermitted")

    with pytest.raises(Refusal) if there else nullcontext():
        assert adapter.close(shares) is False


def test_a_throttled_removal_is_not_followed_by_another_call(world):
    """The account has too many already; the removal is tried again later."""
    adapter, shares = of_an_ami(world)
    world.injections.refuse("ModifyImageAttribute", "RequestLimitExceeded", n=9)
    with pytest.raises(Refusal) as throttled:
        adapter.close(shares)

    assert throttled.value.kind is RefusalKind.THROTTLED
    assert {call.operation for call in world.calls} == {"ModifyImageAttribute"}
