"""Tables of reference pages whose text stands in the code: log messages, records, invariants, settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ami_promoter.targets_file import settings as targets_schema
from tests.invariants import INVARIANTS

ROOT = Path(__file__).resolve().parent.parent / "chalicelib"
LEVELS = ("info", "warning", "error", "log")
"""How the code names what writes a line of the log."""
BESIDE = {
    "moved": ("of a delivery also `ami`", "`target_account`", "`target_region`", "`seconds`"),
    "share": ("more by kind",),
}
"""Fields that a caller adds to a message."""


def table(*rows: Sequence[str]) -> str:
    """Return rows of cells, the head first."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def invariants() -> str:
    """Return what the tests check, by the number of each invariant."""
    numbers = sorted({one.number for one in INVARIANTS})
    said = {number: " ".join(one.says for one in INVARIANTS if one.number == number) for number in numbers}
    return table(("invariant", "checked"), *((str(number), said[number]) for number in numbers))


def settings() -> str:
    """Return what the guide says of each setting of the targets file."""
    known = ((name, rule, rule["row"]) for name, rule in targets_schema.table().items() if "row" in rule)
    rows = (
        (f"`{name}`", row.get("default") or f"`{_written(rule['default'])}`", f"`{row['example']}`", row["meaning"])
        for name, rule, row in known
    )
    return table(("key", "default", "example", "meaning"), *rows)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def promotion_members() -> str:
    """Return the members of a promotion's record by the docstrings of the class."""
    (promotion,) = (
        node for node in _body("promotion/model.py") if isinstance(node, ast.ClassDef) and node.name == "Promotion"
    )
    rows = ((f"`{name}`", text) for name, text in documented(promotion.body))
    return table(("member of a promotion", "says"), *rows)


def documented(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each name that gets a value and has a docstring below, with that text on one line."""
    for member, below in pairwise(body):
        match member, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, _said(text)


def log_messages() -> str:
    """Return each message with its fields, and what the port ``Telemetry`` says of it."""
    port = {node.name: ast.get_docstring(node) for node in _methods("engine/ports.py", "Telemetry")}
    rows = []
    for method in _methods("entry/telemetry.py", "PowertoolsTelemetry"):
        for message, fields in _logged(method):
            names = (*(f"`{name}`" for name in fields), *BESIDE.get(message, ()))
            said = port.get(method.name) or ast.get_docstring(method) or ""
            rows.append((f"`{message}`", ", ".join(names), _said(said)))
    return table(("message", "fields", "says"), *rows)


def _body(path: str) -> Iterable[ast.stmt]:
    return ast.parse((ROOT / path).read_text(encoding="utf-8")).body


def _methods(path: str, name: str) -> Iterator[ast.FunctionDef]:
    for node in _body(path):
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield from (method for method in node.body if isinstance(method, ast.FunctionDef))


def _logged(method: ast.FunctionDef) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(method):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=name) | ast.Name(id=name),
                args=[ast.Constant(value=str(message))],
                keywords=fields,
            ) if name in LEVELS:
                yield message, [field.arg for field in fields if field.arg]


def _said(text: str) -> str:
    """Return a docstring as a cell."""
    return re.sub(r"\s+", " ", text).replace("``", "`").replace("|", "\\|").strip()
