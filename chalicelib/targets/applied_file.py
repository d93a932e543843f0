"""The applied file: its accounts and groups with their settings, and the targets that a tag's value names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from chalicelib.engine import codec
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Place
from chalicelib.engine.schedule import DAY
from chalicelib.targets import organization
from chalicelib.targets.organization import Membership, Organization
from chalicelib.targets.waves import FileWaves, Wave
from chalicelib.targets.withdrawals import EVERYWHERE, covering

DEFAULT_GROUP = "default"
"""The group that an empty value, or ``true``, names."""

VALUE = "value of the trigger tag"
"""Stands for the place of a fault in a tag's value; the notice names the AMI."""

DAMAGED = "targets-damaged"
"""Code of the fault of a file that is not what was applied, or cannot be read."""

ORGANIZATION = "organization"
"""Name of the item with the organization and the units that the file names."""

GRANT_ROLE = "-grants"
"""The end of the grant role's name; deploy/target.yaml has the same."""


def grant_role(copy_role: str) -> str:
    """Return the name of a target's grant role, by the name of its copy role."""
    return f"{copy_role}{GRANT_ROLE}"


def launch_role(copy_role: str) -> str:
    """Return the name of a target's launch role, by that of its copy role; deploy/target.yaml has the same."""
    return f"{copy_role}-launch"


SHOWN_WITH_A_SHARED_AMI = ("ec2:SharedTag/*",)
"""Tags that EC2 shows to accounts with which an AMI is shared [aws-facts, Added November 2026, VERIFIED]."""

NOT_OF_THE_DELIVERY = {"of_the_delivery": False}
"""Metadata of a member of ``Target`` that changes nothing of a delivery, as a name or a retirement: a change of it
voids no approval and begins no delivery again. A member without it belongs to the delivery."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """When a superseded copy is deprecated: ``keep`` newer ones are there, and its source is older than ``after``."""

    keep: int = 3
    after: int = 90 * DAY
    """Seconds; whole days."""

    def __str__(self) -> str:
        """Return it as the targets file has it."""
        return f"keep: {self.keep}, after: {self.after // DAY}d"


@dataclass(frozen=True, slots=True)
class LaunchTest:
    """The launch test of a target: each new AMI must start an instance there before it is published."""

    instance_type: str
    within: int = 15 * 60
    """For so long the instance may take until both of its status checks are ok (seconds)."""

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.instance_type} within {self.within // 60} min"


@dataclass(frozen=True, slots=True)
class Target:
    """One (account, Region) that may own an AMI, with its settings resolved from the targets file.

    Durations are seconds. ``key`` is a KMS key ARN, id or alias in the target. ``service_linked_roles`` are
    "SERVICE/NAME", ``until`` is in epoch seconds (0: without an end), ``by_way_of`` is the hub's account where the AMI
    is to go by way of the hub's own copy in that Region. docs/reference/settings.md says what each setting does.
    """

    account: str
    region: str
    role_name: str = "AmiCopyRole"
    """Name of the copy role; ``grant_role`` is that of the grant role."""
    external_id: str = ""
    key: str = "alias/ami-promoter"
    mode: Literal["copy", "share"] = "copy"
    key_access: Literal["grant", "policy", "none"] = "grant"
    copy_method: Literal["auto", "snapshots", "image"] = "snapshots"
    share_snapshots: bool = False
    launch_permission: Literal["account", "group"] = "account"
    service_linked_roles: tuple[str, ...] = ()
    roles_by_default: bool = field(default=False, metadata=NOT_OF_THE_DELIVERY)
    """Whether the file names no roles, and these are the mode's default: one that is missing there delays nothing."""
    until: int = 0
    by_way_of: str = ""
    grantee: Literal["role", "account"] = "role"
    ami_name: str = "{source_name}-{source_id}"
    tags: Mapping[str, str] = field(default_factory=dict)
    source_tags: tuple[str, ...] = ("*",)
    """Keys of the source's tags that the AMI gets; a key that ends in ``*`` means all that begin so."""
    family_tag: str = "family"
    """Key of the source's tag that names its family."""
    ssm_parameter: str = ""
    """Parameter that names the current AMI there, with ``{family}`` for the family; "": none."""
    retire: Retirement | None = field(default=None, metadata=NOT_OF_THE_DELIVERY)
    """When the worker of that parameter deprecates superseded copies; None: never."""
    launch_test: LaunchTest | None = None
    protect: bool = True
    queue_deadline: int = 24 * 3600
    copy_deadline: int = 24 * 3600
    complete_within: int = 0
    """For time-based copies, which AWS prices by the GiB; 0: ordinary copies."""
    release_when: Literal["copied", "registered"] = "copied"
    linger: int = 0
    approval: Literal["none", "required"] = "none"
    name: str = field(default="", metadata=NOT_OF_THE_DELIVERY)
    """What people call the account; "": the file does not say. Nothing is decided by it."""
    unit: str = ""
    """ARN of the OU or organization by which the value's groups have the account; "" if the file lists it."""

    @property
    def place(self) -> str:
        """Its address, "account/region"."""
        return str(Place(self.account, self.region))

    @property
    def where(self) -> str:
        """Its name for messages."""
        return f"account {self.account}, {self.region}"


