"""AWS Organizations: which accounts belong to an organization, in which OU, and in which state.

Methods (``create``, ``add_unit``, ``add_account``, ``move``, ``close``, ``remove``, ``delegate``) do what people do;
the API only reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.iam import policy
from awsim.iam.policy import ControlKind, Document
from awsim.parts import Base
from awsim.rules import rule

ADMINISTRATORS = rule(
    "org-management-or-delegated-only",
    "Lists, DescribeAccount and DescribeOrganizationalUnit may be called from the management account or a delegated "
    "administrator only; others get AccessDeniedException. [aws-facts 7, VERIFIED]",
)
DIRECT = rule(
    "org-direct-children-only",
    "ListAccountsForParent and ListOrganizationalUnitsForParent return direct children only. [aws-facts 7, VERIFIED]",
)
PAGES = rule("org-pages-of-20", "A page holds at most 20. [aws-facts 7, VERIFIED]")
EMPTY_PAGES = rule(
    "org-empty-page-is-not-the-last",
    "A page may be empty and have a NextToken; only a missing token is the end. Here the first page of each list is. "
    "[aws-facts 7, VERIFIED]",
)
STATES = rule(
    "org-state-tells-more-than-status",
    "`State` knows CLOSED and PENDING_ACTIVATION, which the dying `Status` shows as SUSPENDED and ACTIVE. "
    "[aws-facts 7, VERIFIED for the two enumerations; which value stands for which: assumed]",
)
LATE = rule(
    "org-reads-are-late",
    "What was changed shows in the lists some seconds later. [assumed: Organizations is eventually consistent by its "
    "user guide]",
)
CONTROL = rule(
    "org-control-policies-deny",
    "A Deny in a service control policy of an account, of an OU above it or of the root binds all principals of the "
    "account, its root user too; not those of the management account, nor service-linked roles. One in a resource "
    "control policy binds keys and roles there. Every level has FullAWSAccess besides, which allows all. "
    "[Organizations user guide: service control policies, resource control policies]",
)
STRANGERS = rule(
    "org-strangers-are-not-found",
    "DescribeAccount knows accounts of the organization only (AccountNotFoundException), ListParents and the lists of "
    "a parent its children and parents only. [Organizations API reference: errors]",
)

PATHS = rule(
    "org-accounts-have-paths",
    "An account comes with the path to it: organization, root, the OUs from the top, the account. [botocore "
    "organizations 2016-11-28 model, shapes Account and Path]",
)

PAGE = 20
LONGEST: Mapping[ControlKind, int] = {"service": 10_240, "resource": 5_120}
"""Characters of a control policy, white space not counted [aws-facts, Added, November 2026, VERIFIED]."""
OLD_STATUS = {"PENDING_ACTIVATION": "ACTIVE", "CLOSED": "SUSPENDED"}
"""Account states for which ``Status`` has another word."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an account is from a time on; ``parent`` "": it has left the organization."""

    at: datetime
    parent: str
    state: str


@dataclass(slots=True)
class SimulatedOrganization:
    """One organization. Units by id: (name, parent's id)."""

    id: str
    management: str
    root: str
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    accounts: dict[str, list[Placement]] = field(default_factory=dict)
    delegated: set[str] = field(default_factory=set)
    controls: dict[tuple[ControlKind, str], dict[str, Document]] = field(default_factory=dict)
    """Kind, and account, OU or root -> the control policies that are attached there, by name."""

    @property
    def arn(self) -> str:
        """As a launch permission names it."""
        return f"arn:aws:organizations::{self.management}:organization/{self.id}"

    def arn_of(self, unit: str) -> str:
        """Return the ARN of an OU, or of the root."""
        kind = "root" if unit == self.root else "ou"
        return f"arn:aws:organizations::{self.management}:{kind}/{self.id}/{unit}"

    def above(self, unit: str) -> Iterator[str]:
        """Yield a unit and all above it, the root last."""
        while unit:
            yield unit
            unit = self.units[unit][1] if unit in self.units else ""


