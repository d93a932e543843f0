"""Delivery: one AMI to one target."""
