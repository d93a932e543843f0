"""What happens, in plain words, and what was seen of each way: read off the AWS calls that pass the gateway."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox import stage
from sandbox.demo.story import Happening

if TYPE_CHECKING:
    from sandbox.api import Call
    from sandbox.demo.ways.setting import Setting

Place = tuple[str, str]
GOOD = {"delivered": "delivered", "shared": "shared: may launch the hub's AMI", "withdrawn": "withdrawn"}
BAD = ("failed", "cancelled")
TOGETHER = timedelta(seconds=20)
"""Within this the snapshots of one AMI are shared, and are told of once."""
OURS = re.compile(r"AmiPromoter\d{12}[a-z0-9]+To(\d{12})")
"""Begins the Sid of a statement of ours in a key's policy."""


class Teller:
    """Listens from when it is made."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.happenings: list[Happening] = []
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        """Account -> what was opened for it and done there, in the words of ``cast.Way.seen``."""
        self.states: dict[tuple[str, Place], str] = {}
        """AMI, account and Region -> state of the delivery."""
        self.over: dict[str, bool] = {}
        """AMI -> whether its promotion has come to rest."""
        self._by_id: dict[str, tuple[str, Place]] = {}
        self._grants: dict[str, str] = {}
        self._told = 0
        self._let_in: set[str] = set()
        self._once: set[tuple[str, str]] = set()
        self._said: dict[str, datetime] = {}
        self._listeners = {
            "CopyImage": self._copy_image,
            "CopySnapshot": self._copy,
            "CreateGrant": self._grant,
            "ModifyImageAttribute": self._launch,
            "ModifySnapshotAttribute": self._snapshots,
            "PutKeyPolicy": self._policy,
            "RevokeGrant": self._revoke,
        }
        setting.world.gateway.after.append(self._hear)

    def look(self) -> bool:
        """Whether anything has happened since :meth:`news` was asked."""
        return len(self.happenings) > self._told

    def news(self) -> list[Happening]:
        """Return what has happened since this was last asked."""
        fresh = self.happenings[self._told :]
        self._told = len(self.happenings)
        return fresh

    def state(self, image: str, place: Place) -> str:
        """State of a delivery; "never begun" if there is none."""
        return self.states.get((image, place), "never begun")

    def tell(self, who: str, text: str, tone: str = "news") -> None:
        """Add a happening of now."""
        self.happenings.append(Happening(self.setting.world.now, who, text, tone))

    def _hear(self, call: Call) -> None:
        if call.caller.function is None or call.error is not None:
            return
        if call.service == "dynamodb":
            for item in _written(call):
                self._record(item)
        elif (listener := self._listeners.get(call.operation)) is not None:
            listener(call)

    # --- records ---

    def _record(self, item: Mapping[str, Any]) -> None:
        kind, _, name = str(item["pk"]).partition("#")
        if kind == "promotion" and item["sk"].startswith("history#"):
            self.over[name] = item["state"] == "over"
        if item.get("kind") == "delivery":
            body = json.loads(item["body"])
            target = body["target"]
            self._by_id[body["id"]] = (body["ami"], (target["account"], target["region"]))
        if kind == "delivery" and name in self._by_id and "state" in item:
            self._enter(self._by_id[name], item["state"])

    def _enter(self, delivery: tuple[str, Place], state: str) -> None:
        if self.states.get(delivery) == state:
            return
        self.states[delivery] = state
        if state in GOOD or state in BAD:
            account, region = delivery[1]
            where = "" if region == stage.REGION else f" in {region}"
            tone = "good" if state in GOOD else "bad"
            self.tell(self.setting.name(account), f"{GOOD.get(state, state)}{where}", tone)

    # --- calls ---

    def _snapshots(self, call: Call) -> None:
        adds = call.params.get("OperationType") == "add"
        accounts = call.params.get("UserIds", ())
        if adds:
            self._note(accounts, "snapshots")
        text = f"{'shares' if adds else 'no longer shares'} snapshots with {self._names(accounts)}"
        last = self._said.get(text)
        if last is None or call.at > last + TOGETHER:  # and not for every snapshot of the AMI
            self.tell("hub", text, _tone(adds))
        self._said[text] = call.at

    def _launch(self, call: Call) -> None:
        asked = call.params.get("LaunchPermission", {})
        for adds, entries in ((True, asked.get("Add", ())), (False, asked.get("Remove", ()))):
            accounts = [entry["UserId"] for entry in entries if "UserId" in entry]
            units = [entry["OrganizationalUnitArn"] for entry in entries if "OrganizationalUnitArn" in entry]
            groups = [group for group in self.setting.units if self._arn(group) in units]
            if adds:
                self._note(accounts, "launch permission")
                self._note((w.account for w in self.setting.ways if w.group in groups), "launch permission of its OU")
            if entries:
                who = ", ".join([*map(self.setting.name, accounts), *(f"OU {group}" for group in groups)])
                what = "lets" if adds else "no longer lets"
                self.tell("hub", f"{what} {who} launch {_short(call.params['ImageId'])}", _tone(adds))

    def _grant(self, call: Call) -> None:
        caller = call.caller.account
        grantee = call.params["GranteePrincipal"]
        account, role = grantee.split(":")[4], grantee.rpartition("/")[-1]
        key = "the hub's key" if f":{stage.HUB}:" in call.params["KeyId"] else "its key"
        if "/aws-service-role/" in grantee:
            self._note([account], "grant to a service's role")
            text = f"{role} the use of {key}"
        else:
            self._note([account], "grant")
            text = f"{self.setting.name(account)} the use of its key"
        self._grants[call.result["GrantId"]] = text
        self.tell(self.setting.name(caller), f"grants {text}")

    def _revoke(self, call: Call) -> None:
        text = self._grants.get(call.params["GrantId"], "somebody the use of a key")
        self.tell(self.setting.name(call.caller.account), f"no longer grants {text}", "faint")

    def _policy(self, call: Call) -> None:
        now = set(OURS.findall(call.params["Policy"]))
        if come := sorted(now - self._let_in):
            self._note(come, "policy")
            self.tell("hub", f"lets {self._names(come)} use its key, by statements in its policy")
        if gone := sorted(self._let_in - now):
            self.tell("hub", f"takes the statements for {self._names(gone)} out of the policy", "faint")
        self._let_in = now

    def _copy(self, call: Call) -> None:
        origin = call.params["SourceRegion"]
        self._note([call.caller.account], f"copies from {origin}")
        where = f"in {origin}" if origin == call.region else f"from {origin} to {call.region}"
        self._tell_once(call.caller.account, f"copies snapshots {where}")

    def _copy_image(self, call: Call) -> None:
        self._note([call.caller.account], "CopyImage")
        self._tell_once(call.caller.account, "copies the AMI whole: CopyImage")

    def _tell_once(self, account: str, text: str) -> None:
        if (account, text) not in self._once:  # and not for every volume and every try
            self._once.add((account, text))
            self.tell(self.setting.name(account), text)

    # --- words ---

    def _note(self, accounts: Iterable[str], what: str) -> None:
        for account in accounts:
            self.seen[account].add(what)

    def _names(self, accounts: Iterable[str]) -> str:
        return ", ".join(map(self.setting.name, accounts))

    def _arn(self, group: str) -> str:
        return self.setting.organisation.arn_of(self.setting.units[group])


def _written(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the items that a call to DynamoDB has put, without its type names."""
    writes = [entry.get("Put", {}) for entry in call.params.get("TransactItems", ())]
    if call.operation == "PutItem":
        writes.append(call.params)
    for write in writes:
        if "Item" in write:
            yield {name: next(iter(value.values())) for name, value in write["Item"].items()}


def _short(resource: str) -> str:
    """Cut an id for a line that is read in passing: snap-0544a6e6."""
    kind, _, number = resource.partition("-")
    return f"{kind}-{number[:8]}"


def _tone(adds: bool) -> str:  # noqa: FBT001
    return "news" if adds else "faint"
