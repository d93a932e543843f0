"""The invariants of the design, checked at every call that changes AWS, after every invocation, and at rest.

Two runs of one message group may both make a call, although the first one's result is on record by then: the check
compares the call with its intent, not with the latest state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.delivery import machine
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import ENDED, CopyState, Delivery, DeliveryState
from chalicelib.delivery.slots import begun
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.places import Resource
from chalicelib.engine.ports import Stored
from chalicelib.promotion.model import PromotionState
from chalicelib.release.codec import POINTERS
from chalicelib.release.pointer import Pointer
from chalicelib.sharing.grant_names import grant_stem
from chalicelib.sharing.holders import needed, past_end, standing
from chalicelib.sharing.share import DELIVERED_AMIS, Holding, Share, ShareState
from tests.service.cloud import OWNERS_POLICY, REGION, grant_name
from tests.stores import Seen

if TYPE_CHECKING:
    from tests.service.hub import Hub

ADAPTERS = ("snapshots", "images", "keys", "policies", "roles")
LIVE = (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)
LONGEST_STEP = 15 * 60
"""The sweep's longest step, in seconds."""
UNCHECKED = (
    DeliveryState.AWAITING_WAVE,
    DeliveryState.AWAITING_APPROVAL,
    DeliveryState.REQUESTED,
    DeliveryState.CHECKING,
    DeliveryState.WAITING,
)
REMOVES = (DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.FAILED, DeliveryState.CANCELLED)
TURNS = (DeliveryState.DELIVERED, DeliveryState.RECALLED)
"""Ends in which the target has its AMI; a recall, and its lift, lead from one to the other."""
IN_USE = (CopyState.PENDING, CopyState.COMPLETED)
CLOSES_WITHIN = 3600
"""Seconds after its last closing time in which a share must close: crashes and refusals here last no longer."""
STALEST = 60
"""The longest time in seconds by which a read in these tests is stale."""


