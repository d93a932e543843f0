"""The worker of pointers."""
