"""``make bench``: what the service takes, beside the least possible and beside what people do today. Counts, ratios."""
