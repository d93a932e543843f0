"""The checks before anything is opened: of the image, and of each target.

Each answer has all faults at once, so that a person can repair them together.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from chalicelib.delivery.instances import LAUNCH_TAG, LaunchSite
from chalicelib.delivery.kms_keys import source_key_faults, target_key_faults
from chalicelib.delivery.model import Delivery
from chalicelib.engine import codec
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.illegible import ILLEGIBLE
from chalicelib.engine.places import Arn, last_part
from chalicelib.images import register
from chalicelib.images.image import SourceImage, SourceSnapshot, snapshots_to_copy, unknown_values
from chalicelib.images.keys import KeyFacts
from chalicelib.sharing import service_roles
from chalicelib.targets.applied_file import Target

ANOTHER_TYPE = "Name an instance type that fits in `launch_test` of the targets file, and apply it; then tag again."

MAX_TAGS = 50
"""User tags that one resource may have; aws: tags do not count."""
SNAPSHOT_MISSING = "source-snapshot-missing"
"""Fault code: EC2 may not show all of the source yet, as DescribeSnapshots can lack a snapshot for a moment."""
MOST_ON_RECORD = 380_000
"""Bytes of an examined source as JSON, which is ASCII: DynamoDB takes 400 KB (409,600 bytes) in an item."""
BY_COPY_IMAGE = (
    "Write `copy_method: auto` in the targets file and tag it again: CopyImage keeps it. Until that copy is done the "
    "target can also launch the hub's own AMI. Or"
)
"""The remedy, and what it opens: the launch permission."""
OUR_TAGS = 5
"""Tags that the service itself puts on an image or snapshot (``ami-promoter:...``)."""
LIST_UNFINISHED = "list-unfinished"
"""Fault code of a list that did not end in an invocation's time."""


def source_faults(
    image: SourceImage,
    hub_account: str,
    keys: Mapping[str, KeyFacts],
    targets: Collection[Target] = (),
    *,
    trigger_tag: str = "promote",
) -> tuple[Fault, ...]:
    """Return why no method can promote the image; values that are not known are among the reasons.

    ``keys``: the ``key`` of each encrypted snapshot -> its facts; a missing key could not be described. ``targets``:
    who is to have it; none: anybody. If one of them needs the service to open the keys, a third account's key cannot be
    used. A ``pending`` image has no fault of state: the promotion waits for it.
    """
    opens_keys = any(target.key_access != "none" for target in targets) or not targets
    return (
        *_owner_and_state(image, hub_account),
        *_kind(image),
        *_product_codes(image),
        *_not_copyable(image),
        *_snapshots(image, hub_account),
        *source_key_faults(image, hub_account, keys, opens_keys=opens_keys),
        *_source_tags(image, trigger_tag, targets),
        *_too_large(image),
        *_illegible(image, trigger_tag),
        *unknown_values(image),
    )


def sharing_faults(target: Target, now: int) -> tuple[Fault, ...]:
    """Return why the service may no longer share with the target."""
    if not target.until or now < target.until:
        return ()
    what = "The targets file lets AMIs be shared with this account until a date that has passed."
    cure = "Set a later `until` there and apply it; then tag the AMI again."
    return (Fault("share-until-passed", target.where, what, cure),)


def roles_missing(target: Target, missing: Sequence[str]) -> tuple[Fault, ...]:
    """Return the faults of a target that lacks service-linked roles ("SERVICE/NAME") or the role for their grants."""
    return tuple(
        service_roles.missing(target.where, it) if "/" in it else _grant_role_missing(target, it) for it in missing
    )


