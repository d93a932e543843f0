"""Revoking waits for nothing but AWS: an account that tag, file or membership no longer names loses what is shared."""

from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.entry.queue_consumer import SHARE_WORKER_KINDS, WORKER_KINDS
from chalicelib.promotion import commands as do
from chalicelib.promotion.events import RefusedNotified
from chalicelib.promotion.worker.standing_pass import AT_ONCE
from chalicelib.promotion.worker.tag_pass import read_heads
from chalicelib.promotion.worker.trigger_tag_check import TRIGGER
from chalicelib.targets.applied_file import AppliedFile, Directory, Target, nothing_applied
from chalicelib.targets.organization import Organization, Unit
from tests.service.arrivals import Arrivals
from tests.service.cloud import REGION, START, UNREADABLE, CloudBehavior, source_key
from tests.service.gate import PortCrash
from tests.service.hub import DISCOVERY, Hub
from tests.service.organization import (
    ARN,
    ORGANIZATION,
    OTHER_ARN,
    OTHER_OU,
    OU,
    A,
    B,
    C,
    OrganizationHub,
    membership_of,
)
from tests.service.shared_ami import (
    AMI,
    DAY,
    HOUR,
    TROUBLES,
    break_head,
    damage,
    disable_key,
    lose_head,
    open_to,
    outcomes,
    park_delivery,
    park_promotion,
    pass_time,
    pause,
    shared,
    tagged,
    untagged,
    when,
)
from tests.stores import on_dynamodb

SLOW = CloudBehavior(copying=(4 * HOUR,))
OFF = {"nothing": (), "worker": WORKER_KINDS, "share-worker": SHARE_WORKER_KINDS}
"""The function that is off, and the kinds of records that wait for it."""


def lose(hub: Hub, what: str) -> None:
    """Let B lose the AMI: by the tag, by the file (without an event), or by an operator."""
    match what:
        case "tag":
            hub.cloud.tag(AMI, None)
        case "name":
            hub.cloud.tag(AMI, A)
        case "file":
            hub.cloud.drop_targets(B)
        case "withdrawn":
            hub.withdraw(AMI, B)


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("lost", ["name", "tag", "file"])
def test_who_is_no_longer_named_is_withdrawn_whatever_else_is_wrong(trouble, lost):
    """Within the hour, and no other account loses anything."""
    hub = shared()
    trouble(hub)
    lose(hub, lost)
    assert open_to(hub, after=HOUR) == (set() if lost == "tag" else {A})


@pytest.mark.parametrize("trouble", [TROUBLES["damaged delivery"], park_delivery], ids=["damaged", "parked"])
@pytest.mark.parametrize("value", [A, None])
def test_owners_get_one_notice_of_a_withdrawal_whose_delivery_cannot_publish(trouble, value):
    """The pass closes the shares and publishes the notice; a later one by the delivery has the same id."""
    hub = shared()
    before = hub.stores.records.records[hub.delivery_key(AMI, B)].body
    trouble(hub)
    hub.cloud.tag(AMI, value)
    pass_time(hub, 2 * HOUR)
    assert len(hub.notified("delivery.withdrawn", B)) == 1
    assert open_to(hub) == ({A} if value else set())
    key = hub.delivery_key(AMI, B)
    hub.stores.records.records[key].body = before
    hub.unpark(key)
    pass_time(hub, 2 * HOUR)

    assert len({one["id"] for one in hub.notified("delivery.withdrawn", B)}) == 1


@pytest.mark.parametrize("trouble", [TROUBLES["damaged delivery"], park_delivery], ids=["damaged", "parked"])
def test_a_delivery_that_cannot_act_and_is_wanted_again_ends_its_promotion_as_failed(trouble):
    """It was withdrawn in its place; the promotion must not try to start it every quarter of an hour."""
    hub = shared()
    trouble(hub)
    hub.cloud.tag(AMI, A)
    pass_time(hub, HOUR)
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, HOUR)

    promotion = hub.stores.seen(addresses.promotion(AMI))
    assert (promotion.state, promotion.wake_at) == ("over", None)
    assert hub.cloud.notices[-1]["counts"]["failed"] == 1


