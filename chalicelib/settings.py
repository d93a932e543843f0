"""What the deployment tells a function, by environment variables; all that is missing is named at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.errors import Misconfigured

PREFIX = "AMI_PROMOTER_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this hub's parts are."""

    region: str
    hub_account: str
    table: str
    act_queue_url: str
    settle_queue_url: str
    topic_arn: str
    event_bus: str
    trigger_tag: str

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``: the topic's ARN says it."""
        return self.topic_arn.split(":")[1]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read them. Raises Misconfigured naming every variable that is missing."""
        wanted = {
            "region": "AWS_REGION",
            "hub_account": f"{PREFIX}HUB_ACCOUNT",
            "table": f"{PREFIX}TABLE",
            "act_queue_url": f"{PREFIX}ACT_QUEUE_URL",
            "settle_queue_url": f"{PREFIX}SETTLE_QUEUE_URL",
            "topic_arn": f"{PREFIX}TOPIC_ARN",
            "event_bus": f"{PREFIX}EVENT_BUS",
            "trigger_tag": f"{PREFIX}TRIGGER_TAG",
        }
        missing = sorted(name for name in wanted.values() if not environment.get(name))
        if missing:
            raise Misconfigured(
                f"The function's environment lacks {', '.join(missing)}: deploy the hub's template unchanged."
            )
        return cls(**{field: environment[name] for field, name in wanted.items()})
