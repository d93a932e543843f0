"""A recall takes an AMI back everywhere, in any order with promotions and crashes; lifting it restores what can be."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.calls import intent
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.notices import attributes
from chalicelib.engine.stored import peek
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.machine import RECALL
from chalicelib.release.pointer import ShownParameter
from tests.service.cloud import REGION, refusal
from tests.service.family import (
    DAY,
    DEV,
    HOUR,
    NAME,
    NEW,
    OLD,
    a_family,
    fault_of_pointer,
    pinned,
    promoted,
    raw,
    shown,
)
from tests.service.gate import ALWAYS, LostAnswer, PortTrouble, ProcessKilled
from tests.service.hub import Hub
from tests.service.scenes import killed_at_calls

PROD = "200000000002"
LATER = "2027-06-01T00:00:00.000Z"
DENIED = {"why": RefusalKind.DENIED, "code": "UnauthorizedOperation"}


def a_hub(mode: str = "copy", accounts: tuple[str, ...] = (DEV,), linger: int = 0, **behavior) -> Hub:
    return a_family(accounts, {"mode": mode, "linger": linger}, **behavior)


def recall_it(hub: Hub) -> Hub:
    """Recall the newest AMI, and let an hour pass."""
    hub.recall(NEW)
    return hub.wait(HOUR)


def lift_it(hub: Hub) -> Hub:
    """Lift its recall, and let an hour pass."""
    hub.lift_recall(NEW)
    return hub.wait(HOUR)


def recalled(before: str, *, may_disable: bool) -> Hub:
    """A hub whose newest AMI is recalled; ``before``: the deprecation date that the copy had."""
    hub = promoted(a_hub(), OLD, NEW)
    raw(hub, NEW)["DeprecationTime"] = before
    hub.cloud.may_disable = may_disable
    return recall_it(hub)


def newest(hub: Hub) -> tuple[str, str, str]:
    """The state of the newest AMI's delivery to DEV, and its copy there: its state, its date or "deprecated"."""
    copy, now = raw(hub, NEW), datetime.fromtimestamp(hub.cloud.now, UTC).isoformat()
    date = copy.get("DeprecationTime", "")
    return hub.outcomes()[NEW, DEV], copy["State"], "deprecated" if date and date <= now else date


RECALLED, DISABLED = ("recalled", "available", "deprecated"), ("recalled", "disabled", "deprecated")
RESTORED = ("delivered", "available", "")


def events(hub: Hub, ami: str) -> list[str]:
    return [one["event"] for one in hub.cloud.notices if one.get("source_image") == ami and "delivery" in one]


def test_the_notices_of_a_recall_and_of_its_lift_reach_who_subscribes_to_the_group():
    """And they name the AMI as its first notice did; the delivery was over by then."""
    hub = promoted(a_hub(), OLD, NEW)
    lift_it(recall_it(hub))

    said = [one for one in hub.cloud.notices if one.get("source_image") == NEW and "delivery" in one]
    assert [one["event"] for one in said] == ["delivery.delivered", "delivery.recalled", "delivery.delivered"]
    found = {(attributes(one).get("group"), attributes(one).get("image_name")) for one in said}
    assert found == {('["default"]', f"golden-{NEW}")}


def test_a_restored_ami_whose_family_cannot_be_used_says_so_again():
    """No parameter names it, as after its first delivery."""
    hub = a_hub()
    hub.cloud.make_image(NEW, {"snap-9": True}, family="no family!")
    lift_it(recall_it(promoted(hub, NEW)))

    said = hub.notified("delivery.delivered", DEV)
    assert [one["pointer"]["fault"]["code"] for one in said] == ["family-not-usable"] * 2


