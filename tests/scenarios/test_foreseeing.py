"""``plan``, ``history`` and ``where``: what would happen, what happened, and where the AMI is."""

from tests.scenarios.scene import DEV, PROD, REGION, TEST
from tests.scenarios.sharing import share_with

FAULT, FAILED = 1, 5


def does(reported):
    """Account -> what a plan would do there."""
    return {one["account"]: one["does"] for one in reported["targets"]}


# --- plan ------------------------------------------------------------------------------------------------------------


def test_a_plan_is_what_then_happens(scene):
    """The plan lists copies and calls for each target and changes nothing; the promotion then makes these calls.

    A delivered AMI stays; a delivery that the value no longer names stays, or is cancelled if it runs.
    """
    status, reported = scene.answer("plan", scene.image, "dev")

    assert (status, reported["ready"]) == (0, True)
    assert does(reported) == {DEV: "new", TEST: "new"}
    one = reported["targets"][0]
    assert (one["mode"], one["method"], one["key"]) == ("copy", "snapshots", "alias/ami-promoter")
    assert one["calls"] == {"CopySnapshot": 2, "RegisterImage": 1}
    assert one["gib"] == sum(scene.world.ec2.state.snapshots.get(s).size for s in scene.snapshots)
    assert one["ami_name"].startswith("golden-2026-01")
    assert scene.nothing_happened()

    scene.promote("dev")

    assert len(scene.calls("RegisterImage")) == sum(one["calls"]["RegisterImage"] for one in reported["targets"])
    assert {i["Name"] for a in (DEV, TEST) for i in scene.images_in(a)} == {
        one["ami_name"] for one in reported["targets"]
    }

    expected = {DEV: "there already", TEST: "stays", PROD: "new"}
    assert does(scene.answer("plan", scene.image, f"{DEV} {PROD}")[1]) == expected
    scene.copying("dev prod", 600, PROD)
    assert does(scene.answer("plan", scene.image, "dev")[1])[PROD] == "cancelled"
    assert does(scene.answer("plan", scene.image)[1])[PROD] == "under way"


def test_a_plan_names_what_withdraws(scene):
    """A standing share that the value no longer names. While it stands, the target launches the hub's AMI."""
    share_with(scene, DEV)

    reported = scene.answer("plan", scene.image, PROD)[1]

    assert does(reported) == {DEV: "withdrawn", PROD: "new"}
    assert scene.answer("plan", scene.image, DEV)[1]["targets"][0]["mode"] == "share"
    scene.come_to_rest()
    assert scene.cli("where", scene.image, DEV, "--ids")[1] == f"{scene.image}\n"
    assert "(the hub shares its own)" in scene.cli("where", scene.image)[1]


def test_a_source_that_would_be_refused(scene):
    """Exit status 5, with each failed check and its cure, before the AMI is tagged."""
    plain = scene.seed("under-the-aws-key", key="alias/aws/ebs")

    status, reported = scene.answer("plan", plain, "dev")
    said = scene.cli("plan", plain, "dev")[1]

    assert (status, reported["ready"]) == (FAILED, False)
    assert {fault["code"] for fault in reported["faults"]} == {"source-snapshot-aws-ebs-key"}
    assert "FAILED source-snapshot-aws-ebs-key: " in said
    assert scene.nothing_happened()


def test_what_is_not_there_is_a_fault(scene):
    """A plan for a wrong value, or for none; an AMI that the service does not know. A call without both is wrong.

    An account without deliveries is no fault.
    """
    for words, code in (
        (["plan", scene.image, "dve"], "unknown-group"),
        (["plan", scene.image], "no-tag"),
        (["history", scene.image], "unknown-ami"),
        (["where", "ami-00000000000000000"], "unknown-ami"),
    ):
        status, reported = scene.answer(*words)
        assert (status, reported["faults"][0]["code"]) == (FAULT, code)
    assert scene.answer("history", "--account", PROD) == (0, {"tags": [], "entries": [], "shares": [], "findings": []})
    assert scene.answer("history")[0] == 2


