"""Every protection that the tests remove: its name, the change, where that shows, and the exact message there.

Two files play them: ``tests/service/test_removed_protections.py`` in memory, and
``tests/reliability/test_removed_protections.py`` against the package. The changes are in ``changes.py``. A story of
``tests/stories`` plays in both.

One fault is not among them, a stale read of a key's policy: ``tests/sharing/test_key_policies.py`` shows it. The
two looks after a removal repair all of it that the model can see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature

from chalicelib.engine.errors import RefusalKind
from chalicelib.sharing.share import Purpose
from tests.fakes import MemoryLedger, MemoryRecords
from tests.protections import stories
from tests.protections.changes import (
    ANY_END,
    CHANGES,
    NO_PASS,
    MemberChange,
    over_the_others_shares,
    over_what_others_wrote,
    wrapped,
)
from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS
from tests.reliability.modes import (
    BY_POLICY,
    BY_POLICY_FAILED,
    COPY_IMAGE,
    DEREGISTERED,
    NARROWED,
    TESTED,
    WAVES,
    WITHDRAWN,
)
from tests.reliability.plans import (
    A_DAY_LATE,
    EARLY,
    NO_EVENTS,
    NO_WAKES,
    SHARE_WORKER_TWICE,
    SHUFFLED,
    THREE_TIMES,
    WORKER_TWICE,
    FunctionCrash,
    RunPlan,
)
from tests.reliability.scenarios import AT_ONCE, CANCELLED, DELIVERED, FAILED, Scenario
from tests.scenarios import test_clean_up as clean_up
from tests.scenarios import test_forged_shares as forged
from tests.scenarios import test_poison as poison
from tests.scenarios.scene import Scene
from tests.service import shared_ami
from tests.service import test_copy_quota as quota
from tests.service import test_damaged_shares as damage
from tests.service import test_discovery as discovery
from tests.service import test_entitlements as entitled
from tests.service import test_late_results as late
from tests.service import test_launch_tests as launches
from tests.service import test_marks as marks
from tests.service import test_members as members
from tests.service import test_outages as outages
from tests.service import test_planted as planted
from tests.service import test_pointers as pointers
from tests.service import test_recalls as recalls
from tests.service import test_refusals as refusals
from tests.service import test_removals as removals
from tests.service import test_retirement as retirement
from tests.service import test_share_worker as shares
from tests.service import test_source_gone as source_gone
from tests.service import test_stale_looks as stale_looks
from tests.service import test_sweep as sweeping
from tests.service import test_withdrawals as withdrawals
from tests.service.cloud import FakeRoleGrants, FakeTargetImages
from tests.service.organization import A as MEMBER
from tests.service.world import ModelWorld, WorldSetup
from tests.stores import on_dynamodb
from tests.stories import test_operating as operating
from tests.stories import test_promoting as promoting
from tests.stories import test_releasing as releasing
from tests.stories import test_sharing as sharing
from tests.stories.driver import DEV, PROD, TEST, Driver
from tests.stories.memory import MemoryDriver
from tests.stories.simulator import SimulatorDriver


@dataclass(frozen=True)
class InMemory:
    """A scene of the service in memory, and all of its assertion's message, as a regular expression."""

    says: str
    play: Callable[[], object]


@dataclass(frozen=True)
class Packaged:
    """The injections and the scenario of the package, and all that the machine says then."""

    says: tuple[str, ...]
    plan: RunPlan = RunPlan()  # noqa: RUF009 - frozen
    scenario: Scenario = DELIVERED
    in_time: float = float("inf")
    besides: str = ""
    """A message that may come, too: it depends on the order of the calls of two invocations."""
    seeds: Sequence[int] = ()
    """Seeds to try for the plan, until one shows it: some orders of two invocations' calls do."""


@dataclass(frozen=True)
class Simulated:
    """A scenario or story with the package in the simulator, and all of its assertion's message, as ``InMemory``'s."""

    says: str
    play: Callable[[Scene], object]


class Protection:
    """What is removed, and where that shows. What replaces members of ``chalicelib`` stands in ``CHANGES``.

    ``alone``: why it is not played both in memory and against the package. ``changes``: more changes, of what stands in
    for AWS and its stores in memory. ``anyway``: changes made in memory with the protection and without it, as two
    protections cover for each other.
    """

    def __init__(
        self,
        *shows: InMemory | Packaged | Simulated,
        alone: str = "",
        changes: tuple[MemberChange, ...] = (),
        anyway: tuple[MemberChange, ...] = (),
    ) -> None:
        self.shows, self.alone, self.changes, self.anyway = shows, alone, changes, anyway


# --- why it is played in one of the two alone ------------------------------------------------------------------------

ACT = "No scenario of the package has this act of people, or these two at once."
DAMAGED = "No scenario of the package has just this record damaged or parked at this moment."
FORGED = "No forgery in a scenario of the package is kept out by this alone."
LARGE = "Its scene has dozens of AMIs, thousands of records, or no time left: minutes in the package."
DAILY = "No scenario of the package waits for a parameter's next daily look after a rollback."
NO_END = "Without it a scenario of the package does not end in time, and nothing else is wrong there."
LEASES = "Only the invariants in memory read the leases of a copy quota."
SAME = "Without it the nearest scenario and story of the package end the same."
TROUBLE = "No scenario of the package has AWS refuse just this, or answer it late or with an old state."
RAISES = "In memory its first error ends the scene, before anything could stay open."
STAND_IN = "In memory something else stands in for what asks AWS."

