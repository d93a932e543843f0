"""An in-memory AWS for tests: a hub's AMIs, permissions and grants; copies that take time; AMIs with names.
Deterministic.

It models the rules that the order of calls can break: a copy runs only while snapshot and key are open to its account,
and errors if either closes before its end; no client token makes a second CopySnapshot harmless; a new resource may
appear late in Describe calls; AMI names are unique.
"""

import heapq
import itertools
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.delivery import instances, template_rights
from chalicelib.delivery.instances import InstanceSeen, LaunchSite, SeenInstance
from chalicelib.delivery.ports import SeenImage
from chalicelib.delivery.preflight import list_unfinished
from chalicelib.delivery.proof import SeenCopy, ShownImage
from chalicelib.delivery.tags import image_tags
from chalicelib.engine.addresses import digest_of
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.images import register
from chalicelib.images.image import read_image
from chalicelib.images.keys import KeyFacts, source_keys
from chalicelib.images.ports import Tagged, TagRead
from chalicelib.release.pointer import SeenParameter, ShownParameter
from chalicelib.sharing import grant_names
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share
from chalicelib.targets.applied_file import AppliedFile, Directory
from chalicelib.targets.applied_items import to_items
from chalicelib.targets.approvals import Approval
from chalicelib.targets.departures import Whereabouts
from chalicelib.targets.organization import ways
from chalicelib.targets.recalls import Pin, Recall
from chalicelib.targets.withdrawals import Withdrawal
from tests.images.examples import a_key, describe_image, describe_snapshot, describe_volume, ec2_shows

HUB, REGION, START = "111111111111", "us-east-1", 1_800_000_000
TRIGGER = "promote"
PLACE = LaunchSite(("subnet-0a",), (), ("x86_64",), ("legacy-bios", "uefi"))
NEVER = 10**9
NAME_KEPT = 60
"""Seconds for which a deregistered AMI keeps its name."""
INACCESSIBLE = "Given key ID is not accessible"
UNREADABLE = AppliedFile(fault=Fault("targets-damaged", "there", "It is damaged.", "Apply it again."))
"""An applied file that cannot be read."""


def target_key(account: str) -> str:
    """The ARN of the key that encrypts an account's copies."""
    return f"arn:aws:kms:{REGION}:{account}:key/target"


def source_key(number: int) -> str:
    """The ARN of one of the hub's own keys."""
    return f"arn:aws:kms:{REGION}:{HUB}:key/source-{number}"


def refusal(why: RefusalKind, code: str, *, unknown: bool = False) -> Refusal:
    """A refusal with the text that an adapter would give it."""
    return Refusal(why, Fault(f"aws-{code}", "there", f"AWS says {code}.", "Mend it."), unknown=unknown)


def grant_name(share: Share) -> str:
    """Name a grant. In this model, one name for two grantees means two grants; service roles have the same name."""
    name = grant_names.grant_name(share, REGION)
    return f"{share.account}/{name}" if share.resource.startswith("resource#role#") else name


@dataclass
class CloudCopy:
    """A snapshot in a target."""

    id: str
    account: str
    source: str
    key: str | None
    """The source's key; None if the source is not encrypted."""
    delivery: str
    started: int
    in_vain: bool
    state: str = "pending"
    message: str = ""
    """While the copy is pending: the error message it will end with, if any."""
    deleted: bool = False
    by_copy_image: bool = False
    """Whether CopyImage made it. Such copies do not count against the limit."""
    nonce: str = ""
    tagged: bool = False
    """Whether a copy that CopyImage made has its source's tag by now."""


@dataclass
class Image:
    """An AMI in a target."""

    id: str
    account: str
    name: str
    delivery: str
    source: str
    copies: tuple[str, ...]
    raw: dict[str, Any]
    mappings: tuple[dict[str, Any], ...] = ()
    """Mappings of an AMI that CopyImage makes; shown when it is available."""
    nonce: str = ""
    made: int = 0


@dataclass
class CloudInstance:
    """An instance in a target."""

    id: str
    account: str
    image: str
    delivery: str
    token: str
    launched: int
    outcome: str
    """How it goes: "ok", "impaired", "hangs", "terminates" with its reason, or "pending" for good.

    "host": AWS's own trouble impairs both checks.
    """
    state: str = "pending"
    code: str = ""
    checks: str = "initializing"
    subnet: str = ""


@dataclass(frozen=True)
class CloudBehavior:
    """How AWS behaves. Each list is used in turn and starts over at its end. Seconds; ``limit`` counts copies."""

    copying: Sequence[int] = (60,)
    access: Sequence[int] = (0,)
    """Seconds until a grant takes effect. A copy that starts earlier errors within a second."""
    registering: Sequence[int] = (10,)
    lag: Sequence[int] = (0,)
    """Seconds for which Describe calls do not show a new copy or AMI."""
    limit: int = 20
    fails: Sequence[str] = ("",)
    """Error messages with which copies end, even if snapshot and key are open; "" means that the copy completes."""
    checking: Sequence[int] = (0,)
    """Seconds until Parameter Store has checked a new value that must be an AMI."""
    boots: Sequence[str] = ("ok",)
    """How instances go; see ``CloudInstance``. Anything else is the code with which one terminates by itself."""
    booting: Sequence[int] = (100,)
    """Seconds until an instance's checks are ok, or something else comes of it."""
    ending: Sequence[int] = (20,)
    """Seconds from TerminateInstances to terminated."""
    stale: Sequence[int] = (0,)
    """Seconds by which a read of permissions, grants or a tag may be out of date."""


@dataclass(frozen=True)
class LateReads:
    """What reads may show late: (snapshot, account), (key, grant's name), (AMI, account), tags by AMI."""

    at: int
    permissions: frozenset[tuple[str, str]]
    grants: frozenset[tuple[str, str]]
    launches: frozenset[tuple[str, str]]
    tags: Mapping[str, Mapping[str, str]]


