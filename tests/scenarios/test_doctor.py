"""``doctor`` names what blocks promotions, with a cure, before an AMI is missing."""

import json
from datetime import UTC, datetime

import pytest

from ami_promoter.reconcile.doctor_checks import OPEN
from demo import stage
from tests.scenarios.monitoring import MONITOR, monitored
from tests.scenarios.platform import ROOT, alarmed, hub_checks
from tests.scenarios.scene import DEV, HUB, PROD, REGION, TEST

NOTICES = f"arn:aws:sns:{REGION}:{HUB}:ami-promoter-{REGION}-notices"
ALARMS = f"arn:aws:sns:{REGION}:{HUB}:{stage.ALARMS}"
START = datetime(2026, 1, 5, tzinfo=UTC)
COUNTED = {
    "Namespace": "AmiPromoter",
    "Dimensions": [["service"]],
    "Metrics": [{"Name": "Sweeps"}, {"Name": "Discoveries"}],
}
HEARTBEAT = json.dumps(
    {"_aws": {"CloudWatchMetrics": [COUNTED]}, "service": "ami-promoter", "Sweeps": [1.0], "Discoveries": [1.0]}
)
"""A log line that counts as a run of the sweep, as it did once, and as one of discovery."""
HEALTHY, FAULT, USAGE, NOT_SEEN, SICK = 0, 1, 2, 4, 5


@pytest.fixture
def scene(scene):
    """The notices and the alarms have a subscriber: otherwise these checks fail."""
    scene.client("sqs").create_queue(QueueName="team")
    arn = f"arn:aws:sqs:{REGION}:{HUB}:team"
    for topic in (NOTICES, ALARMS):
        scene.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return scene


def doctor(scene, *words):
    """Run it; return exit status, and the checks that did not pass by (where, check)."""
    status, reported = scene.answer("doctor", *words)
    bad = {(one["where"], one["check"]): one for one in reported.get("findings", ()) if one["passed"] is not True}
    return status, bad, reported


def test_a_healthy_hub(scene):
    """Every check passes; each target of the file has answered, and where an AMI went, an event came back."""
    scene.promote(DEV)

    status, bad, reported = doctor(scene)

    assert (status, bad, reported["healthy"]) == (HEALTHY, {}, True)
    asked = {one["where"] for one in reported["findings"] if one["check"] == "target"}
    assert asked == {f"{account}/{REGION}" for account in (DEV, TEST, PROD)}
    last = {one["where"]: one["what"] for one in reported["findings"] if one["check"] == "forwarding"}
    assert {where for where, what in last.items() if "the last event arrived 2026" in what} == {f"{DEV}/{REGION}"}
    warned = {one["what"].partition(":")[0] for one in reported["findings"] if one["check"] == "open-defaults"}
    assert warned == set(OPEN)
    assert [one["cure"] for one in reported["findings"] if one["check"] == "public-images"] == [""]
    said = scene.cli("doctor", "--hub-only")[1]
    assert f"Checked account {HUB}, {REGION}.\n" in said
    assert "All checks passed, with warnings." in said
    scene.assert_invariants()


def test_it_warns_where_no_access_monitor_is_deployed_and_compares_its_parameters(scene):
    """A hub without it is a choice; a monitor that looks at another tag than the hub judges wrongly."""

    def found() -> tuple[bool | None, bool]:
        ((passed, _, cure),) = hub_checks(scene, "access-monitor")
        return passed, bool(cure)

    assert found() == (True, True)
    monitored(scene)
    assert found() == (True, False)
    scene.world.deploy(ROOT / stage.MONITOR_TEMPLATE, HUB, REGION, MONITOR, {"TriggerTagKey": "ship"})
    assert found() == (False, True)