@pytest.mark.parametrize(
    "trouble", [TROUBLES["damaged promotion"], TROUBLES["parked promotion"]], ids=["damaged", "parked"]
)
@pytest.mark.parametrize("lost", ["tag", "name", "file", "withdrawn"])
def test_copies_that_a_promotion_which_cannot_act_no_longer_names_are_ended(trouble, lost):
    """Their shares close within the hour, and nothing is delivered there; a copy that is still named is delivered."""
    hub = tagged(f"{A} {B}", behavior=SLOW).wait(600)
    trouble(hub)
    lose(hub, lost)
    pass_time(hub, HOUR)

    left = set() if lost == "tag" else {A}
    assert {account for _, account in hub.cloud.permissions} == left
    pass_time(hub, 5 * HOUR)
    assert {image.account for image in hub.cloud.images.values()} == left


@pytest.mark.parametrize("named", [(), (A,)], ids=["nobody else", "another"])
def test_copies_of_an_account_whose_settings_conflicted_end_when_the_file_loses_it(named):
    """While they conflict it keeps what it has; the file then names no other account than before."""
    hub = tagged(" ".join((*named, B)), behavior=SLOW).wait(600)
    hub.cloud.change_targets(B, by_way_of=C)
    pass_time(hub, HOUR)
    assert {account for _, account in hub.cloud.permissions} == {*named, B}
    hub.cloud.drop_targets(B)
    pass_time(hub, HOUR)

    assert {account for _, account in hub.cloud.permissions} == set(named)


@pytest.mark.parametrize("trouble", [break_head, lose_head], ids=["damaged", "lost"])
def test_copies_end_whose_promotion_cannot_act_and_whose_head_says_nothing(trouble):
    """The file has lost B, which the tag names by its id; nobody can tell what the promotion knew."""
    hub = copying_for_a_parked_promotion()
    trouble(hub)
    hub.cloud.drop_targets(B)
    pass_time(hub, HOUR)

    assert {account for _, account in hub.cloud.permissions} == {A}


def shared_for_a_parked_promotion(trouble=break_head):
    """A hub that shares with three accounts; the promotion is parked, and its head says nothing."""
    hub = shared((A, B, C), share_snapshots=True)
    park_promotion(hub)
    trouble(hub)
    return hub


@pytest.mark.parametrize("trouble", [break_head, lose_head], ids=["damaged", "lost"])
@pytest.mark.parametrize("lost", ["file", "date", "recall"])
def test_shares_end_whose_promotion_cannot_act_and_whose_head_says_nothing(trouble, lost):
    """An account outside the file, one whose date is over and a recalled AMI's: within the hour, and no other."""
    hub = shared_for_a_parked_promotion(trouble)
    match lost:
        case "file":
            hub.cloud.drop_targets(B)
        case "date":
            hub.cloud.drop_targets(C)
            hub.cloud.change_targets(B, until=hub.cloud.now + 600)
        case "recall":
            hub.recall(AMI)
    left = {"file": {A, C}, "date": {A}, "recall": set()}[lost]
    assert open_to(hub, after=HOUR) == left
    assert {account for _, account in hub.cloud.permissions} == left
    assert open_to(hub, after=2 * DAY) == left


def test_no_share_ends_while_neither_the_head_nor_the_applied_file_can_be_read():
    """Then nobody is known to be a stranger. A recall needs neither."""
    hub = shared_for_a_parked_promotion()
    hub.cloud.applied = AppliedFile(fault=nothing_applied("the table"))
    assert open_to(hub, after=DAY) == {A, B, C}
    hub.recall(AMI)
    assert open_to(hub, after=HOUR) == set()


def test_no_account_passes_for_a_stranger_while_an_ou_of_the_file_was_never_read():
    """B and C may be its members. When it has been read, C, which is none, loses its shares."""
    hub = shared_for_a_parked_promotion()
    listed = {A: hub.cloud.directory.accounts[A]}
    file = Directory(
        {"default": (A, OU)},
        listed,
        {"default": (Target("", REGION, mode="share", share_snapshots=True),)},
        organization=Organization(ORGANIZATION, {OU: ("default",)}),
    )
    hub.cloud.directory = file
    assert open_to(hub, after=HOUR) == {A, B, C}
    hub.cloud.directory = replace(file, membership=membership_of({OU: Unit(ARN, (B,))}))
    assert open_to(hub, after=HOUR) == {A, B}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("how", ["deregistered", "disabled"])
def test_an_ami_of_no_use_is_shared_with_nobody_whatever_else_is_wrong(trouble, how):
    """A deregistered or disabled AMI entitles no account: its key grants close, too."""
    hub = shared()
    trouble(hub)
    hub.cloud.set_state(AMI, how)
    pass_time(hub, HOUR)

    assert not hub.cloud.grants


