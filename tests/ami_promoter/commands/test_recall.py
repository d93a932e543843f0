"""``recall`` and ``rollback`` at the terminal: what they refuse and write, and how other verbs show a recall."""

import io
import json
import sys
from dataclasses import replace

import boto3
import pytest
import time_machine

from ami_promoter.commands.rollback import chosen
from ami_promoter.hub import record_requests
from ami_promoter.hub.aws import HubError
from ami_promoter.hub.records import Reader
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery import model as delivery
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.promotion import model as promotion
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import Retry
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets import recalls
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.recalls import Pin, Recall
from tests.ami_promoter.a_hub import AMI, DEV, HUB, NINE, PROD, REGION, a_delivery, apply, promoted, track, write

pytestmark = pytest.mark.usefixtures("ten_past_nine")

OLD, OLDER = "ami-0fedcba9876543210", "ami-00000000000000001"
COPY, OLD_COPY, OLDER_COPY = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb", "ami-0cccccccccccccccc"
BLOCKED = "333333333333"
NAME = "/golden/base/current"
BY = "arn:aws:iam::123456789012:user/jane"
RECALL = Recall(NINE, BY, "It does not boot.")
SAID = f"{AMI} was recalled at 2026-01-05T09:00:00Z by {BY}: It does not boot."


def stands(operators, recall=RECALL):
    """Write a recall as the verb does."""
    written = {":value": recalls.written(recall)}
    operators.update(addresses.withdrawals(AMI), "SET recall = :value", written)


def recalled(account, state="delivered", **changes):
    """Build a delivery whose AMI the pointer of its family names."""
    naming = delivery.Naming("base", NAME, offered_at=NINE, done=True)
    return a_delivery(account, state, **({"image": delivery.NewImage(COPY), "naming": naming} | changes))


def over(table, *deliveries):
    """Store a promotion that is over, and its deliveries."""
    promoted(table, *deliveries, state=promotion.PromotionState.OVER, seen_value="dev")


def a_pointer(account=DEV, image=COPY, **changes):
    """Build a pointer with three AMIs that were delivered there."""
    made = ((OLDER, OLDER_COPY), (OLD, OLD_COPY), (AMI, COPY))
    releases = tuple(
        Release(source, f"2026-01-0{number}T00:00:00.000Z", copy) for number, (source, copy) in enumerate(made, 1)
    )
    known = {"image": image, "settled": True, "releases": releases, "next_try": NINE + 86400}
    return Pointer(account, REGION, NAME, "base", HUB, **(known | changes))


def test_a_recall_is_shown_asked_for_and_written(table, operators, run):
    """Without a terminal nobody can be asked, so nothing is written before --yes; a second one changes nothing."""
    over(table, recalled(DEV))
    write(table, a_pointer())
    words = ("recall", AMI, "--why", "It does not boot.")

    said = run(*words, exits=1)
    assert f"{DEV} us-east-1: delivered; the AMI is deprecated, and disabled where" in said.words
    assert f"The parameter {NAME} moves to {OLD_COPY}." in said.words
    assert "nobody can be asked" in said.errors
    assert "not-confirmed" in run(*words, "--json", exits=1).out
    assert operators.get(addresses.withdrawals(AMI)) is None

    shown = run(*words, "--yes", "--json").data
    assert (shown["changed"], shown["recalled"]) == (True, True)
    assert (shown["deliveries"][0]["moves_to"], shown["deliveries"][0]["parameter"]) == (OLD_COPY, NAME)
    assert recalls.read(operators.get(addresses.withdrawals(AMI))["recall"]).why == "It does not boot."
    shown = run("recall", AMI, "--why", "Another reason", "--yes", "--json").data
    assert (shown["changed"], shown["why"]) == (False, "It does not boot.")

    assert run("recall", AMI, "--lift", "--yes", "--json").data["changed"]
    assert "recall" not in operators.get(addresses.withdrawals(AMI))
    assert run("recall", AMI, "--lift").words == f"Nothing to do: {AMI} is not recalled."


