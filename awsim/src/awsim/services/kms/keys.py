"""Keys and aliases."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from random import Random
from typing import Any

from awsim.api import AwsError
from awsim.iam.policy import Document
from awsim.parts import Base
from awsim.rules import rule
from awsim.services.kms.policies import KeyPolicies
from awsim.services.kms.records import KmsKey

OWN_ACCOUNT = rule(
    "kms-bare-key-id-is-own-account",
    "A key id or alias name is looked up in the caller's account; a foreign key is named by its full ARN. "
    "[aws-facts, later reading, VERIFIED]",
)
MANAGED = rule(
    "kms-aws-ebs-only-through-ec2",
    "The key alias/aws/ebs is for all identities of its own account, through EC2 only, by a policy nobody can change. "
    "[aws-facts 3, VERIFIED: kms:CallerAccount with ViaService; EBS user guide]",
)
EBS_ALIAS = "alias/aws/ebs"


class KeyStore:
    """All keys and aliases of a world."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._random = Random(f"{base.seed}/keys")
        self.policies = KeyPolicies(base)
        self.keys: dict[str, KmsKey] = {}
        self.aliases: dict[tuple[str, str, str], str] = {}
        """(account, Region, alias name) -> key ARN."""

    def find(self, account: str, region: str, key_id: str) -> KmsKey:
        """Return the key of a key id, key ARN, alias name or alias ARN.

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
        if key is None and not self._base.on(OWN_ACCOUNT):
            key = next((key for key in self.keys.values() if key.id == named), None)
        if key is None or (key.deletion is not None and key.deletion <= self._base.now):
            raise AwsError("NotFoundException", missing)
        return key

    def make(self, account: str, region: str, policy: str = "", **details: Any) -> KmsKey:
        """Create a key, under the default policy (the account's root may do all) unless another is given."""
        key_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        key = KmsKey(account, region, key_id, self._base.now, **details)
        self.policies.first(key, policy or json.dumps(default_policy(account), indent=2))
        self.keys[key.arn] = key
        return key

    def ebs(self, account: str, region: str) -> KmsKey:
        """Return the account's AWS-managed key for EBS, which is created at its first use."""
        arn = self.aliases.get((account, region, EBS_ALIAS))
        if arn is None:
            text = "Default key that protects my EBS volumes when no other key is defined"
            ours = json.dumps(_ebs_policy(account, region)) if self._base.on(MANAGED) else ""
            key = self.make(account, region, ours, description=text, manager="AWS", rotation=True)
            arn = self.aliases[account, region, EBS_ALIAS] = key.arn
        return self.keys[arn]


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


def shown(key: KmsKey) -> dict[str, Any]:
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