def test_an_ami_that_is_enabled_again_while_a_share_was_opening_is_shared_with_nobody_and_its_promotion_ends():
    """Disabled, everybody is asked to end; B's share opened after that. The next tag event shares it again."""
    hub = tagged(A, target={"mode": "share"}).wait(HOUR)
    with hub.off(*SHARE_WORKER_KINDS):
        hub.cloud.tag(AMI, f"{A} {B}")
        hub.wait(120)
        for state in ("disabled", "available"):
            hub.cloud.set_state(AMI, state)
            hub.wait(120)
        assert hub.outcomes() == {(AMI, A): "tidying", (AMI, B): "opening"}, "it is withdrawn after a look only"
    pass_time(hub, HOUR)

    assert (set(hub.outcomes().values()), open_to(hub)) == ({"withdrawn"}, set())
    assert hub.stores.seen(addresses.promotion(AMI)).state == "over"


def test_an_ami_that_is_enabled_and_tagged_again_while_its_shares_are_ending_is_shared_again():
    """Disabled, everybody is asked to end; the tag event comes before they have."""
    hub = shared()
    with hub.off("delivery"):
        hub.cloud.set_state(AMI, "disabled")
        hub.wait(120)
        hub.cloud.set_state(AMI, "available")
        for value in (None, f"{A} {B}"):
            hub.cloud.tag(AMI, value)
            hub.wait(10)
    assert set(hub.outcomes().values()) == {"shared"}
    pass_time(hub, HOUR)

    withdrawn = [notice["account"] for notice in hub.notified("delivery.withdrawn")]
    assert (sorted(withdrawn), open_to(hub)) == ([A, B], {A, B})
    assert hub.stores.seen(addresses.promotion(AMI)).state == "over"


@pytest.mark.parametrize("trouble", [disable_key, pause, lose_head, break_head], ids=lambda trouble: trouble.__name__)
def test_an_outage_or_a_fault_alone_withdraws_nobody(trouble):
    """No evidence, no removal: three days later both accounts have what they had."""
    hub = shared()
    trouble(hub)
    assert open_to(hub, after=3 * DAY) == {A, B}
    assert set(hub.outcomes().values()) == {"shared"}


def test_a_value_that_is_not_understood_withdraws_nobody():
    """`dve` for `dev`: what runs continues, and one notice lists the fault."""
    hub = shared()
    hub.cloud.tag(AMI, "dve")
    assert open_to(hub, after=DAY) == {A, B}
    assert len({notice["id"] for notice in hub.notified("promotion.refused")}) == 1

    hub.retry(AMI)
    pass_time(hub, HOUR)
    first, again = (notice["id"] for notice in hub.notified("promotion.refused"))
    assert first != again, "what still prevents it is news"
    counted = [args for name, args in hub.telemetry.reported if name == "did" and isinstance(args[3], RefusedNotified)]
    assert len(counted) == 2


@pytest.mark.parametrize(("gained", "left"), [("prod", "test"), ("test", "prod")])
def test_a_name_that_the_file_has_gained_is_no_fault_of_the_value_any_longer(gained, left):
    """A comparison after that notifies people of what is still wrong, whether of the value or of the source."""
    hub = shared()
    hub.cloud.hub_images[AMI]["ImageType"] = "kernel"
    hub.cloud.tag(AMI, "prod+test")
    pass_time(hub, HOUR)
    file = hub.cloud.directory
    hub.cloud.directory = replace(file, groups={**file.groups, gained: (A,)})
    hub.withdraw(AMI, B)
    pass_time(hub, HOUR)
    first, second = ([fault["what"] for fault in one["faults"]] for one in hub.notified("promotion.refused"))
    assert [len(first), len(second)] == [3, 2]
    assert f"`{left}`" in second[-1]
    assert second[0] == first[0]


def test_a_fault_of_one_account_keeps_nobody_else_shared():
    """C joins an OU whose settings conflict with its own, and B leaves that OU: B is withdrawn, C gets nothing new."""
    it = OrganizationHub(A, B)
    it.cloud.directory = replace(
        it.cloud.directory, by_unit={"default": (Target("", REGION, mode="share"),)}, accounts={C: (Target(C, REGION),)}
    )
    it.look()
    it.tag()
    assert it.outcomes == {A: "shared", B: "shared"}
    it.organization.accounts[C] = "ACTIVE"
    del it.organization.accounts[B]
    it.look(12)

    assert it.outcomes == {A: "shared", B: "withdrawn"}
    assert open_to(it.hub) == {A}


