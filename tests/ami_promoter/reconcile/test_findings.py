"""What ``reconcile`` finds in a view: each difference, without touching what is not the service's."""

import json
from dataclasses import replace

import pytest

from ami_promoter.hub.applied_targets import Receivers
from ami_promoter.hub.cloudtrail import Change
from ami_promoter.hub.records import record_of
from ami_promoter.reconcile.facts import HubView, TargetFacts
from ami_promoter.reconcile.findings import findings
from ami_promoter.reconcile.repair_data import EndTracked, MakeDue, RecordOpen, ReleaseHolding, Remove, Reopen, Withdraw
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.inventory.machine import OwnImage, OwnInstance, OwnSnapshot
from chalicelib.sharing import key_policy
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.key_policy import Access, Audience
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import TRIES_BEFORE_ALARM, Share, ShareState
from chalicelib.sharing.shown import of_grant
from tests.fakes import copying, sharing

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"
NOW = 1_800_000_000
AMI, SNAPSHOT, COPY = "ami-0a", "snap-0a", "snap-9a"
ID = "0123456789abcdef0123"
KEY = f"arn:aws:kms:{REGION}:{HUB}:key/source"
RESOURCE = addresses.snapshot_resource(SNAPSHOT).pk
KEY_RESOURCE = addresses.key_resource(KEY, DEV).pk
SHARE_WORKER = Change(added=True, own=True, by="role/share-worker", at="09:00")
PERSON = Change(added=True, own=False, by="a person", at="09:00")
REMOVED = Change(added=False, own=True, by="role/share-worker", at="09:00")
TAKEN = Change(added=False, own=False, by="a person", at="09:00")


SHOWN, HIDDEN = {Resource.of(SNAPSHOT): frozenset({DEV})}, {Resource.of(SNAPSHOT): frozenset()}
"""The snapshot's permissions, as AWS shows them."""


def last(change):
    """The last change of the snapshot's permission, if there is one."""
    return {(Resource.of(SNAPSHOT), DEV): change} if change else {}


def item(pk, sk, body, **beside):
    """One item of the table, as the command reads it; the members that it lacks are empty."""
    one = record_of({"pk": pk, "sk": sk, "body": json.dumps(body), **beside})
    return {one.key: replace(one, damage=())}


def a_delivery(state="copying", episode=1, **body):
    """A delivery's record, with a due time unless it has ended."""
    due = {} if state in ("delivered", "failed") else {"wake_at": NOW, "due_shard": "due#0"}
    given = {"id": ID, "episode": episode, "state": state, "target": {"account": DEV}, **body}
    return item(f"delivery#{ID}", "record", given, state=state, **due)


HELD, STANDING = copying(ID), sharing(ID)


def a_share(state, *holdings, resource=RESOURCE, name=DEV, **rest):
    """An entry of the ledger, and its resource's record."""
    given = {"account": name if name.startswith("arn:") else DEV, "intended_at": 1, "version": 4, **rest}
    share = Share(resource, name, state=ShareState(state), holdings=frozenset(holdings), **given)
    return item(resource, "record", {}, state="open", wake_at=NOW, due_shard="due#0") | {(resource, name): share}


def view(*items, **rest):
    """A view of these items and shares; by default its one target was read and is empty.

    Everything may be received unless ``receivers`` says who may; the view says what was read of a key.
    """
    every = {place: it for some in items for place, it in some.items()}
    ledger = {place: it for place, it in every.items() if isinstance(it, Share)}
    records = {place: it for place, it in every.items() if place not in ledger}
    return HubView(NOW, REGION, records, ledger, **{"targets": {(DEV, REGION): TargetFacts()}, **rest})


def found(seen):
    return [(one.code, one.repair) for one in findings(seen)]


def repairs(seen, code):
    """The repairs of the findings of one kind."""
    return [one.repair for one in findings(seen) if one.code == code]