def test_a_recall_of_a_misspelt_id_says_what_to_look_at(table, run):
    """An AMI that was never promoted can be recalled, too, so that nothing begins: only a person knows which it is."""
    said = run("recall", OLD, "--why", "Bad", exits=1).words

    assert said == "It has no deliveries: check the id. None begins while it is recalled."


def test_targets_whose_parameters_move_are_shown_together(table, run):
    """Each owns its copies, so each parameter moves to another AMI; hundreds must not hide what else is shown."""
    others = (Release(OLD, "2026-01-01T00:00:00.000Z", OLDER_COPY), Release(AMI, "2026-01-02T00:00:00.000Z", COPY))
    over(table, recalled(DEV), recalled(PROD))
    write(table, a_pointer())
    write(table, a_pointer(PROD, releases=others))

    said = run("recall", AMI, "--why", "Bad", exits=1).words
    assert f"2 targets ({DEV} us-east-1, {PROD} us-east-1): delivered; the AMI is deprecated" in said
    assert f"In {DEV} us-east-1, for example: The parameter {NAME} moves to {OLD_COPY}." in said
    assert OLDER_COPY not in said
    assert OLDER_COPY in run("recall", AMI, "--why", "Bad", "--wide", exits=1).words


@pytest.mark.parametrize("width", [80, 120])
def test_before_a_lift_each_target_is_shown(table, operators, run, monkeypatch, width):
    """What was recalled comes back, what is being recalled first ends, and what failed or was stopped begins again."""
    monkeypatch.setenv("COLUMNS", str(width))
    stands(operators)
    states = ("recalled", "recalling", "failed", "cancelled", "withdrawn")
    over(table, *(recalled(str(number) * 12, state) for number, state in enumerate(states, 1)))

    seen = run("recall", AMI, "--lift", exits=1)
    said = seen.words

    assert all(len(line) <= width for line in seen.lines)
    assert f"{DEV} us-east-1: recalled; the AMI is as before" in said
    assert f"{PROD} us-east-1: running; what the recall began ends first" in said
    assert said.count("but for launch permissions that disabling it has removed") == 2
    for number, state in ((3, "failed"), (4, "cancelled"), (5, "withdrawn")):
        assert f"{str(number) * 12} us-east-1: {state}; it begins again if the tag names the target" in said
    assert "stays so" not in said


class AtARecall(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self):
        return True


def test_who_stops_waiting_for_the_answers_of_targets_is_asked_and_can_recall(table, operators, run, monkeypatch):
    """Ctrl-C ends the waiting alone: who is in a hurry recalls the AMI with the same command."""
    over(table, recalled(DEV))
    monkeypatch.setattr(sys, "stdin", AtARecall("y\n"))

    def ctrl_c(_seconds):
        raise KeyboardInterrupt

    said = run("recall", AMI, "--why", "It does not boot.", clock=TerminalClock(ctrl_c))

    assert "Targets that answered: 0 of 1 (Ctrl-C: go on without them)." in said.errors
    assert f"Who uses it is not known yet; `ami-promoter where {AMI} --use` shows it" in said.errors
    assert f"This recalls {AMI} in all targets. Continue?" in said.errors
    assert operators.get(addresses.withdrawals(AMI)) is not None


def test_what_is_recalled_beside_it_is_no_ami_to_move_to(table, operators, run):
    """The preview computes what the pointer's worker computes."""
    over(table, recalled(DEV))
    write(table, a_pointer())
    operators.update(addresses.withdrawals(OLD), "SET recall = :value", {":value": recalls.written(RECALL)})

    shown = run("recall", AMI, "--why", "Bad", "--yes", "--json").data

    assert shown["deliveries"][0]["moves_to"] == OLDER_COPY


def test_a_parameter_that_the_file_no_longer_sets_is_said_to_move_where_the_file_has_its_target(table, run):
    """Elsewhere the service knows no role with which to move it."""
    over(table, recalled(DEV))
    write(table, a_pointer(unwanted=True))

    said = run("recall", AMI, "--why", "Bad", exits=1).words
    assert f"The parameter {NAME} moves to {OLD_COPY} if the file still has the target" in said
    (shown,) = run("recall", AMI, "--why", "Bad", "--yes", "--json").data["deliveries"]
    assert (shown["parameter"], shown["kept"], shown["moves_to"]) == (NAME, False, OLD_COPY)


