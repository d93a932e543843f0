"""A hub with acts for everything that can happen to it, each recorded as a sentence; and the end that all must reach.

An act without anything to act on does nothing. ``number`` chooses among what exists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ami_promoter.promotions.promotion_data import BAD
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import DeliveryState
from chalicelib.engine import addresses
from chalicelib.engine.errors import LostRace, Refusal, RefusalKind
from chalicelib.engine.places import Resource
from chalicelib.engine.schedule import DAY
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import Promotion
from chalicelib.release.codec import POINTERS
from chalicelib.release.pointer import ShownParameter
from chalicelib.sharing.entitlement import launched_by
from chalicelib.targets.applied_file import AppliedFile, Directory, LaunchTest, Retirement, Target
from chalicelib.targets.organization import Organization, Unit
from chalicelib.targets.recalls import Pin
from chalicelib.targets.waves import Wave
from tests.service.cloud import REGION, START, TRIGGER, Image, refusal, source_key, target_key
from tests.service.gate import LostAnswer, PortCrash, PortTrouble, ProcessKilled
from tests.service.groups import WakeMessage
from tests.service.hub import DISCOVERY, OPERATOR, Hub
from tests.service.invariants import stem
from tests.service.organization import membership_of

ACCOUNTS = ("200000000001", "200000000002", "200000000003")
AMIS = ("ami-0a", "ami-0b", "ami-0c")
HOUR, WITHOUT_END = 3600, 10**9
ORGANIZATION, OU = "o-a1b2c3d4e5", "ou-ab12-11111111"
UNITS = {
    OU: "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111",
    ORGANIZATION: "arn:aws:organizations::900000000000:organization/o-a1b2c3d4e5",
}
"""Units that may bring the accounts, and their ARNs."""
NO_TARGET = "999999999998"
"""An account without a listed target in the hub: settings that use it as the way cannot be followed."""
LOOKS = 4
"""Passes of discovery after all is at rest: two looks at a removal, and what follows from them."""
FAMILY = "base"
PARAMETER = f"/golden/{FAMILY}/current"
NOBODY = "nobody"
"""A value that names no group: the service refuses it, and changes nothing."""

ROLE_METHODS = {
    "target.keys": ("describe",),
    "target.snapshots": ("find", "copy", "tag", "delete"),
    "target.images": (
        *("named", "of_delivery", "see", "register", "copy", "deprecate", "protect", "deregister"),
        *("shown", "recall", "restore"),
    ),
    "target.parameters": ("look", "change", "deprecate"),
    "target.instances": ("place", "run", "see", "console", "started", "terminate"),
}

ROLE_ADAPTER = ("showing", "open", "close")
OWNERS = ("showing", "close")
"""The calls that the key's owner makes."""

REFUSALS = {
    "CopySnapshot is throttled": ("target.snapshots", "copy", RefusalKind.THROTTLED, False),
    "CopySnapshot is done, and nobody hears of it": ("target.snapshots", "copy", RefusalKind.THROTTLED, True),
    "too many copies run": ("target.snapshots", "copy", RefusalKind.LIMIT, False),
    "a share is not true yet": ("target.snapshots", "copy", RefusalKind.NOT_YET, False),
    "CopySnapshot is denied": ("target.snapshots", "copy", RefusalKind.DENIED, False),
    "the checks are throttled": ("target.keys", "describe", RefusalKind.THROTTLED, False),
    "the checks are denied": ("target.keys", "describe", RefusalKind.DENIED, False),
    "copies cannot be listed": ("target.snapshots", "find", RefusalKind.THROTTLED, False),
    "copies cannot be deleted": ("target.snapshots", "delete", RefusalKind.DENIED, False),
    "RegisterImage is throttled": ("target.images", "register", RefusalKind.THROTTLED, False),
    "RegisterImage is done, and nobody hears of it": ("target.images", "register", RefusalKind.THROTTLED, True),
    "RegisterImage is denied": ("target.images", "register", RefusalKind.DENIED, False),
    "CopyImage is throttled": ("target.images", "copy", RefusalKind.THROTTLED, False),
    "CopyImage is done, and nobody hears of it": ("target.images", "copy", RefusalKind.THROTTLED, True),
    "too many AMIs are copied": ("target.images", "copy", RefusalKind.LIMIT, False),
    "the launch permission is not true yet": ("target.images", "copy", RefusalKind.NOT_YET, False),
    "CopyImage is denied": ("target.images", "copy", RefusalKind.DENIED, False),
    "the failed AMI cannot be removed": ("target.images", "deregister", RefusalKind.THROTTLED, True),
    "the copies cannot be tagged": ("target.snapshots", "tag", RefusalKind.THROTTLED, False),
    "the new AMI cannot be described": ("target.images", "see", RefusalKind.THROTTLED, False),
    "the new AMI may not be described": ("target.images", "see", RefusalKind.DENIED, False),
    "no AMI can be deregistered": ("target.images", "deregister", RefusalKind.DENIED, False),
    "the tag cannot be read": ("source", "tag", RefusalKind.THROTTLED, False),
    "the source cannot be read": ("source", "examine", RefusalKind.THROTTLED, False),
    "permissions cannot be read": ("snapshots", "showing", RefusalKind.THROTTLED, False),
    "permissions cannot be added": ("snapshots", "open", RefusalKind.THROTTLED, False),
    "permissions are added, and nobody hears of it": ("snapshots", "open", RefusalKind.THROTTLED, True),
    "permissions may not be added": ("snapshots", "open", RefusalKind.DENIED, False),
    "permissions cannot be removed": ("snapshots", "close", RefusalKind.THROTTLED, False),
    "permissions may not be removed": ("snapshots", "close", RefusalKind.DENIED, False),
    "launch permissions cannot be read": ("images", "showing", RefusalKind.THROTTLED, False),
    "launch permissions are added, and nobody hears of it": ("images", "open", RefusalKind.THROTTLED, True),
    "launch permissions may not be added": ("images", "open", RefusalKind.DENIED, False),
    "launch permissions cannot be removed": ("images", "close", RefusalKind.THROTTLED, False),
    "grants cannot be made": ("keys", "open", RefusalKind.THROTTLED, False),
    "grants are made, and nobody hears of it": ("keys", "open", RefusalKind.THROTTLED, True),
    "grants may not be made": ("keys", "open", RefusalKind.DENIED, False),
    "grants cannot be revoked": ("keys", "close", RefusalKind.THROTTLED, False),
    "grants to service roles cannot be made": ("roles", "open", RefusalKind.THROTTLED, False),
    "grants to service roles are made, and nobody hears of it": ("roles", "open", RefusalKind.THROTTLED, True),
    "the key is not accessible to grant on it yet": ("roles", "open", RefusalKind.NOT_YET, False),
    "grants to service roles may not be made": ("roles", "open", RefusalKind.DENIED, False),
    "grants to service roles may not be revoked": ("roles", "close", RefusalKind.DENIED, False),
    "a key's policy cannot be read": ("kms", "get_key_policy", RefusalKind.THROTTLED, False),
    "a key's policy cannot be put": ("kms", "put_key_policy", RefusalKind.THROTTLED, False),
    "a key's policy is put, and nobody hears of it": ("kms", "put_key_policy", RefusalKind.THROTTLED, True),
    "a key's policy may not be put": ("kms", "put_key_policy", RefusalKind.DENIED, False),
    "the parameter cannot be read": ("target.parameters", "look", RefusalKind.THROTTLED, False),
    "the parameter may not be read": ("target.parameters", "look", RefusalKind.DENIED, False),
    "the parameter cannot be written": ("target.parameters", "change", RefusalKind.THROTTLED, False),
    "the parameter is written, and nobody hears of it": ("target.parameters", "change", RefusalKind.THROTTLED, True),
    "the parameter may not be written": ("target.parameters", "change", RefusalKind.DENIED, False),
    "a superseded copy cannot be deprecated": ("target.parameters", "deprecate", RefusalKind.THROTTLED, False),
    "a superseded copy is deprecated, and nobody hears of it": (
        "target.parameters",
        "deprecate",
        RefusalKind.THROTTLED,
        True,
    ),
    "a superseded copy may not be deprecated": ("target.parameters", "deprecate", RefusalKind.DENIED, False),
    "an AMI cannot be recalled": ("target.images", "recall", RefusalKind.THROTTLED, False),
    "an AMI may not be recalled": ("target.images", "recall", RefusalKind.DENIED, False),
    "an AMI cannot be restored": ("target.images", "restore", RefusalKind.THROTTLED, True),
    "the place of a launch test cannot be read": ("target.instances", "place", RefusalKind.THROTTLED, False),
    "RunInstances is throttled": ("target.instances", "run", RefusalKind.THROTTLED, False),
    "RunInstances is done, and nobody hears of it": ("target.instances", "run", RefusalKind.THROTTLED, True),
    "RunInstances is denied": ("target.instances", "run", RefusalKind.DENIED, False),
    "RunInstances is denied, although it took effect": ("target.instances", "run", RefusalKind.DENIED, True),
    "an instance cannot be described": ("target.instances", "see", RefusalKind.THROTTLED, False),
    "an instance may not be described": ("target.instances", "see", RefusalKind.DENIED, False),
    "instances cannot be listed": ("target.instances", "started", RefusalKind.THROTTLED, False),
    "no instance may be terminated": ("target.instances", "terminate", RefusalKind.DENIED, False),
    "an instance is terminated, and nobody hears of it": ("target.instances", "terminate", RefusalKind.THROTTLED, True),
    "nothing can be published": ("notices", "publish", RefusalKind.THROTTLED, False),
}
"""Port, method, kind, and whether the call took effect all the same."""