# --- organizational units --------------------------------------------------------------------------------------------


SHARED_WITH_THE_OU = {"default": (Target("", REGION, mode="share", launch_permission="group"),)}


def by_unit(accounts) -> OrganizationHub:
    """An AMI shared with an OU by its ARN."""
    it = OrganizationHub(*accounts)
    it.hub.unwatched()  # the invariants check accounts alone
    it.cloud.directory = replace(it.cloud.directory, by_unit=SHARED_WITH_THE_OU)
    it.look()
    it.tag()
    assert {who for _, who in it.cloud.launches} == {ARN}
    return it


def name_both_ous(it: OrganizationHub) -> None:
    """Let the file's group have the other OU, too."""
    named = Organization(ORGANIZATION, {OU: ("default",), OTHER_OU: ("default",)})
    groups = {**it.cloud.directory.groups, "default": (OU, OTHER_OU)}
    it.cloud.directory = replace(it.cloud.directory, groups=groups, organization=named)


def move_to_the_other_ou(it: OrganizationHub) -> None:
    """Let the accounts of the OU be in the other one."""
    membership = it.cloud.directory.membership
    moved = {OU: Unit(ARN), OTHER_OU: replace(membership.units[OU], arn=OTHER_ARN)}
    it.cloud.directory = replace(it.cloud.directory, membership=membership_of(moved))


@pytest.mark.parametrize("left", [{A}, set()], ids=["the account alone", "nobody"])
def test_an_ou_that_the_file_names_no_longer_may_not_launch(left):
    """In its place the group has one of its accounts, which launches by its own permission; or the group is dropped."""
    it = by_unit((A, B))
    groups = {"default": (A,)} if left else {}
    it.cloud.directory = Directory(
        {**groups, "other": (C,)}, {A: (Target(A, REGION, mode="share"),), C: (Target(C, REGION),)}
    )
    it.look(12)

    assert {who for _, who in it.cloud.launches} == left
    assert it.outcomes == {A: "shared" if left else "withdrawn", B: "withdrawn"}


def test_an_account_that_moves_between_two_ous_of_a_group_is_shared_with_by_the_new_one():
    """The old OU's permission is revoked when none of its accounts is left; the new one's is granted."""
    it = by_unit((A,))
    name_both_ous(it)
    move_to_the_other_ou(it)
    pass_time(it.hub, HOUR)

    assert {who for _, who in it.cloud.launches} == {OTHER_ARN}
    assert it.outcomes == {A: "shared"}


def test_who_moves_to_another_ou_or_gets_other_settings_before_it_holds_its_shares_begins_again():
    """`worker` was off when the account moved; what the delivery then asks for, the file no longer gives it."""
    it = OrganizationHub(A)
    it.hub.unwatched()
    it.cloud.directory = replace(it.cloud.directory, by_unit=SHARED_WITH_THE_OU)
    name_both_ous(it)
    it.look()
    with it.hub.off("delivery"):
        it.cloud.tag("ami-0a", "default")
        it.hub.wait(120)
        move_to_the_other_ou(it)
        pass_time(it.hub, HOUR)
    pass_time(it.hub, HOUR)

    assert {who for _, who in it.cloud.launches} == {OTHER_ARN}
    assert it.outcomes == {A: "shared"}


@pytest.mark.parametrize("off", ["nothing", "worker", "share-worker"])
@pytest.mark.parametrize("later", [START + 60 * HOUR, 0])
def test_a_later_date_in_the_file_keeps_what_is_shared_and_is_its_end_then(later, off):
    """The file changes an hour before the old date; also if a function was off around that date.

    An earlier date than the record and the ledger have (or none) needs no event either.
    """
    hub = shared(until=START + 6 * HOUR)
    pass_time(hub, 4 * HOUR)
    hub.cloud.change_targets(until=later)
    with hub.off(*OFF[off]):
        pass_time(hub, 6 * HOUR)
    assert open_to(hub, after=40 * HOUR) == {A, B}
    assert set(hub.outcomes().values()) == {"shared"}
    hub.cloud.change_targets(until=START + 60 * HOUR)
    assert open_to(hub, after=10 * HOUR) == set()
    assert set(hub.outcomes().values()) == {"withdrawn"}
    assert len({notice["id"] for notice in hub.notified("delivery.withdrawn")}) == 2


