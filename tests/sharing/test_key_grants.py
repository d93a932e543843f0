"""Grants on the hub's keys, on the simulator's KMS."""

from typing import Any

from awsim.world import World
from chalicelib.engine import addresses
from chalicelib.sharing import machine
from chalicelib.sharing.aws.grants import NO_SUCH_ROLE, KeyGrants
from tests.engine.hub_worker import DEV, REGION, RootSessions

ROOT = f"arn:aws:iam::{DEV}:root"


def test_a_grant_that_the_ledger_knows_by_its_id_alone_shows_until_it_is_revoked():
    """Its name says nothing of this share: if it did not show, the share would count as closed while it is open."""
    with World() as world:
        sessions: Any = RootSessions(world)
        kms = sessions.own("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        ident = kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"], Name="another")["GrantId"]
        resource, grants = addresses.key_resource(key, DEV).pk, KeyGrants(sessions, "the hub", REGION)
        share = machine.unrecorded(resource, DEV, ROOT, ident, int(sessions.now()))

        assert grants.showing([share]) == {share.share_name}
        grants.close([share])
        world.kernel.run()
        assert grants.showing([share]) == frozenset()


def test_all_grants_of_a_key_are_read_with_as_few_calls_as_kms_allows():
    """Where KMS does not see the grantee, a key may have thousands of grants, and the run has half a minute."""
    with World() as world:
        sessions: Any = RootSessions(world)
        kms = sessions.own("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        for number in range(100):
            kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"], Name=f"theirs-{number}")
        share = machine.unrecorded(addresses.key_resource(key, DEV).pk, DEV, ROOT, "", int(sessions.now()))
        world.injections.refuse("ListGrants", NO_SUCH_ROLE)

        assert not KeyGrants(sessions, "the hub", REGION).showing([share])
        assert [call.error is None for call in world.calls if call.operation == "ListGrants"] == [False, True]
