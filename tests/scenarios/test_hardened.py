"""A hub with everything that a security review may require: its own keys, boundaries, reserved concurrency."""

import pytest
from botocore.exceptions import ClientError

from tests.scenarios.scene import DEV, HUB, REGION, Scene, document, targets_file
from tools.policies import statements

LIMITS = "ami-promoter/limits"


def boundary(scene: Scene) -> None:
    """Make the policy in hub and target: every action of docs/reference/permissions.md."""
    actions = sorted({action for it in statements() if not it.denied for action in it.actions})
    limits = {
        "ManagedPolicyName": LIMITS,
        "PolicyDocument": document({"Effect": "Allow", "Action": actions, "Resource": "*"}),
    }
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": limits}
    for account in (HUB, DEV):
        scene.world.deploy({"Resources": {"Limits": policy}}, account, REGION, "limits", {})


def harden(scene: Scene) -> tuple[str, str]:
    """Deploy hub and target again with all such parameters.

    Return the ARNs of the key that the hub's stack makes, and of the one for its tables, queues and topics.
    """
    data = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
    hub = scene.deploy_hub(
        TargetAccounts=DEV,
        CreateSourceKey="true",
        SourceKeyArns=scene.key,
        DataKeyArn=data,
        PermissionsBoundary=LIMITS,
        KeepHistoryDays="365",
    )
    scene.deploy_target(CreateKey="false", PermissionsBoundary=LIMITS)
    return hub.outputs["SourceKeyArn"], data


def test_an_ami_under_the_hubs_own_key_arrives_within_all_boundaries(scene):
    """The stack's key needs no further statement, and a boundary of the listed actions denies nothing.

    Nobody uses the key but through EC2, and nobody but the share worker grants it: an administrator cannot before they
    change its policy; they see grants, and can revoke them. With the data key a function decrypts nothing itself, nor
    through a service that does not keep its data.
    """
    boundary(scene)
    key, data = harden(scene)
    scene.apply(targets_file(queue_deadline="30m"))
    image = scene.world.ec2.seed_image(HUB, REGION, name="golden-2026-02", volumes=(8, 20), key=key)
    scene.tag("", image)
    assert scene.outcome(image) == {DEV: "delivered"}, scene.describe()

    kms = scene.person("builder", "kms")
    for call in (
        lambda: kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Operations=["Decrypt"]),
        lambda: kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
    assert kms.list_grants(KeyId=key)["Grants"] == []
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"]

    thief, *_ = scene.world.accounts.issue(f"arn:aws:iam::{HUB}:role/ami-promoter-{REGION}-worker", "thief")
    allowed = {
        service: scene.world.kms.may_use(thief, "kms:Decrypt", data, f"{service}.{REGION}.amazonaws.com")[0]
        for service in ("sqs", "dynamodb", "sns", "ec2", "s3")
    }
    assert allowed == {"sqs": True, "dynamodb": True, "sns": True, "ec2": False, "s3": False}