def default_roles_missing(target: Target, ami: str, missing: Sequence[str]) -> Fault | None:
    """Return what a target goes without, which lacks roles that only the mode's default names; None: nothing.

    ``missing``: roles as "SERVICE/NAME", and the role for their grants.
    """
    roles = [one for one in missing if "/" in one]
    if not target.roles_by_default or not roles:
        return None
    what = f"There is no grant for {', '.join(map(last_part, roles))}, which the account does not have."
    create = " and ".join(f"`{service_roles.creates(one)}`" for one in roles)
    again = f"`ami-promoter withdraw {ami} --account {target.account}`, and the same with `--lift`"
    cure = (
        f"If that service is to launch the AMI: {create} there, then {again}. "
        "If not, write `service_linked_roles: []` in the targets file."
    )
    return Fault("service-linked-role-missing", target.where, what, cure)


def without_roles(delivery: Delivery) -> Fault | None:
    """Return why a delivery's target goes without the role that the mode's default names; None: it does not."""
    if not delivery.share_mode.without_roles:
        return None
    target, keys = delivery.target, delivery.source_keys if delivery.in_share_mode else ()
    foreign = roles_on_foreign_keys(target, delivery.hub, keys)
    return foreign or default_roles_missing(target, delivery.ami, target.service_linked_roles)


def roles_on_foreign_keys(target: Target, hub: str, keys: Sequence[str]) -> Fault | None:
    """Return why service-linked roles get no grant on an AMI's source keys: the hub ends grants on its own keys only.

    ``hub``: its account. None: all keys are the hub's, or the target names no such role.
    """
    foreign = next((key for key in keys if Arn.parse(key).account not in ("", hub)), None)
    if foreign is None or not target.service_linked_roles:
        return None
    names = ", ".join(map(last_part, target.service_linked_roles))
    return Fault(
        "service-linked-role-foreign-key",
        target.where,
        f"There is no grant for {names} on {foreign}: the hub could not end it, as the key belongs to account "
        f"{Arn.parse(foreign).account}.",
        "If that service is to launch the AMI, make the grant there by hand (aws kms create-grant), and have the key's "
        "owner revoke it. Write `service_linked_roles: []` in the targets file and apply it; then tag the AMI again.",
    )


def _grant_role_missing(target: Target, role: str) -> Fault:
    names = ", ".join(last_part(one) for one in target.service_linked_roles)
    return Fault(
        "grant-role-missing",
        target.where,
        f"The account has no role {role}, with which the hub grants the key; so {names} could not launch the AMI.",
        "Deploy this version's deploy/target.yaml there with CreateGrantRole=true; or, if no such service "
        "launches it, write `service_linked_roles: []` in the targets file and apply it; then tag the AMI again.",
    )


def launch_site_faults(target: Target, place: LaunchSite) -> Iterator[Fault]:
    """Yield why no launch test can run in the target, whatever the image."""
    where, kind = target.where, _launch_type(target)
    for what, found in (("subnet", place.subnets), ("security group", place.groups)):
        if len(found) > 1 or (what == "subnet" and not found):
            yield Fault(
                "launch-place",
                where,
                f"{_few(found) or 'No ' + what} there has the tag {LAUNCH_TAG} with the value true"
                + (f", and a launch test runs in one {what}." if found else "."),
                f"Give that tag to exactly one {what} there, or leave `launch_test` out of the targets file; then tag "
                "the AMI again.",
            )
    if place.types and not any(fnmatchcase(kind, pattern) for pattern in place.types):
        what = f"The launch role there may run {_few(place.types)}, and the targets file names {kind}."
        cure = f"Add {kind} to LaunchTestTypes of deploy/target.yaml there, or name another type; then tag again."
        yield Fault("launch-type", where, what, cure)
    for key in place.closed_keys:
        what = f"The launch role there may not use {key}, under which the AMI is encrypted."
        cure = "Add the key to SourceKeyArns of deploy/target.yaml there; then tag the AMI again."
        yield Fault("launch-key", where, what, cure)
    if place.key_refusal:
        what = f"The launch role there may not use {target.key}, the target's key. KMS says: {place.key_refusal}"
        command = f"ami-promoter admin key-policy target {target.key} --region {target.region} --launch-test"
        cure = (
            f"Add to its key policy what `{command}` prints with credentials of that account; then tag the AMI again."
        )
        yield Fault("launch-key", where, what, cure)
    if not place.architectures:
        yield Fault("launch-type", where, f"The Region does not offer {kind}.", ANOTHER_TYPE)


