"""Promotion: who is to have this AMI."""
