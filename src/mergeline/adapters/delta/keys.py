"""Keys that name rows in more than one file of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from mergeline.adapters.delta.state import State
from mergeline.core.data.diff import SharedKeys

_EXAMPLES = 3


def shared_keys(state: State, key: Sequence[str], added: Collection[str]) -> SharedKeys:
    """Keys of the `added` files that another file of the version has too.

    Only files whose bounds in the log overlap in every column of the key are read, and of those
    only the key.
    """
    read = _overlapping(state.adds, key, added)
    if not read:
        return SharedKeys(tuple(key), 0)
    names = _inner(key)
    files = []
    for name in read:
        rows = state.storage.scan(name)
        place = rows.collect_schema().names().index  # by place: a name may be a pattern to Polars
        keys = rows.select(pl.nth(place(column)).alias(inner) for column, inner in names.items())
        marks = {"files": pl.lit(1), "is_added": pl.lit(name in added)}
        files.append(keys.unique().with_columns(**marks))
    shared = (
        pl.concat(files)
        .group_by(list(names.values()))
        .agg(pl.col("files").sum(), pl.col("is_added").any())
        .filter((pl.col("files") > 1) & pl.col("is_added"))
        .select(list(names.values()))
        .collect(engine="streaming")
    )
    examples = shared.sort(list(names.values())).head(_EXAMPLES)
    return SharedKeys(
        key=tuple(key),
        count=shared.height,
        examples=tuple(", ".join(map(str, row)) for row in examples.iter_rows()),
    )


def _inner(key: Sequence[str]) -> dict[str, str]:
    """Names to work with: a column may be named like one of ours."""
    return {column: f"key{place}" for place, column in enumerate(key)}


def _overlapping(adds: pl.DataFrame, key: Sequence[str], added: Collection[str]) -> list[str]:
    """Files that may share a key with another one, at least one of the two added."""
    names = _inner(key)
    bounds = adds.select(
        "path",
        *(
            (pl.col(bound) if bound in adds.columns else pl.lit(None)).alias(f"{side} {inner}")
            for column, inner in names.items()
            for side in ("min", "max")
            for bound in [f"{side}.{column}"]
        ),
    )
    fresh = bounds.filter(pl.col("path").is_in(list(added)))
    overlap = pl.col("path") != pl.col("path_right")
    for inner in names.values():
        overlap &= (pl.col(f"min {inner}") <= pl.col(f"max {inner}_right")).fill_null(value=True)
        overlap &= (pl.col(f"max {inner}") >= pl.col(f"min {inner}_right")).fill_null(value=True)
    pairs = bounds.join(fresh, how="cross").filter(overlap)
    return sorted({*pairs["path"], *pairs["path_right"]})
