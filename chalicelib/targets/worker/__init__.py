"""Orders reading, asking, writing and acting."""
