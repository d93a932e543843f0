"""The hub's tables and AWS, read and written under the caller's credentials."""
