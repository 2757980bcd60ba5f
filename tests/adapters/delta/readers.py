"""The tools in which people open a table, each as its users would; none is mergeline's own."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import polars as pl
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

Read = Callable[[str, int], pl.DataFrame]


def dataset(uri: str, version: int) -> ds.Dataset:
    """The table as pyarrow has it; pandas and DuckDB read it from there."""
    files = SubTreeFileSystem(uri, LocalFileSystem())
    return DeltaTable(uri, version=version).to_pyarrow_dataset(filesystem=files)


def by_polars(uri: str, version: int) -> pl.DataFrame:
    return pl.scan_delta(uri, version=version).collect()


def by_delta_rs(uri: str, version: int) -> pl.DataFrame:
    query = QueryBuilder().register("t", DeltaTable(uri, version=version))
    return pl.DataFrame(query.execute("SELECT * FROM t").read_all())


def by_pyarrow(uri: str, version: int) -> pl.DataFrame:
    return pl.DataFrame(dataset(uri, version).to_table())


def by_pandas(uri: str, version: int) -> pl.DataFrame:
    frame = dataset(uri, version).to_table().to_pandas()
    columns = frame.astype(object).where(frame.notna(), None)
    schema = pl.DataFrame(dataset(uri, version).schema.empty_table()).schema
    return pl.DataFrame({name: columns[name].tolist() for name in columns}, schema=schema)


def by_duckdb(uri: str, version: int, where: str = "true") -> pl.DataFrame:
    """By pyarrow's dataset: DuckDB's own reader of Delta is an extension that it downloads."""
    rows = dataset(uri, version)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", rows)
        found: pl.DataFrame = connection.sql(f"SELECT * FROM t WHERE {where}").pl()
        return found


READERS: tuple[Read, ...] = (by_polars, by_delta_rs, by_pyarrow, by_pandas, by_duckdb)
