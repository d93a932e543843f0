"""Every contract runs against the in-memory stores and against DynamoDB (moto in process)."""

import pytest

from tests.stores import in_memory, on_dynamodb


@pytest.fixture(params=["memory", "dynamo"])
def store(request, monkeypatch):
    """All four stores of one table."""
    if request.param == "memory":
        yield in_memory()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with on_dynamodb() as stores:
        yield stores
