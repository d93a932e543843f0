"""OUs as targets: nested ones, accounts that join, that leave or only seem to, and missing permissions."""

import pytest

from tests.scenarios.organization import READING, OrganizationScene
from tests.scenarios.scene import DEV, HUB, PROD, TEST


@pytest.fixture
def organization(scene):
    """Give the scene an organization with only the hub in it."""
    return OrganizationScene(scene)


def members(scene):
    """The output of ``ami-promoter targets members --json``."""
    return scene.ask("targets", "members")


def accounts(scene):
    """The accounts of the file's only OU in force."""
    (unit,) = members(scene)["units"]
    return unit["accounts"]


def counted(scene, metric):
    """The last value of one of discovery's metrics."""
    entries = [entry for one in scene.world.lambda_.invocations for entry in one.metrics if metric in entry]
    return entries[-1][metric][0]


def test_too_many_that_leave_at_once_wait_for_a_person(scene, organization):
    """Two of three exceed a tenth: a metric with an alarm, a line in ``status``, and each stays until accepted."""
    people, made = organization.people, organization.made
    for account in (DEV, TEST, PROD):
        people.add_account(made, account, organization.outer)
    scene.apply(organization.file())
    scene.wait(READING)
    people.close(made, TEST)
    people.remove(made, PROD)
    assert accounts(scene.after(6 * READING)) == [DEV, TEST, PROD]
    assert counted(scene, "AccountsHeld") == 2
    assert "Too many accounts left `workloads` at once: 2 accounts" in scene.cli("status")[1]

    for account, stay in ((TEST, [DEV, PROD]), (PROD, [DEV])):
        status, out, _ = scene.cli("targets", "members", "accept", "--account", account)
        assert (status, out.startswith(f"Accepted: {account}.")) == (0, True)
        assert accounts(scene.after(2 * READING)) == stay
    expected = ["its state is CLOSED", "it is no longer in the organization"]
    assert [one["why"] for one in members(scene)["left"]] == expected
    assert counted(scene, "AccountsHeld") == 0


def test_a_launch_permission_may_name_the_ou_and_what_is_shared_follows_who_joins_and_leaves(scene, organization):
    """One permission for the OU, keys for each account; the permission stays while the OU has an account.

    An account that left loses its key, and its delivery is withdrawn.
    """
    people, made, arn = organization.people, organization.made, organization.made.arn_of(organization.outer)
    people.add_account(made, DEV, organization.outer)
    sharing = "  mode: share\n  key_access: grant\n  service_linked_roles: []\n  launch_permission: group\n"
    scene.apply(organization.file().replace("organization:", f"{sharing}organization:"))
    scene.launches = {arn}
    assert scene.promoted("workloads") == {DEV: "shared"}
    assert scene.launch(DEV) == ""

    people.add_account(made, TEST, organization.inner)
    assert scene.outcome(times=2) == {DEV: "shared", TEST: "shared"}
    assert scene.launch(TEST) == ""
    assert scene.launchable_by() == {arn}

    people.move(made, DEV, made.root)
    scene.run_until_state("withdrawn", DEV)
    assert scene.after(60).delivery_state(TEST) == "shared"
    assert scene.launchable_by() == {arn}
    assert {grant["GranteePrincipal"] for grant in scene.grants()} == {f"arn:aws:iam::{TEST}:root"}
    assert scene.launch(DEV) != ""
    scene.assert_invariants()


def test_a_hub_that_may_not_read_the_organization_says_what_to_do_and_goes_on_when_it_may(scene, organization):
    """No read role, or no delegated administrator: the value is refused with AWS's words and the cure.

    As soon as the organization can be read the AMI is delivered, without another tag.
    """
    organization.people.add_account(organization.made, DEV, organization.outer)
    scene.apply(organization.file("back_fill: true"))
    scene.tag("workloads")
    scene.run_until_refused()
    (refused,) = scene.notices("promotion.refused", scene.image)
    (fault,) = refused["faults"]
    assert fault == {
        "code": "organization-unreadable",
        "where": f"organization {organization.made.id}, read by account {HUB} (hub)",
        "what": (
            f"DescribeOrganizationalUnit({organization.outer}) was refused: AccessDeniedException: "
            "You don't have permissions to access this resource."
        ),
        "cure": (
            "Only the management account and delegated administrators may ask. Deploy deploy/organization.yaml in the "
            "management account and write its output RoleArn as `organization: read_role` in the targets file; or make "
            f"account {HUB} a delegated administrator."
        ),
    }

    organization.people.delegate(organization.made, HUB)
    assert scene.outcome() == {DEV: "delivered"}
    scene.assert_invariants()