def test_an_ami_that_could_not_be_tested_is_said_to_be_deprecated(table, run):
    """Its delivery has failed, but the copy is there; one whose launch test failed was removed."""
    over(table, recalled(DEV, "failed"), recalled(PROD, "failed", image=delivery.NewImage()))

    said = run("recall", AMI, "--why", "Bad", exits=1).words
    assert f"{DEV} us-east-1: failed; the AMI is deprecated, and disabled where the account's template" in said
    assert f"{PROD} us-east-1: failed; stays so." in said
    shown = run("recall", AMI, "--why", "Bad", "--yes", "--json").data["deliveries"]
    assert [one["image"] for one in shown] == [COPY, None]


def test_before_a_lift_an_ami_that_could_not_be_tested_is_said_to_begin_again(table, operators, run):
    """The lift does not publish it: it is tested."""
    stands(operators)
    over(table, recalled(DEV, "recalled", launch=delivery.Launch(kept=COPY)))

    said = run("recall", AMI, "--lift", exits=1).words
    assert f"{DEV} us-east-1: recalled; it begins again if the tag names the target" in said


def test_a_copy_cannot_be_recalled_its_source_can(table, run):
    """A person who sees a bad AMI in a target has the id of the copy."""
    over(table, recalled(DEV))

    said = run("recall", COPY, "--why", "Bad", "--yes", exits=1)

    assert f"Name its source {AMI} instead, in the same command." in said.errors


def test_while_nobody_can_see_whether_it_is_a_copy_nothing_is_recalled(table, operators, run, monkeypatch):
    """A recall of the copy would stand beside the source, which goes on."""
    over(table, recalled(DEV))
    monkeypatch.setattr(Reader, "made_from", throttled)

    run("recall", COPY, "--why", "Bad", "--yes", exits=3)

    assert operators.get(addresses.withdrawals(COPY)) is None


def test_a_source_is_recalled_even_if_nobody_can_see_that_it_is_no_copy(table, operators, run, monkeypatch):
    """A recall is urgent; a source has a promotion."""
    over(table, recalled(DEV))
    monkeypatch.setattr(Reader, "made_from", throttled)

    run("recall", AMI, "--why", "Bad", "--yes")

    assert operators.get(addresses.withdrawals(AMI)) is not None


def throttled(*_arguments):
    raise HubError("DynamoDB throttles.", "the table of records", "Run the command again.")


@pytest.mark.parametrize(
    ("state", "recall", "says"),
    [
        ("recalling", {"seen": True}, "Its AMI is being deprecated."),
        ("restoring", {"done": True}, "The recall was lifted: the AMI is being made as it was before."),
        ("recalled", {"done": True}, "Its AMI is deprecated; it was not deregistered."),
        ("recalled", {"done": True, "disabled": True}, "Its AMI is deprecated and disabled; it was not deregistered."),
    ],
)
def test_status_says_who_recalled_it_and_what_is_done(table, operators, run, state, recall, says):
    """For the AMI, and for each target; what a target refuses is shown while it is tried again."""
    refusal = Fault("aws-UnauthorizedOperation", "there", "EnableImageDeprecation was refused.", "Allow it.")
    stands(operators)
    last = None if state == "recalled" else refusal  # which ends with none
    over(table, recalled(DEV, state, recall=delivery.Recalled(**recall), last_refusal=last))

    said = run("status", AMI).words
    shown = run("status", AMI, "--json").data["promotion"]

    assert SAID in said
    assert f"until `ami-promoter recall {AMI} --lift`" in said
    assert says in said
    assert ("is tried again: EnableImageDeprecation was refused." in said) is (state != "recalled")
    assert shown["recall"] == {"at": "2026-01-05T09:00:00Z", "by": BY, "why": "It does not boot."}
    assert shown["deliveries"][0]["recall"]["disabled"] is bool(recall.get("disabled"))


