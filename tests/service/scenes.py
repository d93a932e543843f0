"""What is promoted, to which targets, under which event and wake delays; and the end that every scene must reach."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.service.arrivals import ALL_ON_TIME, Arrivals, any_arrivals, any_cloud_behavior
from tests.service.cloud import CloudBehavior
from tests.service.gate import PortCrash
from tests.service.hub import Hub
from tests.service.invariants import ids

ACCOUNTS = ("200000000001", "200000000002", "200000000003", "200000000004")
AMIS = ("ami-0a", "ami-0b")
PLAIN = CloudBehavior()


@dataclass(frozen=True)
class HubSetup:
    """AMIs by the numbers of their snapshots; ``encrypted`` says which snapshots are encrypted."""

    accounts: int = 1
    amis: Sequence[tuple[int, ...]] = ((0,),)
    encrypted: Sequence[bool] = (True, True, True, True)
    pending: bool = False
    """The first AMI is tagged while it is pending."""
    shared_before: bool = False
    """The first snapshot is shared with the first account before the service runs."""
    arrivals: Arrivals = ALL_ON_TIME
    behavior: CloudBehavior = PLAIN
    key_access: str = "grant"

    def hub(self, **troubles: Any) -> Hub:
        """Return a hub whose AMIs exist and are not tagged yet."""
        settings = {"key_access": self.key_access, **troubles.pop("target", {})}
        accounts = ACCOUNTS[: self.accounts]
        hub = Hub(accounts=accounts, arrivals=self.arrivals, behavior=self.behavior, target=settings, **troubles)
        for ami, numbers in zip(AMIS, self.amis, strict=False):
            state = "pending" if self.pending and ami == AMIS[0] else "available"
            hub.cloud.make_image(ami, {f"snap-0{n}": self.encrypted[n] for n in numbers}, state)
        if self.shared_before:
            hub.cloud.give_permission(f"snap-0{self.amis[0][0]}", ACCOUNTS[0])
        return hub

    def play(self, **troubles: Any) -> Hub:
        """Tag all AMIs, and run until nothing more happens."""
        hub = self.hub(**troubles)
        for number, ami in enumerate(AMIS[: len(self.amis)]):
            hub.cloud.after(number * 20, lambda ami=ami: hub.cloud.tag(ami, "default"))
        if self.pending:
            hub.cloud.after(400, lambda: hub.cloud.set_state(AMIS[0], "available"))
        hub.run()
        return hub


def queued(amis: int, hours: int, **target: int) -> Hub:
    """Tag AMIs of twenty snapshots, a second apart, for one account whose copies take this long."""
    hub = Hub(
        ACCOUNTS[:1],
        behavior=CloudBehavior(copying=(hours * 3600,)),
        watchful=False,
        most_invocations=10**6,
        target=target,
    )
    for a in range(amis):
        ami = f"ami-{a:03x}"
        hub.cloud.make_image(ami, {f"snap-{a:03x}{s:02x}": True for s in range(20)})
        hub.cloud.after(a, lambda ami=ami: hub.cloud.tag(ami, "default"))
    return hub


def accounts(count: int) -> list[str]:
    return [f"{200_000_000_000 + number}" for number in range(count)]


def scenes(most_accounts: int = 4, most_snapshots: int = 4) -> st.SearchStrategy[HubSetup]:
    """Any scene: one or two AMIs, which may have snapshots in common."""
    some = st.lists(st.integers(0, most_snapshots - 1), min_size=1, max_size=most_snapshots, unique=True).map(tuple)
    return st.builds(
        HubSetup,
        accounts=st.integers(1, most_accounts),
        amis=st.lists(some, min_size=1, max_size=2),
        encrypted=st.tuples(*(st.sampled_from([True, True, False]) for _ in range(4))),
        pending=st.booleans(),
        shared_before=st.booleans(),
        arrivals=any_arrivals(),
        behavior=any_cloud_behavior(),
        key_access=st.sampled_from(["grant", "policy"]),
    )


def killed_at_calls(begun: Callable[[], Hub], seconds: int, every: int = 1) -> Iterator[tuple[int, Hub]]:
    """Begin a scene once for each call that it makes in so many seconds, at which the process will be killed.

    Before or after the call, in turn; ``every``: only at one call of so many.
    """
    hub = begun()
    hub.gate.calls = 0
    calls = hub.wait(seconds).gate.calls
    assert calls > 10
    for number in range(0, calls, every):
        hub = begun()
        hub.gate.calls, hub.gate.crashes = 0, [PortCrash(number, number % 2 == 0)]
        yield number, hub


def all_delivered(hub: Hub, *, notified_once: bool = True) -> None:
    """Assert the end: every target has its AMI, nothing is left over, and the owners are notified.

    ``notified_once``: in exactly one message, not in several with one id.
    """
    hub.invariants.rest()
    cloud = hub.cloud
    places = {(ami, account) for ami in cloud.hub_images for account in hub.accounts}
    assert hub.outcomes() == dict.fromkeys(places, "delivered"), f"{hub.outcomes()}: {hub.faults()}"
    assert {(image.source, image.account) for image in cloud.images.values()} == places
    assert len(cloud.images) == len(places), "one AMI each"
    for image in cloud.images.values():
        sources = [mapping["Ebs"]["SnapshotId"] for mapping in cloud.hub_images[image.source]["BlockDeviceMappings"]]
        assert [cloud.copies[copy].source for copy in image.copies] == sources
    assert len(ids(cloud.notices, "delivery.delivered")) == len(places)
    assert len(ids(cloud.notices, "promotion.over")) == len(cloud.hub_images)
    assert {notice["event"] for notice in cloud.notices} == {"delivery.delivered", "promotion.over"}
    if notified_once:
        counts = Counter(notice["id"] for notice in cloud.notices)
        assert set(counts.values()) == {1}, f"told more than once: {counts}"
