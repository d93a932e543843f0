"""The table of rules in ``awsim/README.md``, from the rules' declarations."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import awsim
from awsim.rules import ALL, Rule

README = Path(__file__).resolve().parent.parent / "awsim" / "README.md"
BEGIN = "<!-- The table of rules is written by `make docs`. Do not edit it. -->"
END = "<!-- The end of the table of rules. -->"
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
    "sts": "STS",
}
"""What a rule's name begins with -> the service it is of."""
EVERYWHERE = "All services"
FACT = re.compile(r"(?P<fact>.*?)\s*\[(?P<source>[^\[\]]+)\]", re.DOTALL)


def page() -> str:
    """Return the README with the table as the declarations have it."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n" + "\n".join(_table()) + f"\n{END}{after}"


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
        yield f"### {service}\n\n| rule | what AWS does | source |\n|---|---|---|"
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
