"""The gate's rules, each a function from the comparison to reasons."""
