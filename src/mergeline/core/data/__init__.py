"""Snapshots of tables: what they hold, how they differ, and what is wrong with a drop."""
