"""Access monitor and drift audit: whether the ledger accounts for what AWS shows."""