# --- in memory -------------------------------------------------------------------------------------------------------

ONE, TWO, PAIR = WorldSetup(), WorldSetup(accounts=2), WorldSetup(amis=((0, 1),))
STATEMENTS = WorldSetup(accounts=2, key_access="policy")
SHARED = WorldSetup(mode="share", key_access="policy", service_roles=1)
APPROVED = WorldSetup(approval="required")
NAMED = WorldSetup(amis=((0,), (1,)), dates=(1, 2))
IN_WAVES = WorldSetup(accounts=2, waves=0)


def model(says: str, *played: Callable[[ModelWorld], None], shape: WorldSetup = ONE) -> InMemory:
    """Stories of the model, or the plain one; the first that breaks an invariant ends them."""

    def play() -> None:
        for story in played or (stories.plain,):
            story(ModelWorld(shape))

    return InMemory(says, play)


def existing(says: str, fails: Callable[..., object], *given: object, **named: object) -> InMemory:
    """A scene that asserts its own end, or a test of another file, unchanged.

    Raises TypeError where it takes other arguments, so each run notices that.
    """
    signature(fails).bind(*given, **named)
    return InMemory(says, partial(fails, *given, **named))


def scenario(says: str, fails: Callable[..., object], *given: object) -> Simulated:
    """A test of ``tests/scenarios``, unchanged."""
    signature(fails).bind(Scene, *given)
    return Simulated(says, lambda scene: fails(scene, *given))


def story(says: str, fails: Callable[..., object], *given: object, packaged: str = "") -> tuple[InMemory, Simulated]:
    """A story of ``tests/stories``, unchanged, for both; ``packaged``: what it says of the package, if that differs."""
    signature(fails).bind(Driver, *given)

    def play(driver: Driver) -> None:
        fails(driver, *given)
        driver.check()

    return (
        InMemory(says, lambda: play(MemoryDriver())),
        Simulated(packaged or says, lambda scene: play(SimulatorDriver(scene))),
    )


def damaged(mode: str, kind: str) -> None:
    """Damage every share of a mode, on DynamoDB."""
    with on_dynamodb() as stores:
        damage.test_whatever_of_a_share_is_damaged_nothing_stays_open_unnoticed(stores, mode, kind)


def whatever_was_seen(change, self, key, attributes, seen):
    """Write on a mark as it was read, over what others have written since."""
    self.items[key] = {"kind": "standing", **{name: value for name, value in seen.items() if value is not None}}
    return change(self, key, attributes, {})


def shown_by(why: str, says: str, fails: Callable[..., object], *given: object, **named: object) -> Protection:
    """A protection that a test of another file shows, and nothing else. ``why``: as ``Protection.alone``."""
    return Protection(existing(says, fails, *given, **named), alone=why)


def compared(what: str, *differences: str) -> str:
    """All that pytest says of a comparison: these differences in turn and no others, however verbose it is."""
    return rf"assert {what}\n.*" + r"\n +".join(differences) + r"\n(?: +\n)? +(?:Use -v to get more diff|Full diff:.*)"


NO_LONGER_NAMED = removals.test_who_is_no_longer_named_is_withdrawn_whatever_else_is_wrong
EXTRA = "Extra items in the left set:"
A, B, SNAPSHOT, DELIVERY = "200000000001", "200000000002", "resource#snapshot#snap-00", r"delivery#\w+"
SOURCE_KEY = "arn:aws:kms:us-east-1:111111111111:key/source-0"
GRANT = f"resource#key#{SOURCE_KEY}#{A}"
PLACE = rf"\('ami-0a', '{A}'\)"
FIRST, SECOND, THIRD = (rf"\('ami-00', '20000000000{number}'\)" for number in (1, 2, 3))
COPIED = r"invariant 4: snap-00 is copied for \w+ although snap-\w+ is"
NO_REST = "invariant 6: it does not come to rest:"
WITHOUT_EVENTS = promoting.test_what_is_tagged_changed_or_removed_is_found_although_every_event_is_lost
A_FORGED_SHARE = forged.test_a_forged_share_is_not_opened_and_says_why, "copy", Purpose.COPY
STILL_COPIES = compared(
    r"\{.*\} == \{.*\}", "Differing items:", rf"\{{'{DEV}': 'copying'\}} != \{{'{DEV}': 'delivered'\}}"
)

# --- against the package: what the machine says, with words for ids and times ----------------------------------------

