"""What is done: each kind of record has its worker, and each message group one class here. All AWS is behind ports."""
