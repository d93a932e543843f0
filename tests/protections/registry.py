"""Every protection that the tests remove: its name, the change, where that shows, and the exact message there.

They are those whose loss an invariant of the model, or the crash machine, shows: what searches must be seen to find.
A test with an end of its own needs no other test that it can fail.

Two files play them: ``tests/service/test_removed_protections.py`` in memory, and
``tests/reliability/test_removed_protections.py`` against the package. The changes are in ``changes.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

from chalicelib.engine.errors import RefusalKind
from tests.fakes import MemoryRecords
from tests.protections import stories
from tests.protections.changes import CHANGES, NO_PASS, MemberChange, over_what_others_wrote, wrapped
from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS
from tests.reliability.modes import BY_POLICY, BY_POLICY_FAILED, COPY_IMAGE, DEREGISTERED, NARROWED, WAVES, WITHDRAWN
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
from tests.service import quota_scenes
from tests.service import test_launch_tests as launches
from tests.service import test_planted as planted
from tests.service import test_source_gone as source_gone
from tests.service.world import ModelWorld, WorldSetup


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
class Protection:
    """What is removed, and where that shows. What replaces members of ``chalicelib`` stands in ``CHANGES``."""

    shows: tuple[InMemory | Packaged, ...]
    changes: tuple[MemberChange, ...] = ()
    """More changes, of what is in the tests alone."""
    anyway: tuple[MemberChange, ...] = ()
    """Made in memory with the protection and without it: two protections cover for each other."""


# --- in memory -------------------------------------------------------------------------------------------------------

ONE, TWO, PAIR = WorldSetup(), WorldSetup(accounts=2), WorldSetup(amis=((0, 1),))
STATEMENTS = WorldSetup(accounts=2, key_access="policy")
SHARED = WorldSetup(mode="share", key_access="policy", service_roles=1)
APPROVED = WorldSetup(approval="required")
NAMED = WorldSetup(amis=((0,), (1,)), dates=(1, 2))
IN_WAVES = WorldSetup(accounts=2, waves=0)


def model(says: str, *played: Callable[[ModelWorld], None], shape: WorldSetup = ONE) -> tuple[InMemory]:
    """Stories of the model, or the plain one; the first that breaks an invariant ends them."""

    def play() -> None:
        for story in played or (stories.plain,):
            story(ModelWorld(shape))

    return (InMemory(says, play),)


def existing(says: str, fails: Callable[..., object], *given: object, **named: object) -> tuple[InMemory]:
    """A scene that asserts its own end, or a test of another file, unchanged.

    Raises TypeError where it takes other arguments, so each run notices that.
    """
    signature(fails).bind(*given, **named)
    return (InMemory(says, partial(fails, *given, **named)),)


def shown_by(says: str, fails: Callable[..., object], *given: object, **named: object) -> Protection:
    """A protection that such a scene shows, and nothing else."""
    return Protection(existing(says, fails, *given, **named))


def in_model(says: str, *played: Callable[[ModelWorld], None], shape: WorldSetup = ONE) -> Protection:
    """A protection that stories of the model show, and nothing else."""
    return Protection(model(says, *played, shape=shape))


def packaged(*given: Any, **named: Any) -> Protection:
    """A protection that one scenario of the package shows, and nothing else; takes what ``Packaged`` takes."""
    return Protection((Packaged(*given, **named),))


A, SNAPSHOT, DELIVERY = "200000000001", "resource#snapshot#snap-00", r"delivery#\w+"
GRANT = f"resource#key#arn:aws:kms:us-east-1:111111111111:key/source-0#{A}"
PLACE = rf"\('ami-0a', '{A}'\)"
COPIED = r"invariant 4: snap-00 is copied for \w+ although snap-\w+ is"
NO_REST = "invariant 6: it does not come to rest:"

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
ILLEGAL = "ami-promoter-us-east-1-share-worker error: IllegalEvent"
UNWRITTEN = "invariant 3: snap is copied for id without an intent on record"
AGAIN = "invariant 4: snap is copied for id although snap is"
UNEXPECTED = "is not expected in state closed."
FAILED_AND_OVER = "sent [('delivery.failed', 'id'), ('promotion.over', 'id')]"
TWICE = (
    "sent [('delivery.failed', 'id'), ('delivery.failed', 'id'), ('promotion.over', 'id'), ('promotion.over', 'id')]",
)


def left_open(*some: str) -> tuple[str, ...]:
    """The machine's messages about shares that stay open."""
    return tuple(f"invariant 1: left open: {one}" for one in some)


