"""What `plan` prints of few and of a thousand targets."""

from dataclasses import replace

import pytest

from ami_promoter.hub.records import RecordSeen
from ami_promoter.promotions import plan_preview
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.applied_file import LaunchTest, Resolution, Target
from chalicelib.targets.recalls import Pin
from tests.ami_promoter.printing import as_printed
from tests.engine.fault_scenes import A_TARGET, TAGS_49
from tests.images.examples import HUB, KEY, a_key, an_image, describe_image, describe_snapshot


def a_target(number, **changes):
    one = {
        "account": str(200000000000 + number),
        "region": "us-east-1",
        "does": "new",
        "withdrawn_by": "",
        "approval": "none",
        "mode": "copy",
        "method": "image",
        "method_why": "large",
        "key": "alias/golden",
        "gib": 8,
        "dollars": {},
        "calls": {"CopyImage": 1},
        "family": "",
        "pointer": None,
        "service_linked_roles": [],
        "roles_named": False,
        "faults": [],
    }
    return one | changes


def a_plan(targets, blocked=()):
    """Build a plan as `plan_preview.plan` returns it."""
    data = {"ami": "ami-1", "name": "golden", "value": "dev", "targets": targets, "blocked": blocked, "doubts": []}
    return data | {"waves": [], "faults": [], "waits_for": None, "checks": 3, "ready": not blocked}


def shown(plan, *, wide=False):
    """Return a plan's lines on a terminal of 120 columns."""
    return as_printed(plan_preview.show(plan, "here", wide=wide), 120)


def printed(targets, *, wide=False, blocked=()):
    """Return a plan's lines without the costs."""
    lines = shown(a_plan(targets, blocked), wide=wide)
    return lines[3 : lines.index("", 3)] + [line for line in lines if line.startswith("FAILED")]


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (["new"] * 3 + ["there already"], "3 new, 0 to try again, 1 there already. This is a preview."),
        (["tried again", "cancelled"], "0 new, 1 to try again, 0 there already, 1 to end. This is a preview."),
    ],
)
def test_the_first_words_are_what_would_happen(does, said):
    """And that nothing has happened yet."""
    assert shown(a_plan([a_target(n, does=one) for n, one in enumerate(does)]))[1] == said


def test_few_targets_have_a_row_each():
    """What holds for all of them is said once."""
    assert printed([a_target(n) for n in range(2)]) == [
        "TARGET                  DOES  HOW        KEY           GIB",
        "200000000000 us-east-1  new   CopyImage  alias/golden  8",
        "200000000001 us-east-1  new   CopyImage  alias/golden  8",
        "2 targets (200000000000 us-east-1, 200000000001 us-east-1): large",
    ]


def test_of_a_thousand_targets_equal_ones_share_a_row():
    """And equal faults a line; `--wide` shows each."""
    targets = [a_target(n, **{"does": "there already", "gib": 0} if n % 10 else {}) for n in range(1000)]
    blocked = [
        {"code": "conflict", "where": f"{300000000000 + n}", "what": "Two groups differ.", "cure": ""}
        for n in range(50)
    ]

    assert printed(targets, blocked=blocked) == [
        "TARGET                               DOES           HOW        KEY           GIB",
        "200000000000 us-east-1 and 99 more   new            CopyImage  alias/golden  800",
        "200000000001 us-east-1 and 899 more  there already  CopyImage  alias/golden",
        "With `--wide` each target has a row of its own.",
        "1,000 targets (200000000000 us-east-1, 200000000001 us-east-1, 200000000002 us-east-1 and 997 more): large",
        "FAILED conflict: 300000000000, 300000000001, 300000000002 and 47 more: Two groups differ.",
    ]
    wide = printed(targets, blocked=blocked, wide=True)
    assert len(wide) == 1 + 1000 + 1000 + 50


def test_what_a_value_ends_does_not_read_as_if_it_had_ended():
    """Also where a standing share closes."""
    lines = printed([a_target(0, does="cancelled"), a_target(1, does="withdrawn", withdrawn_by="")])

    assert [line.split("  ")[1].strip() for line in lines[1:3]] == ["ends", "is withdrawn"]


def test_of_a_recalled_ami_only_targets_of_the_value_are_shown():
    """What was recalled elsewhere stays so, and the value has nothing to do with it."""
    recalled = Fault("recalled", "ami-1", "It is recalled.", "Lift that.")
    states = {f"{ACCOUNT}/us-east-1": "recalled", "300000000000/us-east-1": "recalled"}

    shown = plan_preview.plan(facts([Target(ACCOUNT, "us-east-1")], states=states, recalled=recalled))["targets"]

    assert [(one["account"], one["does"]) for one in shown] == [(ACCOUNT, "recalled")]


