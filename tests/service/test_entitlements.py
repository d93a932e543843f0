"""Where a share is opened, the share worker asks EC2 and the applied file who may hold it [invariants 8 and 11]."""

import json
from dataclasses import replace

import pytest

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import Attempt, DeliveryState
from chalicelib.delivery.worker.begun_deliveries import RecordedDeliveries
from chalicelib.engine import addresses, codec
from chalicelib.engine.errors import NewerSchema, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.engine.schedule import SECOND_LOOK_AFTER
from chalicelib.images.ports import HubSnapshot
from chalicelib.monitor.trail_actions import PUBLIC
from chalicelib.monitor.verdicts import strangers
from chalicelib.sharing.bounds import Bounds
from chalicelib.sharing.entitlement import HUB_COPY_CURE, USELESS, launched_by, of
from chalicelib.sharing.head import Head
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState
from chalicelib.sharing.worker.entitlements import FRESH, LOOKS, NOT_SHOWN, LiveEntitlements
from chalicelib.targets import withdrawals
from chalicelib.targets.applied_file import AppliedFile, Directory, Resolution, Target
from chalicelib.targets.organization import Membership, Organization, Unit
from chalicelib.targets.recalls import Recall
from chalicelib.targets.withdrawals import Withdrawal
from chalicelib.targets.worker.live_members import MEMBER_FOR, STRANGER_FOR, LiveMembers
from tests.delivery.examples import a_delivery
from tests.fakes import MemoryRecords
from tests.service.cloud import (
    HUB,
    REGION,
    Cloud,
    CloudBehavior,
    FakeSource,
    FakeTargets,
    FakeWhereabouts,
    refusal,
    source_key,
    target_key,
)
from tests.service.organization import ARN, ORGANIZATION, OTHER_ARN, OTHER_OU, OU, A, B, C, of_an_ou, with_members
from tests.service.slow_aws import SlowResource

AMI, OTHER, STRANGER, ABROAD = "ami-0a", "ami-0b", "999999999999", "eu-west-1"
ROLE = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
SNAPSHOT = addresses.snapshot_resource("snap-00").pk
IMAGE = addresses.image_resource(AMI).pk
KEY = addresses.key_resource(source_key(0), A).pk
POLICY = addresses.policy_resource(source_key(0)).pk
PARTS = (SNAPSHOT, KEY, IMAGE, POLICY)
"""What belongs to the tagged AMI."""
COPY_ABROAD = addresses.snapshot_resource("snap-0c", ABROAD).pk
KEY_ABROAD = f"arn:aws:kms:{ABROAD}:{HUB}:key/abroad"


class TaggedSource(FakeSource):
    """The hub's EC2; its copies of AMIs in another Region, by AMI; and how it refuses to show single AMIs."""

    def __init__(self, cloud):
        super().__init__(cloud)
        self.refuses: dict[str, Refusal] = {}
        self.asked: list[str] = []
        self.looked_at: list[str] = []
        self.abroad = {AMI: {"snap-0c": HubSnapshot(KEY_ABROAD, "nonce-1")}}
        self.owned = True

    def tag(self, ami):
        self.asked.append(ami)
        if ami in self.refuses:
            raise self.refuses[ami]
        return replace(super().tag(ami), owned=self.owned)

    def copies(self, ami, region, snapshots):
        self.looked_at += sorted(snapshots)
        there = self.abroad.get(ami, {}) if region == ABROAD else {}
        return {one: copy for one, copy in there.items() if one in snapshots}

    def snapshots_of(self, image, region):
        """See the port: one AMI of the hub in the other Region."""
        return frozenset({"snap-0c"}) if (image, region) == ("ami-0c", ABROAD) else frozenset()


class ListedTargets(FakeTargets):
    """The applied file, or the fault for which it cannot be used."""

    fault: Fault | None = None

    def read(self):
        return AppliedFile(fault=self.fault) if self.fault else super().read()


class AskedSource:
    """An AMI that is tagged for A, another that is not tagged, and a file that lists A and B."""

    def __init__(self, **settings):
        listed = {account: (Target(account, REGION, **settings),) for account in (A, B)}
        self.cloud = Cloud(Directory({"default": (A, B)}, listed), CloudBehavior(), lambda _event: None)
        self.cloud.make_image(AMI, {"snap-00": True})
        self.cloud.make_image(OTHER, {"snap-01": True})
        self.records, self.source, self.targets = MemoryRecords(), TaggedSource(self.cloud), ListedTargets(self.cloud)
        self.whereabouts = FakeWhereabouts(self.cloud)
        self.cloud.tag(AMI, A)
        self.bounds = Bounds()

    def in_force(self, value, ami=AMI, **known):
        """Write a head by which the service understood this value last."""
        body = json.dumps(codec.encode(Head(value=value, **known)))
        self.records.put(addresses.head(ami), {"kind": "head", "body": body})

    def damage_head(self):
        """Write a head that cannot be read."""
        self.records.put(addresses.head(AMI), {"kind": "head", "body": "no JSON"})

    def abroad_by_way_of_the_hub(self):
        """Let the tag's account have the AMI in the other Region by way of the hub's own copy there."""
        listed = {A: (Target(A, REGION), Target(A, ABROAD, by_way_of=HUB)), HUB: (Target(HUB, ABROAD),)}
        self.cloud.directory = Directory({"default": (A,)}, listed, hub=(HUB, REGION))

    def many(self, count, tagged):
        """Make this many AMIs of one snapshot, tag some for A, and return a grant that all of them hold."""
        amis = [f"ami-{number:03x}" for number in range(count)]
        for ami in amis:
            self.cloud.make_image(ami, {"snap-00": True})
        for ami in amis[tagged]:
            self.cloud.tag(ami, A)
        return share(KEY, A, *(held(ami=ami, purpose=Purpose.STANDING) for ami in amis))

    def delivers_to_itself(self, *nonces, made="", source="snap-00", earlier=()):
        """Give the hub a delivery to itself in the other Region, which made its copies with these nonces.

        ``made``: what is known to have been made with them, ``earlier``: and by tries before. ``source`` "": with one
        call, an AMI.
        """
        ident = addresses.delivery_id(HUB, AMI, HUB, ABROAD)
        attempts = tuple(Attempt(nonce, source, 1, made) for nonce in nonces)
        attempts = (*(Attempt(f"nonce-of-{one}", source, 1, one) for one in earlier), *attempts)
        record = replace(
            a_delivery(DeliveryState.DELIVERED), id=ident, ami=AMI, target=Target(HUB, ABROAD), attempts=attempts
        )
        self.records.records.pop(record.key, None)
        self.records.create(DELIVERIES.encode(record), 1)

    def has_members(self, *accounts, arn=ARN, **changes):
        """Let the table of members have these accounts in the OU, and change the file."""
        self.cloud.directory = replace(with_members(self.cloud.directory, *accounts, arn=arn), **changes)

    def live(self):
        """The port, over these."""
        ports = (
            self.records,
            RecordedDeliveries(self.records),
            self.source,
            self.targets,
            LiveMembers(lambda _named: self.whereabouts, lambda: self.cloud.now),
        )
        return LiveEntitlements(*ports, lambda: self.cloud.now, Place(HUB, REGION), self.bounds)

    def judge(self, *shares):
        """Of each share: "may" be opened, is "refused" or "waits", or AWS "owed" the answer; and why."""
        judged = self.live().judge(shares)
        owed = {name: refusal.fault for name, refusal in judged.owed.items()}
        said = {"waits": judged.waits, "owed": owed, "refused": judged.refused}
        why = {name: (how, fault.what) for how, faults in said.items() for name, fault in faults.items()}
        found = [why.get(one.share_name, ("may", "")) for one in shares]
        return found[0] if len(found) == 1 else found

    def answer(self, *shares):
        """The judgements without reasons."""
        return self.judge(*shares)[0]


