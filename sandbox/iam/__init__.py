"""IAM: roles, policies and decisions, and what each call of each service needs."""

from sandbox.iam.decisions import Decision, refusal
from sandbox.iam.roles import Role
from sandbox.iam.service import Iam

__all__ = ["Decision", "Iam", "Role", "refusal"]
