"""IAM: roles, policies, decisions, and the permissions that each call needs."""

from awsim.iam.decisions import FOREIGN_KEY, Decision, refusal
from awsim.iam.roles import Role
from awsim.iam.service import Iam

__all__ = ["FOREIGN_KEY", "Decision", "Iam", "Role", "refusal"]
