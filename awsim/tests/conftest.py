"""A simulator for each test of awsim."""

from collections.abc import Iterator

import pytest

from awsim.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Give a new simulator: boto3 in this process calls it, and its clock starts at 2026-01-05 09:00 UTC."""
    with World() as made:
        yield made