def test_the_overview_lists_what_is_recalled(table, operators, run):
    """Also an AMI that nobody promotes; one whose account refuses the recall is in trouble."""
    stands(operators)
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    over(table, recalled(DEV, "recalled", recall=delivery.Recalled(done=True), faults=(fault,)))

    assert SAID in run("status").words
    assert [one["ami"] for one in run("status", "--json").data["recalls"]] == [AMI]
    failed = run("status", "--failed").words
    assert "It could not be deprecated within a day." in failed
    assert "Its AMI is deprecated" not in failed


def asked_again(table):
    """The targets whose recall the service is asked to try again."""
    record = PROMOTIONS.decode(DynamoRecords(table).read(addresses.promotion(AMI)))
    return Retry.parse(record.inbox["recall"]).places


@pytest.mark.parametrize("value", ["dev", None])
def test_a_retry_asks_for_another_recall_only_where_it_was_refused(table, operators, run, value):
    """Also after the tag was removed; without a recall there is nothing to try. Later requests keep the first's."""
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    refused, other = (recalled(account, "recalled", faults=(fault,)) for account in (DEV, BLOCKED))
    promoted(table, refused, recalled(PROD, "recalled"), other, value=value)
    run("retry", AMI, exits=0 if value else 1)
    assert "recall" not in table.get(addresses.promotion(AMI))

    stands(operators)
    assert run("retry", AMI, "--account", PROD, "--json", exits=0 if value else 1).data is not None
    assert run("retry", AMI, "--account", DEV, "--json").data["again"] == [refused.id]
    assert asked_again(table) == [f"{DEV}/{REGION}"]
    said = run("retry", AMI, "--account", BLOCKED).words
    assert f"{BLOCKED} us-east-1: refused the recall; it is tried again." in said
    run("recall", AMI, "--why", "It does not boot.", "--yes")
    assert asked_again(table) == sorted((f"{DEV}/{REGION}", f"{BLOCKED}/{REGION}"))


def test_a_retry_says_how_many_refused_recalls_are_left_for_the_next_one(table, operators, run, monkeypatch):
    """Three targets have refused it; here one entry has room for two."""
    monkeypatch.setattr(record_requests, "MOST_PLACES", 2)
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    promoted(table, *(recalled(account, "recalled", faults=(fault,)) for account in (DEV, PROD, BLOCKED)))
    stands(operators)

    said = run("retry", AMI).words
    assert f"2 targets ({DEV} {REGION}, {PROD} {REGION}): refused the recall; it is tried again." in said
    assert "1 target more: run the command again." in said


def test_a_retry_in_one_account_tries_no_recall_again_that_another_has_refused_twice(table, operators, run):
    """That account's retry is over: nobody has asked for a third try there."""
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    refused, other = (recalled(account, "recalled", faults=(fault,)) for account in (DEV, BLOCKED))
    promoted(table, refused, other)
    stands(operators)
    run("retry", AMI, "--account", DEV)
    track(table, TrackedDelivery(refused.id, DEV, REGION, 2, "recalled", COPY, ended_at=NINE + 86400))

    run("retry", AMI, "--account", BLOCKED)
    assert asked_again(table) == [f"{BLOCKED}/{REGION}"]


def test_who_recalls_once_more_keeps_what_another_operator_has_asked_for(table, operators, run):
    """The service has read the other's request, and has tried one of its two accounts so far."""
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    tried, other = (recalled(account, "recalled", faults=(fault,)) for account in (DEV, BLOCKED))
    promoted(table, tried, other, handled=(asked := {"recall": f"{NINE}:{BLOCKED}/{REGION},{DEV}/{REGION}"}))
    DynamoRecords(table).make_due(addresses.promotion(AMI), NINE, asked)
    track(table, TrackedDelivery(tried.id, DEV, REGION, 2, "recalled", COPY, ended_at=NINE + 60))
    stands(operators)
    run("recall", AMI, "--why", "It does not boot.", "--yes")

    assert asked_again(table) == [f"{BLOCKED}/{REGION}"]


