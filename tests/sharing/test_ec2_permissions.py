"""Launch permissions of the hub's AMIs, on the simulator's EC2."""

from typing import Any

import pytest

from awsim.world import World
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing.aws.ec2_permissions import LaunchPermissions
from chalicelib.sharing.share import Share
from tests.engine.hub_worker import DEV, HUB, REGION, RootSessions


def test_a_full_quota_of_receivers_is_cured_by_a_higher_one_or_by_an_ou():
    """It has nothing to do with copies that run, and nothing opens by itself later."""
    with World() as world:
        image = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,))
        sessions: Any = RootSessions(world)
        resource = addresses.image_resource(image).pk
        world.injections.refuse("ModifyImageAttribute", "ResourceLimitExceeded", n=9)

        with pytest.raises(Refusal) as full:
            LaunchPermissions(sessions, "the hub").open(resource, [Share(resource, DEV, DEV)])

    assert (full.value.kind, full.value.fault.code) == (RefusalKind.LIMIT, "aws-ResourceLimitExceeded")
    assert "`launch_permission: group`" in full.value.fault.cure
    assert "copy" not in full.value.fault.cure
