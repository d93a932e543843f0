"""KMS as this project needs it: keys, their policies, aliases, and grants that come and go late."""

from sandbox.services.kms.records import KmsGrant, KmsKey
from sandbox.services.kms.service import Kms

__all__ = ["Kms", "KmsGrant", "KmsKey"]