@pytest.mark.parametrize(
    ("command", "asks"),
    [(("retry", AMI, "--account", DEV), [DEV]), (("recall", AMI, "--why", "It does not boot."), [])],
    ids=["retry", "recall"],
)
def test_two_operators_who_ask_about_a_refused_recall_at_the_same_moment_are_both_served(
    table, operators, run, monkeypatch, command, asks
):
    """One retries it in another account right after the other's command has read the record."""
    fault = Fault("recall-not-done", "there", "It could not be deprecated within a day.", "Repair it.")
    promoted(table, *(recalled(account, "recalled", faults=(fault,)) for account in (DEV, BLOCKED)))
    stands(operators)
    read, left = Reader.promotion, iter([f"1:{BLOCKED}/{REGION}"])

    def promotion_read(reader, ami):
        found = read(reader, ami)
        if (entry := next(left, None)) is not None:
            DynamoRecords(table).make_due(addresses.promotion(ami), 1, {"recall": entry})
        return found

    monkeypatch.setattr(Reader, "promotion", promotion_read)
    run(*command)

    assert asked_again(table) == sorted(f"{account}/{REGION}" for account in (BLOCKED, *asks))


def test_a_recall_is_no_withdrawal_of_an_account(table, operators, run):
    """`*` is no account that anybody could lift."""
    stands(operators)
    over(table, recalled(DEV, "recalled", recall=delivery.Recalled(done=True)))

    assert run("status", AMI, "--json").data["promotion"]["withdrawn"] == {}
    assert "*" not in run("status", AMI).out


@pytest.mark.parametrize("words", [("where", AMI), ("retry", AMI)])
def test_other_verbs_say_that_it_is_recalled(table, operators, run, words):
    """Nothing starts again, and who looks for an AMI to launch reads why there is none."""
    stands(operators)
    failed = recalled(PROD, "failed", image=delivery.NewImage())
    over(table, recalled(DEV, "recalled", recall=delivery.Recalled(done=True)), failed)

    said = run(*words).words

    assert SAID in said
    assert "starts again." not in said
    assert "withdraw " not in said


def test_an_approval_of_a_recalled_ami_is_refused(operators, run):
    """Nothing would come of it."""
    stands(operators)

    assert "it was recalled at 2026-01-05T09:00:00Z" in run("approve", AMI, exits=1).errors


# --- rollback --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "recalled", "of_arm", "expected"),
    [
        (None, (), (), OLD),
        (None, (OLD,), (), OLDER),
        (None, (), (OLD,), OLDER),
        (OLDER, (), (), OLDER),
        (OLD, (OLD,), (), None),
        (OLD, (), (OLD,), None),
        ("ami-x", (), (), None),
    ],
)
def test_it_holds_at_the_release_before_or_the_named_one(to, recalled, of_arm, expected):
    """Never at a recalled one, which no pointer names, nor at one of another architecture: it would be held below it.

    What launches from the parameter could not run that one. The fault lists what can be named.
    """
    pointer = a_pointer()
    releases = [replace(one, architecture="arm64" if one.source in of_arm else "i386") for one in pointer.releases]

    moves, faults = chosen([replace(pointer, releases=tuple(releases), architecture="i386")], (), to, {}, recalled)

    assert [one.to.source for one in moves if one.to] == ([expected] if expected else [])
    assert [fault.code for fault in faults] == ([] if expected else ["no-release"])
    assert all(to not in fault.cure.partition("Known:")[2] for fault in faults)


def test_a_pin_that_stands_is_not_written_again():
    """A damaged one is."""
    pin = addresses.pin(DEV, REGION, "base")
    held = Pin(OLD, "2026-01-02T00:00:00.000Z", NINE, BY)

    assert chosen([a_pointer()], (), OLD, {pin: held}, ()) == ([], [])
    assert len(chosen([a_pointer()], (), OLD, {pin: None}, ())[0]) == 1


