"""The targets file: read, checked, compiled, compared and applied."""