@pytest.mark.parametrize("before", [True, False])
def test_a_tag_that_is_not_understood_neither_lifts_nor_prevents_a_recall(before):
    """It is written after the tag was removed, so no value is in force. Only an operator lifts a recall."""
    hub = promoted(a_hub(), OLD, NEW)
    if before:
        recall_it(hub)
    hub.cloud.tag(NEW, None)
    hub.wait(HOUR)
    hub.cloud.tag(NEW, "deev")
    hub.wait(HOUR)
    if not before:
        recall_it(hub)

    assert newest(hub) == RECALLED
    assert shown(hub) == OLD
    assert events(hub, NEW) == ["delivery.delivered", "delivery.recalled"]

    lift_it(hub)
    assert hub.outcomes()[NEW, DEV] == "delivered"


def test_a_delivery_whose_record_somebody_deleted_keeps_no_other_from_a_recall():
    """The one that a pass comes to first; an alarm tells of it."""
    hub = promoted(a_hub(accounts=(DEV, PROD)), NEW)
    deleted, other = sorted((DEV, PROD), key=lambda account: hub.delivery_key(NEW, account).pk)
    del hub.stores.records.records[hub.delivery_key(NEW, deleted)]
    recall_it(hub)

    assert hub.outcomes() == {(NEW, other): "recalled"}


@pytest.mark.parametrize("seconds", [58, 61, 62, 65, 100, 200])
def test_one_whose_ami_is_being_made_finishes_unpublished_and_is_deprecated(seconds):
    """Nobody is notified of it, and no parameter names it. One that still copies ends, and leaves nothing."""
    hub = a_hub(registering=(300,), checking=(300,))
    hub.cloud.tag(NEW, "default")
    assert hub.wait(seconds).outcomes()[NEW, DEV] != "delivered"
    hub.recall(NEW)
    hub.wait(8 * HOUR)

    assert "delivery.delivered" not in events(hub, NEW)
    if hub.cloud.images:
        assert hub.outcomes() == {(NEW, DEV): "recalled"}
        assert raw(hub, NEW)["DeprecationTime"]
    else:
        assert hub.outcomes() == {(NEW, DEV): "cancelled"}
        assert (hub.cloud.live_copies(), hub.cloud.permissions) == ([], set())
    assert shown(hub) == ""


def test_a_recall_right_after_the_copy_was_made_waits_for_no_damaged_source():
    """What was examined says only which date a lift has to bring back."""
    hub = a_hub()
    for ami in (NEW, OLD):  # the worker keeps what it has read of the last one
        hub.cloud.tag(ami, "default")
        hub.until_state(ami, DEV, "delivered")
    hub.unwatched()  # they read it, too
    examined = addresses.source_image(NEW, peek(hub.stores.records, addresses.promotion(NEW), PROMOTIONS).source)
    hub.stores.records.put(examined, {**hub.stores.records.get(examined), "body": "{}"})
    recall_it(hub)

    assert newest(hub) == RECALLED


def test_a_date_that_ec2_does_not_show_yet_comes_back_when_the_recall_is_lifted():
    """The copy got its source's date in the second before the recall looked."""
    hub = a_hub(registering=(300,))
    hub.cloud.hub_images[NEW]["DeprecationTime"] = "2028-06-01T00:00:00.000Z"
    hub.cloud.tag(NEW, "default")
    hub.wait(200)
    hub.recall(NEW)
    hub.gate.troubles = [LostAnswer("target.images", "shown", says={"State": "available"})]
    assert hub.wait(HOUR).outcomes()[NEW, DEV] == "recalled"
    assert not hub.gate.troubles[0].times

    lift_it(hub)
    assert newest(hub) == ("delivered", "available", "2028-06-01T00:00:00Z")


def test_a_recall_waits_for_no_linger():
    """The parameter names the copy while its shares stay open, before its notice."""
    hub = promoted(a_hub(linger=DAY), OLD).wait(DAY)
    promoted(hub, NEW)
    assert hub.outcomes()[NEW, DEV] == "publishing"
    assert shown(hub) == NEW

    recall_it(hub)
    assert newest(hub) == RECALLED
    assert shown(hub) == OLD
    assert hub.cloud.permissions == set()
    assert events(hub, NEW) == ["delivery.recalled"]


