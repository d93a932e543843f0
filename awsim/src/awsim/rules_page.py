"""The page ``docs/rules.md``, from the rules' declarations: ``python -m awsim.rules_page`` prints it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import awsim
from awsim.rules import ALL, Rule

HEAD = """\
# Rules

<!-- `python -m awsim.rules_page` writes this page. Do not edit it. -->

Each rule is one behaviour of AWS that the simulator plays, with its source and a switch ([how to add one](../README.md#add-a-rule)).
[AWS facts](aws-facts.md) has the sections that the sources name.
"""  # noqa: E501 - one sentence on each line
SERVICES = {
    "cfn": "CloudFormation",
    "cloudformation": "CloudFormation",
    "cloudtrail": "CloudTrail",
    "cloudwatch": "CloudWatch",
    "dynamodb": "DynamoDB",
    "ec2": "EC2",
    "events": "EventBridge",
    "iam": "IAM",
    "kms": "KMS",
    "lambda": "Lambda",
    "org": "Organizations",
    "sns": "SNS",
    "sqs": "SQS",
    "ssm": "Systems Manager",
    "sts": "STS",
}
"""What a rule's name begins with -> the service it is of."""
EVERYWHERE = "All services"
FACT = re.compile(r"(?P<fact>.*?)\s*\[(?P<source>[^\[\]]+)\]", re.DOTALL)


def page() -> str:
    """Return the page as the declarations have it."""
    return f"{HEAD}\n" + "\n".join(_table())


def split(rule: Rule) -> tuple[str, str]:
    """Return what a rule says and its source. Raises ValueError for one without a source."""
    found = FACT.fullmatch(rule.fact)
    if found is None:
        raise ValueError(f"rule {rule.name} does not end in a source, as in [SQS API reference, SendMessage]")
    return found["fact"].removesuffix("."), found["source"]


def _table() -> Iterator[str]:
    _import_all()
    unproven = sum("UNVERIFIED" in rule.fact or "assumed" in rule.fact for rule in ALL.values())
    yield f"{len(ALL)} rules; of {unproven} something is not proven by AWS's documentation.\n"
    by_service: dict[str, list[Rule]] = {}
    for name in sorted(ALL):
        by_service.setdefault(SERVICES.get(name.split("-", 1)[0], EVERYWHERE), []).append(ALL[name])
    for service in sorted(by_service, key=lambda one: (one != EVERYWHERE, one)):
        yield f"## {service}\n\n| rule | what AWS does | source |\n|---|---|---|"
        for rule in by_service[service]:
            fact, source = split(rule)
            yield f"| `{rule.name}` | {_cell(fact)} | {_cell(source)} |"
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _import_all() -> None:
    """Import every module of the simulator: rules are declared where they are enforced."""
    for module in pkgutil.walk_packages(awsim.__path__, "awsim."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    print(page(), end="")
