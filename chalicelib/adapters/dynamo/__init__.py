"""Adapters of DynamoDB: records, ledger, applied file, members and findings."""