WAITED_OUT = {"source", "snapshots", "images", "keys", "roles", "kms", "notices", "target.parameters"}
"""Calls whose throttle only delays: it excuses no missing delivery."""


TAKEN = {
    "a record is created": ("records", "create", {"says": False}),
    "a record is written": ("records", "save", {"says": None}),
    "an item beside a record is changed": ("records", "change", {"says": False}),
    "a share is written": ("ledger", "save", {"refusal": LostRace("a share"), "only": lambda some, *_: len(some) == 1}),
}
"""Conditional writes that the SDK repeats when their answer is lost (not transactions: these have a token).

Port, method, and what the repetition answers.
"""
SERVICE_ROLES = (
    "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com/AWSServiceRoleForEC2Spot",
)

EDITS = {
    "mode": ("copy", "share"),
    "key_access": ("grant", "policy"),
    "share_snapshots": (True, False),
    "service_linked_roles": ((), SERVICE_ROLES[:1]),
    "until": (0, HOUR, 30 * HOUR),
}
"""Settings that a file may change while deliveries are under way, and their values; ``until`` in seconds from now."""


@dataclass(frozen=True)
class WorldSetup:
    """The AMIs and settings. AMIs by the numbers of their snapshots; ``encrypted`` says which are encrypted."""

    accounts: int = 1
    amis: Sequence[tuple[int, ...]] = ((0,),)
    encrypted: Sequence[bool] = (True, False, True)
    pending: bool = False
    """The first AMI is pending at first."""
    limit: int = 20
    queue_deadline: int = 24 * HOUR
    copy_deadline: int = 24 * HOUR
    linger: int = 0
    release_when: str = "copied"
    key_access: str = "grant"
    copy_method: str = "snapshots"
    service_roles: int = 0
    """How many of the roles above get a grant: on the target's own key, or on the source's in share mode."""
    mode: str = "copy"
    approval: str = "none"
    waves: int | None = None
    """The other accounts wait for the first one, and then for so many seconds; None: nobody waits for another."""
    by_unit: bool = False
    """An organizational unit brings the accounts; in share mode the unit itself may launch."""
    whole: bool = False
    """That is the whole organization."""
    launch_test: bool = False
    """Each AMI must start an instance in the target before it is published."""
    again: str = "tag"
    """What brings AMIs to their targets at the end, when all is repaired: "tag", or an operator's "retry"."""
    dates: Sequence[int] | None = None
    """The AMIs are of one family, made on these days of a month, and targets have a parameter that names the newest."""


class Supply:
    """Yields ordered values in turn, and then always the same one."""

    def __init__(self, usual: Any) -> None:
        self.usual = usual
        self._ordered: deque[Any] = deque()

    def order(self, some: Iterable[Any]) -> None:
        """Yield these next."""
        self._ordered.extend(some)

    def stop(self) -> None:
        self._ordered.clear()

    def __iter__(self) -> Supply:
        return self

    def __next__(self) -> Any:
        """Return the next value; it never stops."""
        return self._ordered.popleft() if self._ordered else self.usual