def test_a_rollback_goes_back_from_what_the_parameter_names_that_the_file_sets(table, operators, run):
    """One of before a renaming stays where it is; what holds the family there holds the parameter of today."""
    for name in ("now", "current", "early"):
        older = a_pointer().releases[: 3 if name == "early" else 2]
        image = older[-1].image
        write(table, replace(a_pointer(image=image, releases=older), parameter=f"/golden/base/{name}"))
    apply(Directory({"web": (DEV,)}, {DEV: (Target(DEV, REGION, ssm_parameter="/golden/{family}/early"),)}))

    (move,) = run("rollback", "base", "--account", DEV, "--yes", "--json").data["pointers"]
    assert (move["parameter"], move["to"]) == ("/golden/base/early", OLD)
    assert recalls.read_pin(operators.get(addresses.pin(DEV, REGION, "base"))["body"]).source == OLD


def test_where_the_file_does_not_say_what_counts_a_former_parameter_decides_nothing(table, run):
    """The account's settings conflict, say: the record knows that the file no longer set it."""
    write(table, replace(a_pointer(), parameter="/golden/base/a-now"))
    former = a_pointer(image=OLD_COPY, releases=a_pointer().releases[:2], unwanted=True)
    write(table, replace(former, parameter="/golden/base/z-former"))

    (move,) = run("rollback", "base", "--account", DEV, "--yes", "--json").data["pointers"]
    assert (move["parameter"], move["to"]) == ("/golden/base/a-now", OLD)


@pytest.mark.parametrize("to", [(), ("--to", OLD)])
def test_a_release_of_before_a_renaming_must_count_for_the_parameter_first(table, run, to):
    """Otherwise the parameter would be held at an AMI that it cannot name. Without --to, the last one before.

    The ids of AMIs say nothing of their order.
    """
    write(table, replace(a_pointer(releases=a_pointer().releases[2:]), parameter="/golden/base/now"))
    first = replace(a_pointer().releases[0], source="ami-0ffffffffffffffff")
    later = replace(first, source="ami-0fffffffffffffffe", made_at="2026-01-04T00:00:00.000Z")
    write(table, a_pointer(image=OLD_COPY, releases=(first, a_pointer().releases[1], later), unwanted=True))

    said = run("rollback", "base", "--account", DEV, *to, "--yes", exits=1).errors
    assert f"`ami-promoter retry {OLD} --account {DEV}` lets it count for this one" in said
    assert f"with `--to {OLD}`" in said


def test_a_repeated_rollback_goes_back_no_further(table, operators, run):
    """The service has moved the parameter since the first one: who wants another AMI names it."""
    words = ("rollback", "base", "--account", DEV, "--yes")
    write(table, a_pointer(image=OLD_COPY))
    held = recalls.written(Pin(OLD, "2026-01-02T00:00:00.000Z", NINE, BY))
    operators.update(addresses.pin(DEV, REGION, "base"), "SET body = :value", {":value": held})

    said = run(*words).words
    assert f"Nothing to do: each parameter of `base` is held at {OLD} already; `--to AMI` chooses another." in said
    write(table, a_pointer(PROD))
    assert f"{DEV} us-east-1: the parameter {NAME} is held at {OLD} already." in run(*words, "--account", PROD).words
    assert "already" not in run(*words[:-1], "--to", OLDER, exits=1).words
    assert [one["to"] for one in run(*words, "--to", OLDER, "--json").data["pointers"]] == [OLDER]


def test_the_only_ami_of_a_family_is_none_to_roll_back_to():
    """The parameter names it: nothing would move."""
    pointer = a_pointer(releases=(Release(AMI, "2026-01-03T00:00:00.000Z", COPY),))

    _, (fault,) = chosen([pointer], (), None, {}, ())
    assert fault.cure == "Promote an earlier AMI, or recall this one."


