"""The question to an approver about an AMI, and the approvals: an item for each target in the operators' table.

``TargetsTable`` has their form. IAM lets an approver write only the partition of its own ``aws:userid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.hub_images import Tag, examine, no_tag
from ami_promoter.hub.records import Reader
from ami_promoter.hub.withdrawals import Withdrawn, counts_from
from ami_promoter.terminal.report import NotDone
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.table import wire
from chalicelib.images.arriving import ExaminedSource, arriving, kept
from chalicelib.images.family import family_of
from chalicelib.sharing.entitlement import USELESS, entitlement
from chalicelib.targets import approvals
from chalicelib.targets.applied_file import carried
from chalicelib.targets.approvals import Approval, Question
from chalicelib.targets.store.targets_table import BY_AMI


@dataclass(frozen=True, slots=True)
class QuestionSeen:
    """What an approver must approve, with facts that help to decide.

    ``arrives``: the targets ("account/region") that get the same, its family there, and what arrives
    (``images/arriving.py``). ``since``: what EC2 shows otherwise by now; that waits for a tag event.
    """

    question: Question
    name: str
    arrives: tuple[tuple[tuple[str, ...], str, Mapping[str, Any]], ...] = ()
    since: tuple[str, ...] = ()


def asked(connection: Connection, ami: str) -> QuestionSeen:
    """Return the question to an approver as the service will judge it.

    Raises NotDone if there is none; may raise HubError.
    """
    read = Tag(connection, ami).look()
    if read.value is None:
        raise no_tag(ami, connection.tag_key)
    if read.image_state in USELESS:
        what = f"it is {read.image_state}, so no account can get it."
        raise NotDone(Fault("ami-useless", ami, what, "Enable it, or tag another."))
    record = Reader(connection).promotion(ami)
    promotion = None if record is None else record.it
    last = promotion.value if promotion and promotion.file else None
    withdrawals = Withdrawn(connection, ami).read()
    counts = counts_from(promotion, read.value)
    entitled = entitlement(read.value, last, applied_file(connection), withdrawals, counts)
    if isinstance(entitled, Fault):
        raise NotDone(entitled)
    if not any(map(approvals.needs, entitled.targets.values())):
        return QuestionSeen(Question(ami, entitled.value), read.image_name)
    examined = Reader(connection).examined(ami, promotion.source if promotion else "")
    if examined is None and promotion and promotion.is_refused:
        raise NotDone(*promotion.faults)
    if examined is None:
        what = "the service has not examined it yet, so it is not known what would arrive."
        raise NotDone(Fault("not-examined", ami, what, f"Wait a minute; then see `ami-promoter status {ami}`."))
    found = approvals.question(ami, ExaminedSource(examined), entitled.value, entitled.targets.values())
    alike: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for place in sorted(found.targets):
        target = entitled.targets[place]
        alike.setdefault((carried(target), family_of(examined.tags, target.family_tag)), []).append(place)
    arrives = tuple((tuple(places), family, arriving(examined, keys)) for (keys, family), places in alike.items())
    live = examine(connection, ami)
    now = {} if live is None else arriving(kept(live[0], connection.tag_key), ["*"])
    since = [name for name, value in arriving(examined, ["*"]).items() if now and now[name] != value]
    return QuestionSeen(found, read.image_name, arrives, tuple(since))


def approve(connection: Connection, question: Question, seconds: int) -> int:
    """Write the approvals, valid for so many seconds; return their end (epoch seconds). May raise HubError."""
    at = int(connection.now())
    until = at + seconds
    requests = []
    for place, digest in sorted(question.targets.items()):
        key = addresses.approval(connection.user, question.ami, place)
        body = approvals.written(Approval(place, digest, at, until, connection.user))
        item = wire({"pk": key.pk, "sk": key.sk, BY_AMI: question.ami, "body": body})
        requests.append({"PutRequest": {"Item": item}})
    with connection.telling("approving (run the command again; it keeps what it has written)"):
        connection.write_operators(requests, "The targets that were written are approved.")
    return until
