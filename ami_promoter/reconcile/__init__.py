"""AWS compared with the records: what differs, and what repairs it."""