@pytest.mark.parametrize(("why", "days"), [(RefusalKind.DENIED, 2), (RefusalKind.THROTTLED, 3)])
def test_one_target_that_refuses_delays_no_other_and_is_named(why, days):
    """After a day its notice says what is left to do there; what AWS only throttles is tried for another day."""
    hub = promoted(a_hub(accounts=(DEV, PROD)), OLD, NEW)
    how = {"why": why, "only": lambda one, *_, **__: one.target.account == DEV}
    hub.gate.refuse("target.images", "recall", code="UnauthorizedOperation", **how)
    recall_it(hub)
    assert hub.outcomes()[NEW, PROD] == "recalled"
    assert hub.outcomes()[NEW, DEV] == "recalling"
    assert (shown(hub), shown(hub, PROD)) == (OLD, OLD), "the pointer moves first"

    hub.wait(days * DAY)
    notice = next(
        one for one in reversed(hub.cloud.notices) if one.get("account") == DEV and one["source_image"] == NEW
    )
    assert notice["event"] == "delivery.recalled"
    assert [fault["code"] for fault in notice["faults"]] == ["recall-not-done", "aws-UnauthorizedOperation"]


@pytest.mark.parametrize("method", ["recall", "restore"])
def test_of_what_a_target_refused_for_a_day_one_cure_alone_says_how_it_is_tried_again(method):
    """A new tag begins nothing while the recall stands, and a lift is tried again by the service itself."""
    hub = promoted(a_hub(), OLD, NEW)
    fault = Fault("aws-Denied", "there", "It was refused.", "Allow it; then tag the AMI again.")
    hub.gate.troubles = [PortTrouble("target.images", method, Refusal(RefusalKind.DENIED, fault), ALWAYS)]
    recall_it(hub)
    if method == "restore":
        lift_it(hub)
    hub.wait(2 * DAY)

    assert [one["cure"] for one in hub.notified("delivery.recalled")[-1]["faults"]][1:] == ["Allow it."]


def refused_by_dev(method: str = "recall", *, accounts=(DEV, PROD), may_disable: bool = False, **how) -> Hub:
    """DEV has refused the recall of the newest AMI for three days, and is repaired; PROD has not."""
    hub = promoted(a_hub(accounts=accounts), OLD, NEW)
    raw(hub, NEW)["DeprecationTime"] = LATER
    hub.cloud.may_disable = may_disable
    hub.gate.refuse("target.images", method, only=lambda one, *_, **__: one.target.account == DEV, **DENIED, **how)
    hub.recall(NEW)
    hub.wait(3 * DAY)
    hub.gate.troubles = []
    assert hub.outcomes()[NEW, DEV] == "recalled"
    return hub


def retry_at_dev(hub: Hub) -> None:
    """Ask for another try of the recall there, as the command line does: it writes an entry and sends no wake."""
    now = hub.cloud.now
    hub.stores.records.make_due(addresses.promotion(NEW), now, {RECALL: f"{now}:{DEV}/{REGION}"})


def test_a_lift_restores_what_a_recall_has_changed_though_a_later_try_could_not_look():
    """The first try disabled the AMI, and its answers were lost; of the second one even the look is refused."""
    hub = refused_by_dev(may_disable=True, after=True)
    hub.gate.refuse("target.images", "shown", only=lambda one, *_, **__: one.target.account == DEV, **DENIED)
    retry_at_dev(hub)
    hub.wait(3 * DAY)
    hub.gate.troubles = []

    lift_it(hub)
    assert newest(hub) == ("delivered", "available", LATER)


