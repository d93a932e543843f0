"""``approval: required``: nothing opens before an approver has approved it, whatever a record says."""

import json

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine import addresses
from chalicelib.sharing.share import Purpose, ShareState
from demo import stage
from tests.scenarios import failures
from tests.scenarios.approving import WAITS, deployed, file
from tests.scenarios.forgeries import Forger, Forgery, role_of
from tests.scenarios.platform import hub_checks, own_client
from tests.scenarios.regions import FAR, everywhere, found, regions_of
from tests.scenarios.scene import DEV, HOUR, HUB, PROD, REGION, TABLE

A_WHILE = 20 * 60
"""Seconds in which all that may be opened is: a delivery that waits is looked at each quarter of an hour."""


def approve(scene, *words, status=0):
    """Run the verb; return its JSON output."""
    return scene.ask("approve", scene.image, *words, "--yes", status=status)


def nothing_for(scene) -> bool:
    """Whether no share of the AMI is open to PROD, and nothing was made there."""
    shared = any(PROD in scene.shared_with(snapshot) for snapshot in scene.snapshots)
    grants = [one for one in scene.grants() if PROD in json.dumps(one)]
    return not (shared or grants or PROD in scene.launchable_by() or scene.images_in(PROD))


def asked(scene) -> list[str]:
    """The digests for which approvers were asked."""
    return [one["digest"] for one in scene.notices("promotion.awaiting-approval")]


def test_it_waits_for_the_approval_and_everybody_says_so(waiting):
    """`status`, `plan`, `wait`, `history` and the notices; nothing opens before it, and all is delivered after it."""
    assert nothing_for(waiting.after(A_WHILE))
    (notice,) = waiting.notices("promotion.awaiting-approval")
    assert [one["account"] for one in notice["targets"]] == [PROD]
    short = notice["digest"][:12]
    assert f"awaiting approval: ami-promoter approve {waiting.image} --digest {short}" in waiting.said("status")[1]
    assert waiting.status()["approval"] == notice["digest"]
    assert waiting.said("wait", "--timeout", "1")[0] == 4
    shown = approve(waiting, "--dry-run")
    assert (shown["digest"], shown["changed"], shown["approved"]) == (notice["digest"], False, [f"{PROD}/{REGION}"])
    assert approve(waiting, "--digest", "0" * 12, status=1)["faults"][0]["code"] == "digest-differs"
    done = approve(waiting, "--digest", short)
    assert done["changed"]
    assert waiting.said("wait")[0] == 0

    assert waiting.states() == {DEV: "delivered", PROD: "delivered"}
    (delivered,) = [one for one in waiting.notices("delivery.delivered") if one["account"] == PROD]
    assert delivered["approved_by"] == HUB, "the user id of the account's root"
    history = waiting.ask("history", waiting.image)
    steps = [step for one in history["entries"] for step in one["what"]]
    assert any(step.startswith(f'ApprovalSeen {{"by": "{HUB}"') for step in steps)
    assert len(asked(waiting)) == 1
    assert waiting.status()["approval"] is None
    waiting.assert_invariants()


def test_there_may_be_nothing_to_approve(scene):
    """No target needs it: exit status 0, and doctor does not even ask IAM. No tag, or no AMI: a fault.

    A duration beyond its limits, or a digest of another form, is wrong usage.
    """
    for words in (("--for", "30m"), ("--for", "91d"), ("--for", "soon"), ("--digest", "abc")):
        assert scene.cli("approve", scene.image, *words)[0] == 2, words
    assert (hub_checks(scene, "approvers"), hub_checks(scene, "approvals")) == ([], [])
    scene.tag("dev")
    assert approve(scene)["changed"] is False
    scene.untag()
    assert approve(scene, status=1)["faults"][0]["code"] == "no-tag"
    assert scene.cli("approve", "ami-00000000000000000")[0] == 1