def facts(targets, image=None, keys=(KEY,), **more):
    """Build what a plan is made of: an AMI whose value names these targets."""
    known = dict.fromkeys(keys, a_key())
    place, resolution = Place(HUB, "us-east-1"), Resolution(tuple(targets))
    return plan_preview.PlanFacts("ami-1", "dev", resolution, image or an_image(), known, place, "promote", 0, **more)


ACCOUNT = "200000000000"
ROLE = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
IN_THE_WAY = Fault("pointer-not-ours", "there", "It names 'ami-0fff'.", "Delete it.")


MADE = "2026-02-01T00:00:00.000Z"


NAMED = "/golden/{family}/current"
THERE = f"{ACCOUNT}/us-east-1"


def planned(*, family="base", made=MADE, pointer=None, pin=None, approval="none", there=None, state="delivered"):
    """Return the plan of one target, to which an AMI of a family would be delivered.

    ``pin``: what holds the family there. ``there``: the setting for which it counts if it was delivered before.
    """
    image = replace(an_image(), creation_date=made, tags={"family": family} if family else {})
    target = Target(ACCOUNT, "us-east-1", ssm_parameter=NAMED, approval=approval)
    key = plan_preview.pointers.key_for(image, target)
    found = {key: RecordSeen({}, pointer)} if pointer else {}
    known = {} if there is None else {"states": {THERE: state}, "named_by": {THERE: there}}
    pins = {addresses.pin(ACCOUNT, "us-east-1", "base"): pin} if pin else {}
    return plan_preview.plan(facts([target], image, pointers=found, pins=pins, **known))


def a_pointer(made, **changes):
    """Build the pointer of the family `base` that names an AMI whose source was made then."""
    names = Release("ami-0d", made, "ami-0e", changes.get("architecture", ""))
    known = {"releases": (names,), "image": "ami-0e", "settled": True}
    return Pointer(ACCOUNT, "us-east-1", "/golden/base/current", "base", "1" * 12, **(known | changes))


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        (None, "It will name this AMI."),
        (a_pointer("2026-01-01T00:00:00.000Z"), "It will name this AMI."),
        (a_pointer("2026-03-01T00:00:00.000Z"), "It names ami-0e from ami-0d, which is newer."),
        (a_pointer("2026-01-01T00:00:00.000Z", architecture="i386"), "It names ami-0e, which is i386."),
        (a_pointer("2026-03-01T00:00:00.000Z", architecture="i386"), "It names ami-0e from ami-0d, which is newer."),
        (a_pointer("", image="", architecture="i386"), "It last named an AMI that is i386."),
        (a_pointer("", image="", architecture="i386", releases=()), "It will name this AMI."),
        (a_pointer("", image="", fault=IN_THE_WAY), "It has a fault: It names 'ami-0fff'."),
    ],
)
def test_the_parameter_that_would_move(pointer, says):
    """By the source's creation date, as far as the hub knows."""
    lines = shown(planned(pointer=pointer))

    assert f"{ACCOUNT} us-east-1: family base, parameter /golden/base/current: {says}" in lines


@pytest.mark.parametrize("pointer", [None, a_pointer("2026-01-01T00:00:00.000Z")])
@pytest.mark.parametrize(
    ("pin", "says"),
    [
        (Pin("ami-0d", "2026-01-01", 0, "jane"), "A rollback holds it at ami-0d."),
        (Pin(an_image().id, MADE, 0, "jane"), "It will name this AMI."),
    ],
)
def test_a_rollback_holds_the_family_whether_its_parameter_exists_yet_or_not(pointer, pin, says):
    """The file may name another parameter since the rollback."""
    assert any(
        line.endswith(f"parameter /golden/base/current: {says}") for line in shown(planned(pointer=pointer, pin=pin))
    )


def test_without_a_family_no_parameter_moves():
    """And where the AMI is there already, nothing is said."""
    lone, there = planned(family=""), planned(there=NAMED)

    assert (lone["targets"][0]["pointer"], lone["doubts"]) == (None, [])
    assert "parameter" not in " ".join(shown(there))


@pytest.mark.parametrize(("approval", "moves"), [("none", True), ("required", False)])
def test_a_parameter_that_the_file_names_since_the_delivery_moves(approval, moves):
    """With the tag event, as for a new delivery; where an approval is needed, the next AMI counts."""
    lines = shown(planned(there="/old/{family}", approval=approval))

    assert any("parameter /golden/base/current: It will name this AMI." in line for line in lines) is moves