@pytest.mark.parametrize("method", ["recall", "shown"])
@pytest.mark.parametrize("tag", ["stays", "removed", "removed and gone"])
def test_a_retry_completes_the_recall_in_the_one_account_that_refused_it(tag, method):
    """No other target is touched, and no parameter names the AMI meanwhile; the lift restores the copy's own date."""
    hub = refused_by_dev(method)
    assert newest(hub) == ("recalled", "available", LATER)
    if tag != "stays":
        hub.cloud.tag(NEW, None)
    if tag == "removed and gone":
        source = hub.cloud.hub_images.pop(NEW)
    hub.wait(HOUR)
    retry_at_dev(hub)
    retry_at_dev(hub)
    hub.wait(HOUR)
    if tag == "removed and gone":
        hub.cloud.hub_images[NEW] = source

    assert newest(hub) == RECALLED
    assert (shown(hub), shown(hub, PROD)) == (OLD, OLD)
    assert [one["account"] for one in hub.notified("delivery.recalled")] == [PROD, DEV, DEV]
    assert hub.notified("delivery.recalled", DEV)[-1]["faults"] == []
    hub.wait(3 * DAY)
    assert len(hub.notified("delivery.recalled")) == 3, "it is tried once"

    lift_it(hub)
    assert newest(hub) == ("delivered", "available", LATER)


def test_a_retry_of_a_recall_that_the_target_carried_out_without_an_answer_keeps_the_former_date():
    """The copy is deprecated and disabled already: what the first look has shown comes back with the lift."""
    hub = refused_by_dev(may_disable=True, after=True)
    assert newest(hub) == DISABLED
    retry_at_dev(hub)
    hub.wait(HOUR)
    assert newest(hub) == DISABLED
    assert hub.notified("delivery.recalled", DEV)[-1]["faults"] == []

    lift_it(hub)
    assert newest(hub) == ("delivered", "available", LATER)


@pytest.mark.parametrize("seconds", [0, 5, 61, HOUR])
def test_a_recall_that_is_lifted_right_after_its_retry_is_lifted(seconds):
    """Whatever the retry was doing."""
    hub = refused_by_dev()
    retry_at_dev(hub)
    hub.wait(seconds)
    lift_it(hub)

    assert newest(hub) == ("delivered", "available", LATER)
    assert (shown(hub), shown(hub, PROD)) == (NEW, NEW)


def test_a_retried_recall_that_is_refused_again_says_so_and_can_be_retried():
    """Its own service was off for a day in between."""
    hub = refused_by_dev()
    hub.gate.refuse("target.images", "recall", **DENIED)
    retry_at_dev(hub)
    hub.wait(HOUR)
    hub.cloud.now += 30 * HOUR
    hub.wait(2 * HOUR)
    assert [len(one["faults"]) for one in hub.notified("delivery.recalled", DEV)] == [2, 2]

    hub.gate.troubles = []
    retry_at_dev(hub)
    hub.wait(HOUR)
    assert newest(hub) == RECALLED


@pytest.mark.thorough
def test_a_process_killed_at_any_call_of_a_retried_recall_changes_nothing():
    """Before or after every third call, in turn; the parameter does not name the AMI."""

    def begun() -> Hub:
        hub = refused_by_dev(accounts=(DEV,))
        retry_at_dev(hub)
        return hub

    for number, hub in killed_at_calls(begun, HOUR, every=3):
        hub.wait(2 * HOUR)
        assert (newest(hub), shown(hub)) == (RECALLED, OLD), number


