"""Whatever befalls the service: the invariants hold at each moment, and all comes to rest by the sweep alone."""

from __future__ import annotations

from hypothesis import settings

from tests.service.model import Model

Model.TestCase.settings = settings(max_examples=100, stateful_step_count=25)


class TestModel(Model.TestCase):
    """Found by hypothesis, the same cases in every run; `make soak` goes on with others."""
