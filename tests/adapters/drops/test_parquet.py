"""Parquet as it comes, damaged, old or wide: the right values, or a refusal by column."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DropError


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def run(folder: Path, content: bytes, columns: str) -> pl.DataFrame:
    source, target = folder / "source", folder / "out.parquet"
    source.write_bytes(content)
    contract = parse_contract("t", f"source: d\nformat: parquet\ncolumns: {{{columns}}}\n")
    convert(source, Drop("d/a.parquet", ""), contract, target)
    return pl.read_parquet(target)


def said(folder: Path, content: bytes, columns: str) -> list[str]:
    with pytest.raises(RefusedDropError) as caught:
        run(folder, content, columns)
    return [str(violation) for violation in caught.value.refusal.violations]


def pages(content: bytes) -> dict[str, list[int]]:
    """Places inside of each column's pages: near the end of its dictionary, and of its data."""
    group = pq.read_metadata(io.BytesIO(content)).row_group(0)
    places = {}
    for index in range(group.num_columns):
        column = group.column(index)
        start = column.data_page_offset
        first = column.dictionary_page_offset if column.has_dictionary_page else start
        end = first + column.total_compressed_size - 1
        places[column.path_in_schema] = [end, start - 1] if column.has_dictionary_page else [end]
    return places


@pytest.mark.parametrize("use_dictionary", [True, False], ids=["dictionary", "plain"])
@pytest.mark.parametrize("data_page_version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_page_that_breaks_its_own_checksum_is_refused_by_file_and_column(
    tmp_path: Path, use_dictionary: bool, data_page_version: str, compression: str
) -> None:
    rows = 50
    table = pa.table(
        {
            "n": [500] * rows,
            "s": ["abc"] * rows,
            "t": pa.array([0] * rows, pa.timestamp("ns")),
        }
    )
    content = written(
        table, use_dictionary=use_dictionary, data_page_version=data_page_version,
        compression=compression, write_page_checksum=True, use_deprecated_int96_timestamps=True,
    )  # fmt: skip
    columns = "n: {type: int64}, s: {type: string}, t: {type: datetime}"
    assert run(tmp_path, content, columns)["n"].to_list() == [500] * rows
    for name, places in pages(content).items():
        for place in places:
            broken = bytearray(content)
            broken[place] ^= 1
            with pytest.raises(DropError) as caught:
                run(tmp_path, bytes(broken), columns)
            message = str(caught.value)
            assert message.startswith("d/a.parquet: cannot be read as parquet: "), message
            assert f"column {name}, row group 1: " in message
            assert "CRC checksum verification failed" in message


def test_moments_of_int96_keep_their_year_and_their_nanoseconds_are_never_cut(
    tmp_path: Path,
) -> None:
    """Old Spark writes them; as nanoseconds an int64 ends in 2262, and 9999 came out as 1816."""
    utc = dt.UTC
    moments = [dt.datetime(9999, 12, 31, 23, tzinfo=utc), dt.datetime(1, 1, 1, tzinfo=utc), None]
    table = pa.table({"t": pa.array(moments, pa.timestamp("us", "UTC"))})
    old = written(table, use_deprecated_int96_timestamps=True)
    assert run(tmp_path, old, "t: {type: datetime, nullable: true}")["t"].to_list() == moments

    table = pa.table({"t": pa.array([0, 1_000, 1_001], pa.timestamp("ns"))})
    fine = written(
        table, use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none"
    )
    # The first value's day, of which there are 2,440,588 before 1970, becomes 9999-12-31.
    day = (0).to_bytes(8, "little") + (2_440_588).to_bytes(4, "little")
    far = fine.replace(day, day[:8] + (5_373_484).to_bytes(4, "little"), 1)
    for content in (fine, far):
        [found] = said(tmp_path, content, "t: {type: datetime}")
        assert found.startswith("row 3, column t: ")
        assert found.endswith("would be rounded to fit a datetime")


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    table = pa.table({"q": pa.array(["1.10", "-3", None]).cast(pa.decimal128(9, 4))})
    rows = run(tmp_path, written(table), "q: {type: 'decimal(5,2)', nullable: true}")
    assert rows.dtypes == [pl.Decimal(5, 2)]
    assert [str(value) for value in rows["q"]] == ["1.10", "-3.00", "None"]
    table = pa.table({"q": pa.array(["1.10", "1.125", "99999"]).cast(pa.decimal128(9, 4))})
    assert said(tmp_path, written(table), "q: {type: 'decimal(5,2)'}") == [
        "row 2, column q: '1.1250' would be rounded to fit a decimal(5,2)",
        "row 3, column q: '99999.0000' would be rounded to fit a decimal(5,2)",
    ]


def test_a_decimal_of_more_than_38_digits_is_said(tmp_path: Path) -> None:
    table = pa.table({"q": pa.array(["1.1"]).cast(pa.decimal256(50, 2))})
    [found] = said(tmp_path, written(table), "q: {type: 'decimal(38,2)'}")
    assert found == "column q: is a decimal256(50, 2), and 38 digits are the most"


def test_bytes_without_a_mark_of_utf_8_are_a_string_or_binary_as_declared(tmp_path: Path) -> None:
    """Impala and old Hive write texts so."""
    good = written(pa.table({"s": [b"a", "ä".encode(), None]}))
    texts = run(tmp_path, good, "s: {type: string, nullable: true}")
    assert texts["s"].to_list() == ["a", "ä", None]
    bad = written(pa.table({"s": [b"a", b"\xff"]}))
    assert said(tmp_path, bad, "s: {type: string}") == [
        "row 2, column s: \"b'\\\\xff'\" is not a string"
    ]
    assert run(tmp_path, bad, "s: {type: binary}")["s"].to_list() == [b"a", b"\xff"]


def test_a_column_added_later_is_absent_in_a_drop_that_lacks_it(tmp_path: Path) -> None:
    content = written(pa.table({"n": [1, 2]}))
    columns = "'*': {type: int8, nullable: true, default: null}, n: {type: int8}"
    assert run(tmp_path, content, columns).rows() == [(None, 1), (None, 2)]