def test_a_pause_delays_no_recall():
    """A pause holds up what begins, not what ends."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.paused = True
    recall_it(hub)

    assert hub.outcomes()[NEW, DEV] == "recalled"


def test_a_recall_of_the_only_ami_leaves_the_parameter_and_says_so():
    """There is no other to name; the fault says so."""
    hub = promoted(a_hub(), OLD)
    hub.recall(OLD)
    hub.wait(25 * HOUR)

    assert hub.outcomes()[OLD, DEV] == "recalled"
    assert shown(hub) == OLD
    assert fault_of_pointer(hub) == "pointer-nothing-current"


@pytest.mark.parametrize("act", ["recall", "withdrawal"])
def test_what_is_lifted_while_the_ami_is_pending_begins_nothing_before_it_is_available(act):
    """It is pending for more than a day; then all that its tag names begins."""
    hub = a_hub(accounts=(DEV, PROD))
    hub.cloud.hub_images[NEW]["State"] = "pending"
    hub.cloud.tag(NEW, "default")
    hub.wait(HOUR)
    hub.withdraw(NEW, f"{DEV}/{REGION}")
    if act == "recall":
        hub.recall(NEW)
    hub.wait(HOUR)
    hub.lift(NEW, f"{DEV}/{REGION}")
    if act == "recall":
        hub.lift_recall(NEW)
    assert hub.wait(2 * DAY).outcomes() == {}

    hub.cloud.hub_images[NEW]["State"] = "available"
    hub.discover()
    assert hub.wait(2 * HOUR).outcomes() == {(NEW, DEV): "delivered", (NEW, PROD): "delivered"}


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_parameter_that_the_file_no_longer_sets_moves_off_a_recalled_ami_and_stays_there(mode):
    """Who still launches by its name gets no recalled AMI; the service does nothing else with it."""
    hub = promoted(a_hub(mode), OLD, NEW)
    hub.cloud.change_targets(ssm_parameter="")
    hub.wait(2 * DAY)
    recall_it(hub)
    assert (shown(hub), fault_of_pointer(hub)) == (OLD, "")

    hub.lift_recall(NEW)
    hub.wait(25 * HOUR)
    assert (shown(hub), fault_of_pointer(hub)) == (OLD, "")


@pytest.mark.parametrize("why", ["no other AMI", "no right", "a throttle", "the account has left the file"])
def test_a_parameter_that_the_file_no_longer_sets_and_that_cannot_move_says_that_its_ami_is_recalled(why):
    """A person must change it; the fault ends with the recall."""
    hub = promoted(a_hub(), *([] if why == "no other AMI" else [OLD]), NEW)
    hub.cloud.change_targets(ssm_parameter="")
    if why in ("no right", "a throttle"):
        kind = RefusalKind.DENIED if why == "no right" else RefusalKind.THROTTLED
        hub.gate.refuse("target.parameters", "look", why=kind)
    if why == "the account has left the file":
        hub.cloud.drop_targets(DEV)
    hub.wait(2 * DAY)
    assert fault_of_pointer(hub) == ""
    recall_it(hub)

    assert (shown(hub), fault_of_pointer(hub)) == (NEW, "pointer-names-recalled")
    hub.lift_recall(NEW)
    hub.wait(25 * HOUR)
    assert fault_of_pointer(hub) == ""


@pytest.mark.parametrize("theirs", [None, ShownParameter("ami-0fff")])
def test_a_parameter_that_the_file_no_longer_sets_stays_as_a_person_has_left_it(theirs):
    """It is deleted, or names an AMI of theirs, although it named one that is recalled: that is no fault."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.change_targets(ssm_parameter="")
    del hub.cloud.parameters[DEV, NAME]
    if theirs:
        hub.cloud.parameters[DEV, NAME] = theirs
    recall_it(hub)

    assert (hub.cloud.parameters.get((DEV, NAME)), fault_of_pointer(hub)) == (theirs, "")


def test_a_recall_that_is_lifted_at_once_or_repeated_ends_as_the_last_one_said():
    """Whatever was under way."""
    hub = promoted(a_hub(), OLD, NEW)
    for seconds in (1, 20, 70, 5):
        hub.recall(NEW)
        hub.wait(seconds)
        hub.lift_recall(NEW)
        hub.wait(seconds)
    hub.wait(2 * HOUR)
    assert (newest(hub), shown(hub)) == (RESTORED, NEW)

    hub.recall(NEW)
    hub.wait(2 * HOUR)
    assert (hub.outcomes()[NEW, DEV], shown(hub)) == ("recalled", OLD)


@pytest.mark.thorough
@pytest.mark.parametrize("lift", [False, True])
def test_a_process_killed_at_any_call_of_a_recall_or_its_lift_changes_nothing(lift):
    """Before or after the call, in turn."""

    def begun() -> Hub:
        hub = promoted(a_hub(), OLD, NEW)
        if lift:
            recall_it(hub).lift_recall(NEW)
        else:
            hub.recall(NEW)
        return hub

    for number, hub in killed_at_calls(begun, HOUR):
        hub.wait(2 * HOUR)
        end = (hub.outcomes()[NEW, DEV], shown(hub), "DeprecationTime" in raw(hub, NEW))
        assert end == (("delivered", NEW, False) if lift else ("recalled", OLD, True)), number


