"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from awsim.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Give a fresh world, entered: boto3 in this process talks to it and its clock stands at 2026-01-05 09:00 UTC."""
    with World() as made:
        yield made
