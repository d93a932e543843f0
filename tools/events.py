"""The page docs/reference/events.md: events in, notices out, with examples that the service's own code makes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from inspect import getsource, isfunction, signature
from itertools import product
from pathlib import Path
from typing import Any

from chalice.app import CloudWatchEventConfig
from samtranslator.yaml_helper import yaml_parse

from app import app
from chalicelib.delivery import model
from chalicelib.delivery.model import Copy, CopyState, Delivery, DeliveryState, Naming, NewImage, Recalled, Snapshot
from chalicelib.delivery.outcomes import OUTCOMES
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import notices
from chalicelib.engine.faults import MOST_FAULTS, Fault
from chalicelib.engine.notices import NoticeKind
from chalicelib.promotion.model import Promotion
from chalicelib.promotion.wave_counts import WaveCount
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.approvals import Asked
from chalicelib.targets.difference import difference, loosened
from chalicelib.targets.notices import FileChange
from chalicelib.targets.waves import Wave
from tools.code_tables import documented
from tools.state_machine import member_docs

ROOT = Path(__file__).resolve().parent.parent
CHAT = ROOT / "deploy" / "chat.yaml"
HUB, TARGET, OTHER, REGION = "111111111111", "222222222222", "333333333333", "us-east-1"
NOW = 1_767_605_629
NAMES = {TARGET: "dev"}
AMI, COPIED = "ami-0ce162caf79a45e67", "ami-0da3bf3ff26014a75"
SNAPSHOT, SNAPSHOT_COPY = "snap-017862c1988311ae0", "snap-022e230b441796263"

_ROOMS = tuple(
    import_module(f"chalicelib.{path.parent.name}.notices")
    for path in sorted((ROOT / "chalicelib").glob("*/notices.py"))
)
_OUTCOMES: Mapping[str, NoticeKind] = {state: row.notice for state, row in OUTCOMES.items()}
KINDS: Mapping[str, NoticeKind] = {kind.event: kind for kind in _OUTCOMES.values()} | {
    kind.event: kind for room in _ROOMS for kind in vars(room).values() if isinstance(kind, NoticeKind)
}
"""Every kind of notice: of a delivery's outcomes, and the rows of all rooms."""
_MEANS = {
    vars(room)[name].event: text
    for room in _ROOMS
    for name, text in documented(ast.parse(getsource(room)).body)
    if isinstance(vars(room)[name], NoticeKind)
} | {_OUTCOMES[state].event: text for state, text in member_docs(model, "DeliveryState").items() if state in _OUTCOMES}
"""What a kind means: the docstring below its row, or below the state of its outcome."""
_BUILDERS = tuple(
    one for room in _ROOMS for one in vars(room).values() if isfunction(one) and "now" in signature(one).parameters
)
"""The functions that build a notice: it says when it was made."""

