"""Rows that equal training rows, and the hashes by which they are found."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mergeline.adapters.row_files import hash_inputs
from mergeline.core.compare.result import Twins
from mergeline.core.compare.row_hashes import row_hashes
from mergeline.core.compare.twins import HashedRows, count_twins

DAY = dt.datetime(2013, 7, 1)  # noqa: DTZ001
RNG = np.random.default_rng(0)


def hashes(values: Any) -> list[int]:
    return list(row_hashes({"x": values}))


@pytest.mark.parametrize(
    "others",
    [
        [np.array([1, 0], np.int8), np.array([1.0, -0.0]), np.array([True, False]),
         np.array([1, 0.0], np.float32), np.array([Decimal(1), np.bool_(False)], object)],
        [np.array([1.0, np.nan]), np.array([1, None], object), np.array([1, pd.NA], object),
         pd.array([1, None], dtype="Int64"), np.array([Decimal("1.00"), float("nan")], object)],
        [np.array(["JFK", None], object), pd.array(["JFK", None], dtype="string"),
         pd.Categorical(["JFK", None]), pl.Series(["JFK", None]).to_numpy(),
         pl.Series(["JFK", None], dtype=pl.Categorical).to_numpy()],
        [np.array([DAY, None], object), np.array([DAY, None], "datetime64[s]"),
         np.array([DAY.date(), pd.NaT], object), pd.Series([DAY, None]).to_numpy(),
         pd.Series([DAY, None]).dt.tz_localize("UTC").to_numpy(object),
         pl.Series([DAY.date(), None]).to_numpy()],
    ],
)  # fmt: skip
def test_equal_values_of_other_types_have_equal_hashes(others: list[Any]) -> None:
    found = [hashes(values) for values in others]
    assert all(one == found[0] for one in found)
    assert found[0][0] != found[0][1]


def test_rounded_numbers_are_equal_up_to_a_little_noise() -> None:
    exact = np.concatenate([RNG.normal(size=5_000), 10.0 ** RNG.uniform(-300, 300, 5_000)])
    noise = exact * (1 + RNG.uniform(-1e-6, 1e-6, len(exact)))
    hashed = row_hashes({"x": exact}, rounded=True)
    assert np.mean(hashed == row_hashes({"x": noise}, rounded=True)) > 0.98
    assert np.mean(hashed == row_hashes({"x": exact * 1.01}, rounded=True)) < 0.01
    assert np.mean(hashed == row_hashes({"x": -exact}, rounded=True)) == 0


def test_decimals_as_people_write_them_are_equal_in_float32() -> None:
    prices = np.round(RNG.uniform(0, 1_000, 20_000), 2)
    single = row_hashes({"x": prices.astype(np.float32)}, rounded=True)
    assert np.array_equal(row_hashes({"x": prices}, rounded=True), single)


def test_whole_numbers_count_to_their_last_digit() -> None:
    numbers = np.array([0, 1, -1, 9_999, 10_000, 10_001, 123_456_789, 123_456_788, np.inf, -np.inf])
    found = row_hashes({"x": numbers}, rounded=True)
    assert len(set(found.tolist())) == len(numbers)
    with_gap = row_hashes({"x": np.array([*numbers.tolist(), None], object)}, rounded=True)
    assert np.array_equal(found, with_gap[:-1])


def test_values_that_differ_have_other_hashes() -> None:
    values = [0, 1, -1, 0.1, "0", "1", "", "None", None, b"\xff", DAY, [1, 2], [2, 1], {"a": 1}]
    found = hashes(np.array([*values, np.array([1.5])], dtype=object))
    assert len(set(found)) == len(values) + 1


def test_columns_count_by_their_names_and_not_by_their_order() -> None:
    a, b = RNG.normal(size=50), RNG.integers(0, 9, 50)
    found = row_hashes({"a": a, "b": b})
    assert np.array_equal(found, row_hashes({"b": b, "a": a}))
    assert not np.isin(found, row_hashes({"a": b, "b": a})).any()
    with pytest.raises(ValueError, match="without columns"):
        row_hashes({})


def test_the_hashes_of_a_frame_are_those_that_earlier_versions_wrote() -> None:
    frame = pd.DataFrame({"origin": ["JFK", None], "hour": [17, 5], "wind": [8.5, np.nan]})
    assert hash_inputs(frame).tolist() == hash_inputs(pl.from_pandas(frame)).tolist()
    assert hash_inputs(frame).tolist() == [17874579314825704230, 10409758630092304838]


@pytest.mark.slow
def test_a_million_numbers_give_a_million_hashes() -> None:
    assert len(np.unique(row_hashes({"x": np.arange(1_000_000)}))) == 1_000_000


def rows(inputs: Any, first_id: int) -> HashedRows:
    ids = np.arange(first_id, first_id + len(inputs), dtype=np.uint64)
    return HashedRows(ids, row_hashes({"x": np.asarray(inputs)}))


def test_copies_under_other_keys_are_twins() -> None:
    held = RNG.normal(size=1_000)
    found = count_twins(rows(held, 0), rows(np.concatenate([RNG.normal(size=4_000), held]), 5_000))
    assert (found.rows, found.twins, found.expected) == (1_000, 1_000, 0.0)
    assert found.beyond > 0.98
    other = count_twins(rows(held, 0), rows(RNG.normal(size=4_000), 5_000))
    assert other == Twins(rows=1_000, twins=0, expected=0.0, beyond=0.0)


def test_a_row_that_was_itself_trained_on_is_no_twin() -> None:
    held = RNG.normal(size=100)
    found = count_twins(rows(held, 0), rows(held, 0))
    assert (found.rows, found.twins, found.beyond) == (0, 0, 0.0)


@pytest.mark.parametrize("kinds", [3, 300, 30_000])
@pytest.mark.parametrize("split", [0.05, 0.2, 0.5])
def test_rows_that_are_alike_by_chance_are_expected(kinds: int, split: float) -> None:
    """Few inputs of few values, some of them common and many rare."""
    drawn = (kinds ** RNG.random(10_000)).astype(int)
    cut = int(split * len(drawn))
    found = count_twins(rows(drawn[:cut], 0), rows(drawn[cut:], 50_000))
    assert found.twins > 0
    assert found.beyond == 0.0


def test_training_rows_of_which_each_kind_was_kept_once_expect_no_fewer() -> None:
    drawn = RNG.integers(0, 200, 10_000)
    found = count_twins(rows(drawn[:2_000], 0), rows(np.unique(drawn[2_000:]), 50_000))
    assert found.twins == 2_000
    assert found.beyond == 0.0


def test_a_row_that_is_fitted_on_twice_does_not_make_its_copies_expected() -> None:
    """As where the rare class is drawn several times: one key is one row."""
    held = RNG.normal(size=500)
    fitted = rows(np.concatenate([RNG.normal(size=500), held]), 1_000)
    twice = HashedRows(np.tile(fitted.row_id, 3), np.tile(fitted.inputs, 3))
    assert count_twins(rows(held, 0), twice).beyond > 0.95


def test_one_copy_among_few_rows_may_be_chance() -> None:
    held = RNG.normal(size=30)
    fitted = np.concatenate([RNG.normal(size=119), held[:1]])
    found = count_twins(rows(held, 0), rows(fitted, 1_000))
    assert found.twins == 1
    assert found.beyond == 0.0


def test_no_rows_have_no_twins() -> None:
    nothing, some = rows(np.zeros(0), 0), rows(np.zeros(5), 10)
    assert count_twins(nothing, some).beyond == count_twins(some, nothing).beyond == 0.0
