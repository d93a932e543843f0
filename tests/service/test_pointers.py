"""The pointer of a family in a target names the current AMI there, in any order of promotions, crashes and events."""

import pytest

from chalicelib.delivery.phases.ending import NotifyOutcome
from chalicelib.engine import addresses
from chalicelib.engine.errors import Misconfigured, RefusalKind
from chalicelib.engine.stored import peek
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.release.codec import release_item
from chalicelib.release.current import MOST, Release
from chalicelib.release.pointer import ShownParameter
from tests.service.cloud import START, UNREADABLE
from tests.service.family import (
    DAY,
    DEV,
    HOUR,
    NAME,
    NEW,
    OLD,
    a_family,
    another_architecture,
    calls_for_pointers,
    fault_of_pointer,
    pinned,
    pointer,
    promoted,
    shown,
)
from tests.service.gate import PortCrash
from tests.service.hub import Hub
from tests.service.scenes import killed_at_calls
from tests.service.shared_ami import when


def a_hub(mode="copy", **behavior) -> Hub:
    return a_family(target={"mode": mode}, **behavior)


class DamagedTargets:
    """Nobody can read which file is in force."""

    def read(self):
        """See the port."""
        raise Misconfigured("which targets file is in force cannot be read; apply it again.")


def notice(hub: Hub, ami: str) -> dict:
    """The last notice of the delivery of an AMI."""
    return next(one for one in reversed(hub.cloud.notices) if "delivery" in one and one["source_image"] == ami)


def test_a_notice_waits_until_the_new_value_was_read_back():
    """Parameter Store answers before it has checked the value."""
    hub = a_hub(checking=(300,))
    promoted(hub, OLD)

    sent = notice(hub, OLD)
    assert sent["pointer"]["fault"] is None
    assert sent["at"] >= START + 300


def test_two_values_are_not_on_their_way_at_once():
    """The second is written when the first was read back, so that the newer one stays."""
    hub = a_hub(checking=(300, 0))
    hub.cloud.tag(OLD, "default")
    hub.wait(200)
    promoted(hub, NEW)

    assert shown(hub) == NEW


@pytest.mark.parametrize(
    ("there", "code"),
    [(ShownParameter("ami-0fff"), "pointer-not-ours"), (ShownParameter("ami-0fff", "text"), "pointer-other-type")],
)
def test_what_is_not_ours_stays_until_it_is_deleted(there, code):
    """The fault says how to delete it, and which command lets the service look at once; the daily look does, too."""
    hub = a_hub()
    hub.cloud.parameters[DEV, NAME] = there
    promoted(hub, OLD)
    sent = notice(hub, OLD)
    assert hub.cloud.parameters[DEV, NAME] == there
    assert sent["outcome"] == "delivered"
    assert sent["pointer"]["fault"]["code"] == code
    assert "aws ssm delete-parameter" in sent["pointer"]["fault"]["cure"]
    assert sent["pointer"]["fault"]["cure"].endswith(f"Then `ami-promoter retry {OLD} --account {DEV}`.")

    del hub.cloud.parameters[DEV, NAME]
    assert shown(hub.wait(25 * HOUR)) == OLD


def test_an_ami_that_its_owner_deregistered_is_not_current_any_more():
    """The parameter goes back to the AMI before."""
    hub = a_hub()
    promoted(hub, OLD, NEW)
    hub.cloud.deregistered.add(hub.cloud.parameters[DEV, NAME].value)
    hub.wait(25 * HOUR)

    assert shown(hub) == OLD


def test_an_ami_of_another_architecture_keeps_the_parameter_on_no_recalled_ami():
    """Nor does it keep a newer AMI of the same architecture from becoming current."""
    hub = a_hub()
    promoted(hub, OLD)
    promoted(hub, another_architecture(hub), NEW)
    assert shown(hub) == NEW

    hub.recall(NEW)
    assert shown(hub.wait(HOUR)) == OLD


