"""Invariants beyond those of every scenario: an intent on record before each call, and no opening without checks."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from awsim.api import Call
from awsim.services.ec2.snapshot_sharing import changed
from chalicelib.sharing.share import Holding
from chalicelib.sharing.store.ledger import holdings_in
from tests.scenarios.scene import DELIVERY_TAG, HUB, REGION, Scene

ROLE_PATH = ":role/aws-service-role/"
BEFORE_OPENING = ("awaiting-wave", "awaiting-approval", "requested", "checking", "waiting")
OPENING, CLOSING = ("opening", "open"), ("closing", "closed")
STATEMENT = re.compile("AmiPromoter[0-9]{12}[a-z0-9]+To([0-9]{12})(Copies|Account|Roles)")
AUDIENCES = {"Copies": "", "Account": "-share", "Roles": "-roles"}
"""The suffix of a share's name, by the audience of its statement."""


class CallChecks:
    """Checks each call that opens, closes, copies or registers, right before it takes effect."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._problems = scene.watch.problems
        scene.world.gateway.before.append(self._before)
        scene.world.gateway.after.append(self._after)

    def _before(self, call: Call) -> None:
        found = ""
        match call.operation:
            case "CopySnapshot":
                found = self._copying(call)
            case "RegisterImage" | "CopyImage":
                found = self._registering(call)
            case "CreateGrant" if ROLE_PATH in call.params["GranteePrincipal"]:  # the target's role creates it
                account, role = call.caller.account, call.params["GranteePrincipal"].partition(ROLE_PATH)[2]
                found = self._share(f"resource#role#{call.params['KeyId']}#{account}", role, OPENING)
            case "CreateGrant" if call.caller.function:
                found = self._granting(call)
            case "PutKeyPolicy" if call.caller.function:
                found = "; ".join(filter(None, self._putting(call)))
            case "ModifyImageAttribute" if call.caller.function:
                adding = "Add" in call.params["LaunchPermission"]
                (entries,) = call.params["LaunchPermission"].values()
                resource = f"resource#image#{call.params['ImageId']}"
                expected = OPENING if adding else CLOSING
                found = "; ".join(filter(None, (self._share(resource, one["UserId"], expected) for one in entries)))
            case "ModifySnapshotAttribute" if call.caller.function:
                added, removed = changed(call)
                expected = OPENING if added else CLOSING
                abroad = "" if call.region == REGION else f"@{call.region}"
                resource = f"resource#snapshot#{call.params['SnapshotId']}{abroad}"
                found = "; ".join(filter(None, (self._share(resource, a, expected) for a in added or removed)))
        if found:
            self._problems.append(f"{call.at:%H:%M:%S}: {found}")

    def _copying(self, call: Call) -> str:
        record, source = self._delivery(call), call.params["SourceSnapshotId"]
        read_from = record.get("hub_copy", {}).get("snapshots", {})
        intended = [
            c
            for c in record.get("copies", ())
            if (read_from.get(c["source"], c["source"]), c.get("state")) == (source, "intended")
        ]
        return "" if intended else f"{source} is copied without an intent on record (invariant 3)"

    def _registering(self, call: Call) -> str:
        intended = self._delivery(call).get("request", {}).get("intended_at")
        return "" if intended else "an AMI is registered without an intent on record (invariant 3)"

    def _granting(self, call: Call) -> str:
        """Grants to a target's role for a delivery, or to one of its service-linked roles."""
        key, grantee = call.params["KeyId"], call.params["GranteePrincipal"]
        where, _, role = grantee.partition("/aws-service-role/")
        place, holder = ("role", role) if role else ("key", call.params["Name"].split(":")[2])
        return self._share(f"resource#{place}#{key}#{where.split(':')[4]}", holder, OPENING)

    def _putting(self, call: Call) -> Iterator[str]:
        """The service's statements that are added or removed; a closed one may be removed whenever it shows."""
        key = call.params["KeyId"]
        world = self._scene.world
        text = world.client("kms", HUB, call.region).get_key_policy(KeyId=key, PolicyName="default")["Policy"]
        before, after = _ours(text), _ours(call.params["Policy"])
        for holder in sorted(after ^ before):
            yield self._share(f"resource#policy#{key}", holder, OPENING if holder in after else (*CLOSING, "refused"))

    def _share(self, resource: str, holder: str, expected: tuple[str, ...]) -> str:
        place = (resource, f"share#{holder}")
        share = next((item for item in self._scene.items() if (item["pk"], item["sk"]) == place), {})
        gone = any(
            item["pk"] == resource and item["sk"].startswith(f"closed#{holder}#") for item in self._scene.items()
        )
        state = share.get("state", "closed" if gone else "not on record")
        if state not in expected:
            return f"{resource}, {holder} is changed while its share is {state} (invariant 3)"
        held = holdings_in(self._scene.items()).get((resource, holder), ())
        if expected == OPENING and all(map(self._unchecked, held)):
            return f"{resource} opens to {holder} for nobody that has passed its checks (invariant 1)"
        return ""

    def _unchecked(self, holding: Holding) -> bool:
        record = self._scene.record(f"delivery#{holding.delivery}")
        return record["state"] in BEFORE_OPENING

    def _delivery(self, call: Call) -> dict[str, Any]:
        tags = [tag for spec in call.params.get("TagSpecifications", ()) for tag in spec["Tags"]]
        name = next((tag["Value"] for tag in tags if tag["Key"] == DELIVERY_TAG), "")
        record = self._scene.record(f"delivery#{name}")
        return self._scene.body(record) if "body" in record else {}

    def _after(self, call: Call) -> None:
        """At most one AMI for each delivery, at any time (invariant 4)."""
        if call.operation in ("RegisterImage", "CopyImage") and call.error is None:
            made = Counter(self._scene._tags(image)[DELIVERY_TAG] for image in self._scene._images())
            self._problems += [f"{count} AMIs for {name} (invariant 4)" for name, count in made.items() if count > 1]


def _ours(policy: str) -> set[str]:
    """Names of the shares whose statements are in a key's policy."""
    found = (STATEMENT.match(statement.get("Sid", "")) for statement in json.loads(policy)["Statement"])
    return {f"{one[1]}{AUDIENCES[one[2]]}" for one in found if one}
