"""What `reconcile` knows about one hub: plain values, which ``view_reading`` reads and ``findings`` compares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ami_promoter.hub.receivers import Receivers
from ami_promoter.hub.records import OPEN_STATES, Record
from ami_promoter.reconcile.sharing_trail import Change
from chalicelib.core.faults import Fault
from chalicelib.core.records import addresses
from chalicelib.core.sharing.grant_names import ROLE_PATH
from chalicelib.core.sharing.share import TRIES_BEFORE_ALARM, Holding
from chalicelib.core.targets.inventory import OwnImage, OwnSnapshot
from chalicelib.core.targets.seen import TargetSeen

Place = tuple[str, str]
"""Account and Region."""


@dataclass(frozen=True, slots=True, order=True)
class SourceFacts:
    """A snapshot or AMI of the hub. ``region``: where it is; "" is the hub's own Region."""

    id: str
    region: str = ""

    def __str__(self) -> str:
        """As a message shows it."""
        return f"{self.id} in {self.region}" if self.region else self.id

    @property
    def is_image(self) -> bool:
        """Whether it is an AMI."""
        return self.id.startswith("ami-")

    @property
    def resource(self) -> str:
        """The ledger's name of its permissions."""
        if self.is_image:
            return addresses.image_resource(self.id).pk
        return addresses.snapshot_resource(self.id, self.region).pk


def source_of(resource: str) -> SourceFacts | None:
    """Return the snapshot or AMI that a resource of the ledger is about; None for a key."""
    if not resource.startswith(("resource#snapshot#", "resource#image#")):
        return None
    name, _, region = resource.split("#", 2)[2].partition("@")
    return SourceFacts(name, region)


@dataclass(frozen=True, slots=True)
class LedgerShare:
    """One share in the ledger. Times are epoch seconds, 0: unknown; a grant's name contains ``intended_at``."""

    resource: str
    share_name: str
    account: str
    state: str
    preexisting: bool = False
    intended_at: int = 0
    grant_id: str = ""
    opened_at: int = 0
    version: int = 0
    fault: str = ""
    tries: int = 0
    """Number of tries of the current step that did not complete it."""
    holdings: tuple[Holding, ...] = ()

    @property
    def is_going(self) -> bool:
        """Whether it is closing, which takes some minutes, without trouble so far."""
        return self.state == "closing" and not self.fault and self.tries < TRIES_BEFORE_ALARM

    @property
    def kind(self) -> str:
        """Kind of the permission: snapshot, image, key, policy or role."""
        return addresses.resource_kind(self.resource)

    @property
    def key(self) -> str:
        """ARN of the KMS key that it is for; "" for a snapshot or AMI."""
        return addresses.key_of(self.resource)

    @property
    def may_be_open(self) -> bool:
        """Whether its permission may exist."""
        return self.state in OPEN_STATES

    @property
    def stands(self) -> bool:
        """Whether it is open for longer than copies run."""
        return self.state == "open" and any(holding.stands for holding in self.holdings)

    @property
    def receiver(self) -> str:
        """The receiver: an account id or, for an AMI, possibly the ARN of an OU or organization."""
        return self.share_name if self.kind == "image" else self.account

    @property
    def on_targets_key(self) -> bool:
        """Whether it is a grant on a target's own key for that target's own service-linked role, so no share."""
        return addresses.at_home(self.resource)

    def __str__(self) -> str:
        """What is open, for a message."""
        source = source_of(self.resource)
        if source is not None:
            return f"{'launch permission of' if source.is_image else 'snapshot'} {source}"
        return f"{'statement in the policy of' if self.kind == 'policy' else 'grant on'} {self.key}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant on a key of the hub with the service's name. A standing one has no ``delivery``."""

    key_arn: str
    id: str
    delivery: str
    intended_at: int
    account: str
    grantee: str

    @property
    def resource(self) -> str:
        """The ledger's resource for it."""
        place = addresses.role_resource if ROLE_PATH in self.grantee else addresses.key_resource
        return place(self.key_arn, self.account).pk

    @property
    def share_name(self) -> str:
        """The ledger's name of its share."""
        if self.delivery:  # a grant to copy by is for one delivery and role, or as a fallback the account's root
            return f"{self.delivery}-{re.split('[:/]', self.grantee)[-1]}"
        return self.grantee.partition(ROLE_PATH)[2] or self.account


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """The service's statements for one access of one account in a key's policy.

    ``principal`` is the ARN that they admit; ``complete``: all statements of the access are there.
    """

    key_arn: str
    share_name: str
    account: str
    principal: str
    complete: bool = True

    @property
    def resource(self) -> str:
        """The ledger's resource for it."""
        return addresses.policy_resource(self.key_arn).pk


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What the service created in one target, or (``seen``) its settings. ``fault``: why it could not be read."""

    images: tuple[OwnImage, ...] = ()
    snapshots: tuple[OwnSnapshot, ...] = ()
    seen: TargetSeen | None = None
    fault: Fault | None = None

    @property
    def trouble(self) -> str:
        """The fault as a sentence; "" if there is none."""
        return f"{self.fault.what} {self.fault.cure}".strip() if self.fault else ""


@dataclass(frozen=True, slots=True)
class HubView:
    """Everything that was read, at ``now`` (epoch seconds)."""

    now: int
    hub: str
    items: Mapping[tuple[str, str], Record] = field(default_factory=dict)
    """Records and tracked deliveries by (pk, sk): those under way, and those that another member names."""
    ledger: Mapping[tuple[str, str], LedgerShare] = field(default_factory=dict)
    """(resource, share_name) -> share: those that may be open or are held, and those that another member names."""
    permissions: Mapping[SourceFacts, frozenset[str]] = field(default_factory=dict)
    """Accounts and, for an AMI, OUs and organizations; "all" if it is public. Absent: not read."""
    grants: tuple[Grant, ...] = ()
    statements: tuple[PolicyStatement, ...] = ()
    granted_keys: frozenset[str] = frozenset()
    """Keys whose grants were read to the end."""
    policy_keys: frozenset[str] = frozenset()
    """Keys whose policy was read."""
    changes: Mapping[tuple[SourceFacts, str], Change] = field(default_factory=dict)
    """(snapshot or AMI, receiver) -> the last change of that permission that CloudTrail knows."""
    once_open: frozenset[tuple[SourceFacts, str]] = frozenset()
    """(snapshot or AMI, receiver) that the ledger has lost, and that the service had open by the share's history."""
    targets: Mapping[Place, TargetFacts] = field(default_factory=dict)
    receivers: Receivers | None = None
    """Who may receive anything; None: not known, and a trouble says why."""
    troubles: tuple[Fault, ...] = ()
    """What else could not be seen, and why."""

    def record(self, pk: str) -> Record | None:
        """Read a record."""
        return self.items.get((pk, "record"))

    def delivery(self, ident: str) -> Record | None:
        """Read a delivery's record."""
        return self.record(addresses.delivery(ident).pk)

    def of_kind(self, kind: str) -> Iterator[Record]:
        """Yield all records of a kind."""
        return (it for (pk, sk), it in self.items.items() if sk == "record" and pk.startswith(f"{kind}#"))

    def share(self, resource: str, share_name: str) -> LedgerShare | None:
        """Read a share."""
        return self.ledger.get((resource, share_name))
