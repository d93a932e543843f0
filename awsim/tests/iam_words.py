"""Helpers of the checks of IAM, STS and KMS: roles, their clients, and the assertion of a refusal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from awsim import wire
from awsim.world import World

OPS, DEV, PROD = "111111111111", "222222222222", "333333333333"
MANAGEMENT = "999999999999"
HERE = "us-east-1"
TRUST_OPS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{OPS}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"sts:ExternalId": "secret-7"},
                "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{OPS}:role/worker"},
            },
        }
    ],
}
"""A target's trust policy: OPS's role ``worker`` only, with the external id ``secret-7``."""


def allow(actions: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Make an Allow statement (``Condition=...``, or ``Effect="Deny"``)."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def attach_control_policy(world: World, account: str, policy: Any, kind: Any = "service") -> None:
    """Attach a control policy to an account, in an organization whose management account is none of these."""
    found = world.organizations.of(account)
    if found is None:
        found = world.organizations.create(MANAGEMENT)
        for member in (OPS, DEV, PROD):
            world.organizations.add_account(found, member)
    world.organizations.attach(found, "deny", policy, [account], kind)


def put_role(world: World, name: str, *statements: Mapping[str, Any], account: str = OPS, trust: Any = None) -> str:
    """Make a role with one inline policy, by default trusted by the Lambda service; return its ARN."""
    lambda_ = document(
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    policies = {"inline": document(*statements)} if statements else {}
    return world.iam.put_role(account, name, trust or lambda_, policies).arn


def session(world: World, service: str, arn: str, policies: Sequence[Mapping[str, Any]] = ()) -> Any:
    """Return a client with a role's session."""
    _, key, _, token = world.accounts.issue(arn, "a-session", policies=policies)
    return wire.client(service, HERE, key, token)


def as_role(world: World, service: str, *statements: Mapping[str, Any]) -> Any:
    """Return a client of a new role ``worker`` with these statements."""
    return session(world, service, put_role(world, "worker", *statements))


def allowed(call: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
    """Assert that a call is accepted; return its answer."""
    try:
        return call(*args, **params)
    except ClientError as error:
        raise AssertionError(f"was refused: {error}") from error


def new_key(world: World, account: str = OPS, policy: str | None = None) -> str:
    """Make a key, by default under the default key policy; return its ARN."""
    kms = world.client("kms", account)
    made = kms.create_key(Policy=policy) if policy else kms.create_key()
    return str(made["KeyMetadata"]["Arn"])