def _launch_type(target: Target) -> str:
    return target.launch_test.instance_type if target.launch_test else ""


def does_not_fit(target: Target, image: SourceImage, place: LaunchSite) -> Iterator[Fault]:
    """Yield why the target's instance type cannot start this image."""
    where, kind = target.where, _launch_type(target)
    modes, mode = place.boot_modes, image.boot_mode
    boots = mode in (None, "uefi-preferred") or not modes or mode in modes
    fits = image.architecture in place.architectures and boots
    if place.architectures and not fits:
        what = f"{kind} runs {_few(place.architectures)} ({_few(modes)}), and the AMI is {image.architecture} ({mode})."
        yield Fault("launch-type", where, what, ANOTHER_TYPE)
    elif place.needs_ena and not image.ena_support:
        what = f"{kind} starts only AMIs with ENA support, and this one has none."
        yield Fault("launch-type", where, what, ANOTHER_TYPE)
    elif place.lacks_tpm and image.tpm_support:
        what = f"{kind} has no NitroTPM, and the AMI needs it."
        yield Fault("launch-type", where, what, ANOTHER_TYPE)
    elif 0 < place.most_volumes < (volumes := sum(one.kind in ("snapshot", "blank") for one in image.devices)):
        what = f"{kind} takes {place.most_volumes} volumes, and the AMI has {volumes}."
        yield Fault("launch-type", where, what, ANOTHER_TYPE)


def name_not_free(where: str, name: str) -> Fault:
    """Return the fault of a name that is taken although EC2 shows no AMI with it."""
    return Fault(
        "ami-name-not-free",
        where,
        f"The image name {name!r} is taken, but no AMI there has it: an AMI that was just deregistered still holds it.",
        "If this lasts, look for DeregisterImage in that account's CloudTrail, or give the target another ami_name in "
        "the targets file.",
    )


def list_unfinished(where: str, region: str, call: str, pages: int) -> Fault:
    """Return the fault of a list that did not end in an invocation's time. EC2 filters after it has cut the pages."""
    what = f"{call} has read {pages} pages of what the account has there; a function has no time for more of them."
    cure = (
        "Delete what nobody needs there; with that account's credentials `aws ec2 "
        f"describe-snapshots --region {region} --owner-ids self --query "
        "'sort_by(Snapshots,&StartTime)[].[StartTime,SnapshotId]'` and `aws ec2 describe-images --region "
        f"{region} --owners self --include-disabled --query "
        "'sort_by(Images,&CreationDate)[].[CreationDate,ImageId]'` show the oldest first."
    )
    return Fault(LIST_UNFINISHED, where, what, cure)


def method_faults(image: SourceImage, targets: Iterable[Target]) -> tuple[Fault, ...]:
    """Return why RegisterImage cannot make the same image for a target with copy method ``snapshots``."""
    if any(target.mode == "copy" and target.copy_method == "snapshots" for target in targets):
        return tuple(_needs_copy_image(image))
    return ()


def method(target: Target, image: SourceImage) -> tuple[Literal["snapshots", "image"], str]:
    """Return the copy method of a target, and why, if the service chose it."""
    if target.copy_method != "auto":
        return target.copy_method, ""
    why = next(_needs_copy_image(image), None)
    if why is None:
        return "snapshots", "copy_method auto: RegisterImage makes the same AMI."
    return "image", f"copy_method auto: {why.what}"