NAME = r"[A-Za-z][A-Za-z0-9 ._/@+-]{0,48}[A-Za-z0-9]"
"""An account's name [ami_promoter/targets_file/targets.schema.json]."""


def name_in(value: object) -> str:
    """Return an account's name; what the schema does not allow is none: somebody wrote it past the command line."""
    return value if isinstance(value, str) and re.fullmatch(NAME, value) else ""


def names(directory: Directory) -> Mapping[str, str]:
    """Return the names that the file gives to accounts, by their ids."""
    groups = (found for own in directory.own.values() for found in own.values())
    targets = (target for found in (*directory.accounts.values(), *groups) for target in found)
    return {target.account: name for target in targets if (name := name_in(target.name))}


def of_delivery(target: Target) -> dict[str, Any]:
    """Return the settings that belong to a delivery, as JSON values."""
    beside = {one.name for one in fields(target) if not one.metadata.get("of_the_delivery", True)}
    return {name: value for name, value in codec.encode(target).items() if name not in beside}


def settings_changed(old: Target, new: Target) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two targets differ, each with its old and its new value."""
    before, after = codec.encode(old), codec.encode(new)
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def carried(target: Target) -> tuple[str, ...]:
    """Return which tags of the source arrive in a target; where the AMI itself is shared, EC2 shows some of them."""
    return target.source_tags if target.mode == "copy" else SHOWN_WITH_A_SHARED_AMI


@dataclass(frozen=True, slots=True)
class Trigger:
    """A parsed tag value: names of groups and account ids, each once, sorted; and a fault for each other word."""

    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Resolution:
    """Whom a value names, by the applied file.

    A value that is *understood* has targets. Each account is judged by itself; those in ``blocked`` have a fault: they
    get nothing new, and keep what they have. A value that is not understood has only ``faults``, or ``waits`` (a fault
    that passes by itself).

    ``groups`` holds, for each target as "account/region", the named groups that have it (none: named by its id).
    ``digest`` names the applied content, "" when nothing has been applied. ``members`` is the digest of the members
    that were used.
    """

    targets: tuple[Target, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocked: Mapping[str, Fault] = field(default_factory=dict)
    blocked_until: Mapping[str, int] = field(default_factory=dict)
    """For each blocked account the latest date ``until`` in its settings; 0: none."""
    faults: tuple[Fault, ...] = ()
    digest: str = ""
    members: str = ""
    back_fill: bool = True
    """Whether an account that joins later becomes a target of the value in force."""
    waits: Fault | None = None
    units: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For the account of each target the ARNs of all units that contain it, whether or not they bring it."""

    @property
    def digests(self) -> str:
        """The digests of file and members, "digest/digest"; "": nothing has been applied."""
        return f"{self.digest}/{self.members}" if self.digest else ""

    @property
    def understood(self) -> bool:
        """Whether the value has no fault as a whole."""
        return not self.faults and self.waits is None

    @cached_property
    def by_place(self) -> Mapping[str, Target]:
        """Each target by its "account/region"; made once, because hundreds of shares ask in turn."""
        return {target.place: target for target in self.targets}

    def until(self, place: str) -> int | None:
        """Return the date until which a target may keep its standing shares; 0: no end, None: no such target."""
        target = self.by_place.get(place)
        return self.blocked_until.get(Place.parse(place).account) if target is None else target.until

    def without(self, withdrawn: Mapping[str, str]) -> Resolution:
        """Return the resolution without the targets that an operator has withdrawn."""
        if not withdrawn:
            return self
        everywhere = EVERYWHERE in withdrawn
        blocked = {one: fault for one, fault in self.blocked.items() if one not in withdrawn and not everywhere}
        left = tuple(target for target in self.targets if covering(withdrawn, target.place) is None)
        return replace(self, targets=left, blocked=blocked)