# --- history ---------------------------------------------------------------------------------------------------------


def test_each_step_and_each_share_with_its_seconds(scene):
    """From the tag to the AMI; with --account no other account is shown. What is open has no seconds yet."""
    scene.copying("dev", 600, DEV, TEST)
    assert [one["seconds"] for one in scene.answer("history", scene.image)[1]["shares"]] == [None] * 6
    scene.run_until_over()
    scene.wait(600)

    _, reported = scene.answer("history", scene.image)
    _, of_dev = scene.answer("history", "--account", DEV)

    steps = [what.partition(" ")[0] for one in reported["entries"] for what in one["what"]]
    assert {"TagSeen", "SharesSeen", "CopyStarted", "ImageRegistered"} <= set(steps)
    assert [one["at"] for one in reported["entries"]] == sorted(one["at"] for one in reported["entries"])
    assert {one["account"] for one in reported["shares"]} == {DEV, TEST}
    assert len(reported["shares"]) == 6  # two snapshots and the key, for each of two
    assert all(one["seconds"] > 0 for one in reported["shares"])
    assert {one["account"] for one in of_dev["entries"]} == {DEV}
    assert of_dev["shares"] == [one for one in reported["shares"] if one["account"] == DEV]
    said = scene.cli("history", scene.image)[1]
    assert f"{DEV} us-east-1:" in said
    assert "image registered: image ami-" in said
    assert "Shares: 6, 0 open" in said
    assert "slots asked" not in said
    assert "slots asked" in scene.cli("history", scene.image, "--all")[1]


# --- where -----------------------------------------------------------------------------------------------------------


def test_from_source_to_copies_and_back(scene):
    """The same answer for each of the AMIs; only some of them, for an account, a group, or one of its Regions.

    A target of the group that has none is named, and the others are shown. For a script an id stands on each line; if
    one is missing, there is only a fault.
    """
    scene.promote(DEV)
    copy = scene.image_in(DEV)["ImageId"]
    for target in (DEV, f"{DEV}/us-east-1", "dev"):
        _, reported = scene.answer("where", scene.image, target)
        assert [one["image"] for one in reported["copies"]] == [copy]
    assert f"Not delivered to {TEST} us-east-1." in scene.cli("where", scene.image, "dev")[1]
    assert "Not delivered" not in scene.cli("where", scene.image, DEV)[1]

    scene.tag("dev")
    scene.run_until_over(times=2)
    copies = {account: scene.image_in(account)["ImageId"] for account in (DEV, TEST)}
    _, of_source = scene.answer("where", scene.image)
    _, of_copy = scene.answer("where", copies[TEST])
    assert {one["account"]: one["image"] for one in of_source["copies"]} == copies
    assert (of_copy["source"], of_copy["copies"]) == (scene.image, of_source["copies"])
    assert of_copy["asked"] == {"ami": copies[TEST], "account": TEST, "region": REGION}
    assert f"{copies[TEST]} in account {TEST}, us-east-1 is a copy." in scene.cli("where", copies[TEST])[1]

    ids = "".join(f"{one}\n" for one in copies.values())
    assert scene.cli("where", scene.image, "dev", "--ids") == (0, ids, "")
    assert scene.cli("where", scene.image, TEST, "--ids")[1] == f"{copies[TEST]}\n"
    assert scene.cli("where", copies[DEV], f"{TEST}/us-east-1", "--ids")[1] == f"{copies[TEST]}\n"
    for target, code in ((PROD, "not-delivered"), ("prod", "not-delivered"), ("prd", "unknown-group")):
        status, reported = scene.answer("where", scene.image, target, "--ids")
        assert (status, reported["faults"][0]["code"]) == (FAULT, code)
    assert f"See `ami-promoter where {scene.image}`." in scene.cli("where", copies[DEV], PROD)[2]
