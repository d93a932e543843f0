"""Targets: the applied file, the organization, preflight checks, copy quotas and inventories."""
