"""Targets: the applied file, members, withdrawals and approvals."""
