"""Systems Manager's Parameter Store: standard parameters of type String, with versions and tags, no labels.

A value of data type ``aws:ec2:image`` is written only after its validation, some time after the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.parts import Base, EventBus, ImageUse
from awsim.rules import rule
from awsim.services.parameters import (
    IMAGE,
    KEPT,
    LARGEST,
    TEXT,
    ParameterVersion,
    Place,
    StoredParameter,
    arn_of,
    check_name,
    described,
    invalid,
    not_found,
    place,
    shown,
)

LATER = rule(
    "ssm-ami-value-is-validated-later",
    "PutParameter with data type aws:ec2:image answers with a version number before the value is validated, which can "
    "take minutes; until then the parameter stays as it was, or absent. [SSM user guide, "
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html, VERIFIED; that a "
    "parameter deleted meanwhile is made again, and that a failed write uses up no version: UNVERIFIED]",
)
USABLE = rule(
    "ssm-ami-value-must-be-available",
    "A value of data type aws:ec2:image is written only if it is an AMI that is available to the account in that "
    "Region. [aws-facts 8, VERIFIED; for AMIs that Allowed AMIs hides UNVERIFIED]",
)
DESCRIBES = rule(
    "ssm-ami-validation-needs-describe-images",
    "The validation needs the caller's ec2:DescribeImages; without it, PutParameter succeeds and writes nothing. "
    "[SSM user guide, parameter-store-ec2-aliases; boto/boto3#3588, aws/aws-sdk-java#2919, VERIFIED; that session "
    "policies count UNVERIFIED]",
)
ONE = rule(
    "ssm-one-ami-write-at-a-time",
    "While a value is validated, and for five minutes after the call if that failed, the parameter cannot be written. "
    "[SSM user guide, parameter-store-ec2-aliases, troubleshooting, VERIFIED; the code TooManyUpdates UNVERIFIED]",
)
EVENT = rule(
    "ssm-parameter-event",
    "A parameter's creation, change and deletion are events, Parameter Store Change; so is a failed validation, with "
    "an exception. [SSM user guide, parameter-store-ec2-aliases and "
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html, "
    "VERIFIED]",
)
STAYS = rule(
    "ssm-data-type-stays",
    "A parameter's data type cannot be changed to aws:ec2:image, or from it. [SSM user guide, "
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-data-types.html; "
    "hashicorp/terraform-provider-aws#35959, VERIFIED; the code, and that a call without DataType means text, "
    "UNVERIFIED]",
)
OVERWRITE = rule(
    "ssm-overwrite-must-be-asked-for",
    "PutParameter of a parameter that exists, without Overwrite, is refused. [SSM API reference, PutParameter]",
)
NO_TAGS = rule(
    "ssm-no-tags-with-overwrite",
    "Tags together with Overwrite are refused, whether the parameter exists or not. [getmoto/moto#4283, "
    "hashicorp/terraform-provider-aws#18550, VERIFIED]",
)
OLDEST = rule(
    "ssm-a-hundred-versions",
    "A parameter keeps its newest 100 versions. [SSM API reference, ParameterMaxVersionLimitExceeded]",
)
NAMES = rule(
    "ssm-parameter-name",
    "A name has letters, digits and .-_ in at most 15 levels, begins with a slash if it has levels, not with aws or "
    "ssm, and its ARN has at most 1011 characters. [SSM API reference, PutParameter]",
)
SIZE = rule(
    "ssm-value-of-4-kb",
    "A standard parameter's value has at most 4 KB, and is not empty. [SSM API reference, PutParameter]",
)
STALE = rule(
    "ssm-reads-may-be-stale",
    "Parameter Store's reads are eventually consistent: one may show what was a moment ago. [aws/aws-cdk-cli#830, "
    "UNVERIFIED: no page promises either]",
)
TEN = rule("ssm-ten-names-a-call", "GetParameters takes ten names at most. [SSM API reference, GetParameters]")

WAIT = 300
"""Seconds after a failed write of an AMI's id until the parameter can be written again."""
PAGE, SMALL_PAGE = 50, 10
"""Parameters on a page of DescribeParameters, and of GetParametersByPath."""
FAILED = "Unable to Describe Resource"