def held(account=A, ami=AMI, purpose=Purpose.COPY, region=REGION) -> Holding:
    return Holding(ami, account, region, addresses.delivery_id(HUB, ami, account, region), 1, purpose)


def share(resource=SNAPSHOT, account=A, *holdings: Holding, name="") -> Share:
    """A requested share; by default A holds it for AMI."""
    return Share(resource, name or account, account, holdings=frozenset(holdings or {held()}))


def looked_for(one: Share) -> Share:
    """The share after looks over five minutes that did not show it as a part of the AMI."""
    return replace(one, tries=LOOKS, waits_for=Fault(NOT_SHOWN, "there", "It is not shown.", "Wait."))


def standing(resource, account=A, name="") -> Share:
    """A standing share that is requested for A."""
    return share(resource, account, held(purpose=Purpose.STANDING), name=name)


# --- what may be opened ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", PARTS)
def test_what_belongs_to_a_tagged_ami_may_be_opened_for_whom_its_tag_names(resource):
    """Its snapshots, itself, and their key by grant or policy."""
    assert AskedSource().answer(share(resource)) == "may"


def test_each_share_is_judged_by_itself():
    """One batch: a target, an account that the tag does not name, a stranger."""
    found = AskedSource().judge(
        share(), share(SNAPSHOT, B, held(B)), share(SNAPSHOT, STRANGER, held(STRANGER)), share(SNAPSHOT, C, held(C))
    )
    assert [how for how, _ in found] == ["may", "waits", "refused", "refused"]


@pytest.mark.parametrize("resource", PARTS)
def test_nothing_is_opened_for_a_receiver_that_the_stack_does_not_admit(resource):
    """Of every kind, although tag and file name it; an account that the stack names is served beside it."""
    asked = AskedSource()
    asked.cloud.tag(AMI, f"{A} {B}")
    asked.bounds = Bounds(frozenset({HUB, B}))
    (how, why), served = asked.judge(share(resource), share(resource, B, held(B)))

    assert (how, "TargetAccounts" in why) == ("refused", True)
    assert served == ("may", "")


# --- what is refused for good ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [None, A, STRANGER, "default"])
def test_whom_the_file_does_not_contain_is_refused_whatever_the_tag_says(tag):
    """A stranger's account id in the tag does not make it a target."""
    asked = AskedSource()
    asked.cloud.tag(AMI, tag)
    how, why = asked.judge(share(SNAPSHOT, STRANGER, held(STRANGER)))
    assert (how, f"does not contain account {STRANGER}" in why) == ("refused", True)


@pytest.mark.parametrize("receiver", [B, STRANGER, ARN, "all"])
@pytest.mark.parametrize("purpose", Purpose)
def test_a_share_in_the_name_of_one_target_and_to_another_receiver_is_refused(receiver, purpose):
    """Also if the receiver is listed: it has no holding of its own."""
    asked = AskedSource(mode="share", share_snapshots=True)
    for resource, name in ((SNAPSHOT, receiver), (IMAGE, A)):
        how, why = asked.judge(share(resource, receiver, held(A, purpose=purpose), name=name))
        assert (how, "another receiver" in why) == ("refused", True)


@pytest.mark.parametrize(
    "resource",
    [
        addresses.snapshot_resource("snap-01").pk,
        addresses.snapshot_resource("snap-0f").pk,
        addresses.image_resource(OTHER).pk,
        addresses.key_resource(source_key(1), A).pk,
        addresses.policy_resource(source_key(1)).pk,
        addresses.key_resource(target_key(B), A).pk,
    ],
)
def test_what_is_no_part_of_the_ami_is_refused(resource):
    """Another AMI, its snapshot or key, or an unknown AMI. One look is enough for what the AMI itself lists.

    A key is refused if looks over five minutes do not show it.
    """
    listed = resource.startswith(("resource#snapshot#", "resource#image#"))
    how, why = AskedSource().judge(share(resource) if listed else looked_for(share(resource)))
    assert (how, why.endswith(f"It is no part of {AMI}.")) == ("refused", True)


@pytest.mark.parametrize("resource", [KEY, POLICY])
def test_a_read_that_lacks_a_snapshot_for_a_moment_refuses_nothing(resource):
    """DescribeSnapshots answers what it knows just then; the next look shows the key, and reads it again."""
    asked = AskedSource()
    live = asked.live()
    keys, asked.source.keys = asked.source.keys, lambda _snapshots: frozenset()
    assert live.judge([share(resource)]).waits[A].code == NOT_SHOWN
    for before in (None, Fault("not-entitled-now", "there", "The tag did not name it.", "Wait.")):
        late = replace(share(resource), tries=LOOKS, waits_for=before)  # this is the first look that lacks it
        assert live.judge([late]).waits[A].code == NOT_SHOWN
    asked.source.keys = keys
    judged = live.judge([share(resource)])
    assert not {**judged.waits, **judged.refused}


def test_a_share_that_nobody_holds_is_refused():
    """The share worker removed its damaged holdings."""
    assert AskedSource().judge(Share(SNAPSHOT, A, A)) == ("refused", "Nothing is shared. No delivery holds it.")


# --- what waits ------------------------------------------------------------------------------------------------------


