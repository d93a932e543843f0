"""What is done: each kind of record has its lane, and each lane one class here. All AWS is behind ports."""