Handler = Callable[[Call], Mapping[str, Any]]


class Ssm:
    """All parameters of a world. ``validation`` is how many seconds the validation of an AMI's id takes."""

    name = "ssm"
    exclusive = True

    def __init__(self, base: Base, events: EventBus, images: ImageUse) -> None:
        self.validation: float = 5
        self._base = base
        self._events = events
        self._images = images
        self._parameters: dict[Place, StoredParameter] = {}
        self._blocked: dict[Place, datetime] = {}
        """Until when a parameter cannot be written."""
        taken: dict[str, tuple[Handler, str]] = {
            "PutParameter": (self._put_parameter, "Name Value Type DataType Description Overwrite Tags Tier"),
            "GetParameter": (self._get_parameter, "Name WithDecryption"),
            "GetParameters": (self._get_parameters, "Names WithDecryption"),
            "GetParametersByPath": (self._by_path, "Path Recursive WithDecryption MaxResults NextToken"),
            "DescribeParameters": (self._describe_parameters, "MaxResults NextToken"),
            "DeleteParameter": (self._delete_parameter, "Name"),
            "AddTagsToResource": (self._add_tags, "ResourceType ResourceId Tags"),
            "RemoveTagsFromResource": (self._remove_tags, "ResourceType ResourceId TagKeys"),
            "ListTagsForResource": (self._list_tags, "ResourceType ResourceId"),
        }
        self._operations = {name: _taking(names, handler) for name, (handler, names) in taken.items()}

    def operations(self) -> Mapping[str, Handler]:
        """The operations that it answers."""
        return self._operations

    # --- writing ---

    def _put_parameter(self, call: Call) -> Mapping[str, Any]:
        where = place(call, call.params["Name"])
        data_type = self._check(call, where)
        now = self._base.now
        if self._blocked.get(where, now) > now and self._base.on(ONE):
            raise AwsError("TooManyUpdates", f"The last value of {where[2]} is still being validated.")
        current = self._current(where)
        if current is None and not call.params.get("Type"):
            raise invalid("A parameter type is required when you create a parameter.")
        if current and not call.params.get("Overwrite") and self._base.on(OVERWRITE):
            why = "The parameter already exists. To overwrite this value, set the overwrite option in the request to"
            raise AwsError("ParameterAlreadyExists", f"{why} true.")
        if current and current.data_type != data_type and self._base.on(STAYS):
            raise invalid(f"The data type of {where[2]} cannot be changed from {current.data_type} to {data_type}.")
        number = current.number + 1 if current else 1
        if data_type == IMAGE and self._base.on(LATER):
            self._blocked[where] = now + timedelta(seconds=max(WAIT, self.validation + 1))
            self._base.clock.after(self.validation, lambda: self._validate(call, where), f"validation of {where[2]}")
        elif data_type == IMAGE:
            self._validate(call, where)
        else:
            self._write(call, where, data_type)
        return {"Version": number, "Tier": "Standard"}

    def _check(self, call: Call, where: Place) -> str:
        """Refuse what is wrong whether the parameter exists or not; return the data type."""
        value, data_type = call.params["Value"], call.params.get("DataType", TEXT)
        if call.params.get("Tags") and call.params.get("Overwrite") and self._base.on(NO_TAGS):
            why = "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            why += "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            raise invalid(why + "RemoveTagsFromResource.")
        if self._base.on(NAMES):
            check_name(where)
        if not 0 < len(value.encode()) <= LARGEST and self._base.on(SIZE):
            raise invalid(f"Standard tier parameters support a maximum parameter value of {LARGEST} characters.")
        for name, played in (("Type", ("String",)), ("DataType", (TEXT, IMAGE)), ("Tier", ("Standard",))):
            if call.params.get(name, played[0]) not in played:
                why = f"the simulator does not play {name} {call.params[name]} of a parameter"
                raise AwsError("UnsupportedParameterType", why)
        return str(data_type)

    def _validate(self, call: Call, where: Place) -> None:
        """Write a value that is an AMI's id, if the account can use that AMI; else say that it failed."""
        caller, value = call.caller, call.params["Value"]
        asked = self._base.policies.decide(caller, "ec2:DescribeImages", "*", region=call.region)
        may = asked.allowed or not self._base.on(DESCRIBES)
        if may and (self._images.usable(caller.account, call.region, value) or not self._base.on(USABLE)):
            self._blocked.pop(where, None)
            self._write(call, where, IMAGE)
        else:
            operation = "Update" if self._current(where) else "Create"
            self._tell(where, operation, {"exception": FAILED, "dataType": IMAGE})

    def _write(self, call: Call, where: Place, data_type: str) -> None:
        parameter = self._parameters.setdefault(where, StoredParameter())
        current, now = self._current(where), self._base.now
        description = call.params.get("Description", current.description if current else "")
        number = current.number + 1 if current else 1
        parameter.put(
            ParameterVersion(where[2], call.params["Value"], number, data_type, description, now, call.caller.arn),
            kept=KEPT if self._base.on(OLDEST) else None,
        )
        parameter.tags.update(_tags(call))
        self._tell(where, "Update" if current else "Create", {"description": description} if description else {})

    def _delete_parameter(self, call: Call) -> Mapping[str, Any]:
        where = place(call, call.params["Name"])
        if self._current(where) is None:
            raise not_found()
        self._parameters[where].drop(self._base.now)
        self._tell(where, "Delete", {})
        return {}

    def _tell(self, where: Place, operation: str, more: Mapping[str, str]) -> None:
        """Send an event to the account's default bus."""
        if self._base.on(EVENT):
            account, region, name = where
            detail = {**more, "name": name, "type": "String", "operation": operation}
            self._events.emit(account, region, "aws.ssm", "Parameter Store Change", [arn_of(where)], detail)

    # --- reading ---

    def _current(self, where: Place) -> ParameterVersion | None:
        known = self._parameters.get(where)
        return known.current(self._base.now) if known else None

    def _moment(self, call: Call) -> datetime:
        """Return the time whose state a read shows. Call it once a call: an injection may be for one only."""
        as_of = self._base.injected.as_of(call)
        return as_of if self._base.on(STALE) else self._base.now

    def _found(self, call: Call, asked: str, at: datetime) -> Mapping[str, Any]:
        """Return what a name, or NAME:VERSION, means. Raises AwsError."""
        name, _, selector = asked.partition(":")
        if asked.startswith("arn:"):
            raise AwsError("NotImplemented", "the simulator finds parameters by name only", 501)
        where = place(call, name)
        versions = self._parameters[where].versions(at) if where in self._parameters else ()
        if not versions:
            raise not_found()
        version = _selected(versions, selector)
        if version is None:
            why = f"Systems Manager could not find version {selector} of {name}. Verify the version and try again."
            raise AwsError("ParameterVersionNotFound", why)
        return shown(where, version, selector)

    def value_of(self, account: str, region: str, name: str) -> tuple[str, str] | None:
        """Return the value and the data type that NAME or NAME:VERSION has now; None if there is none."""
        plain, _, selector = name.partition(":")
        known = self._parameters.get((account, region, plain))
        version = _selected(known.versions(self._base.now), selector) if known else None
        return (version.value, version.data_type) if version else None

    def images_in(self, account: str, region: str) -> list[tuple[str, str]]:
        """Return ARN and value of each parameter of data type aws:ec2:image."""
        places = [where for where in sorted(self._parameters) if where[:2] == (account, region)]
        found = [(where, self._current(where)) for where in places]
        return [(arn_of(where), one.value) for where, one in found if one and one.data_type == IMAGE]

    def _get_parameter(self, call: Call) -> Mapping[str, Any]:
        return {"Parameter": self._found(call, call.params["Name"], self._moment(call))}

    def _get_parameters(self, call: Call) -> Mapping[str, Any]:
        at, names = self._moment(call), call.params["Names"]
        if len(names) > SMALL_PAGE and self._base.on(TEN):
            raise invalid(f"Member must have length less than or equal to {SMALL_PAGE}: names")
        found: list[Mapping[str, Any]] = []
        unknown = []
        for name in names:
            try:
                found.append(self._found(call, name, at))
            except AwsError as refused:
                if refused.code == "NotImplemented":
                    raise
                unknown.append(name)
        return {"Parameters": found, "InvalidParameters": unknown}

    def _all(self, call: Call) -> Iterator[tuple[Place, ParameterVersion]]:
        """Yield the current versions of an account's parameters in a Region, by name."""
        at = self._moment(call)
        for where in sorted(self._parameters):
            version = self._parameters[where].current(at)
            if where[:2] == (call.caller.account, call.region) and version:
                yield where, version

    def _describe_parameters(self, call: Call) -> Mapping[str, Any]:
        return _page(call, [described(where, version) for where, version in self._all(call)], PAGE)

    def _by_path(self, call: Call) -> Mapping[str, Any]:
        path = call.params["Path"].rstrip("/") + "/"
        below = [(where, version) for where, version in self._all(call) if version.name.startswith(path)]
        if not call.params.get("Recursive"):
            below = [(where, version) for where, version in below if "/" not in version.name.removeprefix(path)]
        return _page(call, [shown(where, version) for where, version in below], SMALL_PAGE)

    # --- tags ---

    def _tagged(self, call: Call) -> dict[str, str]:
        """Return the tags of the parameter that a call names."""
        if call.params["ResourceType"] != "Parameter":
            raise AwsError("InvalidResourceType", "The simulator tags parameters only.")
        where = place(call, call.params["ResourceId"])
        if self._current(where) is None:
            raise AwsError("InvalidResourceId", f"The resource ID {where[2]} is not valid.")
        return self._parameters[where].tags

    def _add_tags(self, call: Call) -> Mapping[str, Any]:
        self._tagged(call).update(_tags(call))
        return {}

    def _remove_tags(self, call: Call) -> Mapping[str, Any]:
        tags = self._tagged(call)
        for key in call.params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, call: Call) -> Mapping[str, Any]:
        return {"TagList": [{"Key": key, "Value": value} for key, value in self._tagged(call).items()]}


def _selected(versions: Sequence[ParameterVersion], selector: str) -> ParameterVersion | None:
    """Return the version of a number, or the newest for ""; None if there is none."""
    return next((one for one in reversed(versions) if selector in ("", str(one.number))), None)


def _tags(call: Call) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or ()}


def _page(call: Call, found: Sequence[Mapping[str, Any]], most: int) -> Mapping[str, Any]:
    """Return one page; its token is where the next begins."""
    size = min(call.params.get("MaxResults", most), most)
    start = int(call.params.get("NextToken", 0))
    more = {"NextToken": str(start + size)} if len(found) > start + size else {}
    return {"Parameters": list(found[start : start + size]), **more}


def _taking(names: str, handler: Handler) -> Handler:
    """Return the handler, with a refusal of parameters that are not modelled."""
    known = set(names.split())

    def checked(call: Call) -> Mapping[str, Any]:
        unknown = sorted(name for name, value in call.params.items() if name not in known and value is not None)
        if unknown:
            what = f"the simulator does not play {', '.join(unknown)} of {call.operation}"
            raise AwsError("NotImplemented", what, 501)
        return handler(call)

    return checked
