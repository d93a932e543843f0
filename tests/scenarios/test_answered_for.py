"""``history``: every call that changed AWS with AWS's request id, and who wrote the tag."""

import re

import pytest

from tests.scenarios.failures import refuse
from tests.scenarios.scene import DEV, HUB, SERVICE, TEST, targets_file

READS = ("Describe", "Get", "List")
HOW = {
    "snapshots": {"copy_method": "snapshots"},
    "image": {"copy_method": "image"},
    "service roles": {"service_linked_roles": ["AWSServiceRoleForAutoScaling"]},
    "policy": {"key_access": "policy"},
    "share": {"mode": "share"},
}


def history(scene, *words):
    """``history --json`` of the stage's AMI."""
    return scene.ask("history", scene.image, *words)


def calls_of(reported):
    """The calls that a history lists."""
    steps = [*reported["entries"], *(step for one in reported["shares"] for step in one["steps"])]
    return [call for step in steps for call in step["calls"]]


def by_ids(reported):
    """Those with a known request id: (name, error) by that id."""
    known = [one for one in calls_of(reported) if one["request_id"] is not None]
    return {one["request_id"]: (one["call"], one["error"]) for one in known}


def unknown(reported):
    """The names of those without one."""
    return [one["call"] for one in calls_of(reported) if one["request_id"] is None]


def made(scene):
    """The calls by which the service's functions changed AWS, from the simulator's record."""
    ours = [one for one in scene.world.calls if one.caller.function and one.service in ("ec2", "kms")]
    return {one.request_id: (one.operation, one.error or "") for one in ours if not one.operation.startswith(READS)}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.thorough_but("share")
def test_each_call_that_changed_aws_is_in_the_history_by_its_request_id(scene, how):
    """From the tag to its removal, in every mode: exactly AWS's calls, with the refused ones."""
    scene.apply(targets_file(**HOW[how]))
    for account in (DEV, TEST):
        scene.world.iam.put_service_linked_role(account, SERVICE)
    refuse(scene, "RegisterImage", TEST, "RequestLimitExceeded", times=1)
    refuse(scene, "CreateGrant", HUB, "ThrottlingException", times=1)
    scene.promote("dev")
    scene.untag()
    scene.wait(900)

    reported = history(scene)

    assert set(scene.states().values()) == ({"withdrawn"} if how == "share" else {"delivered"})
    assert by_ids(reported) == made(scene)
    assert any(error for _, error in by_ids(reported).values())
    assert unknown(reported) == []
    left = {one["resource"].partition("#")[0] for one in reported["shares"] if one["open"]}
    assert left == ({"role"} if how == "service roles" else set())  # a grant on the target's own key serves its AMI


@pytest.mark.parametrize(
    ("function", "operation", "when"),
    [
        ("worker", "CopySnapshot", "after"),
        ("worker", "CopySnapshot", "before"),
        ("worker", "RegisterImage", "after"),
        ("share-worker", "ModifySnapshotAttribute", "after"),
        ("share-worker", "CreateGrant", "after"),
        ("share-worker", "RevokeGrant", "after"),
    ],
)
@pytest.mark.thorough_but("worker-CopySnapshot-after", "share-worker-ModifySnapshotAttribute-after")
def test_a_call_before_whose_answer_the_function_was_killed_has_no_id(scene, function, operation, when):
    """The function was killed before it wrote the answer: that call's id is unknown; all other calls have theirs."""
    crash = scene.world.injections.crash(function, operation, 1, when)
    scene.promote(DEV)
    scene.wait(900)

    reported = history(scene)

    assert crash.happened
    known = made(scene)
    missing = known.keys() - by_ids(reported).keys()
    assert [known[one][0] for one in missing] == [operation]
    assert by_ids(reported).items() <= known.items()
    assert set(unknown(reported)) == {operation if function == "worker" else ""}
    assert "not known" in scene.cli("history", scene.image)[1]


def test_lines_for_a_person(scene, monkeypatch):
    """Short ids at 80 columns, none of them cut; whole ones with --wide.

    Who tagged and who took the tag away: each change with its event and CloudTrail's; one that CloudTrail does not show
    yet says so.
    """
    scene.promote(DEV)
    (early,) = history(scene)["tags"]
    scene.wait(900)
    (copy, *_) = scene.calls("CopySnapshot")
    (tagged,) = scene.calls("CreateTags", HUB)
    monkeypatch.setenv("COLUMNS", "80")

    said = scene.cli("history", scene.image)[1]
    wide = scene.cli("history", scene.image, "--wide")[1]

    assert max(map(len, said.splitlines())) <= 80
    assert f"(CopySnapshot {copy.request_id[:8]})" in " ".join(said.split())
    assert "opened" in said
    assert "keeps_refusal" not in said, "what a class of events has is no member of one event"
    assert " closed after " in said
    assert re.search(rf"Tagged '{DEV}' at 2026-01-05 09:00:0\d by {tagged.caller.arn} \(event ", " ".join(said.split()))
    assert copy.request_id not in said
    assert copy.request_id in "".join(wide.split())

    scene.untag()
    scene.wait(900)

    written, removed = history(scene)["tags"]
    expected = ("", "CloudTrail shows a call only some minutes later; run the command again")

    assert (early["by"], early["why_unknown"]) == expected
    assert early["event"]
    assert (written["value"], written["by"], written["request_id"]) == (DEV, tagged.caller.arn, tagged.request_id)
    assert written["cloudtrail_event"] not in ("", tagged.request_id)
    assert written["event"] == early["event"]
    (call,) = scene.calls("DeleteTags", HUB)
    assert (removed["value"], removed["request_id"], removed["why_unknown"]) == (None, call.request_id, "")