def test_a_parameter_that_somebody_deleted_is_made_again_for_its_architecture():
    """The newest AMI of the family is another architecture's, which is the fault as before."""
    hub = a_hub()
    promoted(hub, NEW)
    promoted(hub, another_architecture(hub))
    del hub.cloud.parameters[DEV, NAME]

    assert shown(hub.wait(25 * HOUR)) == NEW
    assert fault_of_pointer(hub) == "pointer-other-architecture"


def test_a_parameter_that_somebody_deleted_names_another_architecture_if_its_own_has_nothing_left():
    """Nothing can be launched by its name meanwhile, so nobody loses anything."""
    hub = a_hub()
    promoted(hub, NEW)
    other = another_architecture(hub)
    promoted(hub, other)
    hub.cloud.deregistered.add(hub.cloud.parameters.pop((DEV, NAME)).value)

    assert shown(hub.wait(25 * HOUR)) == other
    assert fault_of_pointer(hub) == ""


def test_when_a_share_ends_the_parameter_moves_to_the_next_one_of_its_architecture():
    """Not to the newest, which is another architecture's."""
    hub = a_hub("share")
    promoted(hub, OLD)
    promoted(hub, NEW)
    promoted(hub, another_architecture(hub))
    hub.withdraw(NEW, DEV)

    assert shown(hub.wait(25 * HOUR)) == OLD
    assert fault_of_pointer(hub) == "pointer-other-architecture"


def test_an_older_ami_of_another_architecture_changes_nothing():
    """It would not be current in any case: it is delivered, and the parameter has no fault."""
    hub = a_hub()
    promoted(hub, another_architecture(hub))
    promoted(hub, NEW)

    assert shown(hub) == "ami-0d"
    assert fault_of_pointer(hub) == ""


def test_a_value_that_parameter_store_never_takes_is_a_fault_after_a_quarter_of_an_hour_at_most():
    """The AMI is delivered; the notice does not wait for hours."""
    hub = a_hub(checking=(10**8,))
    promoted(hub, OLD)

    sent = notice(hub, OLD)
    assert sent["outcome"] == "delivered"
    assert sent["pointer"]["fault"]["code"] == "pointer-not-valid"
    assert sent["at"] < START + HOUR


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_process_that_is_killed_at_any_call_for_a_pointer_changes_nothing(mode):
    """Before or after any call, with two promotions at once."""
    hub = a_hub(mode, checking=(20,))
    numbers = calls_for_pointers(hub)
    promoted(hub, OLD, NEW)
    assert len(numbers) >= 20
    for number in sorted(numbers):
        for after in (False, True):
            hub = a_hub(mode, checking=(20,))
            hub.gate.crashes = [PortCrash(number, after)]
            promoted(hub, OLD, NEW)
            assert shown(hub) == NEW, (number, after)
            assert {one["pointer"]["fault"] for one in hub.cloud.notices if "pointer" in one} == {None}


@pytest.mark.parametrize("method", ["look", "change"])
@pytest.mark.parametrize("kind", [RefusalKind.DENIED, RefusalKind.ROLE])
def test_a_refusal_is_a_fault_of_the_pointer_and_the_ami_is_delivered(method, kind):
    """It is tried again by the daily look."""
    hub = a_hub()
    hub.gate.refuse("target.parameters", method, why=kind, code="AccessDenied")
    promoted(hub, OLD)
    sent = notice(hub, OLD)
    assert sent["outcome"] == "delivered"
    assert sent["pointer"]["fault"]["code"] == "aws-AccessDenied"
    assert sent["at"] < START + 300, "it does not wait for what another try cannot change"

    hub.gate.troubles = []
    assert shown(hub.wait(25 * HOUR)) == OLD


@pytest.mark.parametrize("unknown", [False, True])
def test_a_throttled_parameter_store_only_delays(unknown):
    """Also where it is not known whether the call took effect."""
    hub = a_hub()
    hub.gate.refuse("target.parameters", "change", why=RefusalKind.THROTTLED, unknown=unknown, times=3, after=unknown)
    promoted(hub, OLD)

    assert shown(hub) == OLD
    assert notice(hub, OLD)["pointer"]["fault"] is None