@dataclass
class Cloud:
    """All accounts. The model calls ``emit`` with each event, in EventBridge's form."""

    directory: Directory
    behavior: CloudBehavior = field(default_factory=CloudBehavior)
    emit: Callable[[dict[str, Any]], None] = lambda event: None
    now: int = START
    applied: AppliedFile | None = None
    """The applied file that ``FakeTargets`` returns instead of the directory, if the directory cannot express it."""
    paused: bool = False
    """Whether an operator has paused new promotions."""
    withdrawn: dict[tuple[str, str], Withdrawal] = field(default_factory=dict)
    """Withdrawals in the operators' table, by AMI and place; includes those that a tag event has ended."""
    approvals: dict[tuple[str, str], Approval] = field(default_factory=dict)
    """Approvals in the operators' table, by AMI and place."""
    recalls: dict[str, Recall] = field(default_factory=dict)
    """Recalls in the operators' table, by AMI."""
    pins: dict[tuple[str, str], Pin] = field(default_factory=dict)
    """Pins in the operators' table, by account and parameter."""
    may_disable: bool = False
    """Whether the targets' roles allow DisableImage."""
    values: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    """Each AMI's trigger values, the oldest first, and when each was written."""
    hub_images: dict[str, dict[str, Any]] = field(default_factory=dict)
    hub_snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    permissions: set[tuple[str, str]] = field(default_factory=set)
    """(snapshot, account)"""
    launches: set[tuple[str, str]] = field(default_factory=set)
    """Launch permissions: (AMI, account)"""
    foreign: frozenset[tuple[str, str]] = frozenset()
    """Preexisting permissions."""
    unclear: set[tuple[str, str]] = field(default_factory=set)
    """Given by a person while the service's was there, or at about that time: the owner cannot be determined."""
    disabled: set[str] = field(default_factory=set)
    """Keys, by ARN"""
    gone: set[str] = field(default_factory=set)
    """AMIs of the hub that were deregistered"""
    deregistered: set[str] = field(default_factory=set)
    """AMIs in targets that their owners deregistered"""
    kept: set[str] = field(default_factory=set)
    """The snapshots of those AMIs. Their owners decide about them."""
    grants: dict[tuple[str, str], str] = field(default_factory=dict)
    """By (key, name): the grantee"""
    policies: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    """By key: each policy's time of PutKeyPolicy, time of effect, and text."""
    copies: dict[str, CloudCopy] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    instances: dict[str, CloudInstance] = field(default_factory=dict)
    place: LaunchSite = PLACE
    """What each target has for launch tests."""
    parameters: dict[tuple[str, str], ShownParameter] = field(default_factory=dict)
    """Parameter Store in targets, by account and name."""
    notices: list[Mapping[str, Any]] = field(default_factory=list)
    to_come: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)

    pages: Mapping[str, int] = field(default_factory=dict)
    """Pages of snapshots or AMIs that each target has, by the call that lists them, where it has more than one."""
    lists: Counter[str] = field(default_factory=Counter)
    """How often each of these calls has listed all of a target."""
    waits_for_page: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._versions = itertools.count(1)
        self._copying = itertools.cycle(self.behavior.copying)
        self._access = itertools.cycle(self.behavior.access)
        self._registering = itertools.cycle(self.behavior.registering)
        self._lag = itertools.cycle(self.behavior.lag)
        self._fails = itertools.cycle(self.behavior.fails)
        self._checking = itertools.cycle(self.behavior.checking)
        self._stale = itertools.cycle(self.behavior.stale)
        self._boots = itertools.cycle(self.behavior.boots)
        self._booting = itertools.cycle(self.behavior.booting)
        self._ending = itertools.cycle(self.behavior.ending)
        self._looks = [LateReads(0, frozenset(), frozenset(), frozenset(), {})]
        self._tokens: dict[str, str] = {}
        self._names_kept: dict[tuple[str, str], int] = {}
        self._shown_from: dict[str, int] = {}
        self._true_from: dict[tuple[str, str], int] = {}

    # --- time --------------------------------------------------------------------------------------------------------

    def after(self, seconds: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.to_come, (self.now + seconds, next(self._ids), what))

    def soon(self, seconds: int, what: Callable[[], None]) -> None:
        """Schedule an action, or run it at once without a delay: before the call that caused it returns."""
        if seconds:
            self.after(seconds, what)
        else:
            what()

    def event(self, kind: str, resource: str, account: str = HUB, **detail: Any) -> None:
        time = datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {"id": f"event-{next(self._ids)}", "time": time, "detail-type": kind, "account": account}
        arn = f"arn:aws:ec2:{REGION}::{resource}"
        self.emit({**event, "region": REGION, "resources": [arn], "detail": detail})

    def changed(self) -> None:
        """Record the present state, for reads that show it late."""
        tags = {ami: tags_of(raw) for ami, raw in self.hub_images.items()}
        seen = (frozenset(self.permissions), frozenset(self.grants), frozenset(self.launches))
        self._looks.append(LateReads(self.now, *seen, tags))

    def look(self) -> LateReads:
        """Return what a read shows, which may be stale."""
        age = next(self._stale)
        return next(look for look in reversed(self._looks) if look.at <= self.now - age or look.at == 0)

    # --- the targets file --------------------------------------------------------------------------------------------

    def change_targets(self, *accounts: str, **settings: Any) -> None:
        """Apply a file that gives these accounts, or all that it lists, other settings."""
        before = self.directory.accounts
        changed = {one: (replace(before[one][0], **settings),) for one in accounts or before}
        self.directory = replace(self.directory, accounts={**before, **changed})

    def drop_targets(self, *accounts: str) -> None:
        """Apply a file that neither lists these accounts nor has them in a group."""
        file = self.directory
        groups = {name: tuple(one for one in some if one not in accounts) for name, some in file.groups.items()}
        listed = {one: targets for one, targets in file.accounts.items() if one not in accounts}
        self.directory = replace(file, groups=groups, accounts=listed)

    # --- the hub -----------------------------------------------------------------------------------------------------

    def make_image(
        self, ami: str, snapshots: Mapping[str, bool], state: str = "available", family: str = "", **shown: Any
    ) -> None:
        """Let the hub build an AMI; ``snapshots`` says of each whether it is encrypted."""
        for number, (ident, encrypted) in enumerate(snapshots.items()):
            key = {"KmsKeyId": source_key(number % 2)} if encrypted else {"Encrypted": False, "KmsKeyId": None}
            self.hub_snapshots.setdefault(ident, describe_snapshot(ident, **key))
        mappings = [
            describe_volume(f"/dev/xvd{string.ascii_lowercase[number]}", ident, Encrypted=encrypted)
            for number, (ident, encrypted) in enumerate(snapshots.items())
        ]
        self.hub_images[ami] = describe_image(
            ImageId=ami,
            Name=f"golden-{ami}",
            State=state,
            BlockDeviceMappings=mappings,
            Tags=[{"Key": "family", "Value": family}] if family else [],
            **shown,
        )
        self.changed()

    def set_state(self, ami: str, state: str) -> None:
        """Let one of the hub's AMIs be pending, available or disabled, or be deregistered; EventBridge says so.

        One that is disabled or deregistered has no launch permissions any more, also when it comes back.
        """
        if state == "deregistered":
            self.gone.add(ami)
        else:
            self.hub_images[ami]["State"] = state
        if state in ("deregistered", "disabled"):
            self.launch(ami, {receiver for of, receiver in self.launches if of == ami}, allowed=False)
        self.event("EC2 AMI State Change", f"image/{ami}")

    def tag(self, ami: str, value: str | None, *, arrives: bool = True) -> None:
        """Set or remove the trigger tag. The same value again changes nothing, and EventBridge says nothing.

        ``arrives``: false if its event is lost.
        """
        before = tags_of(self.hub_images[ami])
        after = {name: text for name, text in before.items() if name != TRIGGER}
        if value is not None:
            after[TRIGGER] = value
        if after == before:
            return
        self.values[ami] = [*self.values.get(ami, ()), (self.now, value)]
        self.hub_images[ami]["Tags"] = [{"Key": name, "Value": text} for name, text in after.items()]
        self.changed()
        detail = {"changed-tag-keys": [TRIGGER], "version": next(self._versions), "tags": after}
        if arrives:
            self.event("Tag Change on Resource", f"image/{ami}", **detail)

    # --- copies ------------------------------------------------------------------------------------------------------

    def live_copies(self) -> list[CloudCopy]:
        """Return all copies that exist."""
        return [copy for copy in self.copies.values() if not copy.deleted]

    def pending(self, account: str) -> list[CloudCopy]:
        """Return the CopySnapshots that run in an account. A deleted copy runs to its end."""
        running = [copy for copy in self.copies.values() if copy.account == account and copy.state == "pending"]
        return [copy for copy in running if not copy.by_copy_image]

    def grant(self, key: str, name: str, grantee: str) -> None:
        """CreateGrant: the same name is the same grant."""
        if (key, name) not in self.grants:
            self._true_from[key, name] = self.now + next(self._access)
        self.grants[key, name] = grantee
        self.changed()

    def revoke(self, key: str, name: str) -> None:
        """RevokeGrant."""
        self.grants.pop((key, name), None)
        self.changed()

    def policy(self, key: str, at: int | None = None) -> str:
        """GetKeyPolicy, as a read shows it now or showed it at a given time."""
        shown = [text for put, _, text in self.policies.get(key, ()) if at is None or put <= at]
        return shown[-1] if shown else OWNERS_POLICY

    def put_policy(self, key: str, text: str) -> None:
        """PutKeyPolicy replaces the whole document; the last writer wins."""
        self.policies.setdefault(key, []).append((self.now, self.now + next(self._access), text))

    def admitted(self, key: str, *, launches: bool = False) -> set[str]:
        """The accounts whose role a key's policy allows now; ``launches``: also those that it lets launch."""
        true = [text for _, since, text in self.policies.get(key, ()) if since <= self.now]
        found = STATEMENTS.findall(true[-1]) if true else []
        return {account for account, audience in found if audience == "Copies" or (launches and audience == "Account")}

    def statements(self, key: str = "") -> set[tuple[str, str]]:
        """The service's statements in one policy or in all: (key, name of the share that each belongs to)."""
        found = ((one, STATEMENTS.findall(self.policy(one))) for one in self.policies if key in ("", one))
        return {(one, f"{account}{AUDIENCES[audience]}") for one, names in found for account, audience in names}

    def lets_grant(self, key: str, account: str) -> bool:
        """Whether an account may create grants on a hub key now: by the key's policy, or by a grant to its root."""
        true = [text for _, since, text in self.policies.get(key, ()) if since <= self.now]
        root = f"::{account}:root"
        granted = any(one == key and grantee.endswith(root) for (one, _), grantee in self.grants.items())
        return granted or (account, "Roles") in (STATEMENTS.findall(true[-1]) if true else ())

    def allow(self, snapshot: str, accounts: set[str]) -> None:
        """ModifySnapshotAttribute (add)."""
        self.permissions |= {(snapshot, account) for account in accounts}
        self.changed()

    def forbid(self, snapshot: str, accounts: set[str]) -> None:
        """ModifySnapshotAttribute (remove)."""
        self.permissions -= {(snapshot, account) for account in accounts}
        self.changed()

    def accessible(self, account: str, source: str) -> bool:
        """Whether snapshot and key are open to the account, and the account's own key is enabled."""
        if target_key(account) in self.disabled:
            return False
        key = self.hub_snapshots[source].get("KmsKeyId")
        return (source, account) in self.permissions and self._opens(account, key)

    def _opens(self, account: str, key: str | None, *, launches: bool = False) -> bool:
        """Whether a key of the hub is open to the account, to copy or to launch; None: there is none."""
        if key is None:
            return True
        by_grant = any(
            place[0] == key and f"::{account}:" in grantee and self.now >= self._true_from[place]
            for place, grantee in self.grants.items()
        )
        return key not in self.disabled and (account in self.admitted(key, launches=launches) or by_grant)

    def start_copy(self, account: str, source: str, delivery: str, nonce: str) -> str:
        """CopySnapshot."""
        if (source, account) not in self.permissions:
            raise refusal(RefusalKind.NOT_YET, "InvalidSnapshot.NotFound")
        if len(self.pending(account)) >= self.behavior.limit:
            raise refusal(RefusalKind.LIMIT, "ResourceLimitExceeded")
        return self._begin_copy(account, source, delivery, nonce).id

    def _begin_copy(self, account: str, source: str, delivery: str, nonce: str, image: str = "") -> CloudCopy:
        in_vain = not self.accessible(account, source)
        seconds = min(next(self._copying), 1 if in_vain else NEVER)
        ident = f"snap-{next(self._ids):06x}c"
        key = self.hub_snapshots[source].get("KmsKeyId")
        message = next(self._fails)
        copy = CloudCopy(
            ident, account, source, key, delivery, self.now, in_vain, message=message, by_copy_image=bool(image)
        )
        copy.nonce = nonce
        self.copies[ident] = copy
        self._shown_from[ident] = self.now + next(self._lag)
        if image:
            self.after(max(seconds, 1), lambda: (self._end_copy(copy), self._finish_image(image)))
        else:
            self.soon(seconds, lambda: self._end_copy(copy))
        return copy

    def _end_copy(self, copy: CloudCopy) -> None:
        wrong = copy.in_vain or not self.accessible(copy.account, copy.source)
        wrong = wrong or bool(copy.message)
        copy.state, copy.message = ("error", copy.message or INACCESSIBLE) if wrong else ("completed", "")
        self.event(
            "EBS Snapshot Notification",
            f"snapshot/{copy.id}",
            copy.account,
            event="copySnapshot",
            result="failed" if wrong else "succeeded",
            source=f"arn:aws:ec2::{REGION}:snapshot/{copy.source}",
        )

    def read_pages(self, where: str, call: str, budget: Budget) -> None:
        """List all that a target has, while there is time."""
        self.lists[call] += 1
        pages = self.pages.get(call, 1)
        for number in range(1, pages):
            if not budget.whole.allows():
                raise Refusal(RefusalKind.THROTTLED, list_unfinished(where, REGION, call, number))
            self.waits_for_page()

    def shown(self, account: str, delivery: str) -> tuple[SeenCopy, ...]:
        """DescribeSnapshots, filtered by the delivery's tag."""
        return tuple(
            SeenCopy(
                c.id,
                c.source if c.tagged or not c.by_copy_image else "",
                c.state,
                100 if c.state == "completed" else 0,
                "" if c.state == "pending" else c.message,
                c.started,
                target_key(c.account),
                c.nonce,
            )
            for c in self.copies.values()
            if (c.account, c.delivery) == (account, delivery)
            and self._shown_from[c.id] <= self.now
            and (not c.deleted or c.state == "pending")
        )

    def is_tagged(self, ami: str) -> bool:
        """Whether an AMI exists and has the trigger tag now, whatever a stale read shows."""
        tags = {tag["Key"] for tag in self.hub_images[ami].get("Tags", ())}
        return TRIGGER in tags and ami not in self.gone

    def plant_copy(self, account: str, source: str, delivery: str, nonce: str = "", *, whole: bool = False) -> str:
        """Make a snapshot in a target, under the target's key, that has the service's tags but is not the service's.

        ``nonce``: also the attempt's tag of one of its copies. ``whole``: with CopyImage's nonce, yet its source's tag.
        """
        ident = f"snap-{next(self._ids):06x}e"
        copy = CloudCopy(ident, account, source, None, delivery, self.now, in_vain=False, state="completed")
        copy.nonce, copy.by_copy_image, copy.tagged = nonce, whole, whole
        self.copies[ident] = copy
        self._shown_from[ident] = self.now
        return ident

    # --- new images --------------------------------------------------------------------------------------------------

    def register(self, account: str, request: Mapping[str, Any], delivery: str, source: str, nonce: str = "") -> str:
        """RegisterImage."""
        self._check_name(account, request["Name"])
        ids = tuple(m["Ebs"]["SnapshotId"] for m in request["BlockDeviceMappings"])
        if any(self.copies[ident].state != "completed" or self.copies[ident].deleted for ident in ids):
            raise refusal(RefusalKind.DENIED, "InvalidSnapshot.NotFound")
        ident = f"ami-{next(self._ids):06x}c"
        raw = {**ec2_shows(request), "ImageId": ident, "OwnerId": account, "State": "pending"}
        named = Image(ident, account, request["Name"], delivery, source, ids, raw, nonce=nonce, made=self.now)
        self.images[ident] = named
        self._shown_from[ident] = self.now + next(self._lag)
        self.soon(next(self._registering), lambda: self._end_register(ident))
        return ident

    def _end_register(self, ident: str) -> None:
        if ident in self.images:
            self.images[ident].raw["State"] = "available"
            self.event("EC2 AMI State Change", f"image/{ident}", self.images[ident].account)

    def _check_name(self, account: str, name: str) -> None:
        taken = any((image.account, image.name) == (account, name) for image in self.images.values())
        if taken or self._names_kept.get((account, name), 0) > self.now:
            raise refusal(RefusalKind.NAME_TAKEN, "InvalidAMIName.Duplicate")

    def deregister(self, ident: str) -> None:
        """DeregisterImage. The name becomes free after ``NAME_KEPT`` seconds."""
        if "DeregistrationProtection" in getattr(self.images.get(ident), "raw", {}):
            raise refusal(RefusalKind.DENIED, "OperationNotPermitted")
        image = self.images.pop(ident, None)
        if image is not None:
            self._names_kept[image.account, image.name] = self.now + NAME_KEPT

    def copy_image(self, account: str, source: str, name: str, delivery: str, token: str, tags: Any) -> str:
        """CopyImage: a repeated client token returns the same AMI."""
        if token in self._tokens:
            return self._tokens[token]
        raw = self.hub_images[source]
        if (source, account) not in self.launches or source in self.gone:
            raise refusal(RefusalKind.NOT_YET, "InvalidAMIID.NotFound")
        snapshots = [mapping["Ebs"]["SnapshotId"] for mapping in raw["BlockDeviceMappings"]]
        if any((snapshot, account) not in self.permissions for snapshot in snapshots):
            raise refusal(RefusalKind.NOT_YET, "InvalidRequest")
        self._check_name(account, name)
        ident = f"ami-{next(self._ids):06x}c"
        made = [self._begin_copy(account, snapshot, delivery, token, ident).id for snapshot in snapshots]
        mappings = tuple(
            {**mapping, "Ebs": {**mapping["Ebs"], "SnapshotId": copy, "Encrypted": True}}
            for mapping, copy in zip(raw["BlockDeviceMappings"], made, strict=True)
        )
        own = {"Name": name, "ImageId": ident, "OwnerId": account, "State": "pending", "Tags": tags}
        shown = {**raw, **own, "BlockDeviceMappings": []}
        image = Image(ident, account, name, delivery, source, tuple(made), shown, mappings, token, self.now)
        self.images[ident] = image
        self._tokens[token] = ident
        self._shown_from[ident] = self.now + next(self._lag)
        return ident

    def _finish_image(self, ident: str) -> None:
        """End CopyImage's AMI when all its snapshots have completed or one has failed."""
        image = self.images.get(ident)
        if image is None or image.raw["State"] != "pending":
            return
        copies = [self.copies[copy] for copy in image.copies]
        wrong = next((copy.message for copy in copies if copy.state == "error"), "")
        if wrong:
            self._fail_image(image, f"AMI snapshot copy failed with error: {wrong}")
        elif all(copy.state == "completed" for copy in copies):
            self.after(max(next(self._registering), 1), lambda: self._end_copy_image(ident))

    def _end_copy_image(self, ident: str) -> None:
        image = self.images.get(ident)
        if image is None or image.raw["State"] != "pending":
            return
        if (image.source, image.account) not in self.launches or image.source in self.gone:
            self._fail_image(image, "Copy image failed with an internal error")
            return
        image.raw["BlockDeviceMappings"] = list(image.mappings)
        self._end_register(ident)

    def _fail_image(self, image: Image, why: str) -> None:
        image.raw["State"], image.raw["StateReason"] = "failed", {"Code": "Client.InternalError", "Message": why}
        self.event("EC2 AMI State Change", f"image/{image.id}", image.account)

    def launch(self, ami: str, accounts: set[str], *, allowed: bool) -> None:
        """ModifyImageAttribute."""
        places = {(ami, account) for account in accounts}
        self.launches = self.launches | places if allowed else self.launches - places
        self.changed()

    # --- instances ---------------------------------------------------------------------------------------------------

    def run_instance(self, account: str, image: str, delivery: str, token: str, subnet: str) -> str:
        """RunInstances: a repeated client token returns the same instance."""
        known = next((one for one in self.instances.values() if (one.account, one.token) == (account, token)), None)
        if known is not None:
            return known.id
        if image not in self.launchable(account):
            raise refusal(RefusalKind.NOT_YET, "InvalidAMIID.NotFound")
        ident = f"i-{next(self._ids):06x}"
        outcome = next(self._boots) if self._decrypts(account, image) else "Client.InternalError"
        one = CloudInstance(ident, account, image, delivery, token, self.now, outcome, subnet=subnet)
        self.instances[ident] = one
        self._shown_from[ident] = self.now + next(self._lag)
        self.soon(next(self._booting), lambda: self._boot(one))
        return ident

    def _decrypts(self, account: str, image: str) -> bool:
        """Whether the keys of an AMI are open to an account that launches it."""
        if image in self.images:
            return target_key(account) not in self.disabled
        raw = self.hub_images[image]
        keys = {self.hub_snapshots[one["Ebs"]["SnapshotId"]].get("KmsKeyId") for one in raw["BlockDeviceMappings"]}
        return all(self._opens(account, key, launches=True) for key in keys)

    def _boot(self, one: CloudInstance) -> None:
        if one.state != "pending" or one.outcome == "pending":
            return
        checks = {"ok": "ok", "impaired": "impaired", "host": "impaired", "hangs": "initializing"}
        if one.outcome in checks:
            one.state, one.checks = "running", checks[one.outcome]
        else:
            one.state, one.code = "terminated", one.outcome

    def end_instance(self, ident: str) -> None:
        """TerminateInstances."""
        one = self.instances[ident]
        if one.state in ("shutting-down", "terminated"):
            return
        one.state, one.code = "shutting-down", "Client.UserInitiatedShutdown"

        def gone() -> None:
            one.state = "terminated"

        self.soon(next(self._ending), gone)

    def shown_images(self, account: str) -> list[Image]:
        """DescribeImages."""
        images = [image for image in self.images.values() if image.account == account]
        return [image for image in images if self._shown_from.get(image.id, 0) <= self.now]

    def launchable(self, account: str) -> frozenset[str]:
        """The AMIs that an account can launch: its own, and those of the hub that are shared with it."""
        own = {image.id for image in self.shown_images(account) if image.raw["State"] == "available"}
        units = {unit.arn for unit in self.directory.membership.units.values() if account in unit.accounts}
        receivers = {account, *units}
        there = {ami for ami, raw in self.hub_images.items() if raw["State"] == "available"} - self.gone
        theirs = {ami for ami, receiver in self.launches if receiver in receivers and ami in there}
        return frozenset(own - self.deregistered | theirs)

    def put_parameter(self, account: str, name: str, image: str) -> None:
        """PutParameter with the data type of AMIs: an AMI that the account cannot launch changes nothing."""

        def checked() -> None:
            if image in self.launchable(account):
                self.parameters[account, name] = ShownParameter(image)

        self.soon(next(self._checking), checked)

    def give_permission(self, snapshot: str, account: str) -> None:
        """Share a snapshot by hand before the service does."""
        self.allow(snapshot, {account})
        self.foreign |= {(snapshot, account)}


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}


