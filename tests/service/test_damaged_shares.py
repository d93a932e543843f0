"""Any part of a share's item is damaged while its permission is open: nothing stays open unnoticed.

Neither is a share archived, nor a notice sent that says "withdrawn", before a look at AWS shows that it is gone.
"""

import itertools
import json
import random
import time

import pytest

from chalicelib.engine.addresses import HOLD, RecordKey
from chalicelib.sharing.share import ShareState
from tests.service.cloud import CloudBehavior
from tests.service.hub import Hub
from tests.service.world import SERVICE_ROLES
from tests.stores import on_dynamodb

pytestmark = pytest.mark.thorough

A, AMI, HOUR = "200000000001", "ami-00", 3600
SNAPSHOTS = {"snap-00": True, "snap-01": False}
MODES = {
    "grants": {"mode": "share", "share_snapshots": True, "service_linked_roles": SERVICE_ROLES[:1]},
    "policy": {"mode": "share", "key_access": "policy", "service_linked_roles": SERVICE_ROLES[:1]},
    "copies by grant": {},
    "copies by policy": {"key_access": "policy"},
    "CopyImage": {"copy_method": "image"},
}
"""Together they open every kind of permission: standing ones, and those for copies."""
PARTS = ("state", "body", "intended_at", "grant_id", "preexisting", "account", "grantee", "version", "schema", "asked")
WRONG = {"gone": None, "text": "nonsense", "a number": 7, "a list": [1], "true": True, "empty": ""}
SEED, A_FEW = 1, 4
DEEP = "[" * 100_000
"""Python's parser cannot read it, and says so otherwise than of text that is no JSON."""


def body_without(item, name):
    """Return the item's body without a member, which then has its default."""
    return json.dumps({key: value for key, value in json.loads(item["body"]).items() if key != name})


def kinds():
    """Each part of the item in each wrong form, alone and beside a state that is gone, nonsense or another one."""
    alone = {f"{part} is {name}": {part: wrong} for part in PARTS for name, wrong in WRONG.items()}
    states = {"gone": None, "nonsense": "ajar", **{state.value: state.value for state in ShareState}}
    pairs = {
        f"state is {how}, {name}": {"state": state, **damage}
        for how, state in states.items()
        for name, damage in alone.items()
        if not name.startswith(("state", "preexisting is true"))
    }
    whole = {"all is gone": dict.fromkeys(PARTS), "state and its time are gone": {"state": None, "intended_at": None}}
    lost = {f"the body lacks {name}": {"lacks": name} for name in ("state", "intended_at", "grant_id", "opened_at")}
    lost |= {"the body is nested deeply": {"body": DEEP}, "the steps are nested deeply": {"recent": DEEP}}
    lost |= {f"the body has 300 digits in {name}": {"long": name} for name in ("opened_at", "next_try")}
    known = {f"state is {state.value}": {"state": state.value} for state in ShareState}
    return {**alone, **pairs, **whole, **lost, **known} | {"preexisting is true": {"preexisting": True, "body": None}}


KINDS = {name: damage for name, damage in kinds().items() if damage.get("preexisting") is not True}
"""Without a damage that says that the permission was there before the service: such a permission stays."""
FEW = [
    "state is gone, body is gone",
    "state is nonsense, body is text",
    "the body is nested deeply",
    "the body has 300 digits in opened_at",
    *random.Random(SEED).sample(sorted(KINDS), A_FEW),
]


@pytest.fixture
def stores():
    """On DynamoDB, whose items have attributes."""
    with on_dynamodb() as there:
        yield there


def a_hub(stores, mode):
    """A hub with an AMI, shared by all kinds of permissions, or being copied."""
    hub = Hub((A,), stores=stores, target=MODES[mode], behavior=CloudBehavior(copying=(HOUR,)), watchful=False)
    hub.gate.watch = lambda *_: None  # the invariants believe a damaged ledger; AWS itself is asked below
    hub.cloud.make_image(AMI, SNAPSHOTS)
    hub.cloud.tag(AMI, A)
    hub.wait(600)
    return hub


def shares_of(stores, hub):
    """The items of all shares that are there."""
    return [item for one in hub.resources() for item in stores.table.query(one, "share#")]


def damage(stores, item, parts):
    """Change an item's attributes by hand."""
    parts = dict(parts)
    if "lacks" in parts:
        parts["body"] = body_without(item, parts.pop("lacks"))
    if "long" in parts:
        parts["body"] = json.dumps({**json.loads(item["body"]), parts.pop("long"): 10**300})
    key = RecordKey(item["pk"], item["sk"])
    sets = {name: value for name, value in parts.items() if value is not None}
    gone = [name for name, value in parts.items() if value is None]
    names = {f"#{name}": name for name in parts}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets) if sets else ""
    expression += " REMOVE " + ", ".join(f"#{name}" for name in gone) if gone else ""
    given = {f":{name}": value for name, value in sets.items()}
    stores.table.update(key, expression.strip(), given, names=names)


