"""The notices of a promotion, and the one of a new hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.delivery.outcomes import TRACKED_OUTCOMES
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import count
from chalicelib.engine.notices import MAX_LISTED, NoticeKind, said_faults
from chalicelib.engine.places import Place
from chalicelib.promotion.model import Promotion
from chalicelib.promotion.wave_counts import WaveCount
from chalicelib.targets.approvals import Asked, short

AWAITING = NoticeKind("promotion.awaiting-approval", {"awaiting": "is awaiting an approval"}, chat="Awaiting")
"""Targets wait for an approval. Sent once for each digest, and again if its approval has expired."""
WAVE_STOPPED = NoticeKind("promotion.wave-stopped", {"stopped": "is stopped before its next wave"}, chat="Stopped")
"""More deliveries to the group ``after`` failed than may, or none succeeded: the wave does not open. Sent once for each
stop; after a retry that succeeds the wave goes on by itself.
"""
REFUSED = NoticeKind("promotion.refused", {"refused": "was refused: nothing was added"}, chat="Refused")
"""The tag's value or the source AMI has faults; the notice lists them, those of the source first. Nothing was added."""
SUMMARY = NoticeKind("promotion.over", {"delivered": "was delivered to", "incomplete": "incomplete"})
"""All deliveries have ended. ``outcome``: ``delivered`` if every target owns or shares the AMI, else ``incomplete``."""
BASELINE = NoticeKind("hub.baseline", {"ignored": "is ignored"})
"""A new hub has looked for the first time; AMIs that were tagged before wait for a new tag event."""


def refused(promotion: Promotion, now: int) -> dict[str, Any]:
    """Build the one notice that lists the faults of a value or a source."""
    listed = said_faults(promotion.faults)
    cause = promotion.judged or "", str(promotion.newest), *(fault["what"] for fault in listed)
    return {
        **_of_promotion(promotion, REFUSED, now, *cause),
        "value": promotion.judged,
        "faults": listed,
    }


def awaiting_approval(promotion: Promotion, asked: Asked, places: Sequence[str], now: int) -> dict[str, Any]:
    """Build the one notice that asks for an approval. ``places``: the targets that wait."""
    listed = map(Place.parse, places[:MAX_LISTED])
    waiting = f"{count(len(places), 'target waits', 'targets wait')} for that"
    return {
        **_of_promotion(replace(promotion, episode=0), AWAITING, now, f"{asked.digest}:{asked.expired}"),
        "episode": promotion.episode,
        "value": promotion.value,
        "why": f"An approver must approve the value {promotion.value!r}: {waiting}.",
        "digest": asked.digest,
        "approve": f"ami-promoter approve {promotion.ami} --digest {short(asked.digest)}",
        "targets": [{"account": account, "region": region} for account, region in listed],
        "unlisted": max(len(places) - MAX_LISTED, 0),
    }


def wave_stopped(
    promotion: Promotion, of: WaveCount, groups: Sequence[str], waiting: Sequence[str], now: int
) -> dict[str, Any]:
    """Build the one notice that a wave is stopped. ``of``: how the deliveries of the group before have ended.

    ``groups``: those of the wave. ``waiting``: their targets that wait for it.
    """
    failed, wave = of.failed, of.wave
    allowed = f"{wave.most_failed} may" if of.succeeded else "none succeeded"
    why = f"{count(len(failed), 'delivery', 'deliveries')} to `{wave.after}` failed, and {allowed}."
    return {
        **_of_promotion(replace(promotion, episode=0), WAVE_STOPPED, now, of.progress.stopped),
        "episode": promotion.episode,
        "value": promotion.value,
        "after": wave.after,
        "groups": list(groups),
        "why": f"{why} {count(len(waiting), 'target waits', 'targets wait')}, and nothing opens there.",
        "retry": f"ami-promoter retry {promotion.ami}",
        "targets": [{"account": one.account, "region": one.region} for one in failed[:MAX_LISTED]],
        "unlisted": max(len(failed) - MAX_LISTED, 0),
    }


def summary(promotion: Promotion, tracked: Iterable[TrackedDelivery], now: int) -> dict[str, Any]:
    """Build the one message when all deliveries of a promotion have ended; those that failed are listed first."""
    all_of_them = sorted(tracked, key=lambda one: (one.outcome.there, one.account, one.region))
    counts = {state: sum(one.state == state for one in all_of_them) for state in TRACKED_OUTCOMES}
    there = sum(one.outcome.there for one in all_of_them)
    others = [f"{counts[state]:,} {state}" for state, of in TRACKED_OUTCOMES.items() if counts[state] and not of.there]
    said = f"is in {there:,} of {count(len(all_of_them), 'target')}{'; ' * bool(others)}{', '.join(others)}"
    return {
        **_of_promotion(promotion, SUMMARY, now, outcome="delivered" if there == len(all_of_them) else "incomplete"),
        "plain": {"said": said},
        "value": promotion.value,
        "counts": counts,
        "there": there,
        "deliveries": [
            {"account": one.account, "region": one.region, "outcome": one.state, "image": _image(one)}
            for one in all_of_them[:MAX_LISTED]
        ],
        "unlisted": max(len(all_of_them) - MAX_LISTED, 0),
    }


def _image(one: TrackedDelivery) -> str | None:
    """Return the AMI that its own notice names; None: none, or it stays there untested."""
    return (one.image or None) if one.outcome.there or one.is_recalled else None


def baseline(hub: str, region: str, images: Iterable[str], count: int, now: int) -> dict[str, Any]:
    """Build the one notice of a new hub: what was tagged before it first looked waits for a new tag event."""
    listed = list(images)
    return {
        **BASELINE.head(now, hub, region),
        "hub": hub,
        "region": region,
        "images": listed,
        "unlisted": max(count - len(listed), 0),
        "why": "These AMIs had the trigger tag before the service first looked. Tag one again to promote it.",
    }


def _of_promotion(promotion: Promotion, kind: NoticeKind, now: int, *cause: str, outcome: str = "") -> dict[str, Any]:
    return {
        **kind.head(now, promotion.hub, promotion.ami, str(promotion.episode), cause=cause, outcome=outcome),
        "episode": promotion.episode,
        "hub": promotion.hub,
        "source_image": promotion.ami,
        "source_name": promotion.image_name,
    }
