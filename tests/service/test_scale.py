"""Large numbers on a slow AWS, in samples; `make soak` plays the numbers that the service is designed for."""

import pytest

from tests.service.scale import SAMPLE, cases

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("case", list(cases(SAMPLE)), ids=lambda case: f"{case.what}{', one slice' * bool(case.dying)}")
def test_many_come_to_their_end_on_a_slow_aws(case):
    """Calls take up to two seconds; functions are killed at their limit, or right after each slice."""
    case.play()
