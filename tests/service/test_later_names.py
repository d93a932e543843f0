"""A family's tag that is corrected, or a parameter that is set, after a delivery began, counts when somebody asks."""

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.stored import peek
from chalicelib.promotion.codec import PROMOTIONS
from tests.service.family import DAY, DEV, HOUR, NAME, NEW, OLD, a_family, of_family, pinned, promoted, shown
from tests.service.gate import PortCrash
from tests.service.hub import Hub
from tests.service.scenes import killed_at_calls

OTHER = "200000000002"
WRONG = "/golden/bsae/current"
RENAMED = "/golden/{family}/now"
TAGGED_AGAIN = "true"
"""A value that means the same as ``default``: to write the same one again is no event."""
HOW = {
    "a tag event": lambda hub: hub.cloud.tag(NEW, TAGGED_AGAIN),
    "a retry": lambda hub: hub.retry(NEW),
    "a retry of the account": lambda hub: hub.retry(NEW, DEV),
}


def delivered_as(family: str, mode: str = "copy", accounts: tuple[str, ...] = (DEV,)) -> Hub:
    """A hub whose newest AMI has this family, and the older one the right one; both are there."""
    hub = a_family(accounts, {"mode": mode})
    of_family(hub, NEW, family)
    return promoted(hub, OLD, NEW)


def both_wrong(mode: str = "copy") -> Hub:
    """A hub with two AMIs of the wrong family."""
    hub = a_family(target={"mode": mode})
    for ami in (OLD, NEW):
        of_family(hub, ami, "bsae")
    return promoted(hub, OLD, NEW)


def done(hub: Hub) -> tuple[object, ...]:
    """What is made and notified, and how deliveries ended."""
    return {**hub.cloud.images}, [one for one in hub.cloud.notices if "delivery" in one], hub.outcomes()


# --- the family's tag is added or corrected ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["", "no family!", "bsae"])
@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize("how", sorted(HOW))
def test_a_family_that_is_tagged_later_counts_for_what_is_there_when_somebody_asks(how, mode, family):
    """The tag alone starts nothing; nor does the service copy or notify anything again."""
    hub = delivered_as(family, mode)
    had = done(hub)
    of_family(hub, NEW, "base")
    assert shown(hub.wait(2 * DAY)) == OLD
    HOW[how](hub)

    assert shown(hub.wait(HOUR)) == NEW
    assert done(hub) == had


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_the_wrong_familys_parameter_goes_back_to_what_is_current_without_the_ami(mode):
    """As if the AMI had never been of that family."""
    hub = both_wrong(mode)
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert (shown(hub.wait(HOUR)), shown(hub, name=WRONG)) == (NEW, OLD)
    hub.recall(NEW)
    assert shown(hub.wait(HOUR), name=WRONG) == OLD


@pytest.mark.parametrize("family", ["", "no family!"])
def test_a_family_that_is_removed_later_leaves_the_parameter(family):
    """As a parameter that the file no longer sets: a look that misses a tag moves nothing."""
    hub = delivered_as("base")
    of_family(hub, NEW, family)
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert shown(hub.wait(HOUR)) == NEW


def test_a_family_is_corrected_in_the_account_for_which_somebody_asks_alone():
    """The other account's parameters stay, until somebody asks for it."""
    hub = delivered_as("bsae", accounts=(DEV, OTHER))
    of_family(hub, NEW, "base")
    hub.retry(NEW, DEV)
    hub.wait(HOUR)
    assert [shown(hub, one, name) for one in (DEV, OTHER) for name in (NAME, WRONG)] == [NEW, NEW, OLD, NEW]

    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.wait(HOUR)
    assert shown(hub) == shown(hub, OTHER) == NEW


def test_a_family_that_is_corrected_twice_counts_as_it_is_tagged_last():
    """Also if it becomes what it was first."""
    hub = delivered_as("bsae")
    for family, value in (("base", TAGGED_AGAIN), ("bsae", "default"), ("base", TAGGED_AGAIN)):
        of_family(hub, NEW, family)
        hub.cloud.tag(NEW, value)
        hub.wait(HOUR)
        assert shown(hub) == (NEW if family == "base" else OLD)


