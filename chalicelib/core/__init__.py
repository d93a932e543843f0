"""Decisions. Standard library only: no AWS, no clock, no environment."""