BROKEN = "an invariant is broken"
KEY, ROLE, OTHER = "the key", "arn:aws:iam::222222222222:role", "333333333333"
SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
PERMISSION = "snap of 111111111111 in us-east-1 to UserId 222222222222"
COPY_GRANT = f"{KEY} grant id to {ROLE}/AmiCopyRole"
IN_POLICY = [
    f"{KEY} statement AmiPromoter111111111111useast1To222222222222{audience} for arn:aws:iam::222222222222:root"
    for audience in ("Account", "AccountLook", "Roles")
]
ALL_SHARED = [f"{KEY} grant id to {ROLE}/{SCALING}", *IN_POLICY, PERMISSION, PERMISSION]
"""All that is open to an account in share mode, without the launch permission."""
TO_BOTH = [
    "ami of 111111111111 in us-east-1 to UserId 222222222222",
    f"{KEY} grant id to {ROLE.replace('2', '3')}/{SCALING}",
    ALL_SHARED[0],
    *IN_POLICY,
    *(one.replace("222222222222", "333333333333") for one in IN_POLICY),
    PERMISSION,
    PERMISSION.replace("222222222222", "333333333333"),
    PERMISSION,
    PERMISSION.replace("222222222222", "333333333333"),
]
NOT_AUTHORIZED = [f"222222222222, by {who}: AuthFailure: Not authorized for images: [ami]" for who in ("root", SCALING)]
RUNNING = "InTarget(id='i', delivery='id', source='ami', state='running', token='id')"
RECORD = "delivery#id"
ILLEGAL = "ami-promoter-us-east-1-share-worker error: IllegalEvent"
CLOSED_TOO_SOON = (BROKEN, "invariant 1: resource#snapshot#snap closes to 222222222222 under the unfinished snap")
UNWRITTEN = "invariant 3: snap is copied for id without an intent on record"
AGAIN = "invariant 4: snap is copied for id although snap is"
UNEXPECTED = "is not expected in state closed."
FAILED_AND_OVER = "sent [('delivery.failed', 'id'), ('promotion.over', 'id')]"
TWICE = (
    "sent [('delivery.failed', 'id'), ('delivery.failed', 'id'), ('promotion.over', 'id'), ('promotion.over', 'id')]",
)
NO_AMI = (
    "0 AMIs in 222222222222, us-east-1",
    "snapshots set(), used set() in 222222222222, us-east-1",
    "states {'222222222222': 'failed'}",
    FAILED_AND_OVER,
)
"""The machine's messages where a delivery should not have failed."""


def left_open(*some: str) -> tuple[str, ...]:
    """The machine's messages about shares that stay open."""
    return tuple(f"invariant 1: left open: {one}" for one in some)


def killed_at(function: str, operation: str, when: str, nth: int = 1) -> RunPlan:
    """A kill at one kind of call."""
    return RunPlan((FunctionCrash(nth, when, function, operation),))


def under(messages, seed=SEEDS[0]) -> RunPlan:
    """A message injection of ``test_order``."""
    return RunPlan(messages=messages, seed=seed)