def target_faults(
    target: Target,
    key: KeyFacts | None,
    tags: Mapping[str, Mapping[str, str]],
    name: str,
    name_taken_by: str | None,
    key_trouble: str = "",
    *,
    unproven: tuple[Fault, ...] = (),
) -> tuple[Fault, ...]:
    """Return why the target cannot take the image yet.

    ``key``: None if the target's key could not be described; ``key_trouble`` then has AWS's message. ``tags``: those
    that the copy of the image and of each snapshot will have, by the source's id; ``name``: the image's.
    ``name_taken_by``: an AMI of the target that has the name and is not this delivery's. ``unproven``: the fault of an
    AMI that may be this delivery's, without proof.
    """
    return (
        *target_key_faults(target, key, key_trouble),
        *_target_tags(tags, target.where),
        *(unproven or _name_taken(name, name_taken_by, target.where)),
    )


def _owner_and_state(image: SourceImage, hub_account: str) -> Iterator[Fault]:
    if image.owner != hub_account:
        yield Fault(
            "source-not-owned",
            image.id,
            f"The image is owned by account {image.owner}, not by the hub {hub_account}; only its owner can share it.",
            f"Make an image of the hub's own first: aws ec2 copy-image --source-image-id {image.id} --source-region "
            "REGION --name NAME; then tag that one.",
        )
    if image.state not in {"available", "pending"}:
        cure = (
            f"Enable it (aws ec2 enable-image --image-id {image.id}) and tag it again."
            if image.state == "disabled"
            else "Build the image again and tag the new one."
        )
        reason = f" EC2 says: {image.state_reason}." if image.state_reason else ""
        yield Fault("source-not-available", image.id, f"The image is in state {image.state}.{reason}", cure)


def _kind(image: SourceImage) -> Iterator[Fault]:
    if image.root_device_type == "instance-store":
        what = "The root device is an instance-store volume, which has no snapshot that could be copied."
        cure = "Build the image on an EBS root volume."
        yield Fault("source-not-ebs-backed", image.id, what, cure)
    elif not any(device.name == image.root_device_name and device.kind == "snapshot" for device in image.devices):
        what = f"No block device mapping gives the root device {image.root_device_name} a volume made from a snapshot."
        cure = "Register the image again with a mapping for its root device."
        yield Fault("source-root-missing", image.id, what, cure)
    if image.virtualization_type == "paravirtual" or image.kernel_id or image.ramdisk_id:
        ids = ", ".join(filter(None, (image.kernel_id, image.ramdisk_id))) or "none"
        yield Fault(
            "source-paravirtual",
            image.id,
            f"The image is {image.virtualization_type} (kernel and RAM disk: {ids}); these ids exist in one Region "
            "only, and only retired instance types run paravirtual images.",
            "Rebuild the image as hvm, without kernel and RAM disk ids.",
        )
    if image.image_type in {"kernel", "ramdisk"}:
        yield Fault(
            "source-not-a-machine", image.id, f"This is a {image.image_type} image.", "Tag a machine image instead."
        )
    if image.hypervisor == "ovm":
        what = "The image is for the hypervisor ovm, which EC2 does not support."
        cure = "Rebuild the image on a current instance type."
        yield Fault("source-hypervisor", image.id, what, cure)


def _needs_copy_image(image: SourceImage) -> Iterator[Fault]:
    """Return what CopyImage keeps and RegisterImage does not [aws-facts 5]."""
    billed = (image.platform_details, image.usage_operation)
    billed_as = f"{image.platform_details or 'unknown'} ({image.usage_operation or 'no code'})"
    if image.platform or billed != ("Linux/UNIX", "RunInstances"):
        yield Fault(
            "source-billing-code",
            image.id,
            f"The image is billed as {billed_as}. RegisterImage takes the license from metadata on the snapshots. "
            "A copy can lose it, and the image would then be unusable.",
            f"{BY_COPY_IMAGE} build it on a Linux/UNIX base.",
        )
    if image.tpm_support and image.boot_mode == "uefi-preferred":
        yield Fault(
            "source-tpm-uefi-preferred",
            image.id,
            f"The image has TPM {image.tpm_support} and boot mode uefi-preferred; an image "
            "with both cannot be registered.",
            f"{BY_COPY_IMAGE} build it with boot mode uefi.",
        )
    if image.watermarks:
        what = f"The image carries watermarks ({', '.join(image.watermarks)}), which RegisterImage would drop."
        cure = f"{BY_COPY_IMAGE} detach them if the targets do not need them: aws ec2 detach-image-watermark."
        yield Fault("source-watermark", image.id, what, cure)
    for device in image.devices:
        if device.initialization_rate is not None:
            yield Fault(
                "source-device-initialization-rate",
                f"{image.id} {device.name}",
                f"The mapping has a volume initialization rate ({device.initialization_rate} MiB/s), and it is not "
                "documented that RegisterImage takes one.",
                f"{BY_COPY_IMAGE} register the image again without the rate, and set it in launch templates instead.",
            )


