"""The access monitor's decisions: what a CloudTrail event says was done, and whether the ledger accounts for it."""
