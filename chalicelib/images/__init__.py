"""Images: what a copy must equal."""