def key_facts(cloud: Cloud, arn: str, account: str) -> KeyFacts:
    """DescribeKey."""
    works = arn not in cloud.disabled
    return a_key(arn=arn, account=account, enabled=works, state="Enabled" if works else "Disabled")


# --- the ports -------------------------------------------------------------------------------------------------------


class OfCloud:
    """What a port shows of the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud


class FakeSource(OfCloud):
    """The port ``Source``. ``check``: called before it reads a trigger tag."""

    def __init__(self, cloud: Cloud, check=lambda: None) -> None:
        super().__init__(cloud)
        self._check = check

    def tag(self, ami):
        self._check()
        raw = self._cloud.hub_images.get(ami)
        if raw is None or ami in self._cloud.gone:
            return TagRead(None, None)
        tags = self._cloud.look().tags.get(ami, {})
        return TagRead(
            tags.get(TRIGGER),
            raw["State"],
            raw["Name"],
            register.DELIVERY_TAG in tags,
            snapshots=frozenset(mapping["Ebs"]["SnapshotId"] for mapping in raw["BlockDeviceMappings"]),
        )

    def keys(self, snapshots):
        return frozenset(self._cloud.hub_snapshots[one].get("KmsKeyId") for one in snapshots) - {None}

    def copies(self, ami, region, snapshots):
        """See the port. This hub has no copies in other Regions."""
        return {}

    def snapshots_of(self, image, region):
        """See the port. Nor an AMI."""
        return frozenset()

    def examine(self, ami):
        raw = self._cloud.hub_images.get(ami)
        if raw is None or ami in self._cloud.gone:
            return None
        names = [mapping["Ebs"]["SnapshotId"] for mapping in raw["BlockDeviceMappings"]]
        image = read_image(raw, {}, [self._cloud.hub_snapshots[name] for name in names])
        return image, {arn: key_facts(self._cloud, arn, HUB) for arn in source_keys(image)}

    def tagged(self):
        self._check()
        found = {ami: tags.get(TRIGGER) for ami, tags in self._cloud.look().tags.items()}
        images = {ami: raw for ami, raw in self._cloud.hub_images.items() if ami not in self._cloud.gone}
        return [
            Tagged(ami, value, raw["State"]) for ami, raw in images.items() if (value := found.get(ami)) is not None
        ]


class FakeTargets(OfCloud):
    """The port ``Targets``."""

    _read = AppliedFile()

    def paused(self):
        return self._cloud.paused

    def read(self):
        directory = self._cloud.directory
        if self._cloud.applied is not None:
            return self._cloud.applied
        if self._read.directory is not directory:
            self._read = AppliedFile(directory, digest_of(to_items(directory)))
        return self._read

    def recall(self, ami):
        return self._cloud.recalls.get(ami)

    def recalled(self, amis):
        assert "" not in amis, "DynamoDB refuses an empty key"
        return frozenset(amis) & self._cloud.recalls.keys()

    def pin(self, account, region, family):
        return self._cloud.pins.get((account, family))

    def withdrawals(self, ami):
        recall = [self._cloud.recalls[ami].withdrawal] if ami in self._cloud.recalls else []
        return [*recall, *(one for (of, _), one in sorted(self._cloud.withdrawn.items()) if of == ami)]

    def approvals(self, ami, places):
        found = self._cloud.approvals
        return {place: (found[ami, place],) for place in places if (ami, place) in found}

    def digests(self):
        return self.read().digests

    def live(self, account):
        targets = self._cloud.directory.accounts.get(account) or self._brought().get(account)
        return (targets[0].role_name, targets[0].external_id) if targets else None

    def _brought(self):
        """By account: the targets of a group that contains it through an OU."""
        directory = self._cloud.directory
        return {
            account: directory.by_unit[group]
            for group in directory.by_unit
            for account in ways(directory.groups[group], directory.membership)
        }


class FakeWhereabouts(OfCloud):
    """What Organizations itself says of accounts: what the members in force say, or else what ``says`` has."""

    def __init__(self, cloud):
        super().__init__(cloud)
        self.says: dict[str, tuple[str, ...]] = {}
        """By account: the OUs and the root above it; () where it is not in the organization."""
        self.refuses: Refusal | None = None
        self.asked: list[str] = []

    def arn(self):
        return f"arn:aws:organizations::900000000000:organization/{self._cloud.directory.organization.id}"

    def whereabouts(self, account):
        self.asked.append(account)
        if self.refuses is not None:
            raise self.refuses
        units = self._cloud.directory.membership.units
        above = self.says.get(account, tuple(name for name, unit in units.items() if account in unit.accounts))
        return Whereabouts("ACTIVE" if above else "", above)


def shows(image: Image) -> ShownImage:
    """DescribeImages of one AMI."""
    return ShownImage(image.id, image.raw["State"], image.delivery, image.nonce, image.made)


OWNERS_POLICY = '{"Statement":[{"Sid":"Owner","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*"}]}'
"""The key owner's statement in each key policy; the service must keep it."""
STATEMENTS = re.compile(r'"AmiPromoter[0-9]{12}useast1To([0-9]{12})(Copies|Account|Roles)"')
AUDIENCES = {"Copies": "", "Account": "-share", "Roles": "-roles"}
"""The suffix of a share's name, by the audience of its statement."""