def opened(hub):
    """What is open at AWS, of every kind."""
    return hub.cloud.permissions | hub.cloud.launches | set(hub.cloud.grants) | hub.cloud.statements()


def damaged_while_held(stores, mode, kind):
    """Damaged while it is held; ten minutes later the tag goes. What is closed is closed at AWS."""
    hub = a_hub(stores, mode)
    assert opened(hub)
    for item in shares_of(stores, hub):
        damage(stores, item, KINDS[kind])
        stores.records.make_due(RecordKey(item["pk"]), hub.cloud.now)
    hub.wait(600)
    published = []
    hub.cloud.notices = SeenNotices(lambda notice: published.append((notice["event"], set(opened(hub)))))
    hub.cloud.tag(AMI, None)
    hub.wait(HOUR)

    assert opened(hub) == set()
    assert [there for event, there in published if event == "delivery.withdrawn" and there] == []
    if MODES[mode].get("mode") == "share":
        assert "delivery.withdrawn" in [event for event, _ in published]


def damaged_and_held_by_nobody(stores, mode, kind):
    """Its holdings are damaged, too."""
    hub = a_hub(stores, mode)
    for item in [held for one in hub.resources() for held in stores.table.query(one, HOLD)]:
        damage(stores, item, {"episode": "nonsense"})
    for item in shares_of(stores, hub):
        damage(stores, item, KINDS[kind])
        stores.records.make_due(RecordKey(item["pk"]), hub.cloud.now)
    hub.wait(HOUR)

    assert opened(hub) == set()


HELD, UNHELD = tuple(MODES), ("grants", "policy")
"""The modes in which a share is damaged while it is held, and while nobody holds it."""


@pytest.mark.parametrize(("mode", "kind"), [*zip(itertools.cycle(HELD), FEW, strict=False), ("grants", "all is gone")])
def test_whatever_of_a_share_is_damaged_nothing_stays_open_unnoticed(stores, mode, kind):
    """Also while a delivery holds it."""
    damaged_while_held(stores, mode, kind)


RECORDS = {
    "no JSON": {"body": "{"},
    "nested deeply": {"body": DEEP},
    "of a newer version": {"schema": 99},
    "without a version": {"version": None},
    "parked": {"parked": "by hand", "wake_at": None, "due_shard": None},
    "parked and no JSON": {"parked": "by hand", "wake_at": None, "due_shard": None, "body": "{"},
}
"""How the record of a resource is damaged, which does not have its shares."""


@pytest.mark.parametrize("mode", ["grants", "policy"])
@pytest.mark.parametrize("parts", RECORDS.values(), ids=RECORDS)
def test_a_resources_damaged_record_is_written_again(stores, mode, parts):
    """What is open closes with its tag, no look at the record is left, and no alarm stays."""
    hub = a_hub(stores, mode)
    records = [key for one in hub.resources() if stores.seen(key := RecordKey(one))]
    for key in records:
        damage(stores, {"pk": key.pk, "sk": key.sk}, parts)
    hub.cloud.tag(AMI, None)
    hub.wait(HOUR)

    assert opened(hub) == set()
    assert [key for key in records if (seen := stores.seen(key)) is None or seen.wake_at or seen.parked] == []
    assert [args for what, args in hub.telemetry.reported if what == "parked"] == []
    repaired = {args[0] for what, args in hub.telemetry.reported if what == "repaired"}
    assert repaired == (set() if parts is RECORDS["parked"] else set(records))


@pytest.mark.parametrize(("mode", "kind"), list(zip(itertools.cycle(UNHELD), FEW, strict=False)))
def test_a_damaged_share_that_nobody_holds_closes(stores, mode, kind):
    """Without a delivery that would ask for it."""
    damaged_and_held_by_nobody(stores, mode, kind)


def run(seconds, seed):
    """The soak's part: any kind of damage in any mode, in an order that the seed draws.

    Return how many were played, and the story of the first that leaves something open.
    """
    cases = [(damaged_while_held, mode, kind) for mode in HELD for kind in KINDS]
    cases += [(damaged_and_held_by_nobody, mode, kind) for mode in UNHELD for kind in KINDS]
    end, played = time.monotonic() + seconds, 0
    for play, mode, kind in random.Random(seed).sample(cases, len(cases)):
        if time.monotonic() >= end:
            break
        played += 1
        try:
            with on_dynamodb() as stores:
                play(stores, mode, kind)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the finding
            return played, [f"{play.__name__}, {mode}: {kind}: {failure!r:.2000}"]
    return played, []


class SeenNotices(list):
    """Notices; ``seen_by`` is called with each."""

    def __init__(self, seen_by):
        super().__init__()
        self._seen_by = seen_by

    def append(self, notice):
        self._seen_by(notice)
        super().append(notice)
