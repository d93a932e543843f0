"""What the simulator's IAM passes on of its decisions."""

import json

import pytest

from awsim.api import AwsError, Caller
from awsim.iam.policy import ControlKind
from awsim.world import World
from iam_words import DEV, allow, attach_control_policy, document

TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
QUEUE = "arn:aws:sqs:us-east-1:222222222222:dead-letters"


def test_each_role_that_is_allowed_is_passed_on_also_after_others_are_gone() -> None:
    """Python gives the id of a role that is gone to the next one: that one is another role all the same."""
    passed_on: list[str | None] = []
    with World() as world:
        world.iam.on_allow.append(lambda caller, _action, _sid: passed_on.append(caller.role_arn))
        for number in range(50):
            name = f"role-{number}"
            policy = {"Statement": [allow("sqs:SendMessage") | {"Sid": "Send"}]}
            arn = world.iam.put_role("222222222222", name, TRUST, {"only": policy}).arn
            caller = Caller("222222222222", f"arn:aws:sts::222222222222:assumed-role/{name}/run", "", role_arn=arn)
            assert world.iam.decide(caller, "sqs:SendMessage", QUEUE, region="us-east-1").allowed
            world.iam.roles.drop(arn)

    assert len(set(passed_on)) == 50


@pytest.mark.parametrize(("kind", "longest"), [("service", 10_240), ("resource", 5_120)])
def test_a_control_policy_is_refused_only_beyond_the_limit_of_its_kind(kind: ControlKind, longest: int) -> None:
    """White space does not count."""
    bare = json.dumps(document(allow("ec2:*", Sid="", Effect="Deny")), separators=(",", ":"))
    fitting = document(allow("ec2:*", Sid="x" * (longest - len(bare)), Effect="Deny"))
    longer = document(allow("ec2:*", Sid="x" * (longest - len(bare) + 1), Effect="Deny"))
    with World() as world:
        attach_control_policy(world, DEV, fitting, kind)
        with pytest.raises(AwsError, match="exceeded the maximum policy size"):
            attach_control_policy(world, DEV, longer, kind)
