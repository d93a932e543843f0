"""Parameter Store: what it answers, tags, pages, rights, and injections."""

from typing import Any

import pytest

from awsim.world import World
from iam_words import DEV, HERE, OPS, allow, allowed, document, put_role, session
from platform_words import a_function, refused, run, wait

NAME = "/images/base/current"
ARN = f"arn:aws:ssm:{HERE}:{OPS}:parameter/images/base/current"


def _ssm(world: World, account: str = OPS, region: str = HERE) -> Any:
    return world.client("ssm", account, region)


def _write(world: World, *names: str) -> None:
    for name in names:
        _ssm(world).put_parameter(Name=name, Value=f"value of {name}", Type="String")


def test_a_parameter_is_shown_with_all_that_aws_shows(world: World) -> None:
    """Name, type, value, version, time, ARN and data type; a version by its number, with the selector."""
    _write(world, NAME)
    written = world.now
    wait(world, 60)
    _ssm(world).put_parameter(Name=NAME, Value="newer", Overwrite=True)
    first = _ssm(world).get_parameter(Name=f"{NAME}:1")["Parameter"]
    newest = _ssm(world).get_parameter(Name=NAME)["Parameter"]

    assert abs((first.pop("LastModifiedDate") - written).total_seconds()) < 1
    same = {"Name": NAME, "Type": "String", "ARN": ARN, "DataType": "text"}
    assert first == {**same, "Value": f"value of {NAME}", "Version": 1, "Selector": ":1"}
    assert (newest["Value"], newest["Version"]) == ("newer", 2)


def test_unknown_names_are_answered_apart(world: World) -> None:
    """By GetParameters in a list of its own, else by the refusal; a version that was never written has another code."""
    _write(world, "x")
    found = _ssm(world).get_parameters(Names=["x", "y", "x:9"])

    assert [one["Name"] for one in found["Parameters"]] == ["x"]
    assert found["InvalidParameters"] == ["y", "x:9"]
    refused("ParameterNotFound", _ssm(world).get_parameter, Name="y")
    refused("ParameterNotFound", _ssm(world).delete_parameter, Name="y")
    refused("ParameterVersionNotFound", _ssm(world).get_parameter, Name="x:9")


def test_accounts_and_regions_have_parameters_of_their_own(world: World) -> None:
    """And a parameter that was deleted begins again with version 1, without its tags."""
    tags = [{"Key": "by", "Value": "ops"}]
    _ssm(world).put_parameter(Name="x", Value="1", Type="String", Tags=tags)
    for other in (_ssm(world, DEV), _ssm(world, OPS, "us-west-2")):
        refused("ParameterNotFound", other.get_parameter, Name="x")
    _ssm(world).delete_parameter(Name="x")

    refused("ParameterNotFound", _ssm(world).get_parameter, Name="x")
    assert _ssm(world).put_parameter(Name="x", Value="1", Type="String")["Version"] == 1
    assert _ssm(world).list_tags_for_resource(ResourceType="Parameter", ResourceId="x")["TagList"] == []


def test_tags_are_added_changed_and_removed(world: World) -> None:
    """By their keys; a parameter that does not exist has none."""
    _write(world, "x")
    ssm, of_x = _ssm(world), {"ResourceType": "Parameter", "ResourceId": "x"}
    ssm.add_tags_to_resource(**of_x, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}])
    ssm.add_tags_to_resource(**of_x, Tags=[{"Key": "a", "Value": "2"}])
    ssm.remove_tags_from_resource(**of_x, TagKeys=["b", "c"])

    assert ssm.list_tags_for_resource(**of_x)["TagList"] == [{"Key": "a", "Value": "2"}]
    refused("InvalidResourceId", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="y")
    refused("InvalidResourceType", ssm.list_tags_for_resource, ResourceType="Document", ResourceId="x")


def test_parameters_are_listed_in_pages(world: World) -> None:
    """All of an account and Region, or those below a path, in one level or in all."""
    names = [f"/a/{number:02}" for number in range(12)]
    _write(world, "/a/b/deep", "flat", *names)
    ssm = _ssm(world)
    pages = ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 5})
    below = [list(page["Parameters"]) for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/a")]

    assert [one["Name"] for page in pages for one in page["Parameters"]] == [*names, "/a/b/deep", "flat"]
    assert [len(page) for page in below] == [10, 2]
    assert [one["Name"] for one in ssm.get_parameters_by_path(Path="/a/", Recursive=True, MaxResults=10)["Parameters"]]
    assert ssm.get_parameters_by_path(Path="/a/b")["Parameters"][0]["Value"] == "value of /a/b/deep"


def test_a_session_may_be_limited_to_one_parameter(world: World) -> None:
    """The session policy's one ARN, in the caller's account and Region; Overwrite is a condition key."""
    role = put_role(world, "worker", allow("ssm:*"))
    first_only = {"StringEquals": {"ssm:Overwrite": "false"}}
    policy = document(allow("ssm:PutParameter", ARN, Condition=first_only), allow("ssm:GetParameter", ARN))
    ssm = session(world, "ssm", role, [policy])

    allowed(ssm.put_parameter, Name=NAME, Value="1", Type="String")
    allowed(ssm.get_parameter, Name=f"{NAME}:1")
    refused("AccessDeniedException", ssm.put_parameter, Name=NAME, Value="2", Overwrite=True)
    refused("AccessDeniedException", ssm.put_parameter, Name="/images/other", Value="1", Type="String")
    refused("AccessDeniedException", ssm.get_parameters, Names=[NAME])


def test_calls_are_throttled_refused_and_lose_their_answer(world: World) -> None:
    """A killed invocation's write has taken effect; refused ones have not."""
    _write(world, NAME)
    world.injections.throttle("PutParameter")
    refused("ThrottlingException", _ssm(world).put_parameter, Name=NAME, Value="2", Overwrite=True)
    world.injections.outage("ssm", 60)
    refused("ServiceUnavailable", _ssm(world).get_parameter, Name=NAME)
    world.injections.calm()
    crash = world.injections.crash("probe", "PutParameter", when="after")
    write = ["call", "ssm", "put_parameter", {"Name": NAME, "Value": "3", "Overwrite": True}]

    assert run(world, a_function(world), write).outcome == "crashed"
    assert crash.happened
    assert _ssm(world).get_parameter(Name=NAME)["Parameter"]["Value"] == "3"


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("UnsupportedParameterType", {"Type": "SecureString"}),
        ("UnsupportedParameterType", {"Type": "String", "DataType": "aws:region"}),
        ("UnsupportedParameterType", {"Type": "String", "Tier": "Advanced"}),
        ("NotImplemented", {"Type": "String", "AllowedPattern": "x"}),
        ("ValidationException", {}),
    ],
)
def test_what_is_not_played_is_refused(world: World, code: str, more: dict[str, str]) -> None:
    """Instead of ignored; and a new parameter needs a type."""
    refused(code, _ssm(world).put_parameter, Name="x", Value="1", **more)


def test_other_operations_and_names_by_arn_are_refused(world: World) -> None:
    """No call for Parameter Store goes to moto."""
    refused("NotImplemented", _ssm(world).get_parameter, Name=ARN)
    refused("NotImplemented", _ssm(world).get_parameters, Names=[ARN])
    refused("NotImplemented", _ssm(world).get_parameter_history, Name="x")