class ModelWorld(Hub):
    """Create it from a shape, let it act, then end it."""

    silent = False
    """Whether every event is lost, and every wake but the sweep's own."""

    def __init__(self, shape: WorldSetup = WorldSetup()) -> None:
        self.shape = shape
        self.story: list[str] = []
        self.excused: set[tuple[str, str]] = set()
        self.stopped: set[str] = set()
        """AMIs whose tag an operator has removed at the end, as a wave of theirs is stopped."""
        self.values: dict[str, str | None] = {}
        self.roleless: set[str] = set()
        settings = {
            name: getattr(shape, name)
            for name in (
                "queue_deadline",
                "copy_deadline",
                "linger",
                "release_when",
                "key_access",
                "copy_method",
                "mode",
                "approval",
            )
        }
        settings["share_snapshots"] = shape.mode == "share"
        settings["service_linked_roles"] = SERVICE_ROLES[: shape.service_roles]
        if shape.dates is not None:
            settings |= {"ssm_parameter": "/golden/{family}/current", "retire": Retirement(1, DAY)}
        if shape.launch_test:
            settings["launch_test"] = LaunchTest("t3.micro", HOUR)
        self._hurry = Supply(0)
        super().__init__(accounts=ACCOUNTS[: shape.accounts], target=settings)
        self._event_fates = self.events = Supply((0,))
        self._wake_fates = self.wakes = Supply((0,))
        self._pairings, self._order = Supply("alone"), Supply(usual=False)
        cloud = self.cloud
        cloud.behavior = replace(cloud.behavior, limit=shape.limit)
        self.supplies = {
            "copying": Supply(60),
            "access": Supply(0),
            "registering": Supply(10),
            "lag": Supply(0),
            "stale": Supply(0),
            "fails": Supply(""),
            "checking": Supply(0),
            "boots": Supply("ok"),
            "booting": Supply(100),
            "ending": Supply(20),
        }
        for name, supply in self.supplies.items():
            setattr(cloud, f"_{name}", supply)
        self._first = self._listed = cloud.directory
        self._first_wave = {self.accounts[0]}
        self._was_disabled: set[str] = set()
        """AMIs that were disabled, and for which nobody has asked since."""
        self._was_gone: set[str] = set()
        """AMIs that were deregistered: a tag that they lose before a look shows them again ends no withdrawal."""
        self._conflicting: set[str] = set()
        self._changed, self._hours_refused = 0, 0
        self._edited, self._settings = False, settings
        self._unit = ORGANIZATION if shape.whole else OU
        if shape.by_unit or shape.waves is not None:
            self._list(self.accounts)
            self._discover_at = None
        for port, methods in ROLE_METHODS.items():
            for method in methods:
                missing = refusal(RefusalKind.ROLE, "AccessDenied")
                self.gate.troubles.append(PortTrouble(port, method, missing, WITHOUT_END, only=self._lacks_role))
        for method in ROLE_ADAPTER:
            missing = refusal(RefusalKind.ROLE, "AccessDenied")
            by_role = self._at_home_without_role if method in OWNERS else self._grants_without_role
            self.gate.troubles.append(PortTrouble("roles", method, missing, WITHOUT_END, only=by_role))
        for number, (ami, snapshots) in enumerate(zip(AMIS, shape.amis, strict=False)):
            state = "pending" if shape.pending and not number else "available"
            of: dict[str, Any] = {}
            if shape.dates is not None:
                day = shape.dates[number % len(shape.dates)]
                of = {"family": FAMILY, "CreationDate": f"2026-03-{day:02}T0{number}:00:00.000Z"}
            cloud.make_image(ami, {f"snap-0{n}": shape.encrypted[n] for n in snapshots}, state, **of)
            self.values[ami] = None
        what = ", ".join(f"{ami} of {list(snapshots)}" for ami, snapshots in zip(AMIS, shape.amis, strict=False))
        self.tell(f"There are {what}, {shape.accounts} account(s); {shape}.")

    # --- small parts -------------------------------------------------------------------------------------------------

    def tell(self, what: str) -> None:
        """Add a sentence to the story."""
        minutes, seconds = divmod(self.cloud.now - START, 60)
        hours, minutes = divmod(minutes, 60)
        self.story.append(f"{hours:3}:{minutes:02}:{seconds:02}  {what}")

    def excuse(self, amis: Iterable[str] = AMIS, accounts: Iterable[str] = ACCOUNTS) -> None:
        """Excuse these deliveries until they are tagged again: an act has interfered with them."""
        accounts = tuple(accounts)
        self.excused |= {(ami, account) for ami in amis for account in accounts}

    def ami(self, number: int) -> str:
        return AMIS[number % len(self.shape.amis)]

    def account(self, number: int) -> str:
        return self.accounts[number % len(self.accounts)]

    def _lacks_role(self, *args: Any) -> bool:
        return getattr(args[0], "target", args[0]).account in self.roleless

    def _grants_without_role(self, shares: Any) -> bool:
        return shares[0].account in self.roleless

    def _at_home_without_role(self, shares: Any) -> bool:
        """Whether a grant's owner lacks its role, and the key is its own: there only the role can look and revoke."""
        return Resource.parse(shares[0].resource).on_own_key and self._grants_without_role(shares)

    def _wake_fate(self, cause: str) -> tuple[int, ...]:
        if self.silent and not cause.startswith("sweep:"):
            return ()
        return super()._wake_fate(cause)

    def _act(self, message: WakeMessage) -> None:
        """Process a message. A notice of the hub's own that is refused fails its invocation; SQS repeats it."""
        try:
            super()._act(message)
        except Refusal:
            if message.key.kind not in ("baseline", "withdrawal"):
                raise
            raise ProcessKilled from None

    def _handle(self, event: dict[str, Any], attempt: int) -> None:
        if not self.silent:
            super()._handle(event, attempt)

    def _time_left(self) -> Any:
        step = next(self._hurry)
        state = [30 + step]

        def ask() -> int:
            state[0] -= step
            return state[0]

        return ask

    # --- time and tags -----------------------------------------------------------------------------------------------

    def tag(self, number: int, value: str | None) -> None:
        """Set, change or remove the trigger tag."""
        ami = self.ami(number)
        if ami in self.cloud.gone:
            return
        self.tell(f"{ami} loses its tag." if value is None else f"{ami} is tagged {value!r}.")
        if self.values[ami] != value:
            self.out = {place for place in self.out if place[0] != ami}
        self.values[ami] = value
        self._was_disabled.discard(ami)
        self.cloud.tag(ami, value)

    def make_available(self) -> None:
        """Make the first AMI available, if it was pending."""
        if self.cloud.hub_images[AMIS[0]]["State"] == "pending" and AMIS[0] not in self.cloud.gone:
            self.tell(f"{AMIS[0]} becomes available.")
            self.cloud.set_state(AMIS[0], "available")

    # --- arrivals -----------------------------------------------------------------------------------------------------

    def expect(self, what: str, values: Sequence[Any]) -> None:
        """Set the next fates of events or wakes, or AWS's next behavior."""
        supply = {"events": self.events, "wakes": self.wakes, "hurry": self._hurry, **self.supplies}[what]
        self.tell(f"Next {what}: {list(values)}.")
        supply.order(values)
        if what in ("fails", "boots"):
            self.excuse()

    def crash(self, calls: int, *, after: bool) -> None:
        """Kill the process that makes a later call, before or after its effect."""
        self.tell(f"The {calls}th call from now is the last of its process, {'done' if after else 'undone'}.")
        self.gate.crashes.append(PortCrash(self.gate.calls + calls, after))

    def side_by_side(self, pairings: Sequence[str], order: Sequence[bool]) -> None:
        """Run the next invocations beside another one."""
        self.tell(f"The next invocations run: {', '.join(pairings)}; they hand over: {list(order)}.")
        self._pairings.order(pairings)
        self._order.order(order)

    def refuse(self, what: str, number: int | None, times: int) -> None:
        """Refuse a call this often, for one account or for all."""
        port, method, why, after = REFUSALS[what]
        account = None if number is None or port in ("source", "notices", "kms") else self.account(number)
        self.tell(f"{times} times: {what}{f' ({account})' if account else ''}.")
        repeats = port in WAITED_OUT or port == "target.instances"  # RunInstances has a client token
        if port != "target.parameters" and (why is not RefusalKind.THROTTLED or (after and not repeats)):
            self.excuse(accounts=self.accounts if account is None else [account])
        concerns = (lambda *_args: True) if account is None else lambda *args: account in repr(args)
        self.gate.troubles.append(
            PortTrouble(port, method, refusal(why, "Refused", unknown=after), times, after, concerns)
        )

    def refuse_for(self, what: str, hours: int) -> None:
        """Refuse a call for hours, to all accounts. With what else happens, deadlines may come."""
        port, method, why, after = REFUSALS[what]
        until = self.cloud.now + hours * HOUR
        self.tell(f"For {hours} hours: {what}.")
        self._hours_refused += hours
        deadline = min(self.shape.queue_deadline, self.shape.copy_deadline)
        long = (self._hours_refused + 6) * HOUR > deadline
        if port not in WAITED_OUT or long or (why is not RefusalKind.THROTTLED and port != "target.parameters"):
            self.excuse()
        self.invariants.refused_for += hours * HOUR
        self.invariants.may_tell_nobody |= port == "notices"
        refused = refusal(why, "Refused", unknown=after)
        self.gate.troubles.append(
            PortTrouble(port, method, refused, WITHOUT_END, after, lambda *_args: self.cloud.now < until)
        )

    def lose_answers(self, what: str, times: int) -> None:
        """Lose the answers to the next conditional writes of a kind, so that the SDK repeats them."""
        port, method, answer = TAKEN[what]
        self.tell(f"{times} times: {what}, and the answer says that it was not.")
        self.gate.troubles.append(LostAnswer(port, method, times=times, **answer))

    def meanwhile(self, calls: int, act: str, number: int, value: str | None) -> None:
        """Let something happen just before a later call, between what its invocation has read and what it writes."""
        self.tell(f"Just before the {calls}th call from now: {act}.")

        def happens() -> None:
            if act == "tag":
                self.tag(number, value)
            else:
                getattr(self, act)(number)

        self.gate.meanwhile[self.gate.calls + calls] = happens

    def forge(self, number: int) -> None:
        """Send an event that is false, or that is not for this hub."""
        self.tell(f"An event is forged ({number}).")
        cloud, account = self.cloud, self.account(number)
        detail = {
            "event": "copySnapshot",
            "result": "succeeded",
            "source": f"arn:aws:ec2::x:snapshot/snap-0{number % 3}",
        }
        match number % 4:
            case 0:
                cloud.event("EBS Snapshot Notification", "snapshot/snap-0ffff", account, **detail)
            case 1:
                for image in list(cloud.images.values())[-1:]:
                    cloud.event("EC2 AMI State Change", f"image/{image.id}", image.account)
            case 2:
                cloud.event("EC2 AMI State Change", "image/ami-0ffff", "999999999999")
            case _:
                tags = {TRIGGER: "default"}
                old = {"changed-tag-keys": [TRIGGER], "version": 0, "tags": tags}
                cloud.event("Tag Change on Resource", f"image/{self.ami(number)}", **old)

    def plant(self, number: int) -> None:
        """Let someone in a target make a snapshot with all predictable tags of the service.

        If the service knows what an attempt made, the snapshot also has the nonce that could be read there.
        """
        ami, account = self.ami(number), self.account(number // 3)
        source = min(self.cloud.hub_images[ami]["BlockDeviceMappings"], key=str)["Ebs"]["SnapshotId"]
        key = self.delivery_key(ami, account)
        stored = self.stores.records.read(key) if key not in self.invariants.poisoned else None
        attempts = () if stored is None else DELIVERIES.decode(stored).attempts
        nonce = next((one.nonce for one in attempts if one.source == source and one.id), "")
        planted = self.cloud.plant_copy(account, source, key.pk.removeprefix("delivery#"), nonce)
        self.tell(f"Somebody plants {planted} ({nonce or 'no nonce'}) in {account}, as a copy of {source} for {ami}.")
        self.invariants.planted.add(planted)

    # --- people ------------------------------------------------------------------------------------------------------

    def unshare(self, number: int) -> None:
        """Let a person revoke the sharing of a snapshot."""
        if not self.cloud.permissions:
            return
        places = sorted(self.cloud.permissions)
        snapshot, account = places[number % len(places)]
        self.tell(f"Somebody unshares {snapshot} from {account}.")
        self.excuse(accounts=[account])
        self.cloud.forbid(snapshot, {account})
        self.invariants.taken_by_hand(snapshot, account)

    def share(self, number: int) -> None:
        """Let a person share a snapshot with a target."""
        snapshots = sorted(self.cloud.hub_snapshots)
        snapshot, account = snapshots[number % len(snapshots)], self.account(number // len(snapshots))
        if (snapshot, account) in self.cloud.permissions:
            return
        self.tell(f"Somebody shares {snapshot} with {account}.")
        self.cloud.allow(snapshot, {account})
        self.invariants.given_by_hand(snapshot, account)

    def revoke_grant(self, number: int) -> None:
        if not self.cloud.grants:
            return
        places = sorted(self.cloud.grants)
        key, name = places[number % len(places)]
        self.tell(f"Somebody revokes the grant {name}.")
        self.excuse()
        self.invariants.taken.add((key, stem(name)))
        self.cloud.revoke(key, name)

    def delete_copy(self, number: int) -> None:
        """Let a person delete a copy; one that an AMI uses cannot be deleted."""
        used = {copy for image in self.cloud.images.values() for copy in image.copies}
        copies = [copy for copy in self.cloud.live_copies() if copy.id not in used]
        if not copies:
            return
        copy = copies[number % len(copies)]
        self.tell(f"Somebody deletes the copy {copy.id} of {copy.source} in {copy.account} ({copy.state}).")
        self.excuse(accounts=[copy.account])
        copy.deleted = True

    def deregister_source(self, number: int) -> None:
        """Deregister one of the hub's AMIs; its snapshots stay."""
        ami = self.ami(number)
        if ami in self.cloud.gone:
            return
        self.tell(f"{ami} is deregistered.")
        self.excuse(amis=[ami])
        self._was_gone.add(ami)
        self._lose(ami, "deregistered")

    def _lose(self, ami: str, state: str) -> None:
        """Let AWS take the launch permissions of an AMI that is deregistered or disabled."""
        self.invariants.taken |= {place for place in self.cloud.launches if place[0] == ami}
        self.cloud.set_state(ami, state)

    def restore_source(self, number: int) -> None:
        """Restore a deregistered AMI from the Recycle Bin, with its tag or without it; EventBridge says nothing."""
        if not self.cloud.gone:
            return
        ami = sorted(self.cloud.gone)[number % len(self.cloud.gone)]
        self.cloud.gone.discard(ami)
        self._was_disabled.discard(ami)  # its return begins it, too
        if number // 3 % 2:
            self.values[ami] = None
            self.cloud.tag(ami, None, arrives=False)
        self.tell(f"{ami} is restored, tagged {self.values[ami]!r}.")

    def disable_source(self, number: int) -> None:
        """Disable one of the hub's AMIs, or enable it again."""
        ami = self.ami(number)
        if ami in self.cloud.gone or self.cloud.hub_images[ami]["State"] == "pending":
            return
        if self._is_disabled(ami):
            self.tell(f"{ami} is enabled.")
            self.cloud.set_state(ami, "available")
            return
        self.tell(f"{ami} is disabled.")
        self.excuse(amis=[ami])
        self._was_disabled.add(ami)
        self._lose(ami, "disabled")

    def _is_disabled(self, ami: str) -> bool:
        return self.cloud.hub_images[ami]["State"] == "disabled"

    def deregister_delivered(self, number: int) -> None:
        """Let a target's owner deregister an AMI of the service, delivered or not yet."""
        images = [image for image in self.cloud.images.values() if image.delivery]
        if not images:
            return
        image = images[number % len(images)]
        self.tell(f"{image.id}, made of {image.source} in {image.account}, is deregistered.")
        self.excuse(accounts=[image.account])
        self.cloud.deregistered.add(image.id)
        self.cloud.kept |= set(image.copies)
        del self.cloud.images[image.id]

    def take_parameter(self, number: int) -> None:
        """Let somebody delete the parameter of the family in a target, or write another AMI into it."""
        account = self.account(number // 3)
        if self.shape.dates is None:
            return
        if number % 3:
            self.tell(f"Somebody deletes {PARAMETER} in {account}.")
            self.cloud.parameters.pop((account, PARAMETER), None)
        else:
            self.tell(f"Somebody writes another AMI into {PARAMETER} in {account}.")
            self.cloud.parameters[account, PARAMETER] = ShownParameter("ami-0strange")
            self.invariants.foreign_parameters.add((account, PARAMETER))

    def roll_back(self, number: int) -> None:
        """Let an operator hold the family's parameter in an account at a known AMI, or let go of it."""
        account = self.account(number)
        key = self.pointer_key(account, PARAMETER)
        stored = None if key in self.invariants.poisoned else self.stores.records.read(key)
        known = () if stored is None else POINTERS.decode(stored).launchable
        fit = [one for one in known if one.source not in self.cloud.recalls]
        if self.cloud.pins.pop((account, FAMILY), None):
            self.tell(f"The rollback of {FAMILY} in {account} is lifted.")
        elif fit:
            chosen = fit[number // 3 % len(fit)]
            self.tell(f"An operator holds {FAMILY} in {account} at {chosen.source}.")
            self.cloud.pins[account, FAMILY] = Pin(chosen.source, chosen.made_at, self.cloud.now, OPERATOR)
        else:
            return  # the command line refuses
        self.stores.records.make_due(key, self.cloud.now)

    def take_name(self, number: int) -> None:
        """Register a stranger's AMI under the name that the service's AMI needs."""
        ami, account = self.ami(number), self.account(number // 3)
        name = f"golden-{ami}-{ami}"
        if any((image.account, image.name) == (account, name) for image in self.cloud.images.values()):
            return
        self.tell(f"A stranger's AMI in {account} is named {name}.")
        self.excuse([ami], [account])
        ident = f"ami-0f{len(self.story):04x}"
        self.cloud.images[ident] = Image(ident, account, name, "", "", (), {"State": "available"})

    def switch_key(self, number: int) -> None:
        """Disable or enable a key of the hub or of a target."""
        keys = [source_key(0), source_key(1), *(target_key(account) for account in self.accounts)]
        key = keys[number % len(keys)]
        self.tell(f"{key} is {'enabled' if key in self.cloud.disabled else 'disabled'}.")
        self.excuse()
        self.cloud.disabled ^= {key}

    def switch_role(self, number: int) -> None:
        """Delete or create the role in a target."""
        account = self.account(number)
        self.tell(f"The role in {account} is {'made again' if account in self.roleless else 'deleted'}.")
        self.excuse(accounts=[account])
        self.roleless ^= {account}

    def switch_file(self, number: int) -> None:
        """Remove an account from the targets file, or list it again; a value with both fails as a whole."""
        account = self.account(number)
        listed = self._are_listed() ^ {account}
        self.tell(f"The applied file lists {', '.join(sorted(listed)) or 'nobody'}.")
        self.excuse()
        self._list(listed)

    def move(self, number: int) -> None:
        """The file moves an account to the other wave; what has begun waits for nobody. Somebody stays in the first."""
        account = self.account(number)
        first = self._first_wave ^ {account}
        if not self._waves or not first & self._are_listed():
            return
        self.tell(f"The file moves {account}; the first wave is {', '.join(sorted(first))}.")
        self.excuse()
        for place, state in self.outcomes().items():
            key = self.delivery_key(*place)
            if state != DeliveryState.AWAITING_WAVE and key not in self.invariants.poisoned:
                self.invariants.begun_before.add((key.name, self.invariants.delivery(key.name).episode))
        self._first_wave = first
        self._list(self._are_listed())

    def switch_unit(self) -> None:
        """The file names the whole organization in the place of the OU, or the other way round: same accounts."""
        if not self.shape.by_unit:
            return
        self._unit = OU if self._unit == ORGANIZATION else ORGANIZATION
        self.tell(f"The file names {self._unit}.")
        self.excuse()
        self._list(self._are_listed())

    def conflict(self, number: int) -> None:
        """Make the settings for an account conflict, or stop that: it gets nothing new, and keeps what it has."""
        account = self.account(number)
        if self.shape.approval == "required":
            return  # it would wait a month for an approval that nobody is asked for
        self._conflicting ^= {account}
        self.tell(f"The file has {'a conflict' if account in self._conflicting else 'no conflict'} for {account}.")
        self.excuse(accounts=[account])
        self._list(self._are_listed())

    def withdraw_from(self, number: int) -> None:
        """Let an operator withdraw an account; one that an OU's ARN lets launch cannot be withdrawn alone."""
        ami, account = self.ami(number), self.account(number // 3)
        if self.values[ami] is None or ami in self.cloud.gone or (self.shape.by_unit and self.shape.mode == "share"):
            return
        if addresses.promotion(ami) not in self.stores.records.records:
            return  # the service has not seen its tag: the command line refuses
        self.tell(f"An operator withdraws {account} from {ami}.")
        self.excuse([ami], [account])
        self.out.add((ami, account))
        self.withdraw(ami, account)

    def lift_some(self, number: int) -> None:
        """Let an operator lift a withdrawal."""
        if self.out:
            ami, account = sorted(self.out)[number % len(self.out)]
            self.tell(f"The withdrawal of {account} from {ami} is lifted.")
            self.out.discard((ami, account))
            self._was_disabled.discard(ami)
            self.lift(ami, account)

    def recall_some(self, number: int) -> None:
        """Let an operator recall an AMI, or lift its recall."""
        ami = self.ami(number)
        if ami in self.cloud.recalls:
            self.tell(f"The recall of {ami} is lifted.")
            self._was_disabled.discard(ami)
            self.lift_recall(ami)
        else:
            self.tell(f"An operator recalls {ami}.")
            self.excuse([ami])
            self.recall(ami)

    def retry_some(self, number: int, *, alone: bool) -> None:
        """Let an operator retry what an AMI's promotion has tried in vain, or one account of that ``alone``."""
        ami = self.ami(number)
        again = self._to_retry(ami)
        if alone:
            again = again[number // 3 % len(again) :][:1] if again else []
        if again:
            self.tell(f"An operator retries {ami} for {', '.join(again)}.")
            self._was_disabled.discard(ami)
            self.retry(ami, *(again if alone else (f"{account}/{REGION}" for account in again)))

    def _to_retry(self, ami: str) -> list[str]:
        """The accounts of an AMI that the command line retries; none while its tag's value is refused."""
        key = addresses.promotion(ami)
        if key in self.invariants.poisoned or key not in self.stores.records.records or ami in self.cloud.recalls:
            return []
        if self._promotion(ami).value is None or self._promotion(ami).refused_value is not None:
            return []
        ended = [one.account for one in self.stores.tracked.all(ami) if one.state in BAD]
        return sorted(account for account in ended if (ami, account) not in self.out)

    def _promotion(self, ami: str) -> Promotion:
        return PROMOTIONS.decode(self.stores.records.read(addresses.promotion(ami)))

    def approve_some(self, number: int, lasts: int) -> None:
        """Let an approver approve what an AMI waits for, if it is tagged with a value that is understood."""
        ami = self.ami(number)
        value = self.values[ami]
        if self.shape.approval == "none" or value is None or ami in self.cloud.gone:
            return
        self.tell(f"{ami} is approved for {lasts} s.")
        self.excuse([ami])  # it may expire before anything opens
        self.approve(ami, lasts)

    def change_settings(self) -> None:
        """Apply a file with another tag to add: an approval of the old settings is void."""
        if self.shape.approval == "none" or self.shape.by_unit:
            return
        self._changed += 1
        self.tell(f"The applied file changes the settings ({self._changed}).")
        self.excuse()
        added = {"release": str(self._changed)}
        accounts = {one: (replace(targets[0], tags=added),) for one, targets in self._listed.accounts.items()}
        self._listed = replace(self._listed, accounts=accounts)
        self._list(self._are_listed())

    def edit(self, number: int, what: str, choice: int) -> None:
        """Apply a file with another setting for an account, whatever its deliveries are doing."""
        if self.shape.by_unit:
            return
        account, values = self.account(number), EDITS[what]
        value: Any = values[choice % len(values)]
        value = self.cloud.now + value if what == "until" and value else value
        self.tell(f"The file says for {account}: {what} {value}.")
        self.excuse(accounts=[account])
        self._edited = True
        changed = (replace(self._listed.accounts[account][0], **{what: value}),)
        self._listed = replace(self._listed, accounts={**self._listed.accounts, account: changed})
        self._list(self._are_listed())

    def pause(self) -> None:
        """Let an operator pause or resume new promotions."""
        self.cloud.paused = not self.cloud.paused
        self.tell("Promotions are paused." if self.cloud.paused else "Promotions go on.")

    def poison(self, number: int, kind: str = "", *, unreadable: bool = False) -> None:
        """Damage a record, of a kind or any; ``unreadable``: it is no JSON, or of a newer schema.

        A damaged resource or copy quota excuses nothing: the service writes it again.
        """
        items = self.stores.records.records
        keys = sorted(key for key in items if key not in self.invariants.poisoned and key.kind.startswith(kind))
        if not keys:
            return
        key = keys[number % len(keys)]
        self.tell(f"The record {key} is damaged.")
        if key.kind not in ("quota", "resource"):
            self.invariants.poisoned.add(key)
        if unreadable or key.kind == "resource":
            items[key].damaged = True
        else:
            items[key].body = {"damaged": True}
        match key.kind:
            case "promotion":
                self.excuse([key.pk.removeprefix("promotion#")])
            case "delivery":
                self.excused |= {p for p in self._places() if self.delivery_key(*p) == key}

    def damage(self, what: str, number: int) -> None:
        """Somebody damages what stands beside the records: a head, a mark, a standing holding, a share, a source."""
        items, ledger = self.stores.records.items, self.stores.ledger
        found = {
            "head": [key for key in items if key.pk == addresses.HEADS],
            "mark": [key for key in items if key.pk == addresses.STANDING],
            "source image": [key for key in items if key.kind == "promotion" and key.sk.startswith("image")],
            "holding": [
                (*place, one.delivery) for place, share in ledger.items.items() for one in share.holdings if one.stands
            ],
            "share": list(ledger.items),
        }[what]
        if not found:
            return
        chosen = sorted(found)[number % len(found)]
        self.tell(f"The {what} {chosen} is damaged.")
        if what == "share":
            self.excuse()
            ledger.damage(chosen)
            return
        if what == "holding":
            held = ledger.items[chosen[:2]].holdings
            self.excuse([one.ami for one in held if one.delivery == chosen[2]])  # what cannot be judged is withdrawn
            self.invariants.damaged_holdings.add(chosen)
            ledger.damage_holding(chosen)
            return
        broken = {"absent_since": "x", "again_at": "x"} if what == "mark" else {"body": "{"}
        self.stores.records.put(chosen, {"kind": items[chosen]["kind"], **broken})
        if what == "source image":
            ami = chosen.pk.removeprefix("promotion#")
            self.invariants.poisoned.add(addresses.promotion(ami))
            self.invariants.poisoned |= {self.delivery_key(ami, account) for account in self.accounts}  # they need it
            self.excuse([ami])

    # Let no event arrive until all rests; then repair and tag everything again, and check that it is delivered.

    def end(self) -> None:
        """Without events, run until all rests; then repair all, tag it again, and check that it is delivered."""
        self._calm()
        if self._waves:  # a wave that a fault has stopped waits for a month
            self.roleless.clear()
            self.cloud.disabled.clear()
            self._conflicting.clear()
        if self._waves or self.shape.approval != "none":  # nobody approves for an account that the file does not list
            self._list(self.accounts)
        if self.shape.approval != "none":  # nor a disabled AMI
            self._enable()
        self.silent = True
        self.groups.lose()
        self._discover_at = self.cloud.now + DISCOVERY
        self.tell("From now on every event is lost, and every wake but the sweep's own.")
        self._rest()
        wanted = {place for place in self._places() if place[1] in self._named(self.values[place[0]])}
        self._delivered(wanted - self.excused - self._behind(self.excused))
        self._withdrawn()
        self._one_retried()
        self.silent = False
        self._enabled()
        if self._lacking(self._places()) or self.out or self.cloud.recalls:
            self._mend()
            wanted = self._retry_all() if self.shape.again == "retry" and not self._waves else self._tag_again()
            self._rest()
            lost = {place for place in self._places() if self._is_poisoned(*place)}
            self._delivered(wanted - lost - self._behind(lost))
        if self.shape.mode == "share" or self._edited:
            self.tell("Every tag is removed.")
            for number, _ in enumerate(self.shape.amis):
                self.tag(number, None)
            self._rest()
            self._withdrawn()

    def _one_retried(self) -> None:
        """An operator retries one account of each AMI: no failed delivery of another begins.

        Where the source was refused, a retry makes the service look at it again, and all that the tag names may begin.
        What was cancelled, or failed before a tag event or a lift while the file did not list it, begins with any look
        that finds it wanted again.
        """
        several = {ami: again for ami in self.values if len(again := self._to_retry(ami)) > 1}
        alone = {ami: again for ami, again in several.items() if not self._promotion(ami).is_refused}
        before, outcomes = self._episodes(), self.outcomes()
        asked_for = {
            (ami, one.account)
            for ami in alone
            for one in self.stores.tracked.all(ami)
            if one.generation < self._promotion(ami).generation_of(one.account, one.place)
        }
        for ami, again in alone.items():
            self.tell(f"An operator retries {ami} for {again[0]} alone.")
            self.retry(ami, again[0])
        if alone:
            self._rest()
            others = {(ami, one) for ami, again in alone.items() for one in again[1:]}
            failed = {place for place in others - asked_for if outcomes[place] == DeliveryState.FAILED}
            begun = {place for place in failed if self._episodes()[place] != before[place]}
            assert not begun, f"a retry of others begins {sorted(begun)}"

    def _episodes(self) -> dict[tuple[str, str], int]:
        return {(ami, one.account): one.episode for ami in self.values for one in self.stores.tracked.all(ami)}

    def _enabled(self) -> None:
        """Every disabled AMI is enabled: what was shared of it waits until somebody asks for it."""
        ended = {place for place, state in self.outcomes().items() if state == DeliveryState.WITHDRAWN}
        if self._enable():
            self._rest()
            shared = {place for place in ended if self.outcomes()[place] == DeliveryState.SHARED}
            again = sorted(place for place in shared if place[0] in self._was_disabled)
            assert not again, f"invariant 1: shared again although nobody asked for it: {again}"

    def _enable(self) -> set[str]:
        """Enable every disabled AMI, and return these."""
        disabled = {ami for ami in self.values if self._is_disabled(ami)}
        for ami in sorted(disabled):
            self.tell(f"{ami} is enabled.")
            self.cloud.set_state(ami, "available")
        return disabled

    def _calm(self) -> None:
        for supply in (self.events, self.wakes, self._hurry, self._pairings, self._order, *self.supplies.values()):
            supply.stop()
        self.gate.crashes.clear()
        self.gate.meanwhile.clear()
        del self.gate.troubles[len(ROLE_METHODS) + len(ROLE_ADAPTER) :]
        self.cloud.paused = False
        self.groups.dead.clear()

    def _rest(self) -> None:
        """Run until everything has ended: its deadline, twice if it was wanted again, grace, cleanup and a sweep."""
        shape = self.shape
        self.most_invocations = len(self.invocations) + 20_000  # a damaged record is looked at until the end
        once = shape.queue_deadline + shape.copy_deadline + shape.linger + 5 * HOUR
        limit = self.cloud.now + 50 * HOUR + 2 * once
        if shape.approval == "none":
            self._until_nothing_happens(limit)
        for _ in range(LOOKS):
            self.discover()
            self.wait(DISCOVERY)
            self._approve_all()  # after the service has seen the tag: an approver knows it from the notice
        self._end_waves()
        self.run(until=self.cloud.now + 25 * HOUR)  # the pass over standing shares compares each AMI once a day
        self._approve_all()  # checks that AWS refuses for a day let it ask so late
        self.discover()
        self._until_nothing_happens(limit)
        self.tell("All that happens by itself has happened.")
        at_rest = self.invariants.poisoned or self._next() is None or self._only_looks_daily()
        assert at_rest, f"invariant 6: it does not come to rest: {self.outcomes()}"
        self.invariants.rest()

    def _end_waves(self) -> None:
        """Let an operator remove the tag of what waits for a stopped wave: it would wait for a month."""
        if self._waves:
            self._until_nothing_happens(self.cloud.now + 50 * HOUR)
        for number, _ in enumerate(self.shape.amis):
            states = {state for (ami, _), state in self.outcomes().items() if ami == self.ami(number)}
            if DeliveryState.AWAITING_WAVE in states:
                self.stopped.add(self.ami(number))
                self.tag(number, None)
        if self.stopped:
            self.discover()
            self._until_nothing_happens(self.cloud.now + 10 * HOUR)

    def _behind(self, excused: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the deliveries that wait for one of these, or were given up with its wave."""
        amis = {ami for ami, account in {*excused, *self.out} if account in self._first_wave} | self.stopped
        amis |= {ami for ami, value in self.values.items() if self._first_wave.isdisjoint(self._named(value))}
        return {place for place in self._places() if place[0] in amis} if self._waves else set()

    def _only_looks_daily(self) -> bool:
        """Whether nothing is left but the daily looks of pointers."""
        due = [key for key, item in self.stores.records.records.items() if item.wake_at is not None]
        waits = self.groups.next() is not None or self.cloud.to_come or self._discover_at is not None
        return not waits and all(key.kind == "pointer" for key in due)

    def _until_nothing_happens(self, limit: int) -> None:
        while (step := self._next()) is not None and step[0] <= limit:
            self.run(until=step[0])

    def _mend(self) -> None:
        self._calm()
        self.make_available()
        self.roleless.clear()
        self.cloud.disabled.clear()
        self._conflicting.clear()
        self._listed, self._first_wave = self._first, {self.accounts[0]}
        self._list(self.accounts)
        self._enable()
        self.cloud.gone.clear()
        for place in [place for place in self.cloud.withdrawn if place[0] in self._was_gone]:
            self.lift(*place)
        for ident in [image.id for image in self.cloud.images.values() if not image.delivery]:
            del self.cloud.images[ident]
        for ami in list(self.cloud.recalls):
            self.lift_recall(ami)
        self.tell("All is repaired.")

    def _tag_again(self) -> set[tuple[str, str]]:
        """Remove every tag and set it again; return the deliveries that must come of that."""
        for number, _ in enumerate(self.shape.amis):
            self.tag(number, None)
        self.wait(300)
        for number, _ in enumerate(self.shape.amis):
            self.tag(number, "default")
        return self._places()

    def _retry_all(self) -> set[tuple[str, str]]:
        """Let an operator lift every withdrawal and retry each AMI; return the deliveries that must come of that."""
        for place in list(self.cloud.withdrawn):
            self.lift(*place)
        self.out.clear()
        self.wait(300)
        for number, _ in enumerate(self.shape.amis):
            self.retry_some(number, alone=False)
        asked = {(ami, account) for ami in self.values for account in self._to_retry(ami)}
        return {(ami, account) for ami, account in asked if account in self._named(self.values[ami])}

    def _approve_all(self) -> None:
        """Let an approver approve all that is tagged with a value that is understood, until long after the end."""
        for number, _ in enumerate(self.shape.amis):
            ami = self.ami(number)
            waits = self.shape.approval != "none" and self.values[ami] is not None
            if waits and ami not in self.cloud.gone:
                self.tell(f"{ami} is approved.")
                self.approve(ami, WITHOUT_END)

    def _list(self, accounts: Iterable[str]) -> None:
        """Apply a file with these accounts, or move those of the OU; some have a setting that cannot be followed."""
        listed = {account: self._listed.accounts[account] for account in sorted(accounts)}
        listed |= {one: (replace(listed[one][0], by_way_of=NO_TARGET),) for one in self._conflicting & listed.keys()}
        if self.shape.by_unit:
            self.cloud.directory = self._unit_of(listed)
        else:
            self.cloud.directory = Directory(
                {"default": tuple(listed), **self._groups(listed)}, listed, waves=self._waves
            )
        self._discover_at = self.cloud.now + DISCOVERY

    @property
    def _waves(self) -> Mapping[str, Wave]:
        return {} if self.shape.waves is None or self.shape.by_unit else {"later": Wave("first", self.shape.waves)}

    def _groups(self, listed: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        first = self._first_wave
        groups = {"first": first & set(listed), "later": set(listed) - first}
        return {name: tuple(sorted(members)) for name, members in groups.items()} if self._waves else {}

    def _unit_of(self, listed: Mapping[str, tuple[Target, ...]]) -> Directory:
        launch = "group" if self.shape.mode == "share" else "account"
        brought = {one: (replace(targets[0], launch_permission=launch),) for one, targets in listed.items()}
        return Directory(
            {"default": (self._unit,)},
            {},
            {"default": (Target("", REGION, launch_permission=launch, **self._settings),)},
            {one: {"default": brought[one]} for one in sorted(self._conflicting & brought.keys())},
            organization=Organization(ORGANIZATION, {self._unit: ("default",)}),
            membership=membership_of({self._unit: Unit(UNITS[self._unit], tuple(brought))}),
        )

    def _are_listed(self) -> set[str]:
        units = self.cloud.directory.membership.units.values()
        return {*self.cloud.directory.accounts, *(one for unit in units for one in unit.accounts)}

    def _places(self) -> set[tuple[str, str]]:
        return {(ami, account) for ami in self.values for account in self.accounts}

    def _named(self, value: str | None) -> Sequence[str]:
        match value:
            case None | "nobody":
                return ()
            case "default":
                return self.accounts
            case _:
                named = value.split("+")
                return named if set(named) <= set(self.accounts) else ()

    def _lacking(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
        states = self.outcomes()
        pending = {ami for ami, raw in self.cloud.hub_images.items() if raw["State"] == "pending"}
        end = DeliveryState.SHARED if self.shape.mode == "share" else DeliveryState.DELIVERED
        ends = {end, *((DeliveryState.SHARED, DeliveryState.DELIVERED) if self._edited else ())}
        return {p: states.get(p) for p in places if states.get(p) not in ends and p[0] not in pending}

    def _delivered(self, places: Iterable[tuple[str, str]]) -> None:
        """Deliveries with which no act interfered are delivered, whatever happened to others (invariant 7)."""
        places = sorted(places)
        lacking = self._lacking(places)
        assert not lacking, f"invariant 7: not delivered: {lacking}; {self.faults()}"
        for place in places:
            if self.outcomes().get(place) == DeliveryState.SHARED:
                self.invariants.really_open(self.delivery_key(*place).pk.removeprefix("delivery#"))

    def _refused(self, ami: str, value: str | None) -> bool:
        """Whether the service refused a value: it names no group, or the source had a fault, such as a disabled key."""
        if addresses.promotion(ami) in self.invariants.poisoned:
            return True
        stored = self.stores.records.read(addresses.promotion(ami))
        return stored is not None and value is not None and stored.body.get("refused_value") == value

    def _withdrawn(self) -> None:
        """An account that must no longer have an AMI has nothing of it; a refused value changes nothing."""
        for ami, account in self._places():
            value = self.values[ami]
            stays = value is not None and ami not in self.cloud.gone and not self._is_disabled(ami)
            wanted = stays and (self._refused(ami, value) or account in self._named(value))
            wanted = wanted and (ami, account) not in self.out and ami not in self.cloud.recalls
            shared = self.outcomes().get((ami, account)) == DeliveryState.SHARED
            assert wanted or not shared or self._is_poisoned(ami, account), (
                f"invariant 1: {ami} is shared with {account}"
            )
        for ami, receiver in self.cloud.launches:
            assert receiver in self._may_launch(ami), f"invariant 1, 8: {ami} may be launched by {receiver}"

    def _may_launch(self, ami: str) -> set[str]:
        """The receivers that tag, file and membership let launch; a value that is not understood changes nothing."""
        value = self.values[ami]
        if value is None or ami in {*self.cloud.gone, *self.cloud.recalls} or self._is_disabled(ami):
            return set()
        if self._refused(ami, value):
            return {*self.accounts, *UNITS.values()}
        resolution = AppliedFile(self.cloud.directory).resolve(value, in_force=True)
        keep = {*resolution.blocked, *UNITS.values()} if resolution.blocked else set()
        out = {account for of, account in self.out if of == ami}
        launch = {launched_by(one) for one in resolution.targets if one.mode == "share" and not self._is_over(one)}
        return (launch | keep) - out

    def _is_over(self, target: Target) -> bool:
        return 0 < target.until <= self.cloud.now

    def _is_poisoned(self, ami: str, account: str) -> bool:
        return bool(self.invariants.poisoned & {self.delivery_key(ami, account), addresses.promotion(ami)})
