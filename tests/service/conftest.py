import pytest


@pytest.fixture
def credentials(monkeypatch):
    """Moto's clients need some credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
