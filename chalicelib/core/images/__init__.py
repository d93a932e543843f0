"""Images: their description, what a copy takes over, the request for the copy, and the comparison."""
