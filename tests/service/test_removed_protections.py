"""Each protection is needed: when it is removed, the named test fails, and with it the test passes.

Scenes with a wrong *part* of the service are in ``test_mutations.py``. Here a function is replaced, and a test of
another module runs unchanged. If two protections cover for each other, both runs remove the other one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from chalicelib.core.delivery import ending, proof
from chalicelib.core.errors import RefusalKind
from chalicelib.core.promotion import events as promotion_events
from chalicelib.core.sharing import share_events
from chalicelib.core.sharing.refusals import Subject
from chalicelib.core.sharing.share import Purpose
from chalicelib.core.targets.applied_file import AppliedFile
from chalicelib.ports.ledger import Judgement
from chalicelib.service import entitlements, share_batches, sweep
from chalicelib.service.budget import Budget
from chalicelib.service.entitlements import LiveEntitlements
from chalicelib.service.live_members import LiveMembers
from chalicelib.service.promotions import PromotionExecutor
from chalicelib.service.rotation import Rotation
from chalicelib.service.standing_pass import StandingPass
from tests.fakes import MemoryRecords
from tests.service import shared_ami
from tests.service import test_discovery as discovery
from tests.service import test_entitlements as entitled
from tests.service import test_marks as marks
from tests.service import test_outages as outages
from tests.service import test_planted as planted
from tests.service import test_removals as removals
from tests.service import test_share_worker as shares
from tests.service import test_sweep as sweeping
from tests.service.organization import A

Replace = Callable[[pytest.MonkeyPatch], None]


def instead(home: Any, name: str, wrong: Any) -> Replace:
    """Replace a function, or a value of a module."""
    return lambda patch: patch.setattr(home, name, wrong)


def anybodys(delivery, _nonce, _made_at):
    """Take what has the delivery's tag for what its last attempt made."""
    return replace(delivery.attempts[-1], source="") if delivery.attempts else None


def examined_first(resolve):
    """Refuse a value until the source passes its checks."""

    def wrong(self, promotion, value):
        resolved = resolve(self, promotion, value)
        if not isinstance(resolved, promotion_events.Resolved):
            return resolved
        faults = self._source_faults(promotion, ())
        return promotion_events.Resolved(value, faults) if faults else resolved

    return wrong


def strictly(resolve):
    """Treat a name that the file has lost as a fault, also in a value in force."""

    def wrong(self, value, *, in_force=False):
        return resolve(self, value)

    return wrong


def gone_at_once(looked_at):
    """Take a permission for gone after the first look that misses it."""

    def wrong(one, now, *, showing):
        before = one if showing else replace(one, removed_at=now - share_events.GONE_NO_SOONER_THAN, gone_at=0)
        return looked_at(before, now, showing=showing)

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
    """What is removed, and the test that fails then. ``anyway``: removed in the run that passes, too."""

    removed: Replace
    test: Callable[[], object]
    anyway: tuple[Replace, ...] = ()


COPY = Purpose.COPY
NO_PASS = instead(StandingPass, "run", lambda *_, **__: None)
NARROWED = removals.test_an_account_that_the_tag_no_longer_names_is_withdrawn_whatever_else_is_wrong

