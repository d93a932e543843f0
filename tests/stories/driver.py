"""What people do and see in a story, in words that do not say on what it is played.

``MemoryDriver`` plays it on the service in memory, ``SimulatorDriver`` on the built package in the simulator.
Everything is about the AMI ``ami``, unless a story names another.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from demo import stage
from tests.scenarios.scene import GROUPS, targets_file

DEV, TEST, PROD = stage.TARGETS.values()
HOUR, DAY = 3600, 24 * 3600
FAMILY = "base"
PARAMETER = "/golden/{family}/current"
"""The setting that names the family's parameter in a target."""
NAME = PARAMETER.format(family=FAMILY)
WHY = "It does not boot."
SHARE: Mapping[str, Any] = {"mode": "share", "service_linked_roles": []}
"""Settings by which a target launches the hub's own AMI."""


class Driver(Protocol):
    """A hub with an AMI of two volumes under one key, three prepared targets, and a file of ``GROUPS``.

    Nothing is tagged. Copies take half a minute. Times are seconds; a state is a delivery's, as ``status`` shows it.
    """

    ami: str

    # --- people in the hub -------------------------------------------------------------------------------------------

    def apply(
        self, groups: Mapping[str, Any] = GROUPS, accounts: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        """Apply a targets file; ``settings`` are those of every target, ``accounts`` those of one."""
        self.apply_file(targets_file(groups, accounts, **settings))

    def apply_file(self, text: str) -> None: ...

    def build(self, *, family: str = "", pending: int = 0) -> str:
        """Build another AMI, newer than those before; return its id. It is available after ``pending`` seconds."""

    def tag(self, value: str, ami: str = "") -> None: ...
    def untag(self, ami: str = "") -> None: ...
    def deregister(self) -> None: ...
    def disable(self) -> None: ...
    def approve(self, hours: int = 24) -> None: ...
    def retry(self) -> None: ...
    def withdraw(self, account: str) -> None: ...
    def lift(self, account: str) -> None: ...
    def recall(self, ami: str) -> None: ...
    def lift_recall(self, ami: str) -> None: ...

    def roll_back(self, account: str, ami: str) -> None:
        """Hold the parameter in a target at an AMI."""

    def lift_rollback(self, account: str) -> None: ...

    # --- people in a target ------------------------------------------------------------------------------------------

    def deploy(self, account: str, **parameters: str) -> None:
        """Update a target's stack; with ``LaunchTest`` make a subnet for it, too."""

    def remove_role(self, account: str) -> None:
        """Delete the role by which the service enters a target."""

    def restore_role(self, account: str) -> None: ...

    def deregister_in(self, account: str) -> None:
        """Deregister the one AMI that the service made there, and delete its snapshots."""

    def disable_key(self, account: str) -> None:
        """Disable the key that encrypts a target's copies."""

    def enable_key(self, account: str) -> None: ...

    # --- AWS ---------------------------------------------------------------------------------------------------------

    def copies_take(self, seconds: int) -> None:
        """Let the next copies take so long."""

    def fail_copy(self, account: str) -> None:
        """Let one of the copies that run in a target end in error."""

    def lose_events(self) -> None:
        """Lose every event from now on."""

    def instances(self, goes: str) -> None:
        """Let the next instances start ("ok"), stay "impaired", or find no capacity ("none")."""

    # --- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None: ...

    def until(self, account: str, state: str, ami: str = "") -> None:
        """Wait until a target's delivery has a state."""

    def until_over(self, ami: str = "", times: int = 1) -> None:
        """Wait until so many summaries are sent, and the promotion rests."""

    # --- what they see -----------------------------------------------------------------------------------------------

    def states(self, ami: str = "") -> dict[str, str]:
        """Account -> state of its delivery."""

    def sent(self, ami: str = "") -> Sequence[Mapping[str, Any]]:
        """The notices about an AMI."""

    def notices(self, ami: str = "") -> Counter[str]:
        """How often each event was published."""
        return Counter(one["event"] for one in self.sent(ami))

    def notice(self, account: str, ami: str = "") -> Mapping[str, Any]:
        """The last notice about a target."""
        return [one for one in self.sent(ami) if one.get("account") == account][-1]

    def faults(self, account: str, ami: str = "") -> list[str]:
        """The codes of the faults in it."""
        return [fault["code"] for fault in self.notice(account, ami)["faults"]]

    def owned_by(self, account: str) -> list[str]:
        """The AMIs of the hub of which a target has an own one."""

    def snapshots_in(self, account: str) -> int: ...

    def let_in(self) -> set[str]:
        """The accounts to which anything of the hub is open."""

    def can_copy(self) -> set[str]:
        """The accounts to which a snapshot is open."""

    def grantees(self) -> list[str]:
        """The account of each grant on the AMI's key."""

    def can_launch(self, account: str, ami: str = "") -> bool:
        """Whether an account can launch the hub's AMI itself."""

    def is_deprecated(self, account: str, ami: str) -> bool:
        """Whether a target's own AMI has a deprecation date."""

    def current(self, account: str) -> str:
        """The AMI of the hub that the parameter in a target names; "" if there is none."""

    def running(self, account: str) -> list[str]:
        """The states of the instances that were started in a target."""

    def check(self) -> None:
        """Assert the invariants, at the end of a story."""
