"""Use cases: order reading, asking, writing and acting; one class for each kind of record. They use ports only."""
