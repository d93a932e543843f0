"""The tables of docs/reference/faults.md: each code with its text and cure, read off the code.

A fault says what is wrong and what to do; the page repeats that by hand only where the code does not spell it out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "faults.md"
PACKAGES = ("chalicelib", "ami_promoter")
TABLE = re.compile(r"<!-- `make docs` writes this table of the codes (\S+) from the code\. -->\n")
"""Before each table; names the codes as a regular expression."""
HEAD = "| code | what it says | what to do |\n| --- | --- | --- |\n"
UNKNOWN = "…"
"""Stands for what a run fills in if no name says what that is."""
DEPTH = 6
"""A name that stands for a name is followed so far."""

Block = tuple[int, str]
"""Statements that follow each other: the node that contains them, and its field."""
Names = Mapping[str, ast.expr]


def page(end: str) -> str:
    """Return the page with its tables as the code has them.

    A code is in the first table that asks for it, and in none if the page has a row for it already. ``end`` is the
    line after each table.
    """
    text = PAGE.read_text(encoding="utf-8")
    by_hand = re.sub(f"(?s){TABLE.pattern}.*?{re.escape(end)}", "", text)
    written = {
        code for cell in re.findall(r"^\| (`[^|]+)", by_hand, re.MULTILINE) for code in re.findall("`(.*?)`", cell)
    }
    left = {code: rows for code, rows in sorted(_rows().items()) if code not in written}

    def table(mark: re.Match[str]) -> str:
        here = [code for code in left if re.fullmatch(mark[1], code)]
        rows = [f"| `{code}` | {what} | {cure} |\n" for code in here for what, cure in left.pop(code)]
        return f"{mark[0].partition(chr(10))[0]}\n\n{HEAD}{''.join(rows)}\n{end}"

    return re.sub(f"(?s){TABLE.pattern}.*?{re.escape(end)}", table, text)


def _rows() -> dict[str, dict[tuple[str, str], None]]:
    """Return each code with its texts and cures; capitals stand for what a run fills in."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for code, what, cure in _faults(path):
                found.setdefault(code, {})[what, cure] = None
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _constants(path: Path) -> Names:
    """Return a module's constants, those that it imports from the service's other modules included."""
    found: dict[str, ast.expr] = {}
    for node in _tree(path).body:
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith(PACKAGES):
                theirs = _imported(module)
                found |= {one.asname or one.name: theirs[one.name] for one in names if one.name in theirs}
                for one in names:
                    found |= {f"{one.name}.{name}": value for name, value in _imported(f"{module}.{one.name}").items()}
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                text = _text(value, found)
                found[name] = value if text is None else ast.Constant(text)
    return found


def _imported(module: str) -> Names:
    file = ROOT / f"{module.replace('.', '/')}.py"
    return _constants(file) if file.exists() else {}


def _faults(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield code, text and cure of each fault of a module for which all three can be read."""
    blocks = dict(_blocks(_tree(path), ()))
    assigned = [found for node in ast.walk(_tree(path)) for found in _assigned(node)]
    for node in ast.walk(_tree(path)):
        match node:
            case ast.Call(func=ast.Name(id="Fault") | ast.Attribute(attr="_fault"), args=[code, _, what, cure]):
                before = {
                    name: value
                    for name, value, line, where in assigned
                    if line < node.lineno and set(blocks[where]) <= set(blocks[id(node)])
                }
                name, *texts = (_text(part, {**_constants(path), **before}) or "" for part in (code, what, cure))
                if re.fullmatch(r"[a-z]+(-[a-z]+)+", name) and all(re.search("[a-z]{2}", text) for text in texts):
                    yield name, _cell(texts[0]), _cell(texts[1])


def _blocks(node: ast.AST, around: tuple[Block, ...]) -> Iterator[tuple[int, tuple[Block, ...]]]:
    """Yield each node's id with the blocks around it."""
    yield id(node), around
    for name, value in ast.iter_fields(node):
        inside = (*around, (id(node), name)) if name in ("body", "orelse", "handlers", "cases") else around
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _blocks(child, inside)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr, int, int]]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value)
        ):
            yield name, value, node.lineno, id(node)


def _text(node: ast.expr, names: Names, depth: int = DEPTH) -> str | None:
    """Return what an expression spells out, of two alternatives the longer one; None if it does not."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return str(value)
        case ast.JoinedStr(values=parts):
            return "".join(_part(part, names, depth) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = [text for side in (left, right) if (text := _text(side, names, depth)) is not None]
            return "".join(both) if len(both) == 2 else None
        case ast.IfExp(body=one, orelse=other):
            either = [text for side in (one, other) if (text := _text(side, names, depth)) is not None]
            return max(either, key=len) if len(either) == 2 else None
        case ast.BoolOp(op=ast.Or(), values=[*_, last]):
            return _text(last, names, depth)
        case ast.Name() | ast.Attribute(value=ast.Name()) if (name := ast.unparse(node)) in names and depth:
            return _text(names[name], names, depth - 1)
    return None


def _part(part: ast.expr, names: Names, depth: int) -> str:
    match part:
        case ast.FormattedValue(value=(ast.Name(id=name) | ast.Attribute(attr=name)) as value):
            return (name.isupper() and _text(value, names, depth)) or name.upper()
    return _text(part, names, depth) or UNKNOWN


def _cell(text: str) -> str:
    apart = re.sub(r"([A-Z]{2})(?=[A-Z][a-z]{2})", r"\1 ", text)
    return re.sub(r"\s+", " ", apart).replace("|", "\\|").strip()
