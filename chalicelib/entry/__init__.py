"""What wakes the service, and the construction of its parts."""
