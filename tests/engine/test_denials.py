"""Which kind of policy denied a call, by AWS's message."""

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine.aws.refusals import refusal
from chalicelib.engine.denials import cause, kind_of
from chalicelib.engine.errors import RefusalKind

WHO = "User: arn:aws:sts::222222222222:assumed-role/AmiCopyRole/x is not authorized to perform: ec2:CopySnapshot on "
WHO += "resource: arn:aws:ec2:us-east-1::snapshot/*"
DENIES, COPYING = "with an explicit deny in", "allows the ec2:CopySnapshot action"
SAYS = [
    (
        f"{DENIES} a service control policy",
        "service control policy",
        "list-policies-for-target --filter SERVICE_CONTROL_POLICY",
    ),
    (f"because no service control policy {COPYING}", "service control policy", "exempt the role"),
    (f"{DENIES} a resource control policy", "resource control policy", "RESOURCE_CONTROL_POLICY"),
    (
        f"{DENIES} a resource control policy: arn:aws:organizations::111111111111:policy/o-1/x/p-2",
        "resource control policy",
        "RESOURCE_CONTROL_POLICY",
    ),
    (f"{DENIES} an identity-based policy", "identity-based policy", "list-role-policies"),
    (f"because no identity-based policy {COPYING}", "identity-based policy", "deploy/target.yaml"),
    ("because no resource-based policy allows the kms:Decrypt action", "resource-based policy", "target KEY"),
    (
        "on this resource because the resource does not exist in this Region, no resource-based policies allow access",
        "resource-based policy",
        "no such key",
    ),
    (f"{DENIES} a resource-based policy", "resource-based policy", "the resource that the message names"),
    (f"because no permissions boundary {COPYING}", "permissions boundary", "boundary"),
    (f"because no session policy {COPYING}", "session policy", "issue"),
    (f"{DENIES} a VPC endpoint policy", "VPC endpoint policy", "endpoint"),
    ("because no role trust policy allows the sts:AssumeRole action", "role trust policy", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("words", "kind", "cure"), SAYS)
def test_the_kind_of_policy_is_in_its_words(words, kind, cure):
    """With where to look; if the message does not name it, nothing is guessed."""
    assert kind_of(f"{WHO} {words}. Encoded authorization failure message: x") == (kind, DENIES in words)
    assert cure in cause(f"{WHO} {words}")
    assert bool(cause(f"{WHO} {words}")) == bool(cure)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (f"{DENIES} an identity-based policy", "TargetAccounts"),
        ("because no identity-based policy allows the sts:AssumeRole action", "same as the hub's parameter"),
        (f"{DENIES} a resource-based policy", "deploy deploy/target.yaml"),
        (f"{DENIES} a permissions boundary", "deploy deploy/target.yaml"),
    ],
)
def test_only_the_hubs_own_policy_sends_the_reader_to_the_hubs_parameters(words, cure):
    """Of a role that cannot be assumed: what the target's trust policy, or a boundary, denies is not cured there."""
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": f"{WHO} {words}"}}, "AssumeRole")
    found = refusal(error, "AssumeRole", "where", sts=True).fault.cure
    assert cure in found
    assert found.startswith("The hub does not admit that account") == (cure == "TargetAccounts")


def test_a_region_in_which_an_account_has_no_sts_is_not_taken_for_a_missing_role():
    """STS says so where the hub's Region is not enabled in the target's account [turbot/steampipe-plugin-aws#1510]."""
    message = "STS is not activated in this region for account:222222222222."
    error = ClientError({"Error": {"Code": "RegionDisabledException", "Message": message}}, "AssumeRole")
    found = refusal(error, "AssumeRole", "where", sts=True)
    assert found.kind is RefusalKind.ROLE
    assert "the hub's Region" in found.fault.cure
    assert "deploy/target.yaml" not in found.fault.cure


@pytest.mark.parametrize("said", ["Rate exceeded", "Rate exceeded.", ""])
def test_a_refusal_ends_its_sentence_before_the_cure(said):
    """Messages print the cause, and the cure after it; some of AWS's words end without a full stop."""
    error = ClientError({"Error": {"Code": "Throttling", "Message": said}}, "PutEvents")
    fault = refusal(error, "PutEvents", "there").fault

    words = f": {said.rstrip('.')}" if said else ""
    assert str(fault) == f"there: PutEvents was refused: Throttling{words}. {fault.cure}"


def test_a_tag_that_the_targets_organization_refuses_is_cured_in_the_targets_file():
    """Tags come from the source and the file: nothing else in the target can be repaired."""
    said = "The tag policy does not allow the specified value for the following tag key: 'stage'."
    error = ClientError({"Error": {"Code": "TagPolicyViolation", "Message": said}}, "CopySnapshot")
    fault = refusal(error, "CopySnapshot", "here").fault
    assert "'stage'" in fault.what
    assert "`source_tags`" in fault.cure
