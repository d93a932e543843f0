"""The words that the glossary replaced do not come back, neither in the docs nor in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AWS_WORDS = ROOT / "docs" / "reference" / "aws-facts.md"
"""Quotes AWS, whose words are its own."""
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {AWS_WORDS})
SOURCES = ("app.py", "chalicelib", "ami_promoter", "awsim", "demo", "bench", "tools", "tests")

REPLACED: Mapping[str, str] = {
    r"absorb(s|ed|ing)?": "evolve",
    r"astir": "scheduled",
    r"before us": "preexisting",
    r"bells?": "wake",
    r"census(es)?": "inventory",
    r"destinations?": "copy quota, or target",
    r"doors?": "permission adapter, or permission",
    r"heard": "received",
    r"hinder(s|ed|ing)?": "blocked, or delay",
    r"hints?": "wake",
    r"lanes?": "message group",
    r"laws?": "invariant",
    r"not(e|es|ed)": "wake, or write",
    r"perform(s|ed|ing)?": "execute, or do",
    r"rang|rings?|ringing|rung": "wake",
    r"sandbox": "simulator",
    r"settles?|settled|settling": "share worker",
    r"survey(s|ed)?": "inventory",
    r"told": "notified",
    r"trash": "to_delete",
}
"""In prose, as a regular expression of whole words -> what to write instead."""

PROSE: Mapping[str, str] = {
    r"anew": "again",
    r"bears?|bore|borne": "has, or had",
    r"ere|lest|thus|whence|wherein": "plain words",
    r"for ever": "without end, or always",
    r"mend(s|ed|ing)?": "repair",
    r"nobody told": "say which event was lost",
    r"of ours|ours": "the service's, or the hub's",
    r"shall": "must, or will",
    r"whoever|whomever|whosoever": "name the actor",
}
"""Not replaced by a term, but not plain English either."""

IN_NAMES: Mapping[str, str] = {
    "absorb": "evolve",
    "astir": "scheduled",
    "bell": "wake",
    "census": "inventory",
    "destination": "copy quota",
    "door": "permission adapter",
    "heard": "outstanding",
    "hindered": "blocked",
    "hint": "wake",
    "lane": "message group",
    "law": "invariant",
    "laws": "invariants",
    "rings": "wakes",
    "rung": "woken",
    "settle": "share worker",
    "survey": "inventory",
    "told": "notified",
    "trash": "to_delete",
}
"""A word of an identifier (``settle_share`` and ``SettleShare`` both have ``settle``) -> what to use instead."""

CODE = re.compile(
    r"^(`{3,}|~{3,}).*?^\1"  # a block
    r"|(`+)(?!`).*?(?<!`)\2(?!`)"  # a span
    r"|<!--.*?-->|\]\([^)\s]*\)|https?://\S+",  # a comment, where a link leads, an address
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4,}|\t).*\n|\n)+")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def prose(page: Path) -> str:
    """Return a page's text without code, links' targets and comments; line breaks stay."""
    text = CODE.sub(lambda code: "\n" * code[0].count("\n"), page.read_text(encoding="utf-8"))
    return INDENTED.sub(lambda code: "\n" * code[0].count("\n"), text)


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def words(name: str) -> set[str]:
    """Take an identifier apart: ``copy_quota`` and ``CopyQuota`` are copy and quota."""
    return {word.lower() for word in WORD.findall(name)}


def modules() -> Iterator[Path]:
    """Every file of Python in the repository."""
    for source in SOURCES:
        path = ROOT / source
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_glossarys_words(page):
    """And no word that slows a reader. Names of the code stand in code font, and are not looked at."""
    found = [
        f"{page.relative_to(ROOT)}:{number}: '{hit[0]}': write {instead}"
        for number, line in enumerate(prose(page).splitlines(), 1)
        for pattern, instead in {**REPLACED, **PROSE}.items()
        for hit in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", line, re.IGNORECASE)
    ]

    assert found == []


def test_names_use_the_glossarys_words():
    """Identifiers and file names."""
    found = set()
    for path in modules():
        of_file = {path.stem, *names(ast.parse(path.read_text(encoding="utf-8")))}
        found |= {f"{path.relative_to(ROOT)}: {name}" for name in of_file if words(name) & set(IN_NAMES)}

    assert sorted(found) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A `bell` rings.", "A  rings."),
        ("```\nlaw\n```\nLaw.", "\n\n\nLaw."),
        ("Do:\n\n    told you\n\nThen.", "Do:\n\n\n\nThen."),
        ("[told](a.md#told) <!-- hint -->", "[told "),
    ],
)
def test_code_is_no_prose(tmp_path, text, left):
    """What is left is what a person wrote in words."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    assert prose(page).strip() == left.strip()


def test_an_identifier_is_taken_apart():
    """However it is written."""
    assert words("KeyPolicyDoor") == words("key_policy_door") == {"key", "policy", "door"}
    assert words("KMSDoor2") == {"kms", "door"}