def test_a_recall_while_the_service_was_off_waits_for_the_value_that_was_intended_before():
    """The process was killed right before the call; AWS then takes a minute to check the value."""
    hub = promoted(a_hub(checking=(0, 60)), OLD)
    killed = PortTrouble("target.parameters", "change", ProcessKilled())
    hub.gate.troubles = [killed]
    hub.cloud.tag(NEW, "default")
    hub.until(lambda: not killed.times)
    hub.recall(NEW)
    hub.cloud.now += 11 * 60

    assert shown(hub.wait(HOUR)) == OLD


@pytest.mark.parametrize("took_effect", [True, False])
def test_lifting_a_recall_enables_what_it_may_have_disabled(took_effect):
    """The answer of DisableImage is lost, and for a day the target refuses every other try; or it was never made."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.may_disable = True
    if took_effect:
        hub.gate.refuse("target.images", "recall", why=RefusalKind.THROTTLED, unknown=True, times=1, after=True)
    hub.gate.refuse("target.images", "recall", **DENIED)
    hub.recall(NEW)
    assert hub.wait(2 * DAY).outcomes()[NEW, DEV] == "recalled"
    assert raw(hub, NEW)["State"] == ("disabled" if took_effect else "available")

    hub.gate.troubles = []
    lift_it(hub)
    assert newest(hub) == RESTORED
    assert shown(hub) == NEW


def test_what_its_owner_had_disabled_stays_so_when_the_recall_is_lifted():
    """Only what the recall has changed is undone."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.may_disable = True
    raw(hub, NEW)["State"] = "disabled"
    recall_it(hub)
    assert hub.outcomes()[NEW, DEV] == "recalled"

    lift_it(hub)
    assert raw(hub, NEW)["State"] == "disabled"


def test_lifting_a_recall_that_was_refused_every_look_leaves_the_date_of_the_copy():
    """The service has changed nothing there, and does not know what there was."""
    hub = lift_it(refused_by_dev("shown", accounts=(DEV,)))

    assert newest(hub) == ("delivered", "available", LATER)
    assert shown(hub) == NEW


def refusals(hub: Hub) -> list[str]:
    """The last fault of each notice that says what a target has refused."""
    faults = [one["faults"] for one in hub.notified("delivery.recalled")]
    return [some[-1]["code"] for some in faults if some]


@pytest.mark.thorough
def test_a_lift_that_is_refused_for_days_is_tried_on_and_notified_once():
    """Another reason, or another lift, is notified again."""
    hub = promoted(a_hub(accounts=(DEV, PROD)), OLD, NEW)
    recall_it(hub)
    hub.gate.refuse("target.images", "restore", **DENIED, only=lambda one, *_: one.target.account == DEV)
    (trouble,) = hub.gate.troubles
    hub.lift_recall(NEW)
    hub.wait(10 * DAY)
    assert refusals(hub) == ["aws-UnauthorizedOperation"]
    tries = trouble.times

    trouble.refusal = refusal(RefusalKind.DENIED, "OperationNotPermitted")
    hub.wait(5 * DAY)
    assert trouble.times < tries
    assert refusals(hub) == ["aws-UnauthorizedOperation", "aws-OperationNotPermitted"]

    recall_it(hub)
    hub.lift_recall(NEW)
    hub.wait(5 * DAY)
    assert refusals(hub)[2:] == ["aws-OperationNotPermitted"]

    hub.gate.troubles = []
    assert hub.wait(DAY).outcomes() == {(ami, account): "delivered" for ami in (OLD, NEW) for account in (DEV, PROD)}


