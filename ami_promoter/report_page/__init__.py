"""The page that ``report`` writes: reads the table, computes what to show, and renders HTML."""