def test_a_target_without_the_role(scene):
    """Cause and cure, before anything is promoted there; with one target named, others are not asked.

    A person reads what is wrong first, then the targets that are well, with the names of their checks; with --wide all
    that was seen.
    """
    scene.drop_role(TEST)

    status, bad, _ = doctor(scene)

    assert (status, bad.keys()) == (SICK, {(f"{TEST}/{REGION}", "target")})
    assert "AmiCopyRole" in bad[f"{TEST}/{REGION}", "target"]["what"]
    assert doctor(scene, "--account", DEV)[0] == HEALTHY
    assert doctor(scene, "--group", "dev")[0] == SICK
    assert doctor(scene, "--group", "prod")[0] == HEALTHY

    lines = scene.cli("doctor")[1].splitlines()
    wide = scene.cli("doctor", "--wide")[1]

    assert lines[1] == f"FAILED  {TEST} {REGION}: target"
    assert (
        "    target, template, key, key-policy, forwarding, settings, copy-quota"
        in lines[lines.index(f"passed  2 targets ({DEV} {REGION}, {PROD} {REGION})") :]
    )
    assert "EBS encryption by default is off" in wide
    assert "EBS encryption by default is off" not in "\n".join(lines)


def test_what_an_operator_left(scene):
    """Paused, a worker's queue switched off, topics without subscribers, the key of what is under way disabled.

    Each has the command that helps. That AMIs may be made public is a warning.
    """
    scene.begin_copies(DEV, 7200)
    scene.client("kms").disable_key(KeyId=scene.key)
    scene.client("ec2").disable_image_block_public_access()
    scene.cli("admin", "pause", "--why", "KMS outage")
    mapping = scene.client("lambda").list_event_source_mappings(FunctionName=f"ami-promoter-{REGION}-share-worker")
    (source,) = mapping["EventSourceMappings"]
    scene.client("lambda").update_event_source_mapping(UUID=source["UUID"], Enabled=False)
    sns = scene.client("sns")
    for topic in (NOTICES, ALARMS):
        for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
            sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    scene.wait(120)

    status, bad, reported = doctor(scene, "--hub-only")

    found = {("hub", name) for name in ("pause", "workers", "notices", "alarms", "source-key")}
    assert (status, bad.keys()) == (SICK, found)
    assert "KMS outage" in bad["hub", "pause"]["what"]
    assert f"--uuid {source['UUID']} --enabled" in bad["hub", "workers"]["cure"]
    assert f"aws sns subscribe --topic-arn {NOTICES} " in bad["hub", "notices"]["cure"]
    assert f"aws sns subscribe --topic-arn {ALARMS} " in bad["hub", "alarms"]["cure"]
    assert f"aws kms enable-key --region {REGION} --key-id {scene.key}" in bad["hub", "source-key"]["cure"]
    (public,) = (one for one in reported["findings"] if one["check"] == "public-images")
    assert (public["passed"], "enable-image-block-public-access" in public["cure"]) == (True, True)
    assert REGION in public["cure"]


def test_a_function_that_nothing_runs_is_found_before_anything_waits_for_it(scene):
    """Somebody stopped the share worker and the sweep's rule: nothing would close. Each has the command that helps."""
    share_worker, events = f"ami-promoter-{REGION}-share-worker", scene.client("events")
    scene.client("lambda").put_function_concurrency(FunctionName=share_worker, ReservedConcurrentExecutions=0)
    (sweep,) = (one["Name"] for one in events.list_rules()["Rules"] if one["Name"].startswith("ami-promoter-Sweep"))
    events.disable_rule(Name=sweep)

    status, bad, _ = doctor(scene, "--hub-only")

    assert (status, bad.keys()) == (SICK, {("hub", "functions"), ("hub", "schedules")})
    stopped, disabled = bad["hub", "functions"], bad["hub", "schedules"]
    assert "`share-worker`" in stopped["what"]
    assert f"delete-function-concurrency --region {REGION} --function-name {share_worker}" in stopped["cure"]
    assert f"aws events enable-rule --region {REGION} --name {sweep}" in disabled["cure"]


