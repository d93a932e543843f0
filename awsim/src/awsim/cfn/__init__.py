"""CloudFormation: deploys templates, and deletes their stacks."""

from awsim.cfn.api import CloudFormation
from awsim.cfn.deployment import deploy, read
from awsim.cfn.model import Made, Stack, TemplateError
from awsim.cfn.removal import delete

__all__ = ["CloudFormation", "Made", "Stack", "TemplateError", "delete", "deploy", "read"]
