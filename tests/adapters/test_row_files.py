"""The holdout's file, and what models said about its rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mergeline.adapters.row_files import (
    HoldoutFile,
    hash_inputs,
    read_holdout,
    read_inputs_hashes,
    read_predictions,
    read_training_rows,
    write_predictions,
)
from mergeline.core.compare.result import InputColumn
from mergeline.core.declare.model import Model, parse_model
from mergeline.errors import BundleError, StageError

DAYS = [dt.date(2013, 1, 1), dt.date(2013, 3, 1), dt.date(2013, 2, 1)]
MODEL = parse_model(
    "late",
    """\
task: binary
stage: train
outputs: build/late
label: late
classes: [false, true]
key: [id]
cluster: day
metrics: [roc_auc]
gate:
  primary: roc_auc
  metrics: {roc_auc: {margin: 0.01}}
""",
)


def holdout(
    folder: Path, days: list[Any] = DAYS, ids: list[Any] | None = None, model: Model = MODEL
) -> HoldoutFile:
    frame = pl.DataFrame({"id": ids or [1, 2, 3], "late": [True, False, True], "day": days})
    frame.write_parquet(folder / "holdout.parquet")
    return read_holdout(folder / "holdout.parquet", model)


@pytest.mark.parametrize(
    "days",
    [
        DAYS,
        [dt.datetime(day.year, day.month, day.day, 5, tzinfo=dt.UTC) for day in DAYS],
        [str(day) for day in DAYS],
    ],
)
def test_the_oldest_and_the_newest_row_are_those_of_the_cluster_s_dates(
    tmp_path: Path, days: list[Any]
) -> None:
    found = holdout(tmp_path, days)
    assert (found.oldest, found.newest) == (DAYS[0], DAYS[1])


def test_clusters_that_are_no_dates_have_no_oldest_and_no_newest(tmp_path: Path) -> None:
    found = holdout(tmp_path, ["JFK", "LGA", "EWR"])
    assert (found.oldest, found.newest) == (None, None)


def test_a_row_that_was_taken_out_is_not_the_newest_any_more(tmp_path: Path) -> None:
    found = holdout(tmp_path)
    rest = found.without(found.rows.row_id[1:2])
    assert (rest.oldest, rest.newest) == (DAYS[0], DAYS[2])
    nothing = found.without(found.rows.row_id)
    assert (nothing.oldest, nothing.newest) == (None, None)


def test_keys_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"holdout\.parquet has no keys that can be read"):
        holdout(tmp_path, ids=[b"\xff"] * 3)
    with pytest.raises(StageError, match="has no keys that can be read"):
        read_training_rows(tmp_path / "holdout.parquet", MODEL)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    holdout(tmp_path)
    path = tmp_path / "holdout.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(60) + content[64:])  # its schema, at the end, stays
    with pytest.raises(StageError, match="has no keys that can be read"):
        read_training_rows(path, MODEL)
    with pytest.raises(StageError, match="cannot be read"):
        read_holdout(path, MODEL)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_predictions_are_read_as_they_were_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    said = np.random.default_rng(0).random(shape)
    path = tmp_path / "predictions.parquet"
    write_predictions(
        path, holdout(tmp_path), MODEL, {"champion": said * 2, "candidate": said, "base": None}
    )
    assert read_predictions(path, "candidate").tolist() == said.tolist()
    with pytest.raises(BundleError, match="has no predictions of the base"):
        read_predictions(path, "base")


def test_predictions_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        read_predictions(tmp_path / "none.parquet", "candidate")
    (tmp_path / "none.parquet").write_bytes(b"not Parquet")
    with pytest.raises(BundleError, match="cannot be read"):
        read_predictions(tmp_path / "none.parquet", "candidate")


def test_the_hashes_of_training_rows_are_read_and_those_of_the_holdout_are_the_same(
    tmp_path: Path,
) -> None:
    fitted = pl.DataFrame({"id": [7, 8], "wind": [8.5, None], "origin": ["JFK", "LGA"]})
    hashed = fitted.select("id", inputs_hash=hash_inputs(fitted.select("origin", "wind")))
    hashed.write_parquet(tmp_path / "training_rows.parquet")
    others = pl.DataFrame({"late": [True, False], "day": DAYS[:2]})
    fitted.hstack(others).write_parquet(tmp_path / "holdout.parquet")
    held = read_holdout(tmp_path / "holdout.parquet", MODEL)
    inputs = [InputColumn("wind", "double"), InputColumn("origin", "string")]
    read = read_inputs_hashes(tmp_path / "training_rows.parquet", MODEL)
    assert read is not None
    assert held.inputs_hashes(inputs).tolist() == read.tolist()


def test_rows_of_float64_equal_the_same_rows_of_float32(
    tmp_path: Path,
) -> None:
    winds = np.array([0.1, 0.2, 0.3])
    frame = pl.DataFrame({"id": [1, 2, 3], "late": [True] * 3, "day": DAYS, "wind": winds})
    frame.write_parquet(tmp_path / "holdout.parquet")
    held = read_holdout(tmp_path / "holdout.parquet", MODEL)
    fitted = hash_inputs(pl.DataFrame({"wind": winds.astype(np.float32)}))
    assert held.inputs_hashes([InputColumn("wind", "float")]).tolist() == fitted.tolist()


def test_training_rows_without_hashes_are_known_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "training_rows.parquet"
    pl.DataFrame({"id": [1]}).write_parquet(path)
    assert read_inputs_hashes(path, MODEL) is None


@pytest.mark.parametrize("hashes", [[0.5], ["x"], [None], [-1]])
def test_hashes_of_another_kind_are_said(tmp_path: Path, hashes: list[Any]) -> None:
    path = tmp_path / "training_rows.parquet"
    pl.DataFrame({"id": [1], "inputs_hash": hashes}).write_parquet(path)
    with pytest.raises(StageError, match="inputs_hash that hash_inputs did not make"):
        read_inputs_hashes(path, MODEL)