def test_a_recall_beside_a_lift_that_sees_nothing_of_the_copy_can_be_lifted():
    """The target refuses the looks of the second recall; what the first one has seen is restored."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.may_disable = True
    recall_it(hub)
    hub.gate.refuse("target.images", "restore", "shown", **DENIED)
    lift_it(hub)
    hub.recall(NEW)
    hub.wait(3 * DAY)
    assert newest(hub) == DISABLED

    hub.gate.troubles = []
    lift_it(hub)
    assert newest(hub) == RESTORED


@pytest.mark.parametrize("seconds", [HOUR, 2 * DAY])
def test_a_recall_while_its_lift_is_refused_takes_the_copy_back_at_once(seconds):
    """The lift has enabled the AMI, and the rest is refused. A later lift still restores the first date."""
    hub = recalled(LATER, may_disable=True)
    hub.gate.refuse("target.images", "restore", **DENIED, after=True)
    hub.lift_recall(NEW)
    hub.wait(seconds)
    assert raw(hub, NEW)["State"] == "available"

    hub.recall(NEW, why="It still does not boot.")
    hub.wait(300)
    assert newest(hub) == DISABLED
    said = hub.notified("delivery.recalled")[-1]
    assert (said["recall"]["why"], said["faults"]) == ("It still does not boot.", [])

    hub.gate.troubles = []
    lift_it(hub)
    assert newest(hub) == ("delivered", "available", LATER)


@pytest.mark.parametrize("may_disable", [True, False])
def test_a_recall_right_after_a_lift_takes_back_what_ec2_still_shows_as_recalled(may_disable):
    """A look that shows the date and state of the first recall is late; the lift after it restores the first date."""
    hub = recalled(LATER, may_disable=may_disable)
    late = dict(raw(hub, NEW))
    hub.lift_recall(NEW)
    hub.wait(60)
    assert (raw(hub, NEW)["State"], raw(hub, NEW)["DeprecationTime"]) == ("available", LATER)

    hub.gate.troubles.append(LostAnswer("target.images", "shown", after=False, says=late))
    recall_it(hub)
    assert hub.gate.troubles[0].times == 0
    assert newest(hub) == (DISABLED if may_disable else RECALLED)

    lift_it(hub)
    assert newest(hub) == ("delivered", "available", LATER)
    lines = [line for lines in hub.stores.history(hub.delivery_key(NEW, DEV)) for line in lines]
    assert (intent("EnableImage") in lines) == may_disable, "history names the first call"


@pytest.mark.parametrize("method", ["recall", "restore"])
def test_a_service_that_was_off_past_the_deadline_tries_before_it_gives_up(method):
    """A deadline acts on a fresh look: the target may have been able to do it for a day."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.recall(NEW)
    if method == "restore":
        hub.wait(HOUR)
        hub.lift_recall(NEW)
    hub.gate.refuse("target.images", method, **DENIED)
    assert hub.wait(600).outcomes()[NEW, DEV] == ("recalling" if method == "recall" else "restoring")

    hub.gate.troubles = []
    hub.cloud.now += 30 * HOUR
    assert hub.wait(HOUR).outcomes()[NEW, DEV] == ("recalled" if method == "recall" else "delivered")
    assert [one["faults"] for one in hub.cloud.notices if one.get("faults")] == []


# --- two invocations of one record -----------------------------------------------------------------------------------


def beside(hub: Hub, port: str, method: str, act: Callable[[], None], of: RecordKey | None = None) -> None:
    """Let another invocation act right before the next call of a port's method (``of`` a record) takes effect."""
    hub.unwatched().gate.before(port, method, act, only=lambda one, *_: of in (None, getattr(one, "key", None)))


def work(hub: Hub) -> None:
    """Run the promotion, then its delivery."""
    hub.promotions.run(addresses.promotion(NEW), "another", time_left=lambda: 60)
    hub.deliveries.run(hub.delivery_key(NEW, DEV), "another", time_left=lambda: 60)


def test_a_recall_beside_the_notice_of_the_delivery_deprecates_the_copy():
    """The late result of that notice is not taken for the one of the recall, also when the recall is lifted."""
    hub = a_hub()

    def recall() -> None:
        hub.gate.refuse("target.images", "shown", why=RefusalKind.THROTTLED, times=1)
        hub.recall(NEW)
        work(hub)
        assert hub.outcomes()[NEW, DEV] == "recalling"

    beside(hub, "notices", "publish", recall)
    promoted(hub, NEW)
    assert newest(hub) == RECALLED
    assert events(hub, NEW) == ["delivery.delivered", "delivery.recalled"]

    lift_it(hub)
    assert newest(hub) == RESTORED


