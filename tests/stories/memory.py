"""Plays a story on the service in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, repeat
from typing import Any

from ami_promoter.promotions.promotion_data import BAD
from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.recalls import Pin
from tests.service.cloud import HUB, REGION, refusal, source_key, target_key
from tests.service.gate import PortTrouble
from tests.service.hub import DISCOVERY, OPERATOR, Hub
from tests.service.world import ROLE_METHODS, WITHOUT_END
from tests.stories.driver import DAY, DEV, FAMILY, HOUR, NAME, PROD, TEST, WHY, Driver

BOOTS = {"ok": "ok", "impaired": "impaired", "none": "Server.InsufficientInstanceCapacity"}


class MemoryDriver(Driver):
    """See ``Driver``."""

    def __init__(self) -> None:
        self.hub = Hub((DEV, TEST, PROD))
        self.cloud = self.hub.cloud
        self._numbers = count(1)
        self._without_role: set[str] = set()
        for port, methods in ROLE_METHODS.items():
            for method in methods:
                missing = refusal(RefusalKind.ROLE, "AccessDenied")
                self.hub.gate.troubles.append(PortTrouble(port, method, missing, WITHOUT_END, only=self._lacks_role))
        self.copies_take(30)
        self.apply()
        self.ami = self.build()

    def _lacks_role(self, *args: Any, **_: Any) -> bool:
        return getattr(args[0], "target", args[0]).account in self._without_role

    # --- people in the hub -------------------------------------------------------------------------------------------

    def apply_file(self, text: str) -> None:
        compiled = compile_targets(text, "targets.yaml", HubPlace(REGION, HUB))
        assert isinstance(compiled, Directory), compiled
        self.cloud.directory = compiled
        self.hub._discover_at = self.cloud.now + DISCOVERY

    def build(self, *, family: str = "", pending: int = 0) -> str:
        number = next(self._numbers)
        ami, made = f"ami-{number:02}", datetime.fromtimestamp(self.cloud.now + number, UTC)
        volumes = {f"snap-{number:02}{volume}": True for volume in "ab"}
        state = "pending" if pending else "available"
        self.cloud.make_image(ami, volumes, state, family, CreationDate=f"{made:%Y-%m-%dT%H:%M:%S}.000Z")
        for snapshot in volumes:
            self.cloud.hub_snapshots[snapshot]["KmsKeyId"] = source_key(0)
        if pending:
            self.cloud.after(pending, lambda: self.cloud.set_state(ami, "available"))
        return ami

    def tag(self, value: str, ami: str = "") -> None:
        self.cloud.tag(ami or self.ami, value)

    def untag(self, ami: str = "") -> None:
        self.cloud.tag(ami or self.ami, None)

    def deregister(self) -> None:
        self.cloud.launches = {place for place in self.cloud.launches if place[0] != self.ami}
        self.cloud.set_state(self.ami, "deregistered")

    def disable(self) -> None:
        self.cloud.set_state(self.ami, "disabled")

    def approve(self, hours: int = 24) -> None:
        self.hub.approve(self.ami, hours * HOUR)

    def retry(self) -> None:
        tracked = self.hub.stores.tracked.all(self.ami)
        self.hub.retry(self.ami, *(one.place for one in tracked if one.state in BAD))

    def withdraw(self, account: str) -> None:
        self.hub.withdraw(self.ami, account)

    def lift(self, account: str) -> None:
        self.hub.lift(self.ami, account)

    def recall(self, ami: str) -> None:
        self.hub.recall(ami, WHY)

    def lift_recall(self, ami: str) -> None:
        self.hub.lift_recall(ami)

    def roll_back(self, account: str, ami: str) -> None:
        made = self.cloud.hub_images[ami]["CreationDate"]
        self.cloud.pins[account, FAMILY] = Pin(ami, made, self.cloud.now, OPERATOR)
        self._look_at_parameter(account)

    def lift_rollback(self, account: str) -> None:
        del self.cloud.pins[account, FAMILY]
        self._look_at_parameter(account)

    def _look_at_parameter(self, account: str) -> None:
        self.hub.stores.records.make_due(self.hub.pointer_key(account, NAME), self.cloud.now)

    # --- people in a target ------------------------------------------------------------------------------------------

    def deploy(self, account: str, **parameters: str) -> None:
        """In memory every role may do everything."""

    def remove_role(self, account: str) -> None:
        self._without_role.add(account)

    def restore_role(self, account: str) -> None:
        self._without_role.discard(account)

    def deregister_in(self, account: str) -> None:
        (image,) = (one for one in self.cloud.images.values() if one.account == account)
        self.cloud.deregistered.add(image.id)
        for copy in image.copies:
            del self.cloud.copies[copy]
        del self.cloud.images[image.id]

    def disable_key(self, account: str) -> None:
        self.cloud.disabled.add(target_key(account))

    def enable_key(self, account: str) -> None:
        self.cloud.disabled.discard(target_key(account))

    # --- AWS ---------------------------------------------------------------------------------------------------------

    def copies_take(self, seconds: int) -> None:
        self.cloud._copying = repeat(seconds)

    def fail_copy(self, account: str) -> None:
        self.cloud.pending(account)[0].message = "Source snapshot ID is not valid"

    def lose_events(self) -> None:
        self.hub._event_fates = repeat(())

    def instances(self, goes: str) -> None:
        self.cloud._boots = repeat(BOOTS[goes])

    # --- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.hub.wait(int(seconds))

    def until(self, account: str, state: str, ami: str = "") -> None:
        self._until(lambda: self.states(ami).get(account) == state)

    def until_over(self, ami: str = "", times: int = 1) -> None:
        self._until(lambda: self.notices(ami)["promotion.over"] >= times)
        promotion = addresses.promotion(ami or self.ami)
        self._until(lambda: self.hub.stores.seen(promotion).state == "over")

    def _until(self, holds: Callable[[], bool], seconds: int = 2 * DAY) -> None:
        end = self.cloud.now + seconds
        while not holds():
            assert self.cloud.now < end, f"not within {seconds} s: {self.hub.outcomes()}; {self.hub.faults()}"
            self.wait(1)

    # --- what they see -----------------------------------------------------------------------------------------------

    def states(self, ami: str = "") -> dict[str, str]:
        there = self.hub.outcomes()
        return {account: str(state) for (of, account), state in there.items() if of == (ami or self.ami)}

    def sent(self, ami: str = "") -> Sequence[Mapping[str, Any]]:
        return [one for one in self.cloud.notices if one.get("source_image") == (ami or self.ami)]

    def owned_by(self, account: str) -> list[str]:
        return sorted(image.source for image in self.cloud.images.values() if image.account == account)

    def snapshots_in(self, account: str) -> int:
        return sum(copy.account == account for copy in self.cloud.live_copies())

    def let_in(self) -> set[str]:
        admitted = {account for key in self.cloud.policies for account in self.cloud.admitted(key, launches=True)}
        return {who for _, who in self.cloud.launches}.union(self.can_copy(), self.grantees(), admitted)

    def can_copy(self) -> set[str]:
        return {account for _, account in self.cloud.permissions}

    def grantees(self) -> list[str]:
        return [grantee.split(":")[4] for grantee in self.cloud.grants.values()]

    def can_launch(self, account: str, ami: str = "") -> bool:
        image = self.cloud.hub_images[ami or self.ami]
        snapshots = [mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]]
        keys = {self.cloud.hub_snapshots[one].get("KmsKeyId") for one in snapshots}
        opens = all(self.cloud._opens(account, key, launches=True) for key in keys)
        return (image["ImageId"], account) in self.cloud.launches and opens

    def is_deprecated(self, account: str, ami: str) -> bool:
        (image,) = (one for one in self.cloud.images.values() if (one.account, one.source) == (account, ami))
        return bool(image.raw.get("DeprecationTime"))

    def current(self, account: str) -> str:
        shown = self.cloud.parameters.get((account, NAME))
        image = self.cloud.images.get(shown.value) if shown else None
        return image.source if image else getattr(shown, "value", "")

    def running(self, account: str) -> list[str]:
        return [one.state for one in self.cloud.instances.values() if one.account == account]

    def check(self) -> None:
        self.wait(600)  # so that it rests; the others were checked after each invocation
        self.hub.invariants.rest()
