"""Checks of DescribeImageReferences: which of an account's own resources name an AMI."""

from typing import Any

from awsim.world import World
from ec2_words import DEV, HERE, OPS, an_image, ec2
from iam_words import allow, allowed, put_role, session
from platform_words import refused, wait

NAME = "/images/al2023-base/current"
PARAMETER = f"arn:aws:ssm:{HERE}:{OPS}:parameter{NAME}"
KINDS = ["ec2:Instance", "ec2:LaunchTemplate", "ssm:Parameter", "imagebuilder:ImageRecipe"]
LISTS = [
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeLaunchTemplateVersions",
    "ssm:DescribeParameters",
    "ssm:GetParameters",
    "imagebuilder:ListImageRecipes",
    "imagebuilder:ListContainerRecipes",
    "imagebuilder:GetContainerRecipe",
]
"""What AmazonEC2ImageReferencesAccessPolicy allows besides the call itself."""


def _references(client: Any, *images: str, **more: Any) -> list[str]:
    """Return the ARNs of what names an AMI, by default of every kind."""
    asked = more or {"IncludeAllResourceTypes": True}
    answer = client.describe_image_references(ImageIds=list(images), **asked)
    return sorted(found["Arn"] for found in answer["ImageReferences"])


def _only(kind: str, option: str = "", *values: str) -> dict[str, Any]:
    options = {"ResourceTypeOptions": [{"OptionName": option, "OptionValues": list(values)}]} if option else {}
    return {"ResourceTypes": [{"ResourceType": kind, **options}]}


def _point(world: World, image: str, data_type: str = "aws:ec2:image", name: str = NAME) -> None:
    asked = {"Type": "String", "DataType": data_type, "Overwrite": True}
    world.client("ssm", OPS).put_parameter(Name=name, Value=image, **asked)
    wait(world, 10)


def _template(world: World, name: str, image: str) -> str:
    """Make a launch template and return its ARN."""
    data = {"LaunchTemplateData": {"ImageId": image}}
    made = ec2(world).create_launch_template(LaunchTemplateName=name, **data)["LaunchTemplate"]
    return f"arn:aws:ec2:{HERE}:{OPS}:launch-template/{made['LaunchTemplateId']}"


def _run(world: World, image: str) -> str:
    """Launch an image of OPS in its account and return the instance's ARN."""
    made = ec2(world).run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    return f"arn:aws:ec2:{HERE}:{OPS}:instance/{made['InstanceId']}"


def ec2_image_references_of_ten_images(world: World) -> None:
    image, client = an_image(world), ec2(world)
    instance = _run(world, image)
    others = [f"ami-{number:017}" for number in range(10)]

    assert _references(client, image, *others[:9]) == [instance]
    refused("InvalidParameterValue", _references, client, image, *others)
    refused("MissingParameter", client.describe_image_references, ImageIds=[image])
    refused("InvalidParameterValue", _references, client, image, **_only("ec2:Volume"))
    assert _references(ec2(world, DEV), image) == []
    assert [_references(client, image, **_only(kind)) for kind in KINDS] == [[instance], [], [], []]


def ec2_image_references_scope(world: World) -> None:
    first, second, client = an_image(world, "first"), an_image(world, "second"), ec2(world)
    web, instance = _template(world, "web", first), _run(world, second)
    for _ in range(9):
        data = {"LaunchTemplateData": {"ImageId": second}}
        client.create_launch_template_version(LaunchTemplateName="web", **data)
    every = {"IncludeAllResourceTypes": True}

    assert _references(client, first) == [web]
    client.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": second})
    assert _references(client, first) == []
    assert _references(client, first, **every, **_only("ec2:LaunchTemplate", "version-depth", "11")) == [web]
    assert _references(client, second) == [instance, web]
    assert _references(client, second, **_only("ec2:Instance", "state-name", "terminated", "stopped")) == []
    assert _references(client, second, **_only("ec2:Instance", "state-name", "pending")) == [instance]


def ec2_image_references_by_id_only(world: World) -> None:
    image, second, client = an_image(world), an_image(world, "second"), ec2(world)
    _point(world, image)
    _point(world, image, "text", name="plain")
    _template(world, "by-parameter", f"resolve:ssm:{NAME}")
    web = _template(world, "web", image)

    assert _references(client, image) == [web, PARAMETER]
    _point(world, second)
    assert (_references(client, image), _references(client, second)) == ([web], [PARAMETER])


def ec2_image_references_need_rights_on_each_kind(world: World) -> None:
    image = an_image(world)
    role = put_role(world, "worker", allow(["ec2:DescribeImageReferences", *LISTS[:3]]))
    client = session(world, "ec2", role)

    allowed(_references, client, image, **_only("ec2:Instance"))
    allowed(_references, client, image, **_only("ec2:LaunchTemplate"))
    refused("UnauthorizedOperation", _references, client, image, **_only("ssm:Parameter"), saying="ssm:Describe")
    refused("UnauthorizedOperation", _references, client, image)
    put_role(world, "worker", allow(LISTS))
    refused("UnauthorizedOperation", _references, client, image, saying="ec2:DescribeImageReferences")
    put_role(world, "worker", allow(["ec2:DescribeImageReferences", *LISTS]))
    allowed(_references, client, image)


def ec2_image_references_called_via(world: World) -> None:
    image = an_image(world)
    via = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["ec2-images.amazonaws.com"]}}
    managed = allow("ec2:DescribeImageReferences"), allow(LISTS, Condition=via)
    client = session(world, "ec2", put_role(world, "worker", *managed))

    allowed(_references, client, image)
    refused("UnauthorizedOperation", client.describe_instances)