def test_nothing_is_found_where_all_agrees():
    """A copying delivery, its open share, its copy; and an earlier delivery with its AMI."""
    agreeing = view(
        a_delivery(snapshots=[{"id": SNAPSHOT}]),
        a_share("open", HELD),
        permissions=SHOWN,
        targets={(DEV, REGION): TargetFacts(snapshots=(OwnSnapshot(COPY, "pending", ID, SNAPSHOT, 0, used=False),))},
    )
    image = OwnImage("ami-9a", "golden", "available", ID, AMI)
    delivered = view(
        a_delivery("delivered", image={"id": "ami-9a"}, copies=[{"id": COPY}]),
        a_share("closed"),
        permissions=HIDDEN,
        targets={(DEV, REGION): TargetFacts((image,), (OwnSnapshot(COPY, "completed", ID, SNAPSHOT, 0, used=True),))},
    )

    assert found(agreeing) == found(delivered) == []


def known(**changes):
    """The repair that puts a permission into the ledger."""
    return RecordOpen(**{"resource": RESOURCE, "share_name": DEV, "account": DEV, "wait": 0, "version": 0} | changes)


@pytest.mark.parametrize(
    ("share", "change", "expected"),
    [
        ({}, SHARE_WORKER, known()),
        (a_share("closed"), SHARE_WORKER, known(version=4)),
        (a_share("wanted"), SHARE_WORKER, known(version=4)),
        (a_share("refused"), SHARE_WORKER, known(version=4)),
        (a_share("open", preexisting=True), SHARE_WORKER, known(version=4)),
        ({}, None, None),
        ({}, PERSON, None),
        (a_share("closed"), None, None),
        (a_share("closed"), PERSON, None),
        (a_share("closed"), REMOVED, None),
        (a_share("open", preexisting=True), None, None),
        (a_share("open", preexisting=True), PERSON, None),
    ],
)
def test_an_open_permission_is_the_services_only_where_there_is_a_witness(share, change, expected):
    """If the share worker added it last, it is closed; a permission without that evidence stays (invariant 2).

    After a restore the service takes its own permission for a preexisting one; CloudTrail corrects that.
    """
    seen = view(share, permissions=SHOWN, changes=last(change))

    (one,) = findings(seen)

    assert one.repair == expected
    assert (one.code, one.wrong) == (("open-unknown", True) if expected else ("open-not-own", False))


@pytest.mark.parametrize(
    ("share", "says"),
    [
        ({}, "but the ledger says nothing."),
        (a_share("closed"), "but the ledger says closed."),
        (a_share("open", preexisting=True), "but the ledger says that it existed before the service needed it."),
    ],
)
def test_a_permission_of_the_service_says_what_the_ledger_lacks(share, says):
    """After a restore the service took what it had opened itself for somebody else's."""
    (one,) = findings(view(share, permissions=SHOWN, changes=last(SHARE_WORKER)))

    assert one.what.endswith(says)


def test_a_grant_beside_the_open_one_is_not_said_to_be_in_the_ledger():
    """After a restore the delivery's new grant stands there, and the one from before is found at the key."""
    newer = a_share("open", HELD, resource=KEY_RESOURCE, name=OF_GRANT, grant_id="h" * 64)
    said = [one.what for one in findings(view(a_delivery(), newer, grants={KEY: [A_GRANT]}))]

    assert any(one.endswith("but the ledger has another grant for that.") for one in said), said


@pytest.mark.parametrize(
    ("share", "change", "says"),
    [
        (a_share("open", preexisting=True), PERSON, "It existed before the service needed it. It stays."),
        ({}, None, "No record says that the service opened it. It stays."),
        ({}, PERSON, "The ledger says nothing, and no record says that the service opened it since. a person added"),
        (a_share("closed"), None, "The ledger says closed, and no record says that the service opened it since. It"),
        (a_share("closed"), REMOVED, "The ledger says closed, and no record says that the service opened it since. It"),
    ],
)
def test_a_permission_of_somebody_else_says_whose_it_may_be(share, change, says):
    """Who added it, if CloudTrail shows that; else how to ask for what is older, as a restored table forgets it."""
    (one,) = findings(view(share, permissions=SHOWN, changes=last(change)))

    assert one.what.startswith(says)
    assert ("let `--since` reach back to the backup" in one.what) == (change is None)


def test_the_history_of_a_lost_entry_is_a_witness():
    """The share is gone from the ledger, and its history says that the service opened it."""
    seen = view(permissions=SHOWN, once_open=frozenset({(Resource.of(SNAPSHOT), DEV)}))

    assert found(seen) == [("open-unknown", known())]