def test_who_starts_again_by_a_new_file_brings_nobody_along_whose_date_has_come():
    """The file shares no snapshots any more, so A's access is renewed; B's ended at its date, and no notice follows."""
    hub = untagged(target={"mode": "share", "share_snapshots": True})
    hub.cloud.change_targets(B, until=START + 2 * HOUR)
    hub.cloud.tag(AMI, "default")
    pass_time(hub, 3 * HOUR)
    hub.cloud.change_targets(share_snapshots=False)
    assert outcomes(hub, after=HOUR) == {(AMI, A): "shared", (AMI, B): "withdrawn"}
    assert "delivery.failed" not in [notice["event"] for notice in hub.cloud.notices]


@pytest.mark.parametrize("off", ["nothing", "worker"])
def test_a_file_that_cannot_be_read_keeps_what_is_shared_for_a_day_after_its_date(off):
    """An unreadable file is no evidence; but nothing stays open without end, also where the share worker runs alone."""
    hub = shared(until=START + 6 * HOUR)
    hub.cloud.applied = UNREADABLE
    with hub.off(*OFF[off]):
        assert open_to(hub, after=20 * HOUR) == {A, B}
        assert open_to(hub, after=14 * HOUR) == set()


def test_a_file_that_cannot_be_read_just_when_it_is_asked_again_withdraws_nobody():
    """The file gave a later date, so it is asked each day; for 22 hours it cannot be read."""
    hub = shared(until=START + 6 * HOUR)
    hub.cloud.change_targets(until=START + 100 * HOUR)
    pass_time(hub, 40 * HOUR)
    hub.cloud.applied = UNREADABLE
    pass_time(hub, 22 * HOUR)
    hub.cloud.applied = None
    assert open_to(hub, after=6 * HOUR) == {A, B}
    assert set(hub.outcomes().values()) == {"shared"}


@pytest.mark.parametrize("before", [6 * HOUR, 0], ids=["an earlier date", "no date"])
def test_an_account_whose_settings_conflict_keeps_what_it_has_until_its_date(before):
    """The file gave the date after the AMI was shared, and B's other settings conflict a day before it."""
    hub = shared(until=before and START + before)
    hub.cloud.change_targets(until=START + 50 * HOUR)
    pass_time(hub, 20 * HOUR)
    hub.cloud.change_targets(B, by_way_of=C)
    assert open_to(hub, after=28 * HOUR) == {A, B}
    assert open_to(hub, after=2 * HOUR) == set()
    assert set(hub.outcomes().values()) == {"withdrawn"}


@pytest.mark.parametrize("trouble", [park_promotion, park_delivery], ids=["promotion", "delivery"])
def test_what_an_account_keeps_while_its_settings_conflict_ends_at_its_date_though_its_record_is_parked(trouble):
    """The file gave B its date after the AMI was shared. No record asks for the date: the pass does, when it comes."""
    hub = shared()
    pass_time(hub, HOUR)
    trouble(hub)
    hub.cloud.change_targets(B, by_way_of=C, until=hub.cloud.now + 10 * HOUR)
    assert open_to(hub, after=10 * HOUR - 600) == {A, B}
    assert open_to(hub, after=HOUR) == {A}


def test_what_ends_where_there_is_little_time_closes_all_its_shares_before_its_notice():
    """Each run has time to release three of twenty-one. The account is withdrawn before a copy has begun."""
    hub, ami = Hub((A,), arrivals=Arrivals(hurry=3)), "ami-0a"
    hub.cloud.make_image(ami, {f"snap-{number:02}": True for number in range(20)})
    hub.cloud.tag(ami, A)
    hub.until(lambda: len(hub.cloud.permissions) == 20)
    hub.withdraw(ami, A)
    hub.until_state(ami, A, "cancelled")

    assert (hub.wait(300).cloud.permissions, hub.cloud.grants) == (set(), {})


def test_copies_end_though_an_operator_has_paused_and_discovery_cannot_know_that_the_tag_is_gone():
    """Both events are lost, and the head; the promotion waits to copy to C, too."""
    hub = tagged(f"{A} {B}", accounts=(A, B, C), behavior=SLOW).wait(600)
    pause(hub)
    hub.cloud.tag(AMI, f"{A} {B} {C}")
    hub.run(until=START + 1200)
    break_head(hub)
    hub.cloud.emit = lambda _event: None
    hub.cloud.tag(AMI, None)
    pass_time(hub, HOUR)

    assert not hub.cloud.permissions


