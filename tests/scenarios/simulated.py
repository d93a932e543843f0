"""The simulator's world for the common list of invariants, and what each AWS call of a function is about to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from moto.dynamodb.models import dynamodb_backends

from awsim.services.ec2.snapshot_sharing import changed
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import ENDED, Delivery
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import APPROVALS, RecordKey
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.places import Resource
from chalicelib.engine.schema import FORMS
from chalicelib.engine.store.records import stored
from chalicelib.images.register import DELIVERY_TAG, HUB_TAG, OUR_PREFIX
from chalicelib.release.codec import POINTERS
from chalicelib.release.pointer import Pointer, PointerState
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from demo.stage import HUB, REGION
from tests.invariants import (
    STALEST,
    Closing,
    Copying,
    ImageMade,
    Launching,
    Opened,
    Opening,
    Pointing,
    Registering,
    SeenRecord,
    Telling,
    broken,
)

if TYPE_CHECKING:
    from awsim.api import Call
    from tests.scenarios.scene import Scene

SNAPSHOT_TAG = f"{OUR_PREFIX}source-snapshot"
OPENS = ("ModifySnapshotAttribute", "ModifyImageAttribute", "CreateGrant")
ROLE_PATH = ":role/aws-service-role/"
STATEMENT = re.compile("AmiPromoter[0-9]{12}[a-z0-9]+To([0-9]{12})(Copies|Account|Roles)")
AUDIENCES = {"Copies": "", "Account": "-share", "Roles": "-roles"}
"""The suffix of a share's name, by the audience of its statement."""


def learn(kind: Any) -> None:
    """Let the codec look at a type's annotations now: while a function runs, ``chalicelib`` is that of its package."""
    for part in get_args(kind):
        learn(part)
    if is_dataclass(kind):
        codec._members(kind)
        for annotation in get_type_hints(kind).values():
            learn(annotation)


for record in (Delivery, Pointer, Share):
    learn(record)


@dataclass(frozen=True)
class InTarget:
    """An AMI, a copy or an instance that the service made in a target."""

    id: str
    delivery: str
    source: str
    state: str
    token: str = ""


