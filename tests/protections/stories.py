"""What happens to a hub in memory while a protection is removed; each story ends at rest, or breaks an invariant."""

from collections.abc import Callable

from chalicelib.engine.errors import RefusalKind
from tests.service.arrivals import EARLY, Arrivals
from tests.service.cloud import START, CloudBehavior
from tests.service.scenes import HubSetup
from tests.service.world import HOUR, SERVICE_ROLES, ModelWorld


def plain(world: ModelWorld) -> None:
    world.tag(0, "default")
    world.end()


def slow(world: ModelWorld) -> None:
    """Promote an AMI whose copies take half an hour."""
    world.expect("copying", [1800] * 4)
    world.tag(0, "default")
    world.wait(200)
    world.end()


def shared_before(world: ModelWorld) -> None:
    """A person shared the snapshot before the service does."""
    world.share(0)
    world.wait(120)
    plain(world)


def stopped(world: ModelWorld) -> None:
    """The tag is removed while a copy of four hours runs."""
    world.expect("copying", [4 * HOUR] * 4)
    world.tag(0, "default")
    world.wait(600)
    world.tag(0, None)
    world.wait(5 * HOUR)
    world.end()


def dropped(world: ModelWorld) -> None:
    """The account leaves the file after its slot was granted, before anything is opened."""
    world.tag(0, "default")
    world.wait(4)
    world.switch_file(0)
    world.end()


def damaged(world: ModelWorld) -> None:
    """A person damages the delivery's record while its copy runs."""
    world.expect("copying", [1800])
    world.tag(0, "default")
    world.wait(60)
    world.poison(0, "delivery")
    world.end()


def damaged_and_tagged_again(world: ModelWorld) -> None:
    """A person damages one of two deliveries; then the tag names the other."""
    world.tag(0, world.account(0))
    world.wait(60)
    world.poison(0, "delivery")
    world.tag(0, "default")
    world.end()


def failing(world: ModelWorld) -> None:
    """A copy fails: the service must remove what it made."""
    world.expect("fails", ["", "An internal error occurred"])
    world.tag(0, "default")
    world.wait(600)
    world.end()


def withdrawn(world: ModelWorld) -> None:
    """An operator withdraws the account after a minute."""
    world.tag(0, "default")
    world.wait(600)
    world.withdraw_from(0)
    world.wait(600)
    world.end()


def deregistered(world: ModelWorld) -> None:
    """The shared AMI is deregistered, and no event arrives."""
    world.expect("events", [()] * 60)
    world.tag(0, "default")
    world.wait(3 * HOUR)
    world.deregister_source(0)
    world.wait(3 * HOUR)
    world.end()


def withdrawn_first(world: ModelWorld) -> None:
    """The account is withdrawn before the service sees the tag, as by a read that is stale for the command line."""
    world.tag(0, "default")
    ami, account = world.ami(0), world.account(0)
    world.excuse([ami], [account])
    world.out.add((ami, account))
    world.withdraw(ami, account)
    world.end()


def recalled(world: ModelWorld) -> None:
    """The newer of two AMIs is recalled; the target's role may not disable it."""
    for number in (0, 1):
        world.tag(number, "default")
    world.wait(HOUR)
    world.recall_some(1)
    world.end()


def lost(world: ModelWorld) -> None:
    """No event or wake arrives from the beginning."""
    world.expect("events", [()] * 20)
    world.expect("wakes", [()] * 50)
    plain(world)


def waiting(world: ModelWorld) -> None:
    """The copy quota's wake comes late, so that a delivery waits for its slot."""
    world.expect("wakes", [(0,), (0,), (0,), (0,), (200,)])
    world.tag(0, "default")
    world.wait(30)
    world.end()


def killed_after(call: int) -> Callable[[ModelWorld], None]:
    """A process is killed after a call."""

    def story(world: ModelWorld) -> None:
        world.crash(call, after=True)
        world.tag(0, "default")
        world.wait(600)
        world.end()

    return story


def twice(order: int) -> Callable[[ModelWorld], None]:
    """Every message group is processed twice at once."""

    def story(world: ModelWorld) -> None:
        world.side_by_side(["twin"] * 100, ([False] * order + [True]) * 100)
        world.tag(0, "default")
        world.wait(600)
        world.end()

    return story


def voided(world: ModelWorld) -> None:
    """What was approved is changed while it waits for its slot, and nobody approves the change."""
    world.tag(0, "default")
    world.wait(600)
    world.approve_some(0, HOUR)
    world.change_settings()
    world.wait(2 * HOUR)
    world.end()


def expired(world: ModelWorld) -> None:
    """An approval expires before anything opens."""
    world.tag(0, "default")
    world.wait(600)
    world.pause()
    world.approve_some(0, 1)
    world.wait(600)
    world.pause()
    world.wait(2 * HOUR)
    world.end()


def cancelled() -> None:
    """The tag is removed while a copy runs: within minutes nothing is open."""
    hub = HubSetup(behavior=CloudBehavior(copying=(4 * HOUR,))).hub()
    hub.cloud.tag("ami-0a", "default")
    hub.wait(600)
    hub.cloud.tag("ami-0a", None)
    open_ = hub.wait(1200).cloud.permissions
    assert not open_, f"open: {open_}"


def repeated() -> None:
    """Each event arrives three times, five minutes apart, and the copy fails: its owner gets one notice."""
    aws = CloudBehavior(fails=("An internal error occurred",))
    hub = HubSetup(arrivals=Arrivals(events=((0, 300, 600),)), behavior=aws).hub()
    hub.cloud.tag("ami-0a", "default")
    failed = hub.wait(HOUR).notified("delivery.failed")
    assert len(failed) == 1, f"{len(failed)} notices"


def early() -> None:
    """A copy is completed, and the event says so, before CopySnapshot has answered: no look is waited for."""
    hub = HubSetup(arrivals=Arrivals(events=((EARLY,),)), behavior=CloudBehavior(copying=(0,))).hub()
    hub.cloud.tag("ami-0a", "default")
    hub.until_state("ami-0a", hub.accounts[0], "delivered")
    assert hub.cloud.now <= START + 120, f"after {hub.cloud.now - START} s"


def unregistrable() -> None:
    """A target refuses RegisterImage when Auto Scaling's role there has its grant."""
    hub = HubSetup(key_access="policy").hub(target={"service_linked_roles": SERVICE_ROLES[:1]})
    hub.gate.refuse("target.images", "register", why=RefusalKind.DENIED)
    hub.cloud.tag("ami-0a", "default")
    hub.wait(HOUR)
    assert not hub.cloud.grants, f"open: {set(hub.cloud.grants)}"