def test_a_target_that_the_file_loses_keeps_its_parameter_until_the_file_names_it_again():
    """Nothing is written meanwhile; then it is right within a day."""
    hub = a_hub()
    promoted(hub, OLD)
    named, hub.cloud.directory = hub.cloud.directory, type(hub.cloud.directory)()
    del hub.cloud.parameters[DEV, NAME]
    hub.wait(3 * DAY)

    assert hub.cloud.parameters == {}

    hub.cloud.directory = named
    assert shown(hub.wait(DAY + HOUR)) == OLD


def test_an_ami_that_is_older_than_all_that_are_remembered_counts_once():
    """Its notice need not wait, and the list of the family's AMIs does not grow."""
    hub = a_hub()
    key = addresses.pointer(DEV, "us-east-1", NAME)
    promoted(hub, NEW)
    for number in range(MOST):
        newer = Release(f"ami-{number:04}", f"2026-03-01T00:00:{number:02}.000Z", f"ami-1{number:04}")
        hub.stores.records.put(addresses.release(key, newer.source), release_item(newer))
    promoted(hub, OLD)

    assert notice(hub, OLD)["pointer"]["fault"] is None
    assert len(list(hub.stores.records.list(key.pk, addresses.RELEASE))) <= MOST + 1


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_an_ami_that_shows_late_in_the_target_is_named_before_the_notice(mode):
    """Reads of EC2 are eventually consistent, and a launch permission can show minutes after it was given."""
    hub = a_hub(mode)
    promoted(hub, OLD)
    real, since = hub.cloud.launchable, hub.cloud.now + 400
    late = {image.id for image in hub.cloud.images.values()} | {OLD}
    hub.cloud.launchable = lambda account: real(account) if hub.cloud.now >= since else real(account) & late
    promoted(hub, NEW)

    sent = notice(hub, NEW)
    assert shown(hub) == NEW
    assert sent["pointer"]["image"] == hub.cloud.parameters[DEV, NAME].value
    assert sent["at"] >= since


def test_an_ami_that_never_shows_there_delays_the_notice_by_a_quarter_of_an_hour_at_most():
    """The parameter goes on naming the AMI before."""
    hub = a_hub()
    promoted(hub, OLD)
    first, begun = hub.cloud.parameters[DEV, NAME].value, hub.cloud.now
    hub.cloud.launchable = lambda _account: frozenset({first})
    promoted(hub, NEW)

    assert shown(hub) == OLD
    assert notice(hub, NEW)["at"] < begun + 1200


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("method", ["look", "change"])
def test_after_an_outage_of_parameter_store_the_pointer_is_right_within_an_hour(method, unknown):
    """The delivery does not wait for its end, and no day is lost."""
    hub = a_hub()
    hub.gate.refuse("target.parameters", method, why=RefusalKind.THROTTLED, code="Throttling", unknown=unknown)
    promoted(hub, OLD, seconds=5 * HOUR)
    sent = notice(hub, OLD)
    assert sent["pointer"]["fault"]["code"] in ("aws-Throttling", "pointer-not-valid")
    assert sent["at"] < START + 1800

    hub.gate.troubles = []
    assert shown(hub.wait(HOUR)) == OLD


def test_an_outage_that_begins_when_the_value_was_written_stops_no_pointer():
    """Nobody can read the value back for hours; the next promotion then moves the parameter."""
    hub = a_hub()
    written = {"only": lambda *_: bool(hub.cloud.parameters)}
    hub.gate.refuse("target.parameters", "look", why=RefusalKind.THROTTLED, **written)
    promoted(hub, OLD, seconds=5 * HOUR)
    hub.gate.troubles = []
    promoted(hub, NEW)

    assert shown(hub) == NEW
    assert notice(hub, NEW)["pointer"]["fault"] is None


