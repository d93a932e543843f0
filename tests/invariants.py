"""The invariants: one list, read by the model, the scenarios and the crash machine.

Each has the number of its section in ``docs/explanation/invariants.md``, a sentence, the moment at which it is checked,
and a check, which reads a view of the world and yields what is wrong. A machine shows its world by an adapter: the
model in ``tests/service/invariants.py``, the simulator in ``tests/scenarios/simulated.py``.

Two runs of one message group may both make a call, although the first one's result is on record by then: a check
compares a call with its intent, not with the latest state.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.delivery.model import ENDED, CopyState, Delivery, DeliveryState
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.promotion.model import PromotionState
from chalicelib.release.pointer import Pointer
from chalicelib.sharing.share import DELIVERED_AMIS, Holding, Share, ShareState

OPENS, CLOSES = (ShareState.OPENING, ShareState.OPEN), (ShareState.CLOSING, ShareState.CLOSED)
UNCHECKED = (
    DeliveryState.AWAITING_WAVE,
    DeliveryState.AWAITING_APPROVAL,
    DeliveryState.REQUESTED,
    DeliveryState.AWAITING_ROLE,
    DeliveryState.AWAITING_SLOT,
)
STALEST = 60
"""The longest time in seconds by which a read in these tests is stale."""
RESTS = (PromotionState.OVER, *ENDED, DeliveryState.SHARED)
"""States of promotions and deliveries that nobody need look at again."""


# --- moments ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copying:
    """CopySnapshot is about to be called."""

    delivery: str
    source: str


@dataclass(frozen=True)
class Registering:
    """RegisterImage or CopyImage is about to be called."""

    delivery: str


@dataclass(frozen=True)
class Opening:
    """A permission is about to be added. ``intended_at``: the intent that the caller has read, if that is known."""

    resource: str
    name: str
    intended_at: int | None = None


@dataclass(frozen=True)
class Closing:
    """A permission is about to be removed. ``asked``: the share that the caller has read, if that is known."""

    resource: str
    name: str
    intended_at: int | None = None
    asked: Share | None = None


@dataclass(frozen=True)
class Launching:
    """RunInstances is about to be called with one of these tokens."""

    delivery: str
    tokens: Collection[str]


@dataclass(frozen=True)
class Pointing:
    """A pointer's parameter is about to be written or deleted."""

    pointer: RecordKey


@dataclass(frozen=True)
class ImageMade:
    """RegisterImage or CopyImage has just taken effect."""


@dataclass(frozen=True)
class Opened:
    """A permission has just been added."""


@dataclass(frozen=True)
class Telling:
    """A notice is about to be published."""

    notice: Mapping[str, Any]


@dataclass(frozen=True)
class BetweenCalls:
    """Any moment at which no call is under way."""


@dataclass(frozen=True)
class AtRest:
    """Nothing more will happen by itself."""


# --- the view --------------------------------------------------------------------------------------------------------


class ServiceMade(Protocol):
    """An AMI, a copy (with its ``source``) or an instance (with its client ``token``) in a target, as AWS has it."""

    id: str
    delivery: str
    source: str
    state: str
    token: str


@dataclass(frozen=True)
class SeenRecord:
    """A record as the sweep sees it."""

    key: RecordKey
    state: str
    scheduled: bool
    parked: str


