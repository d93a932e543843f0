"""What may be refused in a target: one target for each trouble, all at once beside a healthy one.

Each has its documented outcome (docs/operations/outcomes.md): delivered, later; or failed, with the exact cause and
cure. The healthy target has its AMI as soon as without them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from awsim.api import AwsError
from awsim.injections import THROTTLED
from demo import stage
from tests.scenarios.failures import assert_untouched, calm_pace, deny, refuse
from tests.scenarios.forgeries import role_of
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST, Scene, permit

HEALTHY = "300000000000"
OUTAGE = 600
FIFTH, SOME = 0.2, 20
DISCOVERY = 5 * 60 + 30
"""Seconds until discovery has run once."""


@dataclass(frozen=True)
class CallTrouble:
    """What is wrong in a target, and the outcome: the fault's code and text; none if it is delivered."""

    strike: Callable[[Scene, str], object]
    code: str = ""
    says: str = ""
    cure: str = ""


def key(scene: Scene, account: str) -> str:
    return str(scene.stage.targets[account].outputs["KeyArn"])


def no_role(scene: Scene, account: str) -> None:
    """The role was never deployed."""
    scene.world.iam.roles.drop(role_of(account))


def another_external_id(scene: Scene, account: str) -> None:
    """The role's trust has an external id that the targets file does not have."""
    there = scene.world.iam.roles.get(role_of(account))
    assert there is not None
    trust = json.loads(json.dumps(there.trust).replace(stage.EXTERNAL_ID, "somebody-elses"))
    scene.world.iam.put_role(account, there.name, trust, there.policies)


def key_disabled(scene: Scene, account: str) -> None:
    """A person has disabled the key."""
    scene.client("kms", account).disable_key(KeyId=key(scene, account))


def key_to_be_deleted(scene: Scene, account: str) -> None:
    """A person has scheduled the key for deletion."""
    scene.client("kms", account).schedule_key_deletion(KeyId=key(scene, account), PendingWindowInDays=7)


def name_taken(scene: Scene, account: str) -> None:
    """A stranger's AMI has the name."""
    scene.world.ec2.seed_image(account, REGION, name=f"golden-2026-01-{scene.image}")


def kms_away(scene: Scene, account: str) -> None:
    """KMS does not answer in that account for ten minutes."""
    refuse(scene, "kms:*", account, "ServiceUnavailable", status=503, seconds=OUTAGE)


def sts_away(scene: Scene, account: str) -> None:
    """STS does not answer for that role for ten minutes."""
    refuse(scene, "AssumeRole", account, "ServiceUnavailable", status=503, seconds=OUTAGE)


def ec2_away(scene: Scene, account: str) -> None:
    """EC2 does not answer in that account for ten minutes."""
    refuse(scene, "ec2:*", account, "Unavailable", status=503, seconds=OUTAGE)


def account_new(scene: Scene, account: str) -> None:
    """AWS has not activated EC2 yet in an account that was made minutes ago."""
    refuse(scene, "ec2:*", account, "OptInRequired", status=401, seconds=OUTAGE)


BEFORE: Mapping[str, CallTrouble] = {
    "role missing": CallTrouble(no_role, "deadline-awaiting-role", "AssumeRole was refused", "deploy/target.yaml"),
    "external id wrong": CallTrouble(
        another_external_id, "deadline-awaiting-role", "AssumeRole was refused", "external id"
    ),
    "key disabled": CallTrouble(key_disabled, "target-key-not-enabled", "Disabled", "key"),
    "key to be deleted": CallTrouble(key_to_be_deleted, "target-key-not-enabled", "PendingDeletion", "key"),
    "all of KMS denied": CallTrouble(lambda s, a: deny(s, a, "kms:*"), "target-key-missing", "AccessDenied", "policy"),
    "use of keys denied": CallTrouble(
        lambda s, a: deny(s, a, "kms:Decrypt", "kms:ReEncrypt*"),
        "copy-failed",
        "Given key ID is not accessible",
        "service control policy",
    ),
    "CopySnapshot denied": CallTrouble(
        lambda s, a: deny(s, a, "ec2:CopySnapshot"),
        "aws-UnauthorizedOperation",
        "CopySnapshot was refused",
        "A policy on the role itself denies it",
    ),
    "name taken": CallTrouble(name_taken, "target-name-taken", "is taken by", "ami_name"),
    "KMS away": CallTrouble(kms_away),
    "STS away": CallTrouble(sts_away),
    "EC2 away": CallTrouble(ec2_away),
    "account new": CallTrouble(account_new),
}
"""Troubles that exist from the beginning."""