@pytest.mark.parametrize("trouble", ["role", "late"])
def test_a_withdrawn_ami_is_not_named_for_longer_than_a_day_after_the_target_answers(trouble):
    """The last one of its family: the role was gone while it was withdrawn, or EC2 went on showing the AMI."""
    hub = a_hub("share")
    promoted(hub, OLD)
    real = hub.cloud.launchable
    if trouble == "role":
        hub.gate.refuse("target.parameters", "look", why=RefusalKind.ROLE)
    else:
        hub.cloud.launchable = lambda account: real(account) | {OLD}
    hub.cloud.tag(OLD, None)
    assert shown(hub.wait(HOUR)) == OLD

    hub.gate.troubles, hub.cloud.launchable = [], real
    assert hub.wait(25 * HOUR).cloud.parameters == {}


REMOVALS = {
    "the tag is removed": lambda hub: hub.cloud.tag(NEW, None),
    "an operator withdraws": lambda hub: hub.withdraw(NEW, DEV),
    "an operator recalls": lambda hub: hub.recall(NEW),
}


@pytest.mark.parametrize("before", [(), (OLD,)])
@pytest.mark.parametrize("how", sorted(REMOVALS))
def test_a_removal_closes_a_share_at_once_while_its_notice_waits_for_the_pointer(how, before):
    """Revoking waits for no parameter: that names the AMI before in the end, or is gone."""
    hub = a_hub("share", checking=(*(0 for _ in before), 540))
    promoted(hub, *before)
    hub.cloud.tag(NEW, "default")
    assert hub.wait(180).outcomes()[NEW, DEV] == "publishing"

    REMOVALS[how](hub)
    hub.wait(120)
    assert {ami for ami, _ in hub.cloud.launches} == set(before)

    assert shown(hub.wait(2 * HOUR)) == "".join(before)
    assert hub.outcomes()[NEW, DEV] == "withdrawn"
    assert notice(hub, NEW)["outcome"] == "withdrawn"


def test_a_pointer_of_an_account_that_the_file_blocks_has_that_as_its_fault():
    """Nobody has taken the parameter out of the file: it stays, and the look says why nothing else is written there."""
    hub = a_hub()
    promoted(hub, OLD)
    hub.cloud.change_targets(by_way_of="111111111111")  # and the file does not have that copy
    hub.wait(25 * HOUR)

    found = pointer(hub)
    assert (found.fault.code, found.unwanted, shown(hub)) == ("no-hub-copy", False, OLD)


# --- the file sets another parameter ----------------------------------------------------------------------------------

RENAMED = "/golden/{family}/now"
TAGGED_AGAIN = "true"
"""A value that means the same as ``default``: to write the same one again is no event."""
HOW = {
    "a tag event": lambda hub: hub.cloud.tag(NEW, TAGGED_AGAIN),
    "a retry": lambda hub: hub.retry(NEW),
    "a retry of the account": lambda hub: hub.retry(NEW, DEV),
}


def named(hub: Hub, account: str = DEV) -> str:
    """The source of the AMI that the other parameter names; "" if there is none."""
    return shown(hub, account, "/golden/base/now")


def renamed(mode: str = "copy", accounts: tuple[str, ...] = (DEV,), before: str = "") -> Hub:
    """A hub whose file sets the parameter, or another one than before, when both AMIs are there."""
    hub = promoted(a_family(accounts, {"mode": mode, "ssm_parameter": before}), OLD, NEW)
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    return hub


@pytest.mark.parametrize("before", ["", "/golden/{family}/current"])
@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize("how", sorted(HOW))
def test_what_is_there_already_counts_for_a_parameter_that_the_file_sets_later_when_somebody_asks(how, mode, before):
    """Applying the file starts nothing; nor does the service copy or notify anything again."""
    hub = renamed(mode, before=before)
    assert named(hub.wait(2 * DAY)) == ""
    had = {**hub.cloud.images}, [one for one in hub.cloud.notices if "delivery" in one], hub.outcomes()
    HOW[how](hub)

    assert named(hub.wait(HOUR)) == NEW
    assert ({**hub.cloud.images}, [one for one in hub.cloud.notices if "delivery" in one], hub.outcomes()) == had
    assert shown(hub) == (NEW if before else "")


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_rollback_holds_the_parameter_that_the_file_names_later(mode):
    """Otherwise a renaming would bring back the AMI from which somebody has rolled back."""
    hub = pinned(renamed(mode, before="/golden/{family}/current"), OLD)
    hub.retry(NEW)
    assert named(hub.wait(HOUR)) == ""

    hub.retry(OLD)
    assert named(hub.wait(HOUR)) == OLD

    hub.cloud.pins.clear()
    assert named(hub.wait(25 * HOUR)) == NEW


