"""KMS as this project needs it: keys, their policies, aliases, and grants that come and go late."""

from awsim.services.kms.records import KmsGrant, KmsKey
from awsim.services.kms.service import Kms

__all__ = ["Kms", "KmsGrant", "KmsKey"]
