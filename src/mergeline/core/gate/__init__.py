"""The gate: from a comparison to a verdict, with reasons."""
