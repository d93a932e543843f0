"""What happens, as an onlooker sees it: from the AWS calls that pass the gateway, and from EC2's copies.

Nothing of the service is asked or imported. States of deliveries are read off the records that the service writes with
each change (table layout: docs of the records), so each is known to the very call that made it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from awsim.api import Call
from awsim.functions import Invocation
from awsim.services.ec2 import snapshot_sharing
from awsim.services.ec2.facts import CopyProgress
from demo import stage
from demo.setting import Setting
from demo.ways import Place

WAITS = {"awaiting-slot": "waiting for a copy slot", "opening": "waiting for its shares to open"}
"""States of a delivery that the demo prints in words."""
GOOD = {"delivered": "delivered", "shared": "shared: may launch the hub's AMI", "withdrawn": "withdrawn"}
"""States in which a delivery rests, and how they are shown."""
BAD = frozenset({"failed", "cancelled"})
QUARTER = 25
BLINK = timedelta(seconds=1)
"""Copies are looked at no more often: with hundreds of them each look takes a while."""
TOGETHER = timedelta(seconds=20)
"""Within this the snapshots of one AMI are shared, and are shown once, unless in detail."""
LATE_ACCESS = "as on AWS: new key access works within 5 min; tried again"
"""Shown once, after the first copy or call that came too early."""
GONE = {"DeleteSnapshot": "SnapshotId", "DeregisterImage": "ImageId"}
"""Calls that remove something, and the parameter that names it; where it is not there, nothing is wrong."""
BUSY = 20
"""So many of the latest invocations are asked whether they run still."""
OURS = re.compile(r"AmiPromoter\d{12}[a-z0-9]+To(\d{12})")
"""Begins the Sid of a statement of the service's in a key's policy."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. ``who`` is an account's name; ``tone`` is news, good, bad, faint, or progress."""

    at: datetime
    who: str
    text: str
    tone: str = "news"


@dataclass(slots=True)
class Watched:
    """One delivery so far."""

    id: str
    source: str
    place: Place
    entered: list[tuple[str, datetime]] = field(default_factory=list)
    """Each state it came into, and when; never the same twice in a row."""
    image: str = ""

    @property
    def state(self) -> str:
        """The state it is in."""
        return self.entered[-1][0]

    @property
    def seconds(self) -> Counter[str]:
        """Virtual seconds in each state it has left."""
        spent: Counter[str] = Counter()
        for (state, since), (_, until) in zip(self.entered, self.entered[1:], strict=False):
            spent[state] += (until - since).total_seconds()  # type: ignore[assignment]  # a Counter counts anything
        return spent


