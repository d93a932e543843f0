"""The docs say what the code does: links work, lists are complete, examples come from the code."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from awsim.patterns import matches
from chalicelib.delivery.machine import TRANSITIONS as DELIVERY
from chalicelib.delivery.phase import DeadlinePassed
from chalicelib.engine import addresses, notices
from chalicelib.engine.ports import Write
from chalicelib.entry.events import Events
from chalicelib.promotion.evolving import started
from chalicelib.promotion.machine import TRANSITIONS as PROMOTION
from chalicelib.sharing.machine import TRANSITIONS as SHARE
from tests.fakes import MemoryRecords, SentWakes
from tools import docs, events, state_machine

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MOST_WORDS = 46_500
"""Of the hand-written pages."""
FAULTS = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, by GitHub's rules."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    """Each relative link names an existing file, and one of its headings."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = []
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def links(page: Path) -> set[Path]:
    found = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
    return {(page.parent / link).resolve() for link in found if "://" not in link}


def test_every_page_is_two_clicks_from_the_index():
    """The README links to the index."""
    index = ROOT / "docs" / "index.md"
    near = {page for page in links(index) if page.suffix == ".md"}
    reached = {index, *near}.union(*(links(page) for page in near))

    assert index in links(ROOT / "README.md")
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_pages_of_one_purpose_are_listed_by_the_index_itself():
    """One click; the decisions have their own index."""
    listed = links(ROOT / "docs" / "index.md")
    purposes = [page for page in PAGES if page.parent.parent == ROOT / "docs" and page.parent.name != "decisions"]

    assert [str(page.relative_to(ROOT)) for page in purposes if page not in listed] == []


GENERATED = {*docs.PAGES, *docs.RUN, "docs/reference/benchmarks.md", "docs/reference/cost.md"}
FACTS = {"docs/explanation/assumptions.md"}
"""About AWS: a list that is as long as what is not proven. `awsim/docs/aws-facts.md` is the other one."""


def words(page: Path) -> int:
    """How many words of a page somebody has written by hand; tables that `make docs` or `make bench` writes do not."""
    generated = f"{docs.TABLES}|<!-- bench -->.*?<!-- /bench -->"
    return len(re.sub(generated, "", page.read_text(encoding="utf-8")).split())


