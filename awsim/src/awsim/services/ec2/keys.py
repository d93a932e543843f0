"""The KMS keys of snapshots, and whether a caller may use them through EBS."""

from __future__ import annotations

from awsim.api import AwsError, Caller
from awsim.rules import rule
from awsim.services.ec2.state import Ec2State

SOURCE_KEY = rule(
    "ec2-copy-needs-source-key",
    "Who copies an encrypted snapshot needs DescribeKey, CreateGrant, GenerateDataKey, "
    "GenerateDataKeyWithoutPlaintext, ReEncrypt and Decrypt on its key, also if it is another account's "
    "[aws-facts 2, VERIFIED as AWS's list; by recordings CreateGrant and Decrypt are enough: the strict reading]",
)
TARGET_KEY = rule(
    "ec2-copy-needs-target-key",
    "Who copies a snapshot under a key needs the same six on that key [aws-facts 2, VERIFIED as AWS's list; by "
    "recordings DescribeKey, CreateGrant and, for a first copy, GenerateDataKeyWithoutPlaintext are: the strict "
    "reading]",
)
DEFAULT_KEY = "alias/aws/ebs"
DATA_KEYS = ("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext")
SOURCE_ACTIONS = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom", *DATA_KEYS)
USED_TO_READ, USED_TO_WRITE = ("Decrypt",), ("GenerateDataKeyWithoutPlaintext", "Decrypt")
"""What EBS calls with a source's key, and with a new snapshot's or volume's [EBS user guide: how encryption works]."""
TARGET_ACTIONS = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptTo", *DATA_KEYS)


def resolve(ec2: Ec2State, account: str, region: str, wanted: str) -> str | None:
    """Return the ARN of the enabled symmetric key of a key id, alias or ARN; None if there is none."""
    try:
        key = ec2.kms.describe(account, region, wanted)
    except AwsError:
        return None
    usable = key.enabled and key.spec == "SYMMETRIC_DEFAULT" and key.arn.split(":")[3] == region
    return str(key.arn) if usable else None


def default(ec2: Ec2State, account: str, region: str) -> str:
    """Return the key that EBS uses if a call names none: the Region's default key if set, else aws/ebs."""
    return ec2.encrypted_by_default.get((account, region), DEFAULT_KEY)


def is_aws_managed(ec2: Ec2State, arn: str | None) -> bool:
    """Whether a key is the account's aws/ebs."""
    if arn is None or not arn.startswith("arn:"):
        return False
    _, _, _, region, account, _ = arn.split(":", maxsplit=5)
    try:
        return bool(ec2.kms.describe(account, region, arn).manager == "AWS")
    except AwsError:
        return False


def may_read(ec2: Ec2State, caller: Caller, arn: str | None, region: str, snapshot: str) -> bool:
    """Whether a caller may decrypt a source snapshot."""
    return arn is None or not ec2.on(SOURCE_KEY) or may(ec2, caller, SOURCE_ACTIONS, arn, region, snapshot)


def may_write(ec2: Ec2State, caller: Caller, arn: str | None, region: str, snapshot: str) -> bool:
    """Whether a caller may encrypt a new snapshot under a key."""
    return arn is None or not ec2.on(TARGET_KEY) or may(ec2, caller, TARGET_ACTIONS, arn, region, snapshot)


def may_describe(ec2: Ec2State, caller: Caller, arn: str, region: str) -> bool:
    """Whether KMS allows EC2 to read a key's description on the caller's behalf."""
    return ec2.kms.may_use(caller, "kms:DescribeKey", arn, f"ec2.{region}.amazonaws.com", {})[0]


def may(ec2: Ec2State, caller: Caller, actions: tuple[str, ...], arn: str, region: str, snapshot: str) -> bool:
    """Whether KMS allows EC2 each action on the caller's behalf; DescribeKey has no encryption context."""
    via = f"ec2.{region}.amazonaws.com"
    bound = {"kms:EncryptionContext:aws:ebs:id": snapshot}
    asked = ((action, {} if action == "kms:DescribeKey" else bound) for action in actions)
    if not all(ec2.kms.may_use(caller, action, arn, via, context)[0] for action, context in asked):
        return False
    for tell in ec2.on_key_use:
        for name in USED_TO_READ if actions is SOURCE_ACTIONS else USED_TO_WRITE:
            tell(caller, name, arn, snapshot)
    return True
