"""Connections to AWS under the caller's credentials, and AWS's refusals in words for a person.

AWS_ENDPOINT_URL, profiles and other settings work as boto3 reads them.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ami_promoter.terminal.report import ended
from chalicelib.engine import codec
from chalicelib.engine.aws import legible, sdk
from chalicelib.engine.aws.refusals import NOT_ACTIVE, STALE_CREDENTIALS, THROTTLED
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import Misconfigured, Refusal
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.store.table import Table
from chalicelib.targets.store.members_table import MembersTable
from chalicelib.targets.store.targets_table import TargetsTable

UNCHANGED = "(nothing has changed)"
"""In the name of what a command does, of a change that is one call."""
TRIES = 8
"""Tries for items that DynamoDB leaves unprocessed, within half a minute."""
AT_ONCE = 25
"""Most requests of one BatchWriteItem."""


def errors() -> tuple[type[Exception], ...]:
    """Return what the SDK raises: for a refusal, for no answer, and for one that is not AWS's, as a proxy gives."""
    return sdk.ClientError, sdk.BotoCoreError, sdk.ResponseParserError


class HubError(Exception):
    """AWS refused or could not be reached, or somebody else wrote first. ``fault``: where, what, and what to do."""

    def __init__(self, what: str, where: str = "", cure: str = "", code: str = "aws") -> None:
        self.fault = Fault(code, where, what, cure)
        super().__init__(str(self.fault).removeprefix(": ").rstrip())

    @classmethod
    def of(cls, fault: Fault) -> HubError:
        """Return the error of a fault."""
        return cls(fault.what, fault.where, fault.cure, fault.code)


def regions() -> tuple[str, ...]:
    """Return every Region that the SDK knows, of all partitions."""
    return tuple(sorted(set().union(*partitions())))


@functools.cache
def partitions() -> list[set[str]]:
    """Return the Regions that the SDK knows, those of each partition."""
    found = find_spec("botocore")
    return partitions_in(Path(str(found and found.origin)).parent / "data" / "endpoints.json")


def partitions_in(file: Path) -> list[set[str]]:
    """Read the SDK's file without the SDK, for which a shell that completes a word does not wait.

    If the file is not there, or has another form, the SDK itself is asked.
    """
    try:
        each = codec.parsed_json(file.read_text(encoding="utf-8"))["partitions"]
        return [set(one["services"]["ec2"]["endpoints"]) & set(one["regions"]) for one in each]
    except (OSError, KeyError, TypeError, ValueError):
        session = sdk.Session(region_name="us-east-1")
        return [set(session.get_available_regions("ec2", one)) for one in session.get_available_partitions()]


def region(profile: str | None = None) -> str | None:
    """Return the Region of the environment or the profile, if either has one. May raise HubError."""
    with _telling("AWS configuration", "reading it"):
        return os.environ.get("AWS_REGION") or sdk.Session(profile_name=profile).region_name


class Account:
    """An account and Region under the caller's credentials. Asks STS at once who the caller is; may raise HubError."""

    def __init__(self, region: str, profile: str | None = None) -> None:
        self.region = region
        self.account = "unknown"
        self._ahead = 0.0
        self._config = sdk.Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
        with _telling("AWS configuration", "reading it"):
            self._session = sdk.Session(region_name=region, profile_name=profile)
        self._session.events.register("after-call", self._handled)
        self._session.events.register(legible.EVENT, legible.make_legible)
        with self.telling("asking STS who is calling"):
            identity = self.client("sts").get_caller_identity()
        self.account = identity["Account"]
        self.caller = identity["Arn"]
        self.user = identity["UserId"]  # `aws:userid` in policies

    def now(self) -> float:
        """Return the time (epoch seconds) by AWS's clock, taken from its last answer: a laptop's clock may be wrong."""
        return time.time() + self._ahead

    def _handled(self, http_response: Any, **_rest: Any) -> None:
        """Compare clocks; ignore an answer without a date."""
        try:
            reported = parsedate_to_datetime(http_response.headers["Date"]).timestamp()
        except (KeyError, TypeError, ValueError, AttributeError):
            return
        self._ahead = reported - time.time()

    @property
    def place(self) -> str:
        """Account and Region, for messages."""
        return f"account {self.account}, {self.region}"

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return Arn.parse(self.caller).partition

    def client(self, service: str, region: str | None = None) -> Any:
        """Make a client of a service, in this Region or another; may raise HubError."""
        try:
            return self._session.client(service, region_name=region, config=self._config)
        except ValueError as error:  # the SDK's for an address that is none
            cure = "Correct AWS_ENDPOINT_URL, or `endpoint_url` in the profile."
            raise HubError(ended(str(error)), "AWS configuration", cure, "endpoint") from error

    @contextmanager
    def telling(self, doing: str) -> Iterator[None]:
        """Turn an error of AWS, or of the service's code, into a HubError.

        Of AWS's it says what the command was doing, where, and what may help. ``UNCHANGED`` at the end of ``doing`` is
        said only where AWS has refused the call.
        """
        with _telling(self.place, doing):
            yield


