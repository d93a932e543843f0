"""Builds and checks; nothing of it ships."""
