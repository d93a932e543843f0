"""Rules about the source that no linter checks."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

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


def test_no_two_classes_have_one_name():
    """A class name has one meaning."""
    where = defaultdict(set)
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                where[node.name].add(str(path.relative_to(ROOT)))

    assert {name: files for name, files in where.items() if len(files) > 1} == {}
