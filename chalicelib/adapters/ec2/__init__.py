"""Adapters of EC2."""
