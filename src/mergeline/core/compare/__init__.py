"""Models compared on the same rows."""
