"""Grants for service-linked roles, on the simulator's STS and KMS: who grants, who revokes, what is refused."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from awsim.world import World
from chalicelib.delivery.aws.session_policies import LIMIT
from chalicelib.engine import addresses
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing import key_policy
from chalicelib.sharing.aws.grants import NO_SUCH_ROLE
from chalicelib.sharing.aws.role_grants import RoleGrants, policy_for_role
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState
from tests.engine.hub_worker import DEV, HUB, REGION, takes

SERVICE, AUTO_SCALING = "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"
ROLE = f"arn:aws:iam::{DEV}:role/aws-service-role/{SERVICE}/{AUTO_SCALING}"
TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "target.yaml"
SHARE_WORKER = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sts:*", "kms:*"], "Resource": "*"}],
}


class NamedTargets:
    """The applied file: DEV and its role, while it is listed."""

    def __init__(self) -> None:
        self.role: tuple[str, str] | None = ("AmiCopyRole", "agreed")

    def live(self, _account: str) -> tuple[str, str] | None:
        """Role name and external id."""
        return self.role


def inbound(bus: str) -> dict[str, Any]:
    """Allow DEV's events on the hub's bus; its template cannot be deployed otherwise."""
    admits = {"Sid": "dev", "Effect": "Allow", "Principal": {"AWS": DEV}, "Action": "events:PutEvents", "Resource": bus}
    return {"Version": "2012-10-17", "Statement": [admits]}


class RoleGrantsSetup:
    """A hub with a key, a target with a key of its own and Auto Scaling's role, and the permission adapter."""

    def __init__(self, world: World) -> None:
        self.world, self.targets = world, NamedTargets()
        world.kms.grants.delay = (0.0, 0.0)
        bus = f"ami-promoter-{REGION}-inbound"
        events = world.client("events", HUB)
        arn = events.create_event_bus(Name=bus)["EventBusArn"]
        events.put_permission(EventBusName=bus, Policy=json.dumps(inbound(arn)))
        given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": "agreed"}
        world.deploy(TEMPLATE, DEV, REGION, "target", given)
        world.iam.put_service_linked_role(DEV, SERVICE)
        self.hubs = world.client("kms", HUB).create_key()["KeyMetadata"]["Arn"]
        self.own = world.client("kms", DEV).describe_key(KeyId="alias/ami-promoter")["KeyMetadata"]["Arn"]
        self.adapter = self.another()

    def another(self, hub: str = HUB) -> RoleGrants:
        """A permission adapter in another execution environment, or of another hub."""
        targets: Any = self.targets
        return RoleGrants(Sessions(REGION, time.time), targets, hub, REGION)

    def let_in(self) -> None:
        """Let the target's account use the hub's key and grant it on."""
        grantee = f"arn:aws:iam::{DEV}:root"
        kms = self.world.client("kms", HUB)
        kms.create_grant(KeyId=self.hubs, GranteePrincipal=grantee, Operations=list(key_policy.FOR_ROLES))

    def grants(self, key: str) -> list[dict[str, Any]]:
        """The grants for the role, as the key's owner lists them."""
        owner = self.world.client("kms", key.split(":")[4])
        return owner.list_grants(KeyId=key, GranteePrincipal=ROLE)["Grants"]


def a_share(key: str, **changes: Any) -> Share:
    resource = addresses.role_resource(key, DEV).pk
    share = Share(resource, f"{SERVICE}/{AUTO_SCALING}", DEV, ROLE, ShareState.OPENING, intended_at=1_800_000_000)
    holding = Holding("ami-0a", DEV, REGION, "d1", 1, Purpose.STANDING)
    return replace(share, holdings=frozenset({holding}), **changes)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RoleGrantsSetup]:
    """The permission adapter works with the credentials of ``share-worker``'s role."""
    with World() as world:
        takes(world, monkeypatch, tmp_path, f"ami-promoter-{REGION}-share-worker", SHARE_WORKER)
        yield RoleGrantsSetup(world)


def refused(scene: RoleGrantsSetup, share: Share) -> Refusal:
    """The refusal of opening it."""
    with pytest.raises(Refusal) as caught:
        scene.adapter.open([share])
    return caught.value


