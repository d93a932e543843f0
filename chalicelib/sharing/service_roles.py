"""A target's service-linked roles ("SERVICE/NAME"), which get grants on a key: what to do if one is missing."""

from __future__ import annotations

import re

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import last_part


def creates(role: str) -> str:
    """Return the command that makes a service-linked role."""
    service, suffix = role.removesuffix(f"/{last_part(role)}"), re.search("_(.+)", last_part(role))
    named = f" --custom-suffix {suffix[1]}" if suffix else ""
    return f"aws iam create-service-linked-role --aws-service-name {service}{named}"


def missing(where: str, role: str) -> Fault:
    """Return the fault of a target without this service-linked role."""
    name = last_part(role)
    return Fault(
        "service-linked-role-missing",
        where,
        f"The account has no service-linked role {name}, to which the key is to be granted.",
        f"Make it there ({creates(role)}), or take it out of "
        "`service_linked_roles` in the targets file; then tag the AMI again.",
    )