def test_a_family_is_corrected_where_the_tag_event_was_lost():
    """Discovery sees the other value within minutes."""
    hub = delivered_as("")
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN, arrives=False)
    hub.discover()

    assert shown(hub.wait(HOUR)) == NEW


def test_what_begins_again_after_a_retry_has_the_family_that_is_tagged_now():
    """A failed delivery is no exception, although the source is not examined again."""
    hub = a_family()
    of_family(hub, NEW, "bsae")
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.DENIED)
    promoted(hub, NEW)
    assert hub.outcomes()[NEW, DEV] == "failed"
    hub.gate.troubles = []
    of_family(hub, NEW, "base")
    hub.retry(NEW, DEV)

    assert (shown(hub.wait(2 * HOUR)), shown(hub, name=WRONG)) == (NEW, "")


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_who_takes_back_an_ami_whose_family_was_corrected_takes_it_from_the_right_parameter(mode):
    """At once; and a lift brings it back there."""
    hub = delivered_as("bsae", mode)
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.wait(HOUR)
    hub.recall(NEW)
    assert shown(hub.wait(HOUR)) == OLD

    hub.lift_recall(NEW)
    assert shown(hub.wait(2 * HOUR)) == NEW


def test_a_rollback_holds_the_parameter_also_against_an_ami_whose_family_is_corrected():
    """It is newer than the pin."""
    hub = pinned(delivered_as("bsae"), OLD)
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert shown(hub.wait(HOUR)) == OLD


def test_where_an_approval_is_asked_for_no_other_family_counts_without_one():
    """The approver has approved the family of before; the next AMI is approved with the right one."""
    hub = delivered_as("bsae")
    hub.cloud.change_targets(approval="required")
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert (shown(hub.wait(HOUR)), shown(hub, name=WRONG)) == (OLD, NEW)


@pytest.mark.thorough
def test_a_process_that_is_killed_while_a_family_is_corrected_leaves_the_ami_in_no_wrong_parameter():
    """Before or after every third call, in turn."""

    def asked() -> Hub:
        hub = both_wrong()
        of_family(hub, NEW, "base")
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub

    for number, hub in killed_at_calls(asked, 120, every=3):
        assert (shown(hub.wait(2 * HOUR)), shown(hub, name=WRONG)) == (NEW, OLD), number


def test_a_family_that_becomes_what_it_was_while_the_process_is_killed_leaves_the_ami_in_no_other_parameter():
    """After any of the last calls of the correction."""

    def asked() -> Hub:
        hub = delivered_as("")
        hub.gate.calls = 0
        of_family(hub, NEW, "bsae")
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub

    last = asked().wait(60).gate.calls
    for number in range(last - 20, last):
        hub = asked()
        hub.gate.crashes = [PortCrash(number, after=True)]
        hub.until(lambda hub=hub, number=number: hub.gate.calls > number)
        of_family(hub, NEW, "base")
        hub.cloud.tag(NEW, "default")
        hub.wait(2 * HOUR)
        assert shown(hub) == NEW, number


# --- a tag event while a delivery runs --------------------------------------------------------------------------------


def running(state: str = "copying", **target: str) -> Hub:
    """A hub whose file sets another parameter while a delivery runs."""
    hub = promoted(a_family(target=target), OLD)
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, state)
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    return hub


def named(hub: Hub) -> str:
    """The source of the AMI that the other parameter names; "" if there is none."""
    return shown(hub, name="/golden/base/now")


@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize("how", sorted(HOW))
@pytest.mark.parametrize("before", ["", "/golden/{family}/current"])
def test_who_asks_while_a_delivery_runs_gets_its_ami_named_by_the_parameter_that_the_file_sets_meanwhile(
    before, how, mode
):
    """Within minutes after it has ended, with one notice."""
    hub = running("opening", mode=mode, ssm_parameter=before)
    HOW[how](hub)

    assert named(hub.wait(HOUR)) == NEW
    assert sum("delivery" in one and one["source_image"] == NEW for one in hub.cloud.notices) == 1
    assert peek(hub.stores.records, addresses.promotion(NEW), PROMOTIONS).state == "over"