_LISTED = f"list of text, at most {notices.MAX_LISTED}"
FIELDS: Mapping[str, tuple[str, str]] = {
    "schema": (
        "number",
        "Version of this schema, 1. It rises when a field changes its meaning or is removed, not when one is added.",
    ),
    "id": ("text", "The same for every repeat of this notice: use it to recognize repeats."),
    "event": ("text", "What happened; one of the kinds on this page."),
    "at": ("number", "When the notice was made, in epoch seconds. A repeat can have another time."),
    "delivery": ("text", "Id of the delivery: always the same for this AMI and this target."),
    "episode": ("number", "1 for the first try, one more for each further one, and for a recall and its lift."),
    "hub": ("text", "Account in which the AMI was tagged."),
    "source_image": ("text", "The tagged AMI."),
    "source_name": ("text", "Its name."),
    "account": ("text", "The target's account."),
    "region": ("text", "The target's Region."),
    "account_name": ("text", "What the targets file calls the account (`name`); absent if it has no name there."),
    "groups": (
        "list of text",
        "Groups of the tag's value that have this account; empty if the value has the account's id.",
    ),
    "image_name": ("text", "Name of the new AMI."),
    "outcome": (
        "text",
        f"{', '.join(dict.fromkeys(f'`{outcome}`' for kind in KINDS.values() for outcome in kind.said))}.",
    ),
    "image": (
        "text or null",
        "The AMI in the target (of a shared one the hub's); null unless delivered, shared or recalled.",
    ),
    "key": (
        "text or null",
        "ARN of the key that a launch needs: the target's, or in share mode the hub's; null if it was never found.",
    ),
    "copies": (
        "list",
        "Source snapshots and their copies as last known; after a failure the service deletes them, except leftovers.",
    ),
    "plain": (
        "object",
        "What chats and mails show: `name` of the AMI, `said` (the outcome within a sentence), `place` (the account, with its name), `what` and `cure` of the first fault. Plain text that cannot end a span of code in markdown.",
    ),
    "faults": (
        "list",
        f"What is wrong: `code`, `where`, `what`, `cure`; at most {MOST_FAULTS}; last `more` if there are others.",
    ),
    "protected": (
        "true, false or null",
        "Whether the new AMI has deregistration protection; null with `protect: false`, or if it is not delivered.",
    ),
    "unprotected": ("fault or null", "Why it has none, though it should: `code`, `where`, `what`, `cure`."),
    "family": ("text or null", "The source's family, as its tag names it; null: it has none."),
    "pointer": (
        "object or null",
        "The `parameter` of the family in the target, the AMI that it names (`image`), the source at which a rollback holds it, by whom and why (`pinned`) and its `fault`, each or null; null if there is no parameter, or the AMI does not stand there. If `image` is not this AMI, another one is current.",
    ),
    "recall": (
        "object or null",
        "Who recalled the AMI (`by`), `why`, and whether it was `disabled` in the target; null unless it was recalled.",
    ),
    "leftovers": (
        "list of text",
        "What the service made in the target and could not remove, and what has its tags without a recorded nonce.",
    ),
    "seconds": ("number", "From the delivery's start to this notice."),
    "value": ("text or null", "The tag's value; in a summary the one in force, null once the tag is removed."),
    "counts": ("object", "How many deliveries last ended as `delivered`, `failed`, `cancelled`, `recalled` and so on."),
    "deliveries": (
        "list",
        f"Each with account, Region, outcome, AMI; at most {notices.MAX_LISTED}, delivered ones last.",
    ),
    "images": ("list of text", f"AMIs that were tagged before the service first looked; at most {notices.MAX_LISTED}."),
    "why": ("text", "Why the service does nothing with the AMI, or the AMIs, and what to do."),
    "digest": ("text", "Digest of what waits for an approval: AMI, snapshots, value, settings and targets."),
    "approve": ("text", "The command that approves what has this digest."),
    "after": ("text", "The group in which deliveries failed: `targets` names these, and `groups` who waits for it."),
    "retry": (
        "text or null",
        "The command that tries again what failed, after it has been repaired; null if nothing failed.",
    ),
    "there": ("number", "How many targets own the AMI or may launch it."),
    "targets": (
        "list",
        f"Targets that wait for an approval, each with account and Region; at most {notices.MAX_LISTED}.",
    ),
    "approved_by": (
        "text or null",
        "`aws:userid` of the approver, such as `AROAEXAMPLE:jane`; null if the target needs no approval, or has none.",
    ),
    "version": ("text", "The version of the applied file: its number and a digest."),
    "before": ("text", "The version with which it was compared: the last one that people were notified of."),
    "applied_at": ("text", "When it was applied, in ISO 8601: what the version itself says."),
    "applied_by": ("text", "ARN of the person who applied it: what the version itself says."),
    "claimed": ("true", "Nothing proves `applied_at` and `applied_by`: who writes the table can write them."),
    "compared": ("true or false", "Whether both versions could be read; if not, the lists are empty."),
    "added": (_LISTED, "Targets that the file lists and did not list before."),
    "removed": (_LISTED, "Targets that it no longer lists."),
    "changed": (_LISTED, "Targets, and groups with OUs (GROUP/REGION), whose settings it changes."),
    "changed_groups": (_LISTED, "Groups that are new, gone or have other members."),
    "settings": (_LISTED, "Names of the settings that it changes."),
    "loosened": (
        "list",
        f"At most {notices.MAX_LISTED} settings that ask for less, each with `where`, `setting`, `before`, `after`.",
    ),
    "unlisted": ("number", "How many entries the lists in this notice leave out."),
}
"""Every field of a notice: type and meaning. A field without a line here fails the page, and so the checks."""

