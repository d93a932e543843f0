"""Who is to have an AMI, and what differs from that: the surplus ends, what is missing begins."""

import json
from dataclasses import replace

import pytest

from chalicelib.delivery.outcomes import EXPIRED
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.promotion import evolving
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.events import TagSeen
from chalicelib.promotion.model import MADE_HERE, Promotion, PromotionState
from chalicelib.promotion.wanted import WantedTargets, wanted_targets
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.organization import Membership, Organization, Unit
from chalicelib.targets.withdrawals import EVERYWHERE, Withdrawal

REGION, NOW = "us-east-1", 1_800_000_000
HUB, A, B, C = "111111111111", "200000000001", "200000000002", "200000000003"
OU, OTHER_OU = "ou-ab12-11111111", "ou-ab12-22222222"
ARN = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/"
FAULT = Fault("code", "where", "what.", "cure.")


def the_file(
    *accounts: str, digest: str = "file", groups: tuple[str, ...] = ("dev",), **settings: object
) -> AppliedFile:
    """A file whose groups have these accounts."""
    listed = {account: (Target(account, REGION, **settings),) for account in accounts}
    return AppliedFile(Directory(dict.fromkeys(groups, accounts), listed), digest)


def an_ou(*members: str, listed: tuple[str, ...] = (), back_fill: bool = True, reading: str = "read") -> AppliedFile:
    """A file whose group ``dev`` has an OU with these members, and accounts of its own."""
    return AppliedFile(
        Directory(
            {"dev": (OU, *listed)},
            {account: (Target(account, REGION),) for account in listed},
            {"dev": (Target("", REGION),)},
            organization=Organization("o-a1b2c3d4e5", {OU: ("dev",)}, back_fill=back_fill),
            membership=Membership(reading, {OU: Unit(ARN + OU, members)}),
        ),
        "file",
    )


def conflicting(account: str) -> AppliedFile:
    """A file whose two OUs give an account different settings; another account has none of that."""
    units = {OU: Unit(ARN + OU, (account, A)), OTHER_OU: Unit(ARN + OTHER_OU, (account,))}
    return AppliedFile(
        Directory(
            {"dev": (OU,), "others": (OTHER_OU,)},
            {},
            {"dev": (Target("", REGION),), "others": (Target("", REGION, key="alias/other"),)},
            organization=Organization("o-a1b2c3d4e5", {OU: ("dev",), OTHER_OU: ("others",)}),
            membership=Membership("read", units),
        ),
        "file",
    )


def a_promotion(**changes: object) -> Promotion:
    """A promotion whose pass for the first tag event is complete."""
    known: dict[str, object] = {"state": PromotionState.RUNNING, "value": "dev", "seen_value": "dev", "file": "file"}
    known |= {"generation": 1, "passed_generation": 1, "in_force_since": NOW}
    return replace(evolving.started("ami-0a", HUB, REGION, NOW), **(known | changes))


def tracked(account: str, state: str = "running", generation: int = 1, delivery: str = "") -> TrackedDelivery:
    return TrackedDelivery(delivery or f"d-{account}", account, REGION, 1, state, "", generation)


def wanted(promotion: Promotion, applied: AppliedFile, *withdrawals: Withdrawal) -> WantedTargets:
    return wanted_targets(promotion, promotion.value_by_looks, applied, withdrawals)


def withdrawn(place: str, at: int = NOW + 10, value: str | None = "dev") -> Withdrawal:
    return Withdrawal(place, at, "operator", value)


def differs(promotion: Promotion, applied: AppliedFile, *there: TrackedDelivery, out: tuple[Withdrawal, ...] = ()):
    """The accounts whose deliveries are to end, and those for which one is to begin."""
    found = wanted(promotion, applied, *out)
    ends, begins = found.surplus(there, promotion), found.missing(there, promotion)
    return [one.account for one in ends], [one.account for one in begins]


# --- what begins -----------------------------------------------------------------------------------------------------


def test_a_first_tag_begins_all_that_it_names_and_afterwards_nothing_differs():
    """Sorted, so that a pass can go on where it stopped."""
    new = a_promotion(passed_generation=0)
    assert differs(new, the_file(B, A)) == ([], [A, B])

    for state in ("running", "delivered", "shared"):
        assert differs(new, the_file(A, B), tracked(A, state), tracked(B, state)) == ([], [])


def test_the_baseline_begins_nothing():
    """What was tagged before the service's first look waits for a tag event, also if an account joins."""
    baseline = evolving.baseline("ami-0a", HUB, REGION, "dev", NOW)

    assert differs(baseline, the_file(A)) == differs(baseline, an_ou(A)) == ([], [])


