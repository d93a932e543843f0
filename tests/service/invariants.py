"""The invariants in the model: those of the common list, and more that only its world shows.

Checked at every call that changes AWS, after every invocation, and at rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from chalicelib.delivery import machine
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import ENDED, CopyState, Delivery, DeliveryState
from chalicelib.delivery.slots import used
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
from chalicelib.sharing.share import DELIVERED_AMIS, OPEN_STATES, Share, ShareState
from tests.invariants import (
    STALEST,
    AtRest,
    BetweenCalls,
    Closing,
    Copying,
    Launching,
    Opening,
    Pointing,
    Registering,
    SeenRecord,
    Telling,
    broken,
)
from tests.service.cloud import OWNERS_POLICY, REGION, grant_name
from tests.stores import Seen

if TYPE_CHECKING:
    from tests.service.hub import Hub

ADAPTERS = ("snapshots", "images", "keys", "policies", "roles")
LONGEST_STEP = 15 * 60
"""The sweep's longest step, in seconds."""
REMOVES = (DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.FAILED, DeliveryState.CANCELLED)
TURNS = (DeliveryState.DELIVERED, DeliveryState.RECALLED)
"""Ends in which the target has its AMI; a recall, and its lift, lead from one to the other."""
IN_USE = (CopyState.PENDING, CopyState.COMPLETED)
CLOSES_WITHIN = 3600
"""Seconds after its last closing time in which a share must close: crashes and refusals here last no longer."""


