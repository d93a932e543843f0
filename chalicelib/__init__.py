"""ami-promoter: moves golden AMIs from a hub account to its targets, re-encrypted, leaving nothing open."""
