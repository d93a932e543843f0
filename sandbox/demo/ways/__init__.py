"""``make demo-all``: one account for each way of sharing, in one world, and a table of what was promised and is so."""