class View(Protocol):
    """What the checks read."""

    def delivery(self, ident: str) -> Delivery | None:
        """Read a delivery; None: it is not there, or cannot be read."""

    def deliveries(self) -> Iterable[Delivery]:
        """Read all but the damaged ones."""

    def damaged(self, delivery: str) -> bool:
        """Whether a test has damaged a delivery, of which nothing is demanded then."""

    def share(self, resource: str, name: str) -> Share | None:
        """Read a share with its holdings."""

    def was_open(self, resource: str, name: str) -> bool:
        """Whether a closed share of this name is in the archive."""

    def pointer(self, key: RecordKey) -> Pointer | None:
        """Read a pointer."""

    def records(self) -> Iterable[SeenRecord]:
        """Read the records of promotions and deliveries that have changed since the last call."""

    def groups_before(self, delivery: Delivery) -> Mapping[str, Collection[str]]:
        """Return the groups for which a delivery has to wait, and their accounts."""

    def succeeded(self, ami: str, account: str) -> bool:
        """Whether an AMI was delivered to an account, or shared with it, at any time."""

    def live_copies(self) -> Iterable[ServiceMade]:
        """List the copies that CopySnapshot made and that run or are complete."""

    def images(self) -> Iterable[ServiceMade]:
        """List the AMIs in targets."""

    def instances(self) -> Iterable[ServiceMade]:
        """List the instances of launch tests."""

    def made_at(self, ami: str) -> str:
        """Return the creation date of an AMI of the hub."""

    def usable(self, delivery: Delivery, image: str) -> bool:
        """Whether an AMI is available to a delivery's account, not recalled, and not newer than a rollback allows."""

    def parameters(self) -> Mapping[tuple[str, str, str], str]:
        """Return what each parameter shows: by account, Region and name; "" for one that is not there."""

    def was_there_before(self, resource: str, name: str) -> bool:
        """Whether people had opened a permission before the service came."""

    def gone(self) -> Iterable[Any]:
        """List those permissions that are no longer there."""

    def unfinished(self, at: Closing) -> Iterable[str]:
        """List the copies and AMIs that are being made by a share, and that are still wanted."""

    def left_open(self) -> Iterable[str]:
        """Describe what is open, and held by nobody."""

    def orphans(self) -> Iterable[str]:
        """Describe the copies and AMIs that the service made, that nothing needs, and that no notice lists."""

    def receives(self, account: str) -> bool:
        """Whether the applied file contains an account or an OU, or did when the function that runs was invoked."""

    def strangers(self) -> Iterable[str]:
        """Describe the permissions of those who are to receive nothing."""

    def approved(self, ami: str, account: str) -> bool:
        """Whether an AMI may be opened for an account: it needs no approval, or has one."""

    def existed(self, image: str) -> bool:
        """Whether an AMI is or was in a target."""

    def may_launch(self, ami: str, account: str) -> bool:
        """Whether an account may launch an AMI of the hub by a permission that the service gave, and has to remove."""

    def was_notified(self, delivery: Delivery) -> bool:
        """Whether a notice was published of the state in which a delivery is."""

    def excuses(self, place: tuple[str, str, str], fault: str) -> bool:
        """Whether a parameter may show something else, for a fault of its pointer ("": none)."""


Checks = Iterator[str]


# --- at a call -------------------------------------------------------------------------------------------------------


def _copy_is_intended(view: View, at: Copying) -> Checks:
    record = view.delivery(at.delivery)
    copies = () if record is None else [one for one in record.copies if one.state is CopyState.INTENDED]
    if record is None or not any(at.source in (one.source, record.read_from(one.source)) for one in copies):
        yield f"{at.source} is copied for {at.delivery} without an intent on record"


def _one_copy_lives(view: View, at: Copying) -> Checks:
    for one in view.live_copies():
        if (one.delivery, one.source) == (at.delivery, at.source):
            yield f"{at.source} is copied for {at.delivery} although {one.id} is {one.state}"


def _registering_is_intended(view: View, at: Registering) -> Checks:
    record = view.delivery(at.delivery)
    if record is None or not record.request.intended_at:
        yield f"{at.delivery} registers without an intent on record"


def _opening_is_intended(view: View, at: Opening) -> Checks:
    yield from _is_intended(view, at, "opens to", OPENS)


def _closing_is_intended(view: View, at: Closing) -> Checks:
    if not view.was_open(at.resource, at.name):  # another run has just closed it
        yield from _is_intended(view, at, "closes to", CLOSES)


def _is_intended(view: View, at: Opening | Closing, what: str, states: Sequence[ShareState]) -> Checks:
    share = view.share(at.resource, at.name)
    if share is None:
        yield f"{at.resource} has no share {at.name} on record"
    elif share.state not in states or at.intended_at not in (None, share.intended_at):
        yield f"{at.resource} {what} {share.account}, {share.state} on record"


def _held(view: View, at: Opening) -> Iterator[tuple[Holding, Delivery]]:
    """Who holds a share, with the record of the delivery."""
    share = view.share(at.resource, at.name)
    for holding in () if share is None else sorted(share.holdings, key=lambda one: one.delivery):
        left_out = holding.delivery == DELIVERED_AMIS or view.damaged(holding.delivery)
        record = None if left_out else view.delivery(holding.delivery)
        if record is not None:
            yield holding, record


def _target_was_checked(view: View, at: Opening) -> Checks:
    for holding, record in _held(view, at):
        if record.state in UNCHECKED:
            yield f"{at.resource} opens for {holding.ami} at {holding.place} while {record.state}"


