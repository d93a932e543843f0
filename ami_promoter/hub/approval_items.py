"""The question to an approver about an AMI, and the approvals: an item for each target in the operators' table.

``TargetsTable`` has their form. IAM lets an approver write only the partition of its own ``aws:userid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub import source_checks
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.operators_table import write
from ami_promoter.hub.records import Reader
from ami_promoter.hub.source_checks import CallersSessions
from ami_promoter.hub.trigger_tag import no_such_ami
from ami_promoter.hub.withdrawals import Withdrawn, counts_from
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal
from chalicelib.engine.faults import Fault
from chalicelib.images.arriving import ExaminedSource, arriving, kept
from chalicelib.images.aws.hub_images import HubSource
from chalicelib.images.family import family_of
from chalicelib.images.ports import TagRead
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


def asked(connection: Connection, ami: str, tag_key: str) -> QuestionSeen | Fault:
    """Return the question to an approver as the service will judge it, or why there is none; may raise HubError."""
    source = HubSource(CallersSessions(connection), connection.account, connection.region, tag_key)
    try:
        read = source.tag(ami)
    except Refusal as refusal:
        raise HubError.of(refusal.fault) from refusal
    if useless := _useless(connection, ami, read, tag_key):
        return useless
    with connection.telling("reading the records"):
        record = Reader(connection).promotion(ami)
    promotion = None if record is None else record.it
    last = promotion.value if promotion and promotion.file else None
    withdrawals = Withdrawn(connection, ami).read()
    counts = counts_from(promotion, read.value)
    entitled = entitlement(read.value, last, applied_file(connection), withdrawals, counts)
    if isinstance(entitled, Fault):
        return entitled
    if not any(map(approvals.needs, entitled.targets.values())):
        return QuestionSeen(Question(ami, entitled.value), read.image_name)
    with connection.telling("reading the records"):
        examined = Reader(connection).examined(ami, promotion.source if promotion else "")
    if examined is None:
        what = "the service has not examined it yet, so it is not known what would arrive."
        return Fault("not-examined", ami, what, f"Wait a minute; then see `ami-promoter status {ami}`.")
    found = approvals.question(ami, ExaminedSource(examined), entitled.value, entitled.targets.values())
    alike: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for place in sorted(found.targets):
        target = entitled.targets[place]
        alike.setdefault((carried(target), family_of(examined.tags, target.family_tag)), []).append(place)
    arrives = tuple((tuple(places), family, arriving(examined, keys)) for (keys, family), places in alike.items())
    live = source_checks.examine(connection, ami, tag_key)
    now = {} if live is None else arriving(kept(live[0], tag_key), ["*"])
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
        item = {"pk": {"S": key.pk}, "sk": {"S": key.sk}, BY_AMI: {"S": question.ami}, "body": {"S": body}}
        requests.append({"PutRequest": {"Item": item}})
    with connection.telling("approving (run the command again; it keeps what it has written)"):
        write(connection, requests, "The targets that were written are approved.")
    return until


def _useless(connection: Connection, ami: str, read: TagRead, tag_key: str) -> Fault | None:
    if read.image_state is None or not read.owned:
        return no_such_ami(connection, ami)
    if read.value is None:
        what = f"it has no tag `{tag_key}`, so it is promoted to no account."
        return Fault("no-tag", ami, what, f"`ami-promoter status {ami}` shows what still runs.")
    if read.image_state in USELESS:
        return Fault(
            "ami-useless", ami, f"it is {read.image_state}, so no account can get it.", "Enable it, or tag another."
        )
    return None