@dataclass(frozen=True)
class Directory:
    """A compiled targets file: groups by name, and every account's targets, one a Region, by account id.

    A group's members are accounts and units of an organization; ``membership`` has the accounts of the units.
    """

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    by_unit: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    """For each group with a unit: the targets, without account id, of an account that has joined by a unit."""
    own: Mapping[str, Mapping[str, tuple[Target, ...]]] = field(default_factory=dict)
    """For each account with settings of its own: its targets in each such group."""
    organization: Organization | None = None
    membership: Membership = field(default_factory=Membership)
    """The members of the units; not part of the file."""
    hub: tuple[str, str] = ("", "")
    """The hub's account and Region, which are no target even if a unit contains them."""
    waves: Mapping[str, Wave] = field(default_factory=dict)
    """For each group that waits for another: for which, and how long."""

    @cached_property
    def ways(self) -> Mapping[str, Mapping[str, str]]:
        """The accounts of each group, with the unit that brings each, or "" if the file lists it; found once.

        Hundreds of shares ask in turn.
        """
        return {name: organization.ways(members, self.membership) for name, members in self.groups.items()}

    @cached_property
    def _groups_of(self) -> Mapping[str, Sequence[str]]:
        """For each account its groups, sorted."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.ways):
            for account in self.ways[name]:
                found.setdefault(account, []).append(name)
        return found

    @cached_property
    def units(self) -> Mapping[str, frozenset[str]]:
        """For each account of a unit the ARNs of all units that contain it."""
        found: dict[str, set[str]] = {}
        for unit in self.membership.units.values():
            for account in unit.accounts:
                found.setdefault(account, set()).add(unit.arn)
        return {account: frozenset(arns) for account, arns in found.items()}

    def knows(self, account: str) -> bool:
        """Whether the file lists an account, or a group has it."""
        return account in self.accounts or account in self._groups_of

    def has_settings(self, account: str) -> bool:
        """Whether the file has targets of an account, or a unit brings it into a group."""
        brought = any(self.ways[name][account] for name in self._groups_of.get(account, ()))
        return account in self.accounts or brought

    def unread(self, groups: Iterable[str], *, every: bool) -> list[str]:
        """Return the units of these groups (``every``: of all) that discovery has never read."""
        named = self.groups if every else [name for name in groups if name in self.groups]
        units = {member for name in named for member in self.groups[name] if organization.is_unit(member)}
        return sorted(units - self.membership.units.keys())

    def as_read(self) -> Directory:
        """Return the file as if the units that discovery has never read had no accounts."""
        read = {**dict.fromkeys(self.unread((), every=True), organization.Unit("")), **self.membership.units}
        return replace(self, membership=Membership(self.membership.digest, read))

    def targets_of(self, account: str, chosen: Iterable[str]) -> tuple[Target, ...] | Fault:
        """Return the account's targets, whether the value names them or not. Its groups agree, but for ``retire``."""
        found = _retiring_alike(self._found(account))
        first = next(iter(found.values()))
        others = [name for name, targets in found.items() if targets != first]
        if others:
            differing = _differing(first, found[others[0]])
            return organization.conflict(account, differing, (next(iter(found)), others[0]))
        unit = next((way for name in chosen if (way := self.ways[name].get(account, ""))), "")
        if any(self.ways[name].get(account) == "" for name in chosen):
            unit = ""
        # a unit may contain the hub itself, which owns the AMI already
        abroad = (target for target in first if (target.account, target.region) != self.hub)
        return tuple(target if target.unit == unit else replace(target, unit=unit) for target in abroad)

    def regions(self) -> dict[str, frozenset[str]]:
        """Return every account -> the Regions in which it is a target, by any of its groups.

        Where its groups differ, the service copies nothing new there, but earlier AMIs exist.
        """
        accounts = filter(self.has_settings, {*self.accounts, *self._groups_of})
        found = ((account, self._found(account).values()) for account in accounts)
        return {account: frozenset(one.region for targets in every for one in targets) for account, every in found}

    def latest_date(self, account: str) -> int:
        """Return the latest date ``until`` of its targets in all of its groups; 0: they have none."""
        return max((target.until for targets in self._found(account).values() for target in targets), default=0)

    def _found(self, account: str) -> dict[str, tuple[Target, ...]]:
        """Return the account's targets by each group that has it by a unit, and as the file lists it."""
        groups = self._groups_of.get(account, [])
        brought = [name for name in groups if self.ways[name][account]]
        found = {name: self._brought(account, name) for name in brought}
        if len(brought) < len(groups) or not groups:
            listed = next((name for name in groups if name not in brought), "")
            found = {listed: self.accounts.get(account, ()), **found}
        return found

    def _brought(self, account: str, group: str) -> tuple[Target, ...]:
        own = self.own.get(account, {}).get(group)
        if own is not None:
            return own
        return tuple(
            replace(target, account=account, by_way_of="" if target.by_way_of == account else target.by_way_of)
            for target in self.by_unit.get(group, ())
        )


