"""Decisions as pure functions. Standard library only: no AWS, no clock, no environment."""
