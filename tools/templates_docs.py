"""The page docs/reference/parameters.md: parameters, outputs and fixed names of the templates, from their text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tools.package import MONITOR_STACK, merge_template
from tools.release import from_a_bucket

ROOT = Path(__file__).resolve().parent.parent

INTRO = """\
# Parameters, outputs and names

<!-- Generated: tools/templates_docs.py writes this page from the templates (`make docs`). -->

*This page is generated from the templates.*

For the person who deploys or reviews the stacks; the [deploy guide](../guide/deploy.md) says how to use them.
CloudFormation rejects an invalid value before it makes anything.
A parameter without a default is required; in an update, one that you leave out keeps its value.
`R` stands for the hub's Region, `HUB` for its account.
"""


@dataclass(frozen=True, slots=True)
class Template:
    """A template to describe: its file, what it is called here, and its content."""

    file: str
    title: str
    content: Mapping[str, Any]


def templates() -> tuple[Template, ...]:
    """Read the templates. The hub's and the monitor's are what is merged over Chalice's, as a release has them."""
    hub, monitor = (from_a_bucket(it, "package.zip") for it in (merge_template(), merge_template(MONITOR_STACK)))
    return (
        Template(".chalice/extras/", "The hub", hub),
        Template(".chalice/extras/monitor.yaml", "The access monitor", monitor),
        _read("deploy/target.yaml", "A target"),
        _read("deploy/target-stackset.yaml", "Targets by OU"),
        _read("deploy/organization.yaml", "The organization"),
        _read("deploy/hub-region.yaml", "Another Region of the hub"),
        _read("deploy/chat.yaml", "A chat channel"),
        _read("deploy/guardrails.yaml", "Guardrails"),
    )


def page() -> str:
    """Return the text of docs/reference/parameters.md."""
    return INTRO + "".join(part for template in templates() for part in _sections(template))


def names(template: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Every resource whose name is fixed: logical id -> the property that names it, and the name."""
    return {
        logical: (name, resource["Properties"][name])
        for logical, resource in template["Resources"].items()
        for name in NAMING
        if name in resource.get("Properties", {}) and resource.get("Type") not in NAMELESS
    }


NAMING = (
    "FunctionName",
    "RoleName",
    "LogGroupName",
    "TableName",
    "QueueName",
    "TopicName",
    "Name",
    "AliasName",
    "DashboardName",
    "StackSetName",
    "AlarmName",
)
"""Properties that name a resource; one that a template gives is a promise."""

NAMELESS = ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping", "AWS::Logs::QueryDefinition")
"""The first two name somebody else's function, not themselves; the last has a title for people."""


def _sections(template: Template) -> Iterator[str]:
    yield f"\n## {template.title}\n\nFrom `{template.file}`.\n"
    yield "\n| parameter | default | may be | meaning |\n| --- | --- | --- | --- |\n"
    for name, given in template.content["Parameters"].items():
        cells = (f"`{name}`", _default(given), _allowed(given), given["Description"])
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |\n"
    yield "\n| output | meaning |\n| --- | --- |\n"
    for name, given in template.content["Outputs"].items():
        yield f"| `{name}` | {_cell(given['Description'])} |\n"
    yield "\n| what | fixed name |\n| --- | --- |\n"
    for logical, (_, name) in names(template.content).items():
        yield f"| `{logical}` | `{_readable(name)}` |\n"


def _default(given: Mapping[str, Any]) -> str:
    if "Default" not in given:
        return "must be given"
    return "none" if given["Default"] == "" else f"`{given['Default']}`"


def _allowed(given: Mapping[str, Any]) -> str:
    if "AllowedValues" in given:
        return " or ".join(f"`{value}`" for value in given["AllowedValues"])
    return str(given["ConstraintDescription"]).rstrip(".")


def _cell(text: str) -> str:
    """A table's cell ends at a bar."""
    return text.strip().replace("|", "\\|")


def _readable(name: Any) -> str:
    text = next(iter(name.values())) if isinstance(name, Mapping) else name
    for variable, short in {"${AWS::Region}": "R", "${HubRegion}": "R", "${HubAccountId}": "HUB"}.items():
        text = text.replace(variable, short)
    return str(text)


def _read(file: str, title: str) -> Template:
    return Template(file, title, yaml_parse((ROOT / file).read_text(encoding="utf-8")))
