"""The verbs ``pause`` and ``resume``."""

from __future__ import annotations

import click

from ami_promoter.hub import pause_switch, record_requests
from ami_promoter.hub.aws import HubError
from ami_promoter.rights import LOOK_AGAIN, READ, READ_ALL, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import WHY, VerbCaller, admin, verb
from chalicelib.engine.faults import count

WHAT_IT_MEANS = "Nothing new starts; running deliveries continue. `ami-promoter admin resume` ends the pause."
PRINTS = js.thing(**js.HUB, changed=js.flag("whether this command changed the switch"), paused=pause_switch.SCHEMA)


@verb("pause", group=admin, needs=READ | SWITCH, prints=PRINTS, never=(Exit.FAULT,))
@click.option("--why", type=WHY, help="The reason; commands that show the pause show it, too.")
def pause(caller: VerbCaller, why: str | None) -> Report:
    """Start nothing new; running deliveries continue."""
    connection = caller.connect()
    changed = pause_switch.turn(connection, paused=True, why=why or "")
    found = pause_switch.read(connection) or {}
    explains = why is not None and why != found.get("why")
    if explains:
        pause_switch.explain(connection, why or "")
        found = {**found, "why": why}
    first = "Paused" if changed else "Already paused, for another reason now," if explains else "Already paused"
    data = {**connection.named, "changed": changed or explains, "paused": pause_switch.to_json(found)}
    return Report((f"{first} in {connection.place}: {pause_switch.said(found)}.", WHAT_IT_MEANS), data)


@verb("resume", group=admin, needs=READ_ALL | SWITCH | LOOK_AGAIN, prints=PRINTS, never=(Exit.FAULT,))
def resume(caller: VerbCaller) -> Report:
    """End the pause."""
    connection = caller.connect()
    changed = pause_switch.turn(connection, paused=False, why="")
    data = {**connection.named, "changed": changed, "paused": None}
    if not changed:
        return Report((f"Nothing to do: promotions are not paused in {connection.place}.",), data)
    try:
        waited = record_requests.resumed(connection)
    except HubError as refused:  # what waits looks by itself
        return Report((f"Resumed in {connection.place}.",), data, warnings=(str(refused),))
    return Report((f"Resumed in {connection.place}. What waited goes on now: {count(waited, 'record')}.",), data)
