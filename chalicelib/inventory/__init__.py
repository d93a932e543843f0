"""Operators' questions about what the service has made in a target."""
