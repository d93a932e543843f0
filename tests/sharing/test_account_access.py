"""Since when an account itself has access to a source key."""

from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.sharing import account_access
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState

KEY, ACCOUNT, NOW = "arn:aws:kms:us-east-1:111111111111:key/source", "222222222222", 10_000
HELD = frozenset({Holding("ami-0a", ACCOUNT, "us-east-1", "delivery", 1, Purpose.STANDING)})
GRANT = Share(
    addresses.key_resource(KEY, ACCOUNT).pk, ACCOUNT, ACCOUNT, state=ShareState.OPEN, opened_at=7_000, holdings=HELD
)
STATEMENT = replace(GRANT, resource=addresses.policy_resource(KEY).pk, opened_at=8_000, opened_to="r", grantee="r")


@pytest.mark.parametrize(
    ("found", "since"),
    [
        ([], 0),
        ([GRANT], 7_000),
        ([GRANT, STATEMENT], 8_000),
        ([GRANT, replace(STATEMENT, state=ShareState.OPENING)], NOW),
        ([replace(GRANT, state=ShareState.WANTED)], NOW),
        ([replace(STATEMENT, opened_to="the role's former name")], NOW),
        ([replace(GRANT, state=ShareState.CLOSED, holdings=frozenset()), STATEMENT], 8_000),
    ],
)
def test_it_counts_from_the_last_part_of_it_that_opened(found, since):
    """What nobody holds any longer does not count; what still waits to be opened counts from now."""
    assert account_access.open_since(found, NOW) == since


def test_it_is_a_grant_or_two_statements():
    """As deliveries in share mode hold them."""
    policy = f"resource#policy#{KEY}"
    assert account_access.places(addresses.role_resource(KEY, ACCOUNT).pk, ACCOUNT) == (
        (f"resource#key#{KEY}#{ACCOUNT}", ACCOUNT),
        (policy, f"{ACCOUNT}-share"),
        (policy, f"{ACCOUNT}-roles"),
    )