@pytest.mark.parametrize("standing", [True, False])
def test_another_trigger_tag_withdraws_nothing_that_stands(standing):
    """The stack's parameter was changed: no pass runs until it is restored; without standing shares it may change."""
    hub = shared() if standing else Hub((A, B))
    hub.cloud.make_image("ami-01", {"snap-01": True})
    hub.stores.records.put(TRIGGER, {"kind": "trigger", "key": "the-old-one"})
    before = open_to(hub)
    old_tags = {ami: raw["Tags"] for ami, raw in hub.cloud.hub_images.items()}
    for raw in hub.cloud.hub_images.values():
        raw["Tags"] = []  # no AMI has the new tag
    hub.cloud.changed()
    hub._wire()
    hub.cloud.tag("ami-01", A)
    assert open_to(hub, after=DAY) == before
    assert hub.outcomes().get(("ami-01", A)) == (None if standing else "delivered")
    assert standing == any("TriggerTagKey" in str(args) for name, args in hub.telemetry.reported if name == "not_done")
    if not standing:
        return

    hub.stores.records.put(TRIGGER, {"kind": "trigger", "key": "promote"})
    for ami, tags in old_tags.items():
        hub.cloud.hub_images[ami]["Tags"] = tags
    hub.cloud.tag(AMI, None)
    hub._wire()
    assert open_to(hub, after=2 * HOUR) == set(), "put back, a removed tag withdraws again"


# --- what is ignored -------------------------------------------------------------------------------------------------


def test_a_fresh_hub_names_in_one_notice_what_it_leaves_and_counts_every_tag_event():
    """AMIs tagged before the hub's first pass are ignored; an event after that pass counts all the same."""
    hub = Hub((A,))
    hub.stores.records.items.pop(RecordKey("discovery", "baseline"))
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.make_image("ami-01", {"snap-01": True})
    hub.cloud.hub_images["ami-01"]["Tags"] = [{"Key": "promote", "Value": A}]
    hub.cloud.changed()
    hub.cloud.tag(AMI, A)
    hub.discover()
    hub.run(until=START + DAY)

    (notice,) = hub.notified("hub.baseline")
    assert notice["images"] == [AMI, "ami-01"]
    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_a_list_of_tags_that_is_older_than_the_tag_withdraws_nobody():
    """The tag is widened during a pass whose list is older: the account that was added keeps its access."""
    hub = tagged(A, target={"mode": "share"}).wait(HOUR)
    old = hub._discover.source.tagged()
    hub.cloud.tag(AMI, f"{A} {B}")
    assert open_to(hub.wait(200)) == {A, B}

    hub._discover.passes[1].run(old, read_heads(hub.stores.records), time_left=lambda: 30)
    assert open_to(hub.wait(60)) == {A, B}
    assert set(hub.outcomes().values()) == {"shared"}


def test_a_file_that_cannot_be_used_keeps_no_untagged_ami_shared():
    """A person damages the applied items, or the membership: without a tag no account is entitled in any case."""
    hub = shared()
    damage(lambda _hub: addresses.promotion(AMI))(hub)  # only the pass is left
    file = hub._discover.passes[1].targets._port
    file.read, file.digests = lambda: UNREADABLE, lambda: "digest/members"
    assert open_to(hub, after=HOUR) == {A, B}

    hub.cloud.tag(AMI, None)
    assert open_to(hub, after=HOUR) == set()


def test_one_look_that_shows_an_empty_value_withdraws_nobody():
    """The value changes from empty to an account id, while one list and one read both show the empty one."""
    hub = untagged(target={"mode": "share"})
    hub.cloud.directory = replace(hub.cloud.directory, groups={"default": (B,)})
    hub.cloud.tag(AMI, A)
    hub.run(until=START + HOUR)
    mark = hub.stores.records.get(addresses.standing(AMI))
    hub.stores.records.put(addresses.standing(AMI), {"kind": "standing", "episode": mark["episode"]})
    (now,) = hub._discover.source.tagged()
    source = hub._discover.passes[1].source._port
    source.tag = lambda ami, real=source.tag: replace(real(ami), value="")

    standing = hub._discover.passes[1]
    held = hub.stores.ledger.standing(AMI)
    assert held
    standing.run([replace(now, value="")], read_heads(hub.stores.records), time_left=lambda: 30)

    assert hub.stores.ledger.standing(AMI) == held


