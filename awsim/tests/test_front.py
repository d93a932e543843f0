"""The simulator over HTTP, with the real ``aws`` command line."""

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from aws_words import AWS, aws
from awsim.accounts import SECRET
from awsim.cfn import TemplateError
from awsim.front import Front, write_profiles
from awsim.world import World
from platform_words import DEV, HERE, LAMBDA, OPS, a_function, a_queue, wait

REAL_SEND = URLLib3Session.send


@pytest.fixture
def front(world: World) -> Iterator[Front]:
    """The HTTP front of a simulator."""
    with Front(world) as opened:
        yield opened


@pytest.fixture
def environment(front: Front, tmp_path: Path) -> dict[str, str]:
    """The environment with which a shell uses the aws command line on the simulator."""
    return {"PATH": os.environ["PATH"], **write_profiles(tmp_path, {"ops": OPS, "dev": DEV}, HERE, front.url)}


def test_the_real_command_line_works(world: World, environment: dict[str, str]) -> None:
    """A profile for each account; EC2's, JSON's and query's protocols work, and refusals are AWS's."""
    image = world.ec2.seed_image(OPS, HERE, name="base")
    aws(environment, "ec2", "create-tags", "--resources", image, "--tags", 'Key=stage,Value="dev prod"')
    (shown,) = aws(environment, "ec2", "describe-images", "--owners", "self")["Images"]

    assert (shown["ImageId"], shown["Tags"]) == (image, [{"Key": "stage", "Value": "dev prod"}])
    assert aws(environment, "--profile", "dev", "sts", "get-caller-identity")["Account"] == DEV
    assert "NotFoundException" in str(aws(environment, "kms", "describe-key", "--key-id", "alias/none"))


def test_the_command_line_reaches_queues_functions_and_tables(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    """An operator's calls: a queue's attributes, an invocation, a list of tables."""
    queue = a_queue(world, "q.fifo")
    a_function(world)
    endpoint = ("--endpoint-url", environment["AWS_ENDPOINT_URL"])
    found = aws(
        environment, *endpoint, "sqs", "get-queue-attributes", "--queue-url", queue.url, "--attribute-names", "All"
    )
    aws(environment, "lambda", "invoke", "--function-name", "probe", str(tmp_path / "out"))

    assert found["Attributes"]["DeduplicationScope"] == "messageGroup"
    assert json.loads((tmp_path / "out").read_text())["errorType"] == "TypeError"
    assert aws(environment, "dynamodb", "list-tables") == {"TableNames": []}


def _client(front: Front, service: str):
    return boto3.session.Session().client(
        service, HERE, endpoint_url=front.url, aws_access_key_id=f"AKIA{OPS}ROOT", aws_secret_access_key=SECRET
    )


def test_requests_take_turns(world: World, front: Front) -> None:
    """Many clients at once: each call is answered, one at a time, while functions run."""
    URLLib3Session.send, inner = REAL_SEND, URLLib3Session.send  # over HTTP, not within the process
    try:
        queue = a_queue(world)
        sqs = _client(front, "sqs")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: sqs.send_message(QueueUrl=queue.url, MessageBody=str(n)), range(40)))
        with pytest.raises(ClientError, match="NonExistentQueue"):
            sqs.get_queue_url(QueueName="none")
    finally:
        URLLib3Session.send = inner
    wait(world, 1)

    assert sorted(int(message.body) for message in queue.messages) == list(range(40))


STACK = """\
Parameters: {Name: {Type: String}, Wait: {Type: String, Default: '30'}}
Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Name, VisibilityTimeout: !Ref Wait}}}
Outputs: {Url: {Value: !Ref Queue}}
"""


def test_the_command_line_deploys_updates_and_deletes_a_stack(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    """By change sets; a parameter that an update does not name keeps its value, and a wrong one is refused."""
    (tmp_path / "t.yaml").write_text(STACK)

    def deploy(*given: str) -> str:
        words = ("deploy", "--template-file", str(tmp_path / "t.yaml"), "--stack-name", "s")
        done = subprocess.run(
            [AWS, "cloudformation", *words, "--parameter-overrides", *given],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    assert "Successfully created/updated stack - s" in deploy("Name=q")
    assert "Successfully created/updated stack - s" in deploy("Wait=60")
    (stack,) = aws(environment, "cloudformation", "describe-stacks", "--stack-name", "s")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]} == {"Name": "q", "Wait": "60"}
    assert stack["Outputs"][0]["OutputValue"].endswith("/q")

    aws(environment, "cloudformation", "delete-stack", "--stack-name", "s")
    assert world.stacks == {}
    assert "Name: needs a value" in deploy("Wait=60")


def test_a_function_takes_its_code_from_a_bucket(world: World) -> None:
    """What is not there fails the stack, which says so."""
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": LAMBDA}}
    code = {"S3Bucket": "packages", "S3Key": "k"}
    function = {"Role": {"Fn::GetAtt": "R.Arn"}, "Handler": "f.f", "Runtime": "python3.13", "Code": code}
    template = {"Resources": {"R": role, "F": {"Type": "AWS::Lambda::Function", "Properties": function}}}

    with pytest.raises(TemplateError, match=r"s3://packages/k: .*NoSuchBucket"):
        world.deploy(template, OPS, HERE, "s", {})
    world.delete_stack(OPS, HERE, "s")
    s3 = world.client("s3", OPS, HERE)
    s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("f.py", "def f(event, context): return 1\n")
    s3.put_object(Bucket="packages", Key="k", Body=content.getvalue())
    world.deploy(template, OPS, HERE, "s", {})