class FakeTargetSnapshots(OfCloud):
    """The port ``TargetSnapshots``."""

    def role(self, delivery):
        live = FakeTargets(self._cloud).live(delivery.target.account)
        return live[0] if live else delivery.target.role_name

    def find(self, delivery, *, budget, ids=()):
        shown = self._cloud.shown(delivery.target.account, delivery.id)
        if not ids:
            self._cloud.read_pages(delivery.where, "DescribeSnapshots", budget)
        return tuple(one for one in shown if not ids or one.id in ids)

    def copy(self, delivery, source):
        return self._cloud.start_copy(delivery.target.account, source.id, delivery.id, delivery.nonce(source.id))

    def tag(self, delivery, image):
        for copy in delivery.copies:
            assert self._cloud.copies[copy.id].source == copy.source
            self._cloud.copies[copy.id].tagged = True

    def delete(self, delivery, snapshots):
        used = {copy for image in self._cloud.images.values() for copy in image.copies}
        if used & set(snapshots):
            raise refusal(RefusalKind.DENIED, "InvalidSnapshot.InUse")
        for snapshot in snapshots:
            self._cloud.copies[snapshot].deleted = True


class FakeTargetImages(OfCloud):
    """The port ``TargetImages``."""

    def register(self, delivery, image):
        copies = {copy.source: copy.id for copy in delivery.copies}
        request = register.request(image, copies, delivery.image_name, image_tags(delivery, image, TRIGGER))
        return self._cloud.register(delivery.target.account, request, delivery.id, delivery.ami, delivery.nonce())

    def copy(self, delivery, image):
        tags = [{"Key": key, "Value": value} for key, value in image_tags(delivery, image, TRIGGER).items()]
        account, name = delivery.target.account, delivery.image_name
        return self._cloud.copy_image(account, delivery.ami, name, delivery.id, delivery.nonce(), tags)

    def named(self, delivery, budget):
        self._cloud.read_pages(delivery.where, "DescribeImages", budget)
        shown = self._cloud.shown_images(delivery.target.account)
        return tuple(shows(image) for image in shown if image.name == delivery.image_name)

    def of_delivery(self, delivery, budget):
        self._cloud.read_pages(delivery.where, "DescribeImages", budget)
        shown = self._cloud.shown_images(delivery.target.account)
        return tuple(shows(image) for image in shown if image.delivery == delivery.id)

    def see(self, delivery, image):
        shown = {image.id: image for image in self._cloud.shown_images(delivery.target.account)}
        found = shown.get(delivery.image.id)
        return SeenImage(None if found is None else found.raw, {})

    def deprecate(self, delivery, at):
        if delivery.image.id not in self._cloud.images:
            raise refusal(RefusalKind.DENIED, "InvalidAMIID.NotFound")
        self._cloud.images[delivery.image.id].raw["DeprecationTime"] = at

    def shown(self, delivery):
        shown = {image.id: image.raw for image in self._cloud.shown_images(delivery.target.account)}
        return shown.get(delivery.image.id)

    def recall(self, delivery, at, *, disable):
        raw = self.shown(delivery)
        if raw is not None:
            raw.update({"DeprecationTime": at} if at else {})
            raw["State"] = "disabled" if disable else raw["State"]

    def restore(self, delivery):
        raw = self.shown(delivery)
        if raw is None:
            return
        raw["State"] = "available" if delivery.recall.may_disable else raw["State"]
        before = delivery.recall.deprecated_before
        if not before:
            raw.pop("DeprecationTime", None)
        elif datetime.fromisoformat(before).timestamp() > self._cloud.now:  # EC2 takes no other date
            raw["DeprecationTime"] = before

    def protect(self, delivery):
        if delivery.image.id not in self._cloud.images:
            raise refusal(RefusalKind.DENIED, "InvalidAMIID.NotFound")
        self._cloud.images[delivery.image.id].raw["DeregistrationProtection"] = "enabled-without-cooldown"

    def deregister(self, delivery, image):
        self._cloud.deregister(image)


