"""What the docs name exists: queries, messages, fields, metrics, alarms, commands, options, parameters, files."""

import re
import runpy
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.outcomes import OUTCOMES
from tests.delivery.examples import NOW, a_delivery
from tools import templates_docs

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ("template.yaml", "monitor.yaml")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDES = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Pages about this version only."""
RUNBOOK = (ROOT / "docs" / "operations" / "runbook.md").read_text(encoding="utf-8")
TELEMETRY = (ROOT / "docs" / "reference" / "telemetry.md").read_text(encoding="utf-8")
BUILT_IN = {"@timestamp", "message"}
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMAND = re.compile(r"ami-promoter ((?:[a-z][a-z-]*(?=\s|$) ?)+)(.*)")
FILE = re.compile(r"[\w./*-]+\.(?:py|yaml|json|sh|in|txt|md)")
MADE = ("build/", "targets.yaml", "policy.json")
"""Files that a command or the reader creates."""


@cache
def messages() -> dict[str, set[str]]:
    """Each message that the functions log -> its fields, as the generated table lists them."""
    found = {cells[0].strip("`"): set(SPAN.findall(cells[1])) for cells in rows(TELEMETRY, "Log messages")}
    found["share"].add("open_seconds")  # of some kinds
    return found


@cache
def metrics() -> set[str]:
    """Each metric that the functions count."""
    text = (ROOT / "chalicelib" / "entry/telemetry.py").read_text(encoding="utf-8")
    found = set(re.findall(r'(?:_count|_seconds)\(\s*"(\w+)"', text)) | set(re.findall(r'name="(\w+)"', text))
    found |= {outcome.metric for outcome in OUTCOMES.values() if outcome.metric}
    return found | set(re.findall(r'"((?:Shares|Values|Access)[A-Z]\w+)"', text))


def rows(text: str, heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (`.+) \|$", section, re.MULTILINE):
        yield [cell.strip() for cell in line.split(" | ")]


def code(page: Path) -> Iterator[str]:
    """The text in code font: each span, and each line of a block, with continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    yield from SPAN.findall(text)
    yield from re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


def test_the_line_of_a_delivery_lists_what_its_record_adds():
    """The rest of the table is generated from the calls."""
    assert set(DELIVERIES.about(a_delivery(), NOW)) <= messages()["moved"]


def test_every_metric_is_listed():
    """The list has no other metric."""
    listed = [name for cells in rows(TELEMETRY, "Metrics") for name in SPAN.findall(cells[0])]

    assert sorted(listed) == sorted(metrics())


def test_queries_ask_for_what_is_logged():
    """A query for another text or field would find nothing."""
    queries = re.findall(r"^ {4}((?:fields|filter) .+)$", RUNBOOK, re.MULTILINE)
    wrong = []
    for query in queries:
        asked = re.findall(r'message = "([^"]+)"', query)
        listed = re.findall(r"(?:fields|by) ([@\w, ]+)", query)
        wanted = {field.strip() for text in listed for field in text.split(",")}
        wanted |= set(re.findall(r"(?:avg|pct|max|ispresent)\((\w+)", query))
        known = set().union(*(messages().get(message, set()) for message in asked or messages()))
        wrong += [message for message in asked if message not in messages()]
        wrong += sorted(wanted - known - BUILT_IN)

    assert len(queries) >= 6
    assert wrong == []


def test_metrics_and_alarms_that_a_page_names_exist():
    """Wherever a page calls them metric or alarm."""
    templates = [yaml.safe_load((ROOT / "build" / "hub" / file).read_text(encoding="utf-8")) for file in PACKAGED]
    resources = {name: it["Type"] for template in templates for name, it in template["Resources"].items()}
    alarms = {name for name, kind in resources.items() if kind == "AWS::CloudWatch::Alarm"}
    text = "\n".join(page.read_text(encoding="utf-8") for page in GUIDES)

    assert set(re.findall(r"metric `(\w+)`", text)) - metrics() == set()
    assert set(re.findall(r"`(\w+Alarm)`", text)) - alarms == set()


@cache
def commands() -> dict[tuple[str, ...], set[str]]:
    """Each ami-promoter command that a page tells readers to type -> its options there."""
    found: dict[tuple[str, ...], set[str]] = {}
    for page in GUIDES:
        for line in code(page):
            for words, rest in COMMAND.findall(line):
                command = tuple(words.split()[:3])
                found.setdefault(command, set()).update(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest.partition("#")[0]))
    return found


@pytest.mark.parametrize("command", sorted(commands()), ids=" ".join)
def test_commands_that_a_page_names_exist(command, monkeypatch, capsys):
    """With the options given there."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["ami-promoter", *command, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("ami_promoter", run_name="__main__")
    said = capsys.readouterr()

    assert ended.value.code in (0, None), said.err
    assert [option for option in commands()[command] if option not in said.out] == []


def test_parameters_that_a_page_sets_exist():
    """``Name=value`` in code font, and in the commands to deploy."""
    known = {name for template in templates_docs.templates() for name in template.content["Parameters"]}
    given = {
        name
        for page in GUIDES
        if page.parent.name in {"guide", "operations"}
        for line in code(page)
        if line[:1].isupper() or "parameter-overrides" in line
        for name in re.findall(r"(?:^|(?<=\s))([A-Z]+[a-z][A-Za-z]*)=", line.rpartition("--parameter-overrides")[2])
    }

    assert len(given) > 8
    assert given - known == set()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    """From the repository's root, from chalicelib, or, for a test's bare name, anywhere below tests."""
    named = {
        name
        for span in SPAN.findall(page.read_text(encoding="utf-8"))
        if (name := span.removesuffix(":")) and FILE.fullmatch(name) and not name.startswith(MADE)
    }
    lost = {
        name
        for name in named
        if not any(any(folder.glob(name)) for folder in (ROOT, ROOT / "chalicelib"))
        and ("/" in name or not any((ROOT / where).rglob(name) for where in ("tests", "tools", "chalicelib")))
    }

    assert sorted(lost) == []


def test_each_number_of_an_invariant_or_decision_that_is_cited_exists():
    """In docs, code, tests and templates; and each invariant has its row of tests."""
    explanation = ROOT / "docs" / "explanation"
    invariants = re.findall(r"(?m)^## (\d+)\. ", (explanation / "invariants.md").read_text(encoding="utf-8"))
    tested = re.findall(r"(?m)^\| \[(\d+)\]\(invariants", (explanation / "reliability.md").read_text(encoding="utf-8"))
    known = {
        "invariant": set(invariants),
        "decision": {str(int(page.name[:4])) for page in (ROOT / "docs" / "decisions").glob("0*.md")},
    }
    folders = (".chalice", "chalicelib", "ami_promoter", "deploy", "tools", "tests", "docs")
    cited = {
        (kind.lower(), number)
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".md", ".yaml"}
        for kind, number in re.findall(r"(?i)\b(invariant|decision) (\d+)\b", file.read_text(encoding="utf-8"))
    }

    assert invariants == tested == [str(number) for number in range(1, len(invariants) + 1)]
    assert len(cited) > 20
    assert sorted((kind, number) for kind, number in cited if number not in known[kind]) == []