def test_who_approves_reads_which_deliveries_have_failed_and_begin_with_a_retry_alone(scene):
    """Nothing of them would follow from the approval."""
    scene.apply(file(queue_deadline="10m"))
    scene.drop_role(PROD)
    scene.tag("prod")
    scene.run_until_state(WAITS, PROD)
    assert "retry" not in scene.said("approve", "--yes")[1]
    scene.run_until_state("failed", PROD)

    said = " ".join(scene.said("approve", "--yes")[1].split())
    assert f"`ami-promoter retry {scene.image}` begins again what has failed: {PROD} us-east-1." in said


def test_one_approval_serves_each_region_that_it_names(abroad):
    """Two Regions wait, and one approval opens both."""
    abroad.apply(everywhere(approval="required"))
    abroad.tag("default")
    abroad.run_until(lambda: abroad.delivery_states().total() == 2)
    assert regions_of(abroad.after(A_WHILE).status()["deliveries"]) == {(DEV, REGION, WAITS), (DEV, FAR, WAITS)}
    assert found(abroad, DEV, FAR) == ([], [])
    assert approve(abroad)["approved"] == [f"{DEV}/{FAR}", f"{DEV}/{REGION}"]
    abroad.run_until_over()

    assert {state for _, _, state in regions_of(abroad.status()["deliveries"])} == {"delivered"}
    abroad.assert_invariants()


# --- what arrives ---------------------------------------------------------------------------------------------------


def retag(scene, *, on=(), **tags):
    """Somebody who may tag writes tags on the AMI, or on the snapshots ``on``; the trigger tag stays as it is."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    scene.client("ec2").create_tags(Resources=list(on) or [scene.image], Tags=pairs)


def theirs(resource) -> dict[str, str]:
    """The tags of something in a target, without the service's own."""
    return {one["Key"]: one["Value"] for one in resource["Tags"] if not one["Key"].startswith("ami-promoter:")}


def arrived(scene):
    """What PROD has: tags of the AMI, of its snapshots, its description and deprecation."""
    scene.run_until_state("delivered", PROD)
    image = scene.image_in(PROD)
    ids = scene.snapshots_of(image["ImageId"], PROD)
    snapshots = scene.client("ec2", PROD).describe_snapshots(SnapshotIds=ids)["Snapshots"]
    said = image.get("Description"), image.get("DeprecationTime", "")[:16]
    return theirs(image), [theirs(one) for one in snapshots], *said


def approved(arrives):
    """The same, of what an approver was shown."""
    said = arrives["description"], (arrives["deprecation"] or "")[:16]
    return arrives["tags"], [one["tags"] for one in arrives["snapshots"]], *said


@pytest.fixture
def dressed(scene):
    """An AMI that its builder gave tags that look approved, which PROD would carry; it waits for an approval."""
    scene.apply(file(source_tags=["*"]))
    retag(scene, Approved="yes")
    retag(scene, on=scene.snapshots, access="payments")
    scene.client("ec2").modify_image_attribute(ImageId=scene.image, Description={"Value": "hardened"})
    scene.client("ec2").enable_image_deprecation(ImageId=scene.image, DeprecateAt="2031-01-01T00:00:00Z")
    scene.tag("prod")
    scene.run_until_state(WAITS, PROD)
    return scene.after(HOUR)  # by now it looks for the approval each quarter of an hour


def undress(scene):
    """The builder takes all of that away again, so that nobody sees it in the console."""
    keys = [{"Key": "Approved"}, {"Key": "access"}]
    scene.client("ec2").delete_tags(Resources=[scene.image, *scene.snapshots], Tags=keys)
    scene.client("ec2").modify_image_attribute(ImageId=scene.image, Description={"Value": "nothing"})
    scene.client("ec2").disable_image_deprecation(ImageId=scene.image)


def test_the_approver_is_shown_what_arrives_and_not_what_somebody_made_of_it(dressed):
    """Tags, description and deprecation as they were examined: what was taken away before the approver looked, too."""
    undress(dressed)
    status, said, err = dressed.cli("approve", dressed.image, "--dry-run")
    shown = approve(dressed)
    (arrives,) = shown["arrives"]

    assert (status, err) == (0, "")
    for words in ("tag Approved = yes", "tag access = payments", "description: hardened", "deprecation: 2031-01-01"):
        assert words in said
    assert "Somebody has since changed" in said
    assert shown["since"] == ["request", "deprecation", "tags", "snapshots"]
    assert arrived(dressed) == approved(arrives)


