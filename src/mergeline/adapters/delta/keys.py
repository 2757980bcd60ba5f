"""Keys that name rows in more than one file of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from mergeline.adapters.delta.state import State
from mergeline.adapters.delta.storage import Storage
from mergeline.core.data.diff import SharedKeys

_EXAMPLES = 3


def shared_keys(state: State, key: Sequence[str], added: Collection[str]) -> SharedKeys:
    """Keys of the `added` files that another file of the version has too.

    Only files whose bounds in the log overlap in every column of the key are read, and of those
    only the key.
    """
    return _shared(state.storage, state.adds, key, added)


def keys_in_several(
    storage: Storage, latest: State | None, key: Sequence[str], files: Collection[str]
) -> SharedKeys:
    """Keys that several of the files have, of which at least one is not in the latest version yet.

    What the latest version has is known by its log; of the other files the key is read.
    """
    known = latest.files.keys() & set(files) if latest else set()
    fresh = sorted(set(files) - known)
    if not fresh:
        return SharedKeys(tuple(key), 0)
    bounds = [_bounds_of(storage, name, key) for name in fresh]
    if latest and known:
        named = [f"{side}.{column}" for column in key for side in ("min", "max")]
        old = latest.adds.filter(pl.col("path").is_in(list(known)))
        bounds.append(old.select("path", *(name for name in named if name in old.columns)))
    return _shared(storage, pl.concat(bounds, how="diagonal_relaxed"), key, fresh)


def _bounds_of(storage: Storage, name: str, key: Sequence[str]) -> pl.DataFrame:
    """The least and the greatest of each key column, named as in a table's log."""
    keys = _keys(storage, name, key).collect()
    bounds = {}
    for column, inner in _inner(key).items():
        values = keys[inner]
        if values.dtype in {pl.Decimal, pl.Binary}:  # of which the log has none
            continue
        for side, bound in (("min", values.min()), ("max", values.max())):
            bounds[f"{side}.{column}"] = pl.Series([bound], dtype=values.dtype)
    return pl.DataFrame({"path": [name], **bounds})


def _keys(storage: Storage, name: str, key: Sequence[str]) -> pl.LazyFrame:
    """The key of each row of a file, by the names of `_inner`."""
    rows = storage.scan(name)
    place = rows.collect_schema().names().index  # by place: a name may be a pattern to Polars
    return rows.select(pl.nth(place(column)).alias(inner) for column, inner in _inner(key).items())


def _shared(
    storage: Storage, adds: pl.DataFrame, key: Sequence[str], added: Collection[str]
) -> SharedKeys:
    read = _overlapping(adds, key, added)
    if not read:
        return SharedKeys(tuple(key), 0)
    names = _inner(key)
    files = []
    for name in read:
        keys = _keys(storage, name, key)
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