def _product_codes(image: SourceImage) -> Iterator[Fault]:
    if image.product_codes:
        yield Fault(
            "source-product-code",
            image.id,
            f"The image carries product codes: {', '.join(image.product_codes)}. A seller's terms apply to it, and "
            "a copy by another account would lose or break them.",
            "Have each target account subscribe to the product and build its own image, or build without that product.",
        )


def _not_copyable(image: SourceImage) -> Iterator[Fault]:
    for device in image.devices:
        if device.placement:
            what = f"The mapping is bound to {device.placement}, which the targets do not have."
            cure = "Register the image again with snapshots in the Region, without Outpost or Zone."
            yield Fault("source-device-local", f"{image.id} {device.name}", what, cure)
    if image.instance_types:
        yield Fault(
            "source-instance-types",
            image.id,
            f"The image is for certain instance types ({_few(image.instance_types)}); a copy cannot "
            "carry that restriction.",
            "Remove it from the source (aws ec2 replace-image-instance-type-specification) and tag it again.",
        )


def _snapshots(image: SourceImage, hub_account: str) -> Iterator[Fault]:
    known = {snapshot.id: snapshot for snapshot in image.snapshots}
    for snapshot_id in snapshots_to_copy(image):
        if snapshot_id in known:
            yield from _snapshot(known[snapshot_id], hub_account)
        else:
            yield Fault(
                SNAPSHOT_MISSING,
                f"{image.id} {snapshot_id}",
                "The image names a snapshot that the hub cannot see: it was deleted, is in the Recycle Bin, or "
                "belongs to another account.",
                "Restore it (aws ec2 list-snapshots-in-recycle-bin; aws ec2 restore-snapshot-from-recycle-bin "
                f"--snapshot-id {snapshot_id}), or build the image again.",
            )


def _snapshot(snapshot: SourceSnapshot, hub_account: str) -> Iterator[Fault]:
    if snapshot.owner != hub_account:
        yield Fault(
            "source-snapshot-not-owned",
            snapshot.id,
            f"The snapshot is owned by account {snapshot.owner}, and only an owner can share it.",
            "Copy the image within the hub (aws ec2 copy-image), so that the hub owns the snapshots, and tag that one.",
        )
    if snapshot.state != "completed":
        said = f" EC2 says: {snapshot.state_message}." if snapshot.state_message else ""
        cure = {
            "pending": "Wait until it is completed and tag the image again.",
            "recoverable": "Restore it from the Recycle Bin: aws ec2 restore-snapshot-from-recycle-bin --snapshot-id "
            f"{snapshot.id}; then tag the image again.",
            "recovering": "Wait until it is completed and tag the image again.",
        }.get(snapshot.state, "Build the image again and tag the new one.")
        what = f"The snapshot is in state {snapshot.state}, and only a completed one can be copied.{said}"
        yield Fault("source-snapshot-not-completed", snapshot.id, what, cure)
    if snapshot.storage_tier == "archive" or snapshot.restored_for_a_time:
        yield Fault(
            "source-snapshot-archived",
            snapshot.id,
            "The snapshot is restored from the archive temporarily, and can return there during the copy."
            if snapshot.restored_for_a_time
            else "The snapshot is in the archive tier and cannot be copied from there.",
            f"Restore it permanently: aws ec2 restore-snapshot-tier --snapshot-id {snapshot.id} "
            "--permanent-restore; wait "
            "until its storage tier is standard (up to 72 hours) and tag the image again.",
        )
    if snapshot.placement:
        what = f"The snapshot is kept at {snapshot.placement}, not in the Region, where the targets cannot copy it."
        cure = "Build the image with snapshots in the Region."
        yield Fault("source-snapshot-local", snapshot.id, what, cure)


