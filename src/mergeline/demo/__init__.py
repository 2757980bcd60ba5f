"""The whole story, played on this machine."""
