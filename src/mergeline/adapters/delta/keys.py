"""Keys that name rows in more than one file of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from mergeline.adapters.delta.state import State
from mergeline.core.datadiff import SharedKeys

_EXAMPLES = 3


def shared_keys(state: State, key: Sequence[str], added: Collection[str]) -> SharedKeys:
    """Keys of the `added` files that another file of the version has too.

    Only files whose bounds in the log overlap in every column of the key are read, and of those
    only the key.
    """
    read = _overlapping(state.adds, key, added)
    if not read:
        return SharedKeys(tuple(key), 0)
    options = state.storage.options or None
    files = [
        pl.scan_parquet(state.storage.path(name), storage_options=options, glob=False)
        .select(key)
        .unique()
        .with_columns(files=pl.lit(1), is_added=pl.lit(name in added))
        for name in read
    ]
    shared = (
        pl.concat(files)
        .group_by(key)
        .agg(pl.col("files").sum(), pl.col("is_added").any())
        .filter((pl.col("files") > 1) & pl.col("is_added"))
        .select(key)
        .collect(engine="streaming")
    )
    examples = shared.sort(key).head(_EXAMPLES)
    return SharedKeys(
        key=tuple(key),
        count=shared.height,
        examples=tuple(", ".join(map(str, row)) for row in examples.iter_rows()),
    )


def _overlapping(adds: pl.DataFrame, key: Sequence[str], added: Collection[str]) -> list[str]:
    """Files that may share a key with another one, at least one of the two added."""
    bounds = adds.select(
        "path",
        *(pl.col(f"{side}.{name}") if f"{side}.{name}" in adds.columns else
          pl.lit(None).alias(f"{side}.{name}") for name in key for side in ("min", "max")),
    )  # fmt: skip
    fresh = bounds.filter(pl.col("path").is_in(list(added)))
    overlap = pl.col("path") != pl.col("path_right")
    for name in key:
        overlap &= (pl.col(f"min.{name}") <= pl.col(f"max.{name}_right")).fill_null(value=True)
        overlap &= (pl.col(f"max.{name}") >= pl.col(f"min.{name}_right")).fill_null(value=True)
    pairs = bounds.join(fresh, how="cross").filter(overlap)
    return sorted({*pairs["path"], *pairs["path_right"]})
