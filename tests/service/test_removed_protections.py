"""Each protection is needed: when it is removed, the named test fails, and with it the test passes.

Scenes with a wrong *part* of the service are in ``test_model_mutations.py``. Here a function is replaced, and a test of
another module runs unchanged. If two protections cover for each other, both runs remove the other one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from chalicelib.delivery import machine, permissions, proof
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.phase import DeadlinePassed
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.ending import fail
from chalicelib.engine import sweep
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.rotation import Rotation
from chalicelib.promotion.worker.promotions import PromotionExecutor
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.sharing import share_events
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.refusals import Subject
from chalicelib.sharing.share import Purpose
from chalicelib.sharing.store import ledger
from chalicelib.sharing.worker import entitlements, share_batches
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.worker.live_members import LiveMembers
from tests.fakes import MemoryRecords
from tests.service import shared_ami, wrong_parts
from tests.service import test_damaged_shares as damage
from tests.service import test_discovery as discovery
from tests.service import test_entitlements as entitled
from tests.service import test_marks as marks
from tests.service import test_outages as outages
from tests.service import test_planted as planted
from tests.service import test_removals as removals
from tests.service import test_share_worker as shares
from tests.service import test_source_gone as source_gone
from tests.service import test_sweep as sweeping
from tests.service.organization import A
from tests.stores import on_dynamodb


@dataclass(frozen=True)
class Instead:
    """Insteads a function, or a value of a module."""

    home: Any
    name: str
    wrong: Any

    def __call__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(self.home, self.name, self.wrong)

    def raising(self) -> "Instead":
        """Return the same with what raises when it is used."""
        return Instead(self.home, self.name, wrong_parts.raises if callable(self.wrong) else Unusable())


class Unusable:
    """A collection that raises when it is asked."""

    __contains__ = __iter__ = wrong_parts.raises


def examined_first(understand):
    """Let nothing begin or end until the source passes its checks."""

    def wrong(self, record, tracked):
        meant, promotion = understand(self, record, tracked)
        _, faults = self._source(promotion, ())
        return replace(meant, unknown=bool(faults)), promotion

    return wrong


def strictly(resolve):
    """Treat a name that the file has lost as a fault, also in a value in force."""

    def wrong(self, value, *, in_force=False):
        return resolve(self, value)

    return wrong


def gone_at_once(evolve):
    """Take a permission for gone after the first look that misses it."""

    def wrong(one, event, now):
        missed = isinstance(event, share_events.LookedAfter) and not event.showing
        removed = {"removed_at": now - share_events.GONE_NO_SOONER_THAN, "gone_at": 0}
        return evolve(replace(one, **removed) if missed else one, event, now)

    return wrong


def at_one_look(judge):
    """Believe a look by itself that shows no AMI."""

    def wrong(self, resource, some, _has_time=None):
        found = judge(self, resource, some)
        return judge(self, resource, [replace(one, waits_for=found.waits.get(one.share_name)) for one in some])

    return wrong


def everybodys_trouble(why_not):
    """Take what AWS refuses to say of one AMI for its answer about all."""

    def wrong(self, look, *asked):
        answer = why_not(self, look, *asked)
        return next(iter(look.owed.values()), answer)

    return wrong


def whatever_was_seen(change):
    """Write on a mark as it was read, over what others have written since."""

    def wrong(self, key, attributes, seen):
        self.items[key] = {"kind": "standing", **{name: value for name, value in seen.items() if value is not None}}
        return change(self, key, attributes, {})

    return wrong


@dataclass(frozen=True)
class RemovedProtection:
    """What is removed, the test that fails then, and its message, as a regular expression.

    ``anyway``: removed in the run that passes, too.
    """

    removed: Instead
    says: str
    test: Callable[[], object]
    anyway: tuple[Instead, ...] = ()


def damaged(mode, kind):
    """Damage every share of a mode, on DynamoDB."""
    with on_dynamodb() as stores:
        damage.test_whatever_of_a_share_is_damaged_nothing_stays_open_unnoticed(stores, mode, kind)


COPY = Purpose.COPY
ANY_END = Instead(
    machine,
    "TRANSITIONS",
    {
        state: {
            event: edge._replace(leads_to={*edge.leads_to, DeliveryState.STOPPING}) if event is DeadlinePassed else edge
            for event, edge in row.items()
        }
        for state, row in machine.TRANSITIONS.items()
    },
)
"""The table refuses such an end, too, and parks the delivery; these two protections cover for each other."""
NO_PASS = Instead(StandingPass, "run", lambda *_, **__: None)
NARROWED = removals.test_an_account_that_the_tag_no_longer_names_is_withdrawn_whatever_else_is_wrong

PROTECTIONS = {
    "who may receive is not asked": RemovedProtection(
        Instead(LiveEntitlements, "judge", lambda *_: Judgement()),
        r"assert \('may', False\) == \('refused', True\)\n.*",
        partial(entitled.test_whom_the_file_does_not_contain_is_refused_whatever_the_tag_says, A),
    ),
    "the table of members alone says who is in an OU": RemovedProtection(
        Instead(LiveMembers, "checked", lambda _self, applied, *_: applied),
        r"assert \['may', 'may'\] == \['may', 'waits'\]\n.*",
        entitled.test_whom_only_the_table_of_members_has_in_an_ou_gets_nothing,
    ),
    "to what it belongs is not asked": RemovedProtection(
        Instead(LiveEntitlements, "_belongs", lambda *_: True),
        r"assert \('may', False\) == \('refused', True\)\n.*",
        partial(entitled.test_what_is_no_part_of_the_ami_is_refused, "resource#snapshot#snap-01"),
    ),
    "whom it names is not asked": RemovedProtection(
        Instead(entitlements, "_receiver", lambda target, _resource, **_: target.unit or target.account),
        r"assert 'may' != 'may'\n.*",
        partial(entitled.test_a_unit_gets_nothing_where_its_accounts_do_each_by_itself, entitled.IMAGE, COPY, {}),
    ),
    "the pass over standing shares does nothing": RemovedProtection(
        NO_PASS,
        r"assert \{'200000000002'\} == set\(\)\n.*",
        partial(NARROWED, shared_ami.TROUBLES["damaged delivery"], None),
    ),
    "the copies of a promotion that cannot act go on": RemovedProtection(
        Instead(StandingPass, "_end_running", lambda *_: True),
        r"assert \{.*\} == set\(\)\n.* '200000000001'\n.*",
        partial(
            removals.test_copies_that_a_promotion_which_cannot_act_no_longer_names_are_ended,
            shared_ami.park_promotion,
            "tag",
        ),
    ),
    "a removal waits for the checks of the source": RemovedProtection(
        Instead(PromotionExecutor, "_meant", examined_first(PromotionExecutor._meant)),
        r"assert \{.*\} == \{'200000000001'\}\n.*Extra items in the left set:\n +'200000000002'\n.*",
        partial(NARROWED, shared_ami.disable_key, A),
        (NO_PASS,),
    ),
    "a value in force is resolved strictly": RemovedProtection(
        Instead(AppliedFile, "resolve", strictly(AppliedFile.resolve)),
        r"assert \{.*\} == \{'200000000001'\}\n.*Extra items in the left set:\n +'200000000002'\n.*",
        partial(removals.test_an_account_that_the_file_loses_is_withdrawn_whatever_else_is_wrong, shared_ami.pause),
    ),
    "nonces are not asked": RemovedProtection(
        Instead(proof, "copies", lambda _delivery, seen: proof.Copies(tuple(seen))),
        r"assert not \(\{'snap-.*\} & \{'snap-.*\}\)\n.*",
        partial(planted.test_planted_snapshots_are_never_used_wherever_it_dies, "snapshots", None),
    ),
    "what an attempt made is not kept": RemovedProtection(
        Instead(proof, "keep", lambda delivery, _some: delivery),
        r"invariant 4: \['ami-.*'\] are made of what somebody planted",
        partial(planted.test_a_snapshot_with_the_nonce_of_a_cancelled_attempt_is_never_used, "snapshots", "snapshots"),
    ),
    "one look at a source that is gone is believed": RemovedProtection(
        Instead(LiveEntitlements, "judge", at_one_look(LiveEntitlements.judge)),
        r"assert 'failed' == 'delivered'\n.*",
        source_gone.test_one_look_that_does_not_show_it_is_no_evidence,
    ),
    "what is open for copies is closed with the source": RemovedProtection(
        Instead(entitlements, "_was_opened", lambda _share: False),
        r"invariant 1: resource#policy#.*:key/source-0 closes to 200000000001 under the unfinished snap-.*c",
        source_gone.test_while_copies_run_an_open_statement_is_never_closed_for_that,
    ),
    "a share whose state is lost counts as closed": RemovedProtection(
        Instead(ledger, "_was_intended", lambda item, _known: item.get("state") == "open"),
        r"assert \{\('.*\)\} == set\(\)\n.*Extra items in the left set:\n.*",
        partial(damaged, "policy", "state is gone, body is gone"),
    ),
    "a withdrawal is notified at its release": RemovedProtection(
        Instead(permissions, "still_open", lambda *_: ()),
        r"assert \[\{.*\}\] == \[\]\n.*Left contains one more item: .*",
        partial(damaged, "policy", "schema is text"),
    ),
    "a deadline acts without a look": RemovedProtection(
        Instead(trouble, "await_look", lambda delivery, failure, now: fail(delivery, now, failure)),
        r"\['deadline-verifying: .*'\]\nassert 'failed' == 'delivered'\n.*",
        partial(outages.test_an_outage_of_the_service_destroys_no_good_work, "snapshots", "verifying", 0, 26),
        (ANY_END,),
    ),
    "one look at a removal is believed": RemovedProtection(
        Instead(share_events, "evolve", gone_at_once(share_events.evolve)),
        r"assert \[\(1, 0\), \(0, .*\] == \[\(1, 0\), \(1, .*\]\n.*At index 1 diff: \(0, 1\) != \(1, 1\)\n.*",
        shares.test_a_permission_is_closed_when_two_looks_miss_it,
    ),
    "a refusal about the resource is halved": RemovedProtection(
        Instead(share_batches, "subject", lambda _code: Subject.ACCOUNT),
        "assert 999 == 1",
        partial(shares.test_a_refusal_about_the_resource_is_notified_to_all_after_one_call, "aws-AccessDenied"),
    ),
    "the time left is not asked": RemovedProtection(
        Instead(Budget, "allows", lambda *_: True),
        r"assert \{.*\} == set\(\)\n.*Extra items in the left set:\n.*",
        partial(shares.test_many_grants_are_opened_and_revoked_however_slow_aws_is, 300, 2.0),
    ),
    "an AMI that AWS does not show is everybody's trouble": RemovedProtection(
        Instead(LiveEntitlements, "_why_not", everybodys_trouble(LiveEntitlements._why_not)),
        r"assert .*\n.*At index 0 diff: \('owed', 'DescribeImages was refused: \w+\.'\) != \('may', ''\)\n.*",
        partial(
            entitled.test_an_ami_that_aws_does_not_show_is_its_own_holders_trouble, RefusalKind.DENIED, entitled.AMI
        ),
    ),
    "a mark is written whatever was seen": RemovedProtection(
        Instead(MemoryRecords, "change", whatever_was_seen(MemoryRecords.change)),
        r"assert \(1, None\) == \(1, 'a stamp'\)\n.*",
        partial(marks.test_what_another_writes_on_a_mark_while_a_pass_runs_is_not_lost, looks=0, by="withdraw"),
    ),
    "a pass begins anew each time": RemovedProtection(
        Instead(Rotation, "_stopped_behind", lambda *_: None),
        r"assert 59 <= \(\(400 // 7\) \+ 1\)",
        partial(discovery.test_many_that_have_moved_are_all_dealt_with_however_short_the_runs_are, 7),
    ),
    "the sweep forgets its place": RemovedProtection(
        Instead(sweep.Round, "text", lambda self: f"[{self.since}, {self.until}]"),
        "not within 100 minutes: 800 of 4000 woken",
        sweeping.test_killed_after_one_page_of_every_run_no_shard_waits_for_another,
    ),
}


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_without_it_the_named_test_fails(monkeypatch, protection):
    """It fails by the named assertion, and by no other."""
    for change in (*protection.anyway, protection.removed):
        change(monkeypatch)
    with wrong_parts.found_out(protection.says):
        protection.test()


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_if_it_only_raises_the_test_above_fails(monkeypatch, protection):
    """What does not do without the protection, but raises, shows nothing."""
    for change in (*protection.anyway, protection.removed.raising()):
        change(monkeypatch)
    assert not wrong_parts.passes_for(protection.says, protection.test)


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_with_it_the_named_test_passes(monkeypatch, protection):
    """Only this protection makes the difference."""
    for change in protection.anyway:
        change(monkeypatch)
    protection.test()