def copies_in(scene: Scene, account: str) -> list[str]:
    """The service's copies there."""
    return [s["SnapshotId"] for s in scene.snapshots_in(account) if s.get("Tags")]


def copy_deleted(scene: Scene, account: str) -> None:
    """Its owner deletes a completed copy before the other one completes."""
    state = scene.world.ec2.state.snapshots
    state.drop(copies_in(scene, account)[0])


def ends_in_error(message: str) -> Callable[[Scene, str], None]:
    """A copy ends in error, with this StateMessage."""

    def strike(scene: Scene, account: str) -> None:
        state = scene.world.ec2.state.snapshots
        snapshot = state.get(copies_in(scene, account)[0])
        assert snapshot is not None
        state.put(replace(snapshot, state="error", state_message=message))

    return strike


def credentials_expire(scene: Scene, account: str) -> None:
    """Every session in that account expires in the middle of its work."""
    issued = scene.world.accounts._callers
    for name, (caller, token) in list(issued.items()):
        if caller.account == account and caller.role_arn:
            issued[name] = (replace(caller, expires=scene.world.now), token)


def alias_moved(scene: Scene, account: str) -> None:
    """The alias names another key now; the copies continue under the key of the checks."""
    kms = scene.client("kms", account)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName="alias/ami-promoter", TargetKeyId=other)


def register_denied(scene: Scene, account: str) -> None:
    """A service control policy denies RegisterImage."""
    deny(scene, account, "ec2:RegisterImage")


MIDWAY: Mapping[str, CallTrouble] = {
    "key disabled midway": CallTrouble(
        key_disabled, "aws-InvalidParameterValue", "is disabled", "Repair what the message names"
    ),
    "key deleted midway": CallTrouble(key_to_be_deleted, "copy-failed", "Given key ID is not accessible", "keys are"),
    "KMS denied midway": CallTrouble(
        lambda s, a: deny(s, a, "kms:*"), "aws-AuthFailure", "Not authorized to use key", "service control policy"
    ),
    "copy deleted": CallTrouble(copy_deleted, "copy-vanished", "is gone", "for DeleteSnapshot in"),
    "copy in error": CallTrouble(ends_in_error("Source snapshot ID is not valid"), "copy-failed", "Source snapshot ID"),
    "copy in error for no reason": CallTrouble(ends_in_error(""), "copy-failed", "no reason given"),
    "RegisterImage denied": CallTrouble(
        register_denied, "aws-UnauthorizedOperation", "RegisterImage was refused", "policy"
    ),
    "name taken midway": CallTrouble(name_taken, "ami-name-taken", "which this service did not make", "ami_name"),
    "credentials expire": CallTrouble(credentials_expire),
    "alias moved": CallTrouble(alias_moved),
    "STS away midway": CallTrouble(sts_away),
    "EC2 away midway": CallTrouble(ec2_away),
}
"""Troubles that begin while the copies run."""
FEW_BEFORE = {
    name: BEFORE[name] for name in ("role missing", "key disabled", "CopySnapshot denied", "name taken", "account new")
}
FEW_MIDWAY = {name: MIDWAY[name] for name in ("key disabled midway", "KMS denied midway", "EC2 away midway")}
"""Those of each that the tests play; ``tests/scenarios/soak.py`` plays all."""


def targets(troubles: Mapping[str, CallTrouble]) -> dict[str, str]:
    """Name -> account: one for each trouble, and the healthy one."""
    return {"healthy": HEALTHY, **{name.replace(" ", "-"): f"{300000000001 + n}" for n, name in enumerate(troubles)}}


def assert_outcome(scene: Scene, name: str, trouble: CallTrouble, account: str) -> None:
    """It has the documented outcome, with cause and cure in the notice, and nothing is left there."""
    ends = [n for n in scene.notices(image=scene.image) if n.get("account") == account and n["outcome"] != "waiting"]
    assert len(ends) == 1, f"{name}: {ends}"
    (reported,) = ends
    assert reported["outcome"] == ("failed" if trouble.code else "delivered"), f"{name}: {reported}"
    if not trouble.code:
        assert len(copies_in(scene, account)) == len(scene.snapshots), name
        return
    assert {fault["code"] for fault in reported["faults"]} == {trouble.code}, f"{name}: {reported['faults']}"
    fault = reported["faults"][0]
    assert trouble.says in fault["what"], f"{name}: {fault['what']}"
    assert trouble.cure in fault["cure"], f"{name}: {fault['cure']}"
    assert account in fault["where"], f"{name}: {fault['where']}"
    assert copies_in(scene, account) == [], name
    assert [i for i in scene.images_in(account) if i.get("Tags")] == [], name


