"""Rules about the source that no linter checks."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from chalicelib.delivery.model import DeliveryState
from demo.stage import STATELESS

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py"))]
FOLDERS = ("chalicelib", "ami_promoter", "awsim", "demo", "bench", "tools", "tests")
TESTS = ("tests", "awsim/tests")
WAITING = {"sleep", "get_waiter", "wait"}
SHARED = [path for path in SHIPPED if ".".join(path.relative_to(ROOT).parts).startswith(STATELESS)]
SURROUNDINGS = {"time", "os", "sys", "random", "secrets", "uuid", "socket", "pathlib", "tempfile", "subprocess"}
CLOCKS = {"now", "utcnow", "today"}
CHANGING = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def waits(source: str) -> list[str]:
    """Names in the source by which a function would wait."""
    nodes = [*ast.walk(ast.parse(source))]
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    names = [call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls]
    names += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    return sorted(WAITING.intersection(names))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_handler_sleeps_or_waits(path):
    """An event or a wake starts each step; no function is billed while it waits for a copy."""
    assert waits(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(1)", "from time import sleep as s", "ec2.get_waiter('snapshot_completed').wait()"],
)
def test_the_check_for_waiting_can_fail(source):
    """It finds a planted example."""
    assert waits(source)


def kept(source: str) -> set[str]:
    """Names of a module that its own code changes after the import."""
    tree = ast.parse(source)
    assigned = (n for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign))
    targets = (t for n in assigned for t in (n.targets if isinstance(n, ast.Assign) else [n.target]))
    named = {target.id for target in targets if isinstance(target, ast.Name)}
    changed = set()
    for node in ast.walk(tree):
        match node:
            case ast.Global(names=names):
                changed |= set(names)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in CHANGING:
                changed.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                changed.add(name)
    return changed & named


def test_modules_that_simulated_environments_share_keep_nothing():
    """Lambda gives each environment modules of its own; the simulator may share those in which that shows nothing."""
    assert len(SHARED) > 100
    assert {path: kept(path.read_text()) for path in SHARED if kept(path.read_text())} == {}


@pytest.mark.parametrize(
    "source", ["A = []\ndef f(): A.append(1)", "A: int = 0\ndef f():\n  global A", "A = {}\nA[1] = 2"]
)
def test_the_check_for_what_is_kept_can_fail(source):
    """It finds what it is there to find."""
    assert kept(source) == {"A"}


def test_no_two_classes_have_one_name():
    """A class name has one meaning."""
    where = defaultdict(set)
    for path in (ROOT / "app.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))):
        for name in re.findall(r"(?m)^class (\w+)", path.read_text(encoding="utf-8")):
            where[name].add(str(path.relative_to(ROOT)))

    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def asks_its_surroundings(source: str) -> list[str]:
    """Names in the source by which it would know the time, the environment, a file or a random text."""
    tree = ast.parse(source)
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    clocks = [f"{n.value.id}.{n.attr}" for n in ast.walk(tree) if isinstance(n, ast.Attribute) and is_clock(n)]
    return sorted({*clocks, *({name.partition(".")[0] for name in modules} & SURROUNDINGS)})


def is_clock(node: ast.Attribute) -> bool:
    """Whether it is ``datetime.now`` or the like."""
    return isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date") and node.attr in CLOCKS


def test_no_room_knows_the_time_the_environment_or_a_random_text():
    """Stores, calls to AWS and the construction apart: these hand them in."""
    rooms = (path for path in (ROOT / "chalicelib").rglob("*.py") if not {"aws", "store", "entry"} & {*path.parts})
    found = {path: names for path in rooms if (names := asks_its_surroundings(path.read_text("utf-8")))}

    assert found == {}


@pytest.mark.parametrize(
    "source", ["import time", "from os import environ", "import secrets as s", "datetime.now()", "date.today()"]
)
def test_the_check_for_surroundings_can_fail(source):
    """It finds planted examples."""
    assert asks_its_surroundings(source)


def test_a_state_of_a_delivery_is_named_by_its_phase_and_one_worker_at_most():
    """What happens in a state is read in one file, beside model and outcomes: others ask a property, or a row.

    A worker of promotions names the outcome of a delivery that has no record to say it.
    """
    where = defaultdict(list)
    beside = {ROOT / "chalicelib" / "delivery" / name for name in ("model.py", "outcomes.py")}
    for path in {*(ROOT / "chalicelib").rglob("*.py")} - beside:
        for state in set(re.findall(r"DeliveryState\.([A-Z_]+)", path.read_text("utf-8"))):
            where[state].append(path.parent.name)

    assert set(where) == set(DeliveryState.__members__)
    assert {tuple(sorted(folders)) for folders in where.values()} == {("phases",), ("phases", "worker")}


def test_no_test_file_imports_another():
    """What several need stands in a module beside them; the registry of removed protections runs tests of others."""
    files = (path for folder in TESTS for path in (ROOT / folder).rglob("test_*.py"))

    assert [path.name for path in files if imported_tests(path.read_text("utf-8"))] == []


def imported_tests(source: str) -> list[str]:
    """What the source imports of test files, anywhere in it."""
    nodes = [*ast.walk(ast.parse(source))]
    names = [f"{one.module}.{alias.name}" for one in nodes if isinstance(one, ast.ImportFrom) for alias in one.names]
    names += [alias.name for one in nodes if isinstance(one, ast.Import) for alias in one.names]
    return [name for name in names if re.search(r"(?:^|\.)test_", name)]


@pytest.mark.parametrize(
    "source", ["from a import (\n  test_b,\n)", "def f():\n  from a.test_b import c", "import a.test_b"]
)
def test_the_check_for_imports_can_fail(source):
    """It finds planted examples."""
    assert imported_tests(source)


def test_every_test_states_a_behaviour_in_its_docstring():
    """The linter does not ask for it: helpers of tests, and the simulator's checks, need none."""
    trees = (
        ast.parse(path.read_text(encoding="utf-8")) for folder in TESTS for path in (ROOT / folder).rglob("test_*.py")
    )
    tests = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    assert [one.name for one in tests if one.name.startswith("test_") and not ast.get_docstring(one)] == []


def test_every_part_of_the_soak_names_a_module_that_has_its_cases():
    """A part loads its module only when it has its turn, so a module that moved would end a soak after minutes."""
    named = re.findall(r'_elsewhere\(\s*"([a-z_.]+)"', (ROOT / "tests" / "soak.py").read_text("utf-8"))
    lacking = [name for name in named if "\ndef run(" not in (ROOT / f"{name.replace('.', '/')}.py").read_text("utf-8")]

    assert len(named) > 5
    assert lacking == []