def test_what_users_read_is_an_evenings_reading():
    """The first shelf of the index; what only a maintainer needs is on the last, what is looked up between them."""
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    shelves = dict(zip(*[iter(re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    shelf = {ROOT / "docs" / page for page in re.findall(r"\]\(([\w./-]+\.md)\)", shelves["For users"])}

    assert list(shelves) == ["For users", "To look up", "For those who review or change the code"]
    assert len(shelf) >= 10
    assert sum(map(words, shelf)) <= 20_000


def test_the_hand_written_pages_stay_few():
    """Say once what would be said twice: pages that are generated, and the lists of facts, do not count."""
    pages = {str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}

    assert sum(words(page) for name, page in pages.items() if name not in GENERATED | FACTS) <= MOST_WORDS


@pytest.mark.parametrize("name", sorted(name for name in {**docs.PAGES, **docs.RUN} if re.match(r"docs/.*\.md", name)))
def test_generated_pages_say_so(name):
    """In their text, and in the index."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    line = re.search(rf"^\| \[.*\]\({re.escape(name.removeprefix('docs/'))}\) \| .*$", index, re.MULTILINE)

    assert "This page is generated from " in (ROOT / name).read_text(encoding="utf-8")
    assert line
    assert line[0].endswith("(*generated*) |")


def test_the_readme_names_the_two_commands_and_they_exist():
    """A new reader types them first."""
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")

    for command in ("demo", "test"):
        assert f"**`make {command}`**" in README
        assert re.search(rf"^{command}:", recipes, re.MULTILINE)


POINTER = re.compile(r"`([\w.]+)` in `([\w./-]+\.(?:py|json|yaml))`")


def test_what_a_page_names_in_a_file_stands_there():
    """For "`this` in `that.py`", the file contains the text."""
    pointers = {found for page in PAGES for found in POINTER.findall(page.read_text(encoding="utf-8"))}
    lost = [f"{name} in {path}" for name, path in pointers if name not in (ROOT / path).read_text(encoding="utf-8")]

    assert len(pointers) > 10
    assert sorted(lost) == []


def fault_codes() -> Iterator[str]:
    """Every fault code of the code, as regular expressions: a computed part matches any word."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "chalicelib").rglob("*.py"))]
    assigned = [one for tree in trees for one in tree.body if isinstance(one, ast.Assign)]
    texts = [
        (name.id, one.value.value) for one in assigned if isinstance(one.value, ast.Constant) for name in one.targets
    ]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault"):
            continue
        assert node.args, f"the code comes first: {ast.unparse(node)}"
        match node.args[0]:
            case ast.Constant(value=str(code)):
                yield re.escape(code)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield from (text for known, text in texts if known == name and re.fullmatch("[a-z-]+", str(text)))
            case ast.JoinedStr(values=parts):
                yield "".join(re.escape(part.value) if isinstance(part, ast.Constant) else r"[\w…-]+" for part in parts)


def literals() -> set[str]:
    """Every text of the code with the form of a fault code: some codes are in tables, or composed."""
    return {
        node.value
        for package in ("chalicelib", "ami_promoter")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[a-z-]+", node.value)
    }


def test_every_fault_code_says_what_to_do():
    """Each has a row in docs/reference/faults.md; `name-…` is a family there."""
    documented = set(re.findall(r"`([\w…-]+)`", FAULTS))
    families = tuple(re.escape(known.removesuffix("…")) for known in documented if known.endswith("-…"))
    codes = {code for code in fault_codes() if not code.startswith(families)}

    assert len(codes) > 40
    assert sorted(code for code in codes if not any(re.fullmatch(code, known) for known in documented)) == []
    ends = ("launching", "stopping", "tidying", "recalling", "restoring")
    fails = [state for state, row in DELIVERY.items() if DeadlinePassed in row and state not in ends]
    assert {"aws-throttled", "aws-unreachable", *(f"deadline-{state}" for state in fails)} <= documented
    assert {
        f"{side}-key-not-{what}" for side in ("source", "target") for what in ("enabled", "symmetric")
    } <= documented


def test_no_fault_is_documented_that_nobody_makes():
    """The service or the command line can report each code in the tables of docs/reference/faults.md."""
    first_cells = re.findall(r"^\| (`[^|]+`)", FAULTS, re.MULTILINE)
    documented = {code for cell in first_cells for code in re.findall(r"`([\w-]+)`(?!…)", cell)}
    codes, spelt_out = set(fault_codes()), literals() | {"more"}

    assert [one for one in documented - spelt_out if not any(re.fullmatch(known, one) for known in codes)] == []


@pytest.mark.parametrize("name", sorted({**docs.PAGES, **docs.PARTS}))
def test_generated_pages_are_fresh(name):
    """`make docs` would change nothing."""
    assert (ROOT / name).read_text(encoding="utf-8") == {**docs.PAGES, **docs.PARTS}[name]()


def test_every_kind_of_notice_has_an_example_made_by_the_code():
    """One without needs an example of a parameter, by its name; each example matches the documented schema."""
    examples = events.examples()

    assert len(events.KINDS) > 12
    assert set(examples) == set(events.KINDS)
    assert {name for example in examples.values() for name in example} == set(events.FIELDS)


def test_the_sample_of_a_shared_ami_names_the_hubs_key():
    """docs/guide/consume.md promises the ARN of the key that a launch needs."""
    examples = events.examples()

    assert examples["delivery.shared"]["key"].split(":")[4] == events.HUB
    assert examples["delivery.delivered"]["key"].split(":")[4] == events.TARGET


def test_the_documented_filter_policies_let_through_what_they_promise():
    """Evaluated on the examples' message attributes; group is a list, as SNS sends it."""
    reported = {
        kind: {name: json.loads(value) if name in notices.LISTS else value for name, value in attributes.items()}
        for kind, attributes in ((kind, notices.attributes(example)) for kind, example in events.examples().items())
    }
    passed = {
        wanted: {kind for kind, attributes in reported.items() if matches(policy, attributes)}
        for wanted, policy in {**events.FILTER_POLICIES, "group dev": {"group": ["dev"]}}.items()
    }

    assert passed == {
        "What my account can use": {"delivery.delivered", "delivery.shared"},
        "What my account loses": {"delivery.withdrawn", "delivery.recalled"},
        "What an approver must look at": {"promotion.awaiting-approval"},
        "Everything of a group": set(),
        "What a person must look at": {
            "delivery.failed",
            "delivery.waiting-for-role",
            "promotion.wave-stopped",
            "promotion.refused",
        },
        "One build's images": {"delivery.delivered"},
        "group dev": {kind for kind in reported if kind.startswith("delivery.")},
    }


@pytest.mark.parametrize("name", sorted(events.samples()))
def test_each_sample_fits_its_pattern_and_is_taken(name):
    """The sample matches its bus's rule and the target's forwarding rule, and wakes the record that it is about."""
    sample, patterns = events.samples()[name], events.patterns()
    records, sent = MemoryRecords(), SentWakes()
    promotion, delivery = addresses.promotion(events.AMI), addresses.delivery("b1e2")
    for key in (promotion, delivery):
        records.create(Write(key, "running", {}, None), events.NOW)
    where = (events.TARGET, events.REGION)
    for looked_up in (addresses.copy_lookups(*where, events.SNAPSHOT), addresses.image_lookups(*where, events.COPIED)):
        records.put(addresses.lookup(looked_up, "b1e2"), {"delivery": "b1e2"})
    hears = Events(records, sent, hub=events.HUB, region=events.REGION, trigger_tag="promote")
    receivers = {
        "on-tag-change": hears.tag_change,
        "on-image-state": hears.image_state,
        "on-target-event": hears.target_event,
    }
    receiver = events.RULES[name][0]

    receivers[receiver](sample)

    assert matches(patterns[name], sample)
    forwarding = [pattern for rule, pattern in patterns.items() if rule == f"forward-{name.removeprefix('target-')}"]
    assert [matches(pattern, sample) for pattern in forwarding] == [True] * (receiver == "on-target-event")
    assert sent.woken == [delivery.pk if receiver == "on-target-event" else promotion.pk]


def test_the_state_machine_page_has_every_state_and_event():
    """Each state says what it waits for, unless it has ended."""
    page, tables = state_machine.page(), (DELIVERY, PROMOTION, SHARE)
    states = [state for table in tables for state in table]
    names = {event.__name__ for table in tables for row in table.values() for event in row}

    assert [state for state in states if f"| `{state.value}` | " not in page] == []
    assert sorted(name for name in names if f"| {name} | " not in page) == []
    assert page.count("nothing: it has ended") == sum(not row for row in DELIVERY.values())


def test_the_check_of_assumptions_is_a_shell_script_without_a_slip():
    """The shell parses it, and it asks KMS for the grant that the service creates."""
    from chalicelib.sharing.aws.grants import OPERATIONS  # noqa: PLC0415 - the only test that needs boto3

    script = ROOT / "docs" / "explanation" / "check-assumptions.sh"
    text = script.read_text(encoding="utf-8")

    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False).stderr == ""
    granted = re.search(r"^operations=\((.*)\)$", text, re.MULTILINE)
    assert granted
    assert tuple(granted[1].split()) == OPERATIONS


def python_lines(number: int, *words: str) -> list[dict[str, Any]]:
    """The policy that Python lines of the script print, run as it runs them: in the repository, nothing installed."""
    text = (ROOT / "docs" / "explanation" / "check-assumptions.sh").read_text(encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "-S", "-", *words],
        input=text.split("<<'PYTHON'\n")[number].split("\nPYTHON\n")[0],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": "."},
    )
    return json.loads(said.stdout)["Statement"]


@pytest.mark.parametrize("asked", ["copy snap-0a snap-0b", "copy wide", "image snap-0a", "register", "roles", "look"])
def test_the_check_of_assumptions_asks_sts_with_the_services_own_policies(asked):
    """With the right on the snapshots that are asked for."""
    source, own = (f"arn:aws:kms:us-east-1:{account}:key/k" for account in ("1" * 12, "2" * 12))
    policy = python_lines(1, "2" * 12, "us-east-1", "1" * 12, source, own, *asked.split())

    assert ("snap-0a" in json.dumps(policy)) == ("snap-0a" in asked)
    assert {statement["Effect"] for statement in policy} == {"Allow"}


def test_the_check_of_assumptions_writes_parameters_under_the_services_own_policy():
    """One spelling of the parameter's ARN, or a right less."""
    both, one = (
        [statement["Resource"] for statement in python_lines(2, "arn:p", "/n/current", *words)]
        for words in (("both", "none"), ("2", "ec2:DescribeImages"))
    )

    assert both == [["arn:p/n/current", "arn:p//n/current"], "*"]
    assert one == ["arn:p//n/current"]


def test_a_new_promotion_is_what_the_page_says():
    """The diagram starts with a new promotion's state."""
    begun = started(events.AMI, events.HUB, events.REGION, events.NOW)

    assert f"[*] --> {begun.state.value}" in state_machine.page()


SECURITY = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_security_page_names_exists():
    """A name without a folder is of the folder that was named before it."""
    folder, missing = "", []
    for name in re.findall(r"`([a-z_/]*test_[a-z_]+\.py)`", SECURITY):
        folder = name.rpartition("/")[0] or folder
        missing += [name] if not (ROOT / folder / name.rpartition("/")[2]).exists() else []

    assert missing == []


NAMES_A_TEST = r"`[a-z_/]*test_[a-z_]+\.py`"


def test_the_recipes_are_columns_of_a_terminal():
    """`make help` lists every documented recipe; each text begins in one column and ends within 80."""
    said = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    recipes = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert [line.split()[1] for line in lines] == recipes
    assert [line for line in lines if len(line) > 80 or line[19] != " " or line[20] == " "] == []


def test_each_section_and_each_row_of_who_can_do_what_names_its_tests():
    """What is at stake is no claim; under a heading with bold beginnings each of them has its own."""
    sections = re.split(r"^## ", SECURITY, flags=re.MULTILINE)[1:]
    claims = [part for one in sections for part in (re.split(r"^(?=\*\*)", one, flags=re.MULTILINE)[1:] or [one])]
    rows = [
        row for row in SECURITY.splitlines() if row.startswith("| ") and "| can |" not in row and row.count("|") == 5
    ]

    unproved = [claim.partition("\n")[0] for claim in (*claims, *rows) if not re.search(NAMES_A_TEST, claim)]
    assert [one for one in unproved if not one.startswith(("What is at stake", "| ---"))] == []
