"""The simulator's gateway: protocols, credentials, errors, and calls that moto answers."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from awsim import wire
from awsim.world import World
from iam_words import DEV, HERE, OPS, allow, document, put_role
from platform_words import refused


def _signed(service: str, body: str, headers: dict[str, str]) -> tuple[dict[str, str], str]:
    request = AWSRequest("POST", "http://127.0.0.1:4000/", headers=headers, data=body)
    SigV4Auth(Credentials(f"AKIA{OPS}ROOT", "anything"), service, HERE).add_auth(request)
    return dict(request.headers.items()), body


CALLS = [
    ("sts", "get_caller_identity", {}, "Account"),
    ("kms", "list_keys", {}, "Keys"),
    ("ec2", "describe_images", {"Owners": ["self"]}, "Images"),
    ("sqs", "list_queues", {}, "ResponseMetadata"),
    ("sns", "list_topics", {}, "Topics"),
    ("dynamodb", "list_tables", {}, "TableNames"),
    ("events", "list_rules", {}, "Rules"),
    ("iam", "list_roles", {}, "Roles"),
    ("ssm", "describe_parameters", {}, "Parameters"),
    ("logs", "describe_log_groups", {}, "logGroups"),
    ("cloudwatch", "list_metrics", {}, "Metrics"),
    ("s3", "list_buckets", {}, "Buckets"),
]


@pytest.mark.parametrize(("service", "operation", "params", "member"), CALLS, ids=[call[0] for call in CALLS])
@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:4000"], ids=["at-aws", "at-localhost"])
def test_every_protocol_is_understood(
    world: World, service: str, operation: str, params: dict[str, Any], member: str, endpoint: str | None
) -> None:
    """Query, EC2, JSON and REST requests are answered, for any host name."""
    client = boto3.client(
        service,
        HERE,
        endpoint_url=endpoint,
        aws_access_key_id=f"AKIA{OPS}ROOT",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )

    assert member in getattr(client, operation)(**params)
    assert (world.calls[-1].service, world.calls[-1].caller.account, world.calls[-1].region) == (service, OPS, HERE)


@pytest.mark.parametrize(
    ("service", "body", "more", "status", "named"),
    [
        ("monitoring", "", {"smithy-protocol": "rpc-v2-cbor"}, 400, b"rpc-v2-cbor; use JSON"),
        ("kms", "{}", {"X-Amz-Target": "TrentService.DescribeKeys"}, 400, b"DescribeKeys"),
        ("teleport", "Action=Go", {}, 404, b"teleport"),
    ],
    ids=["a protocol that is not read", "a misspelt operation", "a service without a model"],
)
def test_what_is_unknown_is_refused_by_name(
    world: World, service: str, body: str, more: dict[str, str], status: int, named: bytes
) -> None:
    """Nothing of it is sent on."""
    headers, signed = _signed(service, body, more)
    found, _, answer = world.gateway.handle("POST", "http://127.0.0.1/", headers, signed)

    assert (found, named in answer) == (status, True), answer


def test_accounts_and_regions_are_apart(world: World) -> None:
    """State that moto keeps for one account and Region is invisible to others."""
    world.client("secretsmanager", OPS).create_secret(Name="x", SecretString="1")

    assert len(world.client("secretsmanager", OPS).list_secrets()["SecretList"]) == 1
    assert world.client("secretsmanager", DEV).list_secrets()["SecretList"] == []
    assert world.client("secretsmanager", OPS, "us-west-2").list_secrets()["SecretList"] == []


def test_a_new_world_knows_nothing_of_the_last(world: World) -> None:
    """Moto's state in this process is reset when a simulator starts."""
    world.client("secretsmanager", OPS).create_secret(Name="x", SecretString="1")
    with World() as other:
        assert other.client("secretsmanager", OPS).list_secrets()["SecretList"] == []


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ec2", "describe_images", "AuthFailure"),
        ("kms", "list_keys", "UnrecognizedClientException"),
    ],
)
def test_an_unknown_key_and_a_wrong_token_are_refused(world: World, service: str, call: str, code: str) -> None:
    """An unknown access key is refused, and so is a session's key without its token."""
    role = put_role(world, "worker", allow("*"))
    _, key, _, token = world.accounts.issue(role, "a-session")

    getattr(wire.client(service, HERE, key, token), call)()
    for wrong in (("ASIA9999999999999999", token), (key, "another"), (key, None)):
        refused(code, getattr(wire.client(service, HERE, *wrong), call))


