"""awsim's README is right: its example runs, and it names every part and every injection."""

import inspect
import re
from pathlib import Path

import pytest

import awsim
from awsim import rules_page
from awsim.injections import Injections
from awsim.rules import Rule

HERE = Path(awsim.__file__).parent
PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
ASKED_BY_THE_WORLD = {"after", "arrivals", "as_of", "before", "calm", "loses", "twin"}


def test_the_first_example_runs() -> None:
    """Without any addition."""
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None

    exec(compile(example[1], "awsim/README.md", "exec"), {})  # noqa: S102 - the repository's text


def test_every_part_is_named() -> None:
    """The table of parts has each module and package of the folder."""
    modules = {f"`{path.name}`" for path in HERE.glob("*.py")} - {"`__init__.py`"}
    packages = {f"`{path.parent.name}/`" for path in HERE.glob("*/__init__.py")}
    parts = README[README.index("## Parts") : README.index("## Injections")]

    assert {name for name in modules | packages if name not in parts and not name.startswith("`moto_")} == set()


def test_every_injection_is_named() -> None:
    """The table of injections has each method."""
    methods = {name for name, _ in inspect.getmembers(Injections, inspect.isfunction) if not name.startswith("_")}

    assert {name for name in methods - ASKED_BY_THE_WORLD if f"`{name}`" not in README} == set()


def test_a_rule_of_one_service_stands_with_that_service() -> None:
    """The rules left for all services belong to none."""
    table = rules_page.page()
    everywhere = table[table.index(f"## {rules_page.EVERYWHERE}") : table.index("## CloudFormation")]
    expected = ["expired-credentials-refused", "killed-invocation-makes-no-call"]

    assert re.findall(r"^\| `([\w-]+)` \|", everywhere, re.MULTILINE) == expected


def test_the_page_of_rules_is_fresh() -> None:
    """`python -m awsim.rules_page` would print the same."""
    assert (PROJECT / "docs" / "rules.md").read_text(encoding="utf-8") == rules_page.page()


def test_a_rule_without_a_source_is_refused() -> None:
    """The table of rules cannot be written with such a rule."""
    with pytest.raises(ValueError, match="does not end in a source"):
        rules_page.split(Rule("sqs-example", "A queue is a queue."))
