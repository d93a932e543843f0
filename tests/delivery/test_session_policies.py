"""Session policies: narrow, and within STS's limits."""

import json
from fnmatch import fnmatchcase
from typing import get_args

import pytest

from chalicelib.delivery.aws.session_policies import LIMIT, SNAPSHOTS_PER_SESSION, Work, policy
from chalicelib.delivery.model import Snapshot
from tests.delivery.examples import a_delivery

LONG_REGION = "ap-southeast-10"
MULTI_REGION_KEY = f"arn:aws-us-gov:kms:{LONG_REGION}:111111111111:key/mrk-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("work", get_args(Work))
def test_each_policy_fits_at_its_longest(work):
    """AWS refuses more than 2,048 characters: the longest Region, five snapshots, two source keys and the target's."""
    ids = [f"snap-{n:017x}" for n in range(SNAPSHOTS_PER_SESSION)]
    keys = [MULTI_REGION_KEY, MULTI_REGION_KEY.replace("0123", "4567")]
    delivery = a_delivery(
        snapshots=tuple(Snapshot(ident, keys[n % 2]) for n, ident in enumerate(ids)),
        key_arn=MULTI_REGION_KEY[:-1] + "e",
        region=LONG_REGION,
    )

    assert len(policy(work, delivery, ids)) <= LIMIT


READS = ("kms:DescribeKey", "kms:GetKeyPolicy")


@pytest.mark.parametrize("work", get_args(Work))
def test_changes_are_allowed_only_on_what_is_named_or_has_the_services_tag(work):
    """A delivery's session cannot delete, copy or use a key of anything else."""
    statements = json.loads(policy(work, a_delivery(), ["snap-0a"]))["Statement"]
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if any(not action.split(":")[1].startswith(("Describe", "Get")) for action in actions):
            assert statement["Resource"] != "*"
        if {"ec2:DeleteSnapshot", "ec2:DeregisterImage", "ec2:CreateTags"} & set(actions):
            assert "0123456789abcdef0123" in json.dumps(statement["Condition"])
        if any(action.startswith("kms:") and action not in READS for action in actions):
            assert "kms:ViaService" in json.dumps(statement["Condition"])


@pytest.mark.parametrize(
    ("work", "call", "made"),
    [
        ("copy", "CopySnapshot", ["snapshot"]),
        ("register", "RegisterImage", ["image"]),
        ("image", "CopyImage", ["image", "snapshot"]),
        ("launch", "RunInstances", ["instance", "volume"]),
    ],
)
def test_what_a_session_makes_has_its_deliverys_tag(work, call, made):
    """IAM refuses a call that makes something without it, or with another delivery's."""
    delivery = a_delivery()
    needed = []
    for statement in json.loads(policy(work, delivery, ["snap-0a"]))["Statement"]:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        kinds = [kind for kind in made if any(fnmatchcase(_new(resource, kind), resource) for resource in resources)]
        if f"ec2:{call}" in statement["Action"] and kinds:
            needed += [(kind, statement.get("Condition")) for kind in kinds]

    tagged = {"StringEquals": {"aws:RequestTag/ami-promoter:delivery": delivery.id}}
    assert sorted(needed) == [(kind, tagged) for kind in made]


def _new(resource: str, kind: str) -> str:
    """The ARN of a new resource: its id is not known yet, so IAM asks about a star."""
    return ":".join([*resource.split(":")[:5], f"{kind}/*"])


def test_checks_can_change_nothing():
    """The session of `ami-promoter doctor` reads; of rules, keys and roles only the account's."""
    statements = json.loads(policy("check", a_delivery()))["Statement"]
    asked = [one for it in statements for one in (it["Action"] if isinstance(it["Action"], list) else [it["Action"]])]

    assert all(one.split(":")[1].startswith(("Describe", "Get", "List")) for one in asked)
    assert [it["Action"] for it in statements if it["Resource"] == "*"] == [
        ["ec2:GetEbs*", "ec2:Get*BlockPublicAccessState", "ec2:GetAllowedImagesSettings"]
    ]


def test_looking_can_change_nothing():
    """The session for reading has only Describe actions, and may read the role's own policy."""
    statement, own = json.loads(policy("look", a_delivery()))["Statement"]

    assert all(action.split(":")[1].startswith("Describe") for action in statement["Action"])
    assert own["Action"] == "iam:GetRolePolicy"
