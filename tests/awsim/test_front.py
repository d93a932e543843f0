"""The world over HTTP, with the real ``aws`` command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from awsim.accounts import SECRET
from awsim.front import Front, write_profiles
from awsim.world import World
from demo import stage
from tests.awsim.platform_words import DEV, HERE, HUB, a_function, a_queue, wait

REAL_SEND = URLLib3Session.send
ROOT = Path(__file__).parents[2]
AWS = ROOT / ".venv-aws" / "bin" / "aws"
LONGEST = 60


@pytest.fixture
def front(world: World) -> Iterator[Front]:
    """A world's front door."""
    with Front(world) as opened:
        yield opened


@pytest.fixture
def environment(front: Front, tmp_path: Path) -> dict[str, str]:
    """What a shell needs to use the aws command line on the world."""
    return {"PATH": os.environ["PATH"], **write_profiles(tmp_path, {"hub": HUB, "dev": DEV}, HERE, front.url)}


def _aws(environment: dict[str, str], *words: str) -> object:
    done = subprocess.run(  # noqa: PLW1510 - looked at below
        [str(AWS), *words], env=environment, capture_output=True, text=True, timeout=LONGEST
    )
    if done.returncode:
        return done.stderr.strip()
    return json.loads(done.stdout) if done.stdout else None


def test_the_real_command_line_works(world: World, environment: dict[str, str]) -> None:
    """A profile per account; what one says in EC2's, JSON's and query's protocols arrives, and refusals are AWS's."""
    image = world.ec2.seed_image(HUB, HERE, name="golden")
    _aws(environment, "ec2", "create-tags", "--resources", image, "--tags", 'Key=promote,Value="dev prod"')
    (shown,) = _aws(environment, "ec2", "describe-images", "--owners", "self")["Images"]

    assert (shown["ImageId"], shown["Tags"]) == (image, [{"Key": "promote", "Value": "dev prod"}])
    assert _aws(environment, "--profile", "dev", "sts", "get-caller-identity")["Account"] == DEV
    assert _aws(environment, "--profile", "dev", "ec2", "describe-images", "--owners", "self")["Images"] == []
    assert "NotFoundException" in str(_aws(environment, "kms", "describe-key", "--key-id", "alias/none"))


def test_the_command_line_reaches_queues_functions_and_tables(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    """An operator's calls: attributes of a queue, an invocation, a list of tables."""
    queue = a_queue(world, "q.fifo")
    a_function(world)
    endpoint = ("--endpoint-url", environment["AWS_ENDPOINT_URL"])
    found = _aws(
        environment, *endpoint, "sqs", "get-queue-attributes", "--queue-url", queue.url, "--attribute-names", "All"
    )
    _aws(environment, "lambda", "invoke", "--function-name", "probe", str(tmp_path / "out"))

    assert found["Attributes"]["DeduplicationScope"] == "messageGroup"
    assert json.loads((tmp_path / "out").read_text())["errorType"] == "TypeError"
    assert _aws(environment, "dynamodb", "list-tables") == {"TableNames": []}


def _client(front: Front, service: str):
    return boto3.session.Session().client(
        service, HERE, endpoint_url=front.url, aws_access_key_id=f"AKIA{HUB}ROOT", aws_secret_access_key=SECRET
    )


def test_requests_take_turns(world: World, front: Front) -> None:
    """Many clients at once: every call is answered, one at a time, while functions run too."""
    URLLib3Session.send, inner = REAL_SEND, URLLib3Session.send  # over the wire, not within the process
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


def test_the_sandbox_stays_up_until_it_is_told(tmp_path: Path) -> None:
    """``python -m demo.sandbox up`` says what to type, leaves its files, lets time run, and ends on a signal."""
    for name in ("build", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.sandbox", "up", "--port", "0", "--factor", "60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    try:
        watchdog = threading.Timer(LONGEST, process.kill)
        watchdog.start()
        for line in process.stdout or ():
            lines.append(line)
            if "sweep" in line:
                break
        told = json.loads((tmp_path / ".sandbox" / "world.json").read_text())
        variables = dict(
            line.removeprefix("export ").rstrip().split("=", 1)
            for line in (tmp_path / ".sandbox" / "env.sh").read_text().splitlines()
        )
        shown = _aws(
            {"PATH": os.environ["PATH"], **variables, "AWS_PAGER": ""}, "ec2", "describe-images", "--owners", "self"
        )
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=LONGEST)
        watchdog.cancel()

    assert told["accounts"] == {"hub": stage.HUB, **stage.TARGETS}
    assert [image["ImageId"] for image in shown["Images"]] == [told["image"]]
    assert "create-tags" in "".join(lines)
    assert "is down" in rest
    assert process.returncode == 0
