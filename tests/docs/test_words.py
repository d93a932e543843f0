"""Words that the glossary replaced do not come back, in docs, names, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "awsim" / "README.md"})
SETTINGS = sorted(
    [
        ROOT / "pyproject.toml",
        ROOT / "awsim" / "pyproject.toml",
        ROOT / "Makefile",
        ROOT / ".pre-commit-config.yaml",
        ROOT / ".ci" / "run",
        *(ROOT / ".chalice").rglob("*.yaml"),
        *(ROOT / "deploy").glob("*.yaml"),
    ]
)
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
"""A regular expression of whole words in prose -> what to write instead."""

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
"""Words that no term of the glossary replaces, but that are not plain English."""

IN_CODE: Mapping[str, str] = {
    r"dies|died": "is killed, crashes, or fails",
    r"hears?": "receive, or read",
    r"receives? of": "receive, or read",
    r"we|us|our": "the service, or the hub",
}
"""Words that docstrings and comments avoid besides."""

IN_NAMES: Mapping[str, str] = {
    "absorb": "evolve",
    "astir": "scheduled",
    "bell": "wake",
    "book": "the thing's own name",
    "census": "inventory",
    "destination": "copy quota",
    "door": "permission adapter",
    "duet": "two invocations",
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
    "universe": "run",
    "vigil": "checks",
    "weather": "arrivals, or message injections",
}
"""A word of an identifier (``settle_share`` and ``SettleShare`` both contain ``settle``) -> what to use instead."""

IDENTIFIERS: Mapping[str, str] = {
    "Child": "TrackedDelivery",
    "Deed": "TrailAction",
    "GRACE": "the deadline's own name",
    "hard_close_at": "last_closing_at",
    "hard_end": "must_close_at",
    "holder_key": "share_name",
    "ghosts": "unrecorded",
    "overdue_at": "last_look",
    "past_caring": "deadline_acted",
    "strays": "derived_grants",
    "whole_intended_at": "copy_image_intended_at",
}
"""An identifier that was replaced, as some of its words are good elsewhere -> what to use instead."""

CODE = re.compile(
    r"^(`{3,}|~{3,}).*?^\1"  # a block
    r"|(`+)(?!`).*?(?<!`)\2(?!`)"  # a span
    r"|<!--.*?-->|\]\([^)\s]*\)|https?://\S+",  # a comment, where a link leads, an address
    re.MULTILINE | re.DOTALL,
)
SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4,}|\t).*\n|\n)+")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def prose(page: Path) -> str:
    """Return a page's text without code, links' targets and comments; line breaks stay."""
    text = CODE.sub(lambda code: "\n" * code[0].count("\n"), page.read_text(encoding="utf-8"))
    return INDENTED.sub(lambda code: "\n" * code[0].count("\n"), text)


def docstrings_and_comments(source: str) -> str:
    """Return a module's docstrings and comments on their lines, without code in backquotes; the other lines are empty.

    A string that stands alone in a line, such as the one below a constant, counts as a docstring.
    """
    kept = [""] * (source.count("\n") + 1)
    statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and statement):
            text = SPAN.sub(lambda code: "\n" * code[0].count("\n"), token.string)
            for number, line in enumerate(text.split("\n"), token.start[0] - 1):
                kept[number] += line
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return "\n".join(kept)


def hits(text: str, avoided: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Each avoided word in a text: the line, the word, and what to write instead."""
    either = "|".join(f"({pattern})" for pattern in (re.sub(r"\((?!\?)", "(?:", one) for one in avoided))
    for number, line in enumerate(text.split("\n"), 1):
        for hit in re.finditer(rf"(?<![\w-])(?:{either})(?![\w-])", line, re.IGNORECASE):
            yield number, hit[0], tuple(avoided.values())[(hit.lastindex or 1) - 1]


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module defines or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


@cache
def words(name: str) -> set[str]:
    """Split an identifier: ``copy_quota`` and ``CopyQuota`` are copy and quota."""
    return {word.lower() for word in WORD.findall(name)}


def modules() -> Iterator[Path]:
    """Every Python file of the repository."""
    for source in SOURCES:
        path = ROOT / source
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_glossarys_words(page):
    """Text in code font may have any name."""
    found = [
        f"{page.relative_to(ROOT)}:{number}: '{word}': write {instead}"
        for number, word, instead in hits(prose(page), {**REPLACED, **PROSE})
    ]

    assert found == []


def test_docstrings_and_comments_use_the_glossarys_words():
    """Text in backquotes may have any name."""
    avoided = {**REPLACED, **PROSE, **IN_CODE}
    found = [
        f"{path.relative_to(ROOT)}:{number}: '{word}': write {instead}"
        for path in modules()
        for number, word, instead in hits(docstrings_and_comments(path.read_text(encoding="utf-8")), avoided)
    ]

    assert found == []


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_comments_of_settings_use_the_glossarys_words(file):
    """Comments, and the reason that stands with each permission."""
    lines = file.read_text(encoding="utf-8").split("\n")
    text = "\n".join(line if file.name == "reasons.yaml" else line.partition("# ")[2] for line in lines)
    avoided = {**REPLACED, **PROSE, **IN_CODE}
    found = [f"{number}: '{word}': write {instead}" for number, word, instead in hits(SPAN.sub("", text), avoided)]

    assert found == []


def test_names_use_the_glossarys_words():
    """Identifiers and file names."""
    found = set()
    for path in modules():
        of_file = {path.stem, *names(ast.parse(path.read_text(encoding="utf-8")))}
        bad = (name for name in of_file if words(name) & set(IN_NAMES) or name in IDENTIFIERS)
        found |= {f"{path.relative_to(ROOT)}: {name}" for name in bad}

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
    """Code blocks, code spans, links' targets and comments are left out."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    assert prose(page).strip() == left.strip()


MODULE = """\
'''Told in the module.

More told.
'''
TOLD = "told"  # told beside
'''The `told` and ``a\nb told`` constant told.'''


def told(told: str = "# told") -> str:
    # told above
    return f"{told} told"
"""


def test_docstrings_and_comments_are_found_on_their_lines():
    """Names, other strings and code in backquotes are left out."""
    found = [(number, word) for number, word, _ in hits(docstrings_and_comments(MODULE), {"told": "notified"})]

    assert found == [(1, "Told"), (3, "told"), (5, "told"), (7, "told"), (11, "told")]


def test_an_identifier_is_taken_apart():
    """In each form of writing it."""
    assert words("KeyPolicyDoor") == words("key_policy_door") == {"key", "policy", "door"}
    assert words("KMSDoor2") == {"kms", "door"}