INTRO = """\
# Events and notices

<!-- Generated: tools/events.py writes this page from the templates and from the notices of each room of chalicelib (`make docs`). -->

*This page is generated from the code.*

For those who consume notices, or follow an event into the service.

## Events in

An event is a reason to look: the function that receives it sends a wake, and `worker` asks AWS.
A lost, repeated, late or forged event changes only how soon a worker looks; a forged tag event also begins failed deliveries again, for targets that the tag still names.
Account and Region come from the envelope, ids from the text after the last `/` of an ARN.
`app.py` (hub) and `deploy/target.yaml` (target) contain the patterns.
The samples follow AWS's documentation and were not recorded in a live account; [assumptions](../explanation/assumptions.md#3-the-events-come-as-documented) says what is not proven.
"""

OUT = f"""
## Events out

Each notice goes to the SNS topic `ami-promoter-REGION-notices` and, with the same body, to the event bus of that name.
A subscription of protocol `email` receives a [mail](../guide/notices.md#e-mail) instead of the body; every other one receives the body.
Only `worker` can publish to the topic or put events on the bus: their policies deny it to every other principal, administrators of the hub's account included.
On the bus `source` is `ami-promoter`, and `detail-type` is the notice's `event`.
The service sends it at least once: a crash can double it, and `id` identifies the repeat.
One exception: if AWS refuses a delivery's last notice for three hours, the service gives it up, so that the delivery can end.
The service cuts lists as the table says, and each text of a fault at {notices.MAX_TEXT} characters.
The service's own code made the examples below.

**A notice proves nothing about an AMI.**
Before you launch or approve an AMI because of a notice, look at the AMI (`aws ec2 describe-images --image-ids IMAGE`).
Its `OwnerId` must be your own account; with `mode: share`, the hub's.
If it is your own, its tags `ami-promoter:hub` and `ami-promoter:source-image` must name the notice's hub and AMI.
Everybody who can tag in your account can write such tags.
So reserve the right to write keys that begin with `ami-promoter:` for the copy role, with `deploy/guardrails.yaml`.

| field | type | meaning |
| --- | --- | --- |
"""

FILTERS = """
### Message attributes

SNS sends these beside the body, so that a team can subscribe to its own notices by a filter policy.
An empty attribute is left out.
Filter mails by attributes, too: a filter policy on the body (`FilterPolicyScope`) would read the mail, which is no JSON.

| attribute | type | value |
| --- | --- | --- |
| `event` | String | as in the body |
| `outcome` | String | as in the body |
| `account` | String | as in the body; notices of a promotion have none |
| `region` | String | as in the body; notices of a promotion have none |
| `group` | String.Array | the body's `groups`; a filter matches if any of them matches. A function receives the JSON as a String |
| `image_name` | String | the **source** AMI's name (the body's `source_name`) |

"""

AFTER_FILTERS = """
For the event bus, write the same as an event pattern:

```json
{"source": ["ami-promoter"], "detail-type": ["delivery.failed"], "detail": {"account": ["222222222222"]}}
```
"""

FILTER_POLICIES: Mapping[str, Mapping[str, Any]] = {
    "What my account can use": {"event": ["delivery.delivered", "delivery.shared"], "account": [TARGET]},
    "What my account loses": {"event": ["delivery.withdrawn", "delivery.recalled"], "account": [TARGET]},
    "Everything of a group": {"group": ["prod"]},
    "What a person must look at": {
        "event": ["delivery.failed", "delivery.waiting-for-role", "promotion.wave-stopped", "promotion.refused"]
    },
    "What an approver must look at": {"event": ["promotion.awaiting-approval"]},
    "One build's images": {"event": ["delivery.delivered"], "image_name": [{"prefix": "golden-"}]},
}
"""Examples: what it is for, and the filter policy."""


