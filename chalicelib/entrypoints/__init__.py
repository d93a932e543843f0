"""What an invocation begins with: an event becomes a wake, a wake becomes a worker's run."""
