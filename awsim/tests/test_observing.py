"""What a test can observe in a simulator without changing it; and a bus that admits an organization."""

import pytest

from awsim.moto_backend import Tables
from awsim.services.buses import RuleTarget
from platform_words import DEV, HERE, OPS, PROD, a_rule, wait

TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}}
MAY_PUT = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}}


def test_every_answer_is_shown_to_who_watches(world):
    """As sent, refusals included."""
    seen = []
    world.gateway.answered.append(lambda call, answer: seen.append((call.operation, call.error, answer[0])))
    table = world.client("dynamodb", OPS)
    name = {"AttributeName": "pk", "AttributeType": "S"}
    table.create_table(
        TableName="t",
        AttributeDefinitions=[name],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="t", Item={"pk": {"S": "a"}, "n": {"N": "1"}})
    with pytest.raises(table.exceptions.ConditionalCheckFailedException):
        table.put_item(TableName="t", Item={"pk": {"S": "a"}}, ConditionExpression="attribute_not_exists(pk)")

    assert [what for what, *_ in seen] == ["CreateTable", "PutItem", "PutItem"]
    assert [status for *_, status in seen] == [200, 200, 400]
    assert Tables().item(OPS, HERE, "t", {"pk": {"S": "a"}}) == {"pk": {"S": "a"}, "n": {"N": "1"}}
    assert Tables().item(OPS, HERE, "t", {"pk": {"S": "b"}}) == {}


def test_a_bus_can_admit_the_accounts_of_an_organization(world):
    """With aws:PrincipalOrgID: events of its accounts arrive; others can name the bus, and their events are lost."""
    made = world.organizations.create("900000000000")
    world.organizations.add_account(made, DEV)
    bus = world.events.create(OPS, HERE, "inbound")
    condition = {"StringEquals": {"aws:PrincipalOrgID": made.id}}
    admits = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus.arn}
    bus.policy = {"Version": "2012-10-17", "Statement": [{**admits, "Condition": condition}]}

    role = world.iam.put_role(DEV, "forward", TRUST, {"put": MAY_PUT}).arn
    a_rule(world, {"source": ["aws.ec2"]}, RuleTarget("bus", bus.arn, role), account=DEV)
    world.events.emit(DEV, HERE, "aws.ec2", "EBS Snapshot Notification", ["snap"], {"event": "copySnapshot"})
    wait(world, 10)
    assert [event["account"] for arn, event in world.events.seen if arn == bus.arn] == [DEV]

    other = world.iam.put_role(PROD, "forward", TRUST, {"put": MAY_PUT}).arn
    a_rule(world, {"source": ["aws.ec2"]}, RuleTarget("bus", bus.arn, other), account=PROD)
    world.events.emit(PROD, HERE, "aws.ec2", "EBS Snapshot Notification", ["snap"], {"event": "copySnapshot"})
    wait(world, 10)
    assert [event["account"] for arn, event in world.events.seen if arn == bus.arn] == [DEV]