def assert_outcomes(scene: Scene, troubles: Mapping[str, CallTrouble]) -> None:
    """Run to the end; each has its outcome, and the healthy one is unaffected."""
    scene.run_until_over(seconds=3 * HOUR)
    assert_untouched(scene, HEALTHY)
    for name, account in zip(troubles, list(targets(troubles).values())[1:], strict=True):
        assert_outcome(scene, name, troubles[name], account)
    scene.assert_invariants()


def set_out(scene: Scene, troubles: Mapping[str, CallTrouble]) -> dict[str, str]:
    """Apply the targets, with a queue deadline of half an hour; return trouble -> account."""
    calm_pace(scene)
    scene.apply(stage.targets_file(targets(troubles)).replace("groups:", "  queue_deadline: 30m\ngroups:", 1))
    return dict(zip(troubles, list(targets(troubles).values())[1:], strict=True))


def wrong_from_the_beginning(scene: Scene, troubles: Mapping[str, CallTrouble]) -> None:
    """Each target has its own trouble when the AMI is tagged."""
    for name, account in set_out(scene, troubles).items():
        troubles[name].strike(scene, account)
    scene.tag("dev")

    assert_outcomes(scene, troubles)


def wrong_midway(scene: Scene, troubles: Mapping[str, CallTrouble]) -> None:
    """Each target has its own trouble while it copies."""
    accounts = set_out(scene, troubles)
    scene.tag("dev")
    scene.run_until(lambda: sum(scene.live_copies().values()) == 2 * (len(troubles) + 1))
    scene.wait(10)
    for name, account in accounts.items():
        troubles[name].strike(scene, account)

    assert_outcomes(scene, troubles)


@pytest.mark.parametrize("scene", [targets(FEW_BEFORE)], indirect=True)
def test_what_is_wrong_from_the_beginning(scene):
    """Retried, or failed with cause and cure; no other target is affected."""
    wrong_from_the_beginning(scene, FEW_BEFORE)


@pytest.mark.parametrize("scene", [targets(FEW_MIDWAY)], indirect=True)
def test_what_goes_wrong_while_the_copies_run(scene):
    """The same, while the copies run."""
    wrong_midway(scene, FEW_MIDWAY)


def test_every_outcome_is_written_down():
    """docs/operations/outcomes.md has each one's code and text."""
    page = (Path(__file__).parents[2] / "docs" / "operations" / "outcomes.md").read_text(encoding="utf-8")
    for name, trouble in {**BEFORE, **MIDWAY}.items():
        assert not trouble.code or f"`{trouble.code}`" in page, name


@pytest.mark.thorough
def test_a_fifth_of_all_calls_is_throttled(scene):
    """In any function and any service: all are delivered later, once, and nothing is left."""
    rng = scene.world.kernel.random
    met: list[str] = []

    def throttle(call):
        if call.caller.function and call.service in THROTTLED and rng.random() < FIFTH:
            met.append(call.operation)
            raise AwsError(*THROTTLED[call.service][:1], "too fast", THROTTLED[call.service][1])

    scene.wait(DISCOVERY)
    scene.world.gateway.before.append(throttle)
    scene.promote("dev", seconds=4 * HOUR)
    scene.run_until(lambda: "publishing" not in map(scene.delivery_state, (DEV, TEST)), 2 * HOUR)
    scene.run_until(lambda: not scene.world.shares_open(), 2 * HOUR)

    assert len(met) > SOME
    assert scene.states() == {DEV: "delivered", TEST: "delivered"}
    assert {"delivery.failed", "delivery.cancelled"}.isdisjoint(scene.reported())
    scene.assert_invariants(errors_allowed=True)


