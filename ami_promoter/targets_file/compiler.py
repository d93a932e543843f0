"""Compiles a targets file's text to a directory of targets, or finds all its faults at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import partitions
from ami_promoter.targets_file import document, modes, shape, units, waves
from ami_promoter.targets_file.document import Path, YamlDocument, position
from ami_promoter.targets_file.settings import BUILT_IN, is_duration
from ami_promoter.terminal.alike import first_of, meant
from ami_promoter.terminal.report import duration, seconds
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.targets.applied_file import Directory, LaunchTest, Retirement, Target


@dataclass(frozen=True, slots=True)
class HubPlace:
    """Where the service runs. ``account`` may be unknown when a file is checked without AWS."""

    region: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting's value, and its place in the file."""

    value: Any
    path: Path


_Block = Mapping[str, _Setting]


def compile_targets(text: str, name: str, hub: HubPlace) -> Directory | tuple[Fault, ...]:
    """Check and resolve a file called ``name``; faults are in the order of their lines."""
    read, faults = document.read(text, name)
    if read.data is None and faults:
        return tuple(faults)
    data, misshapen = shape.check(read)
    compiler = _Compiler(read, hub)
    directory = compiler.directory(data)
    found = [*faults, *misshapen, *compiler.faults]
    if not found and not directory.accounts and not directory.by_unit:
        found = [shape.names_nobody(read)]
    return tuple(sorted(found, key=lambda fault: position(fault.where))) if found else directory


