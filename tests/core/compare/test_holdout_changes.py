"""How a change moves the rows on which models are compared."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.holdout_changes import HoldoutRows, MovedRows, differing, moved_rows


def rows(ids: list[int], labels: list[Any], **columns: list[Any]) -> HoldoutRows:
    named = {name: np.asarray(values) for name, values in columns.items()}
    return HoldoutRows(np.array(ids, np.uint64), np.asarray(labels), named)


BEFORE = rows([1, 2, 3], [True, False, True], miles=[1.0, np.nan, 3.0], town=["A", None, "B"])


def test_reordered_rows_have_not_changed() -> None:
    again = rows([3, 1, 2], [True, True, False], miles=[3.0, 1.0, np.nan], town=["B", "A", None])
    found = moved_rows(BEFORE, again)
    assert found.kept
    assert str(found) == "of the 3 rows before: none moved"


def test_added_rows_do_not_change_earlier_rows() -> None:
    found = moved_rows(rows([1], [True], miles=[1.0]), BEFORE)
    assert (found.kept, found.added, found.of) == (True, 2, 1)


def test_changed_rows_are_counted_by_kind_and_column() -> None:
    now = rows([2, 3, 4], [True, True, True], miles=[2.0, 3.0, 4.0], town=["C", "C", "C"])
    found = moved_rows(BEFORE, now)
    assert found == MovedRows(3, 1, 1, {"miles": 1, "town": 2}, 1)
    assert not found.kept
    assert str(found) == (
        "of the 3 rows before: 1 gone, 1 with another label, 1 with another miles, "
        "2 with another town"
    )


def test_a_new_or_removed_column_changes_no_row() -> None:
    assert moved_rows(BEFORE, rows([1, 2, 3], [True, False, True], fog=[0, 0, 1])).kept


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ([1, 2], [1.0, 2.5], 1),
        ([True, False], [1, 1], 1),
        (["1", "2"], [1, 2], 2),
        ([np.datetime64("2013-07-01"), np.datetime64("NaT")],
         [np.datetime64("2013-07-01T00:00"), np.datetime64("NaT")], 0),
        ([dt.date(2013, 7, 1), None], [dt.date(2013, 7, 2), float("nan")], 1),
    ],
)  # fmt: skip
def test_values_are_compared_whatever_their_types(
    before: list[Any], after: list[Any], count: int
) -> None:
    assert differing(np.asarray(before), np.asarray(after)) == count


def test_lists_are_compared_by_what_they_hold() -> None:
    one, other = np.empty(2, object), np.empty(2, object)
    one[:] = [np.array([1, 2]), np.array([1])]
    other[:] = [np.array([1, 2]), np.array([1, 2])]
    assert differing(one, other) == 1