ELSEWHERE = {"account": "333333333333"}


@pytest.mark.parametrize(
    ("delivery", "wait", "does"),
    [
        (a_delivery(snapshots=[{"id": SNAPSHOT}]), 3600, "adds it to the ledger"),
        (a_delivery(snapshots=[{"id": "snap-0b"}]), 0, "closes it"),
        (a_delivery(snapshots=[{"id": SNAPSHOT}], target=ELSEWHERE), 0, "closes it"),
    ],
)
def test_a_permission_waits_for_a_delivery_that_is_to_copy_that_snapshot_there(delivery, wait, does):
    """Another delivery needs it not: it is closed at once."""
    (one,) = findings(view(delivery, permissions=SHOWN, changes=last(SHARE_WORKER)))

    assert (one.repair, one.does.startswith(does)) == (known(wait=wait), True)


def test_a_public_snapshot_is_notified_and_never_taken_for_the_services():
    """The service never makes anything public, so another principal did."""
    seen = view(
        permissions={Resource.of(SNAPSHOT): frozenset({"all"})}, changes={(Resource.of(SNAPSHOT), "all"): SHARE_WORKER}
    )

    assert found(seen) == [("open-not-own", None)]


@pytest.mark.parametrize(
    "target",
    [
        TargetFacts(snapshots=(OwnSnapshot(COPY, "pending", ID, SNAPSHOT, NOW, used=False),)),
        TargetFacts(fault=Fault("role-not-assumable", "there", "the role cannot be assumed.", "")),
        None,
    ],
)
def test_no_permission_is_shut_under_a_copy_that_runs_or_may_run(target):
    """A copy under way, or a target that could not be read: the ledger gets it, and it waits for its delivery."""
    seen = view(
        permissions=SHOWN, changes=last(SHARE_WORKER), targets={} if target is None else {(DEV, REGION): target}
    )

    assert known(wait=3600) in [one.repair for one in findings(seen)]


@pytest.mark.parametrize(
    ("share", "change", "code", "repair"),
    [
        ({}, None, "open-only-in-ledger", Reopen),
        ({}, REMOVED, "open-only-in-ledger", Reopen),
        ({}, PERSON, "open-only-in-ledger", Reopen),
        ({}, TAKEN, "taken-away", None),
        ({"preexisting": True}, None, "taken-away", None),
    ],
)
def test_a_share_that_shows_no_longer_is_opened_again_unless_somebody_took_it_away(share, change, code, repair):
    """Only for a delivery that needs it; a person's decision is reported, and stays."""
    seen = view(a_delivery(), a_share("open", HELD, **share), permissions=HIDDEN, changes=last(change))

    assert found(seen) == [(code, repair and repair(seen.share(RESOURCE, DEV)))]


@pytest.mark.parametrize(("tries", "shown"), [(TRIES_BEFORE_ALARM - 1, 0), (TRIES_BEFORE_ALARM, 1)])
def test_a_share_that_does_not_close_is_a_difference(tries, shown):
    """From the try on from which every other verb says so, with the command that closes it by hand."""
    seen = findings(view(a_delivery("failed"), a_share("closing", tries=tries), permissions=SHOWN))

    said = [(one.code, one.where, one.repair, one.wrong) for one in seen]
    assert said == [("not-closing", f"snapshot {SNAPSHOT} to account {DEV}", None, True)] * shown
    assert all(f"{tries} tries have not closed it" in one.what for one in seen)
    assert all(f"`aws ec2 modify-snapshot-attribute --region {REGION} " in one.what for one in seen)


@pytest.mark.parametrize("state", ["wanted", "opening", "closing"])
def test_a_share_that_is_not_open_yet_or_closing_need_not_show(state):
    """The share worker is at work on it."""
    assert found(view(a_delivery(), a_share(state, HELD), permissions=HIDDEN)) == []


