"""The notices: one for each end, one summary, with ids that show repeats."""

import json
import re
from collections import Counter

from demo import stage
from tests.scenarios.conftest import ROOT
from tests.scenarios.scene import DEV, HUB, PROD, REGION, TEST, targets_file
from tools import events


def fail_prod(scene):
    scene.client("kms", PROD).disable_key(KeyId=scene.stage.targets[PROD].outputs["KeyArn"])


def test_each_outcome_has_its_notice(scene):
    """Delivered: which AMI, where, how long. Failed: step, cause and cure. Over: every delivery, once.

    In bodies, subjects and mails people read the names that the targets file gives; the others have their ids. In the
    next episode each notice has another id; each message is far below SNS's 256 KB.
    """
    mail = scene.subscribe("email", "team@example.com")
    fail_prod(scene)
    scene.apply(targets_file(accounts={DEV: {"name": "Dev of team-a"}, PROD: {"name": "Shop"}}))
    scene.promote("dev prod")

    delivered = {body["account"]: body for body in scene.notices("delivery.delivered")}
    assert delivered.keys() == {DEV, TEST}
    for account, body in delivered.items():
        assert body["image"] == scene.image_in(account)["ImageId"]
        assert (body["outcome"], body["region"], body["hub"]) == ("delivered", REGION, HUB)
        assert (body["source_image"], body["source_name"]) == (scene.image, "golden-2026-01")
        assert {copy["source"] for copy in body["copies"]} == set(scene.snapshots)
    (failed,) = scene.notices("delivery.failed")
    assert (failed["account"], failed["image"]) == (PROD, None)
    assert all(fault[member] for fault in failed["faults"] for member in ("code", "where", "what", "cure"))
    (over,) = scene.notices("promotion.over")
    assert over["outcome"] == "incomplete"
    assert Counter(over["counts"]) == Counter(delivered=2, failed=1)
    expected = {DEV: "delivered", TEST: "delivered", PROD: "failed"}
    assert {d["account"]: d["outcome"] for d in over["deliveries"]} == expected

    called = {DEV: "Dev of team-a", PROD: "Shop", TEST: None}
    for bodies in ([*delivered.values(), failed], over["deliveries"]):
        assert {body["account"]: body.get("account_name") for body in bodies} == called
    subjects = [one.subject for one in scene.world.sns.published]
    assert f"{scene.image} failed in Shop ({PROD}) (golden-2026-01)" in subjects
    texts = [one["Message"] for one in mail.inbox]
    assert sum(one.startswith(f'"golden-2026-01" was delivered to {TEST}, ') for one in texts) == 1
    assert sum(f"failed     Shop ({PROD}), {REGION}" in one for one in texts) == 1

    scene.client("kms", PROD).enable_key(KeyId=scene.stage.targets[PROD].outputs["KeyArn"])
    scene.untag()
    scene.wait(60)
    scene.tag("dev prod")
    scene.run_until_over(times=2)
    assert set(Counter(body["id"] for body in scene.notices()).values()) == {1}
    assert max(len(json.dumps(body)) for body in scene.notices()) < 8000
    assert scene.states() == dict.fromkeys(stage.TARGETS.values(), "delivered")
    scene.assert_invariants()


def test_each_documented_filter_policy_brings_what_it_is_for(scene):
    """Each policy of docs/reference/events.md on a subscriber, with SNS's selection of real notices.

    That of docs/guide/pipelines.md brings a pipeline the end and a refusal, and nothing else.
    """
    page = (ROOT / "docs" / "guide" / "pipelines.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"^```json\n(\{\"event\".*?\})\n```", page, re.MULTILINE)
    pipeline = scene.subscribe(FilterPolicy=policy)
    subscribers = {
        wanted: scene.subscribe(FilterPolicy=json.dumps(policy)) for wanted, policy in events.FILTER_POLICIES.items()
    }
    fail_prod(scene)
    scene.promote("dev prod")
    scene.tag("nobody")
    scene.run_until_refused()

    bodies = {wanted: [json.loads(one["Message"]) for one in them.inbox] for wanted, them in subscribers.items()}
    assert events.TARGET == DEV
    assert {
        wanted: sorted((one["event"], one.get("account", "")) for one in received)
        for wanted, received in bodies.items()
    } == {
        "What my account can use": [("delivery.delivered", DEV)],
        "What my account loses": [],
        "Everything of a group": [("delivery.failed", PROD)],
        "What a person must look at": [("delivery.failed", PROD), ("promotion.refused", "")],
        "One build's images": [("delivery.delivered", DEV), ("delivery.delivered", TEST)],
        "What an approver must look at": [],
    }
    ends = [json.loads(one["Message"])["event"] for one in pipeline.inbox]
    assert ends == ["promotion.over", "promotion.refused"]


def test_a_mail_is_text_and_everything_else_receives_json(scene):
    """A person gets one screen with the time in ISO form; every other subscriber and the bus get the notice itself.

    A team can filter for its own: the attributes have event, outcome, account, Region, groups and the AMI's name.
    """
    mail, other = scene.subscribe("email", "team@example.com"), scene.subscribe()
    scene.promote("dev")

    bodies = [json.loads(one["Message"]) for one in other.inbox]
    assert bodies == [published.body for published in scene.world.sns.published]
    bus = f"arn:aws:events:{REGION}:{HUB}:event-bus/ami-promoter-{REGION}-notices"
    handled = [event for name, event in scene.world.events.seen if name == bus and event["source"] == "ami-promoter"]
    assert [(event["detail-type"], event["detail"]) for event in handled] == [(body["event"], body) for body in bodies]
    texts = [one["Message"] for one in mail.inbox]
    assert len(texts) == len(bodies)
    (delivered,) = (one for one in texts if one.startswith(f'"golden-2026-01" was delivered to {DEV}, {REGION}.'))
    assert re.search(r"^at +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", delivered, re.MULTILINE)
    assert scene.image_in(DEV)["ImageId"] in delivered
    assert max(len(one.splitlines()) for one in texts) <= 24

    published = {message.body.get("account"): message for message in scene.world.sns.published}
    assert published[TEST].attributes == {
        "event": "delivery.delivered",
        "outcome": "delivered",
        "account": TEST,
        "region": REGION,
        "group": ["dev"],
        "image_name": "golden-2026-01",
    }
    assert published[None].attributes["outcome"] == "delivered"
    assert all(len(message.subject) < 100 for message in published.values())
    scene.assert_invariants()


def test_a_team_in_another_account_gets_its_own_notices_by_the_guides_policy(scene):
    """The queue's policy and the subscription are those of docs/guide/notices.md."""
    page = (ROOT / "docs" / "guide" / "notices.md").read_text(encoding="utf-8")
    topic = f"arn:aws:sns:{REGION}:{HUB}:ami-promoter-{REGION}-notices"
    page = page.replace("222222222222", DEV).replace("TOPIC-ARN", topic).replace("REGION:", f"{REGION}:")
    (policy,) = (text for text in re.findall(r"(?s)```json\n(.+?)```", page) if '"sqs:SendMessage"' in text)
    (attributes,) = re.findall(r"--attributes '(\{\"RawMessageDelivery.+\})'", page)
    sqs = scene.client("sqs", DEV)
    queue = sqs.create_queue(QueueName="ami-news", Attributes={"Policy": policy})["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{DEV}:ami-news"
    sns = scene.client("sns", DEV)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=json.loads(attributes))

    scene.promote("dev prod")

    got = [json.loads(one["Body"]) for one in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]]
    assert [(one["event"], one["account"]) for one in got] == [("delivery.delivered", DEV)]
    scene.assert_invariants()
