"""The verb ``retry``: another try for what failed, and for what is parked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import click

from ami_promoter.hub import recalls, record_requests
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.records import UNSETTLED, Reader, RecordSeen, is_named, place_of
from ami_promoter.hub.withdrawals import Withdrawn
from ami_promoter.promotions import pointers
from ami_promoter.promotions.promotion_data import BAD
from ami_promoter.promotions.reading import no_delivery, unknown
from ami_promoter.rights import LOOK_AGAIN, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import groups, named
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import AMI_ID, PLACE, VerbCaller, ami_argument, verb
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phases.recalling import NOT_DONE
from chalicelib.delivery.tracked import GOOD, TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault, count
from chalicelib.images.family import parameter_of
from chalicelib.promotion.model import Promotion
from chalicelib.promotion.wanted import WantedTargets, wanted_targets, withdrawn_by
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.withdrawals import Withdrawal, covering

AGAIN, COUNTS = "the service looks at the parameter {} again.", "from now on the AMI counts for {}."
PRINTS = js.some_of(
    js.thing(
        ami=js.text("id of the source AMI"),
        unparked=js.several("parked records that continue", js.text("key of a record")),
        again=js.several("deliveries that the service tries again", js.text("id of a delivery")),
        pointers=js.several(
            "parameters of the AMI's family at which the service looks again, or that the file has set since",
            js.thing(**js.PLACE, parameter=js.text("name of the parameter")),
        ),
        accepted=js.text("with --accept: id of the AMI in the target that the delivery now uses"),
    ),
    "accepted",
)


@verb("retry", needs=READ | LOOK_AGAIN, prints=PRINTS)
@ami_argument
@click.option("--account", "place", type=PLACE, help="Only this account, or ACCOUNT/REGION.")
@click.option(
    "--accept",
    "accepted",
    type=AMI_ID,
    help="With --account, and the Region if it has several: use this AMI, which you have compared, as the delivered "
    "one (fault image-unproven).",
)
def retry(caller: VerbCaller, ami: str, place: str | None, accepted: str | None) -> Report:
    """Try failed deliveries again; let parked records continue.

    Cancelled and withdrawn deliveries start again, too, except those that an operator has withdrawn: `withdraw --lift`
    starts them. An account that the targets file got since the tag event does not begin: `promote` with the same value
    begins it.

    With a delivery that starts again the service also checks a source again that it had refused, and begins what waited
    for that, in other accounts, too.

    Nothing of a recalled AMI starts again before `recall --lift`, but its recall is tried again where it was refused.

    Where the AMI is delivered or shared, and the parameter of its family has a fault, the service looks at that
    parameter again, and writes it if it can; with --account it looks even if the hub knows of no fault. If the targets
    file has another parameter by now, the AMI counts for that one.
    """
    if accepted and not place:
        raise click.UsageError(f"--accept needs an account. Write `--account ID --accept {accepted}`.")
    connection = caller.connect()
    reader = Reader(connection)
    promotion = reader.promotion(ami)
    if promotion is None:
        raise NotDone(unknown(ami, connection))
    tracked = sorted((one.it for one in reader.tracked(ami)), key=lambda entry: entry.place)
    chosen = [entry for entry in tracked if place is None or is_named(entry.place, [place])]
    if place:
        _refuse_place(ami, place, chosen, accepted)
    good = reader.deliveries(entry.delivery for entry in chosen if entry.state in GOOD)
    at_fault = _at_fault(reader, good, named=place is not None)
    recall = recalls.read(connection, ami)
    every_refused = _not_recalled(reader, chosen) if recall else []
    not_recalled = every_refused[: record_requests.MOST_PLACES]
    ended = promotion.it.value is None and not promotion.parked
    if ended and not (at_fault or not_recalled):
        raise NotDone(_no_value(promotion, ami))
    withdrawals = Withdrawn(connection, ami).read()
    file = AppliedFile() if ended or recall else applied_file(connection)
    wanted = wanted_targets(promotion.it, promotion.it.value, file, withdrawals)
    deliveries = [addresses.delivery(entry.delivery) for entry in chosen]
    freed = record_requests.unpark(connection, [addresses.promotion(ami), *deliveries, *at_fault])
    record_requests.look_at(connection, list(at_fault))
    withdrawn = _withdrawn(promotion.it, withdrawals, file)
    failed = [(entry, covering(withdrawn, entry.place)) for entry in chosen if entry.state in BAD]
    kept_out = [(entry, by) for entry, by in failed if by is not None and recall is None]
    free = [] if ended or recall else [entry for entry, by in failed if by is None]
    again = [entry for entry in free if _unsettled(promotion) or _can_begin(entry, wanted)]
    every_renamed = {} if ended or recall else _renamed(wanted, chosen, good)
    renamed = dict(islice(every_renamed.items(), max(record_requests.MOST_PLACES - len(again), 0)))
    if not_recalled:
        record_requests.recall(connection, ami, [entry.place for entry in not_recalled])
    if accepted:
        record_requests.accept(connection, [entry.delivery for entry in chosen], accepted)
    if again or renamed:
        places = [place] if place and again else [*(entry.place for entry in again), *renamed]
        if not record_requests.look_again(connection, ami, places):
            renamed = {}  # what has failed is tried again, and no more
    looked_at = sorted([*at_fault.values(), *renamed.values()], key=place_of)
    data = {
        "ami": ami,
        "unparked": [str(key) for key in freed],
        "again": [entry.delivery for entry in (*again, *not_recalled)],
        "pointers": looked_at,
        **({"accepted": accepted} if accepted else {}),
    }
    lines = [f"{key} was parked, and continues." for key in freed]
    lines += [f"{place}: {accepted} is accepted as the delivered AMI."] if accepted else []
    lines += [f"{_named(not_recalled)}: refused the recall; it is tried again."] if not_recalled else []
    lines += [*_again(promotion, free, again, wide=caller.wide), *_kept_out(ami, kept_out, wide=caller.wide)]
    lines += [*_parameters(at_fault.values(), AGAIN, wide=caller.wide), *recalls.lines(ami, recall)]
    lines += [
        *_parameters(renamed.values(), COUNTS, wide=caller.wide),
        *_more(len(every_renamed) - len(renamed)),
        *_more(len(every_refused) - len(not_recalled)),
    ]
    nothing = f"no delivery of {ami} has failed, no pointer of it has a fault, and nothing is parked."
    return Report(tuple(lines or [f"Nothing to do: {nothing}"]), data)


def _refuse_place(ami: str, place: str, chosen: Sequence[TrackedDelivery], accepted: str | None) -> None:
    if not chosen:
        raise no_delivery(ami, [place])
    if not accepted:
        return
    if len(chosen) > 1:  # the id of an AMI is one Region's
        places = " or ".join(f"`--account {one}`" for one in sorted(entry.place for entry in chosen))
        what = f"--accept needs a Region: {place} has {len(chosen)} deliveries, and {accepted} is in one Region."
        raise click.UsageError(f"{what} Write {places}.")
    if chosen[0].state not in BAD:
        what = f"its delivery to {place} is {chosen[0].state}, and has not failed, so there is nothing to accept."
        raise NotDone(Fault("not-failed", ami, what, f"`ami-promoter status {ami}` shows what it waits for."))


def _can_begin(entry: TrackedDelivery, wanted: WantedTargets) -> bool:
    """Whether the value names its target, also while a withdrawal or a fault holds it up, or that is not known."""
    return wanted.value is None or wanted.may_go_on(entry.place) or entry.place in wanted.kept_out


def _unsettled(promotion: RecordSeen[Promotion]) -> bool:
    """Whether another value may be in force soon: the tag's was written, or is being examined."""
    written = promotion.it.unread("tag") is not None or _written(promotion.it) != promotion.it.value
    return promotion.state in UNSETTLED or written


