"""Adapters: the implementation of each port, and the only code that uses boto3."""
