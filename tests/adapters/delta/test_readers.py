"""Each version opens as it is in the tools that people use."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.dataset as ds
import pytest

from tests.adapters.delta.readers import READERS, Read, by_duckdb, dataset


@pytest.mark.parametrize("read", READERS)
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


def by_a_filtered_dataset(uri: str, version: int) -> pl.DataFrame:
    return pl.DataFrame(dataset(uri, version).filter(ds.field("id") >= 2000).to_table())


def by_a_filtered_scan(uri: str, version: int) -> pl.DataFrame:
    return pl.scan_delta(uri, version=version).filter(pl.col("id") >= 2000).collect()


def by_a_query_of_duckdb(uri: str, version: int) -> pl.DataFrame:
    return by_duckdb(uri, version, "id >= 2000")


@pytest.mark.parametrize("read", [by_a_filtered_dataset, by_a_filtered_scan, by_a_query_of_duckdb])
def test_only_the_files_that_the_statistics_leave_are_read(world: Any, read: Read) -> None:
    """A deleted file that no row of the answer could be in is not missed."""
    built = world.build(*(world.drop(n) for n in range(3)))
    uri = str(Path(world.root) / "t")
    for name in world.snapshot([world.drop(0), world.drop(1)]).files:
        (Path(uri) / name).unlink()
    assert read(uri, built.version)["id"].to_list() == list(range(2000, 2010))