def test_another_parameter_in_the_file_waits_for_a_tag_event():
    """Or for a retry that names the target. What the file no longer sets begins nothing, nor does a recalled AMI."""
    renamed, asked = the_file(A, B, ssm_parameter="/b/{family}"), a_promotion(generation=2)
    there = [replace(tracked(one, "delivered"), ssm_parameter="/a/{family}") for one in (A, B)]
    assert differs(a_promotion(), renamed, *there) == ([], [])

    assert differs(asked, renamed, *there) == ([A, B], [])
    assert differs(a_promotion(retries={B: 2}), renamed, *there) == ([B], [])
    assert differs(asked, the_file(A, B), *there) == ([], [])
    assert differs(asked, the_file(A, B, ssm_parameter="/a/{family}"), *there) == ([], [])
    assert not wanted(asked, renamed, withdrawn(EVERYWHERE)).renames(there[0], asked)


def test_an_account_that_is_added_to_the_file_waits_for_a_tag_event():
    """Or for a retry that names it."""
    wider = the_file(A, B)
    assert differs(a_promotion(), wider, tracked(A)) == ([], [])

    assert differs(a_promotion(generation=2), wider, tracked(A)) == ([], [B])
    assert differs(a_promotion(retries={B: 2}), wider, tracked(A)) == ([], [B])
    assert differs(a_promotion(retries={f"{B}/{REGION}": 2}), wider, tracked(A)) == ([], [B])


def test_a_target_whose_pass_was_not_complete_is_no_addition():
    """The pass was refused, or killed, before it reached the target: it begins without another tag event."""
    assert differs(a_promotion(passed_generation=0), the_file(A, B), tracked(A)) == ([], [B])


def test_an_account_that_joins_an_ou_begins_at_once():
    """If the file has joining accounts filled in; else it waits for a tag event, too."""
    assert differs(a_promotion(), an_ou(A, B), tracked(A)) == ([], [B])
    assert differs(a_promotion(), an_ou(A, B, back_fill=False), tracked(A)) == ([], [])
    assert differs(a_promotion(generation=2), an_ou(A, B, back_fill=False), tracked(A)) == ([], [B])


def test_an_account_that_the_file_lists_besides_an_ou_is_an_addition_of_the_file():
    """The editor of the file decides about the next tag event, not about what is tagged."""
    assert differs(a_promotion(), an_ou(A, listed=(B,)), tracked(A)) == ([], [])


@pytest.mark.parametrize("state", ["failed", EXPIRED])
def test_what_has_failed_or_expired_begins_again_for_a_newer_generation_only(state):
    """A tag event, or a retry that names it: also one that came while it was failing."""
    there = tracked(A, state)
    assert differs(a_promotion(), the_file(A), there) == ([], [])

    assert differs(a_promotion(generation=2), the_file(A), there) == ([], [A])
    assert differs(a_promotion(retries={A: 2}), the_file(A), there) == ([], [A])
    assert differs(a_promotion(retries={B: 2}), the_file(A, B), there, tracked(B)) == ([], [])
    assert differs(a_promotion(generation=2), the_file(A), tracked(A, state, generation=2)) == ([], [])


def test_what_a_date_has_ended_does_not_begin_again_with_all_that_has_failed():
    """A retry of hundreds, or the lift of a recall, is for what has failed. The file has got a later date since."""
    before = a_promotion(inbox={"lifted": "1:"})
    look = TagSeen("dev", "available", answers=before.inbox, starting_point=before.starting_point)
    again = evolving.on_tag_seen(look, before, NOW)
    there = [tracked(A, "failed"), tracked(B, EXPIRED)]

    assert differs(again, the_file(A, B), *there) == ([], [A])
    assert differs(replace(again, generation=9), the_file(A, B), *there) == ([], [A, B]), "a tag event begins it"


@pytest.mark.parametrize("state", ["cancelled", "withdrawn"])
def test_what_was_cancelled_or_withdrawn_begins_again_as_soon_as_it_is_wanted_again(state):
    """The account is back in the file, or the tag was put back while it ended."""
    there = tracked(A, state)
    assert differs(a_promotion(), the_file(A), there) == ([], [A])
    assert differs(a_promotion(), the_file(B), there, tracked(B)) == ([], [])


