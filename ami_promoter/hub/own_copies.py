"""What the service has made in an account, as that account itself sees it, and its removal under its credentials.

Each call can be repeated: a removal that was stopped between two of them goes on when it is run again. A snapshot gets
a tag before its AMI is deregistered, so that it is found again when no AMI names it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import Account, HubError
from chalicelib.engine.aws import sdk
from chalicelib.engine.aws.refusals import IN_USE, NO_IMAGE, NO_SNAPSHOT, gone
from chalicelib.engine.budget import slices
from chalicelib.images import register
from chalicelib.images.aws.shapes import FILTER_VALUES, every, snapshots_of
from chalicelib.images.image import tags_of

CLEAN_UP_TAG = "ami-promoter-clean-up"
"""On a snapshot: the AMI with which it goes. deploy/guardrails.yaml reserves keys that begin with `ami-promoter:`."""
AT_ONCE = 10
"""AMIs in one DescribeImageReferences [aws-facts 8, VERIFIED]; names in one GetParameters [botocore 1.44 ssm model]."""
UNREADABLE = "SecureString"
"""Type of a parameter whose value only its key shows."""
LAUNCHABLE = ("available", "disabled")
"""States of an AMI that can be used, now or when it is enabled again."""
DEREGISTERED = "deregistered"
"""State of an AMI that uses no snapshot any more; one that is pending, or has failed, may."""
NAMES = [
    {
        "ResourceType": "ec2:Instance",
        "ResourceTypeOptions": [
            {
                "OptionName": "state-name",
                "OptionValues": ["pending", "running", "shutting-down", "stopping", "stopped"],
            }
        ],
    },
    {
        "ResourceType": "ec2:LaunchTemplate",
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}],
    },
]
"""Beside every other kind: instances but terminated ones, and all versions of a launch template, not the ten newest."""
UNPROTECTED = "disabled"
"""How the value begins that DescribeImages shows of an AMI without deregistration protection."""
PROTECTED = "OperationNotPermitted"
STILL_PROTECTED = (
    "EC2 still protects it from deregistration. If its owner asked for a cooldown, that ends 24 hours after the "
    "protection was lifted: run the command again then."
)


@dataclass(frozen=True, slots=True)
class StandingCopy:
    """An AMI with the tags of a hub, a family and its source's creation date. Times are ISO 8601, in UTC."""

    image: str
    name: str
    hub: str
    family: str
    source: str
    made_at: str
    state: str
    deprecated_at: str = ""
    protection: str = UNPROTECTED
    snapshots: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[str, str]:
        """Sorts by the source's creation date, as what is current does."""
        return self.made_at, self.source


@dataclass(frozen=True, slots=True)
class OwnSnapshots:
    """Sizes in GiB of snapshots with a hub's tag, and which of them a clean-up left behind, or another AMI uses, too.

    ``left`` have the tag of a clean-up, and no AMI uses them. ``used_by`` has the AMIs that use each.
    """

    gib: Mapping[str, int]
    left: tuple[str, ...]
    used_by: Mapping[str, frozenset[str]]


