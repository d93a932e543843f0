"""IAM: roles, policies and decisions, and what each call of each service needs."""

from awsim.iam.decisions import Decision, refusal
from awsim.iam.roles import Role
from awsim.iam.service import Iam

__all__ = ["Decision", "Iam", "Role", "refusal"]