class _Compiler:
    """Resolves a document of the right shape; settings with a fault are listed in ``faults`` and left out."""

    def __init__(self, read: YamlDocument, hub: HubPlace) -> None:
        self._document = read
        self._hub = hub
        self.faults: list[Fault] = []

    def directory(self, data: Mapping[str, Any]) -> Directory:
        defaults = self._block(data.get("defaults", {}), ("defaults",))
        groups = {name: group if isinstance(group, dict) else {} for name, group in data.get("groups", {}).items()}
        organization = data.get("organization", {})
        everybody = {name: self._members(name, value, organization) for name, value in data.get("groups", {}).items()}
        self.faults += units.faults(self._document, organization, everybody)
        self.faults += waves.faults(self._document, groups, everybody, self._hub.account or "")
        members = {
            name: {one: path for one, path in mentions.items() if not units.names_unit(one)}
            for name, mentions in everybody.items()
        }
        beside = ("members", *waves.KEYS)
        blocks = {
            name: defaults | self._block({k: v for k, v in group.items() if k not in beside}, ("groups", name))
            for name, group in groups.items()
        }
        own = {
            account: self._block(block, ("accounts", account)) for account, block in data.get("accounts", {}).items()
        }
        with_units = [name for name, mentions in everybody.items() if len(members[name]) < len(mentions)]
        groups_of: dict[str, list[str]] = {account: [] for account, block in own.items() if block.keys() != {"name"}}
        for name, mentions in members.items():
            for account in mentions:
                groups_of.setdefault(account, []).append(name)
        inherited = {
            account: {name: blocks[name] for name in names} or {"": defaults} for account, names in groups_of.items()
        }
        resolved = {
            account: {**next(iter(above.values())), **own.get(account, {})} for account, above in inherited.items()
        }
        self._refuse_hub(resolved.get(self._hub.account or ""), own, members)
        if not with_units:
            self._refuse_names(own.keys() - groups_of.keys())
        built_in = {**BUILT_IN, "regions": (self._hub.region,), "by_way_of_hub": False}
        lost = _misshapen(self._document.data, data)
        open_to_all = {f"all accounts of `{name}`": blocks[name] for name in with_units}
        for account, block in {**resolved, **open_to_all}.items():
            places = {name: (setting.value, setting.path) for name, setting in block.items()}
            found = modes.misfits(self._document, account, places, self._hub.account, self._hub.region)
            self.faults += [fault for fault in found if fault not in self.faults]
        self.faults += _conflicts(self._document, members, inherited, own, lost, built_in)
        self.faults += _foreign_keys(self._document, {**resolved, **open_to_all}, self._hub.region)
        accounts = {account: tuple(self._targets(account, block)) for account, block in resolved.items()}
        by_unit = {name: tuple(self._targets("", blocks[name])) for name in with_units}
        self._need_hub(accounts, resolved)
        self._need_hub(by_unit, blocks)
        return Directory(
            {name: tuple(sorted(mentions)) for name, mentions in everybody.items()},
            accounts,
            by_unit,
            {
                account: {name: tuple(self._targets(account, {**blocks[name], **block})) for name in with_units}
                for account, block in own.items()
                if with_units
            },
            units.organization(organization, everybody),
            waves=waves.waves(groups),
        )

    def _members(self, name: str, group: Any, organization: Mapping[str, Any]) -> Mapping[str, Path]:
        """Return each member once, with its place; units by their ids."""
        below: Path = ("groups", name, "members") if isinstance(group, dict) else ("groups", name)
        listed = group.get("members") or [] if isinstance(group, dict) else group
        found: dict[str, Path] = {}
        for index, member in enumerate(listed):
            if member is None:  # it has had its fault
                continue
            account = units.named(member, organization)
            if account in found:
                what = f"{account} is in group `{name}` twice."
                self._fault("targets-member-twice", (*below, index), what, "Delete one of them, or correct the id.")
            else:
                found[account] = (*below, index)
        return found

    def _block(self, block: Mapping[str, Any], path: Path) -> dict[str, _Setting]:
        return {
            name: _Setting(self._stored(name, value, (*path, name)), (*path, name)) for name, value in block.items()
        }

    def _stored(self, name: str, value: Any, path: Path) -> Any:
        """Return a setting's value as a target has it."""
        if is_duration(name):
            return seconds(value)
        match name:
            case "regions":
                return self._regions(value, path)
            case "service_linked_roles":
                return self._roles(value, path)
            case "source_tags":
                return tuple(key for key in value if key is not None)
            case "retire":
                after = {"after": seconds(value["after"])} if "after" in value else {}
                return Retirement(**{**value, **after})
            case "launch_test":
                return _launch_test(value)
            case "until":
                return modes.day(value)
        return value

    def _roles(self, listed: list[str | None], path: Path) -> tuple[str, ...]:
        roles: list[str] = []
        for index, name in enumerate(listed):
            if name is None:  # it has had its fault
                continue
            role = modes.role(name)
            if role is None:
                what = f"the service that `{name}` belongs to is not known."
                cure = f"Write it in front: `SERVICE.amazonaws.com/{name}` (aws iam list-roles shows it in the path)."
                self._fault("targets-role", (*path, index), what, cure)
            elif role in roles:
                self._fault("targets-role", (*path, index), f"`{name}` is here twice.", "Delete one.")
            else:
                roles.append(role)
        return tuple(sorted(roles))

    def _regions(self, listed: list[str | None], path: Path) -> tuple[str, ...]:
        """Check the names against the Regions that the SDK knows: it could not call any other."""
        here = self._hub.region
        known = next((names for names in partitions() if here in names), {here})
        before = len(self.faults)
        for index, region in enumerate(listed):
            if region is None:  # it has had its fault
                continue
            if region in listed[:index]:
                self._fault("targets-region", (*path, index), f"`{region}` is here twice.", "Delete one.")
            elif region not in known:
                what = f"`{region}` is not a Region that this version knows beside the hub's {self._hub.region}."
                cure = meant(region, known) or "Write a Region's name, like `eu-central-1`."
                self._fault("targets-region", (*path, index), what, cure)
        if len(self.faults) > before:  # what has a fault brings forth no others
            return (self._hub.region,)
        return tuple(sorted({region for region in listed if region is not None}))

    def _refuse_hub(
        self, block: _Block | None, own: Mapping[str, _Block], members: Mapping[str, Mapping[str, Path]]
    ) -> None:
        """Refuse the hub as a target in its own Region; in another Region it may be one."""
        hub = self._hub.account or ""
        if block is None or self._hub.region not in _regions_of(block, self._hub.region):
            return
        places: list[Path] = [mentions[hub] for mentions in members.values() if hub in mentions]
        places += [("accounts", account) for account in own if account == hub]
        for path in places:
            what = f"{hub} is the hub itself, which owns the AMI already in {self._hub.region}."
            cure = "Take it out, or name only its other Regions under `accounts`: `regions: [REGION]`."
            self._fault("targets-hub", path, what, cure)

    def _refuse_names(self, accounts: Collection[str]) -> None:
        """Refuse accounts with nothing but a name that no group has."""
        for account in sorted(accounts):
            what = f"`name` alone makes {account} no target, and no group has the account."
            cure = "Name it as a member of a group, or give its block a setting, like `regions`."
            self._fault("targets-name-alone", ("accounts", account), what, cure)

    def _targets(self, account: str, block: _Block) -> Iterator[Target]:
        apart = ("regions", "key", "by_way_of_hub")
        settings = {name: setting.value for name, setting in block.items() if name not in apart}
        between = "by_way_of_hub" in block and block["by_way_of_hub"].value and account != self._hub.account
        for region in _regions_of(block, self._hub.region):
            key = _key_in(block, region)
            keyed: dict[str, Any] = {} if key is None else {"key": key}
            by_way_of = (self._hub.account or "") if between and region != self._hub.region else ""
            yield Target(account=account, region=region, by_way_of=by_way_of, **modes.filled(settings), **keyed)

    def _need_hub(self, accounts: Mapping[str, tuple[Target, ...]], resolved: Mapping[str, _Block]) -> None:
        """Refuse a target by way of the hub in a Region in which the hub itself is no target."""
        there = {target.region for target in accounts.get(self._hub.account or "", ())}
        for account, targets in accounts.items():
            for region in sorted({t.region for t in targets if t.by_way_of} - there):
                what = f"{account} gets AMIs in {region} by way of the hub, which is no target there itself."
                cure = f'Write `"{self._hub.account}": {{regions: [{region}]}}` under `accounts`.'
                self._fault("targets-hub-copy", resolved[account]["by_way_of_hub"].path, what, cure)

    def _fault(self, code: str, path: Path, what: str, cure: str) -> None:
        self.faults.append(Fault(code, self._document.where_key(path), what, cure))