def dying(function: str, operation: str, when: str, nth: int = 1) -> RunPlan:
    """A kill at one kind of call."""
    return RunPlan((FunctionCrash(nth, when, function, operation),))


def under(messages, seed=SEEDS[0]) -> RunPlan:
    """A message injection of ``test_order``."""
    return RunPlan(messages=messages, seed=seed)


PROTECTIONS = {
    "never closes": in_model(r"invariant 1: the grant \(.*\) is open and the ledger does not know"),
    "lets go early": in_model(rf"invariant 1: {SNAPSHOT} closes to {A} under the unfinished snap-\w+", stories.slow),
    "waits for the running": in_model(
        rf"invariant 1: {DELIVERY} stops, and has held its shares for \d+ s", stories.stopped
    ),
    "opens before its turn": in_model(
        rf"invariant 1: {SNAPSHOT} opens for ami-0a at {A}/us-east-1 while awaiting-slot", stories.waiting
    ),
    "knows no last closing time": in_model(
        rf"invariant 1: {SNAPSHOT} is open \d+ s past its last closing time", stories.damaged
    ),
    "takes all for its own": in_model(f"invariant 2: {SNAPSHOT} was open before us", stories.shared_before),
    "forgets intents": in_model(f"invariant 3: {GRANT} opens to {A}, wanted on record"),
    "registers unwritten": in_model(r"invariant 3: \w+ registers without an intent on record"),
    "removes nothing": in_model(r"invariant 4: orphan: snap-\w+ of \w+, completed", stories.failing, shape=PAIR),
    "throws away": in_model(r"invariant 4: \w+ deletes \{'snap-\w+'\}, which it goes on with"),
    "tidies too soon": in_model(r"invariant 4: \w+ is verifying, and all it made is removed"),
    "is never due": in_model(f"invariant 6: {DELIVERY} is awaiting-slot, and nothing is due"),
    "comes too late": in_model(rf"invariant 6: {DELIVERY} is awaiting-slot until \d+, and woken no sooner than \d+"),
    "meets the unexpected": in_model(
        rf"invariant 6: {DELIVERY} is parked: {DELIVERY}: AwaitingRoleNotified is not expected in state opening\."
    ),
    "opens the delivered": in_model(
        f"invariant 6: {DELIVERY} was delivered, and is requested", stories.extended, shape=TWO
    ),
    "is never over": in_model(rf"{NO_REST} \{{{PLACE}: 'delivered'\}}"),
    "keeps its slots": in_model(rf"quota#{A}#us-east-1 still keeps slots: SlotLease\(.*granted=1.*\)"),
    "grants no slots": in_model(rf"{NO_REST} \{{{PLACE}: 'failed'\}}"),
    "one for all": in_model(
        rf"invariant 6: promotion#ami-0a is parked: {DELIVERY}: Delivery has no damaged",
        stories.damaged_and_tagged_again,
        shape=TWO,
    ),
    "ignores withdrawals": Protection(
        (
            *model(f"invariant 1: ami-0a is shared with {A}", stories.withdrawn, shape=SHARED),
            *model(f"invariant 8: {GRANT} opens to withdrawn {A}", stories.withdrawn_first),
        )
    ),
    "opens half": in_model(rf"invariant 1: \w+ is shared, and resource#image#ami-0a is not open to {A}", shape=SHARED),
    "puts the old again": in_model(
        r"invariant 1: the statement \(.*\) is there and the ledger does not know", shape=STATEMENTS
    ),
    "tells of nothing": in_model(r"invariant 10: \w+ tells of ami-none, which never was"),
    "opens by any approval": Protection(
        (
            *model(
                rf"invariant 11: resource#key#\S+/source-0#{A} opens to {A} without a valid approval",
                stories.voided,
                shape=APPROVED,
            ),
            *model(f"invariant 11: {SNAPSHOT} opens to {A} without a valid approval", stories.expired, shape=APPROVED),
        )
    ),
    "tells nobody": in_model(r"invariant 10: nobody was told: \w+ delivered"),
    "tells again": shown_by(r"told more than once: Counter\(\{'\w+': 2, '\w+': 1\}\)", stories.tagged_twice),
    "relies on its lease": shown_by(
        r"invariant 7: snap-000 is copied for \w+ without a slot: None", quota_scenes.parked_and_freed, "opening"
    ),
    "the intent of a copy is not written": packaged((BROKEN, UNWRITTEN)),
    "opens a wave unasked": Protection(
        (
            *model(f"invariant 1: {SNAPSHOT} opens for ami-0a at 200000000002/us-east-1 before first", shape=IN_WAVES),
            Packaged(
                (BROKEN, f"invariant 1: resource#key#{KEY}#{OTHER} opens for ami at {OTHER}/us-east-1 before default"),
                scenario=WAVES,
            ),
        )
    ),
    "copies are not looked for": Protection(
        (
            *model(f"{COPIED} completed", *(stories.died(call) for call in range(90, 110))),
            Packaged((BROKEN, f"{AGAIN} completed"), dying("worker", "CopySnapshot", "after")),
        )
    ),
    "images are not looked for": packaged(
        (
            "0 AMIs in 222222222222, us-east-1",
            "snapshots set(), used set() in 222222222222, us-east-1",
            "states {'222222222222': 'failed'}",
            FAILED_AND_OVER,
        ),
        dying("worker", "RegisterImage", "after"),
    ),
    "each CopyImage has a new client token": packaged(
        (
            "states {'222222222222': 'failed'}",
            FAILED_AND_OVER,
            "0 AMIs in 222222222222, us-east-1",
            "snapshots set(), used set() in 222222222222, us-east-1",
        ),
        dying("worker", "CopyImage", "after"),
        COPY_IMAGE,
    ),
    "a failing delivery keeps its shares": packaged(left_open(COPY_GRANT, PERMISSION, PERMISSION), scenario=CANCELLED),
    "a withdrawn delivery releases its first share alone": Protection(
        (
            *model(rf"invariant 1: left open: permission \('snap-00', '{A}'\)", shape=SHARED),
            Packaged(
                (f"open: {sorted(ALL_SHARED)}", "the key's policy is now another", *left_open(*ALL_SHARED)),
                scenario=WITHDRAWN,
            ),
            Packaged((f"open: {sorted(TO_BOTH)}",), scenario=NARROWED),
        ),
        anyway=(NO_PASS,),
    ),
    "a look-up is not written with the intent": packaged(("late",), under(EARLY), AT_ONCE, AT_ONCE_SECONDS),
    "what an attempt made is not kept": shown_by(
        r"invariant 4: \['ami-.*'\] are made of what somebody planted",
        planted.test_a_snapshot_with_the_nonce_of_a_cancelled_attempt_is_never_used,
        "snapshots",
        "snapshots",
    ),
    "what is recalled stays current": Protection(
        model(
            rf"invariant 12: \('{A}', 'us-east-1', '/golden/base/current'\) shows ami-\w+, not ami-\w+: Pointer\(.*",
            stories.recalled,
            shape=NAMED,
        )
    ),
    "an instance counts as gone when its end was asked for": shown_by(
        r"invariant 13: i-\w+ is shutting-down, and \w+ does not know it",
        launches.test_an_ami_is_published_after_its_instance_started_and_was_terminated,
        "copy",
    ),
    "each RunInstances has a new client token": shown_by(
        r"invariant 13: \w+ starts one beside \[CloudInstance\(.* state='pending', .*\)\]",
        launches.test_an_instance_whose_answer_was_lost_is_found_by_its_nonce,
        "copy",
        RefusalKind.THROTTLED,
    ),
    "every tag event counts as new": Protection(
        tuple(Packaged(TWICE, under(messages), FAILED) for messages in (THREE_TIMES, SHUFFLED, A_DAY_LATE))
    ),
    "discovery looks for nothing": packaged(("nobody has looked at the tagged AMI",), under(NO_EVENTS)),
    "standing shares are not compared": packaged(
        (
            *(f"open, and nobody is entitled: {share}" for share in ALL_SHARED),
            "invariant 2: preexisting, and gone: ami of 111111111111 in us-east-1 to UserId 444444444444",
        ),
        under(NO_EVENTS),
        DEREGISTERED,
    ),
    "who may receive is not asked": in_model(f"invariant 8: {GRANT} opens to the stranger {A}", stories.dropped),
    "what is open for copies is closed with the source": shown_by(
        r"invariant 1: resource#policy#.*:key/source-0 closes to 200000000001 under the unfinished snap-.*c",
        source_gone.test_while_copies_run_an_open_statement_is_never_closed_for_that,
    ),
    "an intended closing counts as done": packaged(
        (
            *left_open(PERMISSION),
            f"{ILLEGAL}: resource#snapshot#snap, share#222222222222: PermissionRemoved {UNEXPECTED}",
            f"{ILLEGAL}: resource#key#{KEY}#222222222222, share#id-AmiCopyRole: LookedAfter {UNEXPECTED}",
        ),
        dying("share-worker", "ModifySnapshotAttribute", "before", 3),
    ),
    "a statement is put without an intent": packaged(
        (BROKEN, f"invariant 3: resource#policy#{KEY} opens to 222222222222, wanted on record"),
        scenario=BY_POLICY,
    ),
    "each CreateGrant has a new name": packaged(left_open(COPY_GRANT), dying("share-worker", "CreateGrant", "after")),
    "grants for service-linked roles count as gone": packaged(
        ("1 grants to Auto Scaling on the target's key",), scenario=BY_POLICY_FAILED
    ),
    "the last writer of a record wins": packaged((BROKEN, f"{AGAIN} pending"), under(WORKER_TWICE), besides=UNWRITTEN),
    "the ledger has no versions": packaged(left_open(PERMISSION), under(SHARE_WORKER_TWICE), seeds=range(1, 19)),
    "the sweep wakes nothing": Protection(
        (
            *model(rf"{NO_REST} \{{\}}", stories.lost),
            Packaged(
                (
                    f"nobody looks at what is due: resource#grants#{KEY}",
                    "nobody looks at what is due: promotion#ami",
                ),
                under(NO_WAKES),
            ),
        )
    ),
    # what replaces a member of the tests' stores
    "the last writer wins": Protection(
        model(f"{COPIED} pending", *(stories.twice(order) for order in range(8))),
        changes=(wrapped(MemoryRecords, "save", over_what_others_wrote),),
    ),
}


def shown(kind: type) -> list[tuple[str, InMemory | Packaged]]:
    """Return the names of protections with their scenes of one kind."""
    return [(name, one) for name, it in PROTECTIONS.items() for one in it.shows if isinstance(one, kind)]


def changes_of(name: str) -> tuple[MemberChange, ...]:
    """Return the changes of a name that replace members of classes or modules."""
    return (*CHANGES.get(name, ()), *PROTECTIONS[name].changes)