@pytest.mark.parametrize("state", ["copying", "recalled"])
@pytest.mark.parametrize(
    ("there", "approval"), [(NAMED, "none"), ("/old/{family}", "none"), ("/old/{family}", "required")]
)
def test_what_is_under_way_or_restored_counts_for_the_parameter_that_the_file_names_when_it_ends(
    there, approval, state
):
    """But for another one than the approver has seen it takes the next AMI."""
    (target,) = planned(there=there, state=state, approval=approval)["targets"]

    assert target["pointer"]["counts"] is (approval == "none")


def test_a_family_that_cannot_be_used_is_a_warning():
    """The AMI is delivered all the same."""
    said = shown(planned(family="no family!"))

    assert any(line.startswith("WARNING family-not-usable: account 200000000000, us-east-1: ") for line in said)


@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize(
    ("was", "does"),
    [(None, "new"), ("failed", "tried again"), ("copying", "under way"), ("delivered", "there already")],
)
def test_what_is_made_and_paid_where_a_delivery_begins(mode, was, does):
    """Of what is only shared nothing is copied; what has begun or is there is not paid again."""
    target = replace(A_TARGET, mode=mode, copy_method="snapshots", launch_test=LaunchTest("t3.micro"))
    (one,) = plan_preview.plan(facts([target], states={target.place: was} if was else {}))["targets"]
    begins = does in ("new", "tried again")
    copies = begins and mode == "copy"
    calls = {"CopySnapshot", "RegisterImage", "RunInstances"} if copies else {"RunInstances"} if begins else set()
    costs = {"storage", "transfer", "timed", "launch"} if copies else {"launch"} if begins else set()

    assert (one["does"], one["gib"] > 0, set(one["calls"]), set(one["dollars"])) == (does, copies, calls, costs)


def test_what_no_target_of_the_plan_gets_is_no_fault_of_it():
    """The service judges the source by the same targets: one that gets the AMI itself, or few tags, needs no room."""
    image = an_image(Tags=TAGS_49)
    targets = (replace(A_TARGET, source_tags=("os",)), replace(A_TARGET, account="333333333333", mode="share"))

    def faults(*some):
        return [one["code"] for one in plan_preview.plan(facts(some, image))["faults"]]

    assert faults(targets[0]) == faults(targets[1]) == []
    assert faults(A_TARGET) == ["source-too-many-tags"]


@pytest.mark.parametrize(
    ("roles", "by_default", "named"), [((ROLE,), False, True), ((ROLE,), True, False), ((), False, False)]
)
def test_who_lacks_a_role_reads_whether_the_file_asks_for_it(roles, by_default, named):
    """Only then the delivery would fail; without roles nothing is said of them."""
    one = replace(A_TARGET, service_linked_roles=roles, roles_by_default=by_default)
    plan = plan_preview.plan(facts([one]))

    assert [one["roles_named"] for one in plan["targets"]] == [named]


@pytest.mark.parametrize("by_default", [True, False])
def test_a_role_that_gets_no_grant_on_a_third_accounts_key_is_foreseen(by_default):
    """Where the file names the role, the delivery would fail; the mode's default is a warning."""
    foreign = KEY.replace(HUB, "999999999999")
    image = an_image([describe_snapshot("snap-0a", KmsKeyId=foreign)])
    roles = (ROLE,)
    shares = replace(A_TARGET, mode="share", service_linked_roles=roles, roles_by_default=by_default)
    copies = replace(shares, account="333333333333", mode="copy")
    plan = plan_preview.plan(facts([shares, copies], image, [foreign]))

    code, where = "service-linked-role-foreign-key", f"account {shares.account}, {shares.region}"
    assert {one["mode"]: [each["code"] for each in one["faults"]] for one in plan["targets"]} == {
        "share": [] if by_default else [code],
        "copy": [],
    }
    assert [one["where"] for one in plan["doubts"] if one["code"] == code] == ([where] if by_default else [])
    assert {one["mode"]: len(one["service_linked_roles"]) for one in plan["targets"]} == {"share": 0, "copy": 1}


@pytest.mark.parametrize("devices", [[], describe_image()["BlockDeviceMappings"]])
def test_of_a_pending_ami_it_is_said_that_the_service_waits(devices):
    """EC2 does not show yet what would be copied: nothing of that is guessed, and nothing is a fault."""
    pending = an_image([], State="pending", BlockDeviceMappings=devices)

    plan = plan_preview.plan(facts([Target(ACCOUNT, "us-east-1")], pending))
    said = " ".join(shown(plan))

    assert "WAITS source-pending: ami-0aaaaaaaaaaaaaaaa: The AMI is pending; the service waits until it is" in said
    assert "FAILED" not in said
    assert "Copies: 0 GiB" not in said
    assert (plan["ready"], plan["faults"], plan["waits_for"]["code"]) == (False, [], "source-pending")
    assert [(one["does"], one["method"], one["calls"]) for one in plan["targets"]] == [("new", "", {})]