def test_a_pin_can_be_lifted_before_its_worker_has_looked_and_if_it_is_damaged(table, operators, run):
    """The operators' table says what is held, not the pointer's record."""
    write(table, a_pointer())
    write(table, a_pointer(PROD))
    shown = run("rollback", "base", "--account", DEV, "--why", "slow", "--yes", "--json").data
    assert [(one["account"], one["to"]) for one in shown["pointers"]] == [(DEV, OLD)]
    operators.update(addresses.pin(PROD, REGION, "base"), "SET body = :value", {":value": "damage"})

    both = ("--account", DEV, "--account", PROD)
    shown = run("rollback", "base", *both, "--lift", "--yes", "--json").data

    assert [one["account"] for one in shown["pointers"]] == [DEV, PROD]
    assert "body" not in operators.get(addresses.pin(PROD, REGION, "base"))
    assert "no parameter of `base` is held there" in run("rollback", "base", *both, "--lift").words


def test_an_account_without_the_parameter_is_a_fault_beside_one_that_has_it(table, run):
    """Who names two accounts, one by mistake, must not take the second for rolled back."""
    write(table, a_pointer())

    said = run("rollback", "base", "--account", DEV, "--account", PROD, "--yes", exits=1).errors

    assert f"base: it has no parameter in {PROD}." in said


@pytest.mark.parametrize("words", [("rollback", "bsae", "--account", DEV), ("where", "--family", "bsae")])
def test_a_misspelt_family_is_said_to_be_unknown(table, run, words):
    """With the one that may be meant, and those that there are; the same command would only repeat that."""
    write(table, a_pointer())
    write(table, replace(a_pointer(PROD), family="web", parameter="/golden/web/current"))

    assert "Did you mean `base`? Known: base, web." in run(*words, exits=1).errors


def test_an_account_without_an_earlier_ami_does_not_keep_the_others_where_they_are(table, run):
    """It is named before the question. Where nothing moves, nothing is done.

    A repeated command does not take what is held already for a move.
    """
    young = a_pointer(PROD)
    both = ("rollback", "base", "--account", DEV, "--account", PROD)
    write(table, a_pointer())
    write(table, replace(young, releases=young.releases[-1:]))

    assert "Not moved: account 222222222222" in run(*both, exits=1).words
    shown = run(*both, "--yes", "--json", exits=4).data
    assert [(one["account"], one["to"]) for one in shown["pointers"]] == [(DEV, OLD)]
    assert [one["code"] for one in shown["not_moved"]] == ["no-release"]
    assert [one["code"] for one in run(*both, "--yes", "--json", exits=1).data["faults"]] == ["no-release"]


@pytest.mark.parametrize("moving", [(), (BLOCKED,)])
def test_parameters_that_cannot_move_for_one_reason_are_said_once(table, run, moving):
    """Whether others move or not; --wide says each, and a program gets each."""
    for account in (DEV, PROD):
        write(table, replace(a_pointer(account), releases=a_pointer().releases[-1:]))
    for account in moving:
        write(table, a_pointer(account))
    words = ("rollback", "base", *(word for one in (DEV, PROD, *moving) for word in ("--account", one)))
    why = "no earlier AMI of the family that was delivered there, and is not recalled, is known."

    said, wide = ("".join(run(*words, *more, exits=1)[:2]) for more in ((), ("--wide",)))
    data = run(*words, "--yes", "--json", exits=4 if moving else 1).data

    assert f"2 targets ({DEV} us-east-1, {PROD} us-east-1), parameter {NAME}: {why}" in " ".join(said.split())
    assert (said.count("no earlier AMI"), wide.count("no earlier AMI")) == (1, 2)
    assert [one["what"] for one in data["not_moved" if moving else "faults"]] == [why, why]


