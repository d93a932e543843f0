"""Mutated packages: the built package with one protection removed, to show that the tests find out."""

import ast
import zipfile
from pathlib import Path

from tests.reliability.machine import ROOT

MUTATIONS = Path(__file__).parent / "mutations"
RAISES = """
class Replaced(Exception):
    pass


def raises(*_, **__):
    raise Replaced("by the meta-test")

"""


def mutation_of(name: str) -> str:
    """Return the source of ``mutations/NAME.py``."""
    return (MUTATIONS / f"{name}.py").read_text(encoding="utf-8")


def raising(name: str) -> str:
    """Return a mutation that replaces the same parts of the service by functions that raise."""
    return RAISES + "\n".join(ast.unparse(_raising(one)) for one in ast.parse(mutation_of(name)).body)


def _raising(statement: ast.stmt) -> ast.stmt:
    """Let an assignment to a member of a module or class assign what raises."""
    if isinstance(statement, ast.For):
        statement.body = [_raising(one) for one in statement.body]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
        statement.value = ast.Name("raises")
    return statement


def mutated_package(directory: Path, mutation: str) -> str:
    """Unpack the project's part of the built package, import a mutation there, and return the directory."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        own = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, own)
    (directory / "mutation.py").write_text(mutation, encoding="utf-8")
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\nimport mutation  # noqa: F401\n", encoding="utf-8")
    return str(directory)
