"""Each version opens as it is in the tools that people use."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.core.data.diff import diff_snapshots
from mergeline.core.data.snapshot import Drop, Provenance, Snapshot
from mergeline.core.declare.contract import parse_contract
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


def test_decimals_and_bytes_keep_each_digit_and_byte_in_the_table(tmp_path: Path) -> None:
    contract = parse_contract(
        "t",
        "source: d\nformat: parquet\nkey: [q]\n"
        "columns: {q: {type: 'decimal(38,20)'}, b: {type: binary, nullable: true}}\n",
    )
    digits = [Decimal("123456789012345678.12345678901234567890"), Decimal("-0.5")]
    source = tmp_path / "source.parquet"
    table = pa.table(
        {"q": pa.array(digits, pa.decimal128(38, 20)), "b": pa.array([b"\xff", None], pa.binary())}
    )
    pq.write_table(table, source)
    tables, snapshot = Tables(tmp_path), Snapshot("t", contract, (Drop("d/a.parquet", "0" * 32),))

    def write(drop: Drop, target: Path) -> None:
        convert(source, drop, contract, target)

    built = tables.build(snapshot, write, Provenance())
    expected = [(digits[0], b"\xff"), (digits[1], None)]
    assert tables.scan("t", built.version).collect().rows() == expected
    for read in READERS:
        assert read(str(tmp_path / "t"), built.version).rows() == expected, read
    compared = tables.compare("t", None, 0)
    q, b = (column.after for column in diff_snapshots("t", compared).columns)
    assert q is not None
    assert q.top[0].value == -0.5
    assert b is not None
    assert b.top[0].value == "ff"
    assert compared.after.types == {"q": "decimal(38,20)", "b": "binary"}
