"""deploy/cli-*.json: what the command line's policies may read is no broader than IAM can express."""

import json
from importlib.resources import files

import pytest

from tests.templates.conftest import ROOT

POLICIES = sorted((ROOT / "deploy").glob("cli-*.json"))
REFERENCE = json.loads((files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text(encoding="utf-8"))
"""AWS's service authorization reference, as cfn-lint ships it."""


def allowed(path) -> list[tuple[str, str]]:
    """(action, resource) of each thing that a policy allows."""
    every = json.loads(path.read_text(encoding="utf-8"))["Statement"]
    resources = [(one, [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"]) for one in every]
    return [(action, resource) for one, listed in resources for action in one["Action"] for resource in listed]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_only_what_knows_no_resource_is_allowed_on_everything(path):
    """Where IAM can name images, snapshots, queues, buses or topics, the policy does."""
    for action, resource in allowed(path):
        service, _, name = action.partition(":")
        known = REFERENCE[service]["Actions"][name.lower()].get("Resources", ())
        assert bool(known) == (resource != "*"), action


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_no_policy_reads_all_of_iam(path):
    """Only `doctor` asks who may approve, for somebody to whom an administrator gives that right."""
    assert not [action for action, _ in allowed(path) if action.startswith("iam:")]
