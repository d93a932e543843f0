"""Operators' questions about what is in a target."""
