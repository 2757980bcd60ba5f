"""Keys that name two rows of one drop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mergeline.core.contract import Contract
from mergeline.core.refusal import Violation
from mergeline.core.snapshot import Drop

# 4 M hashes are 32 MB, a few times over: what a pass takes does not grow with the drop.
_ROWS_PER_PASS = 4_000_000
_KEPT = 5
RULE = "names a row that stands earlier too (the key is not unique)"


def find_duplicates(
    parquet: Path, drop: Drop, contract: Contract, rows: int
) -> Iterator[tuple[Violation, int]]:
    """The first rows whose key an earlier row has, each with how many rows it stands for."""
    if not contract.key:
        return
    suspects = _suspects(parquet, contract.key, rows)
    if suspects.is_empty():
        return
    # Equal hashes are a reason to look, not yet equal keys.
    keys = _hashed(parquet, contract.key).with_row_index("row", offset=1)
    found = keys.filter(pl.col("hash").is_in(suspects.implode())).collect(engine="streaming")
    later = found.filter(~pl.struct(contract.key).is_first_distinct()).sort("row")
    if later.is_empty():
        return
    column = ", ".join(contract.key)
    for at, row in enumerate(later.head(_KEPT).iter_rows(named=True)):
        value = ", ".join(str(row[name]) for name in contract.key)
        violation = Violation(drop.path, RULE, row=row["row"], column=column, value=value)
        yield violation, later.height if at == 0 else 0


def _hashed(parquet: Path, key: tuple[str, ...]) -> pl.LazyFrame:
    return pl.scan_parquet(parquet).select(*key, hash=pl.struct(key).hash(seed=0))


def _suspects(parquet: Path, key: tuple[str, ...], rows: int) -> pl.Series:
    """Hashes that stand more than once, found in as many passes as keep memory small."""
    passes = rows // _ROWS_PER_PASS + 1
    found = []
    for number in range(passes):
        part = _hashed(parquet, key).select("hash")
        if passes > 1:
            part = part.filter(pl.col("hash") % passes == number)
        hashes = part.collect(engine="streaming")["hash"].sort()
        found.append(hashes.filter(hashes == hashes.shift(1)).unique())
    return pl.concat(found)
