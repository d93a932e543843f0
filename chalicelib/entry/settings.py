"""A function's settings, read from environment variables; one error names all that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from chalicelib.engine.errors import Misconfigured
from chalicelib.engine.places import Arn

PREFIX = "AMI_PROMOTER_"
BY_LAMBDA = {"region": "AWS_REGION", "function": "AWS_LAMBDA_FUNCTION_NAME"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Names and addresses of this hub's parts, and its parameters.

    A member without a default must be in the environment, under its own name with ``PREFIX``, or ``BY_LAMBDA``.
    """

    region: str
    function: str
    """The function's name, for the sessions of the organization's read role."""
    hub_account: str
    table: str
    """Records and the ledger."""
    config_table: str
    """The applied file, the pause, withdrawals, accepted departures and approvals: no function writes it."""
    members_table: str
    """The members of the units, which discovery alone writes; and of which version of the file people were notified."""
    worker_queue_url: str
    share_worker_queue_url: str
    topic_arn: str
    event_bus: str
    trigger_tag: str
    keep_history_days: int
    """For how many days history, look-ups and closed shares are kept (DynamoDB's time to live)."""
    target_accounts: frozenset[str] = frozenset()
    """The stack's parameter TargetAccounts; this and the next in the share worker's environment only."""
    organization: str = ""
    """Its OrganizationId."""
    findings_table: str = ""
    """Of the access monitor and the drift audit; this and the next four in their environment only."""
    security_topic_arn: str = ""
    builders: frozenset[str] = frozenset()
    """ARNs of those who build, tag and use golden AMIs."""
    learning_hours: int = 0
    """For so long after their first event or run they send no page."""
    siblings: frozenset[str] = frozenset()
    """Regions of this account's other hubs."""

    @property
    def hub(self) -> tuple[str, str]:
        """The hub's account and Region."""
        return self.hub_account, self.region

    @property
    def where(self) -> str:
        """The hub, as messages name it."""
        return f"account {self.hub_account} (hub), {self.region}"

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``: the topic's ARN says it."""
        return Arn.parse(self.topic_arn).partition

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read them. Raises Misconfigured naming every variable that is missing, or one that is no number."""
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        wanted = {name: f"{PREFIX}{name.upper()}" for name in needed} | BY_LAMBDA
        missing = sorted(variable for variable in wanted.values() if not environment.get(variable))
        if missing:
            raise Misconfigured(
                f"The function's environment lacks {', '.join(missing)}: deploy the hub's template unchanged."
            )
        days = wanted.pop("keep_history_days")
        if not environment[days].isdecimal():
            raise Misconfigured(f"{days} is {environment[days]!r}, no number: deploy the hub's template unchanged.")
        learning = environment.get(f"{PREFIX}LEARNING_HOURS", "")

        def listed(name: str) -> frozenset[str]:
            return frozenset(environment.get(PREFIX + name, "").split(",")) - {""}

        return cls(
            **{field: environment[name] for field, name in wanted.items()},
            keep_history_days=int(environment[days]),
            target_accounts=listed("TARGET_ACCOUNTS"),
            organization=environment.get(f"{PREFIX}ORGANIZATION", ""),
            findings_table=environment.get(f"{PREFIX}FINDINGS_TABLE", ""),
            security_topic_arn=environment.get(f"{PREFIX}SECURITY_TOPIC_ARN", ""),
            builders=listed("BUILDERS"),
            learning_hours=int(learning) if learning.isdecimal() else 0,
            siblings=listed("SIBLING_REGIONS"),
        )