def test_a_look_that_does_not_show_the_tag_yet_lets_it_wait():
    """One read of EC2 may be stale, so it refuses nothing; the next read may allow it."""
    asked = AskedSource()
    asked.cloud.tag(AMI, None)
    how, why = asked.judge(share())
    assert (how, "does not name it now" in why) == ("waits", True)

    asked.cloud.tag(AMI, A)
    assert asked.answer(share()) == "may"


@pytest.mark.parametrize("how", ["gone", *USELESS, "another's"])
def test_an_ami_of_no_use_entitles_nobody(how):
    """Deregistered, disabled, or a stranger's with the hub's tag. EC2 shows such AMIs with tags for a while."""
    asked = AskedSource()
    if how == "gone":
        asked.cloud.gone.add(AMI)
    if how in USELESS:
        asked.cloud.hub_images[AMI]["State"] = how
    asked.source.owned = how != "another's"
    assert asked.answer(share()) == "waits"


@pytest.mark.parametrize("value", ["dve", "!", f"{A} {STRANGER}"])
def test_while_a_value_that_is_not_understood_stands_there_the_one_in_force_counts(value):
    """The last understood value counts. If there was none, or the head is damaged, the account waits."""
    asked = AskedSource()
    asked.cloud.tag(AMI, value)
    assert asked.answer(share()) == "waits"
    asked.in_force(A)
    assert asked.answer(share()) == "may"
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "waits"
    assert asked.answer(share(SNAPSHOT, STRANGER, held(STRANGER))) == "refused"
    asked.damage_head()
    assert asked.answer(share()) == "waits"


def test_a_head_has_no_say_where_the_tag_is_understood_or_gone():
    """A forged head names B: the tag names only A, and an untagged AMI names no account."""
    asked = AskedSource()
    asked.in_force(f"{A} {B}")
    asked.in_force(f"{A} {B}", OTHER)
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "waits"
    assert asked.answer(share(addresses.snapshot_resource("snap-01").pk, B, held(B, OTHER))) == "waits"


def test_a_name_of_the_value_in_force_that_the_file_has_lost_names_nobody_and_blocks_nobody():
    """B leaves the file and becomes a stranger; A is entitled as before."""
    asked = AskedSource()
    asked.cloud.tag(AMI, f"{A} {B}")
    asked.in_force(f"{A} {B}")
    directory = asked.cloud.directory
    asked.cloud.directory = replace(directory, groups={"default": (A,)}, accounts={A: directory.accounts[A]})
    assert asked.answer(share()) == "may"
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "refused"


def test_a_file_that_cannot_be_used_lets_everybody_wait_with_its_fault():
    """A fault of the file is no evidence that an account is a stranger."""
    asked = AskedSource()
    asked.targets.fault = Fault("targets-unreadable", "there", "It cannot be read.", "Apply it again.")
    for account in (A, STRANGER):
        assert asked.judge(share(SNAPSHOT, account, held(account))) == ("waits", "It cannot be read.")


@pytest.mark.parametrize(
    ("settings", "stands"),
    [({}, ()), ({"mode": "share"}, (IMAGE, KEY)), ({"mode": "share", "share_snapshots": True}, (IMAGE, KEY, SNAPSHOT))],
    ids=str,
)
def test_what_is_to_stand_needs_settings_that_say_so(settings, stands):
    """Launch permission, key and snapshots stand in share mode alone, and snapshots only with ``share_snapshots``."""
    asked = AskedSource(**settings)
    for resource in (IMAGE, KEY, SNAPSHOT):
        assert asked.answer(standing(resource)) == ("may" if resource in stands else "waits")


def test_a_service_role_is_let_in_only_where_the_settings_name_it():
    """On the source's key and on the target's own key."""
    source, own = addresses.role_resource(source_key(0), A).pk, addresses.role_resource(target_key(A), A).pk
    without, named = AskedSource(mode="share"), AskedSource(mode="share", service_linked_roles=(ROLE,))
    copies = AskedSource(service_linked_roles=(ROLE,))
    other = looked_for(standing(addresses.role_resource(source_key(1), A).pk, name=ROLE))
    assert [without.answer(standing(place, name=ROLE)) for place in (source, own)] == ["waits"] * 2
    assert [named.answer(standing(place, name=ROLE)) for place in (source, own)] == ["may"] * 2
    assert [copies.answer(standing(place, name=ROLE)) for place in (source, own)] == ["waits", "may"]
    assert named.answer(other) == "refused", "a key that the AMI does not have"
    for asked in (named, copies):  # who can write the ledger must not get one for the copies, which need none
        assert [asked.answer(share(place, name=ROLE)) for place in (source, own)] == ["waits"] * 2
        assert asked.answer(share(POLICY, name=f"{A}-roles")) == "waits"


# --- organizational units --------------------------------------------------------------------------------------------


def by_unit(launch_permission, **settings) -> AskedSource:
    """An OU contains A and B; C is listed and also in the OU, with settings that differ."""
    asked = AskedSource()
    file = of_an_ou(A, B, C, launch_permission=launch_permission, **settings)
    asked.cloud.directory = replace(file, groups={**file.groups, "other": (C,)}, accounts={C: (Target(C, REGION),)})
    asked.cloud.tag(AMI, "default")
    return asked


def test_a_unit_that_the_file_names_for_it_may_launch():
    """The file names its ARN with ``launch_permission: group``; another OU's ARN and the account's id are refused."""
    asked = by_unit("group", mode="share")
    assert asked.answer(standing(IMAGE, ARN)) == "may"
    assert asked.answer(standing(IMAGE, OTHER_ARN)) == "waits"
    assert asked.answer(standing(IMAGE, A)) == "waits"
    assert asked.answer(standing(KEY, A)) == "may"


@pytest.mark.parametrize(
    ("resource", "purpose", "settings"),
    [
        (IMAGE, Purpose.COPY, {}),
        (IMAGE, Purpose.COPY, {"mode": "share"}),
        (IMAGE, Purpose.STANDING, {"mode": "share"}),
        (SNAPSHOT, Purpose.COPY, {}),
        (SNAPSHOT, Purpose.STANDING, {"mode": "share", "share_snapshots": True}),
    ],
)
def test_a_unit_gets_nothing_where_its_accounts_do_each_by_itself(resource, purpose, settings):
    """Neither the account's nor the OU's own holding opens the OU: it may contain more accounts."""
    asked = by_unit("account", **settings)
    for name in (A, ARN):
        assert asked.answer(share(resource, ARN, held(A, purpose=purpose), name=name)) != "may"
    assert asked.answer(share(resource, A, held(A, purpose=purpose))) == "may"


