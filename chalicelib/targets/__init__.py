"""Targets: the applied file, members, withdrawals, recalls, pins and approvals."""
