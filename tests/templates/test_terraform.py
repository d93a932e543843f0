"""The Terraform modules, and the page's examples: whole, and true to the release and its templates.

Read with a parser; docs/guide/deploy-terraform.md says what else was checked.
"""

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from tests.templates.conftest import ROOT
from tools import templates_docs

MODULES = ROOT / "deploy" / "terraform"
PAGE = (ROOT / "docs" / "guide" / "deploy-terraform.md").read_text(encoding="utf-8")
TEMPLATES = {
    "hub": ("hub.yaml", ".chalice/extras/"),
    "target": ("target.yaml", "deploy/target.yaml"),
    "stack-set": ("target-stackset.yaml", "deploy/target-stackset.yaml"),
}
"""Module -> the released template that it deploys, and that template's source."""
ARGUMENTS = {
    "aws_cloudformation_stack": {
        "name",
        "template_body",
        "template_url",
        "capabilities",
        "parameters",
        "tags",
        "timeouts",
    },
    "aws_s3_object": {"bucket", "key", "source", "source_hash", "lifecycle"},
    "aws_s3_bucket": {"bucket"},
}
"""What the modules may use, as provider and Terraform document it. [terraform-provider-aws, website/docs/r and d]"""

Block = dict[str, Any]


def text_of(module: str) -> str:
    return (MODULES / module / "main.tf").read_text(encoding="utf-8")


def blocks(text: str, kind: str, labels: int) -> dict[tuple[str, ...], Block]:
    """Labels -> arguments of each block of a kind. Texts keep their quotes, other expressions are in ``${}``."""
    found: dict[tuple[str, ...], Block] = {}
    for one in hcl2.loads(text).get(kind, []):
        names: tuple[str, ...] = ()
        block = one
        while len(names) < labels:
            ((name, block),) = ((key, it) for key, it in block.items() if not key.startswith("__"))
            names += (name.strip('"'),)
        found[names] = {key: it for key, it in block.items() if not key.startswith("__")}
    return found


def calls() -> dict[str, Block]:
    """The page's examples: the module's folder -> its arguments."""
    text = "".join(re.findall(r"^```hcl\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    return {call["source"].strip('"').rpartition("/")[2]: call for call in blocks(text, "module", 1).values()}


def test_each_module_is_there_and_on_the_page():
    """Three of them."""
    assert {path.name for path in MODULES.iterdir()} == TEMPLATES.keys() == calls().keys()


@pytest.mark.parametrize("module", TEMPLATES)
def test_every_reference_leads_to_something_and_everything_is_used(module: str):
    """Variables, local values, resources and data."""
    text = text_of(module)
    made = {f"var.{name}" for (name,) in blocks(text, "variable", 1)}
    made |= {f"local.{name}" for it in blocks(text, "locals", 0).values() for name in it}
    resources = {".".join(labels) for labels in blocks(text, "resource", 2)}
    data = {f"data.{'.'.join(labels)}" for labels in blocks(text, "data", 2)}
    code = re.sub(r'^ *(description|#).*$|^(resource|data) "', "", text, flags=re.MULTILINE)
    used = set(re.findall(r"\b(?:(?:var|local)\.\w+|data\.\w+\.\w+|(?<!data\.)aws_\w+\.\w+)", code))

    assert used - resources == made | data


@pytest.mark.parametrize("module", TEMPLATES)
def test_it_uses_only_arguments_that_the_provider_documents(module: str):
    """Of resources and data."""
    found = {**blocks(text_of(module), "resource", 2), **blocks(text_of(module), "data", 2)}

    assert found
    assert [(type_, name) for (type_, _), it in found.items() for name in it if name not in ARGUMENTS[type_]] == []


@pytest.mark.thorough  # as all tests of a release
@pytest.mark.parametrize("module", TEMPLATES)
def test_it_deploys_the_released_template_as_cloudformation_takes_it(module: str, released: Path):
    """The file is in the release; as text it may have 51,200 bytes; one that makes named roles says so."""
    file, _ = TEMPLATES[module]
    (stack,) = [it for (type_, _), it in blocks(text_of(module), "resource", 2).items() if "stack" in type_]
    template = (released / file).read_text(encoding="utf-8")

    assert f"${{var.release}}/{file}" in text_of(module)
    assert ("template_body" in stack) == (len(template.encode()) <= 51_200)
    assert ("capabilities" in stack) == (module != "stack-set")
    if module == "hub":
        given = set(re.findall(r"(Package\w+) +?=", stack["parameters"]))
        assert given == {name for name in yaml.safe_load(template)["Parameters"] if name.startswith("Package")}
        assert len(list(released.glob("ami-promoter-hub-*.zip"))) == 1


def test_terraform_waits_for_a_stackset_as_long_as_cloudformation_does():
    """By default for 30 minutes, which many accounts exceed; it then takes a new stack for broken, and deletes it."""
    (stack,) = blocks(text_of("stack-set"), "resource", 2).values()
    (timeouts,) = stack["timeouts"]

    assert {name: it.strip('"') for name, it in timeouts.items() if not name.startswith("__")} == dict.fromkeys(
        ("create", "update", "delete"), "36h"
    )


def test_the_old_package_is_there_until_the_stack_is_updated():
    """Each object outlives the update, and the stack refers to it: a failed update is rolled back."""
    made = blocks(text_of("hub"), "resource", 2)
    stack = str(made["aws_cloudformation_stack", "hub"])
    objects = {name: block for (type_, name), block in made.items() if type_ == "aws_s3_object"}

    assert objects.keys() == {"package", "template"}
    for name, block in objects.items():
        assert block["lifecycle"][0]["create_before_destroy"] is True
        assert f"aws_s3_object.{name}." in stack


@pytest.mark.parametrize("module", TEMPLATES)
def test_an_example_gives_what_module_and_template_need(module: str):
    """Each variable without a default and no other; each parameter exists, and no required one is missing."""
    call, variables = calls()[module], blocks(text_of(module), "variable", 1)
    template = next(one for one in templates_docs.templates() if one.file == TEMPLATES[module][1])
    needed = {name for name, what in template.content["Parameters"].items() if "Default" not in what}
    given = {(name,) for name in call.keys() - {"source", "providers", "depends_on"}}

    assert {name for name, block in variables.items() if "default" not in block} <= given <= variables.keys()
    assert needed - {"PackageBucket"} <= call["parameters"].keys() <= template.content["Parameters"].keys()
