"""Serves the world over HTTP, on 127.0.0.1 only, for the ``aws`` command and any SDK."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from awsim.accounts import SECRET
from awsim.gateway import Gateway
from awsim.kernel import Kernel

ADDRESS = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """Logs no requests, because a function's standard output is the process's while it runs."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug named it
        """Log nothing."""


class Served(Protocol):
    """A world."""

    kernel: Kernel
    gateway: Gateway


class Front:
    """Serves a world's gateway; a context manager whose ``url`` is the endpoint.

    Requests wait for each other, so that one thread runs at a time. Port 0 takes a free port; a port in use raises
    OSError.
    """

    def __init__(self, world: Served, port: int = 0) -> None:
        self._world = world
        socket.create_server((ADDRESS, port)).close()  # where the port is taken, werkzeug would end the process
        self._server = make_server(ADDRESS, port, self._answer, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="front", daemon=True)
        self.url = f"http://{ADDRESS}:{self._server.port}"

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        body = request.get_data()
        url = self.url + environ.get("RAW_URI", request.full_path)
        with self._world.kernel.visit():
            status, headers, content = self._world.gateway.handle(request.method, url, dict(request.headers), body)
        plain = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        return Response(content, status, plain)(environ, start_response)


def write_profiles(directory: Path, accounts: Mapping[str, str], region: str, url: str) -> dict[str, str]:
    """Write an AWS config and credentials file with a profile for each account's root.

    Returns the environment variables by which every AWS SDK uses them; the first profile is the default. Version 1 of
    the ``aws`` command ignores a configured endpoint for ``aws sqs``, which needs ``--endpoint-url``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config, credentials = directory / "aws-config", directory / "aws-credentials"
    config.write_text(
        "".join(f"[profile {name}]\nregion = {region}\noutput = json\nendpoint_url = {url}\n\n" for name in accounts),
        encoding="utf-8",
    )
    keys = (
        f"[{n}]\naws_access_key_id = AKIA{a}ROOT\naws_secret_access_key = {SECRET}\n\n" for n, a in accounts.items()
    )
    credentials.write_text("".join(keys), encoding="utf-8")
    return {
        "AWS_CONFIG_FILE": str(config.resolve()),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials.resolve()),
        "AWS_PROFILE": next(iter(accounts)),
        "AWS_ENDPOINT_URL": url,
        "AWS_PAGER": "",
    }