def test_an_older_ami_that_counts_later_leaves_the_newer_one_current():
    """As when both are delivered in that order."""
    hub = renamed()
    for ami in (NEW, OLD):
        hub.cloud.tag(ami, TAGGED_AGAIN)
        assert named(hub.wait(HOUR)) == NEW

    hub.recall(NEW)
    assert named(hub.wait(HOUR)) == OLD


def test_where_the_file_sets_the_same_parameter_a_tag_event_costs_no_call():
    """However many accounts have the AMI."""

    def calls(*accounts: str) -> int:
        hub = promoted(a_family((DEV, *accounts)), NEW)
        before = hub.gate.calls
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub.wait(HOUR).gate.calls - before

    assert calls() == calls("200000000002", "200000000003")


def test_an_ami_without_family_and_an_account_for_which_nobody_asks_get_no_parameter():
    """A retry in one account names the parameter there alone; the file that loses it again leaves it."""
    other = "200000000002"
    hub = renamed(accounts=(DEV, other))
    hub.cloud.make_image("ami-0e", {"snap-9": True})
    promoted(hub, "ami-0e")
    hub.retry(NEW, DEV)
    hub.wait(DAY)
    assert (named(hub), named(hub, other)) == (NEW, "")
    hub.cloud.tag("ami-0e", TAGGED_AGAIN)
    hub.cloud.change_targets(ssm_parameter="")
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.wait(DAY)

    assert (named(hub), named(hub, other)) == (NEW, "")


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_process_that_is_killed_at_any_call_for_a_parameter_that_was_set_later_changes_nothing(mode):
    """Before or after every third call, in turn; each account gets the parameter."""

    def asked() -> Hub:
        hub = renamed(mode, accounts=(DEV, "200000000002"))
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub

    for number, hub in killed_at_calls(asked, HOUR, every=3):
        assert named(hub.wait(2 * HOUR)) == named(hub, "200000000002") == NEW, number


@pytest.mark.parametrize("how", [lambda hub: hub.recall(NEW), lambda hub: hub.withdraw(NEW, DEV)])
def test_a_process_that_is_killed_while_a_parameter_is_set_leaves_no_ami_there_that_is_then_taken_back(how):
    """Whatever was written before: a recall, or the end of a share, finds the parameter, and the one of before."""

    def asked() -> Hub:
        hub = renamed("share", before="/golden/{family}/current")
        hub.gate.calls = 0
        hub.cloud.tag(NEW, TAGGED_AGAIN)
        return hub

    last = asked().wait(60).gate.calls
    for number in range(last - 20, last):
        hub = asked()
        hub.gate.crashes = [PortCrash(number, after=True)]
        hub.until(lambda hub=hub, number=number: hub.gate.calls > number)
        how(hub)
        hub.wait(2 * HOUR)
        assert (named(hub), shown(hub)) == ("", OLD), number


TAKES_BACK = {f"recall, {mode}": (mode, lambda hub: hub.recall(NEW)) for mode in ("copy", "share")}
TAKES_BACK |= {how: ("share", take) for how, take in REMOVALS.items()}


@pytest.mark.parametrize(("mode", "how"), TAKES_BACK.values(), ids=TAKES_BACK.keys())
def test_who_takes_the_ami_back_takes_it_from_the_parameter_of_before_at_once(mode, how):
    """Not only from the one that the file sets now, and not only at the daily look."""
    hub = renamed(mode, before="/golden/{family}/current")
    for ami in (OLD, NEW):
        hub.cloud.tag(ami, TAGGED_AGAIN)
        hub.wait(HOUR)
    how(hub)

    hub.wait(HOUR)
    assert (shown(hub), named(hub)) == (OLD, OLD)


