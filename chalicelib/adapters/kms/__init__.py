"""Adapters of KMS."""
