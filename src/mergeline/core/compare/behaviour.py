"""Whether a model answers the same however it is asked: what it said here must be what it will say.

A comparison asks for all rows at once. A server is asked for one row, for rows in another order and
in batches of any size, again and again, and with nulls. `trials` says how a candidate is asked
beside that, and `misbehaviour` what is wrong with its answers. The rows are drawn by their ids, so
that the same holdout is always asked in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.result import Problem

TrialKind = Literal["fails_on_single_rows", "depends_on_batch", "unstable", "fails_on_null"]
SINGLE_ROWS = 200
_SHUFFLED_ROWS, _REPEATED_ROWS, _NULL_ROWS = 2_000, 5_000, 20
_BATCH = 37
# Of a probability; of a regression's numbers, times their spread. Single-precision models differ so
# much between batches of different sizes, and no one would call them unstable.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Trial:
    """One way in which the candidate is asked again.

    Attributes:
        kind: the rule that a wrong answer breaks.
        rows: positions in the holdout, in the order in which they are asked for.
        batch: how many rows are asked for at once.
        null: an optional input column whose values are taken away.
    """

    kind: TrialKind
    rows: npt.NDArray[np.int64]
    batch: int
    null: str | None = None


@dataclass(frozen=True)
class Trialled:
    """What came of a trial.

    Attributes:
        answers: as the model gave them, for the trial's rows; None where it failed.
        problem: why it failed.
    """

    trial: Trial
    answers: npt.NDArray[np.float64] | None
    problem: str = ""


def trials(row_id: npt.NDArray[np.uint64], optional: Sequence[str]) -> tuple[Trial, ...]:
    """How a candidate is asked beside all rows at once, in this order.

    Args:
        row_id: of each row of the holdout, shape (n,).
        optional: input columns that the model's signature calls optional.
    """
    if not len(row_id):
        return ()
    # Ids are digests: mixed by an odd factor, their order is no one's choice.
    drawn = np.argsort(row_id * np.uint64(0x9E3779B97F4A7C15), kind="stable").astype(np.int64)
    return (
        Trial("fails_on_single_rows", drawn[:SINGLE_ROWS], 1),
        Trial("depends_on_batch", drawn[:_SHUFFLED_ROWS][::-1].copy(), _BATCH),
        Trial("unstable", np.arange(min(len(row_id), _REPEATED_ROWS)), _REPEATED_ROWS),
        *(Trial("fails_on_null", drawn[:_NULL_ROWS], _NULL_ROWS, null=name) for name in optional),
    )


def misbehaviour(
    answers: npt.NDArray[np.float64], trialled: Sequence[Trialled]
) -> tuple[Problem, ...]:
    """What is wrong with a candidate that was asked in other ways too.

    Args:
        answers: for all rows at once, shape (n,) or (n, classes).
        trialled: what came of the trials.
    """
    problems = (_problem(answers, one) for one in trialled)
    return tuple(problem for problem in problems if problem is not None)


def _problem(answers: npt.NDArray[np.float64], one: Trialled) -> Problem | None:
    trial, asked = one.trial, len(one.trial.rows)
    how = {
        "fails_on_single_rows": f"asked for {asked:,} rows one by one",
        "depends_on_batch": f"asked for {asked:,} rows in another order, {trial.batch} at once",
        "unstable": f"asked for the same {asked:,} rows again",
        "fails_on_null": f"asked without {trial.null!r}, which its signature calls optional",
    }[trial.kind]
    if one.answers is None:
        return Problem(trial.kind, "candidate", f"{how}, the candidate fails: {one.problem}")
    if not np.isfinite(one.answers).all():
        return Problem(trial.kind, "candidate", f"{how}, it answers with NaN or infinite numbers")
    if trial.null is not None:
        return None
    others = _differing(answers[trial.rows], one.answers, answers)
    if not others:
        return None
    # A single row that is answered otherwise depends on the rows beside it.
    kind: TrialKind = "depends_on_batch" if trial.kind != "unstable" else "unstable"
    return Problem(kind, "candidate", f"{how}, the candidate answers otherwise for {others:,} rows")


def _differing(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64], every: npt.NDArray[Any]
) -> int:
    """How many rows have another answer; rounding aside."""
    if expected.shape != found.shape:
        return len(expected)
    spread = 1.0 if every.ndim > 1 else float(np.ptp(every))
    apart = np.abs(expected - found) > _TOLERANCE * spread
    return int(np.count_nonzero(apart.reshape(len(expected), -1).any(axis=1)))