def test_an_account_whose_settings_conflict_waits_with_that_fault_and_nobody_else():
    """C's settings in the OU differ from its own."""
    asked = by_unit("account", mode="share")
    how, why = asked.judge(share(SNAPSHOT, C, held(C)))
    assert (how, "`mode`" in why) == ("waits", True)
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "may"


def test_who_left_the_unit_is_a_stranger():
    """The membership in force counts."""
    asked = by_unit("account")
    asked.has_members(A)
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "refused"
    assert asked.answer(share()) == "may"


# --- the table of members alone decides nothing ----------------------------------------------------------------------


def opened_to(asked, *accounts):
    """How each of these accounts' snapshot shares is judged."""
    return [how for how, _ in asked.judge(*(share(SNAPSHOT, one, held(one)) for one in accounts))]


def test_whom_only_the_table_of_members_has_in_an_ou_gets_nothing():
    """B was written into the table: Organizations has it elsewhere, or not at all, or does not call it ACTIVE."""
    asked = by_unit("account")
    for above in ((), ("r-ab12",), (OTHER_OU, "r-ab12")):
        asked.whereabouts.says[B] = above
        assert opened_to(asked, A, B) == ["may", "waits"]
    _how, why = asked.judge(share(SNAPSHOT, B, held(B)))
    assert "Organizations itself does not show account" in why
    asked.whereabouts.says[B] = (OTHER_OU, OU, "r-ab12")
    assert asked.answer(share(SNAPSHOT, B, held(B))) == "may", "an OU below the one that the file names"


def test_a_member_of_the_organization_or_its_root_is_one_that_has_any_place_in_it():
    """The file names the organization itself, or its root."""
    for unit in (ORGANIZATION, "r-ab12"):
        asked = by_unit("group", mode="share")
        whole = asked.whereabouts.arn()
        asked.cloud.directory = replace(
            asked.cloud.directory,
            groups={"default": (unit,)},
            organization=Organization(ORGANIZATION, {unit: ("default",)}),
            membership=Membership("1", {unit: Unit(whole, (A, B))}),
        )
        asked.whereabouts.says = {A: (OTHER_OU, "r-ab12"), B: ()}
        assert asked.answer(standing(KEY)) == "may"
        assert asked.answer(standing(IMAGE, name=whole, account=whole)) != "refused"
        assert asked.answer(share(addresses.key_resource(source_key(0), B).pk, B, held(B))) == "waits"


def test_an_arn_that_only_the_table_of_members_gives_an_ou_may_not_launch():
    """The launch permission would admit another organization's OU, in the name of a true member of this one."""
    asked = by_unit("group", mode="share")
    evil = ARN.replace("900000000000", STRANGER)
    asked.has_members(A, B, arn=evil)
    held_by_a = held(purpose=Purpose.STANDING)
    assert asked.answer(share(IMAGE, evil, held_by_a, name=evil)) != "may"
    assert asked.answer(share(IMAGE, ARN, held_by_a, name=ARN)) == "may"


@pytest.mark.parametrize("forged", [ORGANIZATION, "r-ab12", OTHER_OU])
def test_a_unit_that_only_the_table_of_members_has_makes_no_receiver_known(forged):
    """Monitor and audit would call the organization's ARN one that the file lists: no page for it."""
    asked = by_unit("group", mode="share")
    whole = asked.whereabouts.arn()
    arn = OTHER_ARN if forged == OTHER_OU else whole
    file = AppliedFile(with_members(asked.cloud.directory, A, B, **{forged: Unit(arn, (A,))}), "digest")
    members = LiveMembers(lambda _named: asked.whereabouts, lambda: asked.cloud.now)
    assert strangers([arn, ARN], members.checked(file, [arn, ARN, A])) == {arn, PUBLIC}


def test_an_arn_of_nothing_makes_no_account_of_an_ou_one_that_the_file_lists():
    """With it the table would say that the file lists the account itself."""
    asked = by_unit("account")
    asked.whereabouts.says[B] = ()
    asked.has_members(A, B, arn="")
    assert opened_to(asked, A, B) == ["may", "refused"]


def test_the_settings_are_those_of_the_ou_that_has_the_account_and_not_of_one_that_the_table_says():
    """The table moves A from an OU whose group needs an approval to one whose group needs none; the value is A's id."""
    asked = AskedSource()
    strict, lax = Target("", REGION, approval="required"), Target("", REGION)
    asked.cloud.directory = Directory(
        {"strict": (OU,), "lax": (OTHER_OU,)},
        {},
        {"strict": (strict,), "lax": (lax,)},
        organization=Organization(ORGANIZATION, {OU: ("strict",), OTHER_OU: ("lax",)}),
        membership=Membership("2", {OU: Unit(ARN), OTHER_OU: Unit(OTHER_ARN, (A,))}),
    )
    asked.whereabouts.says[A] = (OU, "r-ab12")
    assert asked.judge(share())[0] == "waits"
    asked.whereabouts.says[A] = (OTHER_OU, "r-ab12")
    assert asked.answer(share()) == "may"


@pytest.mark.parametrize("kind", ["denied", "role"])
def test_while_organizations_refuses_what_comes_from_ous_waits_and_nothing_else(kind):
    """C is listed by the file; it needs no answer. Nothing is refused for good, and one refusal ends the asking."""
    asked = by_unit("account")
    asked.has_members(A, B, groups={"default": (OU, C)})
    asked.whereabouts.refuses = refusal(RefusalKind(kind), "Refused")
    assert opened_to(asked, A, B, C) == ["waits", "waits", "may"]
    assert len(asked.whereabouts.asked) == 1
    asked.whereabouts.refuses = None
    assert opened_to(asked, A, B, C) == ["may", "may", "may"]


@pytest.mark.parametrize(
    ("value", "settings", "expected"),
    [
        ("other", {}, "may"),
        (C, {}, "may"),
        ("default other", {}, "may"),
        ("default", {}, "waits"),
        ("other", {"mode": "share"}, "waits"),
    ],
)
@pytest.mark.parametrize("kind", ["denied", "role"])
def test_while_organizations_refuses_whom_the_file_lists_too_needs_no_ou(kind, value, settings, expected):
    """C is listed in `other`, and in the OU. `default` names it by the OU alone; with other settings they conflict."""
    asked = by_unit("account", **settings)
    asked.cloud.tag(AMI, value)
    asked.whereabouts.refuses = refusal(RefusalKind(kind), "Refused")
    said = asked.judge(share(SNAPSHOT, C, held(C)))
    assert said == (expected, "" if expected == "may" else "AWS says Refused.")
    assert asked.answer(share()) == "waits"


