"""Twins: rows of the holdout whose inputs equal those of a row that the candidate was trained on.

A model may have learnt such a row by heart, under another key. Where inputs take few values, equal
rows are nothing odd, so as many as are to be expected are no finding: as many as equal each other
among the training rows, or among the holdout's, whichever share is larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.result import Twins
from mergeline.core.compare.row_hashes import Hashes

_Z = 3.0  # standard errors: chance alone refuses one candidate in a thousand


@dataclass(frozen=True)
class HashedRows:
    """Row ids and the hashes of the rows' inputs, each shape (n,)."""

    row_id: npt.NDArray[np.uint64]
    inputs: Hashes


def count_twins(holdout: HashedRows, training: HashedRows) -> Twins:
    """Count the holdout's rows that have a twin among the training rows.

    Rows that are themselves among the training rows do not count: they are left out of the
    comparison, and told, by their keys. A row that was fitted on twice is one row.
    """
    held = holdout.inputs[~np.isin(holdout.row_id, training.row_id)]
    fitted = training.inputs[np.unique(training.row_id, return_index=True)[1]]
    twins, rows = int(np.count_nonzero(np.isin(held, fitted))), len(held)
    alike = [(_alike(fitted), len(fitted)), (_alike(held), rows)]
    return Twins(
        rows=rows,
        twins=twins,
        expected=max((count / of for count, of in alike if of), default=0.0),
        beyond=min(_surely_beyond(twins, rows, *one) for one in alike),
    )


def _alike(inputs: Hashes) -> int:
    """How many rows have the inputs of another."""
    _, counts = np.unique(inputs, return_counts=True)
    return int(counts[counts > 1].sum())


def _surely_beyond(count: int, of: int, other: int, of_others: int) -> float:
    """By how much one share surely exceeds another; 0 where it may not.

    The lower end of Newcombe's interval for a difference of proportions (Statistics in Medicine
    17, 1998, method 10), made of Wilson's intervals.
    """
    if not of or not of_others:
        return 0.0
    low, high = _wilson(count, of)[0], _wilson(other, of_others)[1]
    share, others = count / of, other / of_others
    return max(0.0, share - others - sqrt((share - low) ** 2 + (high - others) ** 2))


def _wilson(count: int, of: int) -> tuple[float, float]:
    """The ends of Wilson's interval for a share."""
    share, z2 = count / of, _Z**2
    middle = share + z2 / (2 * of)
    half = _Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (middle - half) / (1 + z2 / of)), min(1.0, (middle + half) / (1 + z2 / of))
