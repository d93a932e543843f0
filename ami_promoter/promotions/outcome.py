"""The outcome of a promotion, for commands that wait for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub import recalls
from ami_promoter.hub.records import UNSETTLED, is_named, not_there, place_of
from ami_promoter.promotions import waves
from ami_promoter.promotions.promotion_data import STOPPED
from ami_promoter.terminal.report import Exit
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.engine.faults import MOST_FAULTS, count
from chalicelib.engine.places import Place
from chalicelib.targets.withdrawals import covering


@dataclass(frozen=True, slots=True)
class Outcome:
    """``exit``: None while there is no outcome yet. ``why`` says in a sentence what decided it, or what is missing.

    ``exit`` is FAULT if a target is named that the promotion does not have. ``unseen``: the service has not looked yet,
    which takes minutes at most.
    """

    exit: Exit | None
    why: str
    unseen: bool = False


def outcome(data: Mapping[str, Any] | None, tag: str | None, targets: Sequence[str] = ()) -> Outcome:
    """Judge a promotion, or only its ``targets`` ("ACCOUNT" or "ACCOUNT/REGION").

    ``data`` is the result of ``promotion_data.page``; None if there is no record yet. ``tag`` is the value of the tag
    in EC2 now: until the record has seen that value, its other facts belong to an earlier one.
    """
    if data is None:
        return Outcome(None, "The service has not seen the tag yet.", unseen=True)
    if data["parked"]:
        return Outcome(Exit.FAILED, f"Its record is parked: {data['parked']}")
    if tag != data["seen_value"]:
        return Outcome(None, "The service has not seen the tag's present value yet.", unseen=True)
    if data["looks_again"]:
        return Outcome(None, "The service has not looked again yet.", unseen=True)
    if data["state"] in UNSETTLED:
        return Outcome(None, "The service is checking the value.")
    if tag is not None and data["refused"]:
        return Outcome(Exit.FAILED, " ".join(f"{one['what']} {one['cure']}" for one in data["faults"]))
    named = deliveries(data, targets)
    over = data["state"] == "over"
    missing = not_there(targets, [place_of(one) for one in named])
    if missing and over:
        return _missing(data, missing)
    moving = list(filter(_moves, named))
    if moving or missing:
        all_wait = not missing and all(one["state"] == waves.WAITS for one in data["deliveries"] if _moves(one))
        stopped = waves.stopped(data["waves"]) if all_wait else ""
        return Outcome(Exit.FAILED if stopped else None, stopped or _unended(moving, missing, named))
    if not (over or targets or any(one["parked"] for one in named)):  # it waits for one that is parked
        return Outcome(None, "The promotion has not ended yet.")
    return _ended(data, named, targets)


def deliveries(data: Mapping[str, Any], targets: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the deliveries of a page to these targets ("ACCOUNT" or "ACCOUNT/REGION"); to all if there are none."""
    return [one for one in data["deliveries"] if not targets or is_named(place_of(one), targets)]


def _moves(delivery: Mapping[str, Any]) -> bool:
    return delivery["state"] not in OUTCOMES and not delivery["parked"]


def _missing(data: Mapping[str, Any], missing: Sequence[str]) -> Outcome:
    if data["recall"]:
        return Outcome(Exit.CANCELLED, f"There is no delivery: the AMI was {recalls.said(data['recall'])}")
    by = {one: covering(data["withdrawn"], one) for one in missing}
    if None not in by.values():
        said = ", ".join(f"{one} was withdrawn by {who}" for one, who in by.items())
        return Outcome(Exit.CANCELLED, f"There is no delivery: {said}.")
    what = f"There is no delivery to {', '.join(missing)}."
    if len(data["faults"]) >= MOST_FAULTS or any(_concerns(one, missing) for one in data["faults"]):
        return Outcome(Exit.FAILED, what)
    return Outcome(Exit.CANCELLED, data["why"]) if data["seen_value"] is None else Outcome(Exit.FAULT, what)


def _ended(data: Mapping[str, Any], named: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> Outcome:
    failed = [one for one in named if one["state"] == "failed" or one["parked"]]
    stopped = [one for one in named if one["state"] in STOPPED]
    # who waits for some targets asks nothing of the others; a target that has the AMI was not refused
    refused = len([one for one in data["faults"] if not targets or (stopped and _concerns(one, targets))])
    if failed or refused:
        more = " or more" if refused >= MOST_FAULTS else ""
        accounts = f"{refused}{more} {'account' if refused == 1 else 'accounts'} cannot receive the AMI"
        some = f"{_of(failed, named)} failed" if failed else ""
        return Outcome(Exit.FAILED, f"{', '.join(filter(None, (some, accounts if refused else '')))}.")
    if stopped:
        by = sorted({who for one in stopped if (who := covering(data["withdrawn"], place_of(one))) is not None})
        operators = f" Withdrawn by {', '.join(by)}." if by else ""
        operators = f" The AMI was {recalls.said(data['recall'])}" if data["recall"] else operators
        was = "was" if len(stopped) == 1 else "were"
        how = " or ".join(sorted({str(one["state"]) for one in stopped}))
        what = f"{_of(stopped, named)} {was} {how}.{operators}"
        return Outcome(Exit.CANCELLED, what)
    if not named:
        recalled = f"The AMI was {recalls.said(data['recall'])}" if data["recall"] else ""
        return Outcome(Exit.CANCELLED, recalled or data["why"] or "The value names no target.")
    return Outcome(Exit.OK, f"{'Its target has' if len(named) == 1 else f'All {len(named)} targets have'} the AMI.")


def _concerns(fault: Mapping[str, Any], targets: Sequence[str]) -> bool:
    """Whether a promotion's fault is about one of the targets' accounts, or does not say about which account it is."""
    account = re.match(r"account (\d{12})", fault["where"])
    return account is None or any(Place.parse(one).account == account[1] for one in targets)


def _unended(moving: Sequence[object], missing: Sequence[str], named: Sequence[object]) -> str:
    if not moving:
        return f"There is no delivery to {', '.join(missing)} yet; the promotion has not ended."
    return f"{_of(moving, named)} {'has' if len(moving) == 1 else 'have'} not ended yet."


def _of(some: Sequence[object], named: Sequence[object]) -> str:
    return f"{len(some)} of {count(len(named), 'delivery', 'deliveries')}"
