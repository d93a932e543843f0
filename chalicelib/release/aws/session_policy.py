"""The session policy under which a pointer's worker enters a target; `check-assumptions.sh` asks AWS with it, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.engine.aws.sessions import session_policy


def policy(arn: str, parameter: str) -> str:
    """Return the session policy for one parameter. ``arn``: that of all parameters there, without a name.

    AWS checks the AMI with the caller's rights, hence DescribeImages [aws-facts, Added end of November 2026, VERIFIED].
    For tags, a denial named the parameter with a second slash [pepperize/cdk-ssm-parameters-cross-region#442].
    """
    actions = ["ssm:GetParameter", "ssm:PutParameter", "ssm:AddTagsToResource", "ssm:DeleteParameter"]
    statements: list[Mapping[str, Any]] = [
        {"Effect": "Allow", "Action": actions, "Resource": [f"{arn}{parameter}", f"{arn}/{parameter}"]},
        {"Effect": "Allow", "Action": "ec2:DescribeImages", "Resource": "*"},
    ]
    return session_policy(*statements)


def retirement_policy(image: str) -> str:
    """Return the session policy for the deprecation of one AMI, by its ARN, and for the end of that."""
    actions = ["ec2:EnableImageDeprecation", "ec2:DisableImageDeprecation"]
    return session_policy({"Effect": "Allow", "Action": actions, "Resource": image})