@pytest.mark.parametrize("what", ["a tag", "a snapshot's tag", "the description", "the deprecation"])
@pytest.mark.parametrize("when", ["while it waits", "while copies run"])
@pytest.mark.thorough_but("while copies run-a snapshot's tag")
def test_what_is_changed_after_the_approval_does_not_arrive(dressed, what, when):
    """It waits for a tag event: the delivery registers exactly what the approver saw."""
    dressed.world.ec2.pace.copy = 600
    (arrives,) = approve(dressed)["arrives"]
    if when == "while copies run":
        dressed.run_until_state("copying", PROD)
    {
        "a tag": lambda: retag(dressed, Approved="by security", more="tags"),
        "a snapshot's tag": lambda: retag(dressed, on=dressed.snapshots, access="all"),
        "the description": lambda: undress(dressed),
        "the deprecation": lambda: undress(dressed),
    }[what]()

    assert arrived(dressed) == approved(arrives)
    assert not [one for one in dressed.notices("delivery.failed") if one["account"] == PROD]


def approve_unwoken(scene):
    """Approve while every wake is lost: a quarter of an hour passes before the delivery looks."""
    scene.world.injections.lose_messages(stage.WAKE_QUEUES)
    done = approve(scene)
    scene.world.injections.lose_messages(())
    return done


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: retag(scene, Approved="by security"),
        lambda scene: retag(scene, on=scene.snapshots[:1], access="all"),
        lambda scene: scene.client("ec2").modify_image_attribute(ImageId=scene.image, Description={"Value": "x"}),
        lambda scene: scene.client("ec2").disable_image_deprecation(ImageId=scene.image),
    ],
    ids=["a tag", "a snapshot's tag", "the description", "the deprecation"],
)
@pytest.mark.thorough_but("a tag")
def test_a_tag_event_voids_the_approval_of_what_was_changed(dressed, change):
    """The AMI is examined again; the approval is not for that, approvers are asked again, and the new one arrives."""
    before = approve_unwoken(dressed)
    change(dressed)
    assert dressed.cli("promote", dressed.image, "prod")[0] == 0
    dressed.wait(A_WHILE)
    assert nothing_for(dressed)
    assert (dressed.states(), len(set(asked(dressed)))) == ({PROD: WAITS}, 2)
    now = approve(dressed, "--digest", asked(dressed)[-1][:12])
    assert now["digest"] != before["digest"]
    (arrives,) = now["arrives"]
    assert arrived(dressed) == approved(arrives)


def test_a_forged_source_is_not_what_was_approved(dressed):
    """With the credentials of `worker`: the delivery names another source, as if an approver had seen that one."""
    (arrives,) = approve_unwoken(dressed)["arrives"]
    forge_source(dressed)
    dressed.wait(90)

    assert nothing_for(dressed)
    assert arrived(dressed)[0] == arrives["tags"]


def forge_source(scene):
    """Write a source that nobody has examined, and let PROD's delivery claim that it was approved."""
    forger = Forger(scene)
    key = addresses.delivery(addresses.delivery_id(HUB, scene.image, PROD, REGION))
    item = forger.records.get(key)
    delivery = json.loads(item["body"])
    examined = forger.records.get(addresses.source_image(scene.image, delivery["source"]))
    forged = json.dumps(json.loads(examined["body"]) | {"tags": {"Approved": "forged"}}, separators=(",", ":"))
    claim = {"state": "requested", "approved_by": f"arn:aws:iam::{HUB}:root", "source": addresses.digest(forged)}
    claim["entered"] = {"requested": delivery["entered"][WAITS]}
    forger.records.put(addresses.source_image(scene.image, claim["source"]), {**examined, "body": forged})
    forger.records.put(key, {**item, "body": json.dumps(delivery | claim)})