@pytest.mark.parametrize(
    ("state", "holding", "preexisting", "receiver", "says"),
    [
        ("copying", HELD, False, DEV, "does not open it again."),
        ("shared", STANDING, False, DEV, "opens it again only for another delivery."),
        ("shared", STANDING, True, DEV, "does not open it again."),
        ("shared", STANDING, False, "", "opens it again only for another delivery."),
    ],
)
def test_what_somebody_took_away_says_whether_it_comes_again(state, holding, preexisting, receiver, says):
    """A standing share comes again when another delivery comes to hold it.

    It is months old: where a reset took it away, the history that is read has only that, and no receiver.
    """
    share = a_share("open", holding, preexisting=preexisting)
    seen = view(a_delivery(state), share, permissions=HIDDEN, changes={(Resource.of(SNAPSHOT), receiver): TAKEN})

    (one,) = findings(seen)

    assert (one.code, one.repair, one.what.endswith(f"The service {says}")) == ("taken-away", None, True)


@pytest.mark.parametrize(
    ("delivery", "alive"),
    [
        (a_delivery(), True),
        (a_delivery(episode=0), True),  # which cannot be read
        (a_delivery("failed"), False),
        (a_delivery(episode=2), False),
        ({}, False),
    ],
)
def test_a_holder_that_has_ended_or_does_not_exist_is_release_holding(delivery, alive):
    """Its share would stay open until the last closing time."""
    seen = view(delivery, a_share("open", HELD), permissions=SHOWN)

    assert (("held-by-nobody", ReleaseHolding(RESOURCE, DEV, HELD)) in found(seen)) is not alive


ROLE = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
OWN_KEY = f"arn:aws:kms:{REGION}:{DEV}:key/own"


@pytest.mark.parametrize(
    ("resource", "state", "fine"),
    [
        (addresses.role_resource(OWN_KEY, DEV).pk, "delivered", True),
        (addresses.role_resource(OWN_KEY, DEV).pk, "failed", False),
        (addresses.role_resource(KEY, DEV).pk, "shared", True),
        (addresses.role_resource(KEY, DEV).pk, "delivered", False),
        (addresses.role_resource(KEY, DEV).pk, "withdrawn", False),
        (addresses.policy_resource(KEY).pk, "shared", True),
        (addresses.policy_resource(KEY).pk, "withdrawn", False),
    ],
)
def test_what_stays_is_held_by_what_is_shared_and_on_the_targets_own_key_by_what_was_delivered(resource, state, fine):
    """No due time is needed, and the holding stays; if the delivery ended otherwise, the holding is released."""
    record = item(f"delivery#{ID}", "record", {"id": ID, "episode": 1, "target": {"account": DEV}}, state=state)
    resting = a_share("open", STANDING, resource=resource, name=ROLE) | item(resource, "record", {}, state="open")
    seen = view(record, resting)

    assert found(seen) == ([] if fine else [("held-by-nobody", ReleaseHolding(resource, ROLE, STANDING))])


def test_on_the_targets_own_key_nobody_is_let_go_whose_record_is_lost():
    """A delivered one holds the grant for all AMIs there, and without the record its outcome is unknown."""
    resource = addresses.role_resource(OWN_KEY, DEV).pk
    assert found(view({}, a_share("open", STANDING, resource=resource, name=ROLE))) == []


def test_launch_permissions_are_compared_as_those_of_snapshots():
    """Added by the service and not in the ledger: closed. In the ledger, needed and gone: opened again."""
    resource = addresses.image_resource(AMI).pk
    forgotten = view(permissions={Resource.of(AMI): frozenset({DEV})}, changes={(Resource.of(AMI), DEV): SHARE_WORKER})
    gone = view(
        a_delivery("shared"), a_share("open", STANDING, resource=resource), permissions={Resource.of(AMI): frozenset()}
    )

    assert found(forgotten) == [("open-unknown", known(resource=resource, wait=3600))]
    assert found(gone) == [("open-only-in-ledger", Reopen(gone.share(resource, DEV)))]


OF_GRANT = f"{ID}-AmiCopyRole"
"""The ledger's name of the share that it opens."""


def a_grant(share_name, grantee=f"arn:aws:iam::{DEV}:role/AmiCopyRole"):
    """A grant on the source key with the service's name for this share."""
    name = grant_name(Share(KEY_RESOURCE, share_name, DEV, intended_at=1), REGION)
    return of_grant(KEY, SeenGrant("g" * 64, name, "", grantee), HUB, REGION)


