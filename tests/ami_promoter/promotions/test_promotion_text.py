"""One promotion on a terminal."""

import io

from rich.console import Console

from ami_promoter.promotions import promotion_text
from ami_promoter.terminal.output import show

NOW = 1767603600


def a_delivery(number, state):
    """Build a delivery as `view` shows it."""
    return {
        "account": str(200000000000 + number),
        "region": "us-east-1",
        "state": state,
        "since": "-",
        "next_look": "-",
        "tries": 0,
        "image": "ami-0aaaaaaaaaaaaaaaa" if state == "delivered" else None,
        "key": None,
        "copies": [],
        "method": "snapshots",
        "method_why": "",
        "parked": "",
        "cancelled_because": "",
        "faults": [],
        "waits_for": None,
        "unprotected": None,
        "leftovers": [],
    }


def printed(deliveries, room):
    """Return the lines of a page."""
    data = {
        "ami": "ami-1",
        "name": "golden",
        "state": "running",
        "since": "-",
        "value": "dev",
        "candidate": None,
        "why": "",
        "parked": "",
        "approval": None,
        "withdrawn": {},
        "faults": [],
        "open_shares": [],
        "deliveries": deliveries,
    }
    out = io.StringIO()
    show(promotion_text.show(data, "here", NOW, room=room), Console(file=out, width=80))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_screen_shows_what_moves_of_a_thousand_targets():
    """What failed first, then what is under way; the rest is counted, and all of it fits."""
    states = {7: "failed", 500: "copying", 999: "registering"}
    deliveries = [a_delivery(n, states.get(n, "waiting" if n % 2 else "delivered")) for n in range(1000)]

    lines = printed(deliveries, 24)

    assert len(lines) < 24
    assert [line.split()[2] for line in lines[5:12]] == ["failed", "copying", "registering", *["waiting"] * 4]
    assert lines[-1] == "and 993 more targets: 499 delivered, 494 waiting"


def test_all_are_shown_where_they_fit():
    """And where it is no live view."""
    deliveries = [a_delivery(n, "delivered") for n in range(30)]

    assert sum("delivered" in line for line in printed(deliveries[:3], 24)) == 1 + 3
    assert sum("ami-0aaaaaaaaaaaaaaaa" in line for line in printed(deliveries, None)) == 30