class Observer:
    """Listens from when it is made. :meth:`look` is for ``kernel.run(until=...)``: whether there is news.

    In detail each state, snapshot and copy is shown; otherwise what is done for an account, once.
    """

    def __init__(self, setting: Setting, *, detailed: bool) -> None:
        self.setting = setting
        self.happenings: list[Happening] = []
        self.deliveries: dict[tuple[str, Place], Watched] = {}
        """Source AMI, account and Region -> delivery."""
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        """Account, or ARN of an OU -> what was opened for it and done there, in the words of ``Way.seen``."""
        self.access: dict[str, tuple[datetime, datetime]] = {}
        """Account -> when the hub first opened a snapshot or its key to it, and when it last closed one."""
        self.over: dict[str, bool] = {}
        """AMI -> whether its promotion has come to rest."""
        self._world = setting.world
        self._detailed = detailed
        self._by_id: dict[str, Watched] = {}
        self._reported = 0
        self._looked = self._world.now
        self._copies: dict[str, tuple[str, int]] = {}
        self._grants: dict[str, str] = {}
        self._grantees: dict[str, str] = {}
        self._let_in: set[str] = set()
        self._copied_whole: set[str] = set()
        self._once: set[tuple[str, str]] = set()
        self._said: dict[str, datetime] = {}
        self._explained = False
        self.too_early: set[str] = set()
        """Copies that failed because the access to the key was new."""
        self._running: list[Invocation] = []
        self._seen = self._before = len(self._world.lambda_.invocations)
        self._listeners = {
            "CopyImage": self._copy_image,
            "CopySnapshot": self._copy_snapshot,
            "CreateGrant": self._grant,
            "DeleteSnapshot": self._delete_snapshot,
            "DeregisterImage": self._deregister,
            "ModifyImageAttribute": self._launch,
            "ModifySnapshotAttribute": self._share_snapshot,
            "PutKeyPolicy": self._policy,
            "RegisterImage": self._register,
            "RevokeGrant": self._revoke,
        }
        self._world.gateway.after.insert(0, self._hear)  # before the injections, which may kill the caller there

    def look(self) -> bool:
        """Look around; whether anything has happened since :meth:`news` was asked."""
        if self._detailed and self._world.now >= self._looked + BLINK:
            self._looked = self._world.now
            self._watch_copies()
        self._watch_invocations()
        return len(self.happenings) > self._reported

    def news(self) -> list[Happening]:
        """Return what has happened since this was last asked."""
        fresh = self.happenings[self._reported :]
        self._reported = len(self.happenings)
        return fresh

    def state(self, image: str, place: Place) -> str:
        """State of a delivery; "never begun" if there is none."""
        found = self.deliveries.get((image, place))
        return found.state if found else "never begun"

    def copies_in(self, place: Place) -> dict[str, CopyProgress]:
        """Source snapshot -> its latest copy in an account and Region."""
        return {one.source: one for one in self._world.ec2.progress() if (one.account, one.region) == place}

    @property
    def settled(self) -> bool:
        """Whether nothing moves any more: promotions over, no share open, no wake under way, no function running."""
        if not all(map(self.over.get, self.setting.images)):
            return False
        wakes = any(queue.messages for queue in self._world.sqs.queues.values() if "-dead" not in queue.name)
        still = set(self._world.shares_open()) - self.setting.before
        return not wakes and not still and all(one.done for one in self._world.lambda_.invocations[-BUSY:])

    @property
    def invocations(self) -> list[Invocation]:
        """All invocations since this was made."""
        return self._world.lambda_.invocations[self._before :]

    @property
    def calls(self) -> list[Call]:
        """All AWS calls of the service, in the hub and in targets, from when the tag could be set."""
        return [call for call in self._world.calls if call.caller.function and call.at >= self.setting.began]

    def tell(self, who: str, text: str, tone: str = "news") -> None:
        """Add a happening of now."""
        self.happenings.append(Happening(self._world.now, who, text, tone))

    def _hear(self, call: Call) -> None:
        if call.caller.function is None:
            return
        if (listener := self._listeners.get(call.operation)) is not None:
            if call.error:
                self._refused(call)
            else:
                listener(call)
        elif call.error is None and call.service == "dynamodb":
            for item in _written(call):
                self._record(item)
        elif call.error is None and call.operation == "Publish":
            body = json.loads(json.loads(call.params["Message"])["default"])
            if "account" not in body:
                tone = "bad" if body.get("outcome") not in {None, *GOOD} else "good"
                self.tell("hub", f"notice to all: {body['event']}", tone)

    def _refused(self, call: Call) -> None:
        if call.operation in GONE and call.error and call.error.endswith((".NotFound", ".Unavailable")):
            self._tell(call, f"{call.params[GONE[call.operation]]} is gone, as another look shows", "faint")
            return
        early = call.operation == "CreateGrant"
        again = "; tried again" if early and self._explained else ""
        self._tell(call, f"{call.operation} is refused: {call.error}{again}", "bad")
        if early:
            self._explain()

    # --- records ---

    def _record(self, item: Mapping[str, Any]) -> None:
        kind, _, name = str(item["pk"]).partition("#")
        if kind == "promotion" and item["sk"] == "record" and "state" in item:
            self.over[name] = item["state"] == "over"
        if item.get("kind") == "delivery":
            body = json.loads(item["body"])
            place = (body["target"]["account"], body["target"]["region"])
            if body["id"] not in self._by_id:
                new = Watched(body["id"], body["ami"], place)
                self.deliveries[body["ami"], place] = self._by_id[body["id"]] = new
        if kind == "delivery" and name in self._by_id and "state" in item:
            self._enter(self._by_id[name], item["state"])

    def _enter(self, delivery: Watched, state: str) -> None:
        if delivery.entered and delivery.state == state:
            return
        first = not delivery.entered
        delivery.entered.append((state, self._world.now))
        account, region = delivery.place
        rests = state in GOOD or state in BAD
        if rests:
            where = "" if region == stage.REGION else f" in {region}"
            made = f": {delivery.image}" if state == "delivered" and delivery.image else ""
            text, tone = f"{GOOD.get(state, state)}{where}{made}", "good" if state in GOOD else "bad"
        else:
            text, tone = f"delivery {state}" if first else WAITS.get(state, state), "faint"
        if rests or self._detailed:
            self.tell(self.setting.name(account), text, tone)

    def _made(self, call: Call, image: str) -> None:
        """Remember the AMI that a delivery makes."""
        place = (call.caller.account, call.region)
        for delivery in self.deliveries.values():
            if delivery.place == place and delivery.state not in GOOD and delivery.state not in BAD:
                delivery.image = image

    # --- calls ---

    def _share_snapshot(self, call: Call) -> None:
        added, removed = snapshot_sharing.changed(call)
        adds, accounts = bool(added), added or removed
        for account in accounts:
            self._opened_or_closed(account, call.at)
        if adds:
            self._note(accounts, "snapshots")
        what = _short(call.params["SnapshotId"]) if self._detailed else "snapshots"
        text = f"{'shares' if adds else 'no longer shares'} {what} with {self._names(accounts)}"
        last = self._said.get(text)
        if self._detailed or last is None or call.at > last + TOGETHER:  # and not for every snapshot of the AMI
            self.tell("hub", text, _tone(adds))
        self._said[text] = call.at

    def _launch(self, call: Call) -> None:
        asked = call.params.get("LaunchPermission", {})
        for adds, entries in ((True, asked.get("Add", ())), (False, asked.get("Remove", ()))):
            holders = [value for entry in entries for value in entry.values()]
            if adds:
                self._note(holders, "launch permission")
            if holders:
                what = "lets" if adds else "no longer lets"
                text = f"{what} {self._names(holders)} launch {_short(call.params['ImageId'])}"
                self.tell("hub", text, _tone(adds))

    def _grant(self, call: Call) -> None:
        grantee = call.params["GranteePrincipal"]
        account, role = grantee.split(":")[4], grantee.rpartition("/")[-1]
        if "/aws-service-role/" in grantee:
            self._note([account], "grant to a service's role")
            key = "the hub's key" if f":{stage.HUB}:" in call.params["KeyId"] else "its key"
            text = f"{role} the use of {key}"
        else:
            self._note([account], "grant")
            self._opened_or_closed(account, call.at)
            self._grantees[call.result["GrantId"]] = account
            text = f"{self.setting.name(account)} the use of its key"
        self._grants[call.result["GrantId"]] = text
        self._tell(call, f"grants {text}")

    def _revoke(self, call: Call) -> None:
        text = self._grants.get(call.params["GrantId"], "somebody the use of a key")
        if account := self._grantees.get(call.params["GrantId"]):
            self._opened_or_closed(account, call.at)
        self._tell(call, f"no longer grants {text}", "faint")

    def _policy(self, call: Call) -> None:
        now = set(OURS.findall(call.params["Policy"]))
        if come := sorted(now - self._let_in):
            self._note(come, "policy")
            self.tell("hub", f"lets {self._names(come)} use its key, by statements in its policy")
        if gone := sorted(self._let_in - now):
            self.tell("hub", f"takes the statements for {self._names(gone)} out of the policy", "faint")
        self._let_in = now

    def _copy_snapshot(self, call: Call) -> None:
        origin = call.params["SourceRegion"]
        self._note([call.caller.account], f"copies from {origin}")
        if self._detailed:
            self._tell(call, f"copies {_short(call.params['SourceSnapshotId'])} to {_short(call.result['SnapshotId'])}")
        else:
            where = f"in {origin}" if origin == call.region else f"from {origin} to {call.region}"
            self._tell_once(call, f"copies snapshots {where}")

    def _copy_image(self, call: Call) -> None:
        self._note([call.caller.account], "CopyImage")
        self._copied_whole.add(call.result["ImageId"])
        self._made(call, call.result["ImageId"])
        self._tell_once(call, "copies the AMI whole: CopyImage")

    def _delete_snapshot(self, call: Call) -> None:
        if self._detailed:
            self._tell(call, f"deletes {_short(call.params['SnapshotId'])}", "faint")

    def _register(self, call: Call) -> None:
        image = call.result["ImageId"]
        self._made(call, image)
        if self._detailed:
            self._tell(call, f"registers {image}")

    def _deregister(self, call: Call) -> None:
        image = call.params["ImageId"]
        if image not in self._copied_whole:
            self._tell(call, f"deregisters {image}", "bad")
            return
        self._tell(call, f"deregisters {image}, which CopyImage could not finish", "bad")
        self._explain()

    # --- what happens by itself ---

    def _watch_copies(self) -> None:
        for one in self._world.ec2.progress():
            quarter = one.percent // QUARTER
            before = self._copies.get(one.snapshot)
            if before == (one.state, quarter):
                continue
            self._copies[one.snapshot] = (one.state, quarter)
            who, what = self.setting.name(one.account), f"{_short(one.source)}, {one.size} GiB"
            if one.state == "error":
                found = self._world.ec2.state.snapshots.get(one.snapshot)
                why = found.state_message if found else ""
                self.tell(who, f"copy of {_short(one.source)}: error, {why}", "bad")  # 80 columns
                if "not accessible" in why:
                    self.too_early.add(one.snapshot)
                    self._explain()
            elif one.state == "completed":
                self.tell(who, f"copy of {what}: completed", "good")
            elif before is not None:
                self.tell(who, f"copy of {what}: {one.percent} %", "progress")

    def _watch_invocations(self) -> None:
        invocations = self._world.lambda_.invocations
        running = [*self._running, *invocations[self._seen :]]
        self._seen = len(invocations)
        self._running = [one for one in running if not one.done]
        for one in running:
            if one.done and one.outcome != "ok":
                name = one.function.rsplit(f"{stage.REGION}-", 1)[-1]
                self.tell("hub", f"{name} {_died(one)}", "bad")

    # --- words ---

    def _tell(self, call: Call, text: str, tone: str = "news") -> None:
        self.tell(self.setting.name(call.caller.account), text, tone)

    def _explain(self) -> None:
        """Say once why a key cannot be used yet."""
        if not self._explained:
            self._explained = True
            self.tell("", LATE_ACCESS, "faint")

    def _tell_once(self, call: Call, text: str) -> None:
        if (call.caller.account, text) not in self._once:  # and not for every volume and every try
            self._once.add((call.caller.account, text))
            self._tell(call, text)

    def _note(self, holders: Iterable[str], what: str) -> None:
        for holder in holders:
            self.seen[holder].add(what)

    def _opened_or_closed(self, account: str, at: datetime) -> None:
        first, _ = self.access.get(account, (at, at))
        self.access[account] = (first, at)

    def _names(self, holders: Iterable[str]) -> str:
        return ", ".join(map(self.setting.name, holders))


def _died(invocation: Invocation) -> str:
    if invocation.outcome == "crashed":
        return invocation.error  # crashed after CopySnapshot
    return f"fails: {invocation.error.splitlines()[0] if invocation.error else invocation.outcome}"


def _written(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the items that a call to DynamoDB has put, without its type names: {"S": "a"} is "a".

    Of one that it has updated: its key, and its state where that was written.
    """
    writes = [write for entry in call.params.get("TransactItems", ()) for write in entry.values()]
    for write in writes or [call.params]:
        places = {name: place for place, name in write.get("ExpressionAttributeNames", {}).items()}
        state = write.get("ExpressionAttributeValues", {}).get(places.get("state", "").replace("#", ":"))
        values = write.get("Item") or ({**write["Key"], "state": state} if state else {})
        if values:
            yield {name: next(iter(value.values())) for name, value in values.items()}


def _short(resource: str) -> str:
    """Cut an id for a line that is read in passing: snap-0544a6e6."""
    kind, _, number = resource.partition("-")
    return f"{kind}-{number[:8]}"


def _tone(adds: bool) -> str:  # noqa: FBT001
    return "news" if adds else "faint"
