"""Names that have parts: a target's place, an ARN, a resource of the ledger. Each is parsed and written here alone.

Parsing never raises: text of another form has only its last part, and is written again as it was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SNAPSHOT, IMAGE, KEY, POLICY, ROLE = "snapshot", "image", "key", "policy", "role"
"""Kinds of resources. The last three are permissions on a KMS key."""


class Place(NamedTuple):
    """A target: an account and a Region; or an account in all its Regions (``region`` "")."""

    account: str
    region: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "account/region" or "account"."""
        account, _, region = text.partition("/")
        return cls(account, region)

    def __str__(self) -> str:
        return f"{self.account}/{self.region}" if self.region else self.account


class Arn(NamedTuple):
    """The ARN of something in AWS; of any other text, that text as its ``resource``."""

    partition: str = ""
    service: str = ""
    region: str = ""
    account: str = ""
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Read an ARN."""
        first, *parts = text.split(":", 5)
        return cls(*parts) if first == "arn" and len(parts) == len(cls._fields) else cls(resource=text)

    @property
    def path(self) -> tuple[str, ...]:
        """The parts of its resource, as kind and id."""
        return tuple(self.resource.replace(":", "/").split("/"))

    @property
    def name(self) -> str:
        """The last part of its resource: an id, or a name."""
        return self.path[-1]

    def __str__(self) -> str:
        return ":".join(("arn", *self)) if self.service else self.resource


class Resource(NamedTuple):
    """What shares of the ledger are on: a snapshot or AMI of the hub, or a KMS key.

    ``name``: the id, or the key's ARN. ``account``: the one account that the record is for, as grants on a key have.
    ``region``: of a snapshot that is not in the hub's Region. ``kind`` "": the text was no resource.
    """

    kind: str
    name: str
    account: str = ""
    region: str = ""

    @classmethod
    def of(cls, ident: str, region: str = "") -> Resource:
        """Return a snapshot or AMI, by its id."""
        return cls(SNAPSHOT, ident, region=region) if ident.startswith("snap-") else cls(IMAGE, ident)

    @classmethod
    def parse(cls, text: str) -> Resource:
        """Read the partition of a resource's record; with or without its first word."""
        found = re.fullmatch("(?:resource#)?([^#]*)#([^#@]+)(?:@([^#]*))?(?:#(.*))?", text)
        return cls(found[1], found[2], found[4] or "", found[3] or "") if found else cls("", text)

    @property
    def arn(self) -> str:
        """The ARN of the key that it is about; "" for snapshots and AMIs."""
        return "" if self.kind in (SNAPSHOT, IMAGE, "") else self.name

    @property
    def in_words(self) -> str:
        """A snapshot or AMI, as a message shows it."""
        return f"{self.name} in {self.region}" if self.region else self.name

    @property
    def on_own_key(self) -> bool:
        """Whether it is the grants for an account's service-linked roles on that account's own key."""
        return self.kind == ROLE and self.account == Arn.parse(self.name).account

    def __str__(self) -> str:
        name = f"{self.name}@{self.region}" if self.region else self.name
        return "#".join(filter(None, ("resource", self.kind, name, self.account)))


def account_of(receiver: str) -> str:
    """Return the account of an ARN, or of text that begins with it; "" if it names none, as an AWS service."""
    account = Arn.parse(receiver).account or receiver[:13].rstrip(":")
    return account if re.fullmatch("[0-9]{12}", account) else ""


def called(account: str, name: str = "") -> str:
    """Return an account as people are to read it: "name (account)"; the id alone if it has no name."""
    return f"{name} ({account})" if name else account


def last_part(path: str) -> str:
    """Return what follows the last slash: the id in a member's ARN, the name in "SERVICE/NAME"."""
    return path.rpartition("/")[2]