@pytest.mark.parametrize(("state", "known_to_it"), [("open", True), ("closed", False), (None, False)])
def test_a_grant_for_a_service_role_is_known_as_the_services_by_its_name(state, known_to_it):
    """The target created it under the service's name for its own role; the ledger has it under the role."""
    resource = addresses.role_resource(KEY, DEV).pk
    items = [] if state is None else [a_share(state, resource=resource, name=ROLE, grant_id="g" * 64)]
    grant = a_grant(ROLE, f"arn:aws:iam::{DEV}:role/aws-service-role/{ROLE}")

    unknown = repairs(view(*items, grants={KEY: [grant]}), "open-unknown")

    named = [(repair.resource, repair.share_name, repair.grant_id) for repair in unknown]
    assert named == ([] if known_to_it else [(resource, ROLE, "g" * 64)])


A_GRANT = a_grant(OF_GRANT)


@pytest.mark.parametrize(
    ("items", "share_name", "wait"),
    [
        ([], OF_GRANT, 0),
        ([a_delivery("failed")], OF_GRANT, 0),
        ([a_delivery("awaiting-slot")], OF_GRANT, 3600),
        ([a_share("closed", resource=KEY_RESOURCE, name=OF_GRANT)], OF_GRANT, 0),
        (
            [a_delivery(), a_share("open", HELD, resource=KEY_RESOURCE, name=OF_GRANT, grant_id="h" * 64)],
            "grant-" + "g" * 64,
            3600,
        ),
    ],
)
def test_a_grant_with_the_services_name_that_the_ledger_lacks_is_put_into_it(items, share_name, wait):
    """The ledger gets it: as its delivery's share, or as another one if that share has another grant."""
    (repair,) = repairs(view(*items, grants={KEY: [A_GRANT]}), "open-unknown")
    expected = (KEY_RESOURCE, share_name, "g" * 64, wait)

    assert (repair.resource, repair.share_name, repair.grant_id, repair.wait) == expected


def test_a_grant_to_a_role_that_was_deleted_is_put_into_the_ledger_and_so_closed():
    """KMS shows only the id of the role, so its account is not known."""
    (repair,) = repairs(view(grants={KEY: [a_grant(OF_GRANT, "AROAEXAMPLEEXAMPLE")]}), "open-unknown")

    assert (repair.grant_id, repair.grantee, repair.intended_at) == ("g" * 64, "AROAEXAMPLEEXAMPLE", 1)
    assert repair.resource == addresses.key_resource(KEY, "AROAEXAMPLEEXAMPLE").pk


@pytest.mark.parametrize(("items", "wait"), [([], 0), ([a_delivery()], 3600)])
def test_a_standing_grant_that_the_ledger_lacks_waits_for_no_copy(items, wait):
    """No copy uses it: it is closed at once, unless a delivery to the account is under way and may need it."""
    (repair,) = repairs(view(*items, grants={KEY: [a_grant(DEV)]}, targets={}), "open-unknown")

    assert (repair.share_name, repair.wait) == (DEV, wait)


@pytest.mark.parametrize("grant_id", ["g" * 64, ""])
def test_a_grant_that_the_ledger_knows_is_left_alone(grant_id):
    """By its id, or by the time of its intent if the id was not recorded."""
    items = [a_delivery(), a_share("opening", HELD, resource=KEY_RESOURCE, name=OF_GRANT, grant_id=grant_id)]

    assert found(view(*items, grants={KEY: [A_GRANT]})) == []


@pytest.mark.parametrize(
    ("items", "used", "age", "repair"),
    [
        ([], False, 3600, Remove(DEV, REGION, COPY, ID)),
        ([a_delivery("failed")], False, 3600, Remove(DEV, REGION, COPY, ID)),
        ([], True, 3600, None),
        ([], False, 60, None),
        ([a_delivery("copying")], False, 3600, None),
        ([a_delivery("delivered", copies=[{"id": COPY}])], False, 3600, None),
        ([a_delivery("failed", cleanup={"leftovers": [COPY]})], False, 3600, None),
    ],
)
def test_a_copy_is_an_orphan_only_if_nobody_uses_or_knows_it(items, used, age, repair):
    """One in use, a new one, a running delivery's, and one on a record (now its owner's) are no orphans."""
    copy = OwnSnapshot(COPY, "completed", ID, SNAPSHOT, NOW - age, used=used)
    seen = view(*items, targets={(DEV, REGION): TargetFacts(snapshots=(copy,))})

    assert repairs(seen, "copy-orphaned") == ([repair] if repair else [])