def _conflicts(
    read: YamlDocument,
    members: Mapping[str, Mapping[str, Path]],
    inherited: Mapping[str, Mapping[str, _Block]],
    own: Mapping[str, _Block],
    lost: set[str],
    built_in: Mapping[str, Any],
) -> Iterator[Fault]:
    """Find accounts whose groups disagree: one fault for each setting and set of groups, not one for each account."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for account, above in inherited.items():
        passed_over = own.get(account, {}).keys() | lost
        for setting in {name: None for block in above.values() for name in block if name not in passed_over}:
            values = [block[setting].value if setting in block else built_in.get(setting) for block in above.values()]
            if any(value != values[0] for value in values):
                found.setdefault((setting, tuple(above)), []).append(account)
    for (setting, groups), accounts in found.items():
        above = inherited[accounts[0]]
        said = " and ".join(f"`{group}` ({_written(read, above[group], setting, built_in)})" for group in groups)
        what = f"`{setting}` is ambiguous for {first_of(accounts)}: the groups {said} differ."
        cure = f"Set `{setting}` under `accounts`, make the groups agree, or leave one group."
        yield Fault("targets-conflict", read.where(members[groups[-1]][accounts[0]]), what, cure)


def _misshapen(written: Any, good: Mapping[str, Any]) -> set[str]:
    """Return the settings of defaults and groups that were left out for a fault: they conflict with nothing."""
    if not isinstance(written, dict):
        return set()
    pairs = [(written.get("defaults"), good.get("defaults"))]
    if isinstance(written.get("groups"), dict):
        pairs += [(block, good.get("groups", {}).get(name)) for name, block in written["groups"].items()]
    return {
        setting
        for before, after in pairs
        if isinstance(before, dict)
        for setting in set(before) - set(after if isinstance(after, dict) else ())
    }


def _written(read: YamlDocument, block: _Block, setting: str, built_in: Mapping[str, Any]) -> str:
    if setting not in block:
        value: Any = built_in.get(setting)
        return f"{duration(value) if is_duration(setting) else _plainly(value) or 'nothing'}, the default"
    return read.raw.get(block[setting].path) or _plainly(block[setting].value) or "none"


def _plainly(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value or "")


def _foreign_keys(read: YamlDocument, resolved: Mapping[str, _Block], hub_region: str) -> Iterator[Fault]:
    """Find key ARNs of another account or Region than the target's."""
    strangers: dict[tuple[Path, str], list[str]] = {}
    for account, block in resolved.items():
        for region in _regions_of(block, hub_region):
            key = _key_in(block, region) or ""
            if key.startswith("arn:") and Arn.parse(key)[2:4] != (region, account):
                own = isinstance(block["key"].value, Mapping)
                path = (*block["key"].path, region) if own else block["key"].path
                strangers.setdefault((path, region), []).append(account)
    for (path, region), accounts in strangers.items():
        what = f"this key would serve {first_of(accounts)}, but is not of that account and {region}."
        cure = (
            "Write an alias, which each account and Region resolves for itself; or give the ARN for each account under "
            "`accounts`, by Region where there are several: `key: {REGION: ARN}`."
        )
        yield Fault("targets-key", read.where(path), what, cure)


def _launch_test(value: Mapping[str, Any]) -> LaunchTest | None:
    """Return it with its time in seconds. A mapping that lost its type for a fault is none."""
    if "instance_type" not in value:
        return None
    within = {"within": seconds(value["within"])} if "within" in value else {}
    return LaunchTest(value["instance_type"], **within)


def _regions_of(block: _Block, hub_region: str) -> tuple[str, ...]:
    return block["regions"].value if "regions" in block else (hub_region,)


def _key_in(block: _Block, region: str) -> str | None:
    """Return the key for a Region; None: the built-in one, also where the block has keys for other Regions only."""
    value = block["key"].value if "key" in block else None
    return value.get(region) if isinstance(value, Mapping) else value
