"""Checks of Parameter Store: AMI ids that are validated later, data types, versions, names, rights."""

from typing import Any

from awsim.world import World
from ec2_words import DEV, HERE, OPS, WEST, an_image, ec2, reported
from iam_words import allow, allowed, as_role, document, put_role, session
from platform_words import refused, wait

NAME = "/images/al2023-base/current"
ARN = f"arn:aws:ssm:{HERE}:{OPS}:parameter/images/al2023-base/current"
NONE = "ami-00000000000000000"


def _ssm(world: World, account: str = OPS, region: str = HERE) -> Any:
    return world.client("ssm", account, region)


def _put(client: Any, value: str, **more: Any) -> int:
    """Write the parameter with an AMI's id, as a creation unless Overwrite is given."""
    asked = {"Name": NAME, "Type": "String", "DataType": "aws:ec2:image", **more}
    return int(client.put_parameter(Value=value, **asked)["Version"])


def _value(client: Any) -> tuple[int, str] | None:
    """Return version and value of the parameter; None if it does not exist."""
    found = client.get_parameters(Names=[NAME])["Parameters"]
    return (found[0]["Version"], found[0]["Value"]) if found else None


def ssm_ami_value_is_validated_later(world: World) -> None:
    first, second = an_image(world, "first"), an_image(world, "second")
    ssm = _ssm(world)

    assert _put(ssm, first) == 1
    assert _value(ssm) is None
    wait(world, 10)
    assert _value(ssm) == (1, first)
    world.ssm.validation = 200
    assert _put(ssm, second, Overwrite=True) == 2
    wait(world, 190)
    assert _value(ssm) == (1, first)
    wait(world, 15)
    assert _value(ssm) == (2, second)
    _put(ssm, first, Overwrite=True)
    ssm.delete_parameter(Name=NAME)
    wait(world, 210)
    assert _value(ssm) == (1, first)


def ssm_ami_value_must_be_available(world: World) -> None:
    private, shared = an_image(world, "private"), an_image(world, "shared")
    away = world.ec2.seed_image(DEV, WEST, name="away")
    ec2(world).modify_image_attribute(ImageId=shared, LaunchPermission={"Add": [{"UserId": DEV}]})
    ssm = _ssm(world, DEV)

    _put(ssm, shared)
    wait(world, 10)
    assert _value(ssm) == (1, shared)
    for value in (private, away, NONE, "no id"):
        assert _put(ssm, value, Overwrite=True) == 2
        wait(world, 400)
        assert _value(ssm) == (1, shared)
    ec2(world).disable_image(ImageId=private)
    _put(_ssm(world), private)
    wait(world, 400)
    assert _value(_ssm(world)) is None


def ssm_ami_validation_needs_describe_images(world: World) -> None:
    image = an_image(world)
    role = put_role(world, "worker", allow(["ssm:*", "ec2:DescribeImages"]))
    narrow = session(world, "ssm", role, [document(allow("ssm:*", ARN))])

    assert _put(narrow, image) == 1
    wait(world, 400)
    assert _value(narrow) is None
    _put(session(world, "ssm", role), image)
    wait(world, 10)
    assert _value(narrow) == (1, image)


def ssm_one_ami_write_at_a_time(world: World) -> None:
    image = an_image(world)
    ssm = _ssm(world)

    _put(ssm, image)
    refused("TooManyUpdates", _put, ssm, image, Overwrite=True)
    wait(world, 10)
    _put(ssm, NONE, Overwrite=True)
    wait(world, 280)
    refused("TooManyUpdates", _put, ssm, image, Overwrite=True)
    wait(world, 30)
    assert _put(ssm, image, Overwrite=True) == 2


def ssm_parameter_event(world: World) -> None:
    image = an_image(world)
    ssm = _ssm(world)
    _put(ssm, image, Description="ours")
    wait(world, 10)
    _put(ssm, NONE, Overwrite=True)
    wait(world, 10)
    ssm.delete_parameter(Name=NAME)
    events = reported(world, OPS, "Parameter Store Change")
    about = {"name": NAME, "type": "String"}

    assert [event["detail"] for event in events] == [
        {**about, "operation": "Create", "description": "ours"},
        {**about, "operation": "Update", "dataType": "aws:ec2:image", "exception": "Unable to Describe Resource"},
        {**about, "operation": "Delete"},
    ]
    assert (events[0]["source"], events[0]["resources"]) == ("aws.ssm", [ARN])