def test_a_delivery_that_is_parked_holds_up_no_promotion_whose_parameter_is_set_later():
    """Once it has been unparked, a retry names its AMI."""
    hub = renamed()
    hub.park(hub.delivery_key(NEW, DEV))
    hub.cloud.tag(NEW, TAGGED_AGAIN)
    hub.wait(HOUR)
    assert peek(hub.stores.records, addresses.promotion(NEW), PROMOTIONS).state == "over"

    hub.unpark(hub.delivery_key(NEW, DEV))
    hub.retry(NEW)
    assert named(hub.wait(HOUR)) == NEW


def test_a_new_parameter_delays_no_new_account():
    """The value names another account, too: that begins as fast as ever."""
    other = "200000000002"

    def seconds(parameter: str) -> int:
        hub = a_family((DEV, other))
        hub.cloud.tag(NEW, DEV)
        hub.wait(2 * HOUR)
        hub.cloud.change_targets(ssm_parameter=parameter)
        begun = hub.cloud.now
        hub.cloud.tag(NEW, f"{DEV} {other}")
        hub.until(lambda: (NEW, other) in hub.outcomes())
        return hub.cloud.now - begun

    assert seconds(RENAMED) == seconds("/golden/{family}/current")


def test_the_familys_tag_of_the_same_file_counts():
    """One edit names the parameter, and the tag that says the family."""
    hub = a_family((DEV,), {"ssm_parameter": ""})
    hub.cloud.make_image("ami-0e", {"snap-9": True})
    hub.cloud.hub_images["ami-0e"]["Tags"] = [{"Key": "product", "Value": "base"}]
    promoted(hub, "ami-0e")
    hub.cloud.change_targets(ssm_parameter=RENAMED, family_tag="product")
    hub.cloud.tag("ami-0e", TAGGED_AGAIN)

    assert named(hub.wait(HOUR)) == "ami-0e"


@pytest.mark.parametrize("before", ["", "/golden/{family}/current"])
@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.parametrize("again", [True, False])
def test_a_parameter_that_the_file_sets_while_a_delivery_runs_counts_for_it(mode, before, again):
    """Whether or not somebody tags the AMI again meanwhile; a tag event afterwards has nothing left to do."""
    hub = a_family((DEV,), {"mode": mode, "ssm_parameter": before})
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, "copying" if mode == "copy" else "opening")
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    if again:
        hub.cloud.tag(NEW, TAGGED_AGAIN)
    assert (named(hub.wait(2 * HOUR)), shown(hub)) == (NEW, "")
    assert notice(hub, NEW)["pointer"]["parameter"] == "/golden/base/now"

    calls = calls_for_pointers(hub)
    hub.cloud.tag(NEW, "default")
    hub.wait(HOUR)
    assert calls_for_pointers(hub) == calls


@pytest.mark.parametrize("approval", ["required", "none"])
def test_a_parameter_that_an_approver_has_not_seen_does_not_count_while_a_delivery_runs(approval):
    """It does where the file no longer asks for an approval; the one of before is no longer the file's."""
    hub = a_family((DEV,), {"ssm_parameter": "/golden/{family}/current", "approval": "required"})
    hub.cloud.tag(NEW, "default")
    hub.wait(60)
    hub.approve(NEW)
    hub.until_state(NEW, DEV, "copying")
    hub.cloud.change_targets(ssm_parameter=RENAMED, approval=approval)
    hub.wait(2 * HOUR)

    assert (named(hub), shown(hub)) == ("" if approval == "required" else NEW, "")


def test_where_an_approval_is_asked_for_no_other_parameter_is_set_without_one():
    """The approver has approved the parameter of before; the next AMI is approved with the new one."""
    hub = renamed(before="/golden/{family}/current")
    hub.cloud.change_targets(approval="required")
    hub.cloud.tag(NEW, TAGGED_AGAIN)

    assert (named(hub.wait(HOUR)), shown(hub)) == ("", NEW)


