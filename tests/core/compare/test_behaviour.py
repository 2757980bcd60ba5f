"""How a candidate is asked beside all rows at once, and what is wrong with its answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.behaviour import SINGLE_ROWS, Trial, Trialled, misbehaviour, trials

IDS = np.random.default_rng(7).integers(0, 2**63, 3_000).astype(np.uint64)
GOOD = np.random.default_rng(8).uniform(size=(3_000, 2))

Answer = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]


def batches(trial: Trial) -> list[npt.NDArray[np.int64]]:
    starts = range(0, len(trial.rows), trial.batch)
    return [trial.rows[start : start + trial.batch] for start in starts]


def kinds(answer: Answer, optional: tuple[str, ...] = ()) -> set[str]:
    """The rules that a model breaks; it is asked for rows by their positions."""
    asked = [
        Trialled(one, np.concatenate([answer(rows) for rows in batches(one)]))
        for one in trials(IDS, optional)
    ]
    return {problem.kind for problem in misbehaviour(GOOD, asked)}


def test_a_model_that_answers_each_row_by_itself_passes() -> None:
    assert kinds(lambda rows: GOOD[rows]) == set()


def test_rounding_between_batches_is_no_misbehaviour() -> None:
    assert kinds(lambda rows: GOOD[rows].astype(np.float32).astype(np.float64)) == set()


def test_a_model_whose_answer_depends_on_the_rows_beside_it_is_found() -> None:
    def standardised(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        batch = GOOD[rows]
        return np.asarray(batch - batch.mean(axis=0) + 0.5)

    assert "depends_on_batch" in kinds(standardised)


def test_a_model_whose_first_call_is_right_and_whose_later_calls_are_not_is_found() -> None:
    assert "unstable" in kinds(lambda rows: 1 - GOOD[rows])


def test_a_model_that_answers_with_nan_for_a_null_is_found() -> None:
    trial = next(one for one in trials(IDS, ("weight",)) if one.null)
    answered = Trialled(trial, np.full((len(trial.rows), 2), np.nan))
    [problem] = misbehaviour(GOOD, [answered])
    assert problem.kind == "fails_on_null"
    assert "'weight'" in problem.text


def test_a_model_that_answers_otherwise_for_a_null_passes() -> None:
    trial = next(one for one in trials(IDS, ("weight",)) if one.null)
    assert misbehaviour(GOOD, [Trialled(trial, 1 - GOOD[trial.rows])]) == ()


def test_a_model_that_cannot_score_one_row_is_found() -> None:
    trial = trials(IDS, ())[0]
    [problem] = misbehaviour(GOOD, [Trialled(trial, None, "expected 2 rows")])
    assert problem.kind == "fails_on_single_rows"
    assert "expected 2 rows" in problem.text


def test_numbers_of_a_regression_are_compared_by_their_spread() -> None:
    answers = np.linspace(0, 1e6, 3_000)
    trial = Trial("unstable", np.arange(100), 100)
    assert misbehaviour(answers, [Trialled(trial, answers[:100] + 0.001)]) == ()
    assert misbehaviour(answers, [Trialled(trial, answers[:100] + 100.0)])


def test_at_least_two_hundred_rows_are_asked_one_by_one_and_drawn_by_their_ids() -> None:
    single = trials(IDS, ())[0]
    assert single.batch == 1
    assert len(single.rows) == SINGLE_ROWS
    again = np.random.default_rng(9).permutation(len(IDS))
    moved = trials(IDS[again], ())[0]
    assert set(IDS[single.rows]) == set(IDS[again][moved.rows])


def test_an_empty_holdout_is_asked_nothing() -> None:
    assert trials(IDS[:0], ("weight",)) == ()
