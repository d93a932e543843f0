"""The rim: each port's adapter, the only code that knows boto3."""
