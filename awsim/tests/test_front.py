"""The simulator over HTTP, with the real ``aws`` command line."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from aws_words import aws
from awsim.accounts import SECRET
from awsim.front import Front, write_profiles
from awsim.world import World
from platform_words import DEV, HERE, HUB, a_function, a_queue, wait

REAL_SEND = URLLib3Session.send


@pytest.fixture
def front(world: World) -> Iterator[Front]:
    """The HTTP front of a simulator."""
    with Front(world) as opened:
        yield opened


@pytest.fixture
def environment(front: Front, tmp_path: Path) -> dict[str, str]:
    """The environment with which a shell uses the aws command line on the simulator."""
    return {"PATH": os.environ["PATH"], **write_profiles(tmp_path, {"hub": HUB, "dev": DEV}, HERE, front.url)}


def test_the_real_command_line_works(world: World, environment: dict[str, str]) -> None:
    """A profile for each account; EC2's, JSON's and query's protocols work, and refusals are AWS's."""
    image = world.ec2.seed_image(HUB, HERE, name="golden")
    aws(environment, "ec2", "create-tags", "--resources", image, "--tags", 'Key=promote,Value="dev prod"')
    (shown,) = aws(environment, "ec2", "describe-images", "--owners", "self")["Images"]

    assert (shown["ImageId"], shown["Tags"]) == (image, [{"Key": "promote", "Value": "dev prod"}])
    assert aws(environment, "--profile", "dev", "sts", "get-caller-identity")["Account"] == DEV
    assert aws(environment, "--profile", "dev", "ec2", "describe-images", "--owners", "self")["Images"] == []
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
        service, HERE, endpoint_url=front.url, aws_access_key_id=f"AKIA{HUB}ROOT", aws_secret_access_key=SECRET
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