def samples() -> dict[str, dict[str, Any]]:
    """Return an event of each kind that the service takes, drawn after AWS's documentation."""
    return {
        "tag-change": _sample(
            "aws.tag",
            "Tag Change on Resource",
            HUB,
            [f"arn:aws:ec2:{REGION}::image/{AMI}"],
            {
                "changed-tag-keys": ["promote"],
                "tags": {"Name": "golden", "promote": f"dev {OTHER}"},
                "service": "ec2",
                "resource-type": "image",
                "version": 3,
            },
        ),
        "hub-image-state": _image_state(HUB, AMI),
        "copy-ended": _sample(
            "aws.ec2",
            "EBS Snapshot Notification",
            TARGET,
            [f"arn:aws:ec2::{REGION}:snapshot/{SNAPSHOT_COPY}"],
            {
                "event": "copySnapshot",
                "result": "succeeded",
                "cause": "",
                "request-id": "",
                "snapshot_id": f"arn:aws:ec2::{REGION}:snapshot/{SNAPSHOT_COPY}",
                "source": f"arn:aws:ec2::{REGION}:snapshot/{SNAPSHOT}",
                "startTime": "2026-01-05T09:01:12Z",
                "endTime": "2026-01-05T09:31:40Z",
                "incremental": "false",
                "transferType": "standard",
            },
        ),
        "target-image-state": _image_state(TARGET, COPIED),
    }


def examples(name: str = "golden-2026-01", aws_says: str = "…") -> dict[str, dict[str, Any]]:
    """Return a notice of each kind, as the code makes it. ``name``: the AMI's; ``aws_says``: AWS's own message.

    The rooms' functions that build notices receive examples of their parameters, by the parameters' names.
    """
    known, made = _arguments(name, aws_says), dict[str, dict[str, Any]]()
    for build in _BUILDERS:
        for arguments in product(*(known.get(one, ()) for one in signature(build).parameters)):
            notice = build(*arguments)
            made.setdefault(notice["event"], notice)
    return {kind: notices.with_plain(made[kind], NAMES) for kind in KINDS if kind in made}


def _arguments(name: str, aws_says: str) -> dict[str, tuple[Any, ...]]:
    """Return examples of what notices are built from, by the parameter's name."""
    delivery = replace(_delivery(), source_name=name)
    gone = Fault(
        "copy-failed",
        delivery.where,
        f"The copy {SNAPSHOT_COPY} of {SNAPSHOT} ended in error: {aws_says}",
        f"See {aws_says}",
    )
    role = Fault(
        "role-not-assumable",
        f"arn:aws:iam::{TARGET}:role/AmiCopyRole",
        f"AssumeRole was refused: AccessDenied: {aws_says}",
        f"The role is missing there, or its trust or external id does not fit: {aws_says}",
    )
    sharing = replace(delivery.target, mode="share")
    key = f"arn:aws:kms:{REGION}:{HUB}:key/7a1f0c55-9a40-4c0b-8f6f-2f1f3c1f0a77"
    source = (Snapshot(SNAPSHOT, key),)
    shared = replace(
        delivery,
        target=sharing,
        image=NewImage(),
        naming=replace(delivery.naming, shows=AMI),
        key_arn="",
        snapshots=source,
        copies=(),
        state=DeliveryState.SHARED,
    )
    operator = f"arn:aws:sts::{HUB}:assumed-role/operators/jane"
    why = "It does not boot with Nitro." if aws_says == "…" else aws_says
    recalled = replace(
        _ended(delivery, DeliveryState.RECALLED),
        image=delivery.image,
        recall=Recalled(operator, why, done=True, disabled=True),
    )
    word = Fault("unknown-group", "value of the trigger tag", "no group 'dve' is in the file.", "Write dev.")
    value = f"dev {OTHER}" if aws_says == "…" else aws_says
    promotion = Promotion(AMI, HUB, REGION, episode=1, value=value, image_name=name, faults=(word,))
    promotion = replace(promotion, refused_value="dve")
    tracked = (
        TrackedDelivery(delivery.id, TARGET, REGION, 1, "delivered", COPIED),
        TrackedDelivery("57acc6ddc6fcc2e15da0", OTHER, REGION, 1, "failed"),
    )
    return {
        "now": (NOW,),
        "hub": (HUB,),
        "region": (REGION,),
        "delivery": (
            replace(delivery, last_refusal=role),
            _ended(delivery, DeliveryState.FAILED, gone),
            _ended(delivery, DeliveryState.CANCELLED),
            shared,
            _ended(shared, DeliveryState.WITHDRAWN),
            recalled,
        ),
        "promotion": (promotion,),
        "tracked": (tracked,),
        "asked": (Asked("8d7e" * 8),),
        "places": ([f"{OTHER}/{REGION}"],),
        "of": (WaveCount(Wave("dev", 86400), failed=tracked[1:], succeeded=1),),
        "groups": (["qa"],),
        "waiting": ([f"{TARGET}/{REGION}"],),
        "change": (_file_change(),),
        "images": ([AMI],),
        "count": (1,),
    }


