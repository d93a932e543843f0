"""The forge's workflows do what the repository's recipes do; `make lint` checks the rest with zizmor."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
TEST, RELEASE = (WORKFLOWS[name]["jobs"] for name in ("test.yml", "release.yml"))


def runs(job):
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_recipe_exists(name):
    """A workflow that cannot be tried here names no recipe that is gone."""
    recipes = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = " ".join(run for job in WORKFLOWS[name]["jobs"].values() for run in runs(job))
    named = re.findall(r"\bmake (\S+)", commands)

    assert named
    assert set(named) <= set(recipes)


def test_each_python_that_is_supported_is_tested():
    """Those that the contributor's page says the tests have run on."""
    tested = re.search(r"The tests have run on (3\.\d+) to (3\.\d+)", (ROOT / "CONTRIBUTING.md").read_text())
    pythons = TEST["test"]["strategy"]["matrix"]["python"]

    assert (pythons[0], pythons[-1]) == tested.groups()


def test_what_can_sign_or_publish_runs_nothing_of_the_repository():
    """Neither a recipe, nor an editable installation: a change of the sources cannot use the job's identity."""
    trusted = [job for job in RELEASE.values() if "write" in str(job["permissions"])]

    assert len(trusted) == 3
    assert [run for job in trusted for run in runs(job) if re.search(r"\bmake\b|python3? -m (?!venv)", run)] == []
    assert [run for job in trusted for run in runs(job) if "pip install" in run and "--require-hashes" not in run] == []


def test_what_is_published_was_tested_and_attested_and_has_the_tags_version():
    """Each job waits for the one before it."""
    assert {name: job.get("needs") for name, job in RELEASE.items()} == {
        "build": None,
        "attest": "build",
        "publish": "attest",
        "pypi": "attest",
    }
    tested = [f"make {suite} PYTHON=python" for suite in ("test", "test-thorough")]
    assert runs(RELEASE["build"]) == [*tested, 'make release TAG="$GITHUB_REF_NAME"']