class OwnCopies:
    """One account and Region under its administrator's credentials. Every method may raise HubError."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._ec2 = account.client("ec2")
        self._ssm = account.client("ssm")
        self._values: dict[tuple[object, ...], Mapping[str, str]] = {}

    def copies(self, family: str | None = None) -> tuple[StandingCopy, ...]:
        """List the copies there, or those of a family, by family and age."""
        some = {"Name": "tag-key", "Values": [register.FAMILY_TAG]}
        if family is not None:
            some = {"Name": f"tag:{register.FAMILY_TAG}", "Values": [family]}
        tagged = [{"Name": "tag-key", "Values": [register.HUB_TAG]}, some]
        found = (_copy(raw) for raw in self._images(tagged) if raw["State"] in LAUNCHABLE)
        return tuple(sorted(filter(None, found), key=lambda one: (one.family, one.order)))

    def named_by(self, images: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the ARNs of what names each of these AMIs there: instances, launch templates, parameters, recipes.

        It is not certain that DescribeImageReferences sees every parameter [aws-facts 8], so they are read besides.
        """
        found: dict[str, set[str]] = {image: set() for image in images}
        for some in slices(images, AT_ONCE):
            asked = {"ImageIds": some, "IncludeAllResourceTypes": True}
            for page in self._pages(self._ec2, "describe_image_references", ResourceTypes=NAMES, **asked):
                for one in page.get("ImageReferences", ()):
                    found[one["ImageId"]].add(one["Arn"])
        for parameter in self._parameters() if images else ():
            for image in images:
                if image in parameter["Value"]:
                    found[image].add(parameter["ARN"])
        return {image: tuple(sorted(arns)) for image, arns in found.items()}

    def _parameters(self) -> Iterable[Mapping[str, str]]:
        """Return the parameters there but secret ones; a value is read again only if it was written since."""
        pages = self._pages(self._ssm, "describe_parameters")
        shown = [one for page in pages for one in page["Parameters"] if one["Type"] != UNREADABLE]
        written = {one["Name"]: (one["Name"], one["Version"], one["LastModifiedDate"]) for one in shown}
        for some in slices((name for name, at in written.items() if at not in self._values), AT_ONCE):
            with self._account.telling("asking Parameter Store (get_parameters)"):
                for one in self._ssm.get_parameters(Names=some)["Parameters"]:
                    self._values[written[one["Name"]]] = one
        return [self._values[at] for at in written.values() if at in self._values]

    def snapshots(self) -> OwnSnapshots:
        """List the snapshots there that have a hub's tag."""
        tagged = [{"Name": "tag-key", "Values": [register.HUB_TAG]}]
        with self._account.telling("asking for what is there (describe_snapshots)"):
            found = list(every(self._ec2, "snapshots", OwnerIds=["self"], Filters=tagged))
        gib = {raw["SnapshotId"]: int(raw["VolumeSize"]) for raw in found}
        used_by = self.used_by(sorted(gib))
        left = [raw["SnapshotId"] for raw in found if CLEAN_UP_TAG in tags_of(raw)]
        return OwnSnapshots(gib, tuple(sorted(one for one in left if not used_by[one])), used_by)

    def used_by(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the AMIs there that use each of these snapshots."""
        found: dict[str, frozenset[str]] = dict.fromkeys(snapshots, frozenset())
        for some in slices(snapshots, FILTER_VALUES):
            for raw in self._images([{"Name": "block-device-mapping.snapshot-id", "Values": some}]):
                for snapshot in found.keys() & snapshots_of(raw):
                    found[snapshot] |= {raw["ImageId"]}
        return found

    def remove(self, copy: StandingCopy, snapshots: Sequence[str]) -> str:
        """Remove a copy and these of its snapshots; return why it stays ("": it is gone)."""
        with self._account.telling(f"removing {copy.image}"):
            if snapshots:
                mark = [{"Key": CLEAN_UP_TAG, "Value": copy.image}]
                self._ec2.create_tags(Resources=list(snapshots), Tags=mark)
            if not copy.protection.startswith(UNPROTECTED):
                self._ec2.disable_image_deregistration_protection(ImageId=copy.image)
            try:
                self._ec2.deregister_image(ImageId=copy.image)
            except sdk.ClientError as error:
                code = error.response["Error"]["Code"]
                if code == PROTECTED:
                    return STILL_PROTECTED
                if code not in NO_IMAGE:
                    raise
        self._delete(snapshots)
        return ""

    def delete_unused(self, snapshots: Sequence[str]) -> None:
        """Delete snapshots that no AMI uses."""
        used_by = self.used_by(snapshots)
        self._delete([one for one in snapshots if not used_by[one]])

    def _delete(self, snapshots: Sequence[str]) -> None:
        """Delete snapshots that were just looked at; EC2 promises to refuse one in use only for root devices.

        One that is refused, as a locked one is, stops no other; the first refusal is raised then.
        """
        refused = []
        for snapshot in snapshots:
            try:
                with self._account.telling(f"deleting {snapshot}"), gone(NO_SNAPSHOT, IN_USE):
                    self._ec2.delete_snapshot(SnapshotId=snapshot)
            except HubError as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def _images(self, filters: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        asked = {"Owners": ["self"], "Filters": filters, "IncludeDisabled": True, "IncludeDeprecated": True}
        with self._account.telling("asking for what is there (describe_images)"):
            yield from (raw for raw in every(self._ec2, "images", **asked) if raw["State"] != DEREGISTERED)

    def _pages(self, client: Any, call: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        with self._account.telling(f"asking for what is there ({call})"):
            yield from client.get_paginator(call).paginate(**asked)


def _copy(raw: Mapping[str, Any]) -> StandingCopy | None:
    """Return an AMI as a copy; None if one of the tags of a copy is missing."""
    tags = tags_of(raw)
    named = (register.HUB_TAG, register.FAMILY_TAG, register.SOURCE_IMAGE_TAG, register.SOURCE_CREATED_TAG)
    hub, family, source, made_at = (tags.get(key, "") for key in named)
    if not (hub and family and source and made_at):
        return None
    return StandingCopy(
        raw["ImageId"],
        raw.get("Name", ""),
        hub,
        family,
        source,
        made_at,
        raw["State"],
        raw.get("DeprecationTime", ""),
        raw.get("DeregistrationProtection", UNPROTECTED),
        tuple(sorted(snapshots_of(raw))),
    )
