"""KMS: keys, policies, aliases, and grants that work and end late."""

from awsim.services.kms.records import KmsGrant, KmsKey
from awsim.services.kms.service import Kms

__all__ = ["Kms", "KmsGrant", "KmsKey"]
