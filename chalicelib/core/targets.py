"""Targets: which accounts and groups exist, with which settings, and what a trigger value means."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from chalicelib.core import codec
from chalicelib.core.faults import Fault

DEFAULT_GROUP = "default"
"""What an empty value, or ``true``, means."""

VALUE = "value of the trigger tag"
"""Where a fault in a value lies; the notice names the AMI beside it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One (account, Region) that may own an AMI, with its settings resolved from the targets file.

    Durations are seconds. ``key`` is a KMS key ARN, id or alias in the target. ``service_linked_roles`` are
    "SERVICE/NAME", ``until`` is in epoch seconds (0: without an end), ``by_way_of`` is the hub's account where the AMI
    is to go by way of the hub's own copy in that Region. docs/targets.md says what each setting does.
    """

    account: str
    region: str
    role_name: str = "AmiCopyRole"
    external_id: str = ""
    key: str = "alias/ami-promoter"
    mode: Literal["copy", "share"] = "copy"
    key_access: Literal["grant", "policy", "none"] = "grant"
    copy_method: Literal["auto", "snapshots", "image"] = "snapshots"
    share_snapshots: bool = False
    launch_permission: Literal["account", "group"] = "account"
    service_linked_roles: tuple[str, ...] = ()
    until: int = 0
    by_way_of: str = ""
    grantee: Literal["role", "account"] = "role"
    ami_name: str = "{source_name}-{source_id}"
    tags: Mapping[str, str] = field(default_factory=dict)
    queue_deadline: int = 24 * 3600
    copy_deadline: int = 24 * 3600
    release_when: Literal["copied", "registered"] = "copied"
    linger: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a tag's value asks for: names of groups and account ids, each once, sorted."""

    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The value in its plainest form; parsing it gives this trigger again."""
        return " ".join((*self.groups, *self.accounts))


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a value means by the applied file: targets, or faults, never both.

    ``groups`` holds, for each target as "account/region", the named groups that have it (none: named by its id).
    ``digest`` names the applied content, "" when nothing has been applied.
    """

    targets: tuple[Target, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """A compiled targets file: groups by name, and every account's targets, one a Region, by account id."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)


def parse_trigger(value: str) -> Trigger | tuple[Fault, ...]:
    """Read a tag's value: names and 12-digit ids separated by spaces, commas or ``+``, in any order.

    Empty or ``true`` means the group ``default``. Never raises; faults come all at once, ordered by name.
    """
    words = _words(value)
    if words in ([], ["true"]):
        return Trigger(groups=(DEFAULT_GROUP,))
    faults = tuple(fault for word in words if (fault := _word_fault(word)))
    return faults or _well_formed(value)


def _words(value: str) -> list[str]:
    return sorted(set(filter(None, re.split(r"[\s,+]+", value))))


def _well_formed(value: str) -> Trigger:
    """Take what is well formed in a value, whatever stands beside it, so that all that is wrong is told at once."""
    words = [word for word in _words(value) if not _word_fault(word)]
    return Trigger(
        groups=tuple(word for word in words if not is_account(word)), accounts=tuple(filter(is_account, words))
    )


def resolve(value: str, directory: Directory, digest: str = "") -> Resolution:
    """Turn a value into targets, sorted by account and Region; any fault, and there are no targets at all."""
    trigger = parse_trigger(value)
    faults: list[Fault] = []
    if not isinstance(trigger, Trigger):
        faults, trigger = list(trigger), _well_formed(value)
    faults += [_no_group(name, directory.groups) for name in trigger.groups if name not in directory.groups]
    faults += [_no_account(account) for account in trigger.accounts if account not in directory.accounts]
    if faults:
        return Resolution(faults=tuple(faults), digest=digest)
    chosen: dict[str, list[str]] = {account: [] for account in trigger.accounts}
    for name in trigger.groups:
        for account in directory.groups[name]:
            chosen.setdefault(account, []).append(name)
    targets = tuple(target for account in sorted(chosen) for target in directory.accounts[account])
    lacking = [target for target in targets if target.by_way_of and _hub_copy(target, directory) is None]
    if lacking:
        return Resolution(faults=tuple(_no_hub_copy(target) for target in lacking), digest=digest)
    between = [copy for target in targets if target.by_way_of and (copy := _hub_copy(target, directory))]
    by_place = {(target.account, target.region): target for target in (*between, *targets)}
    targets = tuple(target for _, target in sorted(by_place.items(), key=lambda placed: placed[0]))
    groups = {f"{target.account}/{target.region}": tuple(chosen.get(target.account, ())) for target in targets}
    return Resolution(targets, groups, digest=digest)


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
    """Whether it may name a group: a letter, then up to 62 letters, digits, ``.``, ``_`` or ``-``; not ``true``."""
    return re.fullmatch("[A-Za-z][A-Za-z0-9._-]{0,62}", word) is not None and word != "true"


def to_items(directory: Directory) -> dict[str, str]:
    """Write a directory as sort key -> JSON body, canonically: equal directories give equal items."""
    groups = {f"group#{name}": sorted(members) for name, members in directory.groups.items()}
    accounts = {f"account#{account}": codec.encode(targets) for account, targets in directory.accounts.items()}
    return {
        key: json.dumps(body, sort_keys=True, separators=(",", ":"))
        for key, body in sorted({**groups, **accounts}.items())
    }


def from_items(items: Mapping[str, str]) -> Directory:
    """Read a directory back; a body of another shape raises ValueError naming the item and the member."""
    groups: dict[str, tuple[str, ...]] = {}
    accounts: dict[str, tuple[Target, ...]] = {}
    for key, body in items.items():
        kind, _, name = key.partition("#")
        if kind == "group":
            groups[name] = codec.decode(tuple[str, ...], json.loads(body), key)
        elif kind == "account":
            accounts[name] = codec.decode(tuple[Target, ...], json.loads(body), key)
        else:
            raise ValueError(f"{key}: a targets item is a group or an account")
    return Directory(groups, accounts)


def digest_of(items: Mapping[str, str]) -> str:
    """Hash the items' text, so that a damaged or half-deleted set is known for one: 32 hexadecimal characters."""
    text = "\n".join(f"{key} {body}" for key, body in sorted(items.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def nothing_applied(place: str) -> Fault:
    """The fault of a table that no targets file has been applied to; ``place`` says the table and Region."""
    return Fault(
        "no-targets-applied",
        place,
        "no targets file has been applied yet, so no account may receive an AMI.",
        "Write one and run `ami-promoter targets apply FILE`.",
    )


def _word_fault(word: str) -> Fault | None:
    if is_account(word) or is_group(word):
        return None
    shown = word if word.isprintable() and len(word) <= 80 else f"{ascii(word)[1:-1][:80]}"
    if word == "true":
        what = "`true` means the group `default` and stands alone, but other names stand beside it."
        return Fault("trigger-true", VALUE, what, "Write `default` instead.")
    if re.fullmatch("[0-9-]+", word):
        what = f"`{shown}` is no account id: it has {sum(map(str.isdigit, word))} digits."
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
    hint = f"Did you mean `{close[0]}`? If not, add" if close else "Add"
    cure = f"{hint} the group to the file and apply it, or name another group or an account."
    return Fault("unknown-group", VALUE, what, cure)


def _no_account(account: str) -> Fault:
    what = f"the applied targets file does not contain account {account}, so nothing may be shared with it."
    cure = "Add it to a group or under `accounts` and apply the file, or correct the id."
    return Fault("unknown-account", VALUE, what, cure)
