"""The check finds an unneeded permission, and an exception without a permission; and the two lists are whole."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
import yaml

from tests.scenarios.without_permission import folder_of
from tools.needed import actions, conditions, denials, excuses, faults, logged, proofs, stale
from tools.policies import ROOT

READ, WRITE = ("worker", "KeepRecords", "dynamodb:Query"), ("worker", "KeepRecords", "dynamodb:PutItem")


def test_an_action_that_no_call_needed_is_named():
    """Unless the list gives a source for it."""
    [fault] = faults({READ, WRITE}, {READ}, set())

    assert fault.startswith("worker, KeepRecords: no call needed dynamodb:PutItem.")
    assert list(faults({READ, WRITE}, {READ}, {WRITE})) == []


def test_a_line_of_the_list_that_outlived_its_permission_is_named():
    """Otherwise the list would only grow."""
    [fault] = faults({READ}, {READ}, {WRITE})

    assert fault.endswith("in no policy.")


EVERY = {*actions(), *conditions(), *denials()}


def test_each_permission_names_the_test_that_needs_it_or_a_source():
    """Each action, condition and denial of every role; no line outlived its permission."""
    assert {*proofs(), *excuses()} == EVERY
    assert proofs().keys().isdisjoint(excuses())
    assert all(excuses().values())


@pytest.mark.parametrize("file", ["needed", "reasons", "unexercised"])
def test_no_name_stands_twice(file):
    """YAML takes the last of two, and loses what stands below the first."""
    text = (ROOT / ".chalice" / "policies" / f"{file}.yaml").read_text(encoding="utf-8")
    assert list(twice(yaml.compose(text))) == []
    assert list(twice(yaml.compose("a: {b: 1, b: 2}"))) == ["b"]


def twice(node: yaml.Node) -> Iterator[str]:
    """Yield each key that a mapping has twice, at any depth."""
    if isinstance(node, yaml.MappingNode):
        names = Counter(key.value for key, _ in node.value)
        yield from (name for name, times in names.items() if times > 1)
        for _, value in node.value:
            yield from twice(value)


def test_what_several_processes_wrote_down_counts_together(tmp_path):
    """Each process has a file."""
    (tmp_path / "1.json").write_text(json.dumps([[*READ, ["test_b.py::one"]]]))
    (tmp_path / "2.json").write_text(json.dumps([[*READ, ["test_a.py::one"]], [*WRITE, ["test_c.py::one"]]]))

    assert logged(tmp_path) == {READ: {"test_a.py::one", "test_b.py::one"}, WRITE: {"test_c.py::one"}}


def test_a_test_that_no_longer_needs_its_permission_is_named():
    """Only if the log has the permission: a part of the tests proves nothing."""
    assert list(stale({READ: "test_a.py::one"}, {WRITE: {"test_a.py::one"}})) == []
    assert list(stale({READ: "test_a.py::one"}, {READ: {"test_a.py::one"}})) == []
    [fault] = stale({READ: "test_a.py::one"}, {READ: {"test_b.py::one"}})
    assert fault.startswith("worker, KeepRecords, dynamodb:Query: test_a.py::one does not need it any longer.")


def test_the_tests_that_are_named_exist():
    """Each file has a function of that name."""
    for test in set(proofs().values()):
        file, _, name = test.partition("[")[0].partition("::")
        assert f"\ndef {name}(" in (folder_of(test) / file).read_text(encoding="utf-8"), test
