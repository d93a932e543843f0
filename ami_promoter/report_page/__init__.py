"""The page that ``report`` writes: read from the table, computed, and rendered."""
