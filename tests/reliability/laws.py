"""Laws beyond those that every scenario watches: the intent on record before each call, nothing opened unchecked."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sandbox.api import Call
from tests.scenarios.scene import DELIVERY_TAG, Scene

ROLE_PATH = ":role/aws-service-role/"
BEFORE_OPENING = ("requested", "checking", "waiting")
OPENING, CLOSING = ("opening", "open"), ("closing", "closed")


class Vigil:
    """Looks at each call that opens, closes, copies or registers, just before it takes effect."""

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
            case "CreateGrant" if ROLE_PATH in call.params["GranteePrincipal"]:  # made under the target's role
                account, role = call.caller.account, call.params["GranteePrincipal"].partition(ROLE_PATH)[2]
                found = self._share(f"resource#role#{call.params['KeyId']}#{account}", role, OPENING)
            case "CreateGrant" if call.caller.function:
                resource = f"resource#key#{call.params['KeyId']}#{call.params['GranteePrincipal'].split(':')[4]}"
                found = self._share(resource, call.params["Name"].split("-")[-2], OPENING)
            case "ModifyImageAttribute" if call.caller.function:
                adding = "Add" in call.params["LaunchPermission"]
                (entries,) = call.params["LaunchPermission"].values()
                resource = f"resource#image#{call.params['ImageId']}"
                expected = OPENING if adding else CLOSING
                found = "; ".join(filter(None, (self._share(resource, one["UserId"], expected) for one in entries)))
            case "ModifySnapshotAttribute" if call.caller.function:
                expected = OPENING if call.params["OperationType"] == "add" else CLOSING
                resource = f"resource#snapshot#{call.params['SnapshotId']}"
                found = "; ".join(filter(None, (self._share(resource, a, expected) for a in call.params["UserIds"])))
        if found:
            self._problems.append(f"{call.at:%H:%M:%S}: {found}")

    def _copying(self, call: Call) -> str:
        record, source = self._delivery(call), call.params["SourceSnapshotId"]
        intended = [c for c in record.get("copies", ()) if (c["source"], c["state"]) == (source, "intended")]
        return "" if intended else f"{source} is copied without an intent on record (law 3)"

    def _registering(self, call: Call) -> str:
        intended = self._delivery(call).get("register_intended_at")
        return "" if intended else "an AMI is registered without an intent on record (law 3)"

    def _share(self, resource: str, holder: str, expected: tuple[str, ...]) -> str:
        place = (resource, f"share#{holder}")
        share = next((item for item in self._scene.items() if (item["pk"], item["sk"]) == place), {})
        state = share.get("state", "not on record")
        if state not in expected:
            return f"{resource}, {holder} is changed while its share is {state} (law 3)"
        if expected == OPENING and all(self._unchecked(one) for one in share.get("holders", ())):
            return f"{resource} opens to {holder} for nobody that has passed its checks (law 1)"
        return ""

    def _unchecked(self, holder: str) -> bool:
        record = self._scene.record(f"delivery#{holder.partition(':')[0]}")
        return record["state"] in BEFORE_OPENING

    def _delivery(self, call: Call) -> dict[str, Any]:
        tags = [tag for spec in call.params.get("TagSpecifications", ()) for tag in spec["Tags"]]
        name = next((tag["Value"] for tag in tags if tag["Key"] == DELIVERY_TAG), "")
        record = self._scene.record(f"delivery#{name}")
        return self._scene.body(record) if "body" in record else {}

    def _after(self, call: Call) -> None:
        """At most one AMI for each delivery, at every moment (law 4)."""
        if call.operation in ("RegisterImage", "CopyImage") and call.error is None:
            made = Counter(self._scene._tags(image)[DELIVERY_TAG] for image in self._scene._images())
            self._problems += [f"{count} AMIs for {name} (law 4)" for name, count in made.items() if count > 1]