def _written(promotion: Promotion) -> str | None:
    """Return the value that was written last, as far as the record says; the service may not have looked yet."""
    asked = promotion.unread("seen")
    return promotion.value if asked is None else asked.partition(":")[2]


def _withdrawn(promotion: Promotion, withdrawals: Iterable[Withdrawal], file: AppliedFile) -> Mapping[str, str]:
    """Return whom operators have withdrawn, as the promotion's next look will show it: a refused value ends none."""
    written = _written(promotion)
    refused = written == promotion.refused_value and not (written and file.judge(written, in_force=False).understood)
    if written == promotion.value or refused:
        return withdrawn_by(promotion, withdrawals, promotion.value)
    return withdrawn_by(replace(promotion, seen_value=written), withdrawals, written)


def _again(
    promotion: RecordSeen[Promotion],
    free: Sequence[TrackedDelivery],
    again: Sequence[TrackedDelivery],
    *,
    wide: bool,
) -> Iterator[str]:
    """Say which of those that nobody has withdrawn start again; the others are no longer named."""
    condition = ", if the value that the service still examines names it" if _unsettled(promotion) else ""
    for group in groups(free, lambda entry: (entry.state, entry in again), each=wide):
        what = f"starts again{condition}" if group[0] in again else "the tag's value no longer names it"
        yield f"{_named(group)}: {group[0].state}; {what}."
    if len(again) < len(free):
        yield f"To start it, write a value that does: `ami-promoter promote {promotion.it.ami} VALUE`."