def test_a_copy_without_the_delivery_tag_is_notified_and_not_deleted():
    """The hub's tag alone is not enough: a person may have removed the other tag for a reason."""
    copy = OwnSnapshot(COPY, "completed", "", SNAPSHOT, 0, used=False)

    assert found(view(targets={(DEV, REGION): TargetFacts(snapshots=(copy,))})) == [("copy-orphaned", None)]


def test_an_instance_is_stray_unless_a_delivery_under_way_has_begun_it():
    """It costs money, and the hub does not end what it does not know. A volume has no token."""
    begun = {"launch": {"attempts": [{"nonce": "n-1", "at": NOW}]}}

    def codes(token, *items):
        there = TargetFacts(instances=(OwnInstance("i-0a", "running", ID, token),))
        return [one.code for one in findings(view(*items, targets={(DEV, REGION): there}))]

    under_way = a_delivery("launching", **begun)
    assert codes("n-1", under_way) == codes("", under_way) == []
    assert codes("n-2", under_way) == codes("n-1", a_delivery("failed", **begun)) == codes("n-1") == ["instance-stray"]


@pytest.mark.parametrize(
    ("items", "wrong"), [([], False), ([a_delivery("failed")], True), ([a_delivery("copying")], None)]
)
def test_an_image_that_no_record_knows_is_notified_and_stays(items, wrong):
    """The AMI is its owner's. One of a running delivery is not reported."""
    image = OwnImage("ami-9a", "golden", "available", ID, AMI)
    reported = findings(view(*items, targets={(DEV, REGION): TargetFacts(images=(image,))}))

    assert [(one.repair, one.wrong) for one in reported] == ([] if wrong is None else [(None, wrong)])


def test_a_record_without_a_due_date_is_woken():
    """A delivery, a promotion and a resource have work left and no due time."""
    lost = item(f"delivery#{ID}", "record", {"state": "copying", "episode": 1}, state="copying")
    promotion = item(f"promotion#{AMI}", "record", {"state": "running"}, state="running")
    resource = a_share("open", HELD) | item(RESOURCE, "record", {}, state="open")
    seen = view(lost, promotion, resource, permissions=SHOWN)
    until = item(f"delivery#{ID}", "record", {"episode": 1, "target": {"account": DEV, "until": NOW}}, state="shared")

    assert found(seen) == [("due-date-lost", MakeDue(pk)) for pk in (f"delivery#{ID}", f"promotion#{AMI}", RESOURCE)]
    assert found(view(until)) == [("due-date-lost", MakeDue(f"delivery#{ID}"))]


def test_a_parked_or_damaged_record_is_notified():
    """The text has the command that unparks it."""
    parked = item(f"delivery#{ID}", "record", {"state": "copying", "episode": 1}, state="copying", parked="a bug.")
    damaged = record_of({"pk": "promotion#ami-0b", "sk": "record", "state": "running", "body": "{"})

    reported = findings(view(parked, {damaged.key: damaged}))

    assert [one.code for one in reported] == ["parked", "unreadable"]
    assert f"--unpark 'delivery#{ID}'" in reported[0].what


@pytest.mark.parametrize(
    ("delivery", "state", "code"),
    [
        ({}, "running", "delivery-lost"),
        ({}, "adjusting", None),
        ({}, "comparing", None),
        (a_delivery("delivered"), "running", "end-not-reported"),
        (a_delivery("delivered", episode=0), "running", None),
        (a_delivery("copying"), "running", None),
    ],
)
def test_a_promotion_that_waits_in_vain_is_notified(delivery, state, code):
    """A lost delivery, or one whose end was not reported. While the promotion writes deliveries nothing is reported.

    Nor is the end of an earlier episode, whose retry has not begun yet.
    """
    promotion = item(f"promotion#{AMI}", "record", {}, state=state, wake_at=NOW, due_shard="due#0")
    entry = item(
        f"promotion#{AMI}", f"delivery#{ID}", {"delivery": ID, "account": DEV, "episode": 1, "state": "running"}
    )

    expected = [] if code is None else [(code, EndTracked(AMI, ID))]
    assert found(view(promotion, entry, delivery)) == expected
    assert found(view(entry, delivery)) == [], "of a promotion that is lost"


