"""The page ``docs/reference/state-machines.md``: diagrams and tables, read off the code's own tables."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from chalicelib.delivery import machine as delivery_machine
from chalicelib.delivery import model as delivery_model
from chalicelib.delivery.model import ENDED
from chalicelib.engine.transitions import Row
from chalicelib.inventory import machine as inventory
from chalicelib.promotion import machine as promotion_machine
from chalicelib.promotion import model as promotion_model
from chalicelib.release import pointer
from chalicelib.sharing import machine as share_machine
from chalicelib.sharing import share

Transitions = Mapping[Any, Row[Any]]
Table = Mapping[str, Mapping[str, frozenset[str]]]
"""State -> what happens -> the states it may lead to."""

INTRO = """\
# State machines

<!-- Generated: tools/state_machine.py writes this page from the code's own tables (`make docs`). -->

*This page is generated from the code.*

Five kinds of records have states; a state is named for what it waits for.
For the engineer who follows a record: its states, events and next states.
An event that is missing from a state's rows is illegal there: the worker parks the record, with an alarm; of a share, whose resource is never parked, the message becomes a dead letter.
If an event has several next states, its content and the record decide.
The tables include events that keep the state; the diagrams leave them out.
[How it works](../explanation/how-it-works.md) explains the rest.
"""

DELIVERY = """
## Delivery

One source AMI on its way to one target.
Each phase is a file in `chalicelib/delivery/phases/`: its commands, events, what they change, what is left to do, its deadline and its rows of the table; `machine.py` gathers them.
A delivery that has begun something in the target (a copy, an AMI) goes through `stopping`; any other goes straight to `tidying`.
A delivery begins in `awaiting-wave` if its account has a wave, in `awaiting-approval` if its target needs an approval, else in `requested`; a failed, cancelled or withdrawn one that starts again does so as a new episode.
A recall begins an episode of a delivered one in `recalling`, and its lift one of a recalled one in `restoring`; in `publishing` if no look has shown the AMI.
"""

PROMOTION = """
## Promotion

One source AMI on its way to all its targets.
`chalicelib/promotion/machine.py` has its table and what is outstanding; `evolving.py` says what an event changes, and `wanted.py` who must have the AMI.
Whatever woke it, a promotion compares what is wanted with its deliveries; while both agree it rests in `running` or `over`.
`adjusting` is one pass: first the deliveries that must end, then the source's checks and the deliveries that must begin, then those whose wave opens.
"""

SHARE = """
## Share

One permission at the source for one account: an item of the ledger.
`chalicelib/sharing/machine.py` has its events and its table; `chalicelib/sharing/worker/share_worker.py` makes the calls.
"""

POINTER = """
## Pointer

The parameter in a target that names the current AMI of a family there ([how it works](../explanation/how-it-works.md#the-current-ami)).
`chalicelib/release/pointer.py` has states, events and commands.
"""

INVENTORY = """
## Inventory

The list of what the service created in one target, for `ami-promoter admin reconcile`, or of the target's settings, for `doctor`.
`chalicelib/inventory/machine.py` has states, events and commands.
"""

ENDING = ("stopping", "tidying")
"""The two ways out for trouble. Nearly every state leads to both, so the diagram draws them as one."""


def page() -> str:
    """Return the text of docs/reference/state-machines.md."""
    shares = {state: doc.rstrip(".") for state, doc in member_docs(share, "ShareState").items()}
    deliveries = member_docs(delivery_model, "DeliveryState")
    parts = [
        INTRO,
        DELIVERY,
        _section(delivery_machine.TRANSITIONS, {state: doc for state, doc in deliveries.items() if state not in ENDED}),
        PROMOTION,
        _section(promotion_machine.TRANSITIONS, member_docs(promotion_model, "PromotionState")),
        SHARE,
        _section(share_machine.TRANSITIONS, shares, "what that means"),
        POINTER,
        _section(pointer.TRANSITIONS, member_docs(pointer, "PointerState")),
        INVENTORY,
        _section(inventory.TRANSITIONS, member_docs(inventory, "InventoryState")),
    ]
    return "".join(parts)


def member_docs(module: ModuleType, enum: str) -> dict[str, str]:
    """Read what stands below each member of an enumeration: value -> its docstring."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum).body
    found = {}
    for member, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(member, ast.Assign) and isinstance(member.value, ast.Constant):
            doc = below.value if isinstance(below, ast.Expr) else None
            text = doc.value if isinstance(doc, ast.Constant) else ""
            found[str(member.value.value)] = " ".join(str(text).split()).replace("``", "`")
    return found


def _section(transitions: Transitions, docs: Mapping[str, str], column: str = "waits for") -> str:
    table = {
        state.value: {event.__name__: frozenset(to.value for to in edge.leads_to) for event, edge in row.items()}
        for state, row in transitions.items()
    }
    return f"\n{_diagram(table)}\n{_rows(table, docs, column)}\n### Its events\n{_events(transitions)}"


def _diagram(table: Table) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    inside = [state for state in ENDING if state in table]
    if inside:
        lines += ["    state ending {", f"        {' --> '.join(inside)}: {_label(table, *inside)}", "    }"]
    for state in table:
        both = inside and state not in inside and _label(table, state, inside[0]) == _label(table, state, inside[1])
        for to in table:
            label = _label(table, state, to)
            if state == to or not label or (both and to == inside[1]) or (state in inside and to in inside):
                continue
            lines.append(f"    {state} --> {'ending' if both and to == inside[0] else to}: {label}")
        if not table[state]:
            lines.append(f"    {state} --> [*]")
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def _label(table: Table, state: str, to: str) -> str:
    """Name the events that may lead from one state to another."""
    return ", ".join(event for event, after in table[state].items() if to in after)


def _rows(table: Table, docs: Mapping[str, str], column: str) -> str:
    text = f"| state | {column} | event | next |\n| --- | --- | --- | --- |\n"
    for state, row in table.items():
        waits = docs.get(state) or "nothing: it has ended"
        if not row:
            text += f"| `{state}` | {waits} | | |\n"
        for number, (event, after) in enumerate(row.items()):
            first = f"`{state}` | {waits}" if number == 0 else " | "
            text += f"| {first} | {event} | {', '.join(f'`{to}`' for to in table if to in after)} |\n"
    return text


def _events(transitions: Transitions) -> str:
    events = dict.fromkeys(event for row in transitions.values() for event in row)
    rows = (f"| {event.__name__} | {_summary(event)} |\n" for event in events)
    return "\n| event | what it says |\n| --- | --- |\n" + "".join(rows)


def _summary(event: type) -> str:
    """Take the whole docstring as one line."""
    return " ".join((inspect.getdoc(event) or "").replace("``", "`").split())