def chat() -> str:
    """Return the text of deploy/chat.yaml; each rule takes the kinds of notices whose rows name it."""
    text = CHAT.read_text(encoding="utf-8")
    for rule in {kind.chat for kind in KINDS.values()} - {""}:
        kinds = ", ".join(kind.event for kind in KINDS.values() if kind.chat == rule)
        text = re.sub(rf"(?s)(\n  {rule}:.*?\n        detail-type: )\[.*?\]", rf"\1[{kinds}]", text, count=1)
    return text


def patterns() -> dict[str, dict[str, Any]]:
    """Read the event patterns: name of the rule -> its pattern, the trigger tag's key at its default."""
    hub = {one.name: one.event_pattern for one in app.event_sources if isinstance(one, CloudWatchEventConfig)}
    found = {name: hub[function] for name, (function, _, _) in RULES.items()}
    target = yaml_parse((ROOT / "deploy" / "target.yaml").read_text(encoding="utf-8"))["Resources"]
    found |= {name: target[rule]["Properties"]["EventPattern"] for name, rule in FORWARDED.items()}
    filled: dict[str, dict[str, Any]] = _fill(found, {"AWS::AccountId": TARGET})
    return filled


RULES: Mapping[str, tuple[str, str, str]] = {
    "tag-change": ("on-tag-change", "The tag was written, changed or removed", "the hub's default bus"),
    "hub-image-state": ("on-image-state", "An AMI of the hub changed its state", "the hub's default bus"),
    "copy-ended": ("on-target-event", "A copy in a target has ended", "the inbound bus"),
    "target-image-state": ("on-target-event", "An AMI in a target changed its state", "the inbound bus"),
}
"""Sample's name -> function in app.py, what has happened, and the bus on which it arrives."""

FORWARDED = {"forward-copy-ended": "CopyEnded", "forward-image-state": "ImageState"}
"""The rules of deploy/target.yaml, which pass events on to the inbound bus."""

EFFECTS = {
    "tag-change": "The promotion of that AMI looks; an older `version` than one received before changes nothing.\n"
    "The service never promotes an AMI with the tag `ami-promoter:delivery`, which it made itself; one notice says so.",
    "hub-image-state": "A promotion that waits for its AMI to be `available` continues.",
    "copy-ended": "The delivery that copies `source` there looks: at once if `result` is not `succeeded`, otherwise when an event has come for each of its copies.",
    "target-image-state": "The delivery that made this AMI looks.",
}


def page() -> str:
    """Return the text of docs/reference/events.md."""
    return "".join((INTRO, *_events_in(), OUT, *_fields(), *_notices(), FILTERS, *_filters(), AFTER_FILTERS))


def _events_in() -> Iterator[str]:
    found, drawn = patterns(), samples()
    for name, (function, title, bus) in RULES.items():
        yield f"\n### {title}\n\n`{function}` receives it on {bus}.\n{EFFECTS[name]}\n"
        forwarded = found.get(f"forward-{name.removeprefix('target-')}")
        if forwarded is not None:
            yield f"\nThe target forwards it by this pattern:\n\n{_json(forwarded)}"
        yield f"\nPattern:\n\n{_json(found[name])}\nSample:\n\n{_json(drawn[name])}"


