"""Each story is played twice: by the service in memory, and by the built package in the simulator."""

from collections.abc import Iterator

import pytest

from tests.scenarios.conftest import pytest_sessionfinish, scene  # noqa: F401 - the fixture, and the permission log
from tests.stories.driver import Driver
from tests.stories.memory import MemoryDriver
from tests.stories.simulator import SimulatorDriver


@pytest.fixture(params=["memory", "simulator"])
def hub(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A hub whose invariants are checked all the time, and once more at the end."""
    driver = MemoryDriver() if request.param == "memory" else SimulatorDriver(request.getfixturevalue("scene"))
    yield driver
    driver.check()
