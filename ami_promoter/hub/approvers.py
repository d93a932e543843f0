"""Which users and roles may approve, by the hub account's own IAM policies.

It does not read permissions boundaries, the organization's policies, or who may assume a role.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub import policies
from ami_promoter.hub.aws import Connection, errors
from ami_promoter.hub.records import Reader
from chalicelib.engine import addresses
from chalicelib.engine.places import Arn
from chalicelib.sharing import policy_text

KINDS = ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")
AN_IMAGE = "ami-00000000000000000"
"""Stands for any AMI."""


@dataclass(frozen=True, slots=True)
class Approvers:
    """Names, such as ``role/Approver``, of those who may approve (``able``), and who also may write the tag."""

    able: tuple[str, ...] = ()
    taggers: tuple[str, ...] = ()
    unread: str = ""
    """Why IAM could not be read; "" if it was."""


def read(connection: Connection) -> Approvers:
    """Read who may approve. ``unread`` has AWS's refusal, if any."""
    table = Arn(connection.partition, "dynamodb", connection.region, connection.account, "table/")
    trigger = Reader(connection).many([addresses.TRIGGER])
    tag_key = next((str(one.item.get("key") or "") for one in trigger.values()), "") or "promote"
    try:
        pages = list(connection.client("iam").get_paginator("get_account_authorization_details").paginate(Filter=KINDS))
    except errors() as error:
        return Approvers(unread=str(error))
    return judged(pages, f"{table}{connection.config_table}", connection.region, tag_key)


def judged(pages: Iterable[Mapping[str, Any]], table: str, region: str, tag_key: str) -> Approvers:
    """Return who may approve, by IAM's answer. Pure. ``table``: ARN of the operators' table."""
    every: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for page in pages:
        for kind in ("Policies", "GroupDetailList", "UserDetailList", "RoleDetailList"):
            every[kind] += page.get(kind, ())
    managed = {
        policy["Arn"]: version["Document"]
        for policy in every["Policies"]
        for version in policy.get("PolicyVersionList", ())
        if version.get("IsDefaultVersion")
    }
    partition = Arn.parse(table).partition
    image = str(Arn(partition, "ec2", region, "", f"image/{AN_IMAGE}"))
    leading = {"dynamodb:LeadingKeys": addresses.OWN_APPROVALS}
    able, taggers = [], []
    for name, documents in sorted(_callers(every, managed)):
        verdict = _verdict(documents, "dynamodb:BatchWriteItem", table, leading)
        if verdict not in (policies.ALLOWED, policies.UNCLEAR):
            continue
        able.append(name)
        if _verdict(documents, "ec2:CreateTags", image, {"aws:TagKeys": tag_key}) == policies.ALLOWED:
            taggers.append(name)
    return Approvers(tuple(able), tuple(taggers))


def _callers(
    every: Mapping[str, list[Mapping[str, Any]]], managed: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield (name, policies) of each user, and of each role that others than AWS services may assume."""
    groups = {one["GroupName"]: list(_documents(one, "GroupPolicyList", managed)) for one in every["GroupDetailList"]}
    for user in every["UserDetailList"]:
        inherited = [one for group in user.get("GroupList", ()) for one in groups.get(group, ())]
        yield f"user/{user['UserName']}", [*_documents(user, "UserPolicyList", managed), *inherited]
    for role in every["RoleDetailList"]:
        if any(_people(one) for one in policy_text.statements(role["AssumeRolePolicyDocument"])):
            yield f"role/{role['RoleName']}", list(_documents(role, "RolePolicyList", managed))


def _people(trust: Mapping[str, Any]) -> bool:
    principal = trust.get("Principal", {})
    return trust.get("Effect") == "Allow" and (principal == "*" or bool({"AWS", "Federated"} & set(principal)))


def _documents(
    one: Mapping[str, Any], inline: str, managed: Mapping[str, Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    yield from (policy["PolicyDocument"] for policy in one.get(inline, ()))
    attached = (policy["PolicyArn"] for policy in one.get("AttachedManagedPolicies", ()))
    yield from (managed[arn] for arn in attached if arn in managed)


def _verdict(documents: Iterable[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]) -> str:
    """Judge identity policies, which name no principal, as one document."""
    statements = [
        {**statement, "Principal": "*"}
        for document in documents
        for statement in policy_text.statements(document)
        if policies.is_about(statement, resource)
    ]
    verdict, _ = policies.judge({"Statement": statements}, policies.Request(action, (), context))
    return verdict