class Organizations:
    """Every organization of a world; an account belongs to one at most."""

    name = "organizations"
    exclusive = True

    def __init__(self, base: Base) -> None:
        self._base = base
        self._found: list[SimulatedOrganization] = []
        self.delay = 5.0
        """Seconds until the API shows a change."""

    # --- what people do ----------------------------------------------------------------------------------------------

    def create(self, management: str) -> SimulatedOrganization:
        """Create an organization; ``management`` is in its root."""
        number = hashlib.sha256(f"{management}/{len(self._found)}".encode()).hexdigest()
        made = SimulatedOrganization(f"o-{number[:10]}", management, f"r-{number[10:14]}")
        self._found.append(made)
        self._place(made, management, made.root, "ACTIVE")
        return made

    def add_unit(self, organization: SimulatedOrganization, name: str, parent: str = "") -> str:
        """Create an OU below a parent (default: the root); return its id."""
        tail = hashlib.sha256(f"{organization.id}/{name}/{len(organization.units)}".encode()).hexdigest()[:8]
        unit = f"ou-{organization.root.removeprefix('r-')}-{tail}"
        organization.units[unit] = (name, parent or organization.root)
        return unit

    def add_account(
        self, organization: SimulatedOrganization, account: str, parent: str = "", state: str = "ACTIVE"
    ) -> None:
        """Let an account join, in an OU or the root."""
        self._place(organization, account, parent or organization.root, state)

    def move(self, organization: SimulatedOrganization, account: str, parent: str) -> None:
        """Move an account to another OU, or to the root."""
        self._place(organization, account, parent, organization.accounts[account][-1].state)

    def close(self, organization: SimulatedOrganization, account: str) -> None:
        """Close an account, which stays in its OU."""
        self._place(organization, account, organization.accounts[account][-1].parent, "CLOSED")

    def remove(self, organization: SimulatedOrganization, account: str) -> None:
        """Let an account leave the organization."""
        self._place(organization, account, "", organization.accounts[account][-1].state)

    def delegate(self, organization: SimulatedOrganization, account: str) -> None:
        """Register a delegated administrator."""
        organization.delegated.add(account)

    def attach(
        self,
        organization: SimulatedOrganization,
        name: str,
        document: Document,
        targets: Iterable[str],
        kind: ControlKind = "service",
    ) -> None:
        """Create or replace a control policy, and attach it to these accounts, OUs or the root only.

        Raises AwsError (MalformedPolicyDocumentException).
        """
        if len("".join(json.dumps(document).split())) > LONGEST[kind]:
            said = f"You have exceeded the maximum policy size ({LONGEST[kind]})."
            raise AwsError("ConstraintViolationException", said)
        checked = policy.parse(document)
        for (of, _), attached in organization.controls.items():
            if of == kind:
                attached.pop(name, None)
        for target in targets:
            organization.controls.setdefault((kind, target), {})[name] = checked

    def _place(self, organization: SimulatedOrganization, account: str, parent: str, state: str) -> None:
        organization.accounts.setdefault(account, []).append(Placement(self._base.now, parent, state))

    # --- what other services ask -------------------------------------------------------------------------------------

    def contains(self, arn: str, account: str) -> bool:
        """Whether an account now belongs to the organization, root or OU of an ARN (nested OUs too)."""
        return any(
            arn in {found.arn, *map(found.arn_of, found.above(placed[-1].parent))}
            for found in self._found
            if (placed := found.accounts.get(account)) and placed[-1].parent
        )

    def of(self, account: str) -> SimulatedOrganization | None:
        """Return the organization of an account."""
        members = (found for found in self._found if account in found.accounts and found.accounts[account][-1].parent)
        return next(members, None)

    def id_of(self, account: str) -> str | None:
        """Return the id of the organization of an account."""
        found = self.of(account)
        return found.id if found else None

    def controls_of(self, account: str, kind: ControlKind) -> Sequence[Document]:
        """Return the control policies of one kind that limit an account's principals, or its keys and roles."""
        found = self.of(account)
        if found is None or account == found.management or not self._base.on(CONTROL):
            return ()
        places = (account, *found.above(found.accounts[account][-1].parent))
        return [document for place in places for document in found.controls.get((kind, place), {}).values()]

    # --- the API -----------------------------------------------------------------------------------------------------

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers; see awsim.api.Service."""
        return {
            "DescribeOrganization": self._describe_organization,
            "DescribeOrganizationalUnit": self._describe_unit,
            "DescribeAccount": self._describe_account,
            "ListRoots": self._list_roots,
            "ListAccounts": self._list_accounts,
            "ListAccountsForParent": self._accounts_for_parent,
            "ListOrganizationalUnitsForParent": self._units_for_parent,
            "ListParents": self._list_parents,
        }

    def _describe_organization(self, call: Call) -> Mapping[str, Any]:
        """Any member may ask [Organizations API reference: DescribeOrganization]."""
        found = self._of(call)
        master = f"arn:aws:organizations::{found.management}:account/{found.id}/{found.management}"
        return {
            "Organization": {
                "Id": found.id,
                "Arn": found.arn,
                "FeatureSet": "ALL",
                "MasterAccountId": found.management,
                "MasterAccountArn": master,
            }
        }

    def _describe_unit(self, call: Call) -> Mapping[str, Any]:
        found, unit = self._asked(call), call.params["OrganizationalUnitId"]
        if unit not in found.units:
            raise AwsError("OrganizationalUnitNotFoundException", f"You specified an OU that doesn't exist: {unit}.")
        return {"OrganizationalUnit": self._unit(found, unit)}

    def _describe_account(self, call: Call) -> Mapping[str, Any]:
        found, account = self._asked(call), call.params["AccountId"]
        placed = self._seen(found, account)
        if self._base.on(STRANGERS) and (placed is None or not placed.parent):
            raise AwsError("AccountNotFoundException", "You specified an account that doesn't exist.")
        return {"Account": self._account(found, account)}

    def _list_roots(self, call: Call) -> Mapping[str, Any]:
        found = self._asked(call)
        root = {"Id": found.root, "Arn": found.arn_of(found.root), "Name": "Root"}
        return self._page(call, "Roots", [root])

    def _list_accounts(self, call: Call) -> Mapping[str, Any]:
        found = self._asked(call)
        return self._page(call, "Accounts", [self._account(found, account) for account, _ in self._members(found)])

    def _accounts_for_parent(self, call: Call) -> Mapping[str, Any]:
        found, parent = self._asked(call), self._parent(call)
        listed = [
            self._account(found, account)
            for account, placed in self._members(found)
            if self._below(found, placed.parent, parent)
        ]
        return self._page(call, "Accounts", listed)

    def _units_for_parent(self, call: Call) -> Mapping[str, Any]:
        found, parent = self._asked(call), self._parent(call)
        listed = [self._unit(found, unit) for unit, (_, above) in found.units.items() if above == parent]
        return self._page(call, "OrganizationalUnits", listed)

    def _list_parents(self, call: Call) -> Mapping[str, Any]:
        found, child = self._asked(call), call.params["ChildId"]
        placed = self._seen(found, child)
        parent = found.units[child][1] if child in found.units else placed.parent if placed else ""
        if not parent and self._base.on(STRANGERS):
            raise AwsError("ChildNotFoundException", "You specified a child that doesn't exist.")
        kind = "ROOT" if parent == found.root else "ORGANIZATIONAL_UNIT"
        return {"Parents": [{"Id": parent, "Type": kind}]}

    # --- small parts -------------------------------------------------------------------------------------------------

    def _of(self, call: Call) -> SimulatedOrganization:
        found = self.of(call.caller.account)
        if found is None:
            raise AwsError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
        return found

    def _asked(self, call: Call) -> SimulatedOrganization:
        found = self._of(call)
        known = {found.management, *found.delegated}
        if self._base.on(ADMINISTRATORS) and call.caller.account not in known:
            raise AwsError("AccessDeniedException", "You don't have permissions to access this resource.")
        return found

    def _parent(self, call: Call) -> str:
        found, parent = self._of(call), str(call.params["ParentId"])
        if self._base.on(STRANGERS) and parent != found.root and parent not in found.units:
            raise AwsError("ParentNotFoundException", f"You specified a parent that doesn't exist: {parent}.")
        return parent

    def _below(self, found: SimulatedOrganization, stands: str, parent: str) -> bool:
        return stands == parent if self._base.on(DIRECT) else parent in found.above(stands)

    def _seen(self, found: SimulatedOrganization, account: str) -> Placement | None:
        """Return where the API shows an account: changes show late."""
        late = timedelta(seconds=self.delay if self._base.on(LATE) else 0)
        shown = [one for one in found.accounts.get(account, ()) if one.at + late <= self._base.now]
        return shown[-1] if shown else None

    def _members(self, found: SimulatedOrganization) -> Iterator[tuple[str, Placement]]:
        for account in sorted(found.accounts):
            placed = self._seen(found, account)
            if placed is not None and placed.parent:
                yield account, placed

    def _account(self, found: SimulatedOrganization, account: str) -> Mapping[str, Any]:
        placed = self._seen(found, account)
        state = placed.state if placed else "ACTIVE"
        shown: dict[str, Any] = {
            "Id": account,
            "Arn": f"arn:aws:organizations::{found.management}:account/{found.id}/{account}",
            "Name": f"account {account}",
            "Email": f"{account}@example.com",
            "Status": OLD_STATUS.get(state, state),
            "JoinedMethod": "CREATED",
        }
        if placed and placed.parent and self._base.on(PATHS):
            path = "/".join((found.id, *reversed(tuple(found.above(placed.parent))), account))
            shown["Paths"] = [f"{path}/"]
        return {**shown, "State": state} if self._base.on(STATES) else shown

    @staticmethod
    def _unit(found: SimulatedOrganization, unit: str) -> Mapping[str, Any]:
        path = "/".join((found.id, *reversed(tuple(found.above(unit)))))
        return {"Id": unit, "Arn": found.arn_of(unit), "Name": found.units[unit][0], "Path": f"{path}/"}

    def _page(self, call: Call, name: str, listed: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return a page of a list and the token of the next one."""
        token, rules = call.params.get("NextToken"), self._base.rules
        size = min(call.params.get("MaxResults", PAGE), PAGE) if rules.on(PAGES) else len(listed) or 1
        if token is None and rules.on(EMPTY_PAGES):
            return {name: [], "NextToken": "from-0"}
        begin = int((token or "from-0").removeprefix("from-"))
        page = {name: listed[begin : begin + size]}
        return {**page, "NextToken": f"from-{begin + size}"} if begin + size < len(listed) else page