def _fields() -> Iterator[str]:
    used = {name for notice in examples().values() for name in notice}
    for name in dict.fromkeys((*FIELDS, *used)):
        kind, meaning = FIELDS[name]
        yield f"| `{name}` | {kind} | {meaning} |\n"


def _notices() -> Iterator[str]:
    for event, notice in examples().items():
        attributes = ", ".join(f"`{name}` = `{value}`" for name, value in notices.attributes(notice).items())
        yield f"\n### `{event}`\n\n{_MEANS[event]}\n\n{_json(notice)}\n"
        yield f"Subject: `{notices.subject(notice)}`\n\nMessage attributes: {attributes}\n"


def _filters() -> Iterator[str]:
    yield "| wanted | filter policy |\n| --- | --- |\n"
    for wanted, policy in FILTER_POLICIES.items():
        yield f"| {wanted} | `{json.dumps(policy)}` |\n"


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    short = re.sub(r'\[\s+("[^"]*"(?:,\s+"[^"]*")*)\s+\]', lambda found: f"[{' '.join(found[1].split())}]", text)
    return f"```json\n{short}\n```\n"


def _fill(value: Any, known: Mapping[str, str]) -> Any:
    """Put values in place of ``!Ref``."""
    if isinstance(value, Mapping):
        if set(value) == {"Ref"}:
            return known[value["Ref"]]
        return {key: _fill(entry, known) for key, entry in value.items()}
    return [_fill(entry, known) for entry in value] if isinstance(value, list) else value


def _delivery() -> Delivery:
    return Delivery(
        id="b1e2dc7738a6af9492df",
        hub=HUB,
        ami=AMI,
        target=Target(TARGET, REGION),
        episode=1,
        created_at=NOW - 1936,
        image_name=f"golden-2026-01-{AMI}",
        snapshots=(),
        source_name="golden-2026-01",
        groups=("dev",),
        state=DeliveryState.PUBLISHING,
        key_arn=f"arn:aws:kms:{REGION}:{TARGET}:key/03c20e21-0382-45f5-9427-fb8a59b0c90f",
        copies=(Copy(SNAPSHOT, CopyState.COMPLETED, SNAPSHOT_COPY, tries=1),),
        image=NewImage(COPIED),
        naming=Naming("golden", "/golden/golden/current", NOW - 20, done=True, shows=COPIED),
    )


def _file_change() -> FileChange:
    """An approval is taken away from a target."""
    target = Target(OTHER, REGION, approval="required")
    before, after = ({OTHER: (replace(target, approval=one),)} for one in ("required", "none"))
    files = Directory({"prod": (OTHER,)}, before), Directory({"prod": (OTHER,)}, after)
    by = f"arn:aws:sts::{HUB}:assumed-role/operators/jane"
    versions = ("00000006#6d4c1f0e", "00000007#2b9e77aa")
    return FileChange(*versions, by, "2026-01-05T09:33:49Z", difference(*files), loosened(*files, ()))


def _ended(delivery: Delivery, ending: DeliveryState, *faults: Fault) -> Delivery:
    return replace(delivery, state=DeliveryState.TIDYING, ending=ending, image=NewImage(), faults=faults)


def _image_state(account: str, image: str) -> dict[str, Any]:
    detail = {"RequestId": "req-EXAMPLE", "ImageId": image, "State": "available", "ErrorMessage": ""}
    return _sample("aws.ec2", "EC2 AMI State Change", account, [f"arn:aws:ec2:{REGION}::image/{image}"], detail)


def _sample(source: str, kind: str, account: str, resources: list[str], detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "6f1a2c0e-0000-4000-8000-000000000001",
        "detail-type": kind,
        "source": source,
        "account": account,
        "time": "2026-01-05T09:32:00Z",
        "region": REGION,
        "resources": resources,
        "detail": detail,
    }