@pytest.mark.thorough
def test_kms_in_the_hub_is_away_for_ten_minutes(scene):
    """No grant can be created: the encrypted AMI is late, and the plain one beside it is not."""
    calm_pace(scene)
    plain = scene.seed("plain", volumes=(8, 8), key=None)
    scene.tag(DEV)
    scene.run_until_state("awaiting-slot")
    scene.world.injections.outage("kms", OUTAGE, account=HUB)
    scene.tag(TEST, plain)
    scene.run_until_over(plain)
    assert_untouched(scene, TEST, plain)
    assert scene.delivery_state(DEV) == "opening"
    scene.run_until_over()

    assert scene.reported() == {"delivery.delivered": 1, "promotion.over": 1}
    scene.assert_invariants()


@pytest.mark.parametrize("code", ["ResourceLimitExceeded", "PendingSnapshotLimitExceeded"])
@pytest.mark.thorough_but("PendingSnapshotLimitExceeded")
def test_too_many_snapshots_under_way_in_a_target_are_waited_for(scene, code):
    """Copies of others, or snapshots that others take there, delay the delivery and fail nothing."""
    met = refuse(scene, "CopySnapshot", DEV, code, seconds=400)

    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    assert met
    scene.assert_invariants()


@pytest.mark.parametrize(
    "operation", ["DescribeImages", "DescribeSnapshots", "DescribeSnapshotAttribute", "ListGrants"]
)
@pytest.mark.thorough_but("DescribeSnapshotAttribute")
def test_reads_that_are_a_while_behind(scene, operation):
    """EC2 shows the state of a minute ago: it is no proof that anything exists, is gone or is another owner's."""
    scene.world.injections.stale_reads(operation, n=6, seconds=45)
    scene.promote("")

    assert len(scene.world.injections._stale[operation]) < 6, "no read was stale"
    scene.assert_delivered(DEV)


def deregistered_with_its_snapshots(scene, image):
    """A person deregisters the AMI and deletes its snapshots in the hub."""
    scene.client("ec2").deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)


def unshared_by_a_person(scene, image):
    """A person revokes the permission during the copy."""
    for snapshot in scene.snapshots_of(image):
        permit(scene.client("ec2"), snapshot, DEV, "remove")


def source_key_disabled(scene, image):
    """A person disables the hub's key."""
    scene.client("kms").disable_key(KeyId=source_key(scene, image))


def grant_revoked(scene, image):
    """A person revokes the service's grant."""
    arn = source_key(scene, image)
    for grant in scene.grants(arn):
        scene.client("kms").revoke_grant(KeyId=arn, GrantId=grant["GrantId"])


def source_key(scene, image):
    """The key of an AMI's first snapshot."""
    (shown,) = scene.client("ec2").describe_snapshots(SnapshotIds=scene.snapshots_of(image)[:1])["Snapshots"]
    return shown["KmsKeyId"]


NOT_VALID, NOT_ACCESSIBLE = "Source snapshot ID is not valid", "Given key ID is not accessible"
SOURCE_TROUBLES = {
    deregistered_with_its_snapshots: NOT_VALID,
    unshared_by_a_person: NOT_VALID,
    source_key_disabled: NOT_ACCESSIBLE,
    grant_revoked: NOT_ACCESSIBLE,
}


def test_what_happens_to_a_source_while_it_is_copied(scene):
    """Each AMI has its own trouble: it fails with EC2's own message, and another AMI to the same account does not.

    Where the snapshot is gone or not shared any more, the cure names the call to search for, and no key.
    """
    calm_pace(scene)
    images = {
        strike: scene.seed(
            strike.__name__.replace("_", "-"), key=scene.client("kms").create_key()["KeyMetadata"]["Arn"]
        )
        for strike in SOURCE_TROUBLES
    }
    for image in (scene.image, *images.values()):
        scene.tag(DEV, image)
    scene.run_until(lambda: sum(scene.live_copies().values()) == 2 + len(images))
    scene.wait(10)
    for strike, image in images.items():
        strike(scene, image)
    scene.run_until_over()
    assert_untouched(scene, DEV)
    for strike, image in images.items():
        scene.run_until_over(image)
        (reported,) = scene.notices("delivery.failed", image)
        (fault,) = reported["faults"]
        assert (fault["code"], SOURCE_TROUBLES[strike] in fault["what"]) == ("copy-failed", True), fault
        assert ("ModifySnapshotAttribute" in fault["cure"]) is (SOURCE_TROUBLES[strike] == NOT_VALID), fault
    scene.assert_invariants()
