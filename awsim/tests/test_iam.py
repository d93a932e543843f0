"""What the simulator's IAM passes on of its decisions."""

from awsim.api import Caller
from awsim.world import World
from iam_words import allow

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