def parse_trigger(value: str) -> Trigger:
    """Read a tag's value: names and 12-digit ids separated by spaces, commas or ``+``, in any order.

    Empty or ``true`` means the group ``default``. Never raises.
    """
    words = sorted(set(re.findall(r"[^\s,+]+", value)))
    if words in ([], ["true"]):
        return Trigger(groups=(DEFAULT_GROUP,))
    faults = tuple(fault for word in words if (fault := _word_fault(word)))
    return Trigger(tuple(filter(is_group, words)), tuple(filter(is_account, words)), faults)


@dataclass(frozen=True)
class AppliedFile:
    """The applied file and the members at one moment. ``fault``: why they cannot be used."""

    directory: Directory = field(default_factory=Directory)
    digest: str = ""
    fault: Fault | None = None
    _last: dict[tuple[str, bool], Resolution] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The value resolved last: hundreds of shares ask for the same value in turn."""

    @property
    def digests(self) -> str:
        """The digests of both: "digest/digest"."""
        return f"{self.digest}/{self.directory.membership.digest}"

    def resolve(self, value: str, *, in_force: bool = False) -> Resolution:
        """Return the targets that groups and accounts have, named as in a tag's value; see ``resolve``."""
        if self.fault is not None:
            return Resolution(faults=(self.fault,), digest=self.digest)
        asked = (value, in_force)
        if asked not in self._last:
            self._last.clear()
            self._last[asked] = resolve(value, self.directory, self.digest, in_force=in_force)
        return self._last[asked]

    def target(self, account: str, region: str) -> Target | Fault | None:
        """Return a target with its settings, or why they are not known; None: the file has no such target."""
        found = self.resolve(account)
        why = (found.blocked.get(account), found.waits, *found.faults)
        return found.by_place.get(str(Place(account, region))) or next(filter(None, why), None)

    def judge(self, value: str, *, in_force: bool) -> Resolution:
        """Resolve the value of a tag. One that was just written must also reach each group for which another waits."""
        found = self.resolve(value, in_force=in_force)
        if in_force or not self.directory.waves:
            return found
        accounts = {*found.blocked, *(target.account for target in found.targets)}
        faults, waits = self.waves.not_reached(accounts, VALUE), self.waves.unknown
        if not faults:
            return found
        return Resolution(faults=() if waits else faults, digest=found.digest, members=found.members, waits=waits)

    @cached_property
    def waves(self) -> FileWaves:
        """Its waves, with the accounts of its groups."""
        return _waves(self.directory) if self.directory.waves else FileWaves({}, {})

    def strangers(self, accounts: Iterable[str]) -> frozenset[str]:
        """Return the accounts that neither the file nor a unit in it contains (invariant 8); none if it is unusable."""
        file = self.directory
        return frozenset() if self.fault else frozenset(one for one in accounts if not file.has_settings(one))


