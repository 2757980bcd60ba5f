from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.label_leaks import find_leaks

ROWS = 1_000
RNG = np.random.default_rng(0)
LATE = RNG.random(ROWS) < 0.3
MINUTES = np.where(LATE, 15 + 60 * RNG.random(ROWS), -20 + 34 * RNG.random(ROWS))


def leaks(values: Any, labels: Any = LATE, task: Any = "binary") -> tuple[str, ...]:
    return tuple(find_leaks({"column": np.asarray(values)}, labels, task).values())


@pytest.mark.parametrize(
    "values",
    [
        LATE,
        ~LATE,
        LATE.astype(int),
        MINUTES,
        -MINUTES,
        np.where(LATE, np.nan, MINUTES),  # to be missing tells
        np.where(LATE, "late", "punctual"),
        np.array([None if late else "here" for late in LATE]),
        np.datetime64("2013-07-01T12:00") + MINUTES.astype(int).astype("timedelta64[m]"),
    ],
)  # fmt: skip
def test_a_column_that_gives_the_label_away_is_found(values: Any) -> None:
    (text,) = leaks(values)
    assert text.startswith("the column column alone gives the label away (ROC AUC 1")


@pytest.mark.parametrize(
    "values",
    [
        RNG.random(ROWS),
        MINUTES + 60 * RNG.normal(size=ROWS),  # informative, as a good column is
        np.zeros(ROWS),
        np.full(ROWS, np.nan),
        np.array([f"flight {row}" for row in range(ROWS)]),  # names a row, tells nothing
        np.where(RNG.random(ROWS) < 0.5, "JFK", "LGA"),
        np.arange(ROWS).astype(str).astype(object),
    ],
)  # fmt: skip
def test_a_column_that_does_not_give_the_label_away_is_not_reported(values: Any) -> None:
    assert leaks(values) == ()


def test_giving_one_class_of_several_away_is_enough() -> None:
    codes = RNG.integers(0, 3, ROWS)
    labels = np.array(["a", "b", "c"])[codes]
    assert leaks(codes == 2, labels, "multiclass") != ()
    assert leaks(RNG.random(ROWS), labels, "multiclass") == ()


def test_a_number_that_is_the_label_in_disguise() -> None:
    price = RNG.gamma(2, size=ROWS)
    assert leaks(price * 1.19, price, "regression") != ()
    assert leaks(price**2, price, "regression") != ()
    assert leaks(price * RNG.gamma(9, 1 / 9, size=ROWS), price, "regression") == ()
    assert leaks(np.ones(ROWS), price, "regression") == ()


def test_few_rows_prove_nothing() -> None:
    assert leaks(LATE[:60], LATE[:60]) == ()