def test_another_organization_than_the_files_is_found_out_within_ten_minutes():
    """The account of the read role joins another organization; a reader has learned once in which one it is."""
    asked = by_unit("account")
    moved = list[Refusal]()

    def reader(_named):
        made = FakeWhereabouts(asked.cloud)
        made.refuses = next(iter(moved), None)
        return made

    members = LiveMembers(reader, lambda: asked.cloud.now)
    file = AppliedFile(asked.cloud.directory, "digest")
    assert members.checked(file, [A]) is file
    moved.append(refusal(RefusalKind.DENIED, "another organization"))
    asked.cloud.now += MEMBER_FOR
    with pytest.raises(Refusal, match="another organization"):
        members.checked(file, [B])


def test_while_organizations_throttles_one_is_put_off_and_the_others_are_asked_about_next():
    """Putting off hundreds, time and again, would take hours. C is listed by the file, and may be opened."""
    asked = by_unit("account")
    asked.has_members(A, B, groups={"default": (OU, C)})
    asked.whereabouts.refuses = refusal(RefusalKind.THROTTLED, "TooManyRequests")
    shares = [share(SNAPSHOT, one, held(one)) for one in (A, B, C)]
    judged = asked.live().judge(shares)
    assert (set(judged.owed), judged.later, len(asked.whereabouts.asked)) == ({A}, {B}, 1)


def test_what_organizations_said_of_a_member_counts_for_ten_minutes_and_of_a_stranger_for_one():
    """A promotion opens snapshots and keys of one account in turn; an account that has just joined waits shortly."""
    asked = by_unit("account")
    live = asked.live()
    shares = [share(SNAPSHOT, one, held(one)) for one in (A, B)]
    asked.whereabouts.says[B] = ()
    calls = []
    assert MEMBER_FOR <= 600  # for so long an account that has left an OU may still receive something
    for seconds in (0, STRANGER_FOR - 1, 1, MEMBER_FOR - STRANGER_FOR):
        asked.cloud.now += seconds
        live.judge(shares)
        calls.append("".join("AB"[one == B] for one in asked.whereabouts.asked))
        asked.whereabouts.asked.clear()
    assert calls == ["AB", "", "B", "AB"]
    asked.cloud.directory = replace(
        asked.cloud.directory, organization=replace(asked.cloud.directory.organization, read_role="arn:another")
    )
    live.judge(shares)
    assert len(asked.whereabouts.asked) == 2, "another role reads another organization, perhaps"


def test_hundreds_of_accounts_that_hold_a_permission_of_their_ou_take_few_questions():
    """None of them belongs to the OU any more; each has its turn, and the last still does."""
    asked = by_unit("group", mode="share")
    accounts = [f"{number:012}" for number in range(1, 41)]
    permission = permission_of_an_ou(asked, accounts)
    asked.whereabouts.says = dict.fromkeys(accounts[:-1], ())
    live = asked.live()
    for tries in range(40):
        asked.whereabouts.asked.clear()
        judged = live.judge([replace(permission, tries=tries)])
        assert len(asked.whereabouts.asked) <= 5
        assert not judged.refused
        if not judged.waits:
            break
    assert tries < 40 / 5


def permission_of_an_ou(asked, accounts, *amis):
    """Return a launch permission of the OU that each of its accounts holds, for each of these AMIs."""
    asked.has_members(*accounts)
    holdings = (held(one, ami=ami, purpose=Purpose.STANDING) for one in accounts for ami in amis or (AMI,))
    return share(IMAGE, ARN, *holdings, name=ARN)


def looks_until_refused(asked, wanted):
    """Return what each look says, until one refuses for good."""
    live, said = asked.live(), []
    for tries in range(10):
        judged = live.judge([replace(wanted, tries=tries)])
        how = "refused" if judged.refused else "waits"
        (fault,) = (judged.refused or judged.waits).values()
        said.append((how, fault.code))
        if judged.refused:
            break
        wanted = replace(wanted, waits_for=fault)
        asked.cloud.now += FRESH
    return said


@pytest.mark.parametrize("count", [5, 6, 40])
def test_a_unit_that_the_stack_does_not_admit_is_refused_however_many_accounts_hold_its_permission(count):
    """The fault is of the receiver, and of no single account."""
    asked = by_unit("group", mode="share")
    accounts = [f"{number:012}" for number in range(1, count + 1)]
    asked.bounds = Bounds(frozenset({HUB, *accounts}))
    assert looks_until_refused(asked, permission_of_an_ou(asked, accounts)) == [("refused", "receiver-not-admitted")]


@pytest.mark.parametrize("amis", [(AMI,), (AMI, OTHER)])
@pytest.mark.parametrize("count", [5, 6, 40])
def test_two_looks_refuse_a_unit_whose_ami_is_gone_however_many_accounts_hold_its_permission(count, amis):
    """What EC2 says of an AMI is the same for all accounts. The second AMI is gone, too."""
    asked = by_unit("group", mode="share")
    asked.source.owned = False
    accounts = [f"{number:012}" for number in range(1, count + 1)]
    said = looks_until_refused(asked, permission_of_an_ou(asked, accounts, *amis))
    assert said == [("waits", "source-gone"), ("refused", "source-gone")]


def test_accounts_that_the_file_has_lost_refuse_nothing_for_those_not_yet_asked_about():
    """Five have left the OU, by Organizations and the table; the sixth is asked about next."""
    asked = by_unit("group", mode="share")
    accounts = [f"{number:012}" for number in range(1, 7)]
    wanted = permission_of_an_ou(asked, accounts)
    asked.has_members(accounts[-1])
    live = asked.live()
    assert not live.judge([wanted]).refused
    judged = live.judge([replace(wanted, tries=1)])
    assert not {**judged.waits, **judged.refused}


def test_when_there_is_no_time_left_the_rest_is_asked_about_later():
    """The first is always asked about, so that every run gets further."""
    asked = by_unit("account")
    shares = [share(SNAPSHOT, one, held(one)) for one in (A, B)]
    judged = asked.live().judge(shares, lambda: False)
    assert (judged.later, asked.whereabouts.asked) == ({B}, [A])


def test_what_one_environment_opens_in_turn_is_read_from_ec2_once():
    """The AMI's tag and the keys of its snapshots; the tag again when some seconds have passed."""
    asked, questions = AskedSource(), []
    for name in ("tag", "keys"):
        real = getattr(asked.source, name)
        setattr(asked.source, name, lambda *given, real=real, name=name: (questions.append(name), real(*given))[1])
    live = asked.live()

    for resource in (SNAPSHOT, KEY, POLICY):
        live.judge([share(resource)])
    assert questions == ["tag", "keys"]
    asked.cloud.now += FRESH
    live.judge([share(KEY)])
    assert questions == ["tag", "keys", "tag"]