class Invariants:
    """Raises AssertionError, naming the invariant."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._view = ModelView(hub, self)
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
        self.damaged_holdings: set[tuple[str, str, str]] = set()
        """Holdings (resource, share, delivery) that a test has damaged."""
        self.read_before: tuple[set[str], set[tuple[str, str]], set[str]] = set(), set(), set()
        """Receivers, withdrawals and recalls when the invocation began: it may have read these before a change."""
        self.foreign_parameters: set[tuple[str, str]] = set()
        """Parameters (account, name) into which somebody else has written an AMI: they stay as they are."""
        self.recalled: set[str] = set()
        """AMIs that an operator has recalled at some time."""
        self.begun_before: set[tuple[str, int]] = set()
        """Deliveries (id, episode) that had begun when a file changed the waves: they wait for nobody any more."""
        self.refused_for = 0
        """Seconds for which AWS has refused calls without a pause: a share may close so much later."""
        self.may_tell_nobody = False
        """Nothing could be published for hours: a channel that stays closed for an hour is given up."""

    # --- at a call ---------------------------------------------------------------------------------------------------

    def watch(self, port: str, method: str, args: tuple[Any, ...]) -> None:
        """Check the invariants before a call takes effect."""
        self._resolve_claims()
        for moment in moments(port, method, args):
            self._hold(moment)
        checks: dict[tuple[str, str], Callable[[], None]] = {
            ("target.snapshots", "copy"): lambda: self._copying(args[0], args[1].id),
            ("target.snapshots", "delete"): lambda: self._deleting(args[0], set(args[1])),
            ("target.images", "deregister"): lambda: self._deregistering(args[0], args[1]),
            ("target.parameters", "deprecate"): lambda: self._retiring(args[1], args[2]),
            ("target.parameters", "end_retirement"): lambda: self._ending_retirement(args[1], args[2]),
        }
        if check := checks.get((port, method)):
            check()
        elif port in ADAPTERS and method == "open":
            for share in args[0]:
                self._opening(share)

    def _hold(self, moment: object) -> None:
        """Assert the invariants of the common list."""
        for what in broken(self._view, moment):
            raise AssertionError(what)

    def _retiring(self, asked: Pointer, image: str) -> None:
        """Superseded copies alone are deprecated: neither what the parameter names, nor the hub's own AMI."""
        record = POINTERS.decode(self._hub.stores.records.read(asked.key))
        assert image in record.retiring, f"invariant 3: {image} is deprecated without an intent on record"
        shown = self._hub.cloud.parameters.get((asked.account, asked.parameter))
        assert shown is None or shown.value != image, f"{asked.where} names {image}, which is deprecated"
        assert image in self._hub.cloud.images, f"{image} is no copy"

    def _ending_retirement(self, asked: Pointer, image: str) -> None:
        """Only a deprecation that the service has written ends, of what the parameter names."""
        record = POINTERS.decode(self._hub.stores.records.read(asked.key))
        assert image in record.own_dates, f"invariant 3: {image} gets a date without an intent on record"
        shown = self._hub.cloud.parameters.get((asked.account, asked.parameter))
        assert shown is not None, f"{asked.where} names nothing, and {image} is deprecated no longer"
        assert shown.value == image, f"{asked.where} names {shown.value}, and {image} is deprecated no longer"

    def _copying(self, asked: Delivery, source: str) -> None:
        record = self.delivery(asked.id)
        lease = self._hub.stores.slots.lease(record.copy_quota, record.id)
        held = lease is not None and lease.granted >= used(record) and self._hub.cloud.now < lease.until
        assert held, f"invariant 7: {source} is copied for {asked.id} without a slot: {lease}"

    def _deleting(self, asked: Delivery, copies: set[str]) -> None:
        record = self.delivery(asked.id)
        used = {copy.id for copy in record.copies if copy.state in IN_USE and record.state not in REMOVES}
        assert not used & copies, f"invariant 4: {asked.id} deletes {used & copies}, which it goes on with"
        self._spares_planted(asked, copies)

    def _deregistering(self, asked: Delivery, image: str) -> None:
        record = self.delivery(asked.id)
        fails = record.state is DeliveryState.REGISTERING and record.image.id == image
        if fails or image in record.request.discarded:  # the latter by a run beside another
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

    def _opening(self, asked: Share) -> None:
        share = self._share(asked)
        account = asked.account
        _, withdrawn, recalled = self.read_before
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
        ends = share.last_closing_at > 0 or standing(share) or not share.holdings
        assert ends, f"invariant 1: {asked.resource} opens to {account} without an end"

    def begins(self) -> None:
        """An invocation begins. What changes from now on need not show in what it reads."""
        self.read_before = self.receivers(), set(self._hub.out), set(self._hub.cloud.recalls)

    def receivers(self) -> set[str]:
        """The receivers in the applied file: its accounts, its OUs, and the accounts in those."""
        directory = self._hub.cloud.directory
        units = directory.membership.units.values()
        return {*directory.accounts, *(unit.arn for unit in units), *(one for unit in units for one in unit.accounts)}

    def unfinished(self, share: Share) -> Iterator[str]:
        """List the copies and AMIs that are being made by a share, and that are still wanted."""
        cloud = self._hub.cloud
        kind, name = share.resource.split("#")[1:3]
        if past_end(share, cloud.now):
            return
        for copy in (copy for copy in cloud.copies.values() if copy.state == "pending" and not copy.deleted):
            if copy.account != share.account or self._no_longer_wanted(copy.delivery, share):
                continue
            uses = {
                "snapshot": copy.source == name,
                "key": (copy.key, copy.delivery) == (name, share.share_name),
                "policy": copy.key == name and self._needs(copy.delivery, share),
                "role": False,
                "image": False,
            }[kind]
            if uses:
                yield copy.id
        for image in cloud.images.values():
            running = kind == "image" and image.raw["State"] == "pending" and bool(image.mappings)
            uses = running and (image.source, image.account) == (name, share.account)
            if uses and not self._no_longer_wanted(image.delivery, share):
                yield image.id

    def _is_let_go(self, delivery: str, share: Share) -> bool:
        """Whether others have released what a delivery that cannot act held, because nobody wants its copies."""
        holds = any(holding.delivery == delivery for holding in share.holdings)
        return RecordKey(f"delivery#{delivery}") in self.poisoned and not holds

    def _no_longer_wanted(self, delivery: str, share: Share) -> bool:
        """Whether nobody wants the delivery's copies any longer, and their deletion was accepted or refused twice."""
        key = RecordKey(f"delivery#{delivery}")
        if not delivery or key in self.poisoned or self._hub.stores.records.read(key) is None:
            return self._is_let_go(delivery, share)
        record = self.delivery(delivery)
        return record.state in REMOVES and record.cleanup.deletes_accepted

    # --- after an invocation -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Check after every invocation, whether it ended or was killed."""
        self._resolve_claims()
        self._units |= {unit.arn for unit in self._hub.cloud.directory.membership.units.values()}
        self._shares_are_needed()
        self._hold(BetweenCalls())
        cloud = self._hub.cloud
        theirs = [image.id for image in cloud.images.values() if self.planted & set(image.copies)]
        assert not theirs, f"invariant 4: {theirs} are made of what somebody planted"
        for delivery, image in self._delivered.items():
            there = image in cloud.images or image in cloud.deregistered
            assert there, f"invariant 4: {image}, delivered by {delivery}, is gone"

    def _shares_are_needed(self) -> None:
        cloud, live = self._hub.cloud, defaultdict[str, dict[tuple[str, str], Share]](dict)
        for share in (share for place in self._hub.resources() for share in self._hub.stores.ledger.shares(place)):
            if share.state in OPEN_STATES:
                kind, name = share.resource.split("#")[1:3]
                match kind:
                    case "key" | "role":
                        live["grant"][name, grant_name(share)] = share
                    case "policy":
                        live[kind][name, share.share_name] = share
                    case _:
                        live[kind][name, share.account] = share
        theirs = cloud.foreign | self._claims.keys() | cloud.unclear
        for kind, places, is_open in (
            ("image", cloud.launches, "{} may be launched"),
            ("policy", cloud.statements(), "the statement {} is there"),
            ("snapshot", cloud.permissions - theirs, "{} is open"),
            ("grant", cloud.grants.keys() - self._given_up(), "the grant {} is open"),
        ):
            for place in places:
                assert place in live[kind], f"invariant 1: {is_open.format(place)} and the ledger does not know"
                self._wanted(live[kind][place])

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

    def _held(self, account: str) -> bool:
        """Whether a delivery was killed while it added or removed its holdings: its own record is due."""
        accounts = [account] if account in self._hub.accounts else self._hub.accounts  # an OU stands for all accounts
        keys = [self._hub.delivery_key(ami, one) for ami in self._hub.cloud.hub_images for one in accounts]
        if any(key in self.poisoned for key in keys):
            return True
        found = [self._hub.stores.records.read(key) for key in keys]
        parsed = [DELIVERIES.decode(stored) for stored in found if stored is not None]
        return any(delivery.holdings.held for delivery in parsed)

    # --- whose a permission is ---------------------------------------------------------------------------------------

    def given_by_hand(self, snapshot: str, account: str) -> None:
        """A person shared a snapshot. It stays (invariant 2), unless the service's permission was there or near."""
        resource, place = addresses.snapshot_resource(snapshot).pk, (snapshot, account)
        shares = self._hub.stores.ledger.shares(resource)
        if any(one.account == account and not one.preexisting and one.state in OPEN_STATES for one in shares):
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
            theirs = [one for one in shares if one.account == place[1]]
            ours = [one for one in theirs if one.state in OPEN_STATES and not one.preexisting]
            if any(one.intended_at < since + STALEST for one in ours):
                cloud.unclear.add(place)
            elif cloud.now >= since + STALEST:
                cloud.foreign |= {place}
            else:
                continue
            del self._claims[place]

    def changed(self) -> Iterator[SeenRecord]:
        """Yield the records that have changed since the last check; those of deliveries must be woken in time, too."""
        for key in self._hub.known():
            record = self._hub.stores.seen(key)
            if record is None or (record == self._goes.get(key) and record.state != DeliveryState.STOPPING):
                continue
            self._goes[key] = record
            if key in self.poisoned:
                continue
            state = PromotionState.OVER if key.kind in ("quota", "resource") else record.state
            yield SeenRecord(key, state, record.scheduled, record.parked)
            if key.kind == "delivery" and not record.parked:
                self._moves_on(key, self.delivery(key.name), record.wake_at)

    def _moves_on(self, key: RecordKey, record: Delivery, wake_at: int | None) -> None:
        tells = record.state is DeliveryState.PUBLISHING or record.cleanup.done  # a notice ends by its own tries
        end = None if tells else machine.deadline(record)
        in_time = end is None or wake_at is None or wake_at <= end or self._hub.cloud.now >= end
        assert in_time, f"invariant 6: {key} is {record.state} until {end}, and woken no sooner than {wake_at}"
        if record.state is DeliveryState.STOPPING and not record.cleanup.deletes_accepted:
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
        self._hold(AtRest())
        self._hold(BetweenCalls())
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
        lost = self._lost()
        for resource in hub.resources():
            for one in hub.stores.ledger.shares(resource):
                if self._kept(one):
                    continue
                held = {holding.delivery for holding in one.holdings}
                if not held <= lost or not held:
                    assert not needed(one), f"invariant 1: {resource} still counts {one}"
                assert one.state not in OPEN_STATES, f"invariant 1: {resource} rests {one.state} for {one.account}"
        for quota in hub.quota_keys():
            for lease in hub.stores.slots.leases(quota):
                assert lease.over or lease.delivery in lost, f"{quota} still keeps slots: {lease}"

    def left_open(self) -> Iterator[str]:
        """Describe what is open, and held by nobody."""
        cloud = self._hub.cloud
        kept = {kind: self._kept_open(kind) for kind in ("snapshot", "image", "policy")}
        ours = cloud.permissions - cloud.foreign - cloud.unclear - self._claims.keys()
        left = {
            "permission": ours - kept["snapshot"],
            "grant": cloud.grants.keys() - self._given_up() - self._kept_with_images(),
            "launch permission": cloud.launches - kept["image"],
            "statement": cloud.statements() - kept["policy"],
        }
        yield from (f"{what} {place}" for what, places in left.items() for place in sorted(places))

    def orphans(self) -> Iterator[str]:
        """Describe the copies and AMIs that nothing needs, and that no notice lists."""
        cloud, lost = self._hub.cloud, self._lost()
        listed = self._listed_leftovers()
        for image in cloud.images.values():
            if image.delivery and image.delivery not in lost and not {image.id, f"AMI {image.name}"} & listed:
                state = self.delivery(image.delivery).state
                if state not in TURNS:
                    yield f"{image.id} of {image.delivery}, which is {state}"
        used = {copy for image in cloud.images.values() for copy in image.copies}
        used |= listed | cloud.kept | self.planted
        for copy in cloud.live_copies():
            if copy.id not in used and copy.delivery not in lost:
                yield f"{copy.id} of {copy.delivery}, {copy.state}"

    def strangers(self) -> Iterator[str]:
        """Describe the permissions of those who are to receive nothing; an OU or organization may launch alone."""
        cloud, accounts = self._hub.cloud, set(self._hub.accounts)
        copying = {(what, who) for what, who in cloud.permissions - cloud.foreign if who not in accounts}
        launching = {(what, who) for what, who in cloud.launches if who not in accounts | self._units}
        yield from (f"{what} to {who}" for what, who in sorted(copying | launching))

    def _lost(self) -> set[str]:
        """Deliveries whose record a test has damaged."""
        return {key.pk.removeprefix("delivery#") for key in self.poisoned}

    def _needs(self, delivery: str, share: Share) -> bool:
        """Whether a delivery copies by this share: a file may have changed its mode, or how it may use the key, since.

        Another AMI may hold a share of the same key for the same account in the other mode.
        """
        key = addresses.delivery(delivery)
        if key in self.poisoned:
            return True
        needed = {(one.resource, one.share_name) for one in self.delivery(delivery).holdings.needed}
        return (share.resource, share.share_name) in needed

    def _kept(self, share: Share) -> bool:
        """Whether a share stays: held by deliveries at rest, or a grant held by delivered AMIs.

        No one else holds it, except damaged deliveries, and those only while an AMI is tagged for which they hold it.
        On a target's own key it stays for these in any case: only a delivery releases its grants there.
        """
        if Resource.parse(share.resource).on_own_key and self._is_lost(share):
            return True
        if not standing(share):
            return False
        lost = {key.pk.removeprefix("delivery#") for key in self.poisoned}
        holders = {holding.delivery for holding in share.holdings} - lost - {DELIVERED_AMIS}
        if not holders and not Resource.parse(share.resource).on_own_key:
            return any(self._hub.cloud.is_tagged(holding.ami) for holding in share.holdings)
        rests = (
            {DeliveryState.SHARED, DeliveryState.DELIVERED}
            if share.resource.startswith("resource#role#")
            else {DeliveryState.SHARED}
        )
        return all(self.delivery(holder).state in rests for holder in holders)

    def _is_lost(self, share: Share) -> bool:
        """Whether its holding was damaged, and its delivery was, too."""
        held = (one for *place, one in self.damaged_holdings if place == [share.resource, share.share_name])
        return any(addresses.delivery(one) in self.poisoned for one in held)

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
        cloud, delivery = self._hub.cloud, self.delivery(ident)
        granted = {(key, stem(name)) for key, name in cloud.grants}
        for share in delivery.holdings.needed:
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

    def _poisoned_of(self, ami: str) -> bool:
        keys = {self._hub.delivery_key(ami, account) for account in self._hub.accounts}
        return bool(self.poisoned & (keys | {addresses.promotion(ami)}))

    def _listed_leftovers(self) -> set[str]:
        """What the service may not remove is listed for its owner."""
        reported = [notice for notice in self._hub.cloud.notices if notice["event"].startswith("delivery.")]
        return {left for notice in reported for left in notice.get("leftovers", ())}

    # --- records -----------------------------------------------------------------------------------------------------

    def delivery(self, ident: str) -> Delivery:
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