class SimulatedView:
    """What the checks of the list read, from the simulator's state and the items of the hub's table."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._ledger = DynamoLedger(None)

    def damaged(self, _delivery: str) -> bool:
        return False

    def delivery(self, ident: str) -> Any:
        return self._record(addresses.delivery(ident), DELIVERIES)

    def deliveries(self) -> Iterator[Any]:
        found = (self.delivery(one["pk"].partition("#")[2]) for one in self._scene._records("delivery"))
        return (one for one in found if one is not None)

    def pointer(self, key: RecordKey) -> Any:
        return self._record(key, POINTERS)

    def _record(self, key: RecordKey, kind: Any) -> Any:
        item = self._scene.record(key.pk)
        try:
            return kind.decode(stored(key, item, FORMS)) if "pk" in item else None
        except ParkRecord:
            return None

    def share(self, resource: str, name: str) -> Any:
        beginnings = f"{addresses.SHARE}{name}", f"{addresses.HOLD}{name}#"
        found = self._ledger.read(self._scene.partition(resource, *beginnings))
        return next((one for one in found if one.share_name == name), None)

    def was_open(self, resource: str, name: str) -> bool:
        return bool(self._scene.partition(resource, f"{addresses.ARCHIVED}{name}#"))

    def records(self) -> Iterator[SeenRecord]:
        for item in (*self._scene._records("promotion"), *self._scene._records("delivery")):
            due = "due_at" in item and "wake_at" in item
            yield SeenRecord(RecordKey(item["pk"]), item["state"], due, item.get("parked", ""))

    def groups_before(self, delivery: Delivery) -> Mapping[str, Iterable[str]]:
        """Those of accounts alone: who is in an OU, a scenario knows by itself."""
        groups, account = self._scene.groups, delivery.target.account
        after = [one["after"] for one in groups.values() if account in one["members"] and "after" in one]
        members = {name: groups[name]["members"] for name in after}
        return {name: found for name, found in members.items() if all(one.isdigit() for one in found)}

    def succeeded(self, ami: str, account: str) -> bool:
        return self._scene.delivery_state(account, ami) in GOOD or any(
            (one["event"], one.get("account")) in (("delivery.delivered", account), ("delivery.shared", account))
            for one in self._scene.notices(image=ami)
        )

    def live_copies(self) -> Iterator[InTarget]:
        for one in self._scene._copies():
            if (
                one.state in ("pending", "completed")
                and not one.doomed
                and (one.origin is None or not one.origin.image)
            ):
                tags = self._scene._tags(one)
                yield InTarget(one.id, tags[DELIVERY_TAG], tags[SNAPSHOT_TAG], one.state)

    def images(self) -> Iterator[InTarget]:
        for one in self._scene._images():
            yield InTarget(one.id, self._scene._tags(one)[DELIVERY_TAG], "", one.state)

    def instances(self) -> Iterator[InTarget]:
        for one in self._scene.world.ec2.state.instances.all():
            if tags := self._scene._tags(one):
                yield InTarget(one.id, tags[DELIVERY_TAG], one.image, one.state, one.token)

    def made_at(self, ami: str) -> str:
        return self._scene.world.ec2.state.images.get(ami).created.isoformat()

    def usable(self, delivery: Any, image: str) -> bool:
        return self._scene.world.ec2.usable(delivery.target.account, delivery.target.region, image)

    def parameters(self) -> dict[tuple[str, str, str], str]:
        """Of pointers at rest that the file wants, and that no operator holds."""
        found = {}
        for item in self._scene._records("pointer"):
            one = self.pointer(RecordKey(item["pk"]))
            if one is not None and one.state is PointerState.RESTING and not (one.unwanted or one.pin):
                place = one.account, one.region, one.parameter
                found[place] = (self._scene.world.ssm.value_of(*place) or ("",))[0]
        return found

    def was_there_before(self, resource: str, name: str) -> bool:
        found = self._scene.world.ec2.foreign_permissions()
        theirs = {(one.resource, one.holder) for one in found if str(one) in self._scene.preexisting}
        return (Resource.parse(resource).name, name) in theirs

    def gone(self) -> list[str]:
        return sorted(self._scene.preexisting - set(self._scene.world.shares_open()))

    def unfinished(self, at: Closing) -> Iterator[str]:
        """By a snapshot or an AMI."""
        state, source, name = self._scene.world.ec2.state, Resource.parse(at.resource).name, at.name
        for copy in state.snapshots.all() if not self._scene.watch.may_close_blind else ():
            runs = copy.state == "pending" and not copy.doomed and copy.owner == name
            if runs and copy.origin and copy.origin.snapshot == source:
                yield copy.id
        for image in state.images.all() if not self._scene.watch.may_close_blind else ():
            runs = image.state == "pending" and image.owner == name
            if runs and image.origin and image.origin.image == source:
                yield image.id

    def left_open(self) -> list[str]:
        """Nothing may be open once all deliveries have ended."""
        needed = any(one["state"] not in ENDED for one in self._scene._records("delivery"))
        return [] if needed else sorted(set(self._scene.world.shares_open()) - self._scene.preexisting)

    def orphans(self) -> Iterator[str]:
        """Copies that no AMI uses, of deliveries that have ended."""
        running = {one["pk"].partition("#")[2] for one in self._scene._records("delivery") if one["state"] not in ENDED}
        used = {snapshot for image in self._scene._images() for snapshot in image.snapshots}
        for one in self._scene._copies():
            needed = one.id in used or one.doomed or self._scene._tags(one)[DELIVERY_TAG] in running
            if not needed:
                yield f"{one.id} ({one.state}) in {one.owner}"

    def receives(self, account: str) -> bool:
        return account in {*self._scene.listed, *self._scene.launches, HUB}

    def strangers(self) -> Iterator[str]:
        """A launch permission is only for receivers that the scenario expects."""
        scene = self._scene
        for permission in scene.world.ec2.foreign_permissions():
            known = permission.kind == "UserId" and permission.holder in scene.listed
            launches = permission.resource.startswith("ami-") and permission.holder in scene.launches
            copies = known and permission.resource.startswith("snap-")
            if str(permission) not in scene.preexisting and not (launches or copies):
                yield str(permission)
        for grant in scene.world.kms.open_grants():
            if grant.issuer == HUB and grant.grantee_account not in {*scene.listed, HUB}:
                yield f"grant on {grant.key_arn} to {grant.grantee}"

    def approved(self, ami: str, account: str) -> bool:
        """By an approval that has not long expired, whatever it is of."""
        file = self._scene.file
        its = [file.get("defaults") or {}, (file.get("accounts") or {}).get(account) or {}]
        its += [one for one in self._scene.groups.values() if account in one["members"]]
        if not any(one.get("approval") == "required" for one in its):
            return True
        tables, late = dynamodb_backends[HUB][REGION].tables.values(), self._scene.world.now.timestamp() - STALEST
        found = (items for table in tables for pk, items in table.items.items() if str(pk.value).startswith(APPROVALS))
        given = [one.attrs for of in found for sk, one in of.items() if str(sk.value).startswith(f"{ami}/{account}/")]
        return any(json.loads(one["body"].value)["until"] > late for one in given if "body" in one)

    def existed(self, image: str) -> bool:
        return self._scene.world.ec2.state.images.get(image) is not None

    def may_launch(self, ami: str, account: str) -> bool:
        share, theirs = self.share(f"resource#image#{ami}", account), self._scene.preexisting
        held = share is not None and bool(share.holdings)
        shown = (one for one in self._scene.world.ec2.foreign_permissions() if str(one) not in theirs)
        return any((one.resource, one.holder) == (ami, account) for one in shown) and not held

    def was_notified(self, delivery: Any) -> bool:
        sent = [one for one in self._scene.notices() if one.get("delivery") == delivery.id]
        return any(one["outcome"] == delivery.state for one in sent)

    def excuses(self, place: tuple[str, str, str], fault: str) -> bool:
        """What `status` reports may be so; and only pointers at rest are compared."""
        return bool(fault) or place not in self.parameters()


class CallChecks:
    """Checks the invariants right before each of the service's calls, and after those that make an AMI or open."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.checked: set[type] = set()
        """The moments at which something was checked."""
        scene.world.gateway.before.append(self._before)
        scene.world.gateway.after.append(self._after)

    def _before(self, call: Call) -> None:
        """Of this hub's functions alone: another hub's enter targets, too, and people have credentials of roles."""
        caller, functions = call.caller, self._scene.world.lambda_.functions.values()
        elsewhere = caller.account != HUB and (caller.role_arn or "").endswith(f"/{caller.function}")
        of_hub = _tags(call).get(HUB_TAG, HUB).startswith(HUB) and not elsewhere
        if caller.function is not None and of_hub and any(one.running for one in functions):
            for moment in self._moments(call):
                self._tell(call, moment)

    def _after(self, call: Call) -> None:
        if call.operation in ("RegisterImage", "CopyImage") and call.error is None:
            self._tell(call, ImageMade())
        if call.operation in OPENS and call.caller.function is not None:
            self._tell(call, Opened())

    def _tell(self, call: Call, moment: object) -> None:
        self.checked.add(type(moment))
        self._scene.watch.problems += [f"{call.at:%H:%M:%S}: {what}" for what in broken(self._scene.view, moment)]

    def _moments(self, call: Call) -> Iterator[object]:
        """What the call is about to do."""
        given = call.params
        match call.operation:
            case "CopySnapshot":
                tags = _tags(call)
                yield Copying(tags.get(DELIVERY_TAG, ""), tags.get(SNAPSHOT_TAG, given["SourceSnapshotId"]))
            case "RegisterImage" | "CopyImage":
                yield Registering(_tags(call).get(DELIVERY_TAG, ""))
            case "RunInstances":
                yield Launching(_tags(call).get(DELIVERY_TAG, ""), {given.get("ClientToken", "")})
            case "PutParameter" | "DeleteParameter":
                yield Pointing(addresses.pointer(call.caller.account, call.region, given["Name"]))
            case "Publish":
                sent = json.loads(given["Message"])
                yield Telling(json.loads(sent["default"]) if "MessageStructure" in given else sent)
            case "CreateGrant":
                yield self._granting(call)
            case "PutKeyPolicy":
                yield from self._putting(call)
            case "ModifyImageAttribute":
                permission = given.get("LaunchPermission", {"Add": ()})
                moment = Opening if "Add" in permission else Closing
                (entries,) = permission.values()
                yield from (moment(f"resource#image#{given['ImageId']}", *one.values()) for one in entries)
            case "ModifySnapshotAttribute":
                added, removed = changed(call)
                abroad = "" if call.region == REGION else f"@{call.region}"
                resource = f"resource#snapshot#{given['SnapshotId']}{abroad}"
                yield from (Opening(resource, account) for account in added)
                yield from (Closing(resource, account) for account in removed)

    def _granting(self, call: Call) -> Opening:
        """A grant to a target's role for a delivery, or to a service-linked role."""
        key, grantee = call.params["KeyId"], call.params["GranteePrincipal"]
        where, _, role = grantee.partition(ROLE_PATH)
        place, holder = ("role", role) if role else ("key", call.params.get("Name", "::").split(":")[2])
        account = where.split(":")[4] if call.caller.function else call.caller.account  # a target's own key
        return Opening(f"resource#{place}#{key}#{account}", holder)

    def _putting(self, call: Call) -> Iterator[object]:
        """The service's statements that are added or removed; a refused one may be removed whenever it shows."""
        key, world = call.params["KeyId"], self._scene.world
        text = world.client("kms", call.caller.account, call.region).get_key_policy(KeyId=key, PolicyName="default")
        before, after = _ours(text["Policy"]), _ours(call.params["Policy"])
        resource = f"resource#policy#{key}"
        yield from (Opening(resource, holder) for holder in sorted(after - before))
        for holder in sorted(before - after):
            share = self._scene.view.share(resource, holder)
            if share is None or share.state is not ShareState.REFUSED:
                yield Closing(resource, holder)


def _tags(call: Call) -> dict[str, str]:
    """The tags with which a call makes something."""
    return {tag["Key"]: tag["Value"] for spec in call.params.get("TagSpecifications", ()) for tag in spec["Tags"]}


def _ours(policy: str) -> set[str]:
    """Names of the shares whose statements are in a key's policy."""
    found = (STATEMENT.match(statement.get("Sid", "")) for statement in json.loads(policy)["Statement"])
    return {f"{one[1]}{AUDIENCES[one[2]]}" for one in found if one}