def test_the_worker_gets_a_wake_at_once_and_another_one_from_a_repeated_command(table, run):
    """SQS drops a message that repeats another one of the last five minutes."""
    sqs = boto3.client("sqs", region_name=REGION)
    queue = sqs.create_queue(QueueName=f"ami-promoter-{REGION}-worker.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    write(table, a_pointer())

    for second in range(2):
        with time_machine.travel(NINE + 600 + second, tick=False):
            run("rollback", "base", "--account", DEV, "--yes")

    waiting = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert waiting == {"ApproximateNumberOfMessages": "2"}
    (one, *_) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(one["Body"])["key"] == a_pointer().key.pk


@pytest.mark.parametrize("words", [(), ("--lift",)])
def test_one_that_was_killed_before_it_asked_the_service_asks_when_it_is_repeated(table, operators, run, words):
    """Also where nothing is left to write: else the parameter would move with its daily look."""
    pointers = DynamoRecords(table)
    write(table, a_pointer())
    if not words:
        held = recalls.written(Pin(OLD, "2026-01-02T00:00:00.000Z", NINE, BY))
        operators.update(addresses.pin(DEV, REGION, "base"), "SET body = :value", {":value": held})

    assert "Nothing to do" in run("rollback", "base", "--account", DEV, *words, "--yes").words
    assert pointers.read(a_pointer().key).scheduled == NINE + 600


@pytest.mark.parametrize(
    ("groups", "moved", "code"),
    [
        (("web",), [DEV], ""),
        (("web", "nobody"), [], "unknown-group"),
        (("blocked",), [BLOCKED], ""),
        (("unit",), [], "organization-not-read-yet"),
    ],
)
def test_only_the_parameters_of_a_groups_accounts_move(table, run, groups, moved, code):
    """Also that of an account whose settings conflict; a group whose accounts are not known does not mean everybody."""
    targets = {one: (Target(one, REGION),) for one in (DEV, PROD)}
    targets[BLOCKED] = (Target(BLOCKED, REGION, by_way_of=HUB),)
    named = {"web": (DEV,), "blocked": (BLOCKED,), "unit": ("ou-0001-aaaaaaaa",)}
    apply(Directory(named, targets))
    for account in targets:
        write(table, a_pointer(account))

    words = [word for group in groups for word in ("--group", group)]
    shown = run("rollback", "base", *words, "--yes", "--json", exits=1 if code else 0).data

    assert [fault["code"] for fault in shown.get("faults", ())] == ([code] if code else [])
    assert [one["account"] for one in shown.get("pointers", ())] == moved


@pytest.mark.parametrize("width", [80, 120])
def test_what_a_rollback_does_fits_on_a_terminal(table, run, monkeypatch, width):
    """Targets that differ in nothing else have one line."""
    monkeypatch.setenv("COLUMNS", str(width))
    for account in (DEV, PROD):
        write(table, a_pointer(account, pin=Pin(AMI, "2026-01-03T00:00:00.000Z", NINE, BY)))

    said = run("rollback", "base", "--account", DEV, "--account", PROD, exits=1)

    assert all(len(line) <= width for line in said.lines)
    assert f"2 targets ({DEV} us-east-1, {PROD} us-east-1): the parameter {NAME} names {COPY}" in said.words


def test_a_rollback_names_what_the_parameter_holds(table, run):
    """That is the target's copy; its source stands beside it. Of several targets with AMIs of their own, the source.

    A shared AMI is its own source.
    """
    write(table, a_pointer())
    other = a_pointer(PROD, image="ami-0dddddddddddddddd")
    last = replace(other.releases[-1], image="ami-0dddddddddddddddd")
    write(table, replace(other, releases=(*other.releases[:-1], last)))
    shared = Release(OLD, "2026-01-02T00:00:00.000Z", OLD)
    write(table, a_pointer(BLOCKED, releases=(shared, a_pointer().releases[-1])))
    to = f"is held at {OLD_COPY} (source AMI {OLD}) from now on"

    one = run("rollback", "base", "--account", DEV, exits=1).words
    assert f"names {COPY} (source AMI {AMI}) now, and {to}." in one
    several = run("rollback", "base", "--account", DEV, "--account", PROD, exits=1).words
    assert f"names its AMI (source AMI {AMI}) now, and {to}." in several
    assert "copy" not in run("rollback", "base", "--account", DEV, "--account", BLOCKED, exits=1).words
    assert f"and is held at {OLD} from now on." in run("rollback", "base", "--account", BLOCKED, exits=1).words
