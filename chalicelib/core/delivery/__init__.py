"""A delivery brings one AMI to one target."""