PROTECTIONS = {
    "never closes": Protection(
        model(
            rf"invariant 1: the grant \('{SOURCE_KEY}', 'ami-promoter:us-east-1:\w+-AmiCopyRole:\d+'\) is open "
            "and the ledger does not know"
        ),
        Packaged(left_open(COPY_GRANT, PERMISSION, PERMISSION)),
    ),
    "lets go early": Protection(
        model(rf"invariant 1: {SNAPSHOT} closes to {A} under the unfinished snap-\w+", stories.slow),
        Packaged(CLOSED_TOO_SOON),
    ),
    "waits for the running": Protection(
        model(rf"invariant 1: {DELIVERY} stops, and has held its shares for \d+ s", stories.stopped),
        *story(
            compared(r"\(.*\) == \(.*\)", rf"At index 1 diff: {{'{DEV}'}} != set\(\)"),
            promoting.test_what_is_cancelled_closes_although_its_copies_run_for_hours,
        ),
    ),
    "opens before its turn": Protection(
        model(rf"invariant 1: {SNAPSHOT} opens for ami-0a at {A}/us-east-1 while awaiting-slot", stories.waiting),
        alone=SAME,
    ),
    "knows no last closing time": Protection(
        model(rf"invariant 1: {SNAPSHOT} is open \d+ s past its last closing time", stories.damaged),
        scenario(
            rf"not within 4800 virtual seconds:\nit is [\d:]+; open: \['snap-\w+ of .* to UserId {DEV}'.*",
            poison.test_a_delivery_that_cannot_be_read_is_parked_alone,
        ),
    ),
    "takes all for its own": Protection(
        model(f"invariant 2: {SNAPSHOT} was open before us", stories.shared_before), alone=ACT
    ),
    "forgets intents": Protection(
        model(f"invariant 3: {GRANT} opens to {A}, wanted on record"),
        Packaged((BROKEN, f"invariant 3: resource#key#{KEY}#222222222222 opens to 222222222222, wanted on record")),
    ),
    "registers unwritten": Protection(
        model(r"invariant 3: \w+ registers without an intent on record"),
        Packaged((BROKEN, "invariant 3: id registers without an intent on record")),
    ),
    "removes nothing": Protection(
        model(r"invariant 4: orphan: snap-\w+ of \w+, completed", stories.failing, shape=PAIR),
        Packaged(CLOSED_TOO_SOON, scenario=CANCELLED),
    ),
    "throws away": Protection(
        model(r"invariant 4: \w+ deletes \{'snap-\w+'\}, which it goes on with"), Packaged(NO_AMI)
    ),
    "tidies too soon": Protection(
        model(r"invariant 4: \w+ is verifying, and all it made is removed"), Packaged(NO_AMI)
    ),
    "is never due": Protection(
        *story(f"invariant 6: {DELIVERY} is awaiting-slot, and nothing is due", WITHOUT_EVENTS, packaged=STILL_COPIES)
    ),
    "comes too late": Protection(
        *story(
            rf"invariant 6: {DELIVERY} is awaiting-slot until \d+, and woken no sooner than \d+",
            WITHOUT_EVENTS,
            packaged=STILL_COPIES,
        )
    ),
    "meets the unexpected": Protection(
        model(
            rf"invariant 6: {DELIVERY} is parked: {DELIVERY}: AwaitingRoleNotified is not expected in state opening\."
        ),
        Packaged(
            (
                f"nobody looks at what is due: {RECORD}",
                f"invariant 6: {RECORD} is parked: {RECORD}: AwaitingRoleNotified is not expected in state opening.",
            )
        ),
    ),
    "opens the delivered": Protection(
        *story(
            f"invariant 6: {DELIVERY} was delivered, and is requested",
            promoting.test_another_name_in_the_tag_is_another_account_that_gets_it,
            packaged=rf"not within 10800 virtual seconds:\n.*(?:\ntold: delivery\.delivered {DEV}\n.*){{2}}",
        )
    ),
    "is never over": Protection(model(rf"{NO_REST} \{{{PLACE}: 'delivered'\}}"), alone=NO_END),
    "keeps its slots": Protection(
        model(
            rf"quota#{A}#us-east-1 still keeps slots: SlotLease\(delivery='\w+', episode=1, created_at=\d+, wanted=1, "
            r"done=0, granted=1, until=\d+, limited_at=0\)"
        ),
        alone=LEASES,
    ),
    "grants no slots": Protection(
        model(rf"{NO_REST} \{{{PLACE}: 'failed'\}}"),
        Packaged(("nobody looks at what is due: quota#222222222222#us-east-1",)),
    ),
    "one for all": Protection(
        model(
            rf"invariant 6: promotion#ami-0a is parked: {DELIVERY}: Delivery has no damaged",
            stories.damaged_and_tagged_again,
            shape=TWO,
        ),
        alone=DAMAGED,
    ),
    "ignores withdrawals": Protection(
        model(f"invariant 1: ami-0a is shared with {A}", stories.withdrawn, shape=SHARED),
        model(f"invariant 8: {GRANT} opens to withdrawn {A}", stories.withdrawn_first),
        *story(
            compared(
                r"\{.*\} == \{.*\}",
                "Omitting 1 identical items, use -vv to show",
                "Differing items:",
                rf"\{{'{TEST}': 'delivered'\}} != \{{'{TEST}': 'cancelled'\}}",
            ),
            operating.test_an_account_that_is_withdrawn_while_it_copies_gets_nothing,
        ),
    ),
    "opens half": Protection(
        model(rf"invariant 1: \w+ is shared, and resource#image#ami-0a is not open to {A}", shape=SHARED),
        Packaged((f"shared, and cannot be launched: {NOT_AUTHORIZED}",), scenario=WITHDRAWN),
    ),
    "puts the old again": Protection(
        model(
            rf"invariant 1: the statement \('{SOURCE_KEY}', '20000000000[12]'\) is there and the ledger does not know",
            shape=STATEMENTS,
        ),
        alone=SAME,
    ),
    "tells of nothing": Protection(
        model(r"invariant 10: \w+ tells of ami-none, which never was"),
        Packaged((BROKEN, "invariant 10: id tells of ami-none, which never was")),
    ),
    "opens by any approval": Protection(
        model(f"invariant 11: {GRANT} opens to {A} without a valid approval", stories.voided, shape=APPROVED),
        model(f"invariant 11: {SNAPSHOT} opens to {A} without a valid approval", stories.expired, shape=APPROVED),
        *story(
            compared(
                r"\{.*\} == \{.*\}",
                "Omitting 1 identical items, use -vv to show",
                "Differing items:",
                rf"\{{'{PROD}': '(opening|cancelled)'\}} != \{{'{PROD}': 'awaiting-approval'\}}",
            ),
            operating.test_nothing_is_opened_before_it_is_approved,
        ),
    ),
    "tells nobody": Protection(
        model(r"invariant 10: nobody was told: \w+ delivered"),
        Packaged(("sent [('promotion.over', 'id')]", "invariant 10: nobody was told: id delivered")),
    ),
    "tells again": Protection(
        *story(
            compared(
                r"Counter\(\{.*\}\) == \{.*\}",
                "Omitting 3 identical items, use -vv to show",
                "Differing items:",
                r"\{'promotion\.over': [23]\} != \{'promotion\.over': 1\}",
            ),
            sharing.test_a_target_launches_the_hubs_ami_until_the_tag_is_removed,
        )
    ),
    "takes no slots back": shown_by(
        LARGE,
        rf"ami-01 waits for ever: \{{{FIRST}: 'copying', \('ami-01', '{A}'\): 'awaiting-slot', "
        rf"\('ami-02', '{A}'\): 'awaiting-slot'\}}\nassert 'awaiting-slot' == 'delivered'\n.*",
        quota.test_a_delivery_that_nobody_works_on_gives_its_slots_back,
        quota.damaged,
        40,
    ),
    "renews no slots": shown_by(
        LARGE,
        r"a copy is begun while as many run as may\nassert 20 < 20\n.*",
        quota.test_a_lease_that_runs_out_while_its_delivery_lives_loses_nothing,
    ),
    "relies on its lease": shown_by(
        LARGE,
        r"invariant 7: snap-000 is copied for \w+ without a slot: None",
        quota.test_a_delivery_that_is_let_go_on_asks_again_and_loses_nothing,
        "opening",
    ),
    "the intent of a copy is not written": Protection(
        model(r"invariant 3: snap-00 is copied for \w+ without an intent on record"), Packaged((BROKEN, UNWRITTEN))
    ),
    "opens a wave unasked": Protection(
        model(f"invariant 1: {SNAPSHOT} opens for ami-0a at 200000000002/us-east-1 before first", shape=IN_WAVES),
        Packaged(
            (BROKEN, f"invariant 1: a share opens for ami at {OTHER}/us-east-1 before default"),
            scenario=WAVES,
        ),
    ),
    "copies are not looked for": Protection(
        model(f"{COPIED} completed", *(stories.killed_after(call) for call in range(90, 110))),
        Packaged((BROKEN, f"{AGAIN} completed"), killed_at("worker", "CopySnapshot", "after")),
    ),
    "images are not looked for": Protection(
        existing(
            r"\{.*'failed'.*\}: \[\"ami-name-not-free: .* is taken, but no AMI there has it: .*\"\]",
            refusals.test_what_passes_is_waited_out,
            refusals.WAITED_OUT["RegisterImage answers to nobody"],
        ),
        Packaged(NO_AMI, killed_at("worker", "RegisterImage", "after")),
        changes=(MemberChange(FakeTargetImages, "named", lambda *_: ()),),
    ),
    "each CopyImage has a new client token": Protection(
        Packaged((*NO_AMI[2:], *NO_AMI[:2]), killed_at("worker", "CopyImage", "after"), COPY_IMAGE), alone=STAND_IN
    ),
    "a failing delivery keeps its shares": Protection(
        InMemory(rf"open: \{{\('snap-00', '{A}'\)\}}", stories.cancelled),
        Packaged(left_open(COPY_GRANT, PERMISSION, PERMISSION), scenario=CANCELLED),
    ),
    "a withdrawn delivery releases its first share alone": Protection(
        model(rf"invariant 1: left open: permission \('snap-00', '{A}'\)", shape=SHARED),
        Packaged(
            (f"open: {sorted(ALL_SHARED)}", "the key's policy is now another", *left_open(*ALL_SHARED)),
            scenario=WITHDRAWN,
        ),
        Packaged((f"open: {sorted(TO_BOTH)}",), scenario=NARROWED),
        anyway=(NO_PASS,),
    ),
    "a look-up is not written with the intent": Protection(
        InMemory("after 190 s", stories.early), Packaged(("late",), under(EARLY), AT_ONCE, AT_ONCE_SECONDS)
    ),
    "one look that misses the tag answers what was asked": shown_by(
        TROUBLE,
        compared(r"\{.*\} == \{.*\}", "Differing items:", rf"\{{{FIRST}: 'failed'\}} != \{{{FIRST}: 'delivered'\}}"),
        stale_looks.test_what_failed_is_tried_again_although_the_first_look_misses_it,
        stale_looks.retried,
        stale_looks.MISSES["no tag"],
        {},
        stale_looks.HOUR,
        "delivered",
    ),
    "a lift promotes all": shown_by(
        ACT,
        compared(
            r"\{.*\} == \{\}",
            "Left contains 2 more items:",
            rf"\{{{FIRST}: 'delivered',",
            rf"{SECOND}: 'delivered'\}}",
        ),
        withdrawals.test_a_lift_promotes_nothing_of_the_baseline,
        "withdrawal",
        "available",
    ),
    "a lift begins what joined later": shown_by(
        ACT,
        compared(r"\{.*\} == \{.*\}", "Left contains 1 more item:", rf"\{{{THIRD}: 'delivered'\}}"),
        withdrawals.test_a_lift_begins_no_account_that_the_file_got_after_the_tag_event,
        "recall",
    ),
    "the baseline begins in an OU": shown_by(
        ACT,
        compared(r"\{.*\} == \{\}", "Left contains 2 more items:", rf"\{{'{A}': 'delivered', '{B}': 'delivered'\}}"),
        members.test_a_recall_of_a_baseline_ami_and_its_lift_promote_nothing_to_an_ou_either,
    ),
    "what was withdrawn before it began is forgotten": shown_by(
        ACT,
        compared(r"\{.*\} == \{.*\}", "Right contains 1 more item:", rf"\{{{SECOND}: 'delivered'\}}"),
        withdrawals.test_what_was_withdrawn_before_it_began_begins_by_the_lift_and_an_account_of_a_later_file_does_not,
    ),
    "nonces are not asked": shown_by(
        FORGED,
        r"assert not \((\{'snap-\w+', 'snap-\w+'\}) & \1\)\n.*",
        planted.test_planted_snapshots_are_never_used_wherever_it_is_killed,
        "snapshots",
        None,
    ),
    "what an attempt made is not kept": shown_by(
        FORGED,
        r"invariant 4: \['ami-\w+'\] are made of what somebody planted",
        planted.test_a_snapshot_with_the_nonce_of_a_cancelled_attempt_is_never_used,
        "snapshots",
        "snapshots",
    ),
    "what is recalled stays current": Protection(
        model(
            rf"invariant 12: \('{A}', 'us-east-1', '/golden/base/current'\) shows (ami-\w+), not (?!\1)ami-\w+: "
            r"Pointer\(.*, image='\1', architecture='x86_64', intent=None, .*\)",
            stories.recalled,
            shape=NAMED,
        ),
        *story(
            compared(r"\(.*\) == \(.*\)", r"At index 0 diff: 'ami-\w+' != 'ami-\w+'"),
            releasing.test_a_recalled_ami_is_deprecated_and_the_one_before_is_current_until_that_is_lifted,
        ),
    ),
    "what is current is retired, too": shown_by(
        DAILY,
        r"account 200000000001, us-east-1, parameter /golden/base/current names ami-\w+, which is deprecated",
        retirement.test_a_copy_that_a_rollback_holds_is_current_and_stays,
    ),
    "what is current again stays deprecated": Protection(
        existing(
            r"assert \(\{'ami-0a', 'ami-0b'\}, 0\) == \(\{'ami-0a'\}, 1\)\n.*",
            retirement.test_a_retired_copy_that_a_rollback_makes_current_is_deprecated_no_longer,
            retirement.RULE,
        ),
        scenario(
            r"assert 'DeprecationTime' not in \{.*\}",
            clean_up.test_what_the_hub_retires_its_administrator_can_remove,
            lambda: None,
        ),
    ),
    "every deprecation counts as the service's own": shown_by(
        ACT,
        r"assert None == '2029-01-01T00:00:00\.000Z'\n.*",
        retirement.test_a_date_that_the_service_has_not_written_stays_or_comes_back,
        "",
        retirement.LATER,
        retirement.LATER,
        "none",
    ),
    "a deadline acts without a look": Protection(
        existing(
            r"\['deadline-verifying: The state verifying has lasted until its deadline\.'\]\n"
            r"assert 'failed' == 'delivered'\n.*",
            outages.test_an_outage_of_the_service_destroys_no_good_work,
            "snapshots",
            "verifying",
            0,
            26,
        ),
        anyway=(ANY_END,),
        alone=TROUBLE,
    ),
    "what an earlier try left is forgotten": shown_by(
        ACT,
        r"assert not \(\{'snap-\w+', 'snap-\w+'\} & \{'snap-\w+', [^{}]*\}\)",
        refusals.test_copies_that_an_earlier_episode_has_left_are_deleted_although_it_is_cancelled_before_it_copies,
        "awaiting-slot",
    ),
    "a notice does not wait for the release of all shares": shown_by(
        LARGE,
        compared(r"\(\{.*\) == \(set\(\), \{\}\)", r"At index 0 diff: \{\('snap-[^{}]*\} != set\(\)"),
        removals.test_what_ends_where_there_is_little_time_closes_all_its_shares_before_its_notice,
    ),
    "a result counts for every episode": Protection(
        existing(
            compared(
                r"\{.*\} == \{.*\}",
                "Differing items:",
                rf"\{{{FIRST}: 'failed'\}} != \{{{FIRST}: 'requested'\}}",
            ),
            late.test_a_target_that_was_unfit_in_an_earlier_episode_fails_no_later_one,
        ),
        existing(
            compared(
                r"\{.*\} == \{.*\}",
                "Differing items:",
                rf"\{{{FIRST}: 'awaiting-slot'\}} != \{{{FIRST}: 'awaiting-approval'\}}",
            ),
            late.test_an_approval_of_an_earlier_episode_approves_no_later_one,
        ),
        alone=TROUBLE,
    ),
    "a kept AMI that is gone goes on naming each try": shown_by(
        ACT,
        compared(
            r"\('failed', \['[\w.-]*-name-taken'\]\) == \('delivered', \[\]\)",
            "At index 0 diff: 'failed' != 'delivered'",
        ),
        launches.test_a_kept_ami_that_its_owner_has_deregistered_names_no_other_try,
        "is taken",
    ),
    "a kept AMI without its tags is taken for gone": shown_by(
        TROUBLE,
        compared(r"\(\['ami-.*\) == \(\['ami-.*\)", r"At index 0 diff: \['(ami-\w+)', 'ami-\w+'\] != \['\1'\]"),
        launches.test_a_kept_ami_that_shows_without_its_tags_is_not_gone,
    ),
    "a lift enables only what EC2 said is disabled": shown_by(
        TROUBLE,
        r"assert \('delivered', 'disabled', ''\) == \('delivered', 'available', ''\)\n.*",
        recalls.test_lifting_a_recall_enables_what_it_may_have_disabled,
        took_effect=True,
    ),
    "a share stays open until its notice was sent": shown_by(
        ACT,
        r"assert \{'ami-0b'\} == set\(\)\n.*",
        pointers.test_a_removal_closes_a_share_at_once_while_its_notice_waits_for_the_pointer,
        "the tag is removed",
        (),
    ),
    "a withdrawal is notified at its release": shown_by(
        DAMAGED,
        compared(
            r"\[\{.*\}\] == \[\]",
            rf"Left contains one more item: \{{{FIRST}, \('{SOURCE_KEY}', '{A}-roles'\), \('[^{{}}]*\}}",
        ),
        damaged,
        "policy",
        "schema is text",
    ),
    "an instance counts as gone when its end was asked for": Protection(
        *story(
            r"invariant 13: i-\w+ is shutting-down, and \w+ does not know it",
            releasing.test_an_ami_that_starts_an_instance_is_published,
            {},
            "delivered",
            packaged=compared(r"\[.*\] == \[.*\]", "At index 0 diff: 'shutting-down' != 'terminated'"),
        )
    ),
    "one look that misses a test's instance is believed": shown_by(
        TROUBLE,
        compared(
            r"\('failed', \['[\w.-]*-not-tested'\]\) == \('delivered', \[\]\)",
            "At index 0 diff: 'failed' != 'delivered'",
        ),
        launches.test_an_instance_that_runs_is_gone_only_if_two_looks_miss_it,
        1,
        (),
        ("delivered", []),
    ),
    "each RunInstances has a new client token": Protection(
        existing(
            r"invariant 13: \w+ starts one beside \[CloudInstance\([^()]* state='pending', [^()]*\)\]",
            launches.test_an_instance_whose_answer_was_lost_is_found_by_its_nonce,
            "copy",
            RefusalKind.THROTTLED,
        ),
        Packaged(
            (BROKEN, f"invariant 13: id starts one beside [{RUNNING}]"),
            killed_at("worker", "RunInstances", "after"),
            TESTED,
        ),
    ),
    "every tag event counts as new": Protection(
        InMemory("[23] notices", stories.repeated),
        *(Packaged(TWICE, under(messages), FAILED) for messages in (THREE_TIMES, SHUFFLED, A_DAY_LATE)),
    ),
    "discovery looks for nothing": Protection(
        model(rf"invariant 7: not delivered: \{{{PLACE}: None\}}; \[\]", stories.lost),
        Packaged(("nobody has looked at the tagged AMI",), plan=under(NO_EVENTS)),
    ),
    "standing shares are not compared": Protection(
        model(f"invariant 1: ami-0a is shared with {A}", stories.deregistered, shape=SHARED),
        Packaged(
            (
                *(f"open, and nobody is entitled: {share}" for share in ALL_SHARED),
                "invariant 2: preexisting, and gone: ami of 111111111111 in us-east-1 to UserId 444444444444",
            ),
            plan=under(NO_EVENTS),
            scenario=DEREGISTERED,
        ),
    ),
    "the pass over standing shares does nothing": shown_by(
        DAMAGED,
        compared(rf"\{{'{B}'\}} == set\(\)", EXTRA, f"'{B}'"),
        NO_LONGER_NAMED,
        shared_ami.TROUBLES["damaged delivery"],
        "tag",
    ),
    "the copies of a promotion that cannot act go on": shown_by(
        DAMAGED,
        compared(r"\{.*\} == set\(\)", EXTRA, *["'20000000000[12]'"] * 2),
        removals.test_copies_that_a_promotion_which_cannot_act_no_longer_names_are_ended,
        shared_ami.park_promotion,
        "tag",
    ),
    "a removal waits for the checks of the source": Protection(
        existing(
            compared(rf"\{{.*\}} == \{{'{A}'\}}", EXTRA, f"'{B}'"), NO_LONGER_NAMED, shared_ami.disable_key, "name"
        ),
        anyway=(NO_PASS,),
        alone=ACT,
    ),
    "a value in force is resolved strictly": shown_by(
        ACT,
        compared(rf"\{{'{B}'\}} == set\(\)", EXTRA, f"'{B}'"),
        removals.test_copies_of_an_account_whose_settings_conflicted_end_when_the_file_loses_it,
        (),
    ),
    "a pass begins anew each time": shown_by(
        LARGE,
        r"assert 59 <= \(\(400 // 7\) \+ 1\)",
        discovery.test_many_that_have_moved_are_all_dealt_with_however_short_the_runs_are,
        7,
    ),
    "who may receive is not asked": Protection(
        model(f"invariant 8: {GRANT} opens to the stranger {A}", stories.dropped),
        existing(
            r"assert \('may', False\) == \('refused', True\)\n.*",
            entitled.test_whom_the_file_does_not_contain_is_refused_whatever_the_tag_says,
            MEMBER,
        ),
        scenario(
            r"Forgery\(.* says='does not contain account 999999999999',.*\nassert 'aws-UnauthorizedOperation' in .*",
            *A_FORGED_SHARE,
        ),
    ),
    "the table of members alone says who is in an OU": shown_by(
        FORGED,
        r"assert \['may', 'may'\] == \['may', 'waits'\]\n.*",
        entitled.test_whom_only_the_table_of_members_has_in_an_ou_gets_nothing,
    ),
    "to what it belongs is not asked": Protection(
        existing(
            r"assert \('may', False\) == \('refused', True\)\n.*",
            entitled.test_what_is_no_part_of_the_ami_is_refused,
            "resource#snapshot#snap-01",
        ),
        scenario(
            r"Forgery\(.* says='no part of',.* state=<ShareState\.OPEN: .*\nassert None is not None", *A_FORGED_SHARE
        ),
    ),
    "whom it names is not asked": shown_by(
        FORGED,
        r"assert 'may' != 'may'\n \+  where 'may' = answer\(Share\(resource='resource#image#ami-0a', .*",
        entitled.test_a_unit_gets_nothing_where_its_accounts_do_each_by_itself,
        entitled.IMAGE,
        Purpose.COPY,
        {},
    ),
    "one look at a source that is gone is believed": shown_by(
        TROUBLE,
        r"\['source-gone: ami-00 was deregistered, or no longer belongs to the hub\. Nothing is opened\.'\]\n"
        r"assert 'failed' == 'delivered'\n.*",
        source_gone.test_looks_within_half_a_minute_that_do_not_show_it_are_no_evidence,
    ),
    "two looks at a source that is gone follow at once": shown_by(
        TROUBLE,
        r"\['source-gone: ami-00 was deregistered, or no longer belongs to the hub\. Nothing is opened\.'\]\n"
        r"assert 'failed' == 'delivered'\n.*",
        source_gone.test_looks_within_half_a_minute_that_do_not_show_it_are_no_evidence,
    ),
    "what is open for copies is closed with the source": shown_by(
        ACT,
        rf"invariant 1: resource#policy#{SOURCE_KEY} closes to {A} under the unfinished snap-\w+",
        source_gone.test_while_copies_run_an_open_statement_is_never_closed_for_that,
    ),
    "an AMI that AWS does not show is everybody's trouble": shown_by(
        TROUBLE,
        compared(
            r"\[.*\] == \[.*\]", r"At index 0 diff: \('owed', 'AWS says UnauthorizedOperation\.'\) != \('may', ''\)"
        ),
        entitled.test_an_ami_that_aws_does_not_show_is_its_own_holders_trouble,
        RefusalKind.DENIED,
        entitled.AMI,
    ),
    "an intended closing counts as done": Protection(
        Packaged(
            (
                *left_open(PERMISSION),
                f"{ILLEGAL}: resource#snapshot#snap, share#222222222222: PermissionRemoved {UNEXPECTED}",
                f"{ILLEGAL}: resource#key#{KEY}#222222222222, share#id-AmiCopyRole: LookedAfter {UNEXPECTED}",
            ),
            killed_at("share-worker", "ModifySnapshotAttribute", "before", 3),
        ),
        alone=RAISES,
    ),
    "a statement is put without an intent": Protection(
        model(
            rf"invariant 3: resource#policy#{SOURCE_KEY} opens to 20000000000[12], wanted on record", shape=STATEMENTS
        ),
        Packaged(
            (BROKEN, f"invariant 3: resource#policy#{KEY} opens to 222222222222, wanted on record"), scenario=BY_POLICY
        ),
    ),
    "each CreateGrant has a new name": Protection(
        model(
            rf"invariant 1: the grant \('{SOURCE_KEY}', 'somebody:here:\w+-AmiCopyRole:\w+'\) is open "
            "and the ledger does not know"
        ),
        Packaged(left_open(COPY_GRANT), plan=killed_at("share-worker", "CreateGrant", "after")),
    ),
    "grants for service-linked roles count as gone": Protection(
        InMemory(
            r"invariant 1: the grant .*Scaling:\d+'\) is open and the ledger does not know", stories.unregistrable
        ),
        Packaged(("1 grants to Auto Scaling on the target's key",), scenario=BY_POLICY_FAILED),
        changes=(
            MemberChange(FakeRoleGrants, "close", lambda *_: None),
            MemberChange(FakeRoleGrants, "showing", lambda *_: frozenset()),
        ),
    ),
    "a share whose state is lost counts as closed": shown_by(
        DAMAGED,
        compared(r"\{.*\} == set\(\)", EXTRA, *[rf"\('(?:ami-00|{SOURCE_KEY})', '{A}[\w:/-]*'\)"] * 4),
        damaged,
        "policy",
        "state is gone, body is gone",
    ),
    "one look at a removal is believed": shown_by(
        TROUBLE,
        r"assert \[\(1, 0\), \(0, .*\] == \[\(1, 0\), \(1, .*\]\n.*At index 1 diff: \(0, 1\) != \(1, 1\)\n.*",
        shares.test_a_permission_is_closed_when_two_looks_miss_it,
    ),
    "a refusal about the resource is halved": shown_by(
        TROUBLE,
        "assert 999 == 1",
        shares.test_a_refusal_about_the_resource_is_notified_to_all_after_one_call,
        "aws-AccessDenied",
    ),
    "the last writer of a record wins": Protection(
        model(f"{COPIED} pending", *(stories.twice(order) for order in range(8))),
        Packaged((BROKEN, f"{AGAIN} pending"), under(WORKER_TWICE), besides=UNWRITTEN),
        changes=(wrapped(MemoryRecords, "save", over_what_others_wrote),),
    ),
    "the ledger has no versions": Protection(
        model(rf"invariant 1: \('snap-00', '{A}'\) is open and the ledger does not know", stories.twice(0)),
        Packaged(left_open(PERMISSION), under(SHARE_WORKER_TWICE), seeds=range(1, 19)),
        changes=(wrapped(MemoryLedger, "save", over_the_others_shares),),
    ),
    "the sweep wakes nothing": Protection(
        model(rf"{NO_REST} \{{\}}", stories.lost),
        Packaged(
            (
                f"nobody looks at what is due: resource#grants#{KEY}",
                "nobody looks at what is due: promotion#ami",
            ),
            under(NO_WAKES),
        ),
    ),
    "the sweep forgets its place": shown_by(
        LARGE,
        "not within 100 minutes: 800 of 4000 woken",
        sweeping.test_killed_after_one_page_of_every_run_no_shard_waits_for_another,
    ),
    "the time left is not asked": shown_by(
        LARGE,
        rf"assert \{{.*\}} == set\(\)\n.*{EXTRA}\n +'0{{16}}\w{{4}}'\n.*",
        shares.test_many_are_let_in_and_out_however_slow_aws_is,
        shares.GRANTS,
        2.0,
    ),
    "a mark is written whatever was seen": Protection(
        existing(
            r"assert \(1, None\) == \(1, 'a stamp'\)\n.*",
            marks.test_what_another_writes_on_a_mark_while_a_pass_runs_is_not_lost,
            looks=0,
            by="withdraw",
        ),
        changes=(wrapped(MemoryRecords, "change", whatever_was_seen),),
        alone=ACT,
    ),
}


def shown(kind: type) -> list[tuple[str, InMemory | Packaged | Simulated]]:
    """Return the names of protections with their scenes of one kind."""
    return [(name, one) for name, it in PROTECTIONS.items() for one in it.shows if isinstance(one, kind)]


def changes_of(name: str) -> tuple[MemberChange, ...]:
    """Return the changes of a name that replace members of classes or modules."""
    return (*CHANGES.get(name, ()), *PROTECTIONS[name].changes)