def _wave_is_open(view: View, at: Opening) -> Checks:
    """Where all of the group before have failed, or none has begun, its wave is not open."""
    for holding, record in _held(view, at):
        for group, accounts in view.groups_before(record).items():
            if not any(view.succeeded(holding.ami, account) for account in accounts):
                yield f"{at.resource} opens for {holding.ami} at {holding.place} before {group}"


def _receiver_is_known(view: View, at: Opening) -> Checks:
    share = view.share(at.resource, at.name)
    if share is not None and not view.receives(share.account):
        yield f"{at.resource} opens to the stranger {share.account}"


def _receiver_is_approved(view: View, at: Opening) -> Checks:
    """Its share may serve several AMIs, of which one is enough."""
    share = view.share(at.resource, at.name)
    if share is None or not share.holdings:
        return
    places = {(one.ami, one.account) for one in share.holdings}
    if not any(view.approved(*place) for place in places):
        yield f"{at.resource} opens to {share.account} without a valid approval"


def _was_not_there_before(view: View, at: Closing) -> Checks:
    if view.was_there_before(at.resource, at.name):
        yield f"{at.resource} was open before us"


def _no_copy_loses_its_share(view: View, at: Closing) -> Checks:
    for one in view.unfinished(at):
        yield f"{at.resource} closes to {at.name} under the unfinished {one}"


def _notice_is_true(view: View, at: Telling) -> Checks:
    notice, said = at.notice, [fault["code"] for fault in at.notice.get("faults", ())]
    if notice["event"] == "delivery.delivered" and not view.existed(notice["image"]):
        yield f"{notice['id']} tells of {notice['image']}, which never was"
    if notice["event"] == "delivery.withdrawn" and "share-still-open" not in said:
        ami, account = notice["source_image"], notice["account"]
        if view.may_launch(ami, account):
            yield f"{notice['id']} says that {ami} was withdrawn, and {account} may launch it"


def _launch_is_intended(view: View, at: Launching) -> Checks:
    record = view.delivery(at.delivery)
    if record is None or not (_tokens(record).issuperset(at.tokens) or record.launch.result):
        yield f"{at.delivery} starts an instance without an intent on record"


def _one_instance_runs(view: View, at: Launching) -> Checks:
    record = view.delivery(at.delivery)
    known = set() if record is None else _tokens(record)
    of_it = [one for one in view.instances() if one.delivery == at.delivery and one.token not in known]
    if others := [one for one in of_it if one.state != "terminated"]:
        yield f"{at.delivery} starts one beside {others}"


def _tokens(record: Delivery) -> set[str]:
    return {one.nonce for one in record.launch.attempts}


def _naming_is_intended(view: View, at: Pointing) -> Checks:
    record = view.pointer(at.pointer)
    if record is None or record.intent is None:
        yield f"{at.pointer if record is None else record.where} is written without an intent on record"


# --- at any moment ---------------------------------------------------------------------------------------------------


def _one_image_each(view: View, _at: BetweenCalls | ImageMade) -> Checks:
    made = Counter(one.delivery for one in view.images() if one.delivery)
    yield from (f"{count} AMIs for {delivery}" for delivery, count in made.items() if count > 1)


def _nobody_else_may(view: View, _at: BetweenCalls | Opened) -> Checks:
    yield from (f"open to a stranger: {one}" for one in view.strangers())


def _what_was_there_stays(view: View, _at: BetweenCalls) -> Checks:
    yield from (f"preexisting, and gone: {one}" for one in view.gone())


def _records_go_on(view: View, _at: BetweenCalls) -> Checks:
    for one in view.records():
        if one.parked:
            yield f"{one.key} is parked: {one.parked}"
        elif one.state not in RESTS and not one.scheduled:
            yield f"{one.key} is {one.state}, and nothing is due"


def _instances_are_needed(view: View, _at: BetweenCalls) -> Checks:
    """One that the target does not let go is named."""
    for one in view.instances():
        over = one.state == "terminated" or view.damaged(one.delivery)
        record = None if over else view.delivery(one.delivery)
        if record is None:
            continue
        named = record.launch.given_up and one.id in record.cleanup.leftovers
        if one.token not in _tokens(record):
            yield f"{one.id} is {one.state}, and {one.delivery} does not know it"
        elif not named and (record.ended or record.state in (DeliveryState.PUBLISHING, DeliveryState.SHARED)):
            yield f"{one.id} is {one.state}, and its delivery {record.state}"