class FakeTargetInstances(OfCloud):
    """The port ``TargetInstances``."""

    def place(self, delivery):
        return self._cloud.place

    def run(self, delivery, image):
        asked = (instances.image(delivery), delivery.id, instances.RunInstance().nonce(delivery))
        return self._cloud.run_instance(delivery.target.account, *asked, delivery.launch.subnet)

    def see(self, delivery, instance):
        one = self._shown(delivery.target.account).get(instance)
        if one is None:
            return InstanceSeen(instance)
        system = "ok" if one.outcome == "impaired" and one.checks == "impaired" else one.checks
        return InstanceSeen(one.id, one.state, one.code, "As EC2 says.", one.launched, system, one.checks)

    def console(self, delivery, instance):
        return "Kernel panic: the password is hunter2"

    def started(self, delivery):
        tokens = {one.nonce for one in delivery.launch.attempts}
        shown = self._shown(delivery.target.account).values()
        return tuple(SeenInstance(one.id, one.token, one.state) for one in shown if one.token in tokens)

    def terminate(self, delivery, instance):
        self._cloud.end_instance(instance)

    def _shown(self, account):
        there = {ident: one for ident, one in self._cloud.instances.items() if one.account == account}
        return {ident: one for ident, one in there.items() if self._cloud._shown_from[ident] <= self._cloud.now}


