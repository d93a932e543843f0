"""The console output of a launch test: its end, bounded, as text."""

import pytest

from chalicelib.delivery.aws.target_instances import MOST_OF_THE_CONSOLE, escaped


@pytest.mark.parametrize("output", ["x" * 10_000, "\x1b" * 10_000, "\U0001f642\r\n" * 10_000])
def test_a_long_console_output_is_kept_bounded_with_its_end(output):
    """Also where each of its characters takes ten when it is escaped: it is stored on the delivery's record."""
    kept = escaped(f"{output}\npanic")

    assert len(kept) <= MOST_OF_THE_CONSOLE
    assert kept.endswith("panic")