@pytest.mark.parametrize("state", ["requested", "copying", "publishing"])
def test_who_asks_in_any_phase_of_a_delivery_gets_its_ami_named(state):
    """Also while it waits for the parameter of before."""
    hub = running(state)
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert named(hub.wait(HOUR)) == NEW


def test_a_file_alone_names_nothing_that_ran_when_somebody_asked():
    """What somebody has asked for is what the file set by then."""
    hub = running()
    assert named(hub.wait(HOUR)) == ""
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.wait(HOUR)
    hub.cloud.change_targets(ssm_parameter="/golden/{family}/later")

    assert (named(hub.wait(DAY)), shown(hub, name="/golden/base/later")) == (NEW, "")


def test_a_family_that_is_corrected_while_a_delivery_runs_counts_after_a_tag_event():
    """Its AMI is named by the wrong parameter for minutes at most."""
    hub = a_family()
    of_family(hub, NEW, "bsae")
    promoted(hub, OLD)
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, "copying")
    of_family(hub, NEW, "base")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert shown(hub.wait(2 * HOUR)) == NEW


@pytest.mark.thorough
def test_a_process_that_is_killed_while_a_delivery_runs_loses_no_tag_event():
    """Before or after every third call, in turn."""

    def asked() -> Hub:
        hub = running()
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub

    for number, hub in killed_at_calls(asked, HOUR, every=3):
        assert named(hub.wait(2 * HOUR)) == NEW, number


# --- what cannot be read, and what an approver has seen ---------------------------------------------------------------


def test_a_parameter_that_the_file_renames_counts_though_the_source_has_lost_the_tag_of_its_family():
    """What is there keeps its family: somebody may have removed the tag, or a look may miss it."""
    hub = delivered_as("base")
    of_family(hub, NEW, "")
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert named(hub.wait(HOUR)) == NEW


def test_a_former_parameter_of_the_same_family_stays_though_its_pointer_is_parked():
    """Who lets it continue, as its fault says, does not move it to an older AMI."""
    hub = delivered_as("base")
    hub.park(hub.pointer_key(DEV, NAME))
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    assert named(hub.wait(HOUR)) == NEW
    hub.unpark(hub.pointer_key(DEV, NAME))

    assert shown(hub.wait(2 * DAY)) == NEW


@pytest.mark.parametrize("lost", ["delivery", "source"])
def test_what_cannot_be_named_any_more_keeps_no_promotion_from_its_end(lost):
    """Its summary is sent; once the record continues, the next request names the AMI."""
    hub = running("copying")
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.until(lambda: any(one.parameter == "asked" for one in hub.stores.tracked.all(NEW)))
    hub.until(lambda: any(one.state == "delivered" for one in hub.stores.tracked.all(NEW)))
    records = hub.stores.records
    if lost == "delivery":
        hub.park(hub.delivery_key(NEW, DEV))
    for key, item in [*records.items.items()] if lost == "source" else ():
        if key.pk == addresses.promotion(NEW).pk and key.sk.startswith(addresses.SOURCE):
            records.put(key, {**item, "body": "{}"})
    hub.wait(HOUR)

    assert peek(records, addresses.promotion(NEW), PROMOTIONS).state == "over"
    if lost == "delivery":
        hub.unpark(hub.delivery_key(NEW, DEV))
        hub.retry(NEW)
        assert named(hub.wait(HOUR)) == NEW


def test_an_ami_that_an_approver_has_let_in_under_another_family_counts_for_the_right_one_later():
    """It is delivered as it was approved; once the file asks for no approval, the next tag event names it."""
    hub = a_family(target={"approval": "required"})
    of_family(hub, NEW, "bsae")
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.DENIED)
    hub.cloud.tag(NEW, "default")
    hub.wait(HOUR)
    hub.approve(NEW)
    assert hub.wait(2 * HOUR).outcomes()[NEW, DEV] == "failed"
    hub.gate.troubles = []
    of_family(hub, NEW, "base")
    hub.retry(NEW, DEV)
    assert (shown(hub.wait(3 * HOUR), name=WRONG), shown(hub)) == (NEW, "")
    hub.cloud.change_targets(approval="none")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert shown(hub.wait(HOUR)) == NEW