class FakeParameters(OfCloud):
    """The port ``Parameters``."""

    def look(self, target, pointer, images):
        shown = self._cloud.parameters.get((target.account, pointer.parameter))
        wanted = {*images, *([shown.value] if shown else [])}
        found = frozenset(wanted & self._cloud.launchable(target.account))
        raw = {image: one.raw for image in found if (one := self._cloud.images.get(image))}
        dates = {image: one["DeprecationTime"] for image, one in raw.items() if one.get("DeprecationTime")}
        return SeenParameter(shown, found, dates)

    def deprecate(self, target, pointer, image, at):
        self._cloud.images[image].raw["DeprecationTime"] = at

    def end_retirement(self, target, pointer, image, date):
        raw = self._cloud.images[image].raw
        raw["DeprecationTime"] = date
        if not date:
            del raw["DeprecationTime"]

    def change(self, target, pointer):
        place, intent = (target.account, pointer.parameter), pointer.intent
        shown = self._cloud.parameters.get(place)
        if (shown.value if shown else "") not in (intent.over, intent.image):
            return False
        if not intent.image:
            self._cloud.parameters.pop(place, None)
        elif shown is None or shown.value != intent.image:
            self._cloud.put_parameter(*place, intent.image)
        return True


class FakeTargetKeys(OfCloud):
    """The port ``TargetKeys``."""

    def describe(self, delivery):
        account = delivery.target.account
        return key_facts(self._cloud, target_key(account), account), ""

    def source_keys(self, delivery):
        return {}

    def policies(self, delivery, keys):
        return {key: self._cloud.policy(key) for key in keys}