@pytest.mark.parametrize("before", ["", "/golden/{family}/current"])
@pytest.mark.parametrize("ask", [lambda hub: hub.cloud.tag(NEW, TAGGED_AGAIN), lambda hub: hub.retry(NEW)])
def test_a_parameter_that_the_file_sets_while_the_notice_waits_for_lingering_shares_counts(ask, before):
    """The AMI is there and offered, and a tag event or a retry finds a delivery that runs."""
    hub = a_family((DEV,), {"linger": 6 * HOUR, "ssm_parameter": before})
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, "publishing")
    hub.wait(HOUR)
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    ask(hub)

    assert named(hub.wait(8 * HOUR)) == NEW
    assert hub.outcomes() == {(NEW, DEV): "delivered"}


def test_a_release_that_cannot_be_read_makes_no_older_one_current():
    """It is damaged, or of a newer form after a rollback: it counts as the last look knew it."""
    hub = promoted(promoted(a_family(), OLD), NEW)
    hub.stores.records.put(addresses.release(pointer(hub).key, NEW), {"kind": "release"})
    hub.wait(2 * DAY)

    assert shown(hub) == NEW


@pytest.mark.parametrize("damaged", ["its content", "which version is in force"])
def test_a_damaged_file_holds_up_no_notice(damaged):
    """Somebody has changed it by hand while copies ran: the AMI is delivered; its parameter follows the repair."""
    hub = a_family((DEV,))
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, "publishing")
    naming = hub.deliveries.executor._naming_and_recall
    if damaged == "its content":
        hub.cloud.applied = UNREADABLE
    else:
        naming.targets = DamagedTargets()
    hub.wait(2 * HOUR)

    assert hub.outcomes() == {(NEW, DEV): "delivered"}


@pytest.mark.parametrize("before", ["", "/golden/{family}/current"])
def test_a_lift_gives_the_parameter_that_the_file_sets_by_now(before):
    """The file has set it while the AMI was recalled."""
    hub = promoted(a_family((DEV,), {"ssm_parameter": before}), NEW)
    hub.recall(NEW)
    hub.wait(HOUR)
    hub.cloud.change_targets(ssm_parameter=RENAMED)
    hub.lift_recall(NEW)

    assert named(hub.wait(2 * HOUR)) == NEW


@pytest.mark.parametrize("mode", ["copy", "share"])
def test_of_two_runs_that_read_the_file_the_later_ones_parameter_is_on_record(mode):
    """A slow run has read one parameter, and another run has offered the AMI to the next one before it goes on."""
    hub = promoted(a_family((DEV,), {"mode": mode, "ssm_parameter": "/golden/{family}/current"}), OLD)
    hub.cloud.tag(NEW, "default")
    hub.until_state(NEW, DEV, "publishing")
    hub.cloud.change_targets(ssm_parameter="/golden/{family}/first")

    def renamed_again() -> None:
        hub.cloud.change_targets(ssm_parameter=RENAMED)
        hub.deliveries.run(hub.delivery_key(NEW, DEV), "beside", time_left=lambda: 30)

    when(hub, NotifyOutcome, renamed_again, hub.deliveries)
    hub.wait(2 * HOUR)
    assert named(hub) == NEW
    hub.cloud.tag(OLD, TAGGED_AGAIN)
    hub.wait(HOUR)
    hub.recall(NEW)
    assert named(hub.wait(HOUR)) == OLD


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["copy", "share"])
def test_a_process_that_is_killed_at_any_call_while_a_running_delivery_is_renamed_changes_nothing(mode):
    """Each third call, in turn; afterwards a recall takes the AMI from the parameter at once."""

    def asked() -> Hub:
        hub = promoted(a_family((DEV,), {"mode": mode}), OLD)
        hub.cloud.tag(NEW, "default")
        hub.until_state(NEW, DEV, "copying" if mode == "copy" else "opening")
        hub.cloud.change_targets(ssm_parameter=RENAMED)
        hub.cloud.tag(OLD, TAGGED_AGAIN)
        return hub

    for number, hub in killed_at_calls(asked, HOUR, every=3):
        assert named(hub.wait(2 * HOUR)) == NEW, number
        hub.recall(NEW)
        assert named(hub.wait(HOUR)) == OLD, number
