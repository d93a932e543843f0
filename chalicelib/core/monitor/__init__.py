"""Decisions of the access monitor and the drift audit: whether the ledger accounts for a call, or for what is open."""
