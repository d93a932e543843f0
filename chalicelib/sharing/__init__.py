"""Sharing: the ledger of shares, who is entitled to one, and the permissions at AWS."""
