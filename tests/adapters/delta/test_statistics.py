"""Bounds in the log are those of the rows, whatever the values, the row groups and the clock."""

import datetime as dt
import math
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop, Provenance, Snapshot
from mergeline.core.declare.contract import parse_contract
from tests.support.properties import few_or_many

CONTRACT = parse_contract(
    "t",
    """\
source: d
format: parquet
null: []
columns:
  i: {type: int64}
  x: {type: float64, nullable: true}
  s: {type: string, nullable: true}
  d: {type: date}
  at: {type: datetime, nullable: true}
""",
)
ROW = st.fixed_dictionaries(
    {
        "i": st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.sampled_from([0.0, -0.0, 5e-324]) | st.floats(-1e300, 1e300),
        "s": st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
        "d": st.dates(),
        "at": st.none() | st.datetimes(timezones=st.just(dt.UTC)),
    }
)
DTYPES: dict[str, Any] = {
    "i": pl.Int64, "x": pl.Float64, "s": pl.String, "d": pl.Date, "at": pl.Datetime("us", "UTC"),
}  # fmt: skip


def build(frame: pl.DataFrame, root: Path) -> DeltaTable:
    """A table of the frame as one drop, and its first version."""
    source = root / "source.parquet"
    frame.write_parquet(source)

    def write(drop: Drop, target: Path) -> None:
        convert(source, drop, CONTRACT, target)

    Tables(root).build(Snapshot("t", CONTRACT, (Drop("a.parquet", "0" * 32),)), write, Provenance())
    return DeltaTable(root / "t")


def bounds(table: DeltaTable) -> dict[str, Any]:
    return pl.DataFrame(table.get_add_actions(flatten=True)).row(0, named=True)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@few_or_many(5, 300)
@pytest.mark.usefixtures("new_york")
def test_bounds_are_those_of_the_rows_over_all_row_groups(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, examples: settings
) -> None:
    # By module: `drops.convert` is the function too.
    monkeypatch.setattr(sys.modules["mergeline.adapters.drops.convert"], "_ROW_GROUP_BYTES", 1)
    monkeypatch.setattr(sys.modules["mergeline.adapters.drops.parquet"], "_PARQUET_ROWS", 2)

    @examples
    @given(st.lists(ROW, min_size=1, max_size=12))
    def hold(rows: list[dict[str, Any]]) -> None:
        frame = pl.DataFrame(rows, schema=DTYPES)
        table = build(frame, tmp_path_factory.mktemp("t"))
        [file] = table.file_uris()
        assert pq.read_metadata(file).num_row_groups == math.ceil(len(rows) / 2)
        said = bounds(table)
        assert said["num_records"] == len(rows)
        for name in frame.columns:
            assert said[f"null_count.{name}"] == frame[name].null_count()
            if frame[name].null_count() < len(rows):
                assert said[f"min.{name}"] == frame[name].min()
                assert said[f"max.{name}"] == frame[name].max()
        # A reader that skips by the bounds finds the value.
        for name, value in rows[-1].items():
            if value is not None:
                assert pl.scan_delta(table).filter(pl.col(name) == value).collect().height > 0

    hold()


def test_moments_before_the_year_1000_and_parts_of_a_second_have_bounds(tmp_path: Path) -> None:
    first = dt.datetime(900, 1, 1, tzinfo=dt.UTC)
    last = dt.datetime(2013, 7, 1, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    rows = {"i": [1, 2], "x": [0.0, -0.0], "s": ["", "a"], "d": [first.date()] * 2}
    frame = pl.DataFrame({**rows, "at": [first, last]}, schema=DTYPES)
    said = bounds(build(frame, tmp_path))
    assert (said["min.at"], said["max.at"]) == (first, last)
    assert math.copysign(1, said["min.x"]) == -1
    assert math.copysign(1, said["max.x"]) == 1


def test_letters_beyond_16_bits_are_bounds_as_they_are(tmp_path: Path) -> None:
    """A reader would skip the files of a bound that is another letter."""
    rows = {"i": [1, 2], "x": [0.0] * 2, "s": ["\U00020bb7", "\U00020bb8"], "at": [None] * 2}
    frame = pl.DataFrame({**rows, "d": [dt.date(2013, 1, 1)] * 2}, schema=DTYPES)
    table = build(frame, tmp_path)
    said = bounds(table)
    assert (said["min.s"], said["max.s"]) == ("\U00020bb7", "\U00020bb8")
    assert pl.scan_delta(table).filter(pl.col("s") == "\U00020bb8").collect().height == 1


@pytest.mark.slow
def test_two_clocks_write_the_same_bounds(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        import polars as pl
        from tests.adapters.delta.test_statistics import DTYPES, bounds, build
        frame = pl.read_parquet(sys.argv[1])
        said = bounds(build(frame, Path(sys.argv[2])))
        print({name: value for name, value in said.items() if name.startswith(("min", "max"))})
    """
    at = dt.datetime(2013, 7, 1, 0, 30, tzinfo=dt.UTC)
    rows = {"i": [1], "x": [0.5], "s": ["a"], "d": [at.date()], "at": [at]}
    pl.DataFrame(rows, schema=DTYPES).write_parquet(tmp_path / "a.parquet")
    said = []
    for zone in ("UTC", "Pacific/Auckland"):
        (tmp_path / zone).mkdir(parents=True)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.parquet"),
             str(tmp_path / zone)],
            capture_output=True, text=True, check=True, env={**os.environ, "TZ": zone},
        )  # fmt: skip
        said.append(done.stdout)
    assert said[0] == said[1]
    assert "datetime.datetime(2013, 7, 1, 0, 30" in said[0]
