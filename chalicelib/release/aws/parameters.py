"""Parameter Store in a target, by the copy role, in a session that can reach one parameter."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.engine.aws.refusals import gone
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal
from chalicelib.engine.places import Arn
from chalicelib.images import register
from chalicelib.images.aws.shapes import by_id, tag_list
from chalicelib.release.aws.session_policy import policy, retirement_policy
from chalicelib.release.pointer import IMAGE_TYPE, Pointer, SeenParameter, ShownParameter
from chalicelib.targets.applied_file import Target

NOT_THERE = "ParameterNotFound"
EXISTS = "ParameterAlreadyExists"
TEXT = "text"
"""The data type of an ordinary parameter."""


class AwsParameters:
    """The port ``Parameters``."""

    def __init__(self, sessions: Sessions, partition: str) -> None:
        self._sessions = sessions
        self._partition = partition

    def look(self, target: Target, pointer: Pointer, images: Collection[str]) -> SeenParameter:
        with self._sessions.as_refusal("GetParameter", pointer.where):
            shown = _shown(self._client("ssm", target, pointer), pointer)
        wanted = {*images, *([shown.value] if shown and shown.data_type == IMAGE_TYPE else [])}
        if not wanted:
            return SeenParameter(shown, frozenset())
        with self._sessions.as_refusal("DescribeImages", pointer.where):
            asked = {
                "Owners": ["self", pointer.hub],
                "Filters": [{"Name": "state", "Values": ["available"]}],
                "IncludeDeprecated": True,  # a deprecated AMI can be launched by its id
            }
            found = by_id(self._client("ec2", target, pointer), "images", wanted, **asked)
        dates = {raw["ImageId"]: raw["DeprecationTime"] for raw in found if raw.get("DeprecationTime")}
        return SeenParameter(shown, frozenset(raw["ImageId"] for raw in found), dates)

    def change(self, target: Target, pointer: Pointer) -> bool:
        """Tag, then write, as one call cannot do both: if tags are refused, they and the value stay as they were."""
        intent = pointer.intent
        if intent is None:
            return False
        ssm = self._client("ssm", target, pointer)
        with self._sessions.as_refusal("GetParameter", pointer.where):
            shown = _shown(ssm, pointer)
        value = "" if shown is None else shown.value
        if value not in (intent.over, intent.image):
            return False
        if value == intent.image:
            return True  # by a call whose answer was lost
        if not intent.image:
            with self._sessions.as_refusal("DeleteParameter", pointer.where), gone(NOT_THERE):
                ssm.delete_parameter(Name=pointer.parameter)
            return True
        named = {"Name": pointer.parameter, "Value": intent.image, "Type": "String", "DataType": IMAGE_TYPE}
        tags = tag_list({register.HUB_TAG: pointer.hub, register.SOURCE_IMAGE_TAG: intent.source})
        if shown is not None:
            try:
                with self._sessions.as_refusal("AddTagsToResource", pointer.where):
                    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=pointer.parameter, Tags=tags)
            except Refusal as refusal:  # whatever became of the tags, the value was not asked for
                raise Refusal(refusal.kind, refusal.fault) from refusal
        with self._sessions.as_refusal("PutParameter", pointer.where):
            try:
                if shown is None:
                    ssm.put_parameter(**named, Tags=tags)
                else:
                    ssm.put_parameter(**named, Overwrite=True)
            except ClientError as error:
                if error.response["Error"]["Code"] != EXISTS:
                    raise  # otherwise it shows late, or somebody has made it since: reading it back tells which
        return True

    def deprecate(self, target: Target, pointer: Pointer, image: str, at: str) -> None:
        with self._sessions.as_refusal("EnableImageDeprecation", f"{pointer.where}, {image}"):
            self._retires(target, pointer, image).enable_image_deprecation(ImageId=image, DeprecateAt=at)

    def end_retirement(self, target: Target, pointer: Pointer, image: str, date: str) -> None:
        if date:
            self.deprecate(target, pointer, image, date)
            return
        with self._sessions.as_refusal("DisableImageDeprecation", f"{pointer.where}, {image}"):
            self._retires(target, pointer, image).disable_image_deprecation(ImageId=image)

    def _retires(self, target: Target, pointer: Pointer, image: str) -> Any:
        allowed = retirement_policy(str(Arn(self._partition, "ec2", target.region, "", f"image/{image}")))
        return self._client("ec2", target, pointer, allowed)

    def _client(self, service: str, target: Target, pointer: Pointer, allowed: str = "") -> Any:
        arn = str(Arn(self._partition, "ssm", target.region, target.account, "parameter"))
        return self._sessions.assumed(
            service,
            target.region,
            str(Arn(self._partition, "iam", "", target.account, f"role/{target.role_name}")),
            target.external_id,
            f"ami-promoter-{pointer.key.name}",
            allowed or policy(arn, pointer.parameter),
        )


def _shown(ssm: Any, pointer: Pointer) -> ShownParameter | None:
    with gone(NOT_THERE):
        found = ssm.get_parameter(Name=pointer.parameter)["Parameter"]
        return ShownParameter(found["Value"], found.get("DataType", TEXT))
    return None
