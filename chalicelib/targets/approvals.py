"""Approvals: what an approver has allowed the service to open, target by target.

``ami-promoter approve`` writes them into the operators' table, in a partition that only this approver can write; the
functions that open shares read them there. An approval has a digest of what the approver saw. So nobody must write to
void one: if what arrives, the value or the settings change, the digest differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.engine import codec
from chalicelib.engine.addresses import digest
from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import DAY
from chalicelib.images.arriving import ExaminedSource
from chalicelib.images.family import family_of
from chalicelib.targets.applied_file import Target, carried, of_delivery

NOT_APPROVED = "not-approved"
"""Code of the fault of a share that waits for an approval."""

SHORT = 12
"""Characters of a digest that a person compares."""

LONGEST = 90 * DAY
"""An approval holds no longer than this, whatever end its approver has written."""


@dataclass(frozen=True, slots=True)
class Approval:
    """The approval for one target. ``place``: "account/region". ``at``, ``until``: epoch seconds.

    ``by``: the approver's ``aws:userid``, from the partition: IAM lets nobody else write there.
    """

    place: str
    digest: str
    at: int
    until: int
    by: str

    def allows(self, wanted: str, now: int) -> bool:
        """Whether it has this digest, is not dated ahead, and has not expired."""
        return self.digest == wanted and self.at <= now < self.until


Given = Mapping[str, Sequence[Approval]]
"""Place ("account/region") -> its approvals, one of each approver, the newest last."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an approver is asked about an AMI: the digest for each target ("account/region") that needs an approval."""

    ami: str
    value: str = ""
    targets: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the whole question."""
        return digest(self.ami, self.value, *(f"{place} {name}" for place, name in sorted(self.targets.items())))


def question(ami: str, source: ExaminedSource, value: str, targets: Iterable[Target]) -> Question:
    """Return the question about an AMI, as it was examined, whose value in force names these targets."""
    needing = {one.place: digest_of(ami, source, value, one) for one in targets if needs(one)}
    return Question(ami, value, needing)


def needs(target: Target) -> bool:
    """Whether the target's settings ask for an approval."""
    return target.approval == "required"


def digest_of(ami: str, source: ExaminedSource, value: str, target: Target) -> str:
    """Return the digest of what is approved for one target: what arrives there, the tag's value, and its settings."""
    settings = json.dumps(of_delivery(target), sort_keys=True)
    family = family_of(source.image.tags, target.family_tag)
    return digest(ami, source.digest(carried(target)), family, value, settings)


def short(name: str) -> str:
    """Return the part of a digest that a person compares."""
    return name[:SHORT]


def read(place: str, by: str, text: object) -> Approval | None:
    """Read a stored approval. A damaged one approves nothing."""
    try:
        found = codec.decode(Approval, {**codec.parsed_json(str(text)), "place": place, "by": by})
    except (TypeError, ValueError):
        return None
    return replace(found, until=min(found.until, found.at + LONGEST))


def written(one: Approval) -> str:
    """Return the body of an approval as it is stored."""
    return json.dumps({"digest": one.digest, "at": one.at, "until": one.until})


def allowing(given: Sequence[Approval], wanted: str, now: int) -> Approval | None:
    """Return the approval of a target that allows this digest: that of one approver is enough. None: there is none."""
    return next((one for one in given if one.allows(wanted, now)), None)


def waiting(asked: Question, given: Given, now: int) -> tuple[str, ...]:
    """Return the targets ("account/region") that have no approval of this question, sorted."""
    return tuple(
        place for place, wanted in sorted(asked.targets.items()) if allowing(given.get(place, ()), wanted, now) is None
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What one notice asks an approver. ``digest``: of the question; "": nothing was asked.

    ``expired``: the last end of an approval of it (epoch seconds); 0: none has expired.
    """

    digest: str = ""
    expired: int = 0


def asked_now(question: Question, given: Given, waits: Iterable[str], before: Asked, now: int) -> Asked:
    """Return what is to be asked: each question is asked once, and again after an approval has expired.

    ``waits``: the targets for which it asks; the approval of another may expire. ``before``: what was asked last. An
    approval that is in force changes nothing, nor does one that has taken the place of an expired one: of an approver's
    answer, which is one approval for each target, a look may show a part.
    """
    same = [one for place in waits for one in given.get(place, ()) if one.digest == question.targets.get(place)]
    expired = max((one.until for one in same if one.until <= now), default=0)
    known = before.expired if before.digest == question.digest else 0
    return Asked(question.digest, max(expired, known))


def lacking(ami: str, where: str, given: Sequence[Approval], wanted: str, now: int) -> Fault | None:
    """Return why something may not be opened for a target; None: it is approved."""
    if allowing(given, wanted, now) is not None:
        return None
    same = [one for one in given if one.digest == wanted]
    if not given:
        what = "Nothing is shared: the target needs an approval, and there is none."
    elif not same:
        changed = "the tag's value, the settings, or the source as it was examined, has changed"
        what = f"Nothing is shared: {given[-1].by} approved something else; {changed}."
    elif now < same[-1].at:
        what = f"Nothing is shared: the approval by {same[-1].by} is dated ahead."
    else:
        what = f"Nothing is shared: the approval by {same[-1].by} has expired."
    return Fault(NOT_APPROVED, where, what, f"`ami-promoter approve {ami}` by an approver.")
