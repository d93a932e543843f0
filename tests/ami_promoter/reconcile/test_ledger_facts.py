"""What `reconcile` reads from the ledger's items, grants and key policies."""

import json

import pytest

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader
from ami_promoter.reconcile import ledger_facts
from ami_promoter.reconcile.facts import Grant
from chalicelib.engine import addresses
from chalicelib.engine.store.table import Table
from chalicelib.sharing import key_policy
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.key_policy import Access, Audience
from chalicelib.sharing.ports import SeenGrant
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from tests.fakes import sharing

TABLE, HUB, DEV, REGION = "ami-promoter-us-east-1", "111111111111", "222222222222", "us-east-1"
ID = "0123456789abcdef0123"
RESOURCE = addresses.snapshot_resource("snap-0a").pk
KEY = f"arn:aws:kms:us-east-1:{HUB}:key/k"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"state": "open", "preexisting": False}, True),
        ({"state": "open", "preexisting": True}, False),
        ({"state": "closed", "preexisting": False}, False),
        ({"state": "closed", "preexisting": False, "gone_with_resource": True}, True),
        ({"state": "closed", "preexisting": True, "gone_with_resource": True}, False),
        ({}, False),
    ],
)
def test_the_last_entry_says_whether_a_permission_that_shows_is_the_services(entry, expected):
    """It was open, or its snapshot took it into the Recycle Bin; one that was removed, or is preexisting, is not."""
    assert ledger_facts.had_open(entry) is expected


def test_a_share_is_read_as_the_ledger_writes_it(client):
    """With its holdings, each of which can be released."""
    ledger = DynamoLedger(Table(client, TABLE))
    holding = sharing(ID, episode=3, until=99)
    made = Share(RESOURCE, DEV, DEV, state=ShareState.OPEN, intended_at=2, preexisting=True, grant_id="g", opened_at=5)
    ledger.hold(made, holding)

    share = Reader(Connection(REGION)).shares([(RESOURCE, DEV)])[RESOURCE, DEV]

    assert share == ledger.shares(RESOURCE)[0]
    assert share.holdings == {holding}
    ledger.release(RESOURCE, DEV, holding)
    assert ledger.shares(RESOURCE)[0].holdings == frozenset()


@pytest.mark.parametrize(
    ("resource", "share_name"),
    [
        (RESOURCE, DEV),
        (addresses.key_resource(KEY, DEV).pk, ID),
        (addresses.role_resource(KEY, DEV).pk, "svc/role"),
        (addresses.policy_resource(KEY).pk, f"{DEV}-share"),
    ],
)
def test_of_a_damaged_share_the_account_is_found_in_its_name(client, resource, share_name):
    """The receiver must be known even if the body is damaged."""
    damaged = {"pk": resource, "sk": f"share#{share_name}", "state": "open", "version": "nonsense", "body": "{"}

    (share,) = Reader(Connection(REGION)).shares_in([damaged])

    assert (share.account, share.state, share.holdings) == (DEV, "open", frozenset())


NAME = grant_name(Share("", f"{ID}-AmiCopyRole", DEV, intended_at=7), REGION)


@pytest.mark.parametrize(
    ("name", "issuer", "grantee", "ours"),
    [
        (NAME, HUB, f"arn:aws:iam::{DEV}:role/AmiCopyRole", True),
        (NAME, DEV, f"arn:aws:iam::{DEV}:role/AmiCopyRole", False),
        (NAME.replace(REGION, "eu-west-1"), HUB, f"arn:aws:iam::{DEV}:role/AmiCopyRole", False),
        ("backup-of-dev", HUB, f"arn:aws:iam::{DEV}:root", False),
        ("", HUB, DEV, False),
    ],
)
def test_a_grant_is_the_services_by_its_name_and_its_issuer(name, issuer, grantee, ours):
    """Anyone can write a name. A grant of the hub in another Region is that hub's."""
    seen = SeenGrant("g", name, f"arn:aws:iam::{issuer}:root", grantee)

    assert ledger_facts.grant_of(KEY, seen, HUB, REGION) == (Grant(KEY, "g", ID, 7, DEV, grantee) if ours else None)


def test_the_services_statements_are_found_by_their_sid_with_whom_they_admit():
    """Other statements are ignored, also another hub's; without one of its statements an access is not whole."""
    hub_sid, role = key_policy.hub_sid(HUB, REGION), f"arn:aws:iam::{DEV}:role/AmiCopyRole"
    other = key_policy.statements(Access(DEV, Audience.ROLES, role, key_policy.hub_sid(HUB, "eu-west-1")))
    copies = key_policy.statements(Access(DEV, Audience.COPIES, role, hub_sid))
    account = key_policy.statements(Access(DEV, Audience.ACCOUNT, f"arn:aws:iam::{DEV}:root", hub_sid))[:1]
    owner = {"Sid": "Owner", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [owner, *other, *copies, *account]})

    found = ledger_facts.statements_of(KEY, text, hub_sid)
    expected = [(DEV, DEV, role, True), (f"{DEV}-share", DEV, f"arn:aws:iam::{DEV}:root", False)]

    assert [(one.share_name, one.account, one.principal, one.complete) for one in found] == expected
    assert isinstance(ledger_facts.statements_of(KEY, "{", hub_sid), str)


def test_a_statement_of_the_service_that_somebody_has_changed_is_not_whole():
    """Under its Sid it may admit a stranger instead, or allow more than the service asks for."""
    hub_sid, role = key_policy.hub_sid(HUB, REGION), f"arn:aws:iam::{DEV}:role/AmiCopyRole-grants"
    (grants,) = key_policy.statements(Access(DEV, Audience.ROLES, role, hub_sid))
    stranger = {"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}

    for changed, whole in (({}, True), (stranger, False), ({"Action": "kms:*"}, False), ({"Condition": {}}, False)):
        (found,) = ledger_facts.statements_of(KEY, json.dumps({"Statement": [{**grants, **changed}]}), hub_sid)
        assert found.complete is whole


ROLE_TEXT, ROOT = f"arn:aws:iam::{DEV}:role/AmiCopyRole", f"arn:aws:iam::{DEV}:root"


@pytest.mark.parametrize(
    ("audience", "principal", "shown"),
    [(Audience.COPIES, ROLE_TEXT, f'["{ROLE_TEXT}"]'), (Audience.ACCOUNT, ROOT, f'"{DEV}"')],
)
def test_a_statement_is_whole_in_each_form_in_which_kms_may_show_it(audience, principal, shown):
    """A list of one, or an account's id for its root."""
    hub_sid = key_policy.hub_sid(HUB, REGION)
    access = Access(DEV, audience, principal, hub_sid)
    text = json.dumps({"Statement": key_policy.statements(access)}).replace(f'"{principal}"', shown)

    (found,) = ledger_facts.statements_of(KEY, text, hub_sid)
    assert (found.complete, found.principal) == (True, principal)