def test_the_hubs_own_copy_begins_with_a_target_that_waits_for_it():
    """It may have failed long ago, or its share have expired: nobody else would begin it again."""
    listed = {A: (Target(A, "eu-west-1", by_way_of=HUB),), HUB: (Target(HUB, "eu-west-1"),)}
    by_way = AppliedFile(Directory({"dev": (A,)}, listed), "file")
    at = {account: replace(tracked(account), region="eu-west-1") for account in (A, HUB)}
    again = a_promotion(retries={A: 2})

    for state in ("failed", EXPIRED):
        hub = replace(at[HUB], state=state)
        assert differs(again, by_way, replace(at[A], state="failed"), hub) == ([], [HUB, A])
        assert differs(again, by_way, at[A], hub) == ([], [])
    assert differs(again, by_way, replace(at[A], state="failed"), replace(at[HUB], state="delivered")) == ([], [A])
    assert differs(again, by_way, replace(at[A], state="failed")) == ([], [HUB, A])

    recalled = replace(at[HUB], state="recalled")
    assert differs(again, by_way, replace(at[A], state="failed"), recalled) == ([HUB], [A]), "it is restored instead"

    gone = replace(again, gone_generation=1)
    ended = [replace(one, state="cancelled") for one in at.values()]
    assert differs(gone, by_way, *ended) == ([], [HUB, A]), "also where the AMI was gone until then"


# --- what ends -------------------------------------------------------------------------------------------------------


def test_what_is_no_longer_named_ends_and_the_rest_goes_on():
    """Running or shared; what has ended or is delivered stays as it is."""
    there = [tracked(A), tracked(B, "running"), tracked(C, "shared")]
    assert differs(a_promotion(), the_file(A), *there) == ([B, C], [])

    for state in ("delivered", "failed", "cancelled", "withdrawn", EXPIRED):
        assert differs(a_promotion(), the_file(A), tracked(A), tracked(B, state)) == ([], [])


def test_the_surplus_comes_in_the_order_of_ids():
    """So that a pass can go on where it stopped."""
    there = [tracked(A, delivery="z"), tracked(B, delivery="y"), tracked(C, delivery="x")]
    found = wanted(a_promotion(value=None, seen_value=None), the_file(A)).surplus(there, a_promotion())

    assert [one.delivery for one in found] == ["x", "y", "z"]


def test_a_removal_that_waits_is_not_forgotten_by_a_new_value():
    """The tag is "a b", "b" and "b c" before anything has ended: the delivery to "a" must still end."""
    groups = {"a": (A,), "b": (B,), "c": (C,)}
    applied = AppliedFile(Directory(groups, {one: (Target(one, REGION),) for one in (A, B, C)}), "file")
    third = a_promotion(value="b", seen_value="b c", generation=3, passed_generation=1)

    assert differs(third, applied, tracked(A), tracked(B)) == ([A], [C])


def test_while_looks_disagree_the_value_in_force_counts():
    """Nobody is asked to end for one look without the tag."""
    once = a_promotion(seen_value=None, seen_since=NOW, looked_at=NOW)

    assert differs(once, the_file(A), tracked(A)) == ([], [])


def test_a_gone_image_ends_what_is_shared_and_lets_copies_finish():
    """Nothing begins; and after the next tag event all is as before."""
    there = [tracked(A), tracked(B, "shared"), tracked(C, "cancelled")]
    assert differs(a_promotion(gone_generation=1), the_file(A, B, C), *there) == ([B], [])
    assert differs(a_promotion(gone_generation=1, generation=2), the_file(A, B, C), *there) == ([], [C])
    assert differs(a_promotion(gone_generation=1, retries={A: 2}), the_file(A, B, C), *there) == ([B], [])


def test_an_image_that_the_service_made_gives_nobody_anything():
    """Its tag was inherited; a value that was in force before stays so."""
    made = Fault(MADE_HERE, "where", "what.", "cure.")
    fresh = a_promotion(value=None, file="", passed_generation=0, faults=(made,))

    assert differs(fresh, the_file(A)) == ([], [])
    assert differs(a_promotion(faults=(made,)), the_file(A), tracked(A)) == ([], [])
    other = a_promotion(seen_value=B, faults=(made,))
    assert differs(other, the_file(A, B), tracked(A)) == ([], []), "what it is tagged with now withdraws nothing"


# --- withdrawals -----------------------------------------------------------------------------------------------------


def test_a_withdrawal_ends_its_delivery_and_lets_none_begin():
    """An account, or one of its Regions; that it is withdrawn is no removal by the tag, which takes two looks."""
    for place in (A, f"{A}/{REGION}"):
        out = (withdrawn(place),)
        found = wanted(a_promotion(), the_file(A, B), *out)
        assert differs(a_promotion(), the_file(A, B), tracked(A), tracked(B), out=out) == ([A], [])
        assert differs(a_promotion(generation=9), the_file(A, B), tracked(B), out=out) == ([], [])
        assert not found.leaves_out(found.surplus([tracked(A)], a_promotion()))
    narrowed = wanted(a_promotion(), the_file(B), *out)
    assert narrowed.leaves_out(narrowed.surplus([tracked(C)], a_promotion()))


