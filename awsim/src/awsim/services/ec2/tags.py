"""Tags: CreateTags, DeleteTags, DescribeTags, and tags given at creation.

Each account has its own tags on a resource and cannot see those of others [aws-facts 4, VERIFIED].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters, notices, pages
from awsim.services.ec2.access import reachable
from awsim.services.ec2.errors import kind_of, missing
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import TagSet
from awsim.services.ec2.state import Ec2State

MOST_TAGS = rule(
    "ec2-tag-limit",
    "A resource has at most 50 tags, aws: ones not counted [EC2 user guide, tag restrictions, UNVERIFIED]",
)
RESERVED = rule(
    "ec2-tag-prefix-reserved",
    "Nobody but AWS sets tags whose key begins with aws: [EC2 user guide, tag restrictions, UNVERIFIED]",
)
ONE_KIND = rule(
    "ec2-tag-at-creation-kind",
    "TagSpecifications take only what is created: image for RegisterImage, snapshot for CopySnapshot, both for "
    "CopyImage [aws-facts 2 and 5, VERIFIED]",
)
LIMIT = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256


def _create_tags(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    wanted = _checked(ec2, call.params["Tags"])
    resources = call.params["Resources"]
    for resource in resources:
        reachable(ec2, call, resource)
        _check_room(ec2, call.caller.account, resource, wanted)
    for resource in resources:
        put_tags(ec2, call.caller.account, call.region, resource, add=wanted)
    return {}


def _delete_tags(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    """Without Tags, delete all but AWS's own; with a value, only the pair that has it, an empty value included."""
    for resource in call.params["Resources"]:
        reachable(ec2, call, resource)
        present = ec2.tags_on(call.caller.account, resource)
        named = call.params.get("Tags") or [{"Key": key} for key in present if not key.startswith("aws:")]
        gone = [tag["Key"] for tag in named if "Value" not in tag or present.get(tag["Key"]) == tag["Value"]]
        if ec2.on(RESERVED):
            _refuse_reserved(gone)
        put_tags(ec2, call.caller.account, call.region, resource, remove=gone)
    return {}


def _describe_tags(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    at = ec2.moment(call)
    shown = [
        {"ResourceId": found.resource, "ResourceType": kind_of(found.resource), "Key": key, "Value": value}
        for found in ec2.tags.of(call.caller.account, at)
        if found.region == call.region
        for key, value in found.tags.items()
    ]
    fields: filters.Fields = {
        "key": filters.member("Key"),
        "value": filters.member("Value"),
        "resource-id": filters.member("ResourceId"),
        "resource-type": filters.member("ResourceType"),
    }
    named, plain = _by_pair(call.params.get("Filters", ()))
    kept = [
        tag
        for tag in filters.keep(shown, plain, fields)
        if all(filters.keep([{"Tags": [tag]}], [entry], {}) for entry in named)
    ]
    found, token = pages.page(ec2, call, kept, lambda tag: f"{tag['ResourceId']}/{tag['Key']}")
    return pages.answer("Tags", found, token)


def _by_pair(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    pairs = [entry for entry in entries if entry["Name"].startswith("tag:")]
    return pairs, [entry for entry in entries if entry not in pairs]


def at_creation(ec2: Ec2State, call: Call, kind: str, *others: str) -> dict[str, str]:
    """Return the tags that a call puts on what it creates of a kind; refuse what AWS refuses.

    ``others`` are the further kinds that the call creates.
    """
    wanted: list[Mapping[str, str]] = []
    for entry in call.params.get("TagSpecifications", ()):
        if entry.get("ResourceType") in others:
            continue
        if entry.get("ResourceType") != kind and ec2.on(ONE_KIND):
            why = f"'{entry.get('ResourceType')}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", why)
        wanted.extend(entry.get("Tags", ()))
    checked = _checked(ec2, wanted) if wanted else {}
    _check_room(ec2, call.caller.account, "", checked)
    return checked


def put_tags(
    ec2: Ec2State,
    account: str,
    region: str,
    resource: str,
    *,
    add: Mapping[str, str] | None = None,
    remove: Iterable[str] = (),
    tell: bool = True,
) -> None:
    """Change an account's tags on a resource and send the event, unless nothing changes."""
    present = ec2.tags.get(f"{account}/{resource}")
    before = dict(present.tags) if present else {}
    gone = set(remove)
    after = {key: value for key, value in (before | dict(add or {})).items() if key not in gone}
    changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if not changed:
        return
    version = present.version + 1 if present else 1
    ec2.tags.put(TagSet(f"{account}/{resource}", account, region, resource, after, version))
    if tell:
        notices.tags_changed(ec2, account, region, resource, changed, after, version)


def forget(ec2: Ec2State, resource: str) -> None:
    """Remove all tags on a resource, without an event."""
    for found in ec2.tags.all():
        if found.resource == resource:
            ec2.tags.drop(found.id)


def shown(ec2: Ec2State, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``Tags`` member of a resource; no member if it has no tags, as on AWS."""
    listed = pages.shuffled(ec2, list(tags.items()), lambda pair: pair[0])
    return {"Tags": [{"Key": key, "Value": value} for key, value in listed]} if tags else {}


def _checked(ec2: Ec2State, wanted: Sequence[Mapping[str, str]]) -> dict[str, str]:
    if not wanted:
        raise missing("Tags")
    found: dict[str, str] = {}
    for tag in wanted:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 0 < len(key) <= LONGEST_KEY:
            raise AwsError("InvalidParameterValue", f"Tag key {key!r} must have 1 to {LONGEST_KEY} characters")
        if len(value) > LONGEST_VALUE:
            why = f"Tag value of {key!r} exceeds the maximum length of {LONGEST_VALUE} characters"
            raise AwsError("InvalidParameterValue", why)
        if key in found:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = value
    if ec2.on(RESERVED):
        _refuse_reserved(found)
    return found


def _refuse_reserved(keys: Iterable[str]) -> None:
    if any(key.lower().startswith("aws:") for key in keys):
        raise AwsError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")


def _check_room(ec2: Ec2State, account: str, resource: str, wanted: Mapping[str, str]) -> None:
    present = ec2.tags_on(account, resource)
    count = sum(not key.startswith("aws:") for key in present | dict(wanted))
    if count > LIMIT and ec2.on(MOST_TAGS):
        raise AwsError("TagLimitExceeded", f"You have reached the maximum of {LIMIT} tags for this resource")


OPERATIONS = {
    "CreateTags": Operation(_create_tags, "Resources Tags"),
    "DeleteTags": Operation(_delete_tags, "Resources Tags"),
    "DescribeTags": Operation(_describe_tags, "Filters MaxResults NextToken"),
}
