"""EC2's refusals with its own codes; the texts are AWS's where a public report quotes them."""

from __future__ import annotations

import re

from awsim.api import AwsError

KINDS = {
    "snap": "snapshot",
    "ami": "image",
    "vol": "volume",
    "i": "instance",
    "lt": "launch-template",
    "subnet": "subnet",
    "sg": "security-group",
    "eni": "network-interface",
}
ACCOUNT = re.compile(r"\d{12}")
_ID = re.compile(rf"({'|'.join(KINDS)})-([0-9a-f]{{8}}|[0-9a-f]{{17}})")
_CODES = {
    "snap": "InvalidSnapshot",
    "ami": "InvalidAMIID",
    "vol": "InvalidVolume",
    "i": "InvalidInstanceID",
    "lt": "InvalidLaunchTemplateId",
    "subnet": "InvalidSubnetID",
    "sg": "InvalidGroup",
    "eni": "InvalidNetworkInterfaceID",
}
_MALFORMED = {
    "ami": "InvalidAMIID.Malformed",
    "i": "InvalidInstanceID.Malformed",
    "lt": "InvalidLaunchTemplateId.Malformed",
    "sg": "InvalidGroupId.Malformed",
}


def not_found(resource_id: str) -> AwsError:
    """Return the refusal of a resource that is missing, or that the caller may not see."""
    prefix = resource_id.split("-", maxsplit=1)[0]
    if prefix == "ami":
        return AwsError("InvalidAMIID.NotFound", f"The image id '[{resource_id}]' does not exist")
    kind = KINDS.get(prefix, "ID")
    return AwsError(f"{_CODES.get(prefix, 'InvalidID')}.NotFound", f"The {kind} '{resource_id}' does not exist.")


def no_longer_available(image: str) -> AwsError:
    """Return the refusal of an AMI that its owner has deregistered [aws-facts 5, VERIFIED for DeregisterImage]."""
    return AwsError("InvalidAMIID.Unavailable", f"The image ID '{image}' is no longer available")


def check_id(resource_id: str, prefix: str) -> None:
    """Refuse a text that is not an id of this kind."""
    found = _ID.fullmatch(resource_id)
    if found is None or found[1] != prefix:
        if prefix == "snap":
            raise wrong_value("snapshotId", resource_id, "Expected: 'snap-...'.")
        code = _MALFORMED.get(prefix, "InvalidParameterValue")
        raise AwsError(code, f'Invalid id: "{resource_id}" (expecting "{prefix}-...")')


def kind_of(resource_id: str) -> str:
    """Return the kind of resource that an id is of, as in its ARN; refuse an id of a kind that is not known."""
    found = _ID.fullmatch(resource_id)
    if found is None:
        raise AwsError("InvalidID", f"The ID '{resource_id}' is not valid")
    return KINDS[found[1]]


def wrong_value(name: str, value: object, why: str = "") -> AwsError:
    """Return the refusal of a parameter's value."""
    return AwsError("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid. {why}".rstrip())


def wrong_combination(message: str) -> AwsError:
    """Return the refusal of two parameters that exclude each other."""
    return AwsError("InvalidParameterCombination", message)


def missing(name: str) -> AwsError:
    """Return the refusal of a call that lacks a parameter."""
    return AwsError("MissingParameter", f"The request must contain the parameter {name}")


def not_authorized(kind: str, resource_id: str) -> AwsError:
    """Return the refusal of what only the owner may do."""
    return AwsError("AuthFailure", f"Not authorized for {kind}:{resource_id}")
