"""One machine for all tests of a process: the world is set up once, each run is a fork of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Start the built package's server."""
    with Machine() as started:
        yield started