def test_an_ami_that_is_gone_refuses_nothing_for_good_that_another_ami_may_get_yet():
    """Two looks show the first one gone; the tag of the second may name the account later."""
    asked = AskedSource()
    asked.cloud.gone.add(AMI)
    both = share(KEY, A, held(), held(ami=OTHER))

    (first,) = asked.live().judge([both]).waits.values()
    assert A in asked.live().judge([replace(both, waits_for=first)]).waits


# --- other Regions ---------------------------------------------------------------------------------------------------


def test_the_hubs_copies_in_another_region_are_of_the_ami_that_they_were_made_of():
    """The copies' snapshots and key in that Region; not another AMI's copies, nor those under another key."""
    asked = AskedSource()
    asked.abroad_by_way_of_the_hub()
    ours = COPY_ABROAD, addresses.key_resource(KEY_ABROAD, A).pk
    abroad = held(region=ABROAD)
    asked.delivers_to_itself("nonce-1", made="snap-0c")
    assert [asked.answer(share(one, A, abroad)) for one in ours] == ["may", "may"]

    others = (
        addresses.snapshot_resource("snap-0d", ABROAD).pk,
        addresses.snapshot_resource("snap-0c", "eu-west-2").pk,
        addresses.key_resource(f"{KEY_ABROAD}-other", A).pk,
    )
    assert [asked.answer(looked_for(share(one, A, abroad))) for one in others] == ["refused"] * 3
    (refused,) = asked.live().judge([looked_for(share(others[0], A, abroad))]).refused.values()
    assert refused.cure == HUB_COPY_CURE
    asked.source.abroad = {OTHER: asked.source.abroad[AMI]}
    assert [asked.answer(share(one, A, abroad)) for one in ours] == ["waits"] * 2, "a read may lack it"
    assert [asked.answer(looked_for(share(one, A, abroad))) for one in ours] == ["refused"] * 2


@pytest.mark.parametrize(
    ("nonces", "known", "accepted", "answer"),
    [
        (None, {}, "", "refused"),
        ((), {}, "", "refused"),
        (("nonce-2",), {}, "", "refused"),
        (("nonce-1",), {}, "", "may"),
        (("nonce-1",), {"made": "snap-0c"}, "", "may"),
        (("nonce-1",), {"made": "snap-0another"}, "", "refused"),
        (("nonce-1",), {"source": ""}, "", "refused"),
        (("nonce-1",), {"source": "", "made": "ami-0c"}, "", "refused"),
        ((), {}, "ami-0c", "may"),
        ((), {}, "ami-0d", "refused"),
    ],
    ids=[
        *("no record", "no nonce", "another nonce", "its nonce is open", "it made this", "it made another"),
        *("it made an AMI that is not known", "it made an AMI", "accepted", "another is accepted"),
    ],
)
def test_a_snapshot_abroad_is_the_hubs_copy_by_the_nonce_of_an_attempt_that_made_it(nonces, known, accepted, answer):
    """Its tags alone prove nothing: a person who may tag in the hub planted it, or deleted the hub's own copy.

    An operator may accept the hub's own AMI whose nonce is not known, as after a restore: its snapshots are meant then.
    """
    asked = AskedSource()
    asked.abroad_by_way_of_the_hub()
    if nonces is not None:
        asked.delivers_to_itself(*nonces, **known)
    if accepted:
        place = addresses.delivery(addresses.delivery_id(HUB, AMI, HUB, ABROAD))
        asked.records.records[place].body["image"] = {"id": accepted}
        asked.records.make_due(place, 1, {"accepted": accepted})

    assert asked.answer(looked_for(share(COPY_ABROAD, A, held(region=ABROAD)))) == answer


def test_copies_abroad_that_were_tried_again_take_no_call_for_the_share_of_another():
    """Their ids are on record, too, and EC2 refuses a look that names one, until each was left out."""
    asked = AskedSource()
    asked.abroad_by_way_of_the_hub()
    asked.delivers_to_itself("nonce-1", made="snap-0c", earlier=[f"snap-0{number:03}" for number in range(160)])

    assert asked.answer(share(COPY_ABROAD, A, held(region=ABROAD))) == "may"
    assert asked.source.looked_at == ["snap-0c"]


def test_a_batch_of_many_accounts_is_judged_with_as_few_questions_as_one():
    """Copies in another Region, and accounts that the tag does not name: 500 reads would outlast the function."""
    asked = AskedSource()
    accounts = [f"3{number:011d}" for number in range(60)]
    own = {HUB: (Target(HUB, ABROAD),)}
    listed = {one: (Target(one, ABROAD, by_way_of=HUB),) for one in accounts}
    asked.cloud.directory = Directory({"default": tuple(accounts[:30])}, {**listed, **own}, hub=(HUB, REGION))
    asked.cloud.tag(AMI, "default")
    asked.delivers_to_itself("nonce-1")
    questions = []
    for port, name in ((asked.source, "copies"), (asked.targets, "live"), (asked.targets, "read")):
        real = getattr(port, name)
        setattr(port, name, lambda *given, real=real, name=name: (questions.append(name), real(*given))[1])

    found = asked.judge(*(share(COPY_ABROAD, one, held(one, region=ABROAD)) for one in accounts))

    assert [how for how, _ in found] == ["may"] * 30 + ["waits"] * 30
    assert sorted(questions) == ["copies", "read"]


def test_a_head_of_a_newer_form_hinders_nobody_whom_the_tag_names():
    """After a rollback the last understood value is unknown, but the tag's own value is understood."""
    asked = AskedSource()

    def newer(_key):
        raise NewerSchema("heads has schema 3")

    asked.records.get = newer
    assert asked.answer(share()) == "may"


def test_nothing_is_opened_to_stand_past_the_files_date():
    """A date that the file brought forward counts on opening, too; copies have no such date."""
    asked = AskedSource(mode="share", until=1)
    assert asked.answer(standing(IMAGE)) == "waits"
    assert AskedSource(mode="share", until=asked.cloud.now + 1).answer(standing(IMAGE)) == "may"


