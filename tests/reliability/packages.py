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
    return f"{RAISES}\n{ast.unparse(_Raising().visit(ast.parse(mutation_of(name))))}\n"


class _Raising(ast.NodeTransformer):
    """Changes what is assigned to members of the service's modules and classes."""

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        into_service = any(isinstance(target, ast.Attribute) for target in node.targets)
        return ast.Assign(node.targets, ast.Name("raises"), lineno=0) if into_service else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node  # a mutation's own

    visit_FunctionDef = visit_ClassDef  # type: ignore[assignment]


def mutated_package(directory: Path, mutation: str) -> str:
    """Unpack the project's part of the built package, import a mutation there, and return the directory."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        own = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, own)
    (directory / "mutation.py").write_text(mutation, encoding="utf-8")
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\nimport mutation  # noqa: F401\n", encoding="utf-8")
    return str(directory)
