"""One crash machine for all tests of a process: it sets the simulator up once, and each run is a fork of it."""

from collections.abc import Iterator

import pytest

from tests.reliability.machine import CrashMachine
from tests.scenarios.conftest import scene  # noqa: F401 - the fixture


@pytest.fixture(scope="session")
def machine() -> Iterator[CrashMachine]:
    with CrashMachine() as started:
        yield started