def test_a_withdrawal_beside_the_notice_of_a_shared_ami_releases_it_and_says_so():
    """The late result of the first notice ends no delivery that still holds its shares."""
    hub = a_hub("share")

    def withdraw() -> None:
        work(hub)
        hub.withdraw(NEW, DEV)
        hub.gate.refuse("ledger", "release", why=RefusalKind.THROTTLED, times=1)
        work(hub)
        assert hub.outcomes()[NEW, DEV] == "tidying"

    beside(hub, "notices", "publish", withdraw)
    promoted(hub, NEW)
    assert hub.outcomes()[NEW, DEV] == "withdrawn"
    assert hub.cloud.launches == set()
    assert events(hub, NEW)[-1] == "delivery.withdrawn"
    assert [one.state for one in hub.stores.tracked.all(NEW)] == ["withdrawn"]


@pytest.mark.parametrize("first", ["the lift is finished", "the lift is under way"])
def test_a_recall_outlasts_a_call_of_the_lift_before_it_that_comes_late(first):
    """Another invocation has finished the recall as that call reaches EC2; a lift still gives back the first date."""
    hub = recalled("", may_disable=True)

    def recall_again() -> None:
        if first == "the lift is finished":
            work(hub)
        hub.recall(NEW)
        work(hub)
        assert raw(hub, NEW)["State"] == "disabled"

    beside(hub, "target.images", "restore", recall_again)
    lift_it(hub)
    assert newest(hub) == DISABLED

    lift_it(hub)
    assert newest(hub) == RESTORED


def test_a_lift_outlasts_a_call_of_the_recall_that_comes_late():
    """Another invocation has finished the recall, and its lift has begun, as that call reaches EC2."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.may_disable = True

    def lift() -> None:
        work(hub)
        assert hub.outcomes()[NEW, DEV] == "recalled"
        hub.lift_recall(NEW)
        work(hub)

    beside(hub, "target.images", "recall", lift)
    recall_it(hub)
    assert newest(hub) == RESTORED


def test_a_recall_that_another_invocation_took_back_before_it_was_written_can_be_lifted():
    """It had read the delivery before; the record was written all the same."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.cloud.may_disable = True

    def take_back() -> None:
        assert [one.state for one in hub.stores.tracked.all(NEW)] == ["running"]
        hub.promotions.run(addresses.promotion(NEW), "another", time_left=lambda: 60)
        assert [one.state for one in hub.stores.tracked.all(NEW)] == ["delivered"]

    beside(hub, "records", "save", take_back, of=hub.delivery_key(NEW, DEV))
    recall_it(hub)
    assert hub.outcomes()[NEW, DEV] == "recalled"

    lift_it(hub)
    assert newest(hub) == RESTORED


# --- pins ------------------------------------------------------------------------------------------------------------


def test_a_pin_that_is_lifted_and_whose_wake_is_lost_ends_within_a_day():
    """The pointer looks once a day, whatever came."""
    hub = promoted(a_hub(), OLD, NEW)
    assert shown(pinned(hub, OLD)) == OLD

    hub.cloud.pins.clear()
    assert shown(hub.wait(25 * HOUR)) == NEW


def test_a_recalled_ami_whose_delivery_is_lost_keeps_no_promotion_from_its_end():
    """Without the record nobody can recall it: that it was there holds nothing up."""
    hub = promoted(a_hub(), OLD, NEW)
    hub.recall(NEW)
    hub.until_state(NEW, DEV, "recalling")
    del hub.stores.records.records[hub.delivery_key(NEW, DEV)]
    hub.wait(DAY)

    assert peek(hub.stores.records, addresses.promotion(NEW), PROMOTIONS).state == "over"