def test_a_source_that_was_changed_in_its_place_is_not_registered(dressed):
    """Its name is the digest of what was examined: nothing is made of another content, and the delivery is parked."""
    approve(dressed)
    forger = Forger(dressed)
    key = addresses.delivery(addresses.delivery_id(HUB, dressed.image, PROD, REGION))
    place = addresses.source_image(dressed.image, json.loads(forger.records.get(key)["body"])["source"])
    item = forger.records.get(place)
    forged = json.loads(item["body"]) | {"tags": {"Approved": "forged"}}
    forger.records.put(place, {**item, "body": json.dumps(forged, separators=(",", ":"))})

    assert nothing_for(dressed.after(A_WHILE))


def test_nothing_is_approved_that_was_not_examined(scene):
    """The service has not looked at the AMI yet: nobody knows what would arrive. The plan says who will wait."""
    scene.apply(file())
    status, lines = scene.said("plan", "dev prod")
    assert (status, f"{PROD} {REGION}: waits for an approval first" in lines) == (0, True), lines
    assert f"{DEV} {REGION}: waits for an approval" not in lines
    scene.tag("prod")
    assert approve(scene, status=1)["faults"][0]["code"] == "not-examined"


# --- who may approve -------------------------------------------------------------------------------------------------

FORGED = {
    "a snapshot": Forgery("snapshot:tagged", PROD, ("tagged", PROD), "needs an approval"),
    "the key": Forgery("key:own", PROD, ("tagged", PROD), "needs an approval", grantee=role_of(PROD)),
}


def test_a_forged_record_opens_nothing_without_an_approval(waiting):
    """With the credentials of `worker`: a delivery that claims an approval, and a share that is wanted for it."""
    delivery = addresses.delivery(addresses.delivery_id(HUB, waiting.image, PROD, REGION))
    forger = Forger(waiting)
    item = forger.records.get(delivery)
    body = json.loads(item["body"]) | {"state": "opening", "approved_by": "arn:aws:iam::111111111111:user/approver"}
    forger.records.put(delivery, {**item, "body": json.dumps(body)})
    for forgery in FORGED.values():
        forger.write(forgery, Purpose.COPY)
    waiting.wait(60)
    for forgery in FORGED.values():
        share = forger.look(forgery)
        assert share.state is ShareState.WANTED
        assert share.waits_for is not None
        assert share.waits_for.code == "not-approved"
        assert forgery.says in share.waits_for.what
    assert nothing_for(waiting)


def test_doctor_says_what_waits_and_who_may_approve(waiting):
    """Nobody, somebody who may tag as well, or an approver; once it is approved, nothing waits."""
    ((passed, what, cure),) = hub_checks(waiting, "approvers")
    assert (passed, "no role or user of the hub may approve" in what) == (False, True)
    assert "deploy/cli-approver.json" in cure
    waiting.role(HUB, "Both", tags=deployed("cli-tagger"), approves=deployed("cli-approver"))
    assert hub_checks(waiting, "approvers")[0][0] is False
    waiting.role(HUB, "Ann", approves=deployed("cli-approver"))
    assert hub_checks(waiting, "approvers") == [
        (True, "role/Ann may approve; role/Both may, too, but may also write the tag.", "")
    ]
    ((passed, what, cure),) = hub_checks(waiting, "approvals")
    assert (passed, what.startswith(f"{waiting.image}: 1 target waits for an approval since ")) == (False, True)
    assert cure.endswith(f"ami-promoter approve {waiting.image} --digest {asked(waiting)[0][:12]}")
    approve(waiting)
    waiting.run_until_state("delivered", PROD)
    assert [passed for passed, _, _ in hub_checks(waiting, "approvals")] == [True]


def test_who_approves_reads_and_approves_and_does_nothing_else(waiting, become):
    """It cannot write the tag, the targets file, a switch or a withdrawal."""
    become(deployed("cli-approver"))
    targets = str(waiting._directory / "targets.yaml")
    for words in (
        ("promote", waiting.image, "prod"),
        ("cancel", "--yes", waiting.image),
        ("admin", "pause", "--why", "no"),
        ("withdraw", "--yes", waiting.image, "--account", DEV),
    ):
        status, out, err = waiting.cli(*words)
        assert status == 3, (words, out + err)
    assert waiting.cli("targets", "diff", targets)[0] == 0
    approve(waiting)
    waiting.run_until_state("delivered", PROD)
    # only what has failed, or is parked, makes `retry` write
    failures.write(waiting, f"promotion#{waiting.image}", parked={"S": "It was damaged."})
    assert waiting.cli("retry", waiting.image)[0] == 3


