from tests.scenarios.test_revoke import *
from tests.scenarios.scene import *
def test_a(scene):
    """x."""
    scene.apply(SHORT)
    scene.watch.may_close_blind = True
    scene.world.ec2.pace.copy = 1200
    scene.tag("")
    scene.run_until(lambda: len(scene.live_copies()) == 2)
    name = {"pk": {"S": f"delivery#{scene.delivery(DEV)['id']}"}, "sk": {"S": "record"}}
    scene.client("dynamodb").update_item(
        TableName="ami-promoter-us-east-1", Key=name, UpdateExpression="SET body = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{}"}},
    )
    scene.run_until(lambda: not scene.world.shares_open(), 2 * 3600)
    scene.wait(60)
    print("X", scene.world.now, [m for i in scene.world.lambda_.invocations for m in i.metrics if "Blind" in str(m) or "Parked" in str(m)])
    print("X", [l for i in scene.world.lambda_.invocations for l in i.log.splitlines() if "blind" in l or "parked" in l])
    print(scene.describe())
def test_b(scene):
    scene.apply(stage.TARGETS_FILE.replace("groups:", "  queue_deadline: 5m\ngroups:", 1))
    scene.world.iam.roles.drop(ROLE)
    scene.promote("", seconds=1800)
    print("X", scene.delivery(DEV)["faults"], scene.notices("delivery.failed"))