# --- grants and key policies -----------------------------------------------------------------------------------------

POLICY = addresses.policy_resource(KEY).pk
ROLE_ARN = f"arn:aws:iam::{DEV}:role/AmiCopyRole"


def a_policy(*statements):
    """The source key's policy, as it was read."""
    return {KEY: key_policy.read(KEY, json.dumps({"Statement": statements}), HUB_SID)}


HUB_SID = key_policy.hub_sid(HUB, REGION)
STATEMENTS = key_policy.statements(Access(DEV, Audience.COPIES, ROLE_ARN, HUB_SID))
"""The service's statements for the target's role."""


@pytest.mark.parametrize(
    ("items", "repair"),
    [
        ([], RecordOpen(POLICY, DEV, DEV, 0)),
        ([a_share("closed", resource=POLICY)], RecordOpen(POLICY, DEV, DEV, 0, version=4)),
        ([a_delivery()], RecordOpen(POLICY, DEV, DEV, 3600)),
    ],
)
def test_a_statement_of_the_service_that_the_ledger_lacks_is_put_into_it(items, repair):
    """Its Sid is the service's. While a copy may need the key, it waits for its delivery."""
    assert found(view(*items, policies=a_policy(*STATEMENTS))) == [("open-unknown", repair)]


def test_a_statement_that_the_ledger_knows_is_left_alone():
    """One that is open for a delivery; a preexisting one is reported, and stays."""
    held = a_share("open", HELD, resource=POLICY)
    known_open = view(a_delivery(), held, policies=a_policy(*STATEMENTS))
    before = view(a_share("open", resource=POLICY, preexisting=True), policies=a_policy(*STATEMENTS))

    assert found(known_open) == []
    assert found(before) == [("open-not-own", None)]


WIDENED = key_policy.statements(Access(DEV, Audience.COPIES, f"arn:aws:iam::{DEV}:root", HUB_SID))


@pytest.mark.parametrize("statements", [(), STATEMENTS[:1], WIDENED])
def test_a_statement_that_somebody_took_out_or_changed_is_written_again_for_whoever_needs_it(statements):
    """All or part of it: copies fail without it. The text names the call to search for, and says what shows."""
    share = a_share("open", HELD, resource=POLICY, grantee=ROLE_ARN)
    read = {"policies": a_policy(*statements)}

    (one,) = findings(view(a_delivery(), share, **read))

    assert (one.code, one.repair) == ("open-only-in-ledger", Reopen(share[POLICY, DEV]))
    assert "PutKeyPolicy" in one.what
    assert ("somebody has changed" in one.what, "does not show" in one.what) == (bool(statements), not statements)
    ended = view(a_delivery("failed"), share, **read)
    assert repairs(ended, "open-only-in-ledger") == []


@pytest.mark.parametrize(("resource", "name"), [(KEY_RESOURCE, ID), (addresses.role_resource(KEY, DEV).pk, ROLE)])
@pytest.mark.parametrize(
    ("read", "opened_at", "reported"), [(True, 0, True), (False, 0, False), (True, NOW - 60, False)]
)
def test_a_grant_that_shows_no_longer_is_made_again_for_whoever_needs_it(resource, name, read, opened_at, reported):
    """Also a service-linked role's. Not if the key's grants could not be read, or the grant may show late."""
    share = a_share("open", STANDING, resource=resource, name=name, grant_id="g" * 64, opened_at=opened_at)
    every = findings(view(a_delivery("shared"), share, grants={KEY: []} if read else {}))

    assert [(one.code, one.repair) for one in every] == (
        [("open-only-in-ledger", Reopen(share[resource, name]))] if reported else []
    )
    assert all("who called RevokeGrant." in one.what for one in every)


def test_what_could_not_be_read_is_not_taken_for_gone():
    """The snapshot's permissions are unknown: the share is not opened again, and the reason is reported."""
    why = Fault("not-seen", SNAPSHOT, "Who may use it cannot be read: throttled.", "Run it again.")

    assert found(view(a_delivery(), a_share("open", HELD), troubles=(why,))) == [("not-seen", None)]


