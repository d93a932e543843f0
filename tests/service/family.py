"""A hub with AMIs of one family, and the parameter in each target that names the current one."""

from typing import Any

from chalicelib.engine.stored import peek
from chalicelib.release.codec import POINTERS
from chalicelib.release.pointer import Pointer
from chalicelib.targets.recalls import Pin
from tests.service.cloud import CloudBehavior
from tests.service.hub import OPERATOR, Hub

DEV = "200000000001"
FAMILY = "base"
NAME = f"/golden/{FAMILY}/current"
PLACE = (DEV, NAME)
OLD, NEW, NEXT = "ami-0a", "ami-0b", "ami-0c"
MADE = {OLD: "2026-01-01T00:00:00.000Z", NEW: "2026-02-01T00:00:00.000Z", NEXT: "2026-03-01T00:00:00.000Z"}
"""When each was made. The service's clock begins in January 2027."""
HOUR, DAY = 3600, 24 * 3600


def a_family(accounts: tuple[str, ...] = (DEV,), target: dict[str, Any] | None = None, **behavior: Any) -> Hub:
    """A hub with three AMIs of one family, of which each target is to know the current one; nothing is tagged."""
    settings = {"ssm_parameter": "/golden/{family}/current", **(target or {})}
    hub = Hub(accounts=accounts, behavior=CloudBehavior(**behavior), target=settings)
    for number, (ami, made) in enumerate(MADE.items()):
        hub.cloud.make_image(ami, {f"snap-{number}": True}, family=FAMILY, CreationDate=made)
    return hub


def promoted(hub: Hub, *amis: str, seconds: int = 2 * HOUR) -> Hub:
    """Tag these AMIs, and let time pass."""
    for ami in amis:
        hub.cloud.tag(ami, "default")
    return hub.wait(seconds)


def shown(hub: Hub, account: str = DEV, name: str = NAME) -> str:
    """The AMI that the parameter names, by its source; "" if there is none."""
    found = hub.cloud.parameters.get((account, name))
    if found is None:
        return ""
    image = hub.cloud.images.get(found.value)
    return found.value if image is None else image.source


def raw(hub: Hub, ami: str = NEW) -> dict[str, Any]:
    """The copy of an AMI in DEV, as EC2 shows it."""
    return next(one.raw for one in hub.cloud.images.values() if (one.source, one.account) == (ami, DEV))


def pointer(hub: Hub) -> Pointer:
    """The record of DEV's pointer."""
    found = peek(hub.stores.records, hub.pointer_key(DEV, NAME), POINTERS)
    assert found is not None
    return found


def fault_of_pointer(hub: Hub) -> str:
    """The code of the fault on the record of DEV's pointer, or "" if there is none."""
    fault = pointer(hub).fault
    return fault.code if fault else ""


def pinned(hub: Hub, ami: str) -> Hub:
    """Let an operator hold the pointer at an AMI, and a day pass."""
    hub.cloud.pins[DEV, FAMILY] = Pin(ami, MADE[ami], hub.cloud.now, OPERATOR)
    return hub.wait(25 * HOUR)


def another_architecture(hub: Hub) -> str:
    """Make the newest AMI of the family, for another architecture."""
    later = "2026-04-01T00:00:00.000Z"
    hub.cloud.make_image("ami-0d", {"snap-9": True}, family=FAMILY, CreationDate=later, Architecture="i386")
    return "ami-0d"


def calls_for_pointers(hub: Hub) -> set[int]:
    """The numbers of the calls that concern a pointer, while the hub runs."""
    numbers, real = set(), hub.gate.call

    def call(name: str, method: str, work: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        if name == "target.parameters" or any("pointer#" in str(arg) for arg in args):
            numbers.add(hub.gate.calls)
        return real(name, method, work, args, kwargs)

    hub.gate.call = call  # type: ignore[method-assign]
    return numbers
