"""A delivery: one AMI on its way to one target."""
