"""Adapters of STS."""
