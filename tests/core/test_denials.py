"""Which kind of policy denied a call, by AWS's message."""

import pytest

from chalicelib.core.denials import cause, kind_of

WHO = "User: arn:aws:sts::222222222222:assumed-role/AmiCopyRole/x is not authorized to perform: ec2:CopySnapshot on "
WHO += "resource: arn:aws:ec2:us-east-1::snapshot/*"
SAYS = {
    "with an explicit deny in a service control policy": (
        "service control policy",
        "list-policies-for-target --filter SERVICE_CONTROL_POLICY",
    ),
    "because no service control policy allows the ec2:CopySnapshot action": (
        "service control policy",
        "exempt the role",
    ),
    "with an explicit deny in a resource control policy": ("resource control policy", "RESOURCE_CONTROL_POLICY"),
    "with an explicit deny in an identity-based policy": ("identity-based policy", "list-role-policies"),
    "because no identity-based policy allows the ec2:CopySnapshot action": (
        "identity-based policy",
        "deploy/target.yaml",
    ),
    "because no resource-based policy allows the kms:Decrypt action": ("resource-based policy", "key-policy"),
    "with an explicit deny in a resource-based policy": (
        "resource-based policy",
        "the resource that the message names",
    ),
    "because no permissions boundary allows the ec2:CopySnapshot action": ("permissions boundary", "boundary"),
    "because no session policy allows the ec2:CopySnapshot action": ("session policy", "issue"),
    "with an explicit deny in a VPC endpoint policy": ("VPC endpoint policy", "endpoint"),
    "because no role trust policy allows the sts:AssumeRole action": ("role trust policy", ""),
    "": ("", ""),
}


@pytest.mark.parametrize(("words", "kind", "cure"), [(words, *rest) for words, rest in SAYS.items()])
def test_the_kind_of_policy_is_in_its_words(words, kind, cure):
    """With where to look; if the message does not name it, nothing is guessed."""
    assert kind_of(f"{WHO} {words}. Encoded authorization failure message: x") == (kind, "explicit" in words)
    assert cure in cause(f"{WHO} {words}")
    assert bool(cause(f"{WHO} {words}")) == bool(cure)
