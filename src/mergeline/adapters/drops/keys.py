"""Keys that name two rows of one drop; the memory needed does not grow with the drop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation
from mergeline.core.declare.contract import Contract

# 4 M hashes are 32 MB, a few times over: what a pass takes does not grow with the drop.
_ROWS_PER_PASS = 4_000_000
_ROWS_PER_BATCH = 250_000
_ROWS_PENDING = 1_000_000
_KEPT = 5
RULE = "names a row that stands earlier too (the key is not unique)"


def find_duplicates(
    parquet: Path, drop: Drop, contract: Contract, rows: int
) -> Iterator[tuple[Violation, int]]:
    """The first rows whose key an earlier row has, each with how many rows it stands for."""
    if not contract.key:
        return
    keys = _Keys(parquet, contract.key, passes=rows // _ROWS_PER_PASS + 1)
    if not keys.repeat():
        return
    later = keys.later()
    column = ", ".join(contract.key)
    for at, (row, values) in enumerate(itertools.islice(keys.confirmed(later.first), _KEPT)):
        value = ", ".join(map(str, values))
        violation = Violation(drop.path, RULE, row=row, column=column, value=value)
        yield violation, later.count if at == 0 else 0


@dataclass
class _Later:
    """Rows whose hash an earlier row has: how many, and the first of them (`row`, `hash`)."""

    count: int = 0
    first: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"row": pl.Int64, "hash": pl.UInt64})
    )

    def add(self, rows: pl.DataFrame) -> None:
        self.count += rows.height
        self.first = pl.concat([self.first, rows]).bottom_k(10 * _KEPT, by="row")


@dataclass(frozen=True)
class _Keys:
    """The key columns of a file, whose hashes are taken in several passes, each some of them."""

    parquet: Path
    key: tuple[str, ...]
    passes: int

    def repeat(self) -> bool:
        """Whether a hash stands more than once: the quick answer, and for most drops the last."""
        hashes = pl.scan_parquet(self.parquet).select(self._hash())
        most = 2 * _ROWS_PER_PASS  # a pass with more has the same hashes time and again
        for number in range(self.passes):
            part = hashes.filter(pl.first() % self.passes == number) if self.passes > 1 else hashes
            found = part.head(most).collect(engine="streaming").to_series()
            if found.len() == most or found.n_unique() < found.len():
                return True
        return False

    def later(self) -> _Later:
        """Rows whose hash an earlier row has."""
        later = _Later()
        for number in range(self.passes):
            pending: list[pl.DataFrame] = []
            for keys in self._batches():
                hashes = keys.select("row", "hash")
                pending.append(hashes.filter(pl.col("hash") % self.passes == number))
                if sum(frame.height for frame in pending[1:]) >= _ROWS_PENDING:
                    pending = [_earliest(pending, later)]
            _earliest(pending, later)
        return later

    def confirmed(self, rows: pl.DataFrame) -> Iterator[tuple[int, tuple[object, ...]]]:
        """Rows, with their keys, that an earlier row's key equals: equal hashes need not."""
        seen = set()
        for keys in self._batches():
            for row, _, *values in keys.filter(pl.col("hash").is_in(rows["hash"])).iter_rows():
                if tuple(values) in seen:
                    yield row, tuple(values)
                seen.add(tuple(values))

    def _batches(self) -> Iterator[pl.DataFrame]:
        """Number of the row, from 1, hash and key of all rows, in their order.

        Key columns have the names 0, 1, …: a contract's own may be `row` and `hash`.
        """
        names = [str(number) for number in range(len(self.key))]
        first = 1
        with pq.ParquetFile(self.parquet) as file:
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=list(self.key)):
                keys = pl.DataFrame(batch).select(self.key)
                yield pl.DataFrame(
                    [
                        pl.int_range(first, first + keys.height, eager=True).alias("row"),
                        keys.select(self._hash()).to_series().alias("hash"),
                        *(keys[name].alias(new) for name, new in zip(self.key, names, strict=True)),
                    ]
                )
                first += keys.height

    def _hash(self) -> pl.Expr:
        return pl.struct(self.key).hash(seed=0)


def _earliest(frames: list[pl.DataFrame], later: _Later) -> pl.DataFrame:
    """The first row of each hash; the others are later ones."""
    ordered = pl.concat(frames).sort("hash", "row")
    again = ordered["hash"] == ordered["hash"].shift(1)
    later.add(ordered.filter(again))
    return ordered.filter(~again.fill_null(value=False))
