"""What a right brings with it: to send wakes [invariant 11], and to use the source keys that a target names."""

import json

import pytest

from tests.scenarios.scene import DEV, REGION, STRANGER, TABLE, targets_file
from tests.scenarios.stolen import client


@pytest.mark.parametrize("function", ["on-tag-change", "on-image-state", "on-target-event"])
@pytest.mark.thorough_but("on-image-state")
def test_whom_events_wake_shares_nothing_that_is_not_tagged(scene, function):
    """It may only send wakes to the worker; whatever record and reason they name, no account receives anything."""
    sqs = client(scene, function, "sqs")
    keys = [f"promotion#{scene.image}", "delivery#0123", f"quota#{STRANGER}#{REGION}", f"inventory#{STRANGER}#{REGION}"]
    url = scene.client("sqs").get_queue_url(QueueName=f"{TABLE}-worker.fifo")["QueueUrl"]
    for number, key in enumerate(keys):
        for reason in ({"tag": "000000000009"}, {"untag": "000000000009"}, {"image": "x"}, {"cancel": "1:x"}):
            body = json.dumps({"key": key, "cause": "forged", "reason": reason})
            sqs.send_message(
                QueueUrl=url, MessageBody=body, MessageGroupId=key, MessageDeduplicationId=f"{number}-{sorted(reason)}"
            )
    assert scene.after(3600).world.shares_open() == []
    assert scene.states() == {}
    assert [made["pk"] for made in scene.items() if made["sk"] == "record"] == [f"promotion#{scene.image}"]
    scene.assert_invariants()


@pytest.mark.parametrize("named", [True, False], ids=["its key is named", "another key is named"])
def test_a_target_uses_the_source_keys_that_it_names_and_no_other(scene, named):
    """``SourceKeyArns`` of deploy/target.yaml: a source under a named key is copied, another is not."""
    scene.apply(targets_file(queue_deadline="30m"))
    other = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
    scene.deploy_target(CreateKey="false", SourceKeyArns=f"{other},{scene.key}" if named else other)
    scene.tag("")
    assert scene.outcome() == {DEV: "delivered" if named else "failed"}, scene.describe()
    scene.assert_invariants()
