"""One external system each; each translates its errors in one place."""