def test_the_target_grants_on_the_hubs_key_and_the_hub_revokes(scene):
    """The target's account creates one grant, however often it is asked; the key's owner lists and revokes it."""
    scene.let_in()
    share = a_share(scene.hubs)

    first = scene.adapter.open([share])
    again = scene.another().open([share])

    assert first == again
    (grant,) = scene.grants(scene.hubs)
    assert grant["IssuingAccount"] == f"arn:aws:iam::{DEV}:root"
    assert sorted(grant["Operations"]) == sorted(key_policy.FOR_ROLES)
    assert scene.adapter.showing([share]) == {share.share_name}
    scene.world.iam.roles.named(DEV, "AmiCopyRole").trust["Statement"].clear()  # the target refuses; it closes
    scene.another().close([share])
    assert scene.adapter.showing([share]) == frozenset()
    assert scene.grants(scene.hubs) == []


def test_the_grant_of_a_role_that_was_deleted_and_made_again_shows_no_longer(scene):
    """It is listed, and lets nobody in: by it the next AMI would count as shared, and Auto Scaling could not launch it.

    Another grant opens beside it, and the dead one closes.
    """
    scene.let_in()
    share = a_share(scene.hubs)
    dead = replace(share, grant_id=scene.adapter.open([share])[share.share_name])
    scene.world.iam.roles.drop(ROLE)
    scene.world.iam.put_service_linked_role(DEV, SERVICE)

    assert scene.adapter.showing([dead]) == frozenset()
    again = replace(share, intended_at=share.intended_at + 1)
    assert scene.adapter.open([again]) == {share.share_name: scene.grants(scene.hubs)[0]["GrantId"]}
    scene.adapter.close([dead])
    assert scene.adapter.showing([again]) == {share.share_name}


def test_on_its_own_key_the_target_does_both_and_each_hub_has_a_grant_of_its_own(scene):
    """One hub's closing leaves the other hub's grant."""
    share, other = a_share(scene.own), scene.another("999999999999")

    mine = scene.adapter.open([share])
    theirs = other.open([share])

    assert mine != theirs
    scene.adapter.close([share])
    assert scene.adapter.showing([share]) == frozenset()
    assert other.showing([share]) == {share.share_name}
    assert [grant["GrantId"] for grant in scene.grants(scene.own)] == list(theirs.values())


@pytest.mark.parametrize("step", ["CreateGrant", "ListGrants", "ListGrants to close", "RetireGrant"])
def test_after_a_session_that_aws_no_longer_takes_the_next_try_has_a_new_one(scene, step):
    """A role that was deleted and made again ends its sessions, which the worker would keep for an hour."""
    share = a_share(scene.own)
    granted = replace(share, grant_id=scene.adapter.open([share])[share.share_name])
    acts = {
        "CreateGrant": partial(scene.adapter.open, [share]),
        "ListGrants": partial(scene.adapter.showing, [granted]),
        "ListGrants to close": partial(scene.adapter.close, [share]),
        "RetireGrant": partial(scene.adapter.close, [granted]),
    }
    scene.world.injections.refuse(step.partition(" ")[0], "UnrecognizedClientException")
    with pytest.raises(Refusal):
        acts[step]()

    acts[step]()

    assert len([call for call in scene.world.calls if call.operation == "AssumeRole"]) == 2


def test_a_grant_that_a_role_made_which_was_deleted_since_is_left_to_a_person(scene):
    """For KMS today's role of that name is another one, which cannot retire the grant. The fault says what to do."""
    share = a_share(scene.own)
    ident = scene.adapter.open([share])[share.share_name]
    old = scene.world.iam.roles.named(DEV, "AmiCopyRole-grants")
    scene.world.iam.roles.drop(old.arn)
    scene.world.iam.roles.put(DEV, "AmiCopyRole-grants", old.trust, old.policies)

    with pytest.raises(Refusal) as stays:
        scene.another().close([share])

    assert (stays.value.kind, stays.value.fault.code) == (RefusalKind.DENIED, "grant-not-retired")
    assert f"aws kms revoke-grant --key-id {scene.own} --grant-id {ident}" in stays.value.fault.cure
    scene.world.client("kms", DEV).revoke_grant(KeyId=scene.own, GrantId=ident)
    scene.another().close([share])
    assert scene.grants(scene.own) == []


