"""A promotion: one source AMI on its way to its targets."""
