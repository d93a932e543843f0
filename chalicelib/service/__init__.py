"""What is done: each kind of record has one class here. All AWS is behind ports."""
