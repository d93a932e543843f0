"""Reads AWS Organizations, by the function's own credentials or through a role that the targets file names.

Only the management account and delegated administrators may ask [aws-facts 7, VERIFIED]. AWS refuses a member account;
the fault then says how to admit it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from chalicelib.engine.aws.refusals import STS_OFF, STS_OFF_CURE, as_refusal, code_of
from chalicelib.engine.aws.sessions import Sessions, session_policy
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.targets.departures import Whereabouts
from chalicelib.targets.listing import DEEPEST, Page, Step
from chalicelib.targets.organization import Organization
from chalicelib.targets.ports import UnitFound

READS = (
    "organizations:DescribeOrganization",
    "organizations:ListRoots",
    "organizations:DescribeOrganizationalUnit",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
    "organizations:DescribeAccount",
    "organizations:ListParents",
)
NOBODY = "AccountNotFoundException"
NO_UNIT = ("OrganizationalUnitNotFoundException", "ParentNotFoundException")


class AwsOrganization:
    """The port ``OrganizationReader`` for the organization that the targets file names."""

    def __init__(self, sessions: Sessions, named: Organization, hub: str, region: str, function: str) -> None:
        """``function``: the name of the function that asks; the sessions of the read role have it, for CloudTrail."""
        self._function = function
        self._sessions = sessions
        self._hub = hub
        self._region = region
        self._named = named
        self._shown: Mapping[str, Any] | None = None
        reader = named.read_role or f"account {hub} (hub)"
        self._where = f"organization {named.id}, read by {reader}"

    def arn(self) -> str:
        return str(self._organization()["Arn"])

    def unit(self, unit: str) -> UnitFound:
        whole = self._organization()
        if unit.startswith("ou-"):
            answer = self._ask("describe_organizational_unit", unit, OrganizationalUnitId=unit)
            return UnitFound(answer["OrganizationalUnit"]["Arn"], (unit,))
        roots = tuple(root["Id"] for root in self._all("list_roots", "Roots", ""))
        if unit.startswith("r-") and unit not in roots:
            what = f"the organization has no root {unit}; it has {', '.join(roots)}."
            raise Refusal(
                RefusalKind.DENIED, self._fault("organization-no-unit", what, "Correct the id in the targets file.")
            )
        return UnitFound(whole["Arn"], roots)

    def page(self, step: Step) -> Page:
        more = {"NextToken": step.token} if step.token else {}
        if step.what == "accounts":
            answer = self._ask("list_accounts_for_parent", step.parent, ParentId=step.parent, **more)
            # State, not the deprecated Status [aws-facts 7]; an account without State does not join
            found = tuple((account["Id"], account.get("State", "")) for account in answer["Accounts"])
        else:
            answer = self._ask("list_organizational_units_for_parent", step.parent, ParentId=step.parent, **more)
            found = tuple((unit["Id"], unit["Arn"]) for unit in answer["OrganizationalUnits"])
        return Page(found, answer.get("NextToken") or "")

    def whereabouts(self, account: str) -> Whereabouts:
        """See the port. The account's path says all, by one call; without one it asks for each parent in turn."""
        self._organization()
        try:
            shown = self._ask("describe_account", account, AccountId=account)["Account"]
            above = self._above(shown) or self._climbed(account)
        except Refusal as refusal:
            if code_of(refusal) == NOBODY:
                return Whereabouts("")
            raise
        return Whereabouts(shown.get("State", "unknown"), above)

    def _above(self, shown: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the OUs of an account and its root, by its path: ``o-…/r-…/ou-…/ou-…/ACCOUNT/``."""
        for path in shown.get("Paths", ()):
            whole, *below = PurePosixPath(path).parts
            if whole == self._named.id:
                return tuple(part for part in reversed(below) if part.startswith(("ou-", "r-")))
        return ()

    def _climbed(self, account: str) -> tuple[str, ...]:
        above: list[str] = []
        child = account
        while not child.startswith("r-") and len(above) < DEEPEST:
            child = self._parent(child)
            above.append(child)
        return tuple(above)

    def _parent(self, child: str) -> str:
        for parent in self._all("list_parents", "Parents", child, ChildId=child):
            return str(parent["Id"])
        what = f"ListParents names no parent of {child}."
        raise Refusal(RefusalKind.THROTTLED, self._fault("organization-unreadable", what, "The service asks again."))

    def _organization(self) -> Mapping[str, Any]:
        """Which organization answers. Another one than the file names would bring strangers in (invariant 8)."""
        if self._shown is None:
            shown = self._ask("describe_organization", "")["Organization"]
            if shown["Id"] != self._named.id:
                what = f"the credentials belong to organization {shown['Id']}, the targets file names {self._named.id}."
                cure = "Correct `organization: id` in the targets file and apply it, or name the right `read_role`."
                raise Refusal(RefusalKind.DENIED, self._fault("organization-other", what, cure))
            self._shown = shown
        return self._shown

    def _all(self, operation: str, key: str, about: str, **params: Any) -> Iterator[Mapping[str, Any]]:
        """Yield all that is listed: a page may be empty with more to come [Organizations API, ListParents]."""
        more: dict[str, str] = {}
        while True:
            page = self._ask(operation, about, **params, **more)
            yield from page[key]
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def _ask(self, operation: str, about: str, **params: Any) -> Mapping[str, Any]:
        step = operation.title().replace("_", "") + (f"({about})" if about else "")
        try:
            client = self._client()
            with as_refusal(step, self._where):
                answer: Mapping[str, Any] = getattr(client, operation)(**params)
        except Refusal as refusal:
            raise self._worded(refusal) from refusal.__cause__
        return answer

    def _client(self) -> Any:
        if not self._named.read_role:
            return self._sessions.own("organizations")
        return self._sessions.assumed(
            "organizations",
            self._region,
            self._named.read_role,
            self._named.external_id,
            self._function,
            session_policy({"Effect": "Allow", "Action": READS, "Resource": "*"}),
        )

    def _worded(self, refusal: Refusal) -> Refusal:
        """Say what helps here: the general cures speak of targets."""
        code, what = code_of(refusal), refusal.fault.what
        if refusal.kind is RefusalKind.THROTTLED:
            return refusal
        if code == STS_OFF:
            cure = STS_OFF_CURE
        elif refusal.kind is RefusalKind.ROLE:
            cure = (
                "Deploy deploy/organization.yaml in the management account, with this hub's account and Region; write "
                "its output RoleArn as `organization: read_role` and as the hub's parameter OrganizationReadRoleArn, "
                "and the external id as `external_id`. A role from an older version of that template admits `discover` "
                "alone."
            )
        elif code == "AWSOrganizationsNotInUseException":
            cure = "Name a `read_role` in the organization's management account, or list account ids instead."
        elif code in NO_UNIT:
            cure = "Correct the id in the targets file, or remove it; its accounts stay targets until you do."
        else:
            cure = (
                f"Only the management account and delegated administrators may ask. Deploy deploy/organization.yaml in "
                f"the management account and write its output RoleArn as `organization: read_role` in the targets "
                f"file; or make account {self._hub} a delegated administrator."
            )
        name = "organization-no-unit" if code in NO_UNIT else "organization-unreadable"
        return Refusal(refusal.kind, self._fault(name, what, cure), unknown=refusal.unknown)

    def _fault(self, code: str, what: str, cure: str) -> Fault:
        return Fault(code, self._where, what, cure)