def resolve(value: str, directory: Directory, digest: str = "", *, in_force: bool = False) -> Resolution:
    """Turn a value into targets, sorted by account and Region.

    ``in_force``: it was understood before. A name that the file has lost since then names no target, and is no fault.
    """
    trigger = parse_trigger(value)
    faults = list(trigger.faults)
    unknown = [name for name in trigger.groups if name not in directory.groups]
    members = directory.membership.digest
    strangers = [account for account in trigger.accounts if not directory.knows(account)]
    faults += [] if in_force else [_no_group(name, directory.groups) for name in unknown]
    unread = directory.unread(trigger.groups, every=bool(strangers))
    faults += [directory.membership.troubles[unit] for unit in unread if unit in directory.membership.troubles]
    if unread and not faults:
        waits = organization.not_read_yet(unread, directory.organization)
        return Resolution(digest=digest, members=members, waits=waits)
    faults += [] if in_force else [_no_account(account) for account in strangers]
    if faults:
        return Resolution(faults=tuple(dict.fromkeys(faults)), digest=digest, members=members)
    chosen: dict[str, list[str]] = {account: [] for account in trigger.accounts if account not in strangers}
    for name in trigger.groups:
        for account in directory.ways.get(name, ()):
            chosen.setdefault(account, []).append(name)
    targets, blocked = _judged(
        {account: directory.targets_of(account, chosen[account]) for account in chosen}, directory
    )
    groups = {target.place: tuple(chosen.get(target.account, ())) for target in targets}
    back_fill = directory.organization is None or directory.organization.back_fill
    dates = {account: directory.latest_date(account) for account in blocked}
    units = {one.account: directory.units[one.account] for one in targets if one.account in directory.units}
    return Resolution(targets, groups, blocked, dates, digest=digest, members=members, back_fill=back_fill, units=units)


def _waves(directory: Directory) -> FileWaves:
    unread = directory.unread((*directory.waves, *(wave.after for wave in directory.waves.values())), every=False)
    troubles = directory.membership.troubles
    why = [troubles[unit] for unit in unread if unit in troubles]
    unknown = why[0] if why else organization.not_read_yet(unread, directory.organization) if unread else None
    return FileWaves(directory.waves, directory.ways, directory.hub[0], unknown)


def _judged(
    found: Mapping[str, tuple[Target, ...] | Fault], directory: Directory
) -> tuple[tuple[Target, ...], Mapping[str, Fault]]:
    """Separate the targets from the accounts that cannot be served; add the hub's own copies that targets wait for."""
    blocked = {account: one for account, one in found.items() if isinstance(one, Fault)}
    by_place: dict[str, Target] = {}
    for account, targets in found.items():
        if isinstance(targets, Fault):
            continue
        between = [(target, _hub_copy(target, directory)) for target in targets if target.by_way_of]
        lacking = next((target for target, copy in between if copy is None), None)
        if lacking is not None:
            blocked[account] = _no_hub_copy(lacking)
            continue
        by_place |= {copy.place: copy for _, copy in between if copy is not None and copy.place not in by_place}
        by_place |= {target.place: target for target in targets}
    ordered = sorted(by_place.values(), key=lambda target: (target.account, target.region))
    return tuple(ordered), dict(sorted(blocked.items()))


