"""A permission that is withheld is missed: one of needed.yaml is played here, all of them by `make soak`."""

import random
import subprocess
import sys

import pytest

from tests.scenarios.without_permission import ROOT, fails, without
from tools.needed import DENIAL, proofs
from tools.policies import ONLY_IF

pytestmark = pytest.mark.thorough

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Two",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"],
            "Resource": "*",
            "Condition": {"StringEquals": {"a": "1", "b": "2"}},
        },
        {"Sid": "One", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"},
    ],
}


def test_a_policy_without_an_action_keeps_all_else():
    """Of one statement; it goes with its last action."""
    two, one = without(POLICY, "Two", "sqs:SendMessage")["Statement"]
    assert (two["Action"], one) == (["sqs:ReceiveMessage"], POLICY["Statement"][1])
    assert without(POLICY, "One", "sqs:SendMessage")["Statement"] == POLICY["Statement"][:1]


def test_a_policy_without_a_denial_keeps_all_else():
    """The whole statement goes."""
    assert without(POLICY, "Two", DENIAL)["Statement"] == POLICY["Statement"][1:]


def test_a_policy_without_a_condition_keeps_the_others():
    """By operator and key."""
    two, _ = without(POLICY, "Two", f"{ONLY_IF}StringEquals b")["Statement"]

    assert two["Condition"] == {"StringEquals": {"a": "1"}}
    assert two["Action"] == POLICY["Statement"][0]["Action"]


def test_each_test_that_is_named_for_a_permission_exists():
    """By its file, name and parameters: a renamed one would stand for a permission and run no more."""
    asked = ["--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", "tests/scenarios", "tests/stories"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    there = {line.rpartition("/")[2] for line in done.stdout.splitlines()}

    assert set(proofs().values()) - there == set()


def test_a_test_that_is_named_for_a_permission_fails_without_it():
    """The seed chooses one of the file."""
    permission, test = random.Random(13).choice(sorted(proofs().items()))

    assert fails(permission, test) == ""


def test_what_cannot_be_withheld_is_no_failing_test():
    """A condition that the statement does not have, or none at all: neither proves that a permission is needed."""
    (role, sid, _), test = min(proofs().items())

    assert "1 passed" in fails((role, sid, f"{ONLY_IF}StringNever aws:Nothing"), test)
    assert "cannot be withheld: ValueError(" in fails((role, sid, f"{ONLY_IF}nothing"), test)
