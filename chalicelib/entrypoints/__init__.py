"""Entry points: turn an event into a wake, and a message into a worker's run."""