def _retiring_alike(found: Mapping[str, tuple[Target, ...]]) -> Mapping[str, tuple[Target, ...]]:
    """Return an account's targets by its groups; where these differ in ``retire`` alone, they retire nothing there."""
    if len({tuple(target.retire for target in targets) for targets in found.values()}) == 1:
        return found
    return {name: tuple(replace(target, retire=None) for target in targets) for name, targets in found.items()}


def _differing(one: tuple[Target, ...], other: tuple[Target, ...]) -> list[str]:
    if [target.region for target in one] != [target.region for target in other]:
        return ["`regions`"]
    pairs = zip(one, other, strict=True)
    return sorted({f"`{name}`" for here, there in pairs for name in settings_changed(here, there)})


def _hub_copy(target: Target, directory: Directory) -> Target | None:
    """Return the hub itself as a target in the same Region: the others there copy from its AMI."""
    own = directory.accounts.get(target.by_way_of, ())
    return next((one for one in own if one.region == target.region), None)


def _no_hub_copy(target: Target) -> Fault:
    what = f"account {target.account} gets AMIs in {target.region} by way of the hub, which is no target there itself."
    cure = f"Name {target.region} among the Regions of {target.by_way_of} under `accounts`, and apply the file."
    return Fault("no-hub-copy", VALUE, what, cure)


def is_account(word: str) -> bool:
    """Whether it has an account id's form: 12 ASCII digits."""
    return re.fullmatch("[0-9]{12}", word) is not None


def is_group(word: str) -> bool:
    """Whether it can name a group: a letter, then up to 62 letters, digits, ``.``, ``_`` or ``-``; not ``true``."""
    return re.fullmatch("[A-Za-z][A-Za-z0-9._-]{0,62}", word) is not None and word != "true"


def nothing_applied(place: str) -> Fault:
    """Return the fault of a hub without an applied file; ``place``: its table and Region."""
    what = "no targets file has been applied yet, so no account may receive an AMI."
    return Fault("no-targets-applied", place, what, "Write one and run `ami-promoter targets apply FILE`.")


def _word_fault(word: str) -> Fault | None:
    if is_account(word) or is_group(word):
        return None
    shown = word if word.isprintable() and len(word) <= 80 else f"{ascii(word)[1:-1][:80]}"
    if word == "true":
        what = "`true` means the group `default` and must be the only word."
        return Fault("trigger-true", VALUE, what, "Write `default` instead.")
    if re.fullmatch("[0-9-]+", word):
        digits = count(sum(map(str.isdigit, word)), "digit") + (" and dashes" if "-" in word else "")
        what = f"`{shown}` is not an account id: it has {digits}."
        cure = "Write all 12 digits, leading zeros too, without dashes."
        return Fault("trigger-account-id", VALUE, what, cure)
    what = f"`{shown}` is neither the name of a group nor an account id."
    cure = (
        "Write group names (a letter first, then letters, digits, `.`, `_`, `-`) and 12-digit account ids, "
        "separated by spaces, commas or `+`."
    )
    return Fault("trigger-name", VALUE, what, cure)


def _no_group(name: str, known: Iterable[str]) -> Fault:
    what = f"the applied targets file has no group `{name}`."
    if name == DEFAULT_GROUP:
        what = "the applied targets file has no group `default`, which an empty value and `true` mean."
    close = get_close_matches(name, known, n=1)
    unread = f"Did you mean `{close[0]}`? If not, add" if close else "Add"
    cure = f"{unread} the group to the file and apply it, or name another group or an account."
    return Fault("unknown-group", VALUE, what, cure)


UNKNOWN_ACCOUNT = "unknown-account"
"""Code of the fault of an account that the file does not contain."""


def _no_account(account: str) -> Fault:
    what = f"the applied targets file does not contain account {account}, so the service shares nothing with it."
    cure = "Add it to a group or under `accounts` and apply the file, or correct the id."
    return Fault(UNKNOWN_ACCOUNT, VALUE, what, cure)