# --- at rest ---------------------------------------------------------------------------------------------------------


def _nothing_is_left_open(view: View, _at: AtRest) -> Checks:
    yield from (f"left open: {one}" for one in view.left_open())


def _nothing_is_left_over(view: View, _at: AtRest) -> Checks:
    yield from (f"orphan: {one}" for one in view.orphans())


def _endings_are_notified(view: View, _at: AtRest) -> Checks:
    for one in view.deliveries():
        if (one.ended or one.state is DeliveryState.SHARED) and not view.was_notified(one):
            yield f"nobody was told: {one.id} {one.state}"


def _current_is_named(view: View, _at: AtRest) -> Checks:
    newest: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    for one in view.deliveries():
        image = one.ami if one.state is DeliveryState.SHARED else one.image.id or ""
        stands = one.state in (DeliveryState.DELIVERED, DeliveryState.SHARED) and one.naming.parameter
        if stands and view.usable(one, image):
            place = one.target.account, one.target.region, one.naming.parameter
            made = view.made_at(one.ami), one.ami, image
            newest[place] = max(made, newest.get(place, made))
    shown = view.parameters()
    for place in sorted({*newest, *shown}):
        wanted, value = newest[place][2] if place in newest else "", shown.get(place, "")
        pointer = view.pointer(addresses.pointer(*place))
        fault = "" if pointer is None or pointer.fault is None else pointer.fault.code
        nothing = not wanted and fault == "pointer-nothing-current"
        if value != wanted and not nothing and not view.excuses(place, fault):
            yield f"{place} shows {value}, not {wanted}: {pointer}"


@dataclass(frozen=True)
class Invariant:
    """``number`` is that of its section in the docs; the moment is given to the check with the view."""

    number: int
    says: str
    moment: Any
    """A type of moment, or several."""
    check: Callable[[View, Any], Checks]


INVARIANTS = (
    Invariant(1, "Nothing opens for a target that has not passed its checks.", Opening, _target_was_checked),
    Invariant(1, "Nothing opens for a target whose wave is not open.", Opening, _wave_is_open),
    Invariant(1, "No share closes under a copy that is wanted.", Closing, _no_copy_loses_its_share),
    Invariant(1, "Nothing that nobody holds is left open.", AtRest, _nothing_is_left_open),
    Invariant(2, "No permission of others is removed.", Closing, _was_not_there_before),
    Invariant(2, "The permissions of others stay.", BetweenCalls, _what_was_there_stays),
    Invariant(3, "A copy begins with its intent on record.", Copying, _copy_is_intended),
    Invariant(3, "An AMI is made with its intent on record.", Registering, _registering_is_intended),
    Invariant(3, "A permission is added with its intent on record.", Opening, _opening_is_intended),
    Invariant(3, "A permission is removed with its intent on record.", Closing, _closing_is_intended),
    Invariant(3, "An instance starts with its intent on record.", Launching, _launch_is_intended),
    Invariant(3, "A parameter is written with its intent on record.", Pointing, _naming_is_intended),
    Invariant(4, "A delivery has one live copy of each snapshot.", Copying, _one_copy_lives),
    Invariant(4, "A delivery has one AMI.", BetweenCalls | ImageMade, _one_image_each),
    Invariant(4, "No copy and no AMI is left over.", AtRest, _nothing_is_left_over),
    Invariant(6, "A record that has not ended is due, and none is parked.", BetweenCalls, _records_go_on),
    Invariant(8, "Nothing opens to a stranger.", Opening, _receiver_is_known),
    Invariant(8, "Nothing is open to a stranger.", BetweenCalls | Opened, _nobody_else_may),
    Invariant(10, "A notice says what is so.", Telling, _notice_is_true),
    Invariant(10, "Every ending has a notice.", AtRest, _endings_are_notified),
    Invariant(11, "What needs an approval opens with one.", Opening, _receiver_is_approved),
    Invariant(12, "A parameter names the newest AMI that stands there.", AtRest, _current_is_named),
    Invariant(13, "A delivery has one instance.", Launching, _one_instance_runs),
    Invariant(13, "No instance outlives its delivery.", BetweenCalls, _instances_are_needed),
)


def broken(view: View, moment: object) -> Checks:
    """Yield what breaks an invariant at a moment, with the number of each."""
    for one in INVARIANTS:
        if isinstance(moment, one.moment):
            yield from (f"invariant {one.number}: {what}" for what in one.check(view, moment))