def test_while_the_grant_role_cannot_be_assumed_its_grant_is_not_left_to_a_person(scene):
    """Once its trust fits again, the service retires the grant itself."""
    share = a_share(scene.own)
    scene.adapter.open([share])
    scene.targets.role = ("AmiCopyRole", "another secret")
    with pytest.raises(Refusal) as waits:
        scene.another().close([replace(share, grant_id="g-1")])

    assert (waits.value.kind, waits.value.fault.code) == (RefusalKind.ROLE, "role-not-assumable")


def test_what_is_not_true_yet_is_waited_for_and_what_never_will_be_is_not(scene):
    """The hub's key may admit the account late, and a role may be new; the target's own key has no such delay."""
    late = refused(scene, a_share(scene.hubs))
    scene.world.iam.roles.named(DEV, "AmiCopyRole-grants").policies["ami-promoter-grants"]["Statement"].clear()
    never = refused(scene, a_share(scene.own))
    scene.let_in()

    assert (late.kind, late.fault.code) == (RefusalKind.NOT_YET, "service-linked-role-not-granted")
    assert (never.kind, never.fault.code) == (RefusalKind.DENIED, "service-linked-role-not-granted")
    assert late.fault.where == never.fault.where == f"account {DEV}, {REGION}"
    assert scene.hubs in late.fault.what
    assert scene.own in never.fault.what


def test_a_role_that_kms_cannot_find_is_named_with_the_way_to_make_it(scene):
    """KMS gives the same answer for a role that is moments old, so the refusal is retried for a while."""
    missing = a_share(scene.own, grantee=ROLE.replace("Scaling", "Sailing"), share_name="sailing.amazonaws.com/AWSx")

    refusal = refused(scene, missing)

    assert (refusal.kind, refusal.fault.code) == (RefusalKind.NOT_YET, "service-linked-role-missing")
    assert "aws iam create-service-linked-role --aws-service-name sailing.amazonaws.com" in refusal.fault.cure


def test_a_grant_whose_role_kms_does_not_see_is_found_among_all_of_the_key_and_closes(scene):
    """The answer to its opening was lost, and KMS refuses to list by a role that was deleted, or made moments ago."""
    share = a_share(scene.hubs)
    scene.let_in()
    scene.adapter.open([share])

    scene.world.injections.refuse("ListGrants", NO_SUCH_ROLE)
    assert scene.adapter.showing([share]) == {share.share_name}

    scene.world.injections.refuse("ListGrants", NO_SUCH_ROLE)
    scene.adapter.close([share])
    assert scene.grants(scene.hubs) == []
    scene.world.injections.refuse("ListGrants", NO_SUCH_ROLE)
    assert scene.adapter.showing([share]) == frozenset()


def test_a_role_that_cannot_be_assumed_or_is_not_known_is_waited_for(scene):
    """Until the target is deployed, or the account is listed."""
    scene.targets.role = ("AmiCopyRole", "another secret")
    wrong = refused(scene, a_share(scene.hubs))
    scene.targets.role = None
    dropped = refused(scene, a_share(scene.own))

    assert (wrong.kind, wrong.fault.code) == (RefusalKind.ROLE, "role-not-assumable")
    assert (dropped.kind, dropped.fault.code) == (RefusalKind.ROLE, "target-dropped")


def test_the_session_can_do_nothing_else():
    """One key, one grantee, the listed operations, within STS's limits; RetireGrant only on the account's own key."""
    partition = "arn:aws-us-gov"
    longest = f"{partition}:iam::{DEV}:role/aws-service-role/{SERVICE}/{AUTO_SCALING}_{'x' * 35}"
    keys = [f"{partition}:kms:ap-southeast-10:{account}:key/mrk-{'0' * 32}" for account in (HUB, DEV)]

    hubs, own = (json.loads(policy_for_role(key, DEV, longest))["Statement"] for key in keys)

    assert max(len(policy_for_role(key, DEV, longest)) for key in keys) <= LIMIT
    assert [statement["Action"] for statement in hubs] == ["kms:CreateGrant"]
    assert [statement["Action"] for statement in own] == ["kms:CreateGrant", ["kms:ListGrants", "kms:RetireGrant"]]
    for statement, key in ((hubs[0], keys[0]), (own[0], keys[1])):
        assert statement["Resource"] == key
        assert statement["Condition"]["StringEquals"] == {"kms:GranteePrincipal": longest}
