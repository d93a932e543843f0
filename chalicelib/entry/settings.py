"""A function's settings, read from environment variables; one error names all that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from chalicelib.engine.errors import Misconfigured
from chalicelib.engine.places import Arn, Place

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
    """The stack's parameter TargetAccounts; in the share worker's environment only."""
    organization: str = ""
    """The stack's parameter OrganizationId; in the share worker's environment only."""
    findings_table: str = ""
    """Of the access monitor and the drift audit, in whose environments alone this and all that follows are."""
    security_topic_arn: str = ""
    builders: frozenset[str] = frozenset()
    """ARNs of those who build, tag and use golden AMIs."""
    learning_hours: int = 0
    """For so long after their first event or run, access monitor and drift audit send no page."""
    sibling_regions: frozenset[str] = frozenset()
    """Regions of this account's other hubs."""

    @property
    def hub(self) -> Place:
        """The hub's account and Region."""
        return Place(self.hub_account, self.region)

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
        """Read them. Raises Misconfigured: it names all variables that are missing, or the first that is no number."""
        variables = {field: BY_LAMBDA.get(field.name, f"{PREFIX}{field.name.upper()}") for field in fields(cls)}
        given = {field: environment.get(variable, "") for field, variable in variables.items()}
        missing = sorted(variables[field] for field in given if not given[field] and field.default is MISSING)
        if missing:
            raise Misconfigured(
                f"The function's environment lacks {', '.join(missing)}: deploy the hub's template unchanged."
            )
        values: dict[str, Any] = {}
        for field, text in given.items():
            match field.type:
                case _ if not text:
                    pass  # it has its default
                case "int" if not text.isdecimal():
                    what = f"{variables[field]} is {text!r}, no whole number: deploy the hub's template with one."
                    raise Misconfigured(what)
                case "int":
                    values[field.name] = int(text)
                case "frozenset[str]":
                    values[field.name] = frozenset(text.split(",")) - {""}
                case _:
                    values[field.name] = text
        return cls(**values)
