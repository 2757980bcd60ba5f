import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.casting import dtype_of
from mergeline.core.data.snapshot import Built, Drop, Provenance, Snapshot
from mergeline.core.declare.contract import Contract, parse_contract

CONTRACT = """\
source: data/raw/t
format: csv
key: [id]
columns:
  id: {type: int64}
  day: {type: date}
  at: {type: datetime}
  s: {type: string, nullable: true}
  x: {type: float64, nullable: true}
  f: {type: float32}
  small: {type: int8}
  b: {type: bool}
"""


@dataclass
class World:
    """Drops by md5, a table root, and a builder that counts what it writes."""

    root: str
    contract: Contract
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    checksums: bool = True

    @property
    def tables(self) -> Tables:
        return Tables(self.root)

    def drop(self, number: int, rows: int = 10, *, edition: str = "") -> Drop:
        """A drop whose rows follow from its number."""
        ids = range(number * 1000, number * 1000 + rows)
        frame = pl.DataFrame({"id": ids}, schema={"id": pl.Int64}).with_columns(
            day=pl.date(2013, number % 12 + 1, 1),
            at=pl.datetime(2013, number % 12 + 1, 1, 5, time_unit="us", time_zone="UTC"),
            s=pl.when(pl.col("id") % 3 > 0).then(pl.format("{}{}", pl.lit(edition), pl.col("id"))),
            x=pl.col("id") / 7,
            f=(pl.col("id") / 3).cast(pl.Float32),
            small=(pl.col("id") % 100).cast(pl.Int8),
            b=pl.col("id") % 2 == 0,
        )
        md5 = hashlib.md5(f"{number} {rows} {edition}".encode()).hexdigest()
        columns = self.contract.columns.items()
        types = pl.Schema({name: dtype_of(column.type) for name, column in columns})
        self.frames[md5] = frame.select(types.names()).cast(types)
        return Drop(f"data/raw/t/{number:04}.csv", md5)

    def snapshot(self, drops: Iterable[Drop]) -> Snapshot:
        return Snapshot("t", self.contract, tuple(drops))

    def write(self, drop: Drop, target: Path) -> None:
        self.written.append(drop.md5)
        table = self.frames[drop.md5].to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(table, target, store_schema=False, write_page_checksum=self.checksums)

    def build(self, *drops: Drop) -> Built:
        by = Provenance(commit="c0ffee", ref="topic", pull_request="7", author="Ann")
        return self.tables.build(self.snapshot(drops), self.write, by)

    def rows(self, drops: Iterable[Drop]) -> pl.DataFrame:
        """What a table of these drops must hold, in its order."""
        frames = [self.frames[md5] for md5 in sorted({drop.md5 for drop in drops})]
        return pl.concat(frames) if frames else self.drop_schema()

    def drop_schema(self) -> pl.DataFrame:
        return self.frames[self.drop(0).md5].clear()

    def scanned(self, version: int) -> pl.DataFrame:
        return self.tables.scan("t", version).collect()


@pytest.fixture
def contract() -> Contract:
    return parse_contract("t", CONTRACT)


@pytest.fixture
def new_world(contract: Contract) -> Callable[[str | Path], World]:
    return lambda root: World(str(root), contract)


@pytest.fixture
def world(tmp_path: Path, new_world: Callable[[str | Path], World]) -> World:
    return new_world(tmp_path / "tables")