def test_a_sweep_that_stands_still(scene):
    """The finding names records that are long overdue."""
    scene.begin_copies(DEV, 7200)
    for name in ("sweep", "worker", "discover"):
        scene.client("lambda").put_function_concurrency(
            FunctionName=f"ami-promoter-{REGION}-{name}", ReservedConcurrentExecutions=0
        )
    scene.wait(3600)

    _, bad, _ = doctor(scene, "--hub-only")

    assert f"delivery#{scene.delivery(DEV)['id']}" in bad["hub", "overdue"]["what"]
    assert "get-function-concurrency" in bad["hub", "overdue"]["cure"]


def test_a_new_accounts_quota_is_too_small_for_the_defaults(scene):
    """Ten for all functions: the defaults ask for 30 and 10. The command says what fits; with that, all is well."""
    scene.world.lambda_.quota = 10
    status, bad, _ = doctor(scene, "--hub-only")

    assert (status, bad.keys()) == (SICK, {("hub", "concurrency")})
    assert "30 of `worker` and 10 of `share-worker`" in bad["hub", "concurrency"]["what"]
    assert "MaximumConcurrency=4 and ShareConcurrency=2" in bad["hub", "concurrency"]["cure"]

    for source in scene.world.lambda_.sources.values():
        source.concurrency = 2 if source.function.name.endswith("share-worker") else 4
    assert doctor(scene, "--hub-only")[0] == 0
    scene.promote("dev")
    scene.assert_delivered(DEV, TEST)


def test_what_may_not_be_read_is_not_called_well(scene, become):
    """No check failed, and some could not be made: an exit status of its own, and the missing permissions."""
    from ami_promoter.rights import ASK_TARGETS, READ_ALL  # noqa: PLC0415 - used here alone
    from tools.cli_policies import policy  # noqa: PLC0415 - used here alone

    become(policy([READ_ALL, ASK_TARGETS]))

    status, bad, _ = doctor(scene, "--hub-only")

    assert status == NOT_SEEN
    unseen = {
        "workers",
        "functions",
        "schedules",
        "concurrency",
        "dead-letters",
        "notices",
        "alarms",
        "open-defaults",
        "writers",
        "public-images",
    }
    assert bad.keys() == {("hub", name) for name in unseen | {"access-monitor"}}


def test_events_that_are_not_forwarded(scene):
    """A disabled rule, a missing one, one with another target: each with its cure; a target without any is accepted."""
    copies, images = (f"ami-promoter-{HUB}-{REGION}-{name}" for name in ("copies", "images"))
    scene.client("events", DEV).disable_rule(Name=copies)
    test, prod = scene.client("events", TEST), scene.client("events", PROD)
    (target,) = test.list_targets_by_rule(Rule=copies)["Targets"]
    test.put_targets(Rule=copies, Targets=[{**target, "Arn": f"arn:aws:events:{REGION}:{TEST}:event-bus/default"}])
    for events, names in ((test, [images]), (prod, [copies, images])):
        for name in names:
            events.remove_targets(Rule=name, Ids=["hub"])
            events.delete_rule(Name=name)

    _, bad, reported = doctor(scene)

    by_place = {}
    for one in reported["findings"]:
        if one["check"] == "forwarding":
            by_place.setdefault(one["where"].partition("/")[0], []).append(one)
    (dev,) = by_place[DEV]
    assert dev["cure"].endswith(f"aws events enable-rule --region {REGION} --name {copies}")
    assert [one["what"].partition(":")[0] for one in by_place[TEST]][1] == f"The rule {images} is missing"
    assert "event-bus/default" in by_place[TEST][0]["what"]
    (prod_says,) = by_place[PROD]
    assert (prod_says["passed"], "ForwardEvents=false" in prod_says["what"]) == (True, True)
    assert {where for where, _ in bad} == {f"{DEV}/{REGION}", f"{TEST}/{REGION}"}


