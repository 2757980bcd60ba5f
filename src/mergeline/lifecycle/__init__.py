"""One module a verb: gather, let the core decide, apply."""
