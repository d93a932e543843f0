"""Forged completions, hostile events and messages: nothing starts, nothing is believed, no delivery is delayed."""

import copy
import itertools
import json
import random
from pathlib import Path

import pytest

from tests.scenarios.failures import assert_untouched, calm_pace
from tests.scenarios.scene import DEV, HUB, REGION, STRANGER, TEST, TRIGGER

SAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "events.json").read_text(encoding="utf-8"))
SEED, HOSTILE = 3, 36
FIVE_TRIES = 5 * 180 + 60
NONSENSE = (
    None,
    True,
    -1,
    10**15,
    "",
    "#",
    "\x00",
    "ami-" + "0" * 3000,
    "snap-0",
    [],
    [[]],
    {},
    {"tags": []},
    "é" * 300,
)
DELIVERY, OURS, SOURCE = "ami-promoter:delivery", "ami-promoter:hub", "ami-promoter:source-snapshot"


def shape(value):
    """The names in an event and the types of their values, without values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "tags"}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def test_the_samples_are_what_the_sandbox_emits(scene):
    """tests/samples/events.json, from which events are fuzzed, has the shapes of the simulator's events."""
    scene.promote("")
    today = [shape(event) for _, event in scene.world.events.seen if event["source"] in ("aws.tag", "aws.ec2")]

    assert [event["detail-type"] for event in SAMPLES if shape(event) not in today] == []


def spoilt(rng: random.Random):
    """A sample with up to three members changed, also in the envelope, as a forwarding account might send it."""
    event = copy.deepcopy(rng.choice(SAMPLES))
    for _ in range(rng.randint(1, 3)):
        spot = rng.choice([event, event["detail"]])
        if isinstance(spot, dict) and spot:
            name = rng.choice(sorted(set(spot) - {"source", "detail-type", "detail"}) or ["x"])
            spot[name] = rng.choice(NONSENSE)
    return event


def test_hostile_events_start_nothing_and_hinder_nobody(scene):
    """Dozens of changed events on the hub's bus and the inbound bus, while an AMI is being delivered."""
    calm_pace(scene)
    scene.tag("dev")
    scene.run_until(lambda: len(scene.live_copies()) == 4)
    rng = random.Random(SEED)
    events = scene.world.events
    inbound = f"arn:aws:events:{REGION}:{HUB}:event-bus/ami-promoter-{REGION}-inbound"
    buses = [events.default(HUB, REGION), next(bus for arn, bus in events.buses.items() if arn == inbound)]
    for _ in range(HOSTILE):
        events.publish(rng.choice(buses), spoilt(rng))
    scene.run_until_over()

    assert_untouched(scene, DEV)
    assert_untouched(scene, TEST)
    assert {item["pk"] for item in scene.items() if item["pk"].startswith("promotion#")} <= {
        f"promotion#{scene.image}",
        *(f"promotion#{event['resources'][0].rpartition('/')[2]}" for event in SAMPLES),
    }
    assert scene.reported() == {"delivery.delivered": 2, "promotion.over": 1}
    scene.assert_invariants()


def forge(scene, delivery, source, key):
    """Let the target's owner make a snapshot of their own data with the service's tags, under a key of their choice."""
    own = scene.world.ec2.seed_image(DEV, REGION, name=f"forged-{source}", volumes=(8,))
    (base,) = scene.snapshots_of(own, DEV)
    tags = [{"Key": k, "Value": v} for k, v in ((DELIVERY, delivery), (OURS, HUB), (SOURCE, source)) if v]
    made = scene.client("ec2", DEV).copy_snapshot(
        SourceRegion=REGION,
        SourceSnapshotId=base,
        Encrypted=True,
        KmsKeyId=key,
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}] if tags else [],
    )
    return made["SnapshotId"]