def test_the_hubs_bus_no_longer_admits_a_target(scene):
    """Its events are lost: that shows in the policy and, once that is repaired, in the AMI of which no event came."""
    bus = f"ami-promoter-{REGION}-inbound"
    policy = scene.client("events").describe_event_bus(Name=bus)["Policy"]
    scene.client("events").put_permission(EventBusName=bus, Policy=policy.replace(DEV, PROD))
    scene.promote(DEV)

    _, bad, _ = doctor(scene)
    scene.client("events").put_permission(EventBusName=bus, Policy=policy)
    _, repaired, _ = doctor(scene)

    assert bad.keys() == repaired.keys() == {(f"{DEV}/{REGION}", "forwarding")}
    assert "TargetAccounts" in bad[f"{DEV}/{REGION}", "forwarding"]["cure"]
    assert "arrived; none has ever arrived" in repaired[f"{DEV}/{REGION}", "forwarding"]["what"]


def test_no_other_function_can_hide_that_sweep_and_discovery_have_stopped(scene):
    """Somebody disables their rules; the stolen ``on-tag-change`` writes their metrics into its own log."""
    scene.play_every_sweep()
    scene.wait(1000)
    events = scene.client("events")

    def stopped() -> set[str]:
        return {name for name in alarmed(scene) if name.endswith("StoppedAlarm")}

    assert stopped() == set()
    for rule in events.list_rules()["Rules"]:
        if "ScheduleExpression" in rule:
            events.disable_rule(Name=rule["Name"])
    for minute in range(20):
        scene.tag(f"nobody-{minute}")
        scene.wait(60)
        runs = [one for one in scene.world.lambda_.invocations if one.function.endswith("-on-tag-change")]
        runs[-1].lines.append(f"{HEARTBEAT}\n")

    assert stopped() == {"SweepStoppedAlarm", "DiscoveryStoppedAlarm"}


def test_what_an_operator_sees_without_a_dashboard(scene):
    """A failed delivery is in the log, in the metric, and in the alarm; the sweep's heartbeat keeps its alarm quiet."""
    scene.play_every_sweep()
    scene.wait(1000)
    scene.client("kms", TEST).disable_key(KeyId=scene.stage.targets[TEST].outputs["KeyArn"])
    scene.promote(TEST)
    scene.wait(600)  # discovery counts what has failed every five minutes
    cloudwatch, logs = scene.client("cloudwatch"), scene.client("logs")
    one = {"Namespace": "AmiPromoter", "Dimensions": [{"Name": "service", "Value": "ami-promoter"}]}

    alarms = {alarm["AlarmName"].split("-")[2]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    failed = cloudwatch.get_metric_statistics(
        **one, MetricName="DeliveriesFailed", StartTime=START, EndTime=scene.world.now, Period=3600, Statistics=["Sum"]
    )["Datapoints"]
    said = logs.filter_log_events(
        logGroupName=f"/aws/lambda/ami-promoter-{REGION}-worker", filterPattern="target-key-not-enabled"
    )["events"]

    assert alarmed(scene) == {"DeliveriesFailedAlarm"}
    assert {alarms[name]["StateValue"] for name in ("ErrorsAlarm", "FoundBySweepAlarm")} == {"OK"}
    assert alarms["DeliveriesFailedAlarm"]["AlarmActions"] == [ALARMS]
    assert [point["Sum"] for point in failed] == [1.0]
    assert said

    scene.wait(3600)
    assert alarmed(scene) == {"DeliveriesFailedAlarm"}  # it lasts for as long as nobody repairs it
    scene.client("kms", TEST).enable_key(KeyId=scene.stage.targets[TEST].outputs["KeyArn"])
    scene.cli("retry", scene.image)
    scene.wait(1800)
    assert (scene.states(), alarmed(scene)) == ({TEST: "delivered"}, set())
