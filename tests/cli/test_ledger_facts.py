"""What `reconcile` reads from the ledger's items, grants and key policies."""

import json

import pytest

from ami_promoter import ledger_facts
from ami_promoter.facts import Grant, Holding, Source, source_of
from ami_promoter.records import Reader
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses, key_policy
from chalicelib.core.key_policy import Access, Audience
from chalicelib.core.share import Holder, Share, State

TABLE, HUB, DEV = "ami-promoter-us-east-1", "111111111111", "222222222222"
ID = "0123456789abcdef0123"
RESOURCE = addresses.snapshot_resource("snap-0a").pk
KEY = f"arn:aws:kms:us-east-1:{HUB}:key/k"


class HubReader(Reader):
    """Reads the table of a hub without asking who calls."""

    def __init__(self, client):
        """Name the table."""
        self._client, self._name = client, TABLE


def test_a_share_is_read_as_the_ledger_writes_it(client):
    """With its holdings, each to be let go in the ledger's own form."""
    ledger = DynamoLedger(Table(client, TABLE))
    holder = Holder(ID, "3", stays=True, until=99)
    made = Share(RESOURCE, DEV, DEV, state=State.OPEN, generation=2, before_us=True, grant_id="g", opened_at=5)
    ledger.hold(RESOURCE, made, str(holder))
    place = (RESOURCE, f"share#{DEV}")

    share = ledger_facts.share_of(*place, HubReader(client).many([place])[place])

    assert (share.resource, share.holder_key, share.account, share.state) == (RESOURCE, DEV, DEV, "open")
    assert (share.preexisting, share.serial, share.grant_id, share.opened_at) == (True, 2, "g", 5)
    assert share.holdings == (Holding(ID, "3", standing=True, until=99, stored=str(holder)),)
    ledger.release(RESOURCE, DEV, share.holdings[0].stored)
    assert ledger.shares(RESOURCE)[0].holders == frozenset()


@pytest.mark.parametrize(
    ("resource", "holder_key"),
    [
        (RESOURCE, DEV),
        (addresses.key_resource(KEY, DEV).pk, ID),
        (addresses.role_resource(KEY, DEV).pk, "svc/role"),
        (addresses.policy_resource(KEY).pk, f"{DEV}-share"),
    ],
)
def test_of_a_damaged_share_the_account_is_found_in_its_name(resource, holder_key):
    """Whom it lets in must not be lost with its body."""
    damaged = {"unreadable": True, "_item": {"state": "open", "holders": "nonsense", "version": "nonsense"}}

    share = ledger_facts.share_of(resource, f"share#{holder_key}", damaged)

    assert (share.account, share.state, share.holdings, share.version) == (DEV, "open", (), 0)


def test_the_permissions_of_a_hub_copy_are_named_with_their_region():
    """The id alone is the snapshot's; the Region is where to look it up."""
    for source in (Source("snap-0a"), Source("snap-0a", "eu-west-1"), Source("ami-0a")):
        assert source_of(source.resource) == source
    assert source_of(addresses.policy_resource(KEY).pk) is None


@pytest.mark.parametrize(
    ("name", "issuer", "grantee", "ours"),
    [
        (f"ami-promoter-{ID}-7", HUB, f"arn:aws:iam::{DEV}:role/AmiCopyRole", True),
        (f"ami-promoter-{ID}-7", DEV, f"arn:aws:iam::{DEV}:role/AmiCopyRole", False),
        ("backup-of-dev", HUB, f"arn:aws:iam::{DEV}:root", False),
        ("", HUB, DEV, False),
    ],
)
def test_a_grant_is_ours_by_its_name_and_its_issuer(name, issuer, grantee, ours):
    """A name alone proves nothing: anybody may write it."""
    raw = {
        "Name": name,
        "GrantId": "g",
        "GranteePrincipal": grantee,
        "IssuingAccount": f"arn:aws:iam::{issuer}:root",
        "KeyId": KEY,
    }

    assert ledger_facts.grant_of(KEY, raw, HUB) == (Grant(KEY, "g", ID, 7, DEV, grantee) if ours else None)


def test_our_statements_are_found_by_their_sid_with_whom_they_let_in():
    """Others' are passed over; an access of which a statement was taken out is not whole."""
    role = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
    copies = key_policy.statements(Access(DEV, Audience.COPIES, role))
    account = key_policy.statements(Access(DEV, Audience.ACCOUNT, f"arn:aws:iam::{DEV}:root"))[:1]
    owner = {"Sid": "Owner", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [owner, *copies, *account]})

    found = ledger_facts.statements_of(KEY, text)

    assert [(one.holder_key, one.account, one.principal, one.whole) for one in found] == [
        (DEV, DEV, role, True),
        (f"{DEV}-share", DEV, f"arn:aws:iam::{DEV}:root", False),
    ]
    assert isinstance(ledger_facts.statements_of(KEY, "{"), str)