def ssm_data_type_stays(world: World) -> None:
    image = an_image(world)
    ssm = _ssm(world)
    ssm.put_parameter(Name="plain", Value=image, Type="String")

    refused("ValidationException", _put, ssm, image, Name="plain", Overwrite=True)
    _put(ssm, image)
    wait(world, 10)
    refused("ValidationException", _put, ssm, "text", DataType="text", Overwrite=True)
    refused("ValidationException", ssm.put_parameter, Name=NAME, Value=image, Overwrite=True)


def ssm_overwrite_must_be_asked_for(world: World) -> None:
    ssm = _ssm(world)
    ssm.put_parameter(Name="x", Value="1", Type="String")

    refused("ParameterAlreadyExists", ssm.put_parameter, Name="x", Value="2", Type="String")
    assert ssm.put_parameter(Name="x", Value="2", Overwrite=True)["Version"] == 2


def ssm_no_tags_with_overwrite(world: World) -> None:
    ssm = _ssm(world)
    tags = [{"Key": "by", "Value": "ops"}]

    refused("ValidationException", ssm.put_parameter, Name="x", Value="1", Type="String", Overwrite=True, Tags=tags)
    ssm.put_parameter(Name="x", Value="1", Type="String", Tags=tags)
    assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="x")["TagList"] == tags


def ssm_a_hundred_versions(world: World) -> None:
    ssm = _ssm(world)
    for number in range(101):
        ssm.put_parameter(Name="x", Value=str(number), Type="String", Overwrite=True)

    refused("ParameterVersionNotFound", ssm.get_parameter, Name="x:1")
    assert ssm.get_parameter(Name="x:2")["Parameter"]["Value"] == "1"
    assert ssm.get_parameter(Name="x")["Parameter"]["Version"] == 101


def ssm_parameter_name(world: World) -> None:
    ssm = _ssm(world)
    bad = ["base/x", "/aws/x", "Ssm-x", "/images/x y", "/images//x", "/images/x/", f"/{'x' * 990}"]

    for name in bad:
        refused("ValidationException", ssm.put_parameter, Name=name, Value="1", Type="String")
    deep = "/x" * 16
    refused("HierarchyLevelLimitExceededException", ssm.put_parameter, Name=deep, Value="1", Type="String")
    for name in ("/x" * 15, "x", "/images/x_y.z-1"):
        ssm.put_parameter(Name=name, Value="1", Type="String")


def ssm_value_of_4_kb(world: World) -> None:
    ssm = _ssm(world)

    for value in ("x" * 4097, ""):
        refused("ValidationException", ssm.put_parameter, Name="x", Value=value, Type="String")
    assert ssm.put_parameter(Name="x", Value="x" * 4096, Type="String")["Tier"] == "Standard"


def ssm_reads_may_be_stale(world: World) -> None:
    ssm = _ssm(world)
    ssm.put_parameter(Name="x", Value="1", Type="String")
    wait(world, 100)
    ssm.put_parameter(Name="x", Value="2", Overwrite=True)
    world.injections.stale_reads("GetParameter", seconds=60)

    assert [ssm.get_parameter(Name="x")["Parameter"]["Value"] for _ in range(2)] == ["1", "2"]


def ssm_ten_names_a_call(world: World) -> None:
    ssm = _ssm(world)
    names = [f"name-{number}" for number in range(11)]

    assert ssm.get_parameters(Names=names[:10])["InvalidParameters"] == names[:10]
    refused("ValidationException", ssm.get_parameters, Names=names)


def ssm_tags_at_creation_need_add_tags(world: World) -> None:
    put = as_role(world, "ssm", allow("ssm:PutParameter", ARN))
    text = {"Name": NAME, "Value": "1", "Type": "String"}

    refused("AccessDeniedException", put.put_parameter, **text, Tags=[{"Key": "by", "Value": "ops"}])
    allowed(put.put_parameter, **text)


def ssm_tagging_is_authorised_with_a_doubled_slash(world: World) -> None:
    _ssm(world).put_parameter(Name=NAME, Value="1", Type="String")
    _ssm(world).put_parameter(Name="flat", Value="1", Type="String")
    doubled, flat = ARN.replace(":parameter/", ":parameter//"), f"arn:aws:ssm:{HERE}:{OPS}:parameter/flat"
    one, both = (
        session(world, "ssm", put_role(world, name, allow("ssm:AddTagsToResource", [ARN, other])))
        for name, other in (("one", flat), ("both", doubled))
    )
    asked = {"ResourceType": "Parameter", "ResourceId": NAME, "Tags": [{"Key": "by", "Value": "ops"}]}

    allowed(both.add_tags_to_resource, **asked)
    allowed(one.add_tags_to_resource, **{**asked, "ResourceId": "flat"})
    refused("AccessDeniedException", one.add_tags_to_resource, **asked, saying=doubled)
