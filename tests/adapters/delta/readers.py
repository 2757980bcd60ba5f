"""The tools in which people open a table, each as its users would; none is mergeline's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
import duckdb_extension_delta
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
    """By pyarrow's dataset."""
    rows = dataset(uri, version)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", rows)
        found: pl.DataFrame = connection.sql(f"SELECT * FROM t WHERE {where}").pl()
        return found


@cache
def _with_extension() -> duckdb.DuckDBPyConnection:
    """DuckDB with its reader of Delta, out of the package that ships it."""
    [extension] = Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension")
    connection = duckdb.connect(config={"extension_directory": tempfile.mkdtemp()})
    connection.execute(f"INSTALL '{extension}'")
    connection.execute("LOAD delta")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def by_duckdb_s_extension(uri: str, version: int | None) -> pl.DataFrame:
    """By DuckDB's own reader of the log."""
    at = "" if version is None else f", version = {version}"
    found: pl.DataFrame = _with_extension().sql(f"SELECT * FROM delta_scan('{uri}'{at})").pl()
    return found


READERS: tuple[Read, ...] = (
    by_polars,
    by_delta_rs,
    by_pyarrow,
    by_pandas,
    by_duckdb,
    by_duckdb_s_extension,
)
