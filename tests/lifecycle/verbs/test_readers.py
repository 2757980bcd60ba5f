"""The tables of released versions, in the tools that people use."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mergeline.lifecycle.verbs.data import find_version
from tests.adapters.delta.readers import READERS
from tests.support.line import Line
from tests.support.parcels import MODEL, drop


def rows(*months: int) -> pl.DataFrame:
    """What the table holds of these months, from the drops themselves."""
    frames = [pl.read_csv(drop(month).encode(), try_parse_dates=True) for month in months]
    return pl.concat(frames).sort("id")


def test_the_data_of_every_release_open_in_every_reader(line: Line) -> None:
    line.branch("more")
    line.add_drops(4)
    line.commit("A month more")
    line.land(line.push("more"))
    line.branch("less")
    (line.author.root / "data/raw/parcels/2024-01.csv.dvc").unlink()
    line.commit("A month less")
    line.land(line.push("less"))
    project = line.project()
    ledger = project.ledger(MODEL)
    versions = [find_version(project, "parcels", entry.commit) for entry in ledger]
    assert len(set(versions)) == 3
    uri = str(Path(project.tables) / "parcels")
    for version, months in zip(versions, [(1, 2, 3), (1, 2, 3, 4), (2, 3, 4)], strict=True):
        expected = rows(*months)
        for read in READERS:
            found = read(uri, version).sort("id").select(expected.columns)
            found = found.with_columns(pl.col("day").cast(pl.Date))  # DuckDB, pandas: as they do
            assert found.rows() == expected.rows(), read.__name__
