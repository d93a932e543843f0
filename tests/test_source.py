"""Rules about the source that no linter checks."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from chalicelib.core.faults import count

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py"))]
FOLDERS = ("chalicelib", "ami_promoter", "awsim", "demo", "bench", "tools", "tests")
WAITING = {"sleep", "get_waiter", "wait"}


def waits(source: str) -> list[str]:
    """Names in the source by which a function would wait."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    names = (call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls)
    return sorted(WAITING.intersection(names))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_handler_sleeps_or_waits(path):
    """An event or a wake starts each step; no function is billed while it waits for a copy."""
    assert waits(path.read_text()) == []


@pytest.mark.parametrize("source", ["import time\ntime.sleep(1)", "ec2.get_waiter('snapshot_completed').wait()"])
def test_the_check_for_waiting_can_fail(source):
    """It finds a planted example."""
    assert waits(source)


SHOWN = [path for folder in ("chalicelib", "ami_promoter", "demo") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_leaves_the_plural_to_the_reader(path):
    """``1 target(s)`` is no English; `chalicelib.core.faults.count` writes a number with its noun."""
    texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    assert [text for text in texts if isinstance(text, str) and re.search(r"[a-z]\(e?s\)(?![|*?+])", text)] == []


@pytest.mark.parametrize(("number", "said"), [(0, "0 deliveries"), (1, "1 delivery"), (1000, "1,000 deliveries")])
def test_a_number_is_written_with_its_noun(number, said):
    """One, or several."""
    assert count(number, "delivery", "deliveries") == said


def test_no_two_classes_have_one_name():
    """A class name has one meaning."""
    where = defaultdict(set)
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                where[node.name].add(str(path.relative_to(ROOT)))

    assert {name: files for name, files in where.items() if len(files) > 1} == {}
