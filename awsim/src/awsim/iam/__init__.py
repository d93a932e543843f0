"""IAM: roles, policies, decisions, and the permissions that each call needs."""

from awsim.iam.decisions import Decision, refusal
from awsim.iam.roles import Role
from awsim.iam.service import Iam

__all__ = ["Decision", "Iam", "Role", "refusal"]
