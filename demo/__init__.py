"""``make demo``: one promotion to its end, before one's eyes, and a verdict that can be negative."""
