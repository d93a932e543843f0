"""What settings of a targets file mean in each mode: which exclude each other, and which have defaults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from ami_promoter.targets_file.document import Path, YamlDocument
from ami_promoter.targets_file.settings import BUILT_IN, only_in
from chalicelib.engine.faults import Fault

AUTO_SCALING = "AWSServiceRoleForAutoScaling"

SERVICES: Mapping[str, str] = {
    AUTO_SCALING: "autoscaling.amazonaws.com",
    "AWSServiceRoleForEC2Spot": "spot.amazonaws.com",
    "AWSServiceRoleForEC2SpotFleet": "spotfleet.amazonaws.com",
    "AWSServiceRoleForEC2Fleet": "ec2fleet.amazonaws.com",
    "AWSServiceRoleForBatch": "batch.amazonaws.com",
    "AWSServiceRoleForAmazonEKSNodegroup": "eks-nodegroup.amazonaws.com",
}
"""Service-linked roles that launch instances, by name, and the services that they belong to."""


def role(name: str) -> str | None:
    """Return "SERVICE/NAME" for a role as it is written; None if its service is neither known nor given."""
    if "/" in name:
        return name
    service = SERVICES.get(name)
    if service is None and name.startswith(f"{AUTO_SCALING}_"):  # Auto Scaling's may have a suffix
        service = SERVICES[AUTO_SCALING]
    return None if service is None else f"{service}/{name}"


def day(text: str) -> int:
    """Return the beginning of a day in UTC, in epoch seconds."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp())


def filled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults that depend on other settings.

    Share mode: a statement in the key's policy, Auto Scaling's role. With an approval: no tags of the source, because
    policies in the target may act on them, and another person than the approver writes them.
    """
    if settings.get("mode") != "share":
        return {**({"source_tags": ()} if settings.get("approval") == "required" else {}), **settings}
    defaults: dict[str, Any] = {"key_access": "policy"}
    if "service_linked_roles" not in settings:
        defaults |= {"service_linked_roles": (role(AUTO_SCALING),), "roles_by_default": True}
    return {**defaults, **settings}


def misfits(
    read: YamlDocument, account: str, settings: Mapping[str, tuple[Any, Path]], hub_account: str | None, hub_region: str
) -> Iterator[Fault]:
    """Find settings of an account that its mode does not allow, by their places; ``defaults`` are for all modes."""
    said = {name: value for name, (value, _) in settings.items()}
    shared = said.get("mode") == "share"
    regions = said.get("regions", (hub_region,))
    if shared:
        yield from _sharing(read, account, settings, hub_account, hub_region)
    for name in () if shared else only_in("share"):
        if name in settings and settings[name][1][0] != "defaults" and said[name] != BUILT_IN[name]:
            what = f"`{name}` has no effect for {account}, which gets a copy."
            yield _fault(read, settings[name][1], what, f"Leave `{name}` out, or write `mode: share`.")
    if said.get("retire") and not said.get("ssm_parameter") and not shared:
        what = (
            f"`retire` has no effect for {account}, which has no `ssm_parameter`: what is current is not known there."
        )
        yield _fault(read, settings["retire"][1], what, "Write `ssm_parameter`, too, or leave `retire` out.")
    if said.get("key_access") == "none" and "grantee" in said and _is_meant(settings, "grantee", "key_access"):
        what = f"`grantee` has no effect for {account}, which gets no source key from the service."
        yield _fault(read, settings["grantee"][1], what, "Leave `grantee` out, or write another `key_access`.")
    within, deadline = (said.get(name, BUILT_IN[name]) for name in ("complete_within", "copy_deadline"))
    if within > deadline and not shared:
        what = f"`complete_within` for {account} is longer than `copy_deadline`, which ends the copies."
        yield _fault(read, settings["complete_within"][1], what, "Write a shorter one, or a later `copy_deadline`.")
    if said.get("by_way_of_hub") and said.get("copy_method", BUILT_IN["copy_method"]) != "snapshots":
        what = f"`by_way_of_hub` copies only snapshots, but {account} has another `copy_method`."
        yield _fault(read, settings["copy_method"][1], what, "Write `copy_method: snapshots` for it.")
    if said.get("by_way_of_hub") and regions == (hub_region,) and settings["by_way_of_hub"][1][0] != "defaults":
        what = f"`by_way_of_hub` has no effect for {account}, which gets AMIs in the hub's own Region only."
        yield _fault(read, settings["by_way_of_hub"][1], what, "Leave it out, or write `regions`.")


def _is_meant(settings: Mapping[str, tuple[Any, Path]], name: str, reason: str) -> bool:
    """Whether the file says a setting for this account, beside one that leaves it without effect, the ``reason``.

    What ``defaults`` say is for all; what a group says is for its other accounts, if the account itself has the reason.
    """
    of, why = settings[name][1][0], settings[reason][1][0]
    return of != "defaults" and (of, why) != ("groups", "accounts")


def _sharing(
    read: YamlDocument, account: str, settings: Mapping[str, tuple[Any, Path]], hub_account: str | None, hub_region: str
) -> Iterator[Fault]:
    if account == hub_account:
        what = f"{account} is the hub itself, which needs no share of what it owns."
        yield _fault(read, settings["mode"][1], what, "Write `mode: copy` for it, under `accounts`.")
    regions, path = settings.get("regions", ((hub_region,), settings["mode"][1]))
    for name in only_in("copy"):
        if name in settings and _is_meant(settings, name, "mode"):
            what = f"`{name}` has no effect for {account}, which gets no copy: the hub keeps the AMI."
            yield _fault(read, settings[name][1], what, f"Leave `{name}` out, or write `mode: copy`.")
    if regions != (hub_region,):
        what = f"an AMI can be shared in its own Region only, which is {hub_region}; {account} names another Region."
        yield _fault(read, path, what, "Leave `regions` out, or write `mode: copy`.")


def _fault(read: YamlDocument, path: Path, what: str, cure: str) -> Fault:
    return Fault("targets-mode", read.where_key(path), what, cure)
