"""Plays a story on the built package in the simulator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from awsim.services.ec2.state import Boot
from tests.scenarios import pointers
from tests.scenarios.scene import DEV, PROD, REGION, TEST, Scene
from tests.stories.driver import DAY, FAMILY, WHY, Driver

SOURCE = "ami-promoter:source-image"


class SimulatorDriver(Driver):
    """See ``Driver``."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ami = scene.image
        self._restore: dict[str, Callable[[], None]] = {}

    # --- people in the hub -------------------------------------------------------------------------------------------

    def apply_file(self, text: str) -> None:
        self.scene.apply(text)

    def build(self, *, family: str = "", pending: int = 0) -> str:
        self.scene.wait(60)  # so that it is newer
        return self.scene.seed("", tags={"family": family} if family else {}, available_after=pending)

    def tag(self, value: str, ami: str = "") -> None:
        self.scene.tag(value, ami)

    def untag(self, ami: str = "") -> None:
        self.scene.untag(ami)

    def deregister(self) -> None:
        self.scene.client("ec2").deregister_image(ImageId=self.ami)

    def disable(self) -> None:
        self.scene.client("ec2").disable_image(ImageId=self.ami)

    def _do(self, *words: str) -> None:
        status, out, err = self.scene.cli(*words)
        assert status == 0, out + err

    def approve(self, hours: int = 24) -> None:
        self._do("approve", self.ami, "--for", f"{hours}h", "--yes")

    def retry(self) -> None:
        self._do("retry", self.ami)

    def withdraw(self, account: str) -> None:
        self._do("withdraw", self.ami, "--account", account, "--yes")

    def lift(self, account: str) -> None:
        self._do("withdraw", self.ami, "--lift", "--account", account, "--yes")

    def recall(self, ami: str) -> None:
        self._do("recall", ami, "--why", WHY, "--yes")

    def lift_recall(self, ami: str) -> None:
        self._do("recall", ami, "--lift", "--yes")

    def roll_back(self, account: str, ami: str) -> None:
        self._do("rollback", FAMILY, "--to", ami, "--account", account, "--yes")

    def lift_rollback(self, account: str) -> None:
        self._do("rollback", FAMILY, "--account", account, "--lift", "--yes")

    # --- people in a target ------------------------------------------------------------------------------------------

    def deploy(self, account: str, **parameters: str) -> None:
        self.scene.deploy_target(account, **parameters)
        if "LaunchTest" in parameters:
            self.scene.world.ec2.seed_subnet(account, REGION, tags={"ami-promoter:launch-test": "true"})

    def remove_role(self, account: str) -> None:
        self._restore[account] = self.scene.drop_role(account)

    def restore_role(self, account: str) -> None:
        self._restore.pop(account)()

    def deregister_in(self, account: str) -> None:
        image = self.scene.image_in(account)["ImageId"]
        self.scene.deregister(account, image, DeleteAssociatedSnapshots=True)

    def disable_key(self, account: str) -> None:
        self.scene.client("kms", account).disable_key(KeyId=self.scene.stage.targets[account].outputs["KeyArn"])

    def enable_key(self, account: str) -> None:
        self.scene.client("kms", account).enable_key(KeyId=self.scene.stage.targets[account].outputs["KeyArn"])

    # --- AWS ---------------------------------------------------------------------------------------------------------

    def copies_take(self, seconds: int) -> None:
        self.scene.world.ec2.pace.copy = seconds

    def fail_copy(self, account: str) -> None:
        there = self.scene.world.ec2.state.snapshots
        running = next(one for one in there.all() if (one.owner, one.state) == (account, "pending"))
        there.put(replace(running, state="error", state_message="Source snapshot ID is not valid"))

    def lose_events(self) -> None:
        self.scene.world.injections.drop_events()

    def instances(self, goes: str) -> None:
        state = self.scene.world.ec2.state
        kind = (REGION, "t3.micro")
        state.exhausted = state.exhausted | {kind} if goes == "none" else state.exhausted - {kind}
        state.boots[self.ami] = Boot(impaired="instance") if goes == "impaired" else Boot()

    # --- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.scene.wait(seconds)

    def until(self, account: str, state: str, ami: str = "") -> None:
        self.scene.run_until_state(state, account, ami, 2 * DAY)

    def until_over(self, ami: str = "", times: int = 1) -> None:
        self.scene.run_until_over(ami, times=times)

    # --- what they see -----------------------------------------------------------------------------------------------

    def states(self, ami: str = "") -> dict[str, str]:
        return self.scene.states(ami)

    def sent(self, ami: str = "") -> Sequence[Mapping[str, Any]]:
        return self.scene.notices(image=ami or self.ami)

    def owned_by(self, account: str) -> list[str]:
        return sorted(source for source, _ in self._own(account))

    def _own(self, account: str) -> list[tuple[str, Any]]:
        """The AMI of the hub, and what was made of it there, as EC2 shows it."""
        there = self.scene.images_in(account)
        return [(tag["Value"], one) for one in there for tag in one.get("Tags", []) if tag["Key"] == SOURCE]

    def snapshots_in(self, account: str) -> int:
        return len(self.scene.snapshots_in(account))

    def let_in(self) -> set[str]:
        shares = self.scene.world.shares_open()
        return {account for account in (DEV, TEST, PROD) if any(account in share for share in shares)}

    def can_copy(self) -> set[str]:
        return set().union(*map(self.scene.shared_with, self.scene.snapshots))

    def grantees(self) -> list[str]:
        return [grant["GranteePrincipal"].split(":")[4] for grant in self.scene.grants()]

    def can_launch(self, account: str, ami: str = "") -> bool:
        return self.scene.launch(account, ami) == ""

    def is_deprecated(self, account: str, ami: str) -> bool:
        return "DeprecationTime" in dict(self._own(account))[ami]

    def current(self, account: str) -> str:
        value = pointers.shows(self.scene, account)
        return next((source for source, own in self._own(account) if own["ImageId"] == value), value)

    def running(self, account: str) -> list[str]:
        found = self.scene.client("ec2", account).describe_instances()["Reservations"]
        return [one["State"]["Name"] for reservation in found for one in reservation["Instances"]]

    def check(self) -> None:
        self.scene.assert_invariants()