class Connection(Account):
    """The hub's tables under the caller's credentials, which must be of the account ``hub``.

    ``table`` is the table of the records; the names of the other two begin with its name. ``tag``: the trigger's key.
    """

    def __init__(
        self, region: str, table: str | None = None, hub: str | None = None, profile: str | None = None, tag: str = ""
    ) -> None:
        self.tag_key = tag or "promote"
        self.table = table or f"ami-promoter-{region}"
        self.config_table = f"{self.table}-config"
        self.members_table = f"{self.table}-members"
        super().__init__(region, profile)
        if hub and self.account != hub:
            what = f"they are those of account {self.account} ({self.caller}), and --hub-account says {hub}."
            raise HubError(what, "credentials", "Use credentials of the hub.", "other-account")
        self.dynamodb = self.client("dynamodb")

    @property
    def record_items(self) -> Table:
        """The table of records, item by item."""
        return Table(self.dynamodb, self.table)

    @property
    def records(self) -> DynamoRecords:
        """The records of that table."""
        return DynamoRecords(self.record_items)

    @property
    def operators(self) -> Table:
        """The operators' table: targets files, the switch, withdrawals, recalls, pins and approvals."""
        return Table(self.dynamodb, self.config_table)

    @property
    def applied(self) -> TargetsTable:
        """What that table and the members' say of the targets file in force."""
        hub = (self.account, self.region)
        return TargetsTable(self.dynamodb, self.config_table, self.members_table, hub)

    @property
    def members(self) -> MembersTable:
        """The table of members."""
        return MembersTable(self.dynamodb, self.members_table, self.config_table)

    @property
    def place(self) -> str:
        """Account and Region for messages, and the table if it is not the default."""
        usual = self.table == f"ami-promoter-{self.region}"
        return super().place if usual else f"{super().place}, table {self.table}"

    @property
    def named(self) -> dict[str, str]:
        """Account, Region and table as JSON data."""
        return {"account": self.account, "region": self.region, "table": self.table}

    def write_operators(
        self, requests: Sequence[Mapping[str, Any]], left: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Write many items into the operators' table, and send again what DynamoDB leaves. May raise HubError.

        ``left``: a sentence for the error that says what was written.
        """
        for some in slices(requests, AT_ONCE):
            rest = some
            for attempt in range(TRIES):
                answer = self.dynamodb.batch_write_item(RequestItems={self.config_table: rest})
                rest = answer["UnprocessedItems"].get(self.config_table, [])
                if not rest:
                    break
                sleep(min(0.1 * 2**attempt, 5))
            else:
                what = f"DynamoDB still leaves items unwritten after several tries. {left}"
                raise HubError(what, self.place, "Wait a minute and run the command again.", "items-unwritten")


class CallersSessions(Sessions):
    """``Sessions`` with the caller's own clients instead of a function's."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.region, connection.now)
        self._connection = connection

    def own(self, service: str, *, once: bool = False, region: str = "") -> Any:
        """See Sessions; ``once`` does not matter, because what a command does by this may be done twice."""
        del once
        return self._connection.client(service, region or None)


@contextmanager
def _telling(place: str, doing: str) -> Iterator[None]:
    try:
        yield
    except errors() as error:
        raise _hub_error(error, place, doing) from error
    except Refusal as refusal:
        if isinstance(refusal.__cause__, errors()):  # its cure is for the service's roles
            raise _hub_error(refusal.__cause__, place, doing) from refusal
        raise HubError.of(refusal.fault) from refusal
    except Misconfigured as error:
        raise HubError(str(error), place, code="misconfigured") from error


def _hub_error(error: sdk.ClientError | sdk.BotoCoreError, place: str, doing: str) -> HubError:
    done = doing if _refused(error) else doing.replace(UNCHANGED, "(it may be done: run the command again)")
    if code_of(error) in _DENIED:
        done = re.sub(r" \(run the command again.*\)", "", done)
    return HubError(f"{done} failed: {ended(str(error))}", place, _cure(error), code_of(error))


def _refused(error: Exception) -> bool:
    """Whether AWS has refused a call; else it may have served one whose answer did not come."""
    answered = error.response.get("ResponseMetadata", {}) if isinstance(error, sdk.ClientError) else None
    return answered is not None and int(answered.get("HTTPStatusCode", 400)) < 500


def code_of(error: Exception) -> str:
    """Return AWS's code of a refusal, or the SDK's name of what failed."""
    said = error.response.get("Error", {}).get("Code") if isinstance(error, sdk.ClientError) else None
    return str(said or type(error).__name__)


def _cure(error: Exception) -> str:
    unknown = "Check profile, credentials and Region: `aws sts get-caller-identity` must work."
    if isinstance(error, sdk.ClientError):
        unknown = "If it lasts, look up the code above."
    return next((cure for codes, cure in _CURES.items() if code_of(error) in codes), unknown)


_DENIED = ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation")
_CURES: Mapping[Collection[str], str] = {
    ("ResourceNotFoundException",): (
        "There is no such table: check that account and Region are the hub's, and that its stack is deployed."
    ),
    _DENIED: ("Use a role that is allowed to do this; docs/reference/cli.md lists what each verb needs."),
    ("NotFoundException",): "There is no such key: check its name, the Region and the account.",
    STALE_CREDENTIALS: "The credentials have expired or are no longer valid: sign in again.",
    ("NoCredentialsError", "SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError"): (
        "Set AWS_PROFILE, or sign in; see `aws sts get-caller-identity`."
    ),
    ("ProfileNotFound",): "See `aws configure list-profiles`, and --profile or AWS_PROFILE.",
    ("ConfigParseError",): (
        "Correct that file: each profile is a line `[profile NAME]`, with lines `name = value` below."
    ),
    (
        *("ConnectTimeoutError", "ConnectionClosedError", "EndpointConnectionError", "ProxyConnectionError"),
        *("ReadTimeoutError", "ResponseParserError", "SSLError"),
    ): "Check the network, the Region, and AWS_ENDPOINT_URL if it is set.",
    NOT_ACTIVE: "AWS has not activated this account, or its Region, yet: wait, or ask AWS Support.",
    THROTTLED: "AWS is throttling, or has a fault of its own: wait a minute and run the command again.",
}
