"""The files that the guide tells readers to write: complete, with existing names and the guide's values."""

import json
import re
from pathlib import Path

import pytest
import yaml

from ami_promoter.cli import main
from tools import templates_docs

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = (ROOT / "docs" / "guide" / "deploy.md").read_text(encoding="utf-8")


def fences(language: str) -> list[str]:
    """The fenced blocks of the deploy guide in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DEPLOY, re.MULTILINE | re.DOTALL)


def resources(text: str) -> dict[tuple[str, str], str]:
    """Type and name -> body of each resource, in HCL that `terraform fmt` has formatted."""
    found = re.findall(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return {(kind, name): body for kind, name, body in found}


TERRAFORM = {key: body for text in fences("hcl") for key, body in resources(text).items()}
TEMPLATES = {
    ("aws_cloudformation_stack", "hub"): ".chalice/extras/",
    ("aws_cloudformation_stack", "target"): "deploy/target.yaml",
    ("aws_cloudformation_stack_set", "targets"): "deploy/target.yaml",
}


def test_six_lines_are_a_targets_file(tmp_path, capsys):
    """The minimal file is valid, and has the external id that the guide gives each target."""
    (text,) = fences("yaml")
    file = tmp_path / "targets.yaml"
    file.write_text(text, encoding="utf-8")

    assert main(["targets", "validate", str(file), "--region", "eu-central-1"]) == 0, capsys.readouterr().err
    assert len(text.splitlines()) == 6
    assert f"ExternalId={yaml.safe_load(text)['defaults']['external_id']}" in DEPLOY


def test_terraform_deploys_every_template_and_is_whole():
    """Braces and quotes are balanced, and every line is in a block."""
    for text in fences("hcl"):
        outside = re.sub(r'^resource "\w+" "\w+" \{\n.*?^\}', "", text, flags=re.MULTILINE | re.DOTALL)
        assert outside.strip() == ""
        assert text.count("{") == text.count("}")
        assert all(line.count('"') % 2 == 0 for line in text.splitlines())
    assert TEMPLATES.keys() <= TERRAFORM.keys()


@pytest.mark.parametrize("resource", TEMPLATES, ids=".".join)
def test_terraform_gives_the_parameters_that_the_guide_gives(resource):
    """Each exists in its template and has the value of the guide's commands; no required one is missing."""
    template = next(one for one in templates_docs.templates() if one.file == TEMPLATES[resource])
    given = dict(re.findall(r'^    (\w+) += "(.*)"$', TERRAFORM[resource].split("parameters = {")[1], re.MULTILINE))
    needed = {name for name, what in template.content["Parameters"].items() if "Default" not in what}

    assert needed <= given.keys() <= template.content["Parameters"].keys()
    assert [f"{name}={value}" for name, value in given.items() if f"{name}={value}" not in DEPLOY] == (
        ["RoleRegion=eu-central-1"] if "stack_set" in resource[0] else []
    )


def test_terraforms_names_lead_to_resources_of_the_guide():
    """Each reference names an existing resource, and each stack may create named roles."""
    references = {tuple(found) for body in TERRAFORM.values() for found in re.findall(r"(aws_\w+)\.(\w+)\.", body)}

    assert references
    assert references - TERRAFORM.keys() == set()
    assert all(json.dumps(["CAPABILITY_NAMED_IAM"]) in TERRAFORM[resource] for resource in TEMPLATES)