def moments(port: str, method: str, args: tuple[Any, ...]) -> list[object]:
    """What a call on a port is about to do, for the common list."""
    match port, method:
        case "target.snapshots", "copy":
            return [Copying(args[0].id, args[1].id)]
        case "target.images", "register" | "copy":
            return [Registering(args[0].id)]
        case "target.parameters", "change":
            return [Pointing(args[1].key)]
        case "notices", "publish":
            return [Telling(args[0])]
        case "target.instances", "run":
            return [Launching(args[0].id, {one.nonce for one in args[0].launch.attempts})]
        case _ if port in ADAPTERS and method in ("open", "close"):
            if method == "open":
                return [Opening(share.resource, share.share_name, share.intended_at) for share in args[0]]
            return [Closing(share.resource, share.share_name, share.intended_at, share) for share in args[0]]
    return []


class ModelView:
    """The model's world, for the common list."""

    def __init__(self, hub: Hub, invariants: Invariants) -> None:
        self._hub = hub
        self._invariants = invariants

    def damaged(self, delivery):
        return addresses.delivery(delivery) in self._invariants.poisoned

    def delivery(self, ident):
        return self._invariants.delivery(ident)

    def deliveries(self):
        keys = [key for key in self._hub.delivery_keys() if key not in self._invariants.poisoned]
        return [self.delivery(key.name) for key in keys if self._hub.stores.records.read(key) is not None]

    def share(self, resource, name):
        return next((one for one in self._hub.stores.ledger.shares(resource) if one.share_name == name), None)

    def was_open(self, resource, name):
        return self._hub.stores.ledger.was_open(resource, name)

    def pointer(self, key):
        stored = None if key in self._invariants.poisoned else self._hub.stores.records.read(key)
        return None if stored is None else POINTERS.decode(stored)

    def records(self):
        return self._invariants.changed()

    def groups_before(self, delivery):
        directory, account = self._hub.cloud.directory, delivery.target.account
        units = directory.membership.units
        found = {}
        if (delivery.id, delivery.episode) in self._invariants.begun_before:
            return found
        for wave in (wave for name, wave in directory.waves.items() if account in directory.groups[name]):
            named = [(one, *units[one].accounts) if one in units else (one,) for one in directory.groups[wave.after]]
            found[wave.after] = set().union(*named) or self._hub.accounts[:1]  # it may have left after the wave opened
        return found

    def succeeded(self, ami, account):
        """A later generation may try it again meanwhile."""
        if any(one.account == account and one.state in GOOD for one in self._hub.stores.tracked.all(ami)):
            return True
        good = [one for one in self._hub.cloud.notices if one["event"] in ("delivery.delivered", "delivery.shared")]
        return any((one["source_image"], one["account"]) == (ami, account) for one in good)

    def live_copies(self):
        live = [one for one in self._hub.cloud.live_copies() if one.id not in self._invariants.planted]
        return [one for one in live if one.state != "error"]

    def images(self):
        return self._hub.cloud.images.values()

    def instances(self):
        return self._hub.cloud.instances.values()

    def made_at(self, ami):
        return self._hub.cloud.hub_images[ami]["CreationDate"]

    def usable(self, delivery, image):
        cloud, account, release = self._hub.cloud, delivery.target.account, (self.made_at(delivery.ami), delivery.ami)
        pin = cloud.pins.get((account, delivery.naming.family))
        allowed = delivery.ami not in cloud.recalls and (pin is None or release <= pin.order)
        return allowed and image in cloud.launchable(account)

    def parameters(self):
        shown = self._hub.cloud.parameters
        return {(account, REGION, name): one.value for (account, name), one in shown.items()}

    def was_there_before(self, resource, name):
        return (resource.split("#")[2], name) in self._hub.cloud.foreign

    def gone(self):
        return self._hub.cloud.foreign - self._hub.cloud.permissions

    def unfinished(self, at):
        """Another run may just have closed it."""
        return self._invariants.unfinished(self.share(at.resource, at.name) or at.asked)

    def left_open(self):
        return self._invariants.left_open()

    def orphans(self):
        return self._invariants.orphans()

    def receives(self, account):
        return account in self._invariants.receivers() | self._invariants.read_before[0]

    def strangers(self):
        return self._invariants.strangers()

    def approved(self, ami, account):
        return self._hub.is_approved((ami, account))

    def existed(self, image):
        return image in self._hub.cloud.images or image in self._hub.cloud.deregistered

    def may_launch(self, ami, account):
        shares = self._hub.stores.ledger.find([(addresses.image_resource(ami).pk, account)])
        return (ami, account) in self._hub.cloud.launches and not any(share.holdings for share in shares)

    def was_notified(self, delivery):
        sent = [notice for notice in self._hub.cloud.notices if notice.get("delivery") == delivery.id]
        return self._invariants.may_tell_nobody or any(one["outcome"] == delivery.state for one in sent)

    def excuses(self, place, fault):
        account, _, name = place
        no_role = fault == "aws-AccessDenied" and account in getattr(self._hub, "roleless", ())
        theirs = (account, name) in self._invariants.foreign_parameters
        unlisted = account not in self._hub.cloud.directory.accounts
        return bool(self._invariants.poisoned or theirs or unlisted or no_role or fault == "no-hub-copy")


def stem(grant: str) -> str:
    """The common prefix of the names of a share's grants."""
    return grant.rpartition(":")[0] + ":"


def ids(notices: list[Any], event: str) -> list[str]:
    """Return the ids of the notices of one event, without repeats."""
    return sorted({notice["id"] for notice in notices if notice["event"] == event})