class FakeTargetRoles(OfCloud):
    """The port ``TargetRoles``."""

    def in_file(self, delivery):
        return FakeTargets(self._cloud).live(delivery.target.account) is not None

    def missing(self, delivery):
        return ()

    def allows(self, delivery):
        rights = (*template_rights.needed(delivery.target), template_rights.DISABLE)
        return rights if self._cloud.may_disable else None


class FakeSnapshotPermissions(OfCloud):
    """The port ``PermissionAdapter`` for snapshots."""

    batch = 500

    def showing(self, shares):
        snapshot = shares[0].resource.split("#")[2]
        shown = self._cloud.look().permissions
        return frozenset(s.share_name for s in shares if (snapshot, s.account) in shown)

    def open(self, shares):
        self._cloud.allow(shares[0].resource.split("#")[2], {s.account for s in shares})
        return {}

    def close(self, shares):
        self._cloud.forbid(shares[0].resource.split("#")[2], {s.account for s in shares})
        return False


class FakeLaunchPermissions(OfCloud):
    """The port ``PermissionAdapter`` for launch permissions."""

    batch = 500

    def showing(self, shares):
        shown = self._cloud.look().launches
        return frozenset(s.share_name for s in shares if (shares[0].resource.split("#")[2], s.account) in shown)

    def open(self, shares):
        if shares[0].resource.split("#")[2] in self._cloud.gone:
            raise refusal(RefusalKind.DENIED, "InvalidAMIID.NotFound")
        self._cloud.launch(shares[0].resource.split("#")[2], {s.account for s in shares}, allowed=True)
        return {}

    def close(self, shares):
        self._cloud.launch(shares[0].resource.split("#")[2], {s.account for s in shares}, allowed=False)
        return False


