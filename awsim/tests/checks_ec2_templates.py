"""Checks of launch templates, and of parameters in the place of an AMI's id."""

from typing import Any

from awsim.world import World
from ec2_words import DEV, HERE, OPS, WEST, an_image, ec2
from iam_words import allow, allowed, put_role, session
from platform_words import refused, wait

NAME = "/images/al2023-base/current"
ALIAS = f"resolve:ssm:{NAME}"
ARN = f"arn:aws:ssm:{HERE}:{OPS}:parameter{NAME}"
TEMPLATES = f"arn:aws:ec2:{HERE}:{OPS}:launch-template"
NEW = ("instance", "volume", "network-interface", "subnet", "security-group")
UNSUPPORTED = "Unsupported data type. The following parameter data types are supported: aws:ec2:image"


def _point(world: World, image: str, **more: Any) -> None:
    """Let the parameter name an AMI."""
    asked = {"Name": NAME, "Type": "String", "DataType": "aws:ec2:image", "Overwrite": True, **more}
    world.client("ssm", OPS).put_parameter(Value=image, **asked)
    wait(world, 10)


def _template(world: World, name: str = "web", **data: str) -> str:
    """Make a launch template and return its id."""
    made = ec2(world).create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def _run(client: Any, **more: Any) -> dict[str, Any]:
    found = client.run_instances(MinCount=1, MaxCount=1, **more)["Instances"][0]
    assert isinstance(found, dict)
    return found


def _image_run(world: World, **more: Any) -> str:
    return str(allowed(_run, ec2(world), **more)["ImageId"])


def ec2_parameter_resolved_at_launch(world: World) -> None:
    first, second = an_image(world, "first"), an_image(world, "second")
    _point(world, first)
    web = {"LaunchTemplateId": _template(world, ImageId=ALIAS)}

    assert (_image_run(world, ImageId=ALIAS), _image_run(world, LaunchTemplate=web)) == (first, first)
    _point(world, second)
    assert (_image_run(world, ImageId=ALIAS), _image_run(world, LaunchTemplate=web)) == (second, second)
    assert _image_run(world, ImageId=f"{ALIAS}:1") == first
    assert world.launch(OPS, HERE, ALIAS) == world.launch(OPS, HERE, "", LaunchTemplate=web) == ""
    ec2(world).disable_image(ImageId=second)
    refused("InvalidAMIID.Unavailable", _run, ec2(world), LaunchTemplate=web)
    refused("SsmInvalidParameter", _run, ec2(world, DEV), ImageId=ALIAS)
    refused("SsmInvalidParameter", _run, ec2(world, OPS, WEST), ImageId=ALIAS)


def ec2_parameter_of_data_type_image_only(world: World) -> None:
    _point(world, an_image(world), DataType="text")

    refused("SsmInvalidParameter", _run, ec2(world), ImageId=ALIAS, saying=UNSUPPORTED)


def ec2_parameter_must_exist(world: World) -> None:
    _point(world, an_image(world))

    for name in ("/images/none", f"{NAME}:2", f"{NAME}:label"):
        said = f"The following aliases are invalid: {name}"
        refused("SsmInvalidParameter", _run, ec2(world), ImageId=f"resolve:ssm:{name}", saying=said)
    assert world.launch(OPS, HERE, "resolve:ssm:/images/none").startswith("SsmInvalidParameter")


def ec2_resolve_needs_get_parameters(world: World) -> None:
    _point(world, an_image(world))
    web = {"LaunchTemplateId": _template(world, ImageId=ALIAS)}
    role = put_role(world, "worker", allow("ec2:*"))
    client = session(world, "ec2", role)
    made = {"LaunchTemplateName": "other", "LaunchTemplateData": {"ImageId": ALIAS}}
    asked = {"saying": f"ssm:GetParameters on resource: {ARN}"}

    refused("UnauthorizedOperation", _run, client, ImageId=f"{ALIAS}:1", **asked)
    refused("UnauthorizedOperation", _run, client, LaunchTemplate=web, **asked)
    refused("UnauthorizedOperation", client.create_launch_template, **made, **asked)
    resolved = {**web, "Versions": ["1"], "ResolveAlias": True}
    refused("UnauthorizedOperation", client.describe_launch_template_versions, **resolved, **asked)
    allowed(client.describe_launch_template_versions, **web)
    put_role(world, "worker", allow("ssm:GetParameters", ARN))
    refused("UnauthorizedOperation", _run, client, ImageId=ALIAS, saying="ec2:RunInstances on resource: arn:aws:ec2")
    put_role(world, "worker", allow("ssm:GetParameters", ARN), allow("ec2:*"))
    allowed(_run, client, ImageId=ALIAS)
    allowed(client.create_launch_template, **made)
    allowed(client.describe_launch_template_versions, **resolved)


