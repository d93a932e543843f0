"""A thief chooses who receives: an extra member of an OU, a forged share and a wake. Organizations itself is asked."""

import pytest

from awsim.services.organizations import PATHS
from chalicelib.sharing.machine import OpeningIntended, evolve
from chalicelib.sharing.share import Purpose
from tests.scenarios.forgeries import Forger, Forgery, add_the_stranger, role_of
from tests.scenarios.monitoring import audited, monitored, verdicts
from tests.scenarios.organization import READ_ROLE, ROLE, SECRET, OrganizationScene
from tests.scenarios.scene import DEV, HOUR, HUB, STRANGER, TEST, document, permit
from tests.scenarios.stolen import COPIES, client, refused

EVERYTHING = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
ADMITS_ALL = {**READ_ROLE, "TargetAccounts": "", "OrganizationId": ""}
FORGED = [
    Forgery("snapshot:tagged", STRANGER, ("tagged", STRANGER), ""),
    Forgery("key:own", STRANGER, ("tagged", STRANGER), "", grantee=role_of(STRANGER)),
    Forgery("image:tagged", STRANGER, ("tagged", STRANGER), ""),
]


@pytest.fixture
def organization(scene):
    """DEV in an OU of the file, with the AMI; a hub that enters every account; and a role in the stranger's account."""
    org = OrganizationScene(scene)
    org.people.add_account(org.made, DEV, org.inner)
    scene.apply(org.file())
    scene.deploy_hub(**ADMITS_ALL)
    scene.role(STRANGER, COPIES, all=EVERYTHING)
    assert scene.promoted("workloads") == {DEV: "delivered"}
    return org


def open_to(scene, account):
    """Whether anything of the hub is open to an account."""
    shared = account in {*scene.shared_with(scene.snapshots[0]), *scene.launchable_by()}
    return shared or any(account in grant["GranteePrincipal"] for grant in scene.grants())


@pytest.mark.parametrize(("forger", "purpose"), [("discover", Purpose.COPY), ("worker", Purpose.STANDING)])
@pytest.mark.thorough_but("worker-standing")
def test_an_extra_member_a_forged_share_and_a_wake_open_nothing(scene, organization, forger, purpose):
    """With the credentials of `discover` alone, or of `worker` beside them; the scene watches every call."""
    thief = Forger(scene, forger)
    add_the_stranger(scene)
    for forgery in FORGED:
        thief.write(forgery, purpose)
    scene.wait(20)
    assert not open_to(scene, STRANGER)
    for forgery in FORGED:
        why = thief.look(forgery).waits_for
        assert why is not None
        assert why.code == "not-a-member", why
    scene.wait(1800)
    assert not open_to(scene, STRANGER)
    assert scene.watch.problems == []
    (unit,) = scene.ask("targets", "members")["units"]
    assert unit["accounts"] == [DEV], "two readings of the OU have taken it out again"


def robbed(scene):
    """Both thieves: a forged member and a forged intent, and the snapshot opened as `share-worker`, for half an hour.

    Before, the file must have been in force for an hour, and the audit's first pass begins with the monitor's stack.
    """
    add_the_stranger(scene)
    thief, forgery = Forger(scene), FORGED[0]
    thief.write(forgery, Purpose.COPY)
    (share,) = [one for one in thief.ledger.shares(thief.resource(forgery).pk) if one.share_name == forgery.to]
    now = int(scene.world.now.timestamp())
    thief.ledger.save([evolve(share, OpeningIntended(), now)], "forged", now)
    permit(client(scene, "share-worker", "ec2"), scene.snapshots[0], STRANGER)
    for _ in range(30):
        scene.wait(60)
        add_the_stranger(scene)  # `discover` itself takes it out again
    scene.watch.problems.clear()
    return scene


@pytest.mark.parametrize("reads", ["by role", "delegated"])
def test_monitor_and_audit_page_whatever_ledger_and_members_say(scene, organization, reads):
    """Organizations has the stranger nowhere. A hub that is a delegated administrator asks with its own rights."""
    if reads == "delegated":
        organization.people.delegate(organization.made, HUB)
        scene.apply(organization.file("back_fill: true"))
    scene.wait(HOUR)
    monitored(scene, **ADMITS_ALL)
    robbed(scene)
    assert verdicts(scene) == [("page", "own-without-intent")]
    assert audited(scene) == [("page", "own-without-intent", scene.snapshots[0])]


def test_an_opening_to_a_member_is_no_finding(scene, organization):
    """The monitor asks Organizations about the account, and says nothing."""
    organization.people.delegate(organization.made, HUB)
    scene.apply(organization.file("back_fill: true"))
    scene.wait(HOUR)
    monitored(scene, **ADMITS_ALL)
    organization.people.add_account(organization.made, TEST, organization.inner)
    assert scene.outcome(times=2)[TEST] == "delivered"
    scene.wait(HOUR)
    assert verdicts(scene) == []
    assert scene.errors() == []


@pytest.mark.parametrize("reads", ["by role", "delegated"])
def test_without_paths_each_parent_is_asked(scene, organization, reads):
    """AWS's model has the path of an account as optional."""
    with scene.world.rules.off(PATHS):
        if reads == "delegated":
            organization.people.delegate(organization.made, HUB)
            scene.apply(organization.file("back_fill: true"))
        organization.people.add_account(organization.made, TEST, organization.inner)
        assert scene.outcome(times=2)[TEST] == "delivered"
        add_the_stranger(scene)
        Forger(scene, "discover").write(FORGED[0], Purpose.COPY)
        scene.wait(20)
        assert not open_to(scene, STRANGER)


def test_a_role_of_the_same_name_elsewhere_is_not_entered(scene, organization):
    """Only the one that the hub's parameter names, whatever else trusts the functions, and beside `TargetAccounts`."""
    monitored(scene, **READ_ROLE)
    elsewhere = scene.role(STRANGER, ROLE.rpartition("/")[2], admits=HUB, all=EVERYTHING)
    for function in ("discover", "share-worker", "access-monitor", "drift-audit"):
        sts = client(scene, function, "sts")
        refused(sts.assume_role, RoleArn=elsewhere, RoleSessionName="thief")
        sts.assume_role(RoleArn=ROLE, RoleSessionName="thief", ExternalId=SECRET)
