"""EC2's refusals, in its own codes; texts as seen on AWS where a public report quotes them."""

from __future__ import annotations

import re

from awsim.api import AwsError

KINDS = {"snap": "snapshot", "ami": "image", "vol": "volume", "i": "instance"}
ACCOUNT = re.compile(r"\d{12}")
_ID = re.compile(r"(snap|ami|vol|i)-([0-9a-f]{8}|[0-9a-f]{17})")
_CODES = {"snap": "InvalidSnapshot", "ami": "InvalidAMIID", "vol": "InvalidVolume", "i": "InvalidInstanceID"}
_MALFORMED = {
    "snap": "InvalidSnapshotID.Malformed",
    "ami": "InvalidAMIID.Malformed",
    "i": "InvalidInstanceID.Malformed",
}


def not_found(resource_id: str) -> AwsError:
    """Say that there is no such resource, or none that the caller may know of."""
    prefix = resource_id.split("-", maxsplit=1)[0]
    if prefix == "ami":
        return AwsError("InvalidAMIID.NotFound", f"The image id '[{resource_id}]' does not exist")
    kind = KINDS.get(prefix, "ID")
    return AwsError(f"{_CODES.get(prefix, 'InvalidID')}.NotFound", f"The {kind} '{resource_id}' does not exist.")


def check_id(resource_id: str, prefix: str) -> None:
    """Refuse what does not look like an id of this kind."""
    found = _ID.fullmatch(resource_id)
    if found is None or found[1] != prefix:
        code = _MALFORMED.get(prefix, "InvalidParameterValue")
        raise AwsError(code, f'Invalid id: "{resource_id}" (expecting "{prefix}-...")')


def kind_of(resource_id: str) -> str:
    """Return snapshot, image, volume or instance; refuses an id of any other kind."""
    found = _ID.fullmatch(resource_id)
    if found is None:
        raise AwsError("InvalidID", f"The ID '{resource_id}' is not valid")
    return KINDS[found[1]]


def wrong_value(name: str, value: object, why: str = "") -> AwsError:
    """Say that a parameter has a value that EC2 does not take."""
    return AwsError("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid. {why}".rstrip())


def wrong_combination(message: str) -> AwsError:
    """Say that two parameters do not go together."""
    return AwsError("InvalidParameterCombination", message)


def missing(name: str) -> AwsError:
    """Say that a parameter is missing."""
    return AwsError("MissingParameter", f"The request must contain the parameter {name}")


def not_authorized(kind: str, resource_id: str) -> AwsError:
    """Say that only the owner may do this."""
    return AwsError("AuthFailure", f"Not authorized for {kind}:{resource_id}")