PROTECTIONS = {
    "who may receive is not asked": RemovedProtection(
        instead(LiveEntitlements, "judge", lambda *_: Judgement()),
        partial(entitled.test_whom_the_file_does_not_contain_is_refused_whatever_the_tag_says, A),
    ),
    "the table of members alone says who is in an OU": RemovedProtection(
        instead(LiveMembers, "checked", lambda _self, applied, *_: applied),
        entitled.test_whom_only_the_table_of_members_has_in_an_ou_gets_nothing,
    ),
    "to what it belongs is not asked": RemovedProtection(
        instead(LiveEntitlements, "_belongs", lambda *_: True),
        partial(entitled.test_what_is_no_part_of_the_ami_is_refused, "resource#snapshot#snap-01"),
    ),
    "whom it names is not asked": RemovedProtection(
        instead(entitlements, "_receiver", lambda target, _resource, **_: target.unit or target.account),
        partial(entitled.test_a_unit_gets_nothing_where_its_accounts_do_each_by_itself, entitled.IMAGE, COPY, {}),
    ),
    "the pass over standing shares does nothing": RemovedProtection(
        NO_PASS, partial(NARROWED, shared_ami.TROUBLES["damaged delivery"], None)
    ),
    "the copies of a promotion that cannot act go on": RemovedProtection(
        instead(StandingPass, "_end_running", lambda *_: True),
        partial(
            removals.test_copies_that_a_promotion_which_cannot_act_no_longer_names_are_ended,
            shared_ami.park_promotion,
            "tag",
        ),
    ),
    "a removal waits for the checks of the source": RemovedProtection(
        instead(PromotionExecutor, "_resolve", examined_first(PromotionExecutor._resolve)),
        partial(NARROWED, shared_ami.disable_key, A),
        (NO_PASS,),
    ),
    "a value in force is resolved strictly": RemovedProtection(
        instead(AppliedFile, "resolve", strictly(AppliedFile.resolve)),
        partial(removals.test_an_account_that_the_file_loses_is_withdrawn_whatever_else_is_wrong, shared_ami.pause),
    ),
    "nonces are not asked": RemovedProtection(
        instead(proof, "_attempt", anybodys),
        partial(planted.test_planted_snapshots_are_never_used_wherever_it_dies, "image", None),
    ),
    "a deadline acts without a look": RemovedProtection(
        instead(ending, "WORKING", frozenset()),
        partial(outages.test_an_outage_of_the_service_destroys_no_good_work, "snapshots", "verifying", 0, 26),
    ),
    "one look at a removal is believed": RemovedProtection(
        instead(share_events, "looked_for_nameless", gone_at_once(share_events.looked_for_nameless)),
        shares.test_a_permission_is_closed_when_two_looks_miss_it,
    ),
    "a refusal about the resource is halved": RemovedProtection(
        instead(share_batches, "subject", lambda _code: Subject.ACCOUNT),
        partial(shares.test_a_refusal_about_the_resource_is_notified_to_all_after_one_call, "aws-AccessDenied"),
    ),
    "the time left is not asked": RemovedProtection(
        instead(Budget, "allows", lambda *_: True),
        partial(shares.test_many_grants_are_opened_and_revoked_however_slow_aws_is, 300, 2.0),
    ),
    "an AMI that AWS does not show is everybody's trouble": RemovedProtection(
        instead(LiveEntitlements, "_why_not", everybodys_trouble(LiveEntitlements._why_not)),
        partial(
            entitled.test_an_ami_that_aws_does_not_show_is_its_own_holders_trouble, RefusalKind.DENIED, entitled.AMI
        ),
    ),
    "a mark is written whatever was seen": RemovedProtection(
        instead(MemoryRecords, "change", whatever_was_seen(MemoryRecords.change)),
        partial(marks.test_what_another_writes_on_a_mark_while_a_pass_runs_is_not_lost, looks=0, by="withdraw"),
    ),
    "a pass begins anew each time": RemovedProtection(
        instead(Rotation, "_stopped_behind", lambda *_: None),
        partial(discovery.test_many_that_have_moved_are_all_dealt_with_however_short_the_runs_are, 7),
    ),
    "the sweep forgets its place": RemovedProtection(
        instead(sweep.Round, "text", lambda self: f"[{self.since}, {self.until}]"),
        sweeping.test_killed_after_one_page_of_every_run_no_shard_waits_for_another,
    ),
}


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_without_it_the_named_test_fails(monkeypatch, protection):
    """It fails by an assertion of its own, not by an error."""
    for change in (*protection.anyway, protection.removed):
        change(monkeypatch)
    with pytest.raises(AssertionError):
        protection.test()


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_with_it_the_named_test_passes(monkeypatch, protection):
    """Only this protection makes the difference."""
    for change in protection.anyway:
        change(monkeypatch)
    protection.test()