def _kept_out(ami: str, kept_out: Sequence[tuple[TrackedDelivery, str]], *, wide: bool) -> Iterator[str]:
    for pairs in groups(kept_out, lambda pair: pair[1], each=wide):
        entries, by = [entry for entry, _ in pairs], pairs[0][1]
        yield f"{_named(entries)}: was withdrawn by {by}; it does not start again."
        lift = f"`ami-promoter withdraw {ami} --account {entries[0].account} --lift`"
        yield f"{lift} ends the withdrawal; so does another value of the tag."


def _parameters(shown: Iterable[Mapping[str, str]], says: str, *, wide: bool) -> Iterator[str]:
    """Say of each parameter, which stands for ``{}``, what happens with it."""
    for same in groups(sorted(shown, key=place_of), lambda one: one["parameter"], each=wide):
        yield f"{named([place_of(one) for one in same])}: {says.format(same[0]['parameter'])}"


def _more(targets: int) -> list[str]:
    return [f"{count(targets, 'target')} more: run the command again."] if targets else []


def _renamed(
    wanted: WantedTargets, chosen: Sequence[TrackedDelivery], good: Mapping[str, RecordSeen[Delivery]]
) -> dict[str, dict[str, str]]:
    """Find the targets whose parameter the file has set or renamed since, with its name."""
    found: dict[str, dict[str, str]] = {}
    for entry in chosen:
        delivery = good[entry.delivery].it if entry.delivery in good else None
        before = entry.ssm_parameter or (delivery.target.ssm_parameter if delivery else "")
        target = delivery and wanted.renamed(replace(entry, ssm_parameter=before))
        if delivery and target and (parameter := parameter_of(target.ssm_parameter, delivery.naming.family)):
            found[entry.place] = {"account": entry.account, "region": entry.region, "parameter": parameter}
    return found


def _not_recalled(reader: Reader, chosen: Sequence[TrackedDelivery]) -> list[TrackedDelivery]:
    """Find the deliveries whose recall the target has refused."""
    found = reader.deliveries(entry.delivery for entry in chosen if entry.is_recalled)
    undone = {ident for ident, one in found.items() if any(fault.code == NOT_DONE for fault in one.it.faults)}
    return [entry for entry in chosen if entry.delivery in undone]


def _at_fault(
    reader: Reader, good: Mapping[str, RecordSeen[Delivery]], *, named: bool
) -> dict[addresses.RecordKey, dict[str, str]]:
    """Find the pointers that name these AMIs, or should, and that another look can help.

    ``named``: the operator named the account; what somebody changed there since the last look is not known here.
    """
    keys = {key: one.it for one in good.values() if (key := pointers.key_of(one)) is not None}
    found = reader.many(keys)
    return {
        key: {"account": one.target.account, "region": one.target.region, "parameter": one.naming.parameter}
        for key, one in keys.items()
        if key in found and (named or pointers.troubled(found[key]))
    }


def _named(entries: Sequence[TrackedDelivery]) -> str:
    return named([entry.place for entry in entries])


def _no_value(promotion: RecordSeen[Promotion], ami: str) -> Fault:
    """Return why there is nothing to retry: the tag was removed, is still being checked, or was refused."""
    if _unsettled(promotion):
        what = "the service still examines its value; nothing has started yet."
        return Fault("no-value", ami, what, "Wait, or see `ami-promoter status`.")
    refused = promotion.it.faults
    what = "the service refused its value, so nothing started." if refused else "no value of its tag is in force."
    return Fault("no-value", ami, what, f"Write `ami-promoter promote {ami} VALUE`.")