def test_a_statement_for_service_roles_stands_only_while_the_file_names_some():
    """The account's own statement in the key's policy is another share, and stays."""
    for roles, answer in (((), "waits"), ((ROLE,), "may")):
        asked = AskedSource(mode="share", key_access="policy", service_linked_roles=roles)
        assert asked.answer(standing(POLICY, name=f"{A}-roles")) == answer
        assert asked.answer(standing(POLICY, name=f"{A}-share")) == "may"


def test_until_when_many_may_keep_an_ami_is_asked_once():
    """One read of the tag and one of the file answer for all shares that are due together."""
    asked = AskedSource()
    reads, read = [], asked.targets.read
    asked.targets.read = lambda: reads.append(1) or read()
    shares = [standing(IMAGE, name=f"share-{number}") for number in range(500)]

    ends = asked.live().may_stay_until(shares)

    assert set(ends) == {one.share_name for one in shares}
    assert (len(asked.source.asked), len(reads)) == (1, 1)


@pytest.mark.parametrize("until", [0, 1], ids=["prolonged", "its date has come"])
def test_until_when_a_grant_of_many_amis_may_stand_takes_few_questions(until):
    """An account's AMIs under one key hold one grant: reads for each of 500 would outlast the worker."""
    asked = AskedSource(mode="share", key_access="grant", until=until)
    grant = asked.many(500, tagged=slice(None))

    ends = asked.live().may_stay_until([grant])

    assert (ends[A] > asked.cloud.now) is not bool(until)
    assert len(asked.source.asked) <= 1


@pytest.mark.parametrize(("stands", "most"), [(False, 10), (True, 5)], ids=["to open", "to keep"])
def test_a_grant_of_many_amis_takes_few_questions_and_each_ami_has_its_turn(stands, most):
    """The last of 200 AMIs is tagged for the account, and nobody has released the others.

    Reads for all of them in each run would outlast the worker.
    """
    asked = AskedSource(mode="share", key_access="grant")
    grant, live = asked.many(200, tagged=slice(-1, None)), asked.live()
    for tries in range(200):
        asked.source.asked.clear()
        again = replace(grant, tries=tries)
        found = live.may_stay_until([again]) if stands else asked.answer(again)
        assert len(asked.source.asked) <= most
        if found not in ({}, "waits"):
            break
    assert found == "may" or found[A] > asked.cloud.now


def test_a_grant_stands_while_one_of_its_amis_is_tagged():
    """The first AMI that holds it has lost its tag; the second is tagged."""
    asked = AskedSource(mode="share", key_access="grant")
    grant = share(KEY, A, *(held(ami=ami, purpose=Purpose.STANDING) for ami in (AMI, OTHER)))
    entitled = asked.live()
    asked.cloud.tag(AMI, None)
    assert entitled.may_stay_until([replace(grant, missed_since=asked.cloud.now - SECOND_LOOK_AFTER)])[A] == 0
    asked.cloud.tag(OTHER, A)
    asked.cloud.now += FRESH
    assert entitled.may_stay_until([grant])[A] > asked.cloud.now


# --- AWS refuses to show an AMI --------------------------------------------------------------------------------------

GRANT = (held(purpose=Purpose.STANDING), held(ami=OTHER, purpose=Purpose.STANDING))


@pytest.mark.parametrize("kind", [RefusalKind.DENIED, RefusalKind.THROTTLED, RefusalKind.NOT_YET])
@pytest.mark.parametrize("first", [AMI, OTHER])
def test_an_ami_that_aws_does_not_show_is_its_own_holders_trouble(kind, first):
    """Two AMIs hold one grant; the one that can be read entitles its holders, whichever is asked about first."""
    asked = AskedSource(mode="share")
    (other,) = {AMI, OTHER} - {first}
    asked.cloud.tag(other, A)
    asked.source.refuses[first] = refusal(kind, "UnauthorizedOperation")
    grant, own = share(KEY, A, *GRANT), share(KEY, A, held(ami=first, purpose=Purpose.STANDING), name="own")

    assert asked.judge(grant, own) == [("may", ""), ("owed", "AWS says UnauthorizedOperation.")]
    assert asked.source.asked.count(first) == 1


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({AMI: RefusalKind.DENIED}, "waits"),
        ({AMI: RefusalKind.THROTTLED}, "owed"),
        ({AMI: RefusalKind.DENIED, OTHER: RefusalKind.THROTTLED}, "owed"),
        ({AMI: RefusalKind.DENIED, OTHER: RefusalKind.DENIED}, "owed"),
    ],
)
def test_where_no_other_is_entitled_the_answer_for_all_is_the_most_patient_one(kinds, expected):
    """A refusal ends the share for good only where it came for each of its AMIs; a throttle is asked again soon."""
    asked = AskedSource(mode="share")
    asked.source.refuses = {ami: refusal(kind, kind.value) for ami, kind in kinds.items()}

    how, why = asked.judge(share(KEY, A, *GRANT))

    worst = RefusalKind.THROTTLED if RefusalKind.THROTTLED in kinds.values() else RefusalKind.DENIED
    assert (how, worst.value in why) == (expected, True)


def test_a_refusal_for_some_of_many_amis_refuses_none_of_those_not_yet_asked_about():
    """Five are asked about in one look; 15 more have their turn."""
    asked = AskedSource(mode="share")
    grant = asked.many(20, tagged=slice(None))
    refused = refusal(RefusalKind.DENIED, "InvalidAMIID.Malformed")
    asked.source.refuses = {f"ami-{number:03x}": refused for number in range(19)}

    assert [asked.answer(replace(grant, tries=tries)) for tries in range(4)] == ["waits"] * 3 + ["may"]


def test_an_ami_whose_snapshots_or_approvals_aws_does_not_show_is_its_own_holders_trouble():
    """Not only its tag: the key of its snapshots is asked of EC2, too."""
    asked = AskedSource(mode="share")
    asked.cloud.tag(OTHER, A)
    keys = asked.source.keys

    def some(snapshots):
        if "snap-00" in snapshots:
            raise refusal(RefusalKind.DENIED, "UnauthorizedOperation")
        return keys(snapshots)

    asked.source.keys = some
    assert asked.answer(share(KEY, A, *GRANT)) == "may"


def test_until_when_a_grant_stands_is_said_by_those_amis_that_aws_shows():
    """One that is refused gives no answer for the other; where none of them may keep it, nothing is said."""
    asked = AskedSource(mode="share", key_access="grant")
    asked.cloud.tag(OTHER, A)
    entitled = asked.live()
    asked.source.refuses[AMI] = refusal(RefusalKind.DENIED, "InvalidAMIID.Malformed")
    lone = share(KEY, A, held(purpose=Purpose.STANDING), name="lone")
    ends = entitled.may_stay_until([share(KEY, A, *GRANT), lone])
    assert ends[A] > asked.cloud.now
    assert "lone" not in ends

    asked.cloud.tag(OTHER, None)
    asked.cloud.now += FRESH
    assert A not in entitled.may_stay_until([share(KEY, A, *GRANT)])