def test_left_out_is_only_what_a_withdrawal_kept_from_beginning():
    """Not what could not begin yet for another reason, nor a withdrawn account that waited for a tag event anyway."""
    first, passed, out = a_promotion(passed_generation=0), a_promotion(), withdrawn(f"{B}/{REGION}")
    assert wanted(first, the_file(A, B), out).left_out([], first) == {REGION: B}
    assert wanted(passed, the_file(A, B), out).left_out([tracked(A)], passed) == {}


def test_thousands_of_targets_that_a_withdrawal_kept_out_fit_on_the_record_and_begin_with_its_lift():
    """A launch permission of an OU with 1,000 accounts in 17 Regions, of which one is withdrawn before the tag event.

    DynamoDB takes 400 KB in an item. One that has begun meanwhile, and a Region of a later file, are not among them.
    """
    regions = [f"ap-southeast-{number}" for number in range(17)]
    accounts = [str(200_000_000_000 + number) for number in range(1000)]
    file = an_ou(*accounts, back_fill=False)

    def among(*regions: str) -> AppliedFile:
        settings = {"dev": tuple(Target("", one, mode="share", launch_permission="group") for one in regions)}
        return AppliedFile(replace(file.directory, by_unit=settings), "file")

    first = a_promotion(passed_generation=0)
    out = wanted(first, among(*regions), withdrawn(accounts[0]))
    begun = TrackedDelivery("d-1", accounts[1], regions[1], 1, "shared", "", 1)
    promotion = replace(first, passed_generation=1, left_out=out.left_out([begun], first))
    assert len(json.dumps(PROMOTIONS.encode(promotion).body)) < 300_000

    later = wanted(promotion, among(*regions, "eu-north-1"))
    begins = {one.place for one in later.missing([begun], promotion)}
    assert begins == {f"{account}/{region}" for account in accounts for region in regions} - {begun.place}
    assert later.left_out([begun], promotion) == promotion.left_out, "until they have begun"
    every = [TrackedDelivery("d", *place.split("/"), 1, "running", "", 1) for place in begins]
    assert not later.left_out([begun, *every], promotion)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"generation": NOW + 50}, True),
        ({"in_force_since": NOW + 20}, True),
        ({"withdrawals_from": NOW + 20}, False),
        ({"seen_value": "prod", "in_force_since": NOW + 20}, False),
        ({"seen_value": "prod"}, True),
    ],
    ids=str,
)
def test_a_withdrawal_counts_since_ec2_last_showed_another_value(changes, counts):
    """Not since a tag event. ``in_force_since``: when the value that is replaced now was first read."""
    promotion = a_promotion(**changes)
    value = promotion.seen_value
    out = (withdrawn(A, value=value),)
    applied = the_file(A, groups=("dev", "prod"))

    assert bool(wanted(promotion, applied, *out).entitled.withdrawn) is counts


def test_a_withdrawal_for_the_value_that_the_tag_shows_counts_while_that_is_refused():
    """The value in force counts, and the operator saw the refused one."""
    typo = a_promotion(seen_value="dve")

    assert differs(typo, the_file(A, B), tracked(A), tracked(B), out=(withdrawn(A, value="dve"),)) == ([A], [])


# --- what cannot be followed -----------------------------------------------------------------------------------------


def test_a_blocked_account_keeps_what_it_has_and_gets_nothing():
    """Its groups do not agree on its settings: one fault, and the others are delivered."""
    applied = conflicting(B)
    assert differs(a_promotion(passed_generation=0), applied) == ([], [A])
    assert differs(a_promotion(), applied, tracked(A), tracked(B)) == ([], [])
    assert differs(a_promotion(), applied, tracked(A), tracked(B, "cancelled")) == ([], [])

    assert [fault.where for fault in wanted(a_promotion(), applied).faults] == [f"account {B}"]
    assert differs(a_promotion(), applied, tracked(A), tracked(B), out=(withdrawn(B),)) == ([B], [])


def test_a_refused_value_changes_nothing_of_the_one_in_force():
    """People are notified of its faults; who is no longer in the file ends all the same."""
    typo = a_promotion(seen_value="dve", generation=2)
    found = wanted(typo, the_file(A))

    assert (found.value, found.refused, [fault.code for fault in found.faults]) == ("dev", "dve", ["unknown-group"])
    assert differs(typo, the_file(A), tracked(A), tracked(B)) == ([B], [])