def _source_tags(image: SourceImage, trigger_tag: str, targets: Collection[Target]) -> Iterator[Fault]:
    """Find what no target could take; each target's own check counts its own tags, too. Who shares gets no copy."""
    carried = {target.source_tags if target.mode == "copy" else () for target in targets} or {("*",)}
    sources: tuple[SourceImage | SourceSnapshot, ...] = (image, *image.snapshots)
    for source in sources:
        copied = min(len(register.result_tags(source, {}, {}, trigger_tag, keys)) for keys in carried)
        total = copied + OUR_TAGS
        if total > MAX_TAGS:
            what = f"{copied} tags to copy and {OUR_TAGS} of the service make {total}; a resource can have {MAX_TAGS}."
            cure = f"Remove at least {count(total - MAX_TAGS, 'tag')} and tag the image again."
            yield Fault("source-too-many-tags", source.id, what, cure)


def _too_large(image: SourceImage) -> Iterator[Fault]:
    """Find an image that does not fit into one record, because exactly what is on record arrives.

    Only tags can make it so large: those of 20 snapshots, each of the greatest length.
    """
    size = len(json.dumps(codec.encode(image)))
    if size > MOST_ON_RECORD:
        yield Fault(
            "source-too-large",
            image.id,
            f"With all tags of the image and its snapshots it takes {size:,} bytes, and a record has "
            f"{MOST_ON_RECORD:,}.",
            "Remove or shorten tags of its snapshots and tag the image again.",
        )


def _illegible(image: SourceImage, trigger_tag: str) -> Iterator[Fault]:
    """What was replaced in EC2's answer cannot be carried: the copy's would differ from the source's."""
    tags = {image.id: image.tags, **{one.id: one.tags for one in image.snapshots}}
    tags = {owner: register.copied_tags(theirs, trigger_tag) for owner, theirs in tags.items()}
    found = [
        f"tag {key!r} of {owner}" for owner in tags for key, value in tags[owner].items() if ILLEGIBLE in key + value
    ]
    if ILLEGIBLE in (image.description or ""):
        found.append("the description")
    if found:
        what = f"EC2 cannot show some characters, such as control characters, in: {_few(found)}."
        cure = "Write the tag or description again without them, or delete the tag; then tag the image again."
        yield Fault("source-illegible", image.id, what, cure)


def _target_tags(tags: Mapping[str, Mapping[str, str]], where: str) -> Iterator[Fault]:
    for source, its in tags.items():
        if len(its) > MAX_TAGS:
            yield Fault(
                "target-too-many-tags",
                where,
                f"The copy of {source} would have {len(its)} tags with those of the targets file; a resource can have "
                f"{MAX_TAGS}.",
                f"Remove at least {count(len(its) - MAX_TAGS, 'tag')} from {source}, or from `tags` or `source_tags` "
                "of the targets file, and apply it; then tag the AMI again.",
            )


def _name_taken(name: str, taken_by: str | None, where: str) -> Iterator[Fault]:
    if taken_by is not None:
        yield Fault(
            "target-name-taken",
            where,
            f"The image name {name!r} is taken by {taken_by}, and names are unique in an account and Region.",
            f"Deregister it there (aws ec2 deregister-image --image-id {taken_by}) if it is not needed, or give the "
            "target another ami_name in the targets file.",
        )


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts[:5]) + (f" and {len(texts) - 5} more" if len(texts) > 5 else "")