@pytest.mark.parametrize("head", [True, False], ids=["damaged head", "no head"])
def test_a_damaged_head_is_no_evidence_against_what_stands_while_a_value_is_not_understood(head):
    """It says whom the last value named. Without one no value was ever understood, and nobody may keep anything."""
    asked = AskedSource(mode="share", key_access="grant")
    if head:
        asked.damage_head()
    asked.cloud.tag(AMI, "dve")

    looked_at = replace(standing(KEY), missed_since=asked.cloud.now - SECOND_LOOK_AFTER)
    assert asked.live().may_stay_until([looked_at]) == ({} if head else {A: 0})


def test_a_grant_that_the_last_of_its_many_amis_keeps_stays_open_past_its_date():
    """Nobody has released the others: each look past the date asks about the next few, and none closes it."""
    asked = AskedSource(mode="share", key_access="grant")
    key = SlowResource(addresses.key_resource(source_key(0), A), batch=1)
    for one in asked.many(20, tagged=slice(-1, None)).holdings:
        granted = replace(share(KEY), grantee=f"arn:aws:iam::{A}:role/AmiCopyRole")
        key.stores.ledger.hold(granted, replace(one, until=key.clock() + 3600))
    key.stores.records.make_due(key.key, key.clock())
    key.run_on()
    key.worker.entitlements = entitled = asked.live()
    entitled.clock = key.clock
    key.now += 3610

    assert key.run_on(2000) < 10
    assert key.states() == {ShareState.OPEN: 1}


WITHDRAWN = Withdrawal(A, 100, "operator", A)


@pytest.mark.parametrize(
    ("withdrawal", "since", "expected"),
    [
        (WITHDRAWN, 0, "waits"),
        (WITHDRAWN, 100, "waits"),
        (WITHDRAWN, 101, "may"),
        (WITHDRAWN, None, "waits"),
        (replace(WITHDRAWN, place=f"{A}/{REGION}"), 0, "waits"),
        (replace(WITHDRAWN, place=f"{A}/eu-west-1"), 0, "may"),
        (replace(WITHDRAWN, place=B), 0, "may"),
        (replace(WITHDRAWN, value=B), 0, "may"),
        (withdrawals.read(A, "no JSON"), 101, "waits"),
        (withdrawals.read(A, "no JSON"), codec.MOST - 1, "waits"),
        (Recall(100, "operator", "It does not boot.").withdrawal, codec.MOST - 1, "waits"),
    ],
)
def test_whom_an_operator_has_withdrawn_nothing_is_opened_for(withdrawal, since, expected):
    """Until EC2 has shown another value, which a damaged head (None) does not say.

    Entries for another place have no effect; a damaged one opens nothing. No time in a head ends that one, or a recall:
    the head may be forged.
    """
    asked = AskedSource()
    if since is None:
        asked.damage_head()
    else:
        asked.in_force(A, withdrawals_from=since)
    asked.cloud.withdrawn[AMI, withdrawal.place] = withdrawal

    assert asked.answer(share()) == expected


@pytest.mark.parametrize("head", ["another value was seen since", "damaged"])
def test_a_withdrawal_that_another_value_may_have_ended_closes_nothing(head):
    """The account got the AMI again afterwards: a head that cannot be read is no evidence that it must lose it."""
    asked = AskedSource(mode="share", key_access="grant")
    asked.in_force(A, withdrawals_from=WITHDRAWN.at + 1)
    if head == "damaged":
        asked.damage_head()
    asked.cloud.withdrawn[AMI, A] = WITHDRAWN

    assert asked.live().may_stay_until([standing(KEY)])[A] > asked.cloud.now


@pytest.mark.parametrize("withdrawn", [A, f"{A}/{REGION}"])
def test_an_units_arn_opens_nothing_while_one_of_its_accounts_is_withdrawn(withdrawn):
    """The OU's permission would admit the withdrawn account. Access by account id is judged by account."""
    by_unit = {"mode": "share", "launch_permission": "group", "unit": "arn:aws:organizations::9:ou/o-1/ou-1"}
    targets = (Target(A, REGION, **by_unit), Target(B, REGION, **by_unit), Target(C, REGION, mode="share"))
    entitled = of(Resolution(targets), {withdrawn: "operator"})

    assert set(entitled.targets) == {f"{C}/{REGION}"}
    assert {account: fault.code for account, fault in entitled.blocked.items()} == {B: "withdrawn-from-unit"}
    assert f"`ami-promoter withdraw AMI --account {withdrawn} --lift`" in entitled.blocked[B].cure
    unit = by_unit["unit"]
    assert not entitled.may_open(f"{B}/{REGION}", addresses.image_resource(AMI).pk, unit, 1, standing=True)
    assert entitled.may_keep(f"{B}/{REGION}", addresses.image_resource(AMI).pk, unit, 1)
    assert not entitled.may_keep(f"{A}/{REGION}", addresses.image_resource(AMI).pk, unit, 1)


@pytest.mark.parametrize("by_id", [False, True], ids=["by a smaller unit", "by its id"])
def test_an_organizations_arn_opens_nothing_while_an_account_in_it_is_withdrawn_that_has_the_ami_otherwise(by_id):
    """A gets the AMI by its OU, or by its id, and B by the organization, whose ARN would admit A as well."""
    whole = f"arn:aws:organizations::900000000000:organization/{ORGANIZATION}"
    units = {OU: Unit(ARN, (A,)), ORGANIZATION: Unit(whole, (A, B))}
    group = Target("", REGION, mode="share", launch_permission="group")
    file = Directory(
        {"dev": (A if by_id else OU, ORGANIZATION)},
        {A: (replace(group, account=A),)} if by_id else {},
        {"dev": (group,)},
        organization=Organization(ORGANIZATION, dict.fromkeys(units, ("dev",))),
        membership=Membership("1", units),
    )
    resolution = AppliedFile(file).resolve("dev")
    assert {target.account: launched_by(target) for target in resolution.targets}[B] == whole
    assert set(of(resolution, {B: "operator"}).targets) == {f"{A}/{REGION}"}
    entitled = of(resolution, {A: "operator"})

    assert {account: fault.code for account, fault in entitled.blocked.items()} == {B: "withdrawn-from-unit"}
    assert not entitled.targets
