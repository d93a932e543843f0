"""A hub with its tables, in moto."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, NamedTuple

import boto3
import pytest
import time_machine
from moto import mock_aws

from ami_promoter.cli import main
from chalicelib.engine.store.table import Table
from tests.ami_promoter.a_hub import CONFIG, MEMBERS, NINE, TABLE
from tests.stores import create_table


class Printed(NamedTuple):
    """What a call of the command printed."""

    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The output's lines without trailing spaces."""
        return [line.rstrip() for line in self.out.splitlines()]

    @property
    def words(self) -> str:
        """The output without line breaks."""
        return " ".join(self.out.split())

    @property
    def errors(self) -> str:
        """Standard error without line breaks."""
        return " ".join(self.err.split())

    @property
    def data(self) -> Any:
        """The output of ``--json``."""
        return json.loads(self.out)


@pytest.fixture
def run(capsys):
    """Calls the command with these words; asserts how it ends, and returns what this call printed."""

    def called(*words, exits=0, clock=None):
        capsys.readouterr()
        status = main(words, clock)
        said = Printed(*capsys.readouterr())
        assert status == exits, said
        return said

    return called


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Credentials of a made-up account, without the machine's own configuration."""
    regions, profiles = ("AWS_REGION", "AWS_DEFAULT_REGION"), ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    for name in (*regions, *profiles, "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AMI_PROMOTER_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def aws(environment):
    """An account without resources."""
    environment.setenv("AWS_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture
def refusing():
    """Starts a server that answers each request with this page and status 403; returns its address."""
    servers = []

    def start(page):
        class Refusing(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(403)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            do_PUT = do_POST  # noqa: N815 - as the library calls it

            def log_message(self, *_of):
                """Print nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Refusing))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


@pytest.fixture
def client(aws):
    """DynamoDB with the hub's tables."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    for name, resource in ((TABLE, "Table"), (CONFIG, "ConfigTable"), (MEMBERS, "MembersTable")):
        create_table(client, name, resource)
    return client


@pytest.fixture
def table(client):
    """The hub's table as the service's adapters see it."""
    return Table(client, TABLE)


@pytest.fixture
def operators(client):
    """The table of the applied file and of what operators have decided."""
    return Table(client, CONFIG)


@pytest.fixture
def ten_past_nine(client):
    """It is 09:10, and stays so."""
    with time_machine.travel(NINE + 600, tick=False):
        yield


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes ``targets.yaml`` into the working directory and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="targets.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write
