"""Each version opens as it is in the tools that people use."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, QueryBuilder
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

Read = Callable[[str, int], pl.DataFrame]


def by_polars(uri: str, version: int) -> pl.DataFrame:
    return pl.scan_delta(uri, version=version).collect()


def by_delta_rs(uri: str, version: int) -> pl.DataFrame:
    query = QueryBuilder().register("t", DeltaTable(uri, version=version))
    return pl.DataFrame(query.execute("SELECT * FROM t").read_all())


def dataset(uri: str, version: int) -> ds.Dataset:
    files = SubTreeFileSystem(uri, LocalFileSystem())
    return DeltaTable(uri, version=version).to_pyarrow_dataset(filesystem=files)


def by_pyarrow(uri: str, version: int) -> pl.DataFrame:
    return pl.DataFrame(dataset(uri, version).to_table())


def by_pandas(uri: str, version: int) -> pl.DataFrame:
    frame = dataset(uri, version).to_table().to_pandas()
    columns = frame.astype(object).where(frame.notna(), None)
    schema = pl.DataFrame(dataset(uri, version).schema.empty_table()).schema
    return pl.DataFrame({name: columns[name].tolist() for name in columns}, schema=schema)


def by_duckdb(uri: str, version: int) -> pl.DataFrame:
    rows = dataset(uri, version)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", rows)
        found: pl.DataFrame = connection.sql("SELECT * FROM t").pl()
        return found


@pytest.mark.parametrize("read", [by_polars, by_delta_rs, by_pyarrow, by_pandas, by_duckdb])
def test_each_version_opens_in_each_reader(world: Any, read: Read) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    states = [[a], [a, b], [b, c], []]
    uri = str(Path(world.root) / "t")
    built = [world.build(*drops) for drops in states]
    for drops, one in zip(states, built, strict=True):
        expected = world.rows(drops).sort("id")
        found = read(uri, one.version).sort("id").select(expected.columns)
        assert found["id"].to_list() == expected["id"].to_list()
        assert found["s"].to_list() == expected["s"].to_list()
        assert found["x"].to_list() == expected["x"].to_list()
        days = found["day"].cast(pl.Date)
        assert days.to_list() == expected["day"].to_list()
        moments = found["at"].dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
        assert moments.to_list() == expected["at"].to_list()


def test_duckdb_reads_only_the_files_that_the_statistics_leave(world: Any) -> None:
    """A deleted file that no row of the answer could be in is not missed."""
    built = world.build(*(world.drop(n) for n in range(3)))
    uri = str(Path(world.root) / "t")
    for name in world.snapshot([world.drop(0), world.drop(1)]).files:
        (Path(uri) / name).unlink()
    rows = dataset(uri, built.version).filter(
        (ds.field("id") >= 2000) & (ds.field("day") > dt.date(2013, 1, 1))
    )
    assert rows.to_table().num_rows == 10
    found = pl.scan_delta(uri, version=built.version).filter(pl.col("id") >= 2000).collect()
    assert found.height == 10
