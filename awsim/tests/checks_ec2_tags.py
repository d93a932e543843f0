"""Checks of tags and of the events of their changes."""

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    OPS,
    a_snapshot,
    an_image,
    copy,
    ec2,
    register,
    reported,
    shown_image,
    snapshot_of,
)
from platform_words import refused


def _tag(world: World, resource: str, **values: str) -> None:
    ec2(world).create_tags(Resources=[resource], Tags=[{"Key": key, "Value": value} for key, value in values.items()])


def ec2_tag_limit(world: World) -> None:
    image = an_image(world, tags={"aws:made-by": "aws", **{f"k{n}": "v" for n in range(49)}})
    _tag(world, image, k49="v")

    refused("TagLimitExceeded", _tag, world, image, k50="v")
    _tag(world, image, k49="changed")
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    specification = [{"ResourceType": "image", "Tags": many}]
    snapshot = snapshot_of(world, image)
    refused("TagLimitExceeded", register, world, snapshot, TagSpecifications=specification)


def ec2_tag_prefix_reserved(world: World) -> None:
    image = an_image(world, tags={"aws:made-by": "aws", "stage": "dev", "team": "images"})
    client = ec2(world)

    refused("InvalidParameterValue", _tag, world, image, **{"aws:mine": "x"})
    refused("InvalidParameterValue", client.delete_tags, Resources=[image], Tags=[{"Key": "aws:made-by"}])
    client.delete_tags(Resources=[image], Tags=[{"Key": "stage", "Value": "other"}, {"Key": "team"}])
    wanted = [{"Name": "resource-id", "Values": [image]}, {"Name": "tag:stage", "Values": ["d*"]}]
    found = client.describe_tags(Filters=wanted)["Tags"]
    assert found == [{"ResourceId": image, "ResourceType": "image", "Key": "stage", "Value": "dev"}]
    client.delete_tags(Resources=[image])
    assert shown_image(world, image)["Tags"] == [{"Key": "aws:made-by", "Value": "aws"}]


def ec2_tag_at_creation_kind(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)
    for_snapshot = [{"ResourceType": "snapshot", "Tags": [{"Key": "k", "Value": "v"}]}]
    for_image = [{"ResourceType": "image", "Tags": [{"Key": "k", "Value": "v"}]}]

    refused("InvalidParameterValue", register, world, snapshot, TagSpecifications=for_snapshot)
    refused("InvalidParameterValue", copy, world, snapshot, TagSpecifications=for_image)


def ec2_tag_event(world: World) -> None:
    image = an_image(world, tags={"team": "images"})
    _tag(world, image, stage="dev")
    _tag(world, image, stage="dev")
    _tag(world, image, stage="dev prod", other="x")
    ec2(world).delete_tags(Resources=[image], Tags=[{"Key": "stage"}])
    specification = [{"ResourceType": "image", "Tags": [{"Key": "born", "Value": "tagged"}]}]
    made = register(world, snapshot_of(world, image), TagSpecifications=specification)

    found = reported(world, OPS, "Tag Change on Resource")
    mine = {e["detail"]["version"]: e for e in found if e["resources"] == [f"arn:aws:ec2:{HERE}::image/{image}"]}
    wanted = {2: ["stage"], 3: ["other", "stage"], 4: ["stage"]}
    assert {version: e["detail"]["changed-tag-keys"] for version, e in mine.items()} == wanted
    assert mine[3]["detail"]["tags"] == {"team": "images", "stage": "dev prod", "other": "x"}
    assert mine[4]["detail"]["tags"] == {"team": "images", "other": "x"}
    first = mine[2]
    expected = ("aws.tag", "ec2", "image")
    assert (first["source"], first["detail"]["service"], first["detail"]["resource-type"]) == expected
    born = [e["detail"]["tags"] for e in found if e["resources"] == [f"arn:aws:ec2:{HERE}::image/{made}"]]
    assert born == [{"born": "tagged"}]
    assert reported(world, DEV, "Tag Change on Resource") == []