def test_a_first_value_that_is_refused_names_nobody():
    """There is none in force."""
    found = wanted(a_promotion(seen_value="dve", value=None, file="", passed_generation=0), the_file(A))

    assert (found.value, found.refused, dict(found.targets)) == (None, "dve", {})


def test_a_name_in_force_that_the_file_has_lost_names_nobody():
    """It was understood before: its accounts end."""
    assert differs(a_promotion(), the_file(A, groups=("others",)), tracked(A)) == ([A], [])


def test_nothing_ends_or_begins_while_nobody_knows_whom_the_value_names():
    """The file cannot be used: that is no evidence for a removal."""
    broken = replace(the_file(A), fault=FAULT)
    there = [tracked(A), tracked(B, "shared"), tracked(C, "cancelled")]

    assert wanted(a_promotion(), broken).unknown
    assert differs(a_promotion(generation=9), broken, *there) == ([], [])


def test_a_unit_that_was_never_read_is_waited_for():
    """It passes by itself: until then nothing begins, and only what an operator has withdrawn ends."""
    applied = an_ou()
    never = AppliedFile(replace(applied.directory, membership=Membership()), "file")

    found = wanted_targets(a_promotion(), "dev", never, ())
    assert (found.unknown, found.waits is None, found.missing((), a_promotion())) == (True, False, [])


# --- inputs, and what is announced -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promotion", "applied", "out"),
    [
        (a_promotion(generation=2), an_ou(A), ()),
        (a_promotion(retries={A: 2}), an_ou(A), ()),
        (a_promotion(gone_generation=1), an_ou(A), ()),
        (a_promotion(seen_value="dve"), an_ou(A), ()),
        (a_promotion(value=None, seen_value=None), an_ou(A), ()),
        (a_promotion(), replace(an_ou(A), digest="other"), ()),
        (a_promotion(), an_ou(A, reading="again"), ()),
        (a_promotion(), an_ou(A), (withdrawn(A),)),
    ],
    ids=["tag event", "retry", "gone", "refused", "no tag", "file", "members", "withdrawal"],
)
def test_everything_that_decides_changes_the_inputs(promotion, applied, out):
    """So that a result for other inputs is dropped, and a pass begins."""
    same = wanted(a_promotion(), an_ou(A)).inputs(a_promotion())

    assert wanted(a_promotion(), an_ou(A)).inputs(a_promotion(tries=5, cursor="x", looked_at=NOW + 9)) == same
    assert wanted(promotion, applied, *out).inputs(promotion) != same


def test_what_this_generation_has_announced_is_found_again():
    """A run may have been killed between the tracked delivery and the record."""
    there = [tracked(A), tracked(B, generation=0), tracked(C, "delivered")]
    found = wanted(a_promotion(), the_file(A, B, C))

    assert [target.account for target in found.announced(there, a_promotion())] == [A]
    assert found.announced([tracked("999999999999")], a_promotion()) == []


def test_only_a_delivery_that_runs_can_wait_for_an_approval():
    """The others have had theirs, or ended without."""
    applied = the_file(A, approval="required")
    found = wanted(a_promotion(), applied)

    assert found.waits_for_approval([tracked(A)])
    assert not found.waits_for_approval([tracked(A, "delivered")])
    assert not wanted(a_promotion(), the_file(A)).waits_for_approval([tracked(A)])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"generation": 2, "gone_generation": 2}, "The AMI is gone or disabled."),
        ({"generation": 3, "gone_generation": 2}, "By the applied targets file the tag's value no longer names it."),
        ({"value": None}, "Its tag was removed."),
    ],
)
def test_why_a_delivery_is_asked_to_end(changes, why):
    """An AMI that is gone keeps its value in force, until it is tagged again."""
    one = replace(Promotion("ami-1", HUB, REGION, value="dev"), **changes)

    assert WantedTargets().why_it_ends(one, f"{A}/{REGION}") == why


@pytest.mark.parametrize(
    ("places", "why"),
    [((A, EVERYWHERE), "The AMI was recalled by operator."), ((A,), "Withdrawn by operator.")],
)
def test_an_operator_who_ended_a_delivery_is_named(places, why):
    """Before any other reason, and a recall before a withdrawal."""
    found = wanted(a_promotion(), the_file(B), *map(withdrawn, places))

    assert found.why_it_ends(a_promotion(), f"{A}/{REGION}") == why
