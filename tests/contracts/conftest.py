"""Every contract runs against the in-memory stores and against DynamoDB (moto in process)."""

import pytest

from tests.stores import in_memory, on_dynamodb


@pytest.fixture(params=["memory", "dynamo"])
def store(request):
    """All four stores of one table."""
    if request.param == "memory":
        yield in_memory()
        return
    with on_dynamodb() as stores:
        yield stores