def test_an_unsigned_request_is_refused(world: World) -> None:
    """It has no caller."""
    status, _, body = world.gateway.handle("POST", "http://127.0.0.1/", {}, "Action=GetCallerIdentity")

    assert status == 403
    assert b"MissingAuthenticationToken" in body


def test_a_compressed_body_is_read(world: World) -> None:
    """SDKs may send large bodies as gzip."""
    headers, body = _signed("kms", "{}", {"X-Amz-Target": "TrentService.ListKeys", "Content-Encoding": "gzip"})
    status, _, answer = world.gateway.handle("POST", "http://127.0.0.1/", headers, gzip.compress(body.encode()))

    assert (status, answer[:8]) == (200, b'{"Keys":')


def test_a_service_that_is_not_simulated_says_so(world: World) -> None:
    """An operation of a service that the simulator models itself is never passed on to moto."""
    refused("NotImplemented", world.client("kms", OPS).generate_random, NumberOfBytes=8, saying="does not play kms")


def test_modelled_errors_keep_their_class(world: World) -> None:
    """Botocore finds a modelled error's exception class, and the query code where a service still uses it."""
    kms, sqs = world.client("kms", OPS), world.client("sqs", OPS)

    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId="alias/none")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.get_queue_url(QueueName="none")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_each_call_is_recorded_with_its_outcome(world: World) -> None:
    """world.calls has caller, operation, time and refusal of each call, moto's refusals included."""
    dynamodb = world.client("dynamodb", OPS)
    with pytest.raises(ClientError):
        dynamodb.describe_table(TableName="none")

    call = world.calls[-1]
    assert (call.service, call.operation, call.error) == ("dynamodb", "DescribeTable", "ResourceNotFoundException")
    assert call.params == {"TableName": "none"}
    assert world.start <= call.at <= world.now


def test_roles_can_be_played_with_by_the_api(world: World) -> None:
    """The iam commands create, read and change roles in a simulator."""
    iam = world.client("iam", OPS)
    trust = json.dumps(document({"Effect": "Allow", "Principal": {"AWS": OPS}, "Action": "sts:AssumeRole"}))
    iam.create_role(RoleName="mine", AssumeRolePolicyDocument=trust)
    policy = json.dumps(document(allow("kms:ListKeys")))
    iam.put_role_policy(RoleName="mine", PolicyName="keys", PolicyDocument=policy)
    assert iam.list_role_policies(RoleName="mine")["PolicyNames"] == ["keys"]
    assert (
        iam.get_role_policy(RoleName="mine", PolicyName="keys")["PolicyDocument"]["Statement"][0]["Action"]
        == "kms:ListKeys"
    )

    arn = iam.get_role(RoleName="mine")["Role"]["Arn"]
    got = world.client("sts", OPS).assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    kms = wire.client("kms", HERE, got["AccessKeyId"], got["SessionToken"])
    assert kms.list_keys()["Keys"] == []
    iam.delete_role_policy(RoleName="mine", PolicyName="keys")
    refused("AccessDeniedException", kms.list_keys)
    iam.delete_role(RoleName="mine")
    refused("NoSuchEntity", iam.get_role, RoleName="mine")


def test_the_clock_and_boto3_are_given_back() -> None:
    """After a simulator's end, this process has its own time and transport again."""
    real = URLLib3Session.send
    with World() as world:
        assert URLLib3Session.send is not real
        assert datetime.now(UTC) == world.now

    assert URLLib3Session.send is real
    assert datetime.now(UTC) > world.now