class Invariants:
    """Raises AssertionError, naming the invariant."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._delivered: dict[str, str] = {}
        self._ended: dict[str, tuple[int, str]] = {}
        self._parsed: dict[str, tuple[Stored, Delivery]] = {}
        self._goes: dict[RecordKey, Seen] = {}
        self._handled = 0
        self._keys_left: set[str] = set()
        self._claims: dict[tuple[str, str], int] = {}
        self._units: set[str] = set()
        """ARNs of units that the file has ever named; whom it names no longer must have nothing at rest."""
        self.taken: set[tuple[str, str]] = set()
        """Permissions (snapshot, account) and grants (key, name's stem) that a person removed for good."""
        self.planted: set[str] = set()
        """Copies that someone else made, with all predictable tags: the service must not use or delete them."""
        self.poisoned: set[RecordKey] = set()
        """Records that a test has damaged. They are parked, and no other record may be."""
        self.read_before: tuple[set[str], set[tuple[str, str]], set[str]] = set(), set(), set()
        """Receivers, withdrawals and recalls when the invocation began: it may have read these before a change."""
        self.foreign_parameters: set[tuple[str, str]] = set()
        """Parameters (account, name) into which somebody else has written an AMI: they stay as they are."""
        self.recalled: set[str] = set()
        """AMIs that an operator has recalled at some time."""
        self.refused_for = 0
        """Seconds for which AWS has refused calls without a pause: a share may close so much later."""
        self.may_tell_nobody = False
        """Nothing could be published for hours: a channel that stays closed for an hour is given up."""

    # --- at a call ---------------------------------------------------------------------------------------------------

    def watch(self, port: str, method: str, args: tuple[Any, ...]) -> None:
        """Check the invariants before a call takes effect."""
        checks: dict[tuple[str, str], Callable[[], None]] = {
            ("target.snapshots", "copy"): lambda: self._copying(args[0], args[1].id),
            ("target.images", "register"): lambda: self._registering(args[0]),
            ("target.images", "copy"): lambda: self._registering(args[0]),
            ("target.snapshots", "delete"): lambda: self._deleting(args[0], set(args[1])),
            ("target.images", "deregister"): lambda: self._deregistering(args[0], args[1]),
            ("notices", "publish"): lambda: self._telling(args[0]),
            ("target.parameters", "change"): lambda: self._naming(args[1]),
            ("target.parameters", "deprecate"): lambda: self._retiring(args[1], args[2]),
            ("target.instances", "run"): lambda: self._launching(args[0]),
        }
        if check := checks.get((port, method)):
            check()
        elif port in ADAPTERS and method in ("open", "close"):
            for share in args[1]:
                (self._opening if method == "open" else self._closing)(share)

    def _naming(self, asked: Pointer) -> None:
        stored = self._hub.stores.records.read(asked.key)
        record = POINTERS.decode(stored)
        assert record.intent is not None, f"invariant 3: {asked.where} is written without an intent on record"

    def _retiring(self, asked: Pointer, image: str) -> None:
        """Superseded copies alone are deprecated: neither what the parameter names, nor the hub's own AMI."""
        record = POINTERS.decode(self._hub.stores.records.read(asked.key))
        assert image in record.retiring, f"invariant 3: {image} is deprecated without an intent on record"
        shown = self._hub.cloud.parameters.get((asked.account, asked.parameter))
        assert shown is None or shown.value != image, f"{asked.where} names {image}, which is deprecated"
        assert image in self._hub.cloud.images, f"{image} is no copy"

    def _launching(self, asked: Delivery) -> None:
        """An intent on record, the AMI of nobody's business yet, and at most one instance (invariants 3, 13)."""
        record, cloud = self._delivery(asked.id), self._hub.cloud
        known = {one.nonce for one in record.launch.attempts}
        assert {one.nonce for one in asked.launch.attempts} <= known or record.launch.result, (
            f"invariant 3: {asked.id} starts an instance without an intent on record"
        )
        others = [one for one in cloud.instances.values() if one.delivery == asked.id and one.token not in known]
        assert all(one.state == "terminated" for one in others), f"invariant 13: {asked.id} starts one beside {others}"

    def _copying(self, asked: Delivery, source: str) -> None:
        record = self._delivery(asked.id)
        intended = [c for c in record.copies if c.source == source and c.state is CopyState.INTENDED]
        assert intended, f"invariant 3: {source} is copied for {asked.id} without an intent on record"
        lease = self._hub.stores.slots.lease(record.copy_quota, record.id)
        held = lease is not None and lease.granted >= begun(record) and self._hub.cloud.now < lease.until
        assert held, f"invariant 7: {source} is copied for {asked.id} without a slot: {lease}"
        live = [copy for copy in self._hub.cloud.live_copies(asked.id, source) if copy.id not in self.planted]
        assert not live, f"invariant 4: {source} is copied for {asked.id} although {live[0].id} is {live[0].state}"

    def _registering(self, asked: Delivery) -> None:
        assert self._delivery(asked.id).request.intended_at, (
            f"invariant 3: {asked.id} registers without an intent on record"
        )

    def _deleting(self, asked: Delivery, copies: set[str]) -> None:
        record = self._delivery(asked.id)
        used = {copy.copy for copy in record.copies if copy.state in IN_USE and record.state not in REMOVES}
        assert not used & copies, f"invariant 4: {asked.id} deletes {used & copies}, which it goes on with"
        self._spares_planted(asked, copies)

    def _deregistering(self, asked: Delivery, image: str) -> None:
        record = self._delivery(asked.id)
        if record.request.discarding or image in record.request.discarded:  # the latter by a run beside another
            there = self._hub.cloud.images.get(image)
            assert there is None or there.raw["State"] == "failed", (
                f"invariant 4: {asked.id} discards {there}, which has not failed"
            )
            return
        assert record.state in REMOVES, f"invariant 4: {asked.id} is {record.state}, and all it made is removed"
        assert not record.image.adopted or record.image.id == record.launch.kept, (
            f"invariant 4: {asked.id} removes {record.image.id}, which an earlier episode delivered"
        )

    def _spares_planted(self, asked: Delivery, copies: Iterable[str]) -> None:
        theirs = self.planted & set(copies)
        assert not theirs, f"invariant 4: {asked.id} deletes {theirs}, which somebody else made"

    def _telling(self, notice: Mapping[str, Any]) -> None:
        if notice["event"] == "delivery.delivered":
            cloud = self._hub.cloud
            there = notice["image"] in cloud.images or notice["image"] in cloud.deregistered
            assert there, f"invariant 10: {notice['id']} tells of {notice['image']}, which never was"
        said = [fault["code"] for fault in notice.get("faults", ())]
        if notice["event"] == "delivery.withdrawn" and "share-still-open" not in said:
            ami, account = notice["source_image"], notice["account"]
            shares = self._hub.stores.ledger.find([(addresses.image_resource(ami).pk, account)])
            open_ = (ami, account) in self._hub.cloud.launches and not any(share.holdings for share in shares)
            assert not open_, f"invariant 10: {notice['id']} says that {ami} was withdrawn, and {account} may launch it"

    def _opening(self, asked: Share) -> None:
        share = self._share(asked)
        account = asked.account
        intended = share.state in (ShareState.OPENING, ShareState.OPEN) and share.intended_at == asked.intended_at
        assert intended, f"invariant 3: {asked.resource} opens to {account}, {share.state} on record"
        receivers, withdrawn, recalled = self.read_before
        known = self._receivers() | receivers
        assert account in known, f"invariant 8: {asked.resource} opens to the stranger {account}"
        owner = asked.grantee.split(":")[4] if asked.grantee else account
        assert owner == account, f"invariant 8: {asked.resource} opens to {asked.grantee}, not to {account}"
        by_unit = account in (unit.arn for unit in self._hub.cloud.directory.membership.units.values())
        assert not by_unit or asked.resource.startswith("resource#image#"), (
            f"invariant 8: {asked.resource} to {account}"
        )
        late = self._hub.cloud.now - STALEST  # until then a read may show a value for which it was not withdrawn
        old = {place for place, one in self._hub.cloud.withdrawn.items() if one.at < late}
        certain = {(ami, account) for ami, account in self._hub.out & withdrawn if (ami, account) in old}
        taken = recalled & self._hub.cloud.recalls.keys()
        out = [one for one in share.holdings if (one.ami, one.account) in certain or one.ami in taken]
        assert not out or len(out) < len(share.holdings), f"invariant 8: {asked.resource} opens to withdrawn {account}"
        places = {(holding.ami, holding.account) for holding in share.holdings}
        assert not places or any(map(self._hub.is_approved, places)), (
            f"invariant 11: {asked.resource} opens to {account} without a valid approval"
        )
        ends = share.last_closing_at > 0 or standing(share) or not share.holdings
        assert ends, f"invariant 1: {asked.resource} opens to {account} without an end"
        for holding in share.holdings:
            if addresses.delivery(holding.delivery) in self.poisoned or holding.delivery == DELIVERED_AMIS:
                continue
            state = self._delivery(holding.delivery).state
            assert state not in UNCHECKED, (
                f"invariant 1: {asked.resource} opens for {holding.ami} at {holding.place} while {state}"
            )
            self._in_its_wave(asked, holding)

    def _in_its_wave(self, asked: Share, holding: Holding) -> None:
        """Where all of the group before have failed, or none has begun, its wave is not open."""
        directory = self._hub.cloud.directory
        mine = [wave for name, wave in directory.waves.items() if holding.account in directory.groups[name]]
        for wave in mine:
            units = directory.membership.units
            named = [(one, *units[one].accounts) if one in units else (one,) for one in directory.groups[wave.after]]
            before = set().union(*named) or self._hub.accounts[:1]  # it may have left after the wave opened
            assert any(self._succeeded(holding.ami, account) for account in before), (
                f"invariant 1: {asked.resource} opens for {holding.ami} at {holding.place} before {wave.after}"
            )

    def _succeeded(self, ami: str, account: str) -> bool:
        """Whether it was delivered or shared at any time; a later generation may try it again meanwhile."""
        if any(one.account == account and one.state in GOOD for one in self._hub.stores.tracked.all(ami)):
            return True
        good = [one for one in self._hub.cloud.notices if one["event"] in ("delivery.delivered", "delivery.shared")]
        return any((one["source_image"], one["account"]) == (ami, account) for one in good)

    def begins(self) -> None:
        """An invocation begins. What changes from now on need not show in what it reads."""
        self.read_before = self._receivers(), set(self._hub.out), set(self._hub.cloud.recalls)

    def _receivers(self) -> set[str]:
        """The receivers in the applied file: its accounts, its OUs, and the accounts in those."""
        directory = self._hub.cloud.directory
        units = directory.membership.units.values()
        return {*directory.accounts, *(unit.arn for unit in units), *(one for unit in units for one in unit.accounts)}

    def _closing(self, asked: Share) -> None:
        over = self._hub.stores.ledger.was_open(asked.resource, asked.share_name)  # another run opened it just now
        share, cloud = asked if over else self._share(asked), self._hub.cloud
        intended = share.state in (ShareState.CLOSING, ShareState.CLOSED) and share.intended_at == asked.intended_at
        assert intended, f"invariant 3: {asked.resource} closes while {share.state} on record"
        kind, name = asked.resource.split("#")[1:3]
        self._resolve_claims()
        assert (name, asked.account) not in cloud.foreign, f"invariant 2: {asked.resource} was open before us"
        for copy in (copy for copy in cloud.copies.values() if copy.state == "pending"):
            if copy.account != asked.account or self._no_longer_wanted(copy.delivery, share):
                continue
            uses = {
                "snapshot": copy.source == name,
                "key": (copy.key, copy.delivery) == (name, asked.share_name),
                "policy": copy.key == name and self._needs(copy.delivery, asked.resource),
                "role": False,
                "image": False,
            }[kind]
            assert not uses or past_end(share, cloud.now), (
                f"invariant 1: {asked.resource} closes to {asked.account} under the unfinished {copy.id}"
            )

        for image in cloud.images.values():
            running = kind == "image" and image.raw["State"] == "pending" and bool(image.mappings)
            uses = running and (image.source, image.account) == (name, asked.account)
            assert not uses or past_end(share, cloud.now) or self._is_let_go(image.delivery, share), (
                f"invariant 1: {asked.resource} closes to {asked.account} under the unfinished {image.id}"
            )

    def _is_let_go(self, delivery: str, share: Share) -> bool:
        """Whether others have released what a delivery that cannot act held, because nobody wants its copies."""
        holds = any(holding.delivery == delivery for holding in share.holdings)
        return RecordKey(f"delivery#{delivery}") in self.poisoned and not holds

    def _no_longer_wanted(self, delivery: str, share: Share) -> bool:
        """Whether nobody wants the delivery's copies any longer, and their deletion was accepted or refused twice."""
        key = RecordKey(f"delivery#{delivery}")
        if not delivery or key in self.poisoned or self._hub.stores.records.read(key) is None:
            return self._is_let_go(delivery, share)
        record = self._delivery(delivery)
        return record.state in REMOVES and record.cleanup.deletes_accepted

    # --- after an invocation -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Check after every invocation, whether it ended or was killed."""
        self._resolve_claims()
        self._shares_are_needed()
        self._instances_are_needed()
        cloud = self._hub.cloud
        assert cloud.foreign <= cloud.permissions, "invariant 2: a permission that was there before us is gone"
        strangers = {account for _, account in cloud.permissions - cloud.foreign} - set(self._hub.accounts)
        assert not strangers, f"invariant 8: open to {strangers}"
        self._units |= {unit.arn for unit in cloud.directory.membership.units.values()}
        launching = {who for _, who in cloud.launches} - set(self._hub.accounts) - self._units
        assert not launching, f"invariant 8: {launching} may launch"
        theirs = [image.id for image in cloud.images.values() if self.planted & set(image.copies)]
        assert not theirs, f"invariant 4: {theirs} are made of what somebody planted"
        doubles = Counter((image.source, image.account) for image in cloud.images.values() if image.delivery)
        assert not doubles or max(doubles.values()) == 1, f"invariant 4: two AMIs: {doubles}"
        for key in self._hub.known():
            self._goes_on(key)
        for delivery, image in self._delivered.items():
            there = image in cloud.images or image in cloud.deregistered
            assert there, f"invariant 4: {image}, delivered by {delivery}, is gone"

    def _shares_are_needed(self) -> None:
        cloud = self._hub.cloud
        ledger = [share for resource in self._hub.resources() for share in self._hub.stores.ledger.shares(resource)]
        live = {
            (share.resource.split("#")[2], share.account): share
            for share in ledger
            if share.resource.startswith("resource#snapshot#") and share.state in LIVE
        }
        live_grants = {
            (share.resource.split("#")[2], grant_name(share)): share
            for share in ledger
            if share.resource.split("#")[1] in ("key", "role") and share.state in LIVE
        }
        live_policies = {
            (share.resource.split("#")[2], share.share_name): share
            for share in ledger
            if share.resource.startswith("resource#policy#") and share.state in LIVE
        }
        live_launches = {
            (share.resource.split("#")[2], share.account): share
            for share in ledger
            if share.resource.startswith("resource#image#") and share.state in LIVE
        }
        for place in cloud.launches:
            assert place in live_launches, f"invariant 1: {place} may be launched and the ledger does not know"
            self._wanted(live_launches[place])
        for place in cloud.statements():
            assert place in live_policies, f"invariant 1: the statement {place} is there and the ledger does not know"
            self._wanted(live_policies[place])
        for place in cloud.permissions - cloud.foreign - self._claims.keys() - cloud.unclear:
            assert place in live, f"invariant 1: {place} is open and the ledger does not know"
            self._wanted(live[place])
        for name in cloud.grants.keys() - self._given_up():
            assert name in live_grants, f"invariant 1: the grant {name} is open and the ledger does not know"
            self._wanted(live_grants[name])

    def _given_up(self) -> set[tuple[str, str]]:
        """Grants on target keys whose revocation the target refused for an hour; telemetry has reported each."""
        reported = self._hub.telemetry.reported
        for name, args in reported[self._handled :]:  # the list is long: do not read the same entries again
            if name == "share" and args[2] == "left open in the target":
                self._keys_left.add(args[0].split("#")[2])
        self._handled = len(reported)
        return {(key, name) for key, name in self._hub.cloud.grants if key in self._keys_left}

    def _wanted(self, share: Share) -> None:
        if standing(share) and share.state is ShareState.OPEN:
            return
        record = self._hub.stores.seen(RecordKey(share.resource))
        due = None if record is None else record.wake_at
        # A standing share has no due time. A delivery killed between release and wake is due, and releases it again.
        let_go = not share.last_closing_at and self._held(share.account)
        assert due is not None or let_go, (
            f"invariant 6: {share.resource} has a share that is {share.state}, and nothing is due"
        )
        soon = due is not None and due <= self._hub.cloud.now + LONGEST_STEP
        if not share.preexisting and share.last_closing_at and not share.resource.startswith("resource#role#"):
            late = self._hub.cloud.now - share.last_closing_at
            assert late < CLOSES_WITHIN + self.refused_for, (
                f"invariant 1: {share.resource} is open {late} s past its last closing time"
            )
        assert share.holdings or soon or self._held(share.account), (
            f"invariant 1: {share.resource} stays open for nobody"
        )

    def _instances_are_needed(self) -> None:
        """No instance outlives its delivery; one that the target does not let go is named (invariant 13)."""
        for one in self._hub.cloud.instances.values():
            if one.state == "terminated" or addresses.delivery(one.delivery) in self.poisoned:
                continue
            record = self._delivery(one.delivery)
            known = any(one.token == attempt.nonce for attempt in record.launch.attempts)
            named = record.launch.left and one.id in record.cleanup.leftovers
            assert known, f"invariant 13: {one.id} is {one.state}, and {one.delivery} does not know it"
            rests = record.ended or record.state in (DeliveryState.PUBLISHING, DeliveryState.SHARED)
            assert not rests or named, f"invariant 13: {one.id} is {one.state}, and its delivery {record.state}"

    def _held(self, account: str) -> bool:
        """Whether a delivery was killed while it added or removed its holdings: its own record is due."""
        accounts = [account] if account in self._hub.accounts else self._hub.accounts  # an OU stands for all accounts
        keys = [self._hub.delivery_key(ami, one) for ami in self._hub.cloud.hub_images for one in accounts]
        if any(key in self.poisoned for key in keys):
            return True
        found = [self._hub.stores.records.read(key) for key in keys]
        parsed = [DELIVERIES.decode(stored) for stored in found if stored is not None]
        return any(delivery.shares.held for delivery in parsed)

    # --- whose a permission is ---------------------------------------------------------------------------------------

    def given_by_hand(self, snapshot: str, account: str) -> None:
        """A person shared a snapshot. It stays (invariant 2), unless the service's permission was there or near."""
        resource, place = addresses.snapshot_resource(snapshot).pk, (snapshot, account)
        shares = self._hub.stores.ledger.shares(resource)
        if any(one.account == account and not one.preexisting and one.state in LIVE for one in shares):
            self._hub.cloud.unclear.add(place)
            return
        self._claims[place] = self._hub.cloud.now

    def taken_by_hand(self, snapshot: str, account: str) -> None:
        """A person revoked the sharing of a snapshot."""
        place, cloud = (snapshot, account), self._hub.cloud
        self.taken.add(place)
        self._claims.pop(place, None)
        cloud.unclear.discard(place)
        cloud.foreign -= {place}

    def _resolve_claims(self) -> None:
        cloud = self._hub.cloud
        for place, since in list(self._claims.items()):
            shares = self._hub.stores.ledger.shares(addresses.snapshot_resource(place[0]).pk)
            ours = [one for one in shares if one.account == place[1] and one.state in LIVE and not one.preexisting]
            if any(one.intended_at < since + STALEST for one in ours):
                cloud.unclear.add(place)
            elif cloud.now >= since + STALEST:
                cloud.foreign |= {place}
            else:
                continue
            del self._claims[place]

    def _goes_on(self, key: RecordKey) -> None:
        """Invariant 6: a record that has not ended has a due time."""
        record = self._hub.stores.seen(key)
        if record is None or (record == self._goes.get(key) and record.state != DeliveryState.STOPPING):
            return  # most records are as they were at the last check
        self._goes[key] = record
        assert not record.parked or key in self.poisoned, f"parked: {key}: {record.parked}"
        if key in self.poisoned:
            return
        rests = (PromotionState.OVER, *ENDED, DeliveryState.SHARED)
        ended = record.state in rests or key.kind in ("quota", "resource")
        assert ended or record.scheduled, f"invariant 6: {key} is {record.state}, and nothing is due"
        if key.kind == "delivery":
            self._moves_on(key, self._delivery(key.pk.removeprefix("delivery#")), record.wake_at)

    def _moves_on(self, key: RecordKey, record: Delivery, wake_at: int | None) -> None:
        tells = record.state is DeliveryState.PUBLISHING or record.cleanup.done  # a notice ends by its own tries
        end = None if tells else machine.deadline(record)
        in_time = end is None or wake_at is None or wake_at <= end or self._hub.cloud.now >= end
        assert in_time, f"invariant 6: {key} is {record.state} until {end}, and woken no sooner than {wake_at}"
        if record.state is DeliveryState.STOPPING and machine.needs_shares(record):
            late = self._hub.cloud.now - record.entered[DeliveryState.STOPPING]
            assert late < CLOSES_WITHIN + self.refused_for, (
                f"invariant 1: {key} stops, and has held its shares for {late} s"
            )
        episode, state = self._ended.get(key.pk, (0, ""))
        back = state == DeliveryState.DELIVERED or record.episode == episode
        turns = record.ami in self.recalled and state in TURNS  # by an episode of its own
        stays = not state or not back or turns or record.state == state
        assert stays, f"invariant 6: {key} was {state}, and is {record.state}"
        if record.ended:
            self._ended[key.pk] = (record.episode, record.state)
        if record.state is DeliveryState.DELIVERED:
            self._delivered.setdefault(key.pk, record.image.id or "none")

    # --- at rest -----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Check when nothing more will happen. Promotions wait for damaged deliveries, which leave their copies."""
        cloud, hub = self._hub.cloud, self._hub
        kept = {kind: self._kept_open(kind) for kind in ("snapshot", "image", "policy")}
        left = cloud.permissions - cloud.foreign - cloud.unclear - self._claims.keys() - kept["snapshot"]
        assert not left, f"invariant 1: left open: {left}"
        assert cloud.foreign <= cloud.permissions, "invariant 2: a permission that was there before us is gone"
        grants = cloud.grants.keys() - self._given_up() - self._kept_with_images()
        assert not grants, f"invariant 1: grants left: {grants}"
        launches = cloud.launches - kept["image"]
        assert not launches, f"invariant 1: launch permissions left: {launches}"
        statements = cloud.statements() - kept["policy"]
        assert not statements, f"invariant 1: statements left: {statements}"
        for key in cloud.policies:
            rests = cloud.statements(key) or cloud.policy(key) == OWNERS_POLICY
            assert rests, f"invariant 1, 2: the policy of {key} is left as {cloud.policy(key)}"
        assert not hub.groups.dead, f"dead letters: {hub.groups.dead}"
        waits = {addresses.promotion(ami) for ami in cloud.hub_images if self._poisoned_of(ami)}
        damaged = [ami for ami in cloud.hub_images if addresses.promotion(ami) in self.poisoned]
        unapprovable = {hub.delivery_key(ami, account) for ami in damaged for account in hub.accounts}
        for key in hub.known():
            record = hub.stores.seen(key)
            ended = record is None or record.state in (PromotionState.OVER, *ENDED, DeliveryState.SHARED, "open")
            asks = key in unapprovable and record is not None and record.state == DeliveryState.AWAITING_APPROVAL
            assert ended or asks or key in self.poisoned | waits, (
                f"invariant 6: {key} rests in {record and record.state}"
            )
            if record is not None and ended and key.kind == "delivery" and key not in self.poisoned:
                self._notified(self._delivery(key.pk.removeprefix("delivery#")))
        lost = {key.pk.removeprefix("delivery#") for key in self.poisoned}
        used = {copy for image in cloud.images.values() for copy in image.copies}
        listed = self._listed_leftovers()
        used |= listed | cloud.kept | self.planted
        for image in cloud.images.values():
            if image.delivery and image.delivery not in lost and not {image.id, f"AMI {image.name}"} & listed:
                state = self._delivery(image.delivery).state
                assert state in TURNS, f"invariant 4: orphan: {image.id} of {image.delivery}, which is {state}"
        orphans = [copy for copy in cloud.live_copies() if copy.id not in used and copy.delivery not in lost]
        assert not orphans, f"invariant 4: orphans: {orphans}"
        for resource in hub.resources():
            for one in hub.stores.ledger.shares(resource):
                if self._kept(one):
                    continue
                held = {holding.delivery for holding in one.holdings}
                if not held <= lost or not held:
                    assert not needed(one), f"invariant 1: {resource} still counts {one}"
                assert one.state not in LIVE, f"invariant 1: {resource} rests {one.state} for {one.account}"
        self._names_what_is_current()
        self._instances_are_needed()
        for quota in hub.quota_keys():
            for lease in hub.stores.slots.leases(quota):
                assert lease.over or lease.delivery in lost, f"{quota} still keeps slots: {lease}"

    def _names_what_is_current(self) -> None:
        """Each parameter names the newest AMI that was delivered or is shared there (invariant 12)."""
        cloud, newest = self._hub.cloud, {}
        for key in self._hub.delivery_keys():
            if key in self.poisoned or self._hub.stores.records.read(key) is None:
                continue
            one = self._delivery(key.name)
            image = one.ami if one.state is DeliveryState.SHARED else one.image.id or ""
            stands = one.state in (DeliveryState.DELIVERED, DeliveryState.SHARED) and one.naming.parameter
            stands = stands and one.ami not in cloud.recalls
            if stands and image in cloud.launchable(one.target.account):
                place = one.target.account, one.naming.parameter
                made = cloud.hub_images[one.ami]["CreationDate"], one.ami, image
                newest[place] = max(made, newest.get(place, made))
        for place in {*newest, *cloud.parameters}:
            if self.poisoned or place in self.foreign_parameters or place[0] not in cloud.directory.accounts:
                continue
            shown, wanted = cloud.parameters.get(place), newest[place][2] if place in newest else ""
            pointer = POINTERS.decode(self._hub.stores.records.read(addresses.pointer(place[0], REGION, place[1])))
            why = "" if pointer.fault is None else pointer.fault.code
            no_role = why == "aws-AccessDenied" and place[0] in getattr(self._hub, "roleless", ())
            left = (not wanted and why == "pointer-nothing-current") or why == "no-hub-copy" or no_role
            assert (shown.value if shown else "") == wanted or left, (
                f"invariant 12: {place} shows {shown}, not {wanted}: {pointer}"
            )

    def _needs(self, delivery: str, resource: str) -> bool:
        """Whether a delivery copies by this resource: a file may have changed how it may use the key since."""
        key = addresses.delivery(delivery)
        if key in self.poisoned:
            return True
        return resource in {share.resource for share in self._delivery(delivery).shares.needed}

    def _kept(self, share: Share) -> bool:
        """Whether a share stays: held by deliveries at rest, or a grant held by delivered AMIs.

        No one else holds it, except damaged deliveries, and those only while an AMI is tagged for which they hold it.
        """
        if not standing(share):
            return False
        lost = {key.pk.removeprefix("delivery#") for key in self.poisoned}
        holders = {holding.delivery for holding in share.holdings} - lost - {DELIVERED_AMIS}
        if not holders and not Resource.parse(share.resource).at_home:
            return any(self._hub.cloud.is_tagged(holding.ami) for holding in share.holdings)
        rests = (
            {DeliveryState.SHARED, DeliveryState.DELIVERED}
            if share.resource.startswith("resource#role#")
            else {DeliveryState.SHARED}
        )
        return all(self._delivery(holder).state in rests for holder in holders)

    def _kept_open(self, kind: str) -> set[tuple[str, str]]:
        """The standing shares of one kind: (snapshot, AMI or key; the share's name)."""
        shares = (one for resource in self._hub.resources() for one in self._hub.stores.ledger.shares(resource))
        of_kind = (one for one in shares if one.resource.startswith(f"resource#{kind}#"))
        return {(one.resource.split("#")[2], one.share_name) for one in of_kind if self._kept(one)}

    def _kept_with_images(self) -> set[tuple[str, str]]:
        shares = (one for resource in self._hub.resources() for one in self._hub.stores.ledger.shares(resource))
        kept = {(one.resource.split("#")[2], stem(grant_name(one))) for one in shares if self._kept(one)}
        return {(key, name) for key, name in self._hub.cloud.grants if (key, stem(name)) in kept}

    def really_open(self, ident: str) -> None:
        """Check that AWS has every permission that a shared delivery holds, except for those that people revoked."""
        cloud, delivery = self._hub.cloud, self._delivery(ident)
        granted = {(key, stem(name)) for key, name in cloud.grants}
        for share in delivery.shares.needed:
            kind, name = share.resource.split("#")[1:3]
            place, shown = {
                "snapshot": ((name, share.share_name), cloud.permissions),
                "image": ((name, share.share_name), cloud.launches),
                "policy": ((name, share.share_name), cloud.statements()),
                "key": ((name, grant_stem(share.share_name, REGION)), granted),
                "role": ((name, f"{delivery.target.account}/{grant_stem(share.share_name, REGION)}"), granted),
            }[kind]
            there = place in shown or place in self.taken
            assert there, (
                f"invariant 1: {delivery.id} is shared, and {share.resource} is not open to {share.share_name}"
            )

    def _notified(self, record: Delivery) -> None:
        """Owners were notified how it ended."""
        if self.may_tell_nobody:
            return
        reported = [notice for notice in self._hub.cloud.notices if notice.get("delivery") == record.id]
        assert any(notice["outcome"] == record.state for notice in reported), (
            f"nobody was told: {record.id} {record.state}"
        )

    def _poisoned_of(self, ami: str) -> bool:
        keys = {self._hub.delivery_key(ami, account) for account in self._hub.accounts}
        return bool(self.poisoned & (keys | {addresses.promotion(ami)}))

    def _listed_leftovers(self) -> set[str]:
        """What the service may not remove is listed for its owner."""
        reported = [notice for notice in self._hub.cloud.notices if notice["event"].startswith("delivery.")]
        return {left for notice in reported for left in notice.get("leftovers", ())}

    # --- records -----------------------------------------------------------------------------------------------------

    def _delivery(self, ident: str) -> Delivery:
        stored = self._hub.stores.records.read(addresses.delivery(ident))
        assert stored is not None, f"no delivery {ident}"
        before = self._parsed.get(ident)
        if before is None or before[0] != stored:  # most records are as they were at the last check
            before = self._parsed[ident] = stored, DELIVERIES.decode(stored)
        return before[1]

    def _share(self, asked: Share) -> Share:
        shares = self._hub.stores.ledger.shares(asked.resource)
        found = [share for share in shares if share.share_name == asked.share_name]
        assert found, f"invariant 3: {asked.resource} has no share {asked.share_name} on record"
        return found[0]


def stem(grant: str) -> str:
    """The common prefix of the names of a share's grants."""
    return grant.rpartition(":")[0] + ":"


def ids(notices: list[Any], event: str) -> list[str]:
    """Return the ids of the notices of one event, without repeats."""
    return sorted({notice["id"] for notice in notices if notice["event"] == event})