def test_what_a_promotion_notes_in_a_newer_form_holds_up_no_removal():
    """After a rollback deliveries and their promotion's items cannot be read: one pass withdraws them all."""
    hub = shared((A, B, C))
    hub.unwatched()
    for key in (addresses.promotion(AMI), *(hub.delivery_key(AMI, one) for one in (A, B, C))):
        hub.stores.records.records[key].damaged = True

    def newer(_ami):
        raise NewerSchema("a entry has schema 9")

    hub.stores.tracked.all = newer
    hub.cloud.tag(AMI, None)
    pass_time(hub, 900)

    assert hub.stores.ledger.standing(AMI) == []


def copying_for_a_parked_promotion():
    """A hub that copies for hours, whose promotion is parked."""
    hub = tagged(f"{A} {B}", behavior=SLOW).wait(600)
    park_promotion(hub)
    hub.gate.calls = 0
    return hub


@pytest.mark.parametrize(("attribute", "value", "of", "parked"), [("body", "{", A, False), ("schema", 99, B, True)])
def test_a_tracked_delivery_that_cannot_be_read_holds_up_no_removal(attribute, value, of, parked):
    """An operator withdraws A while A and B copy: A's access ends within minutes, and B gets the AMI.

    The item of one of them is damaged, or of a newer form; and where the promotion is parked, the pass reads it.
    """
    with on_dynamodb() as stores:
        hub = tagged(f"{A} {B}", stores=stores, behavior=CloudBehavior(copying=(HOUR,))).wait(600)
        item = addresses.tracked_delivery(AMI, hub.delivery_key(AMI, of).name)
        stores.table.update(item, "SET #it = :value", {":value": value}, names={"#it": attribute})
        if parked:
            park_promotion(hub)
        hub.withdraw(AMI, A)

        pass_time(hub, 600)
        assert {account for _, account in hub.cloud.permissions} == {B}
        hub.wait(2 * HOUR)
        assert {image.account for image in hub.cloud.images.values()} == {B}
        assert {one.account: one.state for one in stores.tracked.all(AMI)} == {A: "cancelled", B: "delivered"}


def test_a_tracked_delivery_of_which_nothing_could_be_read_is_ended_once_it_is_repaired():
    """Until then the promotion is parked, and each pass tries again, and says so in the log."""
    hub = copying_for_a_parked_promotion()
    hub.unwatched()
    real = hub.stores.tracked.all

    def unreadable(_ami):
        raise Unreadable("an item cannot be read")

    hub.stores.tracked.all = unreadable
    hub.withdraw(AMI, A)
    pass_time(hub, 900)
    assert {account for _, account in hub.cloud.permissions} == {A, B}
    assert "not_done" in {what for what, _ in hub.telemetry.reported}

    hub.stores.tracked.all = real
    pass_time(hub, 600)
    assert {account for _, account in hub.cloud.permissions} == {B}


@pytest.mark.thorough
def test_a_pass_may_die_at_any_call_that_ends_copies_for_a_parked_promotion():
    """The mark and the entries in the inboxes are written: a later pass, or the sweep, does the rest."""

    def ended(crash=None):
        hub = copying_for_a_parked_promotion()
        hub.gate.crashes = [crash] if crash else []
        hub.cloud.tag(AMI, None)
        for _ in range(HOUR // DISCOVERY):
            hub._discover_at = hub.cloud.now + DISCOVERY
            hub.wait(DISCOVERY)
        assert not hub.cloud.permissions, crash
        assert not hub.cloud.grants, crash
        return hub.gate.calls

    for call in range(0, ended(), 3):
        ended(PortCrash(call, after=bool(call % 2)))


def test_a_tag_that_is_put_back_before_the_pass_asks_keeps_the_copies_of_a_parked_promotion():
    """One look at a missing tag ends nothing; the copies go on and are delivered."""
    hub = copying_for_a_parked_promotion()
    hub.cloud.tag(AMI, None)
    pass_time(hub, 300)
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, 6 * HOUR)

    assert {image.account for image in hub.cloud.images.values()} == {A, B}


def test_a_tag_that_is_put_back_while_many_are_withdrawn_stops_that():
    """The pass reads tag, file and membership again for every twenty shares."""
    hub = shared(tuple(str(200_000_000_001 + number) for number in range(15)))
    hub.unwatched()
    standing, heads = hub._discover.passes[1], read_heads(hub.stores.records)
    standing.run([], heads, time_left=lambda: 30)
    hub.cloud.now += 60
    source = standing.source._port
    reads, real = [], source.tag

    def tag(ami):
        reads.append(ami)
        return replace(real(ami), value=None) if len(reads) == 1 else real(ami)

    source.tag = tag
    standing.run([], heads, time_left=lambda: 30)

    assert len(hub.stores.ledger.standing(AMI)) == 2 * 15 - AT_ONCE


