"""Calls to AWS, by boto3."""
