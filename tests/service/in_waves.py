"""An AMI that is promoted in waves: dev, then qa, then prod."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.waves import Wave
from tests.service.cloud import REGION, target_key
from tests.service.hub import Hub
from tests.service.shared_ami import AMI, HOUR, untagged

DEV, DEV2, QA, PROD = (f"20000000000{number}" for number in (1, 2, 3, 4))
GROUPS: Mapping[str, Sequence[str]] = {"dev": (DEV, DEV2), "qa": (QA,), "prod": (PROD,)}
WAITS = "awaiting-wave"
STOPPED = "promotion.wave-stopped"
PLAIN = {"qa": Wave("dev"), "prod": Wave("qa")}
"""Nothing may fail, and nothing soaks."""


def apply(hub: Hub, waves: Mapping[str, Wave], groups: Mapping[str, Sequence[str]] = GROUPS, **settings: Any) -> None:
    """Apply a file with these groups, waves and settings."""
    everybody = sorted({account for members in groups.values() for account in members})
    listed = {account: (Target(account, REGION, **settings),) for account in everybody}
    hub.cloud.directory = Directory({name: tuple(members) for name, members in groups.items()}, listed, waves=waves)


def hub_with(
    waves: Mapping[str, Wave] = PLAIN,
    settings: Mapping[str, Any] | None = None,
    groups: Mapping[str, Sequence[str]] = GROUPS,
    broken: Sequence[str] = (),
    **given: Any,
) -> Hub:
    """A hub with one AMI, and a file with these waves. ``broken``: the accounts whose keys are disabled."""
    hub = untagged((DEV, DEV2, QA, PROD), **given)
    apply(hub, waves, groups, **(settings or {}))
    for account in broken:
        break_key(hub, account)
    return hub


def promoted(waves: Mapping[str, Wave] = PLAIN, value: str = "dev qa prod", **given: Any) -> Hub:
    """A hub whose AMI has just been tagged."""
    hub = hub_with(waves, **given)
    hub.cloud.tag(AMI, value)
    return hub


def break_key(hub: Hub, account: str) -> None:
    """The account's key is disabled: its delivery fails."""
    hub.cloud.disabled.add(target_key(account))


def cure_key(hub: Hub, account: str) -> None:
    hub.cloud.disabled.discard(target_key(account))


def states(hub: Hub, *, after: int = HOUR) -> list[str]:
    """The states in the order dev, dev, qa, prod, after so many seconds."""
    hub.wait(after)
    found = {account: state for (_, account), state in hub.outcomes().items()}
    return [found.get(account, "") for account in (DEV, DEV2, QA, PROD)]


def stops(hub: Hub) -> list[dict[str, Any]]:
    """The notices that a wave is stopped."""
    return hub.notified(STOPPED)