def test_a_snapshot_in_another_region_is_notified_with_its_region():
    """A hub copy in another Region: its permissions are compared there."""
    abroad = Resource.of(SNAPSHOT, "eu-west-1")
    seen = view(permissions={abroad: frozenset({DEV})}, changes={(abroad, DEV): SHARE_WORKER})

    (one,) = findings(seen)

    assert one.where == f"{SNAPSHOT} in eu-west-1 to account {DEV}"
    assert one.repair == known(resource=addresses.snapshot_resource(SNAPSHOT, "eu-west-1").pk)


# --- the applied file ------------------------------------------------------------------------------------------------

OU = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111"
IMAGE = addresses.image_resource(AMI).pk
ROLES = addresses.role_resource(KEY, DEV).pk
NOBODY = Receivers(known=True)


@pytest.mark.parametrize(
    ("resource", "name"), [(RESOURCE, DEV), (IMAGE, DEV), (KEY_RESOURCE, ID), (POLICY, DEV), (ROLES, ROLE), (IMAGE, OU)]
)
@pytest.mark.parametrize("state", ["opening", "open", "closing"])
def test_what_is_open_to_somebody_whom_the_file_does_not_contain_is_notified(resource, name, state):
    """For every kind, and for an OU's ARN that no group names any more; with cause, cure and repair."""
    receiver = OU if name == OU else DEV
    share = a_share(state, STANDING, resource=resource, name=name, account=receiver, tries=TRIES_BEFORE_ALARM)
    seen = view(
        a_delivery("shared", ami=AMI), share, receivers=replace(NOBODY, regions={"333333333333": frozenset({REGION})})
    )

    (one,) = [one for one in findings(seen) if one.code == "receiver-not-listed"]

    assert one.where == (OU if name == OU else f"account {DEV}")
    assert one.repair == Withdraw(receiver, (seen.share(resource, name),))
    assert "does not contain" in one.what
    assert f"delivery {ID} (AMI {AMI}, shared)" in one.what
    assert "add it to the file" in one.what
    assert (f"`ami-promoter retry {STANDING.ami}` gives" in one.what) is (name == OU)


@pytest.mark.parametrize(
    ("share", "receivers"),
    [
        ({}, replace(NOBODY, regions={DEV: frozenset({REGION})})),
        ({"resource": IMAGE, "name": OU}, replace(NOBODY, units=frozenset({OU}))),
        ({}, Receivers()),
        ({}, replace(NOBODY, unread=("ou-ab12-11111111",))),
        ({"preexisting": True}, NOBODY),
        ({"state": "closed"}, NOBODY),
        ({"state": "closing", "tries": 1}, NOBODY),
        ({"resource": addresses.role_resource(OWN_KEY, DEV).pk, "name": ROLE}, NOBODY),
    ],
)
def test_what_the_file_contains_or_is_not_known_not_to_contain_stays(share, receivers):
    """Also a preexisting share, a closed or closing one, and a grant on a target's own key."""
    made = a_share(**{"state": "open", **share})
    seen = view(a_delivery("shared"), made, receivers=receivers)

    assert repairs(seen, "receiver-not-listed") == []


def test_shares_of_one_receiver_are_notified_together():
    """Five snapshots: one finding, which names three, and the last refusal to close one."""
    refused = Fault("key-disabled", "", "the key is disabled.", "")
    shares = [a_share("closing", resource=addresses.snapshot_resource(f"snap-{n}").pk, fault=refused) for n in range(5)]

    (one,) = [one for one in findings(view(*shares, receivers=NOBODY)) if one.code == "receiver-not-listed"]

    assert "5 shares that the service opened" in one.what
    assert "and 2 more" in one.what
    assert "No delivery holds them." in one.what
    assert "the key is disabled." in one.what


def test_a_share_whose_record_is_lost_is_made_due():
    """No worker would process it again."""
    share = {place: it for place, it in a_share("open", HELD).items() if place[1] != "record"}

    assert found(view(a_delivery(), share)) == [("due-date-lost", MakeDue(RESOURCE))]
