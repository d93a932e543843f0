"""EC2's rates: a bucket of tokens for calls that change something, for each account and Region."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from awsim.api import AwsError, Call
from bench.case import MUTATIONS_AT_ONCE, MUTATIONS_PER_SECOND

READS = ("Describe", "Get", "List", "Search")


@dataclass
class TokenBucket:
    """So many calls at once, and then so many a second. Times are in seconds."""

    rate: float = MUTATIONS_PER_SECOND
    size: float = MUTATIONS_AT_ONCE
    tokens: float = MUTATIONS_AT_ONCE
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Take a token; False if there is none."""
        self._fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait(self, now: float) -> float:
        """Take the next token there will be; return the seconds until then."""
        self._fill(now)
        self.tokens -= 1
        return max(0.0, -self.tokens / self.rate)

    def _fill(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now


@dataclass
class Throttle:
    """A hook of the simulator's gateway: refuses a call that is too fast, in EC2's words."""

    began: datetime
    refused: int = 0
    buckets: dict[tuple[str, str], TokenBucket] = field(default_factory=dict)

    def __call__(self, call: Call) -> None:
        """Take a token for a call. Raises AwsError."""
        if call.service != "ec2" or call.operation.startswith(READS) or call.invocation is None:
            return
        bucket = self.buckets.setdefault((call.caller.account, call.region), TokenBucket())
        if not bucket.take((call.at - self.began).total_seconds()):
            self.refused += 1
            raise AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
