"""``make demo-release``: waves, a boot that fails, a recall and a clean-up end as the story says."""

import re

import pytest

from demo.__main__ import main

pytestmark = pytest.mark.thorough


def test_the_story_ends_well_and_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """Every promise at its end is kept; each act shows what a person types and receives."""
    status = main(["--releases"])
    said = capsys.readouterr().out

    assert status == 0, said
    assert "✗" not in said
    assert said.count("✓") == 6
    assert [int(number) for number in re.findall(r"^(\d)\. ", said, re.MULTILINE)] == [1, 2, 3, 4, 5]
    assert len(re.findall(r"(dev|qa|prod) +delivered ami-\w+; /golden/base/current names it$", said, re.MULTILINE)) == 9
    assert "failed: The AMI" in said
    assert max(map(len, said.splitlines())) <= 100
    assert "Kernel panic" in said
    assert "a wave is stopped: 1 delivery to 'dev' failed" in said
    assert len(re.findall(r"(dev|qa|prod) +recalled ami-", said)) == 3
    assert "prod (444444444444) us-east-1: instance i-" in said
    assert "Removed: 2 AMIs." in said
    assert "\x1b" not in said
