"""Promotions as `promotion_data.page` returns them, for what is printed or drawn of them."""


def a_delivery(account, state, **changes):
    """Build a delivery; one that was delivered has an image of its own."""
    made = {
        "account": account,
        "region": "us-east-1",
        "state": state,
        "since": "-",
        "next_look": "-",
        "tries": 0,
        "image": "ami-0aaaaaaaaaaaaaaaa" if state == "delivered" else None,
        "family": "",
        "pointer": None,
        "key": None,
        "copies": [],
        "method": "snapshots",
        "method_why": "",
        "parked": "",
        "cancelled_because": "",
        "recall": None,
        "launch_test": None,
        "faults": [],
        "waits_for": None,
        "unprotected": None,
        "without_roles": None,
        "leftovers": [],
    }
    return made | changes


def a_page(deliveries, **changes):
    """Build a running promotion."""
    data = {
        "ami": "ami-1",
        "name": "golden",
        "state": "running",
        "outcome": "",
        "since": "-",
        "value": "dev",
        "candidate": None,
        "seen_value": "dev",
        "looks_again": False,
        "refused": False,
        "why": "",
        "parked": "",
        "approval": None,
        "withdrawn": {},
        "recall": None,
        "waves": [],
        "faults": [],
        "open_shares": [],
        "deliveries": deliveries,
    }
    return data | changes
