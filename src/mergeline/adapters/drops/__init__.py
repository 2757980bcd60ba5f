"""Drops: one raw file becomes one typed Parquet file, or is refused."""

from __future__ import annotations

from mergeline.adapters.drops.convert import convert

__all__ = ["convert"]
