"""A target's settings, as ``worker`` reads them under the copy role for `ami-promoter doctor`.

They are facts; the command line judges them, by the functions that check a target before a delivery (``preflight``,
``kms_keys``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chalicelib.delivery.instances import LaunchSite
from chalicelib.engine.faults import Fault
from chalicelib.images.keys import KeyFacts

LAUNCHES = "launch test"
"""Stands for the calls of the launch role in ``TargetSeen.refused``."""
Facet = Literal["key", "roles", "events", "settings"]
FACETS: tuple[Facet, ...] = ("key", "roles", "events", "settings")
"""The parts that are read, one after the other: each asks another AWS service, or needs other rights."""


def rule_names(hub: str, hub_region: str) -> tuple[str, str]:
    """Return the names of the rules by which a target forwards its events to a hub, as in deploy/target.yaml."""
    return f"ami-promoter-{hub}-{hub_region}-copies", f"ami-promoter-{hub}-{hub_region}-images"


@dataclass(frozen=True, slots=True)
class ForwardingRule:
    """A rule that forwards events to the hub."""

    name: str
    state: str
    """EventBridge's word: ENABLED or DISABLED."""
    buses: tuple[str, ...] = ()
    """ARNs of its targets."""
    roles: tuple[str, ...] = ()
    """ARNs of the roles that it uses for these."""


@dataclass(frozen=True, slots=True)
class AllowedImages:
    """One criterion of Allowed AMIs."""

    providers: tuple[str, ...] = ()
    """Accounts and aliases whose AMIs meet it; empty: any."""
    narrower: bool = False
    """Whether it has further conditions, such as a name or an age."""


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """What was read. A member that was not read has its default, and ``refused`` says why, by the call's name."""

    key: KeyFacts | None = None
    key_policy: str = ""
    """Text of the key's policy; "" if it was not read."""
    allows: tuple[str, ...] = ()
    """The actions that the copy role's own policy allows; empty if it was not read."""
    parameters: tuple[str, ...] = ()
    """Patterns of the parameters that it lets a pointer write."""
    launch: LaunchSite | None = None
    """Where a launch test can run, if the target has one."""
    missing_roles: tuple[str, ...] = ()
    """As the port ``TargetRoles`` names them."""
    rules: tuple[ForwardingRule, ...] = ()
    encrypts_by_default: bool | None = None
    default_key: str = ""
    """The key that EBS uses if a call names none."""
    snapshots_public: str = ""
    """State of block public access for snapshots, in EC2's words."""
    images_public: str = ""
    """The same for AMIs."""
    allowed_images: str = ""
    """State of Allowed AMIs; "" if it was not read, because it does not matter."""
    allowed_by: tuple[AllowedImages, ...] = ()
    """Its criteria, of which an AMI must meet one."""
    allowed_by_policy: bool = False
    """Whether a declarative policy of the organization sets them, so that the account cannot."""
    refused: Mapping[str, Fault] = field(default_factory=dict)
