"""The scoring server and its client."""
