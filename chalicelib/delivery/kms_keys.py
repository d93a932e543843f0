"""Why a KMS key cannot be used: a source's, or the target's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chalicelib.engine import denials
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.images.image import SourceImage, snapshots_to_copy
from chalicelib.images.keys import KeyFacts
from chalicelib.images.names import safe_name
from chalicelib.targets.applied_file import Target


def source_key_faults(
    image: SourceImage, hub_account: str, keys: Mapping[str, KeyFacts], *, opens_keys: bool = True
) -> Iterator[Fault]:
    """Return why the keys of the snapshots to copy cannot be opened; each fault names all its snapshots.

    ``opens_keys``: false if every target has ``key_access: none``. Then another account's key is its owner's business,
    and the service may not see it.
    """
    needed = set(snapshots_to_copy(image))
    by_key: dict[str, list[str]] = {}
    for snapshot in image.snapshots:
        if snapshot.encrypted and snapshot.id in needed:
            by_key.setdefault(snapshot.key or "", []).append(snapshot.id)
    for arn, snapshot_ids in sorted(by_key.items()):
        if not opens_keys and arn not in keys and Arn.parse(arn).account not in ("", hub_account):
            continue
        for fault in _source_key(image, hub_account, arn, keys.get(arn), ", ".join(snapshot_ids)):
            if opens_keys or fault.code != "source-key-foreign":
                yield fault


def _source_key(
    image: SourceImage, hub_account: str, arn: str, key: KeyFacts | None, snapshots: str
) -> Iterator[Fault]:
    re_encrypt = _re_encrypt(image, arn)
    if key is None:
        yield Fault(
            "source-key-not-readable",
            snapshots,
            f"KMS does not describe the key {arn or '(none named by EC2)'} that encrypts this: it was deleted, or "
            "its key policy does not admit the service's role (in `ami-promoter plan`: yours).",
            "Give that role kms:DescribeKey on the key; the service's is ami-promoter-REGION-worker in the hub. If the "
            "key is deleted, the data is lost. "
            f"If you may use the key but cannot change its policy, re-encrypt: {re_encrypt}",
        )
        return
    if key.manager == "AWS":
        what = f"Encrypted under the AWS managed key aws/ebs ({key.arn}), which no other account can ever use."
        cure = f"Re-encrypt under a customer managed key: {re_encrypt}"
        yield Fault("source-snapshot-aws-ebs-key", snapshots, what, cure)
        return
    if key.account != hub_account:
        yield Fault(
            "source-key-foreign",
            snapshots,
            f"Encrypted under the key {key.arn} of account {key.account}, which the hub {hub_account} cannot open for "
            "others.",
            f"Re-encrypt under a customer managed key of the hub: {re_encrypt} Or have the key's owner let every "
            "target use it, and set `key_access: none` for all of them in the targets file.",
        )
    yield from _unusable(key, "source-key", snapshots)


def _re_encrypt(image: SourceImage, key_arn: str) -> str:
    region = Arn.parse(key_arn).region or "REGION"
    name = safe_name(f"{image.name or image.id}-cmk")
    return (
        f"aws ec2 copy-image --region {region} --source-region {region} --source-image-id {image.id} --name '{name}' "
        "--encrypted --kms-key-id alias/YOUR-KEY ; when the new image is available, tag it instead of this one."
    )


def _unusable(key: KeyFacts, code: str, where: str) -> Iterator[Fault]:
    """Faults of a key of either side; the code is completed by what is wrong."""
    if key.spec != "SYMMETRIC_DEFAULT" or key.usage != "ENCRYPT_DECRYPT":
        what = f"The key {key.arn} is {key.spec} for {key.usage}; EBS works with symmetric encryption keys only."
        cure = "Name a key made with KeySpec SYMMETRIC_DEFAULT and KeyUsage ENCRYPT_DECRYPT."
        yield Fault(f"{code}-not-symmetric", where, what, cure)
    if not key.enabled or key.state != "Enabled":
        named = f"--region {Arn.parse(key.arn).region} --key-id {key.arn}"
        by = f"with credentials of {key.account}"
        first = {
            "Disabled": f"Enable it {by}: `aws kms enable-key {named}`",
            "PendingDeletion": f"Keep it {by}: `aws kms cancel-key-deletion {named}`, `aws kms enable-key {named}`",
            "PendingReplicaDeletion": f"Keep it {by}: `aws kms cancel-key-deletion {named}`",
            "PendingImport": "Import its key material: `aws kms import-key-material`",
            "Unavailable": "Reconnect its custom key store: `aws kms connect-custom-key-store`",
        }.get(key.state, "Wait until KMS says that it is Enabled")
        what = f"The key {key.arn} is in state {key.state}; EBS needs it for the whole time of a copy."
        cure = f"{first}; then tag the image again."
        yield Fault(f"{code}-not-enabled", where, what, cure)


def target_key_faults(target: Target, key: KeyFacts | None, refusal: str) -> Iterator[Fault]:
    """Return why the target's key cannot encrypt copies; ``key``: None if KMS did not describe it."""
    where = target.where
    if key is None:
        yield Fault(
            "target-key-missing",
            where,
            f"The key {target.key} does not exist there, or the role {target.role_name} may not describe it."
            + (f" KMS says: {refusal}" if refusal else ""),
            f"{denied}."
            if (denied := denials.cause(refusal))
            else "Deploy deploy/target.yaml there with CreateKey=true, or name another key in the targets file; check "
            f"that its key policy lets {target.role_name} use it.",
        )
        return
    if key.manager == "AWS":
        what = f"The key {target.key} is AWS managed ({key.arn}): nobody can share what is encrypted under it."
        cure = "Name a customer managed key in the targets file; deploy/target.yaml with CreateKey=true makes one."
        yield Fault("target-key-aws-managed", where, what, cure)
        return
    yield from _unusable(key, "target-key", where)
