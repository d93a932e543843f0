"""CloudFormation, as far as our templates go."""

from sandbox.cfn.deployment import deploy, read
from sandbox.cfn.model import Made, Stack, TemplateError

__all__ = ["Made", "Stack", "TemplateError", "deploy", "read"]
