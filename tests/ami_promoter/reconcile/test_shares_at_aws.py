"""What `reconcile` reads from the ledger's items, and where these differ from grants and key policies."""

import json
from dataclasses import replace

import pytest

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader
from ami_promoter.reconcile.facts import HubView, missing, own_grants, unexplained
from ami_promoter.reconcile.view_reading import had_open
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
    assert had_open(entry) is expected


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


def name_for(share_name):
    return grant_name(Share("", share_name, intended_at=7, account=""), REGION)


NAME, SERVICE_ROLE = name_for(f"{ID}-AmiCopyRole"), "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
ROLE, FOR_SERVICE = f"arn:aws:iam::{DEV}:role/AmiCopyRole", "arn:aws:iam::{}:role/aws-service-role/" + SERVICE_ROLE


@pytest.mark.parametrize(
    ("name", "issuer", "grantee", "share_names"),
    [
        (NAME, HUB, ROLE, [f"{ID}-AmiCopyRole"]),
        (NAME, DEV, ROLE, []),
        (NAME.replace(REGION, "eu-west-1"), HUB, ROLE, []),
        ("backup-of-dev", HUB, f"arn:aws:iam::{DEV}:root", []),
        (f"ami-promoter:{REGION}:by-hand", HUB, ROLE, []),
        ("", HUB, DEV, []),
        (name_for(SERVICE_ROLE), DEV, FOR_SERVICE.format(DEV), [SERVICE_ROLE]),
        (name_for(SERVICE_ROLE), HUB, FOR_SERVICE.format(DEV), []),
        (name_for(SERVICE_ROLE), HUB, FOR_SERVICE.format(HUB), []),
        (f"{name_for(SERVICE_ROLE)}:{HUB}", HUB, "AROAEXAMPLEEXAMPLE000", []),
    ],
)
def test_a_grant_is_the_services_by_its_name_and_its_issuer(name, issuer, grantee, share_names):
    """Anyone can write a name, and the service's have their form. A grant of the hub in another Region is that hub's.

    An account itself makes the grants for its service-linked roles; those on its own key stay with its AMIs, also
    while KMS shows a new role by its id.
    """
    seen = SeenGrant("g", name, f"arn:aws:iam::{issuer}:root", grantee)

    assert [one.share_name for one in own_grants(KEY, [seen], HUB, REGION)] == share_names


HUB_SID, ROOT = key_policy.hub_sid(HUB, REGION), f"arn:aws:iam::{DEV}:root"
POLICY = addresses.policy_resource(KEY).pk


def a_view(text, *shares):
    """A view of the key's policy and these shares."""
    ledger = {(share.resource, share.share_name): share for share in shares}
    return HubView(0, REGION, ledger=ledger, policies={KEY: key_policy.read(KEY, text, HUB_SID)})


def test_the_services_statements_are_found_by_their_sid():
    """Other statements are ignored, also another hub's."""
    other = key_policy.statements(Access(DEV, Audience.ROLES, ROLE, key_policy.hub_sid(HUB, "eu-west-1")))
    copies = key_policy.statements(Access(DEV, Audience.COPIES, ROLE, HUB_SID))
    account = key_policy.statements(Access(DEV, Audience.ACCOUNT, ROOT, HUB_SID))[:1]
    owner = {"Sid": "Owner", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [owner, *other, *copies, *account]})

    found = [(one.resource, one.share_name, one.receiver) for one in unexplained(a_view(text))]

    assert found == [(POLICY, DEV, DEV), (POLICY, f"{DEV}-share", DEV)]


def test_a_grant_is_not_compared_with_the_statements_for_its_account():
    """The ledger has a standing grant under the account, and statements to copy by as well."""
    copies = json.dumps({"Statement": key_policy.statements(Access(DEV, Audience.COPIES, ROLE, HUB_SID))})
    standing = Share(addresses.key_resource(KEY, DEV).pk, DEV, DEV, ROOT, ShareState.OPEN)

    assert missing(a_view(copies, standing)) == []


def test_a_statement_of_the_service_that_somebody_has_changed_is_missing():
    """Under its Sid it may admit a stranger instead, or allow more than the service asks for."""
    (grants,) = key_policy.statements(Access(DEV, Audience.ROLES, ROLE, HUB_SID))
    stranger = {"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}
    share = Share(POLICY, f"{DEV}-roles", DEV, ROLE, ShareState.OPEN)

    for changed, whole in (({}, True), (stranger, False), ({"Action": "kms:*"}, False), ({"Condition": {}}, False)):
        text = json.dumps({"Statement": [{**grants, **changed}]})
        assert missing(a_view(text, share)) == ([] if whole else [share])
        assert missing(a_view(text, replace(share, grantee=""))) == [], "whom it is for cannot be read"


@pytest.mark.parametrize(
    ("audience", "principal", "shown"),
    [(Audience.COPIES, ROLE, f'["{ROLE}"]'), (Audience.ACCOUNT, ROOT, f'"{DEV}"')],
)
@pytest.mark.parametrize("renamed_to", ["", "arn:aws:iam::222222222222:role/AnotherRole"])
def test_a_statement_shows_in_each_form_in_which_kms_may_show_it(audience, principal, shown, renamed_to):
    """A list of one, or an account's id for its root; also to the role that it was opened to, before it was renamed."""
    access = Access(DEV, audience, principal, HUB_SID)
    text = json.dumps({"Statement": key_policy.statements(access)}).replace(f'"{principal}"', shown)
    share = Share(POLICY, access.share_name, DEV, renamed_to or principal, ShareState.OPEN, opened_to=principal)

    assert missing(a_view(text, share)) == []


def test_a_grant_on_the_hubs_own_key_for_its_own_amis_is_not_missing():
    """Such grants are not compared."""
    resource = addresses.role_resource(KEY, HUB).pk
    share = Share(resource, SERVICE_ROLE, HUB, state=ShareState.OPEN, intended_at=7, opened_at=7)

    assert missing(HubView(0, REGION, ledger={share.key: share}, grants={KEY: ()})) == []