class FakeKeyGrants(OfCloud):
    """The port ``PermissionAdapter`` for key grants: the same name is the same grant."""

    batch = 1

    def showing(self, shares):
        shown = self._cloud.look().grants
        return frozenset(share.share_name for share in shares if self._of(share, shown))

    def open(self, shares):
        for share in shares:
            self._cloud.grant(share.resource.split("#")[2], grant_name(share), share.grantee)
        return {share.share_name: f"id-{grant_name(share)}" for share in shares}

    def close(self, shares):
        for share in shares:
            for place in self._of(share, frozenset(self._cloud.grants)):
                self._cloud.revoke(*place)
        return False

    def _of(self, share, grants):
        """The grants that are a share's: by its id if that is known, else by its name."""
        own = f"{share.account}/" if share.resource.startswith("resource#role#") else ""
        on_key = [(key, name) for key, name in grants if key == share.resource.split("#")[2] and name.startswith(own)]
        if share.grant_id:
            return [place for place in on_key if f"id-{place[1]}" == share.grant_id]
        return [place for place in on_key if grant_names.is_named_for(share, place[1].removeprefix(own), REGION)]


class FakeRoleGrants(FakeKeyGrants):
    """The port ``PermissionAdapter`` for service-linked roles. A hub key must admit the account before it grants."""

    def open(self, shares):
        key, account = shares[0].resource.split("#")[2:4]
        if not Resource.parse(shares[0].resource).on_own_key and not self._cloud.lets_grant(key, account):
            raise refusal(RefusalKind.NOT_YET, "AccessDeniedException")
        return super().open(shares)


class FakeKms:
    """The KMS calls that the real permission adapter for key policies makes, and its ``Sessions``."""

    def __init__(self, cloud: Cloud, guard: Callable[[str, Any], Any]) -> None:
        self._cloud = cloud
        self._kms = guard("kms", self)

    def own(self, _service, *, once=False, region=""):
        """A client. ``once`` and the Region make no difference in this model."""
        return self._kms

    def now(self):
        return self._cloud.now

    def get_key_policy(self, KeyId, PolicyName):  # noqa: N803 - boto3's
        """See KMS; the answer may be stale."""
        age = next(self._cloud._stale)
        return {"Policy": self._cloud.policy(KeyId, self._cloud.now - age)}

    def put_key_policy(self, KeyId, PolicyName, Policy):  # noqa: N803 - boto3's
        self._cloud.put_policy(KeyId, Policy)


class FakeGrantListing(OfCloud):
    """The port ``Grants``."""

    def page(self, key_arn, marker):
        hub = "arn:aws:iam::111111111111:root"
        of_key = {name: grantee for (key, name), grantee in self._cloud.grants.items() if key == key_arn}
        found = [
            SeenGrant(f"id-{name}", name[name.index("ami-promoter:") :], hub, grantee)
            for name, grantee in sorted(of_key.items())
        ]
        return found, ""


class FakeNotices(OfCloud):
    """The port ``Notices``."""

    def publish(self, notice):
        self._cloud.notices.append(notice)


class Quiet:
    """The port ``Telemetry``; keeps what the service reports."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name):
        return lambda *args, **_fields: self.reported.append((name, args))