def test_who_operates_cannot_approve(waiting, become):
    """In no way that the table allows: a batch, one item, or another sort key."""
    become(deployed("cli-operator"))
    status, out, err = waiting.cli("approve", "--yes", waiting.image)
    assert status == 3, out + err
    dynamodb = own_client("dynamodb")
    place = addresses.approval("AROA:anybody", waiting.image, f"{PROD}/{REGION}")
    item = {"pk": {"S": place.pk}, "sk": {"S": place.sk}}
    change = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "b"}}}
    for call, words in (("put_item", {"Item": item}), ("update_item", {"Key": item, **change})):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(dynamodb, call)(TableName=f"{TABLE}-config", **words)
    assert waiting.cli("admin", "pause", "--why", "test")[0] == 0
    assert nothing_for(waiting.after(A_WHILE))


def approved_item(waiting, author, **changed):
    """An approval of the AMI for PROD as the package would compute it, in this author's partition."""
    approve(waiting)
    (key, found), *_ = approvals_stored(waiting).items()
    body = json.loads(found["body"]["S"]) | changed
    place = addresses.approval(author, waiting.image, f"{PROD}/{REGION}")
    waiting.client("dynamodb").delete_item(TableName=f"{TABLE}-config", Key={"pk": {"S": key}, "sk": found["sk"]})
    return {**found, "pk": {"S": place.pk}, "sk": {"S": place.sk}, "body": {"S": json.dumps(body)}}


def approvals_stored(waiting):
    """All approvals, by partition."""
    items = waiting.client("dynamodb").scan(TableName=f"{TABLE}-config", ConsistentRead=True)["Items"]
    return {one["pk"]["S"]: one for one in items if one["pk"]["S"].startswith(addresses.APPROVALS)}


def write(item):
    """Write an item with the approvers' one action."""
    own_client("dynamodb").batch_write_item(RequestItems={f"{TABLE}-config": [{"PutRequest": {"Item": item}}]})


def test_an_approver_writes_no_end_of_its_own(waiting, become):
    """An approval that says that it is from 1970 and lasts until 2100, or is of next year, opens nothing now."""
    for at, until in ((0, 4102444800), (1_800_000_000, 1_800_100_000)):
        become(deployed("cli-approver"))
        author = own_client("sts").get_caller_identity()["UserId"]
        write(approved_item(waiting, author, at=at, until=until))
        assert nothing_for(waiting.after(A_WHILE)), at
        assert waiting.states()[PROD] == WAITS


def test_an_approver_writes_in_no_other_name_and_takes_back_no_other_approval(waiting, become):
    """The partition is the author: another one's cannot be written or emptied, and the body names nobody."""
    become(deployed("cli-approver"))
    approve(waiting)
    (mine,) = approvals_stored(waiting)
    item = approvals_stored(waiting)[mine]
    others = addresses.approval("AROACISO:jane", waiting.image, f"{PROD}/{REGION}")
    for change in (
        {"PutRequest": {"Item": {**item, "pk": {"S": others.pk}}}},
        {"DeleteRequest": {"Key": {"pk": {"S": others.pk}, "sk": {"S": others.sk}}}},
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            own_client("dynamodb").batch_write_item(RequestItems={f"{TABLE}-config": [change]})
    body = json.loads(item["body"]["S"]) | {"by": f"arn:aws:sts::{HUB}:assumed-role/CISO/jane"}
    write({**item, "body": {"S": json.dumps(body)}})
    waiting.run_until_state("delivered", PROD)
    (notice,) = [one for one in waiting.notices("delivery.delivered") if one["account"] == PROD]
    assert (notice["approved_by"], notice["approved_by"].endswith(":person")) == (mine.partition("#")[2], True)
