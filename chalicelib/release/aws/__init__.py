"""Parameter Store in a target."""