@pytest.mark.parametrize("promotion", [None, park_promotion], ids=["promotion in order", "promotion parked"])
@pytest.mark.parametrize("lost", [None, A], ids=["tag", "name"])
@pytest.mark.parametrize(
    ("settings", "trouble"),
    [
        ({}, TROUBLES["damaged delivery"]),
        ({"copy_method": "image"}, park_delivery),
        ({"key_access": "policy"}, TROUBLES["damaged delivery"]),
    ],
    ids=["snapshots", "image", "policy"],
)
def test_what_a_delivery_that_cannot_act_holds_for_copies_that_nobody_wants_is_released(
    promotion, trouble, lost, settings
):
    """Within the hour, and not at the last closing time; the other account's copies continue while it is named."""
    hub = tagged(f"{A} {B}", target=settings, behavior=SLOW).wait(600)
    assert {account for _, account in hub.cloud.permissions} == {A, B}
    for one in filter(None, (trouble, promotion)):
        one(hub)
    hub.unwatched()
    hub.cloud.tag(AMI, lost)
    pass_time(hub, HOUR)

    left = {A} if lost else set()
    assert {account for _, account in hub.cloud.permissions} == left
    assert open_to(hub) | set(hub.cloud.admitted(source_key(0))) == left


@pytest.mark.parametrize("damage", ["repaired", "deleted"])
def test_a_delivery_whose_record_was_damaged_and_begins_again_is_ended_like_any_other(damage):
    """B's ended record is unreadable while it is wanted again, then repaired; or it is deleted. The tag loses B while
    it copies.
    """
    hub = tagged(f"{A} {B}", behavior=SLOW).wait(600)
    hub.cloud.tag(AMI, A)
    assert outcomes(hub, after=5 * HOUR) == {(AMI, A): "delivered", (AMI, B): "cancelled"}
    key = hub.delivery_key(AMI, B)
    before = hub.stores.records.records[key].body
    TROUBLES["damaged delivery"](hub)
    hub.cloud.tag(AMI, f"{A} {B}")
    pass_time(hub, HOUR)
    if damage == "deleted":
        del hub.stores.records.records[key]
    else:
        hub.stores.records.records[key].body = before
        hub.unpark(key)
    for value in (None, f"{A} {B}"):
        hub.cloud.tag(AMI, value)
        pass_time(hub, 900)
    assert hub.outcomes()[AMI, B] == "copying"
    hub.cloud.tag(AMI, A)
    pass_time(hub, 900)

    assert not hub.cloud.permissions


def test_a_tag_that_is_removed_ends_everything_while_nobody_knows_whom_its_value_names():
    """The file loses B; as the promotion has compared, another file has an OU that nobody can read."""
    hub = tagged(behavior=CloudBehavior(copying=(5 * HOUR,)))
    hub.run(until=START + 600)
    assert set(hub.outcomes().values()) == {"copying"}
    listed = hub.cloud.directory.accounts
    named = Organization(ORGANIZATION, {OU: ("default",)})
    by_unit = {"default": (Target("", REGION),)}

    def name_the_ou():
        hub.cloud.directory = Directory({"default": (A, OU)}, listed, by_unit, organization=named)

    when(hub, do.Compare, name_the_ou)
    hub.cloud.directory = Directory({"default": (A,)}, listed)
    pass_time(hub, 600)
    assert hub.cloud.directory.organization is named
    assert set(hub.outcomes().values()) == {"copying"}
    hub.cloud.tag(AMI, None)
    pass_time(hub, 600)
    assert not set(hub.outcomes().values()) & {"copying"}


@pytest.mark.parametrize("tag", [f"{A} {B}", None])
def test_an_operator_takes_back_what_is_shared_whatever_trigger_tag_is_on_record(tag):
    """Somebody has forged it, so no tag is looked at: `withdraw`, or without a tag `recall`, closes all the same."""
    hub = shared()
    hub.stores.records.put(TRIGGER, {"kind": "trigger", "key": "forged"})
    hub._wire()
    hub.cloud.tag(AMI, tag)
    assert open_to(hub, after=HOUR) == {A, B}

    if tag:
        hub.withdraw(AMI, B)
    else:
        hub.recall(AMI)
    assert open_to(hub, after=HOUR) == ({A} if tag else set())
