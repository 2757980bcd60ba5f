"""Copies of the holdout's rows under other keys, on the way from a stage to a verdict."""

from __future__ import annotations

import pytest

from mergeline.core.compare.result import Twins
from mergeline.lifecycle.steps.evaluation import Evaluated
from tests.support.line import Line, judgement_of

TRAIN = "pipelines/train.py"
ROWS = '    rows = parcels(params["evaluate"]["holdout_every"], held_out=False)\n'
COPIED = ROWS + (
    '    held = parcels(params["evaluate"]["holdout_every"], held_out=True)\n'
    '    rows = rows.vstack(held.with_columns(pl.col("id") + 1_000_000))\n'
)
HASHED = (
    'rows.select("id").write_parquet(',
    'rows.select("id", inputs_hash=mergeline.hash_inputs(frame)).write_parquet(',
)
IMPORTS = ("import yaml\n", "import mergeline\nimport polars as pl\nimport yaml\n")


def refused(found: Evaluated) -> list[str]:
    return [one.rule for one in judgement_of(found).verdict.reasons if one.outcome == "fail"]


def twins(found: Evaluated) -> Twins | None:
    assert found.report.comparison
    return found.report.comparison.models["candidate"].twins


@pytest.mark.slow
def test_copies_of_the_holdout_are_refused_where_training_rows_carry_hashes(line: Line) -> None:
    edits = [(TRAIN, *IMPORTS), (TRAIN, ROWS, COPIED), (TRAIN, *HASHED)]
    found = line.review(line.propose("copies", *edits))
    assert "twin_rows" in refused(found)
    counted = twins(found)
    assert counted
    assert (counted.rows, counted.twins, counted.expected) == (300, 300, 0.0)
    assert counted.beyond > 0.95


@pytest.mark.slow
def test_rows_that_are_no_copies_are_known_to_be_none(line: Line) -> None:
    found = line.review(line.propose("hashed", (TRAIN, *IMPORTS), (TRAIN, *HASHED)))
    assert refused(found) == []
    assert twins(found) == Twins(rows=300, twins=0, expected=0.0, beyond=0.0)


@pytest.mark.slow
def test_without_hashes_the_report_says_that_nobody_knows(line: Line) -> None:
    found = line.review(line.propose("as-before", (TRAIN, "print(", "print('now', ")))
    assert twins(found) is None
    assert "inputs of training rows is not known" in line.markdown(found)
