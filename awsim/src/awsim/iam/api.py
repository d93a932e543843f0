"""IAM's API, as far as a person needs it to try out roles. The world itself uses ``world.iam.put_role``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from awsim.api import AwsError, Call
from awsim.iam import service_linked
from awsim.iam.policy import Document
from awsim.iam.roles import MANAGED, Role, Roles
from awsim.rules import Rules

MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""The simulator keeps no time of creation for roles."""


class IamApi:
    """Roles and their policies: create, read, change, delete."""

    roles: Roles
    _rules: Rules

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers; see awsim.api.Service."""
        return {
            "CreateRole": self._create,
            "CreateServiceLinkedRole": self._create_linked,
            "DeleteRole": self._delete,
            "DeleteRolePolicy": self._delete_policy,
            "GetAccountAuthorizationDetails": self._details,
            "GetRole": self._get,
            "GetRolePolicy": self._get_policy,
            "ListRolePolicies": self._list_policies,
            "ListRoles": self._list,
            "PutRolePolicy": self._put_policy,
            "UpdateAssumeRolePolicy": self._trust,
        }

    def _role(self, call: Call) -> Role:
        name = call.params["RoleName"]
        role = self.roles.named(call.caller.account, name)
        if role is None:
            raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
        return role

    def _changeable(self, call: Call) -> Role:
        role = self._role(call)
        if service_linked.is_one(role) and self._rules.on(service_linked.PROTECTED):
            raise service_linked.protected(role)
        return role

    def _create(self, call: Call) -> Mapping[str, Any]:
        account, name = call.caller.account, call.params["RoleName"]
        if self.roles.named(account, name) is not None:
            raise AwsError("EntityAlreadyExists", f"Role with name {name} already exists.", 409)
        longest = timedelta(seconds=call.params.get("MaxSessionDuration", 3600))
        tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags", [])}
        trust = _document(call.params["AssumeRolePolicyDocument"])
        return {"Role": _shown(self.roles.put(account, name, trust, longest=longest, tags=tags))}

    def _create_linked(self, call: Call) -> Mapping[str, Any]:
        service, suffix = call.params["AWSServiceName"], call.params.get("CustomSuffix", "")
        once = self._rules.on(service_linked.ONCE)
        return {"Role": _shown(service_linked.make(self.roles, call.caller.account, service, suffix, once=once))}

    def _get(self, call: Call) -> Mapping[str, Any]:
        return {"Role": _shown(self._role(call))}

    def _list(self, call: Call) -> Mapping[str, Any]:
        return {"Roles": [_shown(role) for role in self.roles.all(call.caller.account)], "IsTruncated": False}

    def _details(self, call: Call) -> Mapping[str, Any]:
        """Return the account's roles with their policies; the simulator has no users and groups."""
        roles = self.roles.all(call.caller.account)
        none: dict[str, Any] = {"UserDetailList": [], "GroupDetailList": [], "IsTruncated": False}
        return {"RoleDetailList": list(map(_detailed, roles)), "Policies": list(_managed(roles)), **none}

    def _delete(self, call: Call) -> Mapping[str, Any]:
        self.roles.drop(self._changeable(call).arn)
        return {}

    def _trust(self, call: Call) -> Mapping[str, Any]:
        role, trust = self._changeable(call), _document(call.params["PolicyDocument"])
        self._put(role, trust, role.policies)
        return {}

    def _put_policy(self, call: Call) -> Mapping[str, Any]:
        role, name = self._changeable(call), call.params["PolicyName"]
        self.roles.put_policy(role.arn, name, _document(call.params["PolicyDocument"]))
        return {}

    def _delete_policy(self, call: Call) -> Mapping[str, Any]:
        role = self._changeable(call)
        kept = {name: document for name, document in role.policies.items() if name != call.params["PolicyName"]}
        self._put(role, role.trust, kept)
        return {}

    def _put(self, role: Role, trust: Document, policies: Mapping[str, Document]) -> None:
        more: dict[str, Any] = {"longest": role.longest, "tags": role.tags, "path": role.path}
        self.roles.put(role.account, role.name, trust, policies, **more)

    def _get_policy(self, call: Call) -> Mapping[str, Any]:
        role, name = self._role(call), call.params["PolicyName"]
        if name not in role.policies:
            raise AwsError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)
        document = quote(json.dumps(role.policies[name]))
        return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": document}

    def _list_policies(self, call: Call) -> Mapping[str, Any]:
        return {"PolicyNames": sorted(self._role(call).policies), "IsTruncated": False}


def _document(text: str) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = json.loads(text)
    except ValueError as wrong:
        raise AwsError("MalformedPolicyDocument", f"The document is not JSON: {wrong}") from None
    return document


def _detailed(role: Role) -> dict[str, Any]:
    inline = {name: document for name, document in role.policies.items() if not name.startswith(MANAGED)}
    attached = [name.removeprefix(MANAGED) for name in role.policies if name.startswith(MANAGED)]
    return {
        **_shown(role),
        "InstanceProfileList": [],
        "RolePolicyList": [
            {"PolicyName": name, "PolicyDocument": quote(json.dumps(document))} for name, document in inline.items()
        ],
        "AttachedManagedPolicies": [{"PolicyName": name, "PolicyArn": _policy_arn(role, name)} for name in attached],
    }


def _managed(roles: Iterable[Role]) -> Iterator[dict[str, Any]]:
    for role in roles:
        for name, document in role.policies.items():
            if name.startswith(MANAGED):
                version = {"VersionId": "v1", "IsDefaultVersion": True, "Document": quote(json.dumps(document))}
                arn = _policy_arn(role, name.removeprefix(MANAGED))
                yield {"PolicyName": arn.rpartition("/")[2], "Arn": arn, "PolicyVersionList": [version]}


def _policy_arn(role: Role, name: str) -> str:
    return f"arn:aws:iam::{role.account}:policy/{name}"


def _shown(role: Role) -> dict[str, Any]:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": MADE,
        "AssumeRolePolicyDocument": quote(json.dumps(role.trust)),
        "MaxSessionDuration": int(role.longest.total_seconds()),
    }