@pytest.mark.parametrize("tagged", [True, False], ids=["with our tags", "not tagged by us"])
@pytest.mark.thorough_but("with our tags")
def test_a_forged_copy_beside_the_services_own_changes_nothing(scene, tagged):
    """Another snapshot there completes while the service's is pending: nothing is registered or closed early.

    Events say the same of the pending copy, of no snapshot that exists, and in another account's name.
    """
    scene.world.ec2.pace.copy, scene.world.ec2.pace.copy_per_gib = 300, 0
    other = scene.client("kms", DEV).create_key()["KeyMetadata"]["Arn"]
    scene.tag("dev")
    scene.run_until(lambda: len(scene.live_copies()) == 4)
    scene.world.ec2.pace.copy = 1
    forged = forge(scene, scene.delivery_record(DEV)["id"] if tagged else "", scene.snapshots[0], other)
    before = set(scene.world.shares_open())
    scene.wait(20)
    (pending, *_) = (one["SnapshotId"] for one in scene.snapshots_in(DEV) if one["State"] == "pending")
    for result, copied in itertools.product(("succeeded", "failed"), (forged, pending, "snap-0123456789abcdef0")):
        for account in (DEV, TEST, STRANGER):
            scene.emit_copied(scene.snapshots[0], copied, account, result)
    assert scene.after(60).delivery_state(DEV) == "copying"
    assert set(scene.world.shares_open()) == before
    assert scene.outcome() == {DEV: "delivered", TEST: "delivered"}
    used = {m["Ebs"]["SnapshotId"] for i in scene.images_in(DEV) if i.get("Tags") for m in i["BlockDeviceMappings"]}
    assert forged not in used
    assert scene.world.shares_open() == []


WORKER = (
    *('{"key": ', "", "[]", "null", '{"cause": "x"}', '{"key": 7, "cause": "x"}', '{"key": "", "cause": "x"}'),
    *('{"key": "resource#snapshot#snap-0", "cause": "x"}', '{"key": "kraken#1", "cause": "x"}'),
)
SHARE_WORKER = ('{"key": ', "[]", "{}", '{"key": "promotion#AMI"}')
"""For another kind of key without a record, the worker has nothing to do and nothing to report."""


def test_hostile_messages_go_to_the_dead_letters_after_five_tries_and_block_nobody(scene):
    """Bad JSON, unknown kinds, wrong keys, in their own message groups, while an AMI is being delivered."""
    calm_pace(scene)
    scene.tag("dev")
    scene.run_until(lambda: scene.record(f"promotion#{scene.image}")["state"] != "")
    sqs = scene.client("sqs")
    sent = []
    for queue, bodies in (("worker", WORKER), ("share-worker", SHARE_WORKER)):
        url = sqs.get_queue_url(QueueName=f"ami-promoter-{REGION}-{queue}.fifo")["QueueUrl"]
        for n, body in enumerate(bodies):
            sent.append(text := (body or " ").replace("AMI", scene.image))
            sqs.send_message(QueueUrl=url, MessageBody=text, MessageGroupId=f"evil-{n}", MessageDeduplicationId=f"{n}")
    scene.run_until_over()
    assert_untouched(scene, DEV)
    assert_untouched(scene, TEST)
    scene.wait(FIVE_TRIES)

    assert sorted(letter.partition(": ")[2] for letter in scene.dead_letters()) == sorted(sent)
    assert len(scene.failed_invocations()) == 5 * len(sent)
    assert [item["pk"] for item in scene.items() if item.get("parked")] == []
    assert scene.watch.problems == []


SIGNS = "\x9b2J\u202egnp\u2066\x9b31m\x85\r\nall delivered"
"""Clears a terminal, changes the writing direction, colors, starts a line. ESC itself is not valid in XML."""


def test_signs_that_steer_a_terminal_or_turn_the_writing_reach_no_reader(scene):
    """In a tag's value, a copied tag, and an AMI's name: command line, notices and logs escape them.

    EC2 accepts such tag values; the service does not rely on EC2 refusing such names.
    """
    image = scene.seed(f"golden {SIGNS}" * 3)
    ec2 = scene.client("ec2")
    ec2.create_tags(Resources=[image], Tags=[{"Key": "team", "Value": SIGNS}, {"Key": TRIGGER, "Value": SIGNS}])
    scene.run_until(lambda: scene.notices("promotion.refused", image))
    scene.promote("dev", image)

    for words in (("status",), ("status", image), ("history", image), ("where", image), ("verify", image)):
        for text in scene.cli(*words)[1:]:
            assert all(line.isprintable() for line in text.split("\n")), words
            assert "all delivered" not in text.split("\n")
    published = [one for one in scene.world.sns.published if one.body["source_image"] == image]
    assert {one.body["event"] for one in published} >= {"promotion.refused", "delivery.delivered", "promotion.over"}
    for one in published:
        assert one.subject.isprintable()
        assert one.message.isascii()
        assert all(line.isprintable() for line in one.forms["email"].split("\n"))
        assert all(str(value).isprintable() for value in one.attributes.values())
    for invocation in scene.world.lambda_.invocations:
        assert all(line.isascii() and line.isprintable() for line in invocation.log.split("\n")), invocation.log