def ec2_launch_authorised_on_template(world: World) -> None:
    image = an_image(world)
    first, second = _template(world, "first", ImageId=image), _template(world, "second", ImageId=image)
    rest = [f"arn:aws:ec2:{HERE}::image/*", *(f"arn:aws:ec2:{HERE}:{OPS}:{kind}/*" for kind in NEW)]
    client = session(
        world, "ec2", put_role(world, "worker", allow("ec2:RunInstances", [*rest, f"{TEMPLATES}/{first}"]))
    )

    allowed(_run, client, LaunchTemplate={"LaunchTemplateName": "first"})
    refused("UnauthorizedOperation", _run, client, LaunchTemplate={"LaunchTemplateId": second}, saying=second)
    allowed(_run, client, ImageId=image)


def ec2_launch_template_name(world: World) -> None:
    image, client = an_image(world), ec2(world)
    data = {"LaunchTemplateData": {"ImageId": image}}
    _template(world, "web-(1).a/b_c", ImageId=image)

    for name in ("a name", "x" * 129):
        code = "InvalidLaunchTemplateName.MalformedException"
        refused(code, client.create_launch_template, LaunchTemplateName=name, **data)
    code = "InvalidLaunchTemplateName.AlreadyExistsException"
    refused(code, client.create_launch_template, LaunchTemplateName="web-(1).a/b_c", **data)
    allowed(ec2(world, DEV).create_launch_template, LaunchTemplateName="web-(1).a/b_c", **data)
    allowed(ec2(world, OPS, WEST).create_launch_template, LaunchTemplateName="web-(1).a/b_c", **data)


def ec2_launch_template_default_version(world: World) -> None:
    first, second = an_image(world, "first"), an_image(world, "second")
    web, client = _template(world, ImageId=first, InstanceType="t3.micro"), ec2(world)
    said = {"VersionDescription": "newer", "LaunchTemplateData": {"ImageId": second}}
    made = client.create_launch_template_version(LaunchTemplateName="web", **said)["LaunchTemplateVersion"]
    assert (made["VersionNumber"], made["VersionDescription"], made["DefaultVersion"]) == (2, "newer", False)

    def run(**more: str) -> str:
        return _image_run(world, LaunchTemplate={"LaunchTemplateId": web, **more})

    assert [run(), run(Version="$Default"), run(Version="1")] == [first] * 3
    assert [run(Version="$Latest"), run(Version="2")] == [second] * 2
    shown = client.describe_launch_templates(LaunchTemplateNames=["web"])["LaunchTemplates"][0]
    assert (shown["DefaultVersionNumber"], shown["LatestVersionNumber"]) == (1, 2)


def ec2_launch_overwrites_template(world: World) -> None:
    first, second = an_image(world, "first"), an_image(world, "second")
    web = {"LaunchTemplateId": _template(world, ImageId=first, InstanceType="t3.micro")}
    found = _run(ec2(world), LaunchTemplate=web, InstanceType="t3.nano")

    assert (found["ImageId"], found["InstanceType"]) == (first, "t3.nano")
    assert _run(ec2(world), LaunchTemplate=web, ImageId=second)["InstanceType"] == "t3.micro"
    assert _image_run(world, LaunchTemplate=web, ImageId=second) == second
    refused(
        "MissingParameter",
        _run,
        ec2(world),
        LaunchTemplate={"LaunchTemplateId": _template(world, "other", InstanceType="t3.nano")},
    )


def ec2_launch_template_parameter_checked(world: World) -> None:
    refused("SsmInvalidParameter", _template, world, ImageId=ALIAS, saying="aliases are invalid")
    _point(world, an_image(world), DataType="text")
    refused("SsmInvalidParameter", _template, world, ImageId=ALIAS, saying=UNSUPPORTED)
    web, client = _template(world, InstanceType="t3.micro"), ec2(world)
    data = {"LaunchTemplateData": {"ImageId": ALIAS}}
    refused("SsmInvalidParameter", client.create_launch_template_version, LaunchTemplateId=web, **data)

    world.client("ssm", OPS).delete_parameter(Name=NAME)
    _point(world, an_image(world, "second"))
    allowed(client.create_launch_template_version, LaunchTemplateId=web, **data)
    world.client("ssm", OPS).delete_parameter(Name=NAME)
    latest = {"LaunchTemplateId": web, "Version": "$Latest"}
    refused("SsmInvalidParameter", _run, client, LaunchTemplate=latest, saying="aliases are invalid")


def ec2_resolve_alias_of_one_version(world: World) -> None:
    image, client = an_image(world), ec2(world)
    _point(world, image)
    web = _template(world, ImageId=ALIAS, InstanceType="t3.micro")

    def images(**more: Any) -> list[str]:
        found = client.describe_launch_template_versions(**more)["LaunchTemplateVersions"]
        return [version["LaunchTemplateData"].get("ImageId", "") for version in found]

    assert images(LaunchTemplateId=web) == images(Versions=["$Latest", "$Default"]) == [ALIAS]
    assert images(LaunchTemplateName="web", Versions=["$Default"], ResolveAlias=True) == [image]
    refused("InvalidParameterCombination", images, LaunchTemplateId=web, ResolveAlias=True)
    refused("InvalidParameterCombination", images, LaunchTemplateId=web, Versions=["1", "$Latest"], ResolveAlias=True)
    refused("InvalidParameterCombination", images)
    refused("InvalidParameterCombination", images, Versions=["1"])
