"""Keys and aliases: finding them, making them, their policies."""

from __future__ import annotations

import uuid
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any

from sandbox.api import AwsError
from sandbox.iam import policy
from sandbox.rules import rule
from sandbox.services.kms.records import Key

if TYPE_CHECKING:
    from sandbox.iam.policy import Document
    from sandbox.world import World

OWN_ACCOUNT = rule(
    "kms-bare-key-id-is-own-account",
    "A key id or alias name is looked up in the caller's account; a foreign key is named by its full ARN. "
    "[aws-facts, later reading, VERIFIED]",
)
POLICY_SIZE = rule(
    "kms-key-policy-32-kilobytes",
    "A key policy has at most 32,768 bytes: LimitExceededException. [aws-facts 3, VERIFIED]",
)
POLICY_PRINCIPALS = rule(
    "kms-key-policy-principals-exist",
    "A key policy that names a role which does not exist is refused: MalformedPolicyDocumentException. "
    "[aws-facts 3, VERIFIED]",
)
MANAGED = rule(
    "kms-aws-ebs-only-through-ec2",
    "The key alias/aws/ebs is for all identities of its own account, through EC2 only, by a policy nobody can change. "
    "[aws-facts 3, VERIFIED: kms:CallerAccount with ViaService; EBS user guide]",
)
LARGEST_POLICY = 32_768
EBS_ALIAS = "alias/aws/ebs"


class Keys:
    """All keys and aliases of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"{world.seed}/keys")
        self.keys: dict[str, Key] = {}
        self.aliases: dict[tuple[str, str, str], str] = {}
        """(account, Region, alias name) -> key ARN."""

    def find(self, account: str, region: str, key_id: str) -> Key:
        """Return what a key id, key ARN, alias name or alias ARN means to a caller.

        Raises AwsError: NotFoundException, InvalidArnException.
        """
        named = key_id
        if key_id.startswith("arn:"):
            _, _, service, there, account, named = (key_id.split(":", 5) + [""] * 6)[:6]
            if service != "kms":
                raise AwsError("InvalidArnException", f"Invalid arn {key_id}")
            if there != region:
                raise AwsError("NotFoundException", f"Invalid arn {there}")
            named = named.removeprefix("key/")
        if named == EBS_ALIAS:
            return self.ebs(account, region)
        if named.startswith("alias/"):
            arn = self.aliases.get((account, region, named), "")
            missing = f"Alias arn:aws:kms:{region}:{account}:{named} is not found."
        else:
            arn = f"arn:aws:kms:{region}:{account}:key/{named}"
            missing = f"Key '{arn}' does not exist"
        key = self.keys.get(arn)
        if key is None and not self._world.rules.on(OWN_ACCOUNT):
            key = next((key for key in self.keys.values() if key.id == named), None)
        if key is None or (key.deletion is not None and key.deletion <= self._world.now):
            raise AwsError("NotFoundException", missing)
        return key

    def make(self, account: str, region: str, document: Document | None = None, **details: Any) -> Key:
        """Make a key, under the default policy (the account's root may do all) unless another is given."""
        key_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        key = Key(account, region, key_id, self._world.now, document or default_policy(account), **details)
        self.keys[key.arn] = key
        return key

    def ebs(self, account: str, region: str) -> Key:
        """Return the account's AWS-managed key for EBS, which comes to be when it is first asked for."""
        arn = self.aliases.get((account, region, EBS_ALIAS))
        if arn is None:
            text = "Default key that protects my EBS volumes when no other key is defined"
            ours = _ebs_policy(account, region) if self._world.rules.on(MANAGED) else None
            key = self.make(account, region, ours, description=text, manager="AWS", rotation=True)
            arn = self.aliases[account, region, EBS_ALIAS] = key.arn
        return self.keys[arn]

    def checked(self, text: str) -> Document:
        """Read a key policy. Raises AwsError: LimitExceededException, MalformedPolicyDocumentException."""
        if len(text.encode()) > LARGEST_POLICY and self._world.rules.on(POLICY_SIZE):
            raise AwsError(
                "LimitExceededException",
                f"The key policy has {len(text.encode())} bytes; {LARGEST_POLICY} is the limit",
            )
        try:
            document = policy.parse(text, resource_policy=True)
        except AwsError as fault:
            raise AwsError("MalformedPolicyDocumentException", fault.message) from None
        if self._world.rules.on(POLICY_PRINCIPALS) and any(self._is_nobody(name) for name in _principals(document)):
            raise AwsError(
                "MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals."
            )
        return document

    def _is_nobody(self, principal: str) -> bool:
        if principal == "*" or principal.isdigit() or principal.endswith(":root"):
            return principal.isdigit() and len(principal) != 12
        return (":role/" in principal and self._world.iam.roles.get(principal) is None) or not principal.startswith(
            "arn:aws:"
        )


def default_policy(account: str) -> Document:
    """Return the policy of a key made without one."""
    return {
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }


def _ebs_policy(account: str, region: str) -> Document:
    via = {"kms:CallerAccount": account, "kms:ViaService": f"ec2.{region}.amazonaws.com"}
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
    return {
        "Version": "2012-10-17",
        "Id": "auto-ebs-2",
        "Statement": [
            {
                "Sid": "Allow access through EBS for all principals in the account that are authorized to use EBS",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": use,
                "Resource": "*",
                "Condition": {"StringEquals": via},
            },
            {
                "Sid": "Allow direct access to key metadata to the account",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                "Resource": "*",
            },
        ],
    }


def _principals(document: Document) -> list[str]:
    statements = document["Statement"]
    found: list[str] = []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement["Principal"]
        names = principal.get("AWS", []) if isinstance(principal, dict) else [principal]
        found += names if isinstance(names, list) else [names]
    return found


def shown(key: Key) -> dict[str, Any]:
    """Return KMS's KeyMetadata of a key."""
    metadata: dict[str, Any] = {
        "AWSAccountId": key.account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created,
        "Enabled": key.enabled,
        "Description": key.description,
        "KeyUsage": key.usage,
        "KeyState": key.state,
        "Origin": "AWS_KMS",
        "KeyManager": key.manager,
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "EncryptionAlgorithms": [key.spec],
        "MultiRegion": False,
    }
    deletion: datetime | None = key.deletion
    return metadata if deletion is None else {**metadata, "DeletionDate": deletion}
