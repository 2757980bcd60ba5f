"""A trained candidate and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.row_files import HoldoutFile, read_inputs_hashes, read_training_rows
from mergeline.adapters.store.store import Stored
from mergeline.core.compare.result import InputColumn, Twins
from mergeline.core.compare.twins import HashedRows, count_twins
from mergeline.core.declare.model import Model
from mergeline.core.release.bundle import CANDIDATE_FILES, HOLDOUT, MODEL, TRAINING_ROWS, Candidate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Trained:
    """A candidate with its files.

    Attributes:
        folder: a bundle's folder, complete but for an evaluation.
        stored: what the store has of it, if it has.
        fresh: whether it was trained just now.
        packages: folder of the packages that the model needs; None: those installed here.
        run: where people find it in MLflow, if that is known.
    """

    candidate: Candidate
    folder: Path
    stored: Stored | None
    fresh: bool
    packages: Path | None = None
    run: Run | None = None

    @property
    def model(self) -> Path:
        """The MLflow model's folder."""
        return self.folder / CANDIDATE_FILES / MODEL

    @property
    def holdout(self) -> Path:
        """The rows it is judged on."""
        return self.folder / CANDIDATE_FILES / HOLDOUT


def rows_trained_on(trained: Trained, judged_by: Model) -> npt.NDArray[np.uint64] | None:
    """Row ids of the rows that a model was fitted on.

    None where its key is another than that of who judges: then rows cannot be told to be the same.
    """
    declared = trained.candidate.declaration
    if declared.key != judged_by.key:
        return None
    return read_training_rows(trained.folder / CANDIDATE_FILES / TRAINING_ROWS, declared)


def find_twins(
    trained: Trained, holdout: HoldoutFile, inputs: tuple[InputColumn, ...], judged_by: Model
) -> Twins | None:
    """Rows of the holdout whose inputs equal those of a row that a model was fitted on.

    None where nobody knows: its training rows carry no hashes of inputs, or have another key, or
    the holdout lacks an input.
    """
    declared = trained.candidate.declaration
    path = trained.folder / CANDIDATE_FILES / TRAINING_ROWS
    row_id, hashes = rows_trained_on(trained, judged_by), read_inputs_hashes(path, declared)
    known = all(column.name in holdout.frame for column in inputs)
    if row_id is None or hashes is None or not known:
        return None
    of_holdout = HashedRows(holdout.rows.row_id, holdout.inputs_hashes(inputs))
    return count_twins(of_holdout, HashedRows(row_id, hashes))
