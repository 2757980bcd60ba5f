"""Rows that nobody vouches for come out as they went in, or are refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters import confined_rows
from mergeline.adapters.confined_rows import rewrite_rows
from mergeline.errors import BundleError
from mergeline.system.confinement import Limits, Walls

WALLS = Walls("landlock" if sys.platform == "linux" else "none", ())


def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(BundleError) as error:
        rewrite_rows([path], WALLS)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert "\n" not in error.value.message
    return error.value.message


def test_rows_stay_what_they_were(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3],
            "text": ["a", None, "ü"],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["x", "y", "x"]),
            "day": pd.to_datetime(["2024-01-01", "", "2024-01-03"]),
            "tags": [["a"], [], ["b", "c"]],
        }
    )
    paths = [tmp_path / "holdout.parquet", tmp_path / "training_rows.parquet"]
    frame.to_parquet(paths[0], index=False)
    frame[["id"]].to_parquet(paths[1])
    rewrite_rows(paths, WALLS)
    pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), frame)
    pd.testing.assert_frame_equal(pd.read_parquet(paths[1]), frame[["id"]])


def test_a_small_file_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    one = pa.DictionaryArray.from_arrays(pa.array([0] * 400_000, pa.int32()), ["x" * 100_000])
    pq.write_table(pa.table({"text": one}), path)
    assert path.stat().st_size < 1_000_000
    assert "more than 50,000,000 rows or 4,000,000,000 bytes" in refused(path)
    pq.write_table(pa.table({"nothing": pa.nulls(60_000_000)}), path)
    assert "60,000,000 rows" in refused(path)


@pytest.mark.slow
def test_a_file_that_takes_too_much_memory_to_decode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "holdout.parquet"
    pq.write_table(pa.table({"text": ["x" * 1_000_000] * 600}), path, compression="zstd")
    assert path.stat().st_size < 2_000_000
    monkeypatch.setattr(confined_rows, "_LIMITS", Limits(seconds=60, memory_mb=250))
    assert "cannot be read" in refused(path)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "two columns of one name"),
        (pa.table({"a": [{"b": 1}]}), "a column of type struct"),
        (pa.table({}), "0 columns"),
        (
            pa.table({"a": [1]}).replace_schema_metadata({"pandas": '{"index_columns": ["a"]}'}),
            "pandas",
        ),
    ],
)
def test_a_table_that_is_none_of_rows_is_refused(
    tmp_path: Path, table: pa.Table, said: str
) -> None:
    path = tmp_path / "holdout.parquet"
    pq.write_table(table, path)
    assert said in refused(path)


def test_a_file_that_is_damaged_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    with pytest.raises(BundleError, match=r"has no holdout\.parquet"):
        rewrite_rows([path], WALLS)
    pq.write_table(pa.table({"a": list(range(10_000))}), path)
    content = path.read_bytes()
    for damaged in (b"", b"PAR1", content[:1_000], content[:-20] + b"\xff" * 12 + content[-8:]):
        path.write_bytes(damaged)
        assert "cannot be read" in refused(path)
