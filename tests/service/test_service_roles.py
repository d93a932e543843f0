"""Grants for service-linked roles: opened with the copy, kept with the AMI, closed if the delivery fails."""

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import START, refusal, target_key
from tests.service.gate import PortTrouble
from tests.service.organization import A
from tests.service.shared_ami import AMI, outcomes, tagged, untagged
from tests.service.world import HOUR, SERVICE_ROLES, WITHOUT_END, ModelWorld, WorldSetup


def own_grants(world: ModelWorld) -> list[str]:
    """The names of the grants on a target's own key."""
    key = target_key(world.account(0))
    return sorted(name for place, name in world.cloud.grants if place == key)


def left_open(world: ModelWorld) -> int:
    """How often telemetry reported a grant that is left in a target."""
    return sum(name == "share" and args[2] == "left open in the target" for name, args in world.telemetry.reported)


def refuse(world: ModelWorld, method: str, why: RefusalKind, times: int = WITHOUT_END) -> None:
    """Let AWS refuse the permission adapter for service-linked roles."""
    world.gate.troubles.append(PortTrouble("roles", method, refusal(why, "AccessDenied"), times))
    world.excuse()


def test_it_stays_with_a_delivered_ami_although_a_delivery_that_was_under_way_beside_it_fails():
    """Both held the grant when the first AMI was delivered: a holder that is still at work keeps it for nobody."""
    world = ModelWorld(WorldSetup(amis=((0,), (1,)), service_roles=1))
    world.expect("copying", [600, HOUR])
    world.expect("fails", ["", "An internal error occurred"])
    world.tag(0, "default")
    world.tag(1, "default")
    assert sorted(world.wait(1200).outcomes().values()) == ["copying", "delivered"]
    granted = own_grants(world)
    assert sorted(world.wait(HOUR).outcomes().values()) == ["delivered", "failed"]
    assert own_grants(world) == granted != []
    world.end()


@pytest.mark.parametrize("until", [START - HOUR, START + 12 * HOUR], ids=["passed", "comes later"])
def test_a_date_among_the_defaults_ends_no_grant_of_a_target_that_copies(until):
    """`until` under `defaults` is for the targets that share: a copied AMI, and what its launch needs, stays."""
    hub = tagged(accounts=(A,), target={"service_linked_roles": SERVICE_ROLES[:1], "until": until})

    assert outcomes(hub, after=24 * HOUR) == {(AMI, A): "delivered"}
    assert [key for key, _ in hub.cloud.grants] == [target_key(A)]


@pytest.mark.parametrize("minutes", [5, 20, 120])
@pytest.mark.parametrize(
    ("key_access", "port", "method"), [("policy", "kms", "put_key_policy"), ("grant", "keys", "open")]
)
def test_an_outage_in_which_the_account_gets_no_access_to_the_key_fails_no_delivery(minutes, key_access, port, method):
    """The account can make the grant only when it may use the key itself: its ten minutes count from then on."""
    settings = {"mode": "share", "key_access": key_access, "service_linked_roles": SERVICE_ROLES[:1]}
    hub = untagged((A,), target=settings)
    hub.gate.troubles.append(PortTrouble(port, method, refusal(RefusalKind.THROTTLED, "Throttling"), WITHOUT_END))
    hub.cloud.after(minutes * 60, hub.gate.troubles.clear)
    hub.cloud.tag(AMI, A)
    assert hub.wait(6 * HOUR).outcomes() == {(AMI, A): "shared"}


@pytest.mark.parametrize(("times", "outcome"), [(4, "delivered"), (WITHOUT_END, "failed")])
def test_what_is_not_true_yet_is_waited_for_and_then_notified(times, outcome):
    """The delivery waits for ten minutes; then all its shares close, and the refusal is the fault."""
    world = ModelWorld(WorldSetup(service_roles=1))
    refuse(world, "open", RefusalKind.NOT_YET, times)
    world.tag(0, "default")
    assert list(world.wait(2 * HOUR).outcomes().values()) == [outcome]
    assert world.faults()[:1] == ([] if outcome == "delivered" else ["aws-AccessDenied: AWS says AccessDenied."])
    if outcome == "failed":
        assert not world.cloud.grants
        assert not world.cloud.permissions
    assert left_open(world) == 0
    world.end()


def test_a_role_that_cannot_be_assumed_is_waited_for_until_the_deadline_which_names_it():
    """The delivery's state has the refusal meanwhile, and the fault has the refusal's cure."""
    world = ModelWorld(WorldSetup(service_roles=1, copy_deadline=8 * HOUR))
    refuse(world, "open", RefusalKind.ROLE)
    world.tag(0, "default")
    assert list(world.wait(7 * HOUR).outcomes().values()) == ["opening"]
    assert list(world.wait(2 * HOUR).outcomes().values()) == ["failed"]
    (fault,) = next(n["faults"] for n in world.notified("delivery.failed"))
    assert (fault["code"], fault["cure"]) == ("deadline-opening", "Mend it.")
    assert fault["what"].endswith("The last refusal was: AWS says AccessDenied.")
    world.end()


@pytest.mark.parametrize(("why", "left"), [(RefusalKind.DENIED, 1), (RefusalKind.THROTTLED, 0)])
def test_a_target_that_will_not_let_its_grant_be_revoked_is_given_up_and_notified(why, left):
    """It is the account's own role on its own key: the alarm ends, and the source's shares close.

    An outage is no refusal, however long it lasts: the grant is revoked when KMS answers again.
    """
    world = ModelWorld(WorldSetup(service_roles=1))
    refuse(world, "close", why)
    world.expect("fails", ["An internal error occurred"])
    world.tag(0, "default")
    world.wait(4 * HOUR)

    assert len(world.cloud.grants) == len(own_grants(world)) == 1
    assert not world.cloud.permissions
    world.gate.troubles.clear()
    world.wait(HOUR)
    assert (len(own_grants(world)), left_open(world)) == (left, left)
    world.end()


def holdings(world: ModelWorld) -> list[int]:
    """The number of holdings of each grant on the target's own key."""
    resource = addresses.role_resource(target_key(world.account(0)), world.account(0)).pk
    return [len(one.holdings) for one in world.stores.ledger.shares(resource)]


def test_the_grant_of_many_amis_is_held_by_one_of_them():
    """A share's item may have 400 KB: holdings of all AMIs ever delivered there would not fit.

    It outlives the tags, and the failure of another AMI.
    """
    amis = 3
    world = ModelWorld(WorldSetup(amis=tuple((number,) for number in range(amis)), service_roles=2))
    for number in range(amis - 1):
        world.tag(number, "default")
        world.wait(HOUR)
    granted = own_grants(world)
    assert (len(granted), holdings(world)) == (2, [1, 1])

    world.expect("fails", ["An internal error occurred"])
    world.tag(amis - 1, "default")
    assert sorted(world.wait(HOUR).outcomes().values()) == ["delivered"] * (amis - 1) + ["failed"]
    assert (own_grants(world), holdings(world)) == (granted, [1, 1])
    for number in range(amis - 1):
        world.tag(number, None)
    world.wait(HOUR)
    assert own_grants(world) == granted
    world.end()
