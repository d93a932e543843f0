"""The rim towards AWS: connections under the caller's credentials, and AWS's refusals in words for a person.

AWS_ENDPOINT_URL, profiles and the other usual settings hold, as boto3 reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError


class Trouble(Exception):
    """AWS refused or could not be reached, or somebody was faster. The text says where, why and what to do."""


def region(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Find the hub's Region: as given, or as the environment or the profile says; None if nothing does."""
    return given or environ.get("AWS_REGION") or boto3.Session().region_name


class Account:
    """An account and Region under the caller's credentials. Asks STS at once who the caller is; may raise Trouble."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.account = "unknown"
        self._config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
        with self.telling("asking STS who is calling"):
            self._session = boto3.Session(region_name=region)
            identity = self.client("sts").get_caller_identity()
        self.account = identity["Account"]
        self.caller = identity["Arn"]

    @property
    def place(self) -> str:
        """Account and Region, for messages."""
        return f"account {self.account}, {self.region}"

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return str(self.caller).split(":")[1]

    def client(self, service: str, region: str | None = None) -> Any:
        """Make a client of a service, in this Region or another."""
        return self._session.client(service, region_name=region, config=self._config)

    @contextmanager
    def telling(self, doing: str) -> Iterator[None]:
        """Turn an error of AWS's into Trouble that says what was being done, where, and what may help."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise Trouble(f"{self.place}: {doing} failed: {_ended(str(error))} {_cure(error)}") from error


class Connection(Account):
    """The hub's tables under the caller's credentials. Refuses those of another account than ``hub``.

    ``table`` is the table of the records; those of the targets file and of the members bear its name and a suffix.
    """

    def __init__(self, region: str, table: str | None = None, hub: str | None = None) -> None:
        self.table = table or f"ami-promoter-{region}"
        self.config_table = f"{self.table}-config"
        self.members_table = f"{self.table}-members"
        super().__init__(region)
        if hub and self.account != hub:
            raise Trouble(
                f"the credentials are those of account {self.account} ({self.caller}), "
                f"and --hub-account says {hub}. Use credentials of the hub."
            )
        self.dynamodb = self.client("dynamodb")

    @property
    def place(self) -> str:
        """Account, Region and table, for messages."""
        return f"{super().place}, table {self.table}"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."


def _cure(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        return next((cure for codes, cure in _CURES.items() if code in codes), "If it lasts, look up the code above.")
    if isinstance(error, NoCredentialsError):
        return "Set AWS_PROFILE, or sign in; see `aws sts get-caller-identity`."
    if isinstance(error, EndpointConnectionError):
        return "See that the network reaches it, and that AWS_ENDPOINT_URL (if set) and the Region are right."
    return "See that profile, credentials and Region are right: `aws sts get-caller-identity` must work."


_CURES: Mapping[tuple[str, ...], str] = {
    ("ResourceNotFoundException",): (
        "There is no such table: see that account and Region are the hub's, and that the hub stack is deployed there."
    ),
    ("AccessDeniedException", "AccessDenied"): (
        "Use a role that may do this; docs/reference/permissions.md lists what the commands need."
    ),
    ("NotFoundException",): "There is no such key: see that its name, the Region and the account are right.",
    ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"): (
        "The credentials have expired or are no longer valid: sign in again."
    ),
    ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"): (
        "AWS is throttling: wait a minute and run the command again."
    ),
}
