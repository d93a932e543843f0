"""A permission that nothing needs is found, and the list of exceptions holds nothing that no policy has."""

from __future__ import annotations

import json

from tools.needed import excuses, faults, logged
from tools.permissions import statements

READ, WRITE = ("worker", "KeepRecords", "dynamodb:Query"), ("worker", "KeepRecords", "dynamodb:PutItem")


def test_an_action_that_no_call_needed_is_named():
    """Unless the list says who asks for it."""
    [fault] = faults({READ, WRITE}, {READ}, set())

    assert fault.startswith("worker, KeepRecords: no call needed dynamodb:PutItem.")
    assert list(faults({READ, WRITE}, {READ}, {WRITE})) == []


def test_a_line_of_the_list_that_outlived_its_permission_is_named():
    """Else the list would grow for ever."""
    [fault] = faults({READ}, {READ}, {WRITE})

    assert fault.endswith("in no policy.")


def test_every_line_of_the_list_is_a_permission_and_has_a_source():
    """The list as it stands."""
    every = {(it.role, it.sid, action) for it in statements() for action in it.actions}

    assert excuses().keys() <= every
    assert all(excuses().values())


def test_what_several_processes_wrote_down_counts_together(tmp_path):
    """Each has a file of its own; the first test by name stands for an action."""
    (tmp_path / "1.json").write_text(json.dumps([[*READ, ["test_b.py::one"]]]))
    (tmp_path / "2.json").write_text(json.dumps([[*READ, ["test_a.py::one"]], [*WRITE, ["test_c.py::one"]]]))

    assert logged(tmp_path) == {READ: "test_a.py::one", WRITE: "test_c.py::one"}
