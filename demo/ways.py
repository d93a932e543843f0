"""Who gets an AMI, and how: an account for each way of sharing, its settings, and what must be seen of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo import stage

FAR = "eu-west-1"
"""The other Region."""
SECRET = "only-the-organization-knows"
AUTO_SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
UNITS = {"workloads": "", "partners": "mode: share, launch_permission: group, service_linked_roles: []"}
"""Name of an OU, and of the group that it is all of -> the group's settings."""
HERE, THERE = f"copies from {stage.REGION}", f"copies from {FAR}"
Place = tuple[str, str]
"""Account and Region, by which deliveries differ."""
OPENED = ("snapshots", "grant", HERE)
"""What is seen in AWS's calls when snapshots are copied and the key is opened by a grant."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of sharing, and the account that gets its AMI in this way.

    ``settings`` are those of the account's block in the targets file, ``group`` is the group it is in, and ``word``
    what the tag says for it, if not the group. ``seen`` is all that the service may be seen to do for the account
    (``Observer.seen``), and ``role`` who launches there, with its path; the account's administrator if empty.
    """

    name: str
    account: str
    title: str
    settings: str
    seen: tuple[str, ...]
    group: str = "everyone"
    word: str = ""
    region: str = stage.REGION
    role: str = ""
    shares: bool = False
    joins: bool = False
    """Whether the account joins its OU when all others are done."""

    @property
    def place(self) -> Place:
        """Where its delivery goes."""
        return self.account, self.region

    @property
    def end(self) -> str:
        """The state in which its delivery must end, when the tag is gone."""
        return "withdrawn" if self.shares else "delivered"


DIGITS = "56789"
"""Of the accounts after the first three: 555555555555 and so on."""


def copies(count: int) -> tuple[Way, ...]:
    """So many accounts that each get a copy by a grant, the default: dev, test, prod, and others."""
    accounts = [*stage.TARGETS.values(), *(digit * 12 for digit in DIGITS), *(f"20000000{n:04d}" for n in range(count))]
    names = [*stage.TARGETS, *(f"team{n}" for n in range(1, count))]
    return tuple(
        Way(name, account, "copy, key by grant", "", OPENED, *(("prod", account) if name == "prod" else ("dev",)))
        for name, account in zip(names[:count], accounts, strict=False)
    )


SHARED = ("launch permission", "policy", "grant to a service's role")
WAYS = (
    Way("dev", "222222222222", "copy, key by grant", "key_access: grant", OPENED),
    Way("test", "333333333333", "copy, key by policy", "key_access: policy", ("snapshots", "policy", HERE)),
    Way("vault", "444444444444", "copy, key by its owner", "key_access: none", ("snapshots", HERE)),
    Way(
        "trusted",
        "555555555555",
        "copy by CopyImage, TPM",
        "copy_method: auto",
        ("launch permission", "snapshots", "grant", "CopyImage"),
        group="tpm",
    ),
    Way(
        "fleet",
        "666666666666",
        "copy, for Auto Scaling",
        "service_linked_roles: [AWSServiceRoleForAutoScaling]",
        (*OPENED, "grant to a service's role"),
        role=AUTO_SCALING,
    ),
    Way("abroad", "777777777777", "copy abroad, straight", f"regions: [{FAR}]", OPENED, region=FAR),
    Way("hub", stage.HUB, "copy abroad, hub's own", f"regions: [{FAR}]", (HERE,), region=FAR),
    Way(
        "branch",
        "888888888888",
        "copy abroad, by hub's",
        f"regions: [{FAR}], by_way_of_hub: true",
        ("snapshots", "grant", THERE),
        region=FAR,
    ),
    Way("team", "999999999999", "copy, by its OU", "", OPENED, group="workloads"),
    Way("joiner", "121212121212", "copy, joins OU later", "", OPENED, group="workloads", joins=True),
    Way("shop", "131313131313", "share, key by policy", "mode: share", SHARED, shares=True, role=AUTO_SCALING),
    Way(
        "pilot",
        "141414141414",
        "share, snapshots too",
        "mode: share, key_access: grant, share_snapshots: true",
        ("launch permission", "snapshots", "grant", "grant to a service's role"),
        group="pilot",
        role=AUTO_SCALING,
        shares=True,
    ),
    Way(
        "partner",
        "151515151515",
        "share with its OU",
        "",
        ("launch permission of its OU", "policy"),
        group="partners",
        shares=True,
    ),
)


def targets_file(ways: Sequence[Way], organization: str = "", units: dict[str, str] | None = None) -> str:
    """Write the targets file. ``organization`` is its id, ``units`` group -> id of its OU."""
    groups: dict[str, list[str]] = {}
    for way in ways:
        if way.group not in UNITS:
            groups.setdefault(way.group, []).append(f'"{way.account}"')
    lines = ["defaults:", f"  external_id: {stage.EXTERNAL_ID}", "  queue_deadline: 30m"]
    if units:
        lines.append(f"organization: {{id: {organization}, read_role: {stage.READ_ROLE}, external_id: {SECRET}}}")
    lines.append("groups:")
    lines += [f"  {group}: [{', '.join(accounts)}]" for group, accounts in groups.items()]
    for group, unit in (units or {}).items():
        more = f", {UNITS[group]}" if UNITS[group] else ""
        lines.append(f"  {group}: {{members: [{unit}]{more}}}")
    lines.append("accounts:")
    lines += [f'  "{way.account}": {{{way.settings}}}' for way in ways if way.settings]
    return "\n".join([*lines, ""])
