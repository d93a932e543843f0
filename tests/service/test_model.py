"""Whatever happens to the service, the invariants hold at each moment, and the sweep alone brings all to its end."""

import pytest
from hypothesis import settings

from tests.service.model import Model

pytestmark = pytest.mark.thorough

Model.TestCase.settings = settings(max_examples=100, stateful_step_count=25)


class TestModel(Model.TestCase):
    """Hypothesis plays the same cases in every run; `make soak` plays others."""
