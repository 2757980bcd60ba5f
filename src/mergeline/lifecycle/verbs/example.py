"""`init --example`: a small project with data of scikit-learn, as `init` makes it of any CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.drops.infer import infer
from mergeline.adapters.git.repository import Repository
from mergeline.core.begin.answers import RECORD, Answers
from mergeline.core.begin.found import propose
from mergeline.errors import InputError
from mergeline.lifecycle.steps.survey import survey
from mergeline.system.atomic_writes import file_written_whole
from mergeline.system.git_command import run_git

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = "number"


@dataclass(frozen=True)
class _Example:
    """A data set of scikit-learn, what its rows are called, and the columns to predict.

    `inputs` is how the columns begin that are taken, where one of the others gives the label away.
    """

    loader: str
    rows: str
    labels: Sequence[str]
    inputs: str = ""


EXAMPLES = {
    "regression": _Example("load_diabetes", "patients", ["progression"]),
    "multiclass": _Example("load_digits", "digits", ["digit"]),
    "binary": _Example("load_breast_cancer", "tumours", ["benign"], "mean_"),
    "two-models": _Example("load_diabetes", "patients", ["progression", "severe"]),
}
_SEVERE = 140  # half of the patients progress further


def begin(folder: Path, name: str) -> tuple[Repository, Answers | None]:
    """Write the example's data into an empty folder, make it a repository, and give all answers.

    A folder that an earlier call began is gone on with; where that call left its record, there are
    no answers: they are in it.

    Raises:
        InputError: the folder holds something else.
    """
    example = EXAMPLES[name]
    path = f"data/{example.rows}.csv"
    if not (folder / path).is_file():
        if others := [each.name for each in folder.iterdir() if each.name != ".git"]:
            raise InputError(
                f"an example needs an empty folder, and this one holds {others[0]}",
                where=str(folder),
                next_step=f"Make one: mkdir {name} && cd {name}",
            )
        with file_written_whole(folder / path) as part:
            _data(example).to_csv(part, index=False)
    if not (folder / ".git").exists():
        run_git(["init", "--quiet", "--initial-branch=main"], cwd=folder)
    repository = Repository(folder)
    if (folder / RECORD).is_file():
        return repository, None
    found, table = survey(repository), infer(folder / path, path)
    answers = Answers()
    for label in example.labels:
        tell = partial(
            propose, found, table, label=label, key=[_NUMBER], others=answers.models,
            labels=example.labels,
        )  # fmt: skip
        second = bool(answers.models) and find_spec("lightgbm") is not None
        answers = tell(estimator="lightgbm.LGBMClassifier") if second else tell()
    return repository, answers


def _data(example: _Example) -> pd.DataFrame:
    """The rows with a number of their own in front."""
    from sklearn import datasets

    loaded = getattr(datasets, example.loader)(as_frame=True)
    frame: pd.DataFrame = loaded.frame.rename(columns=lambda name: name.replace(" ", "_"))
    label = example.labels[0]
    values = frame.pop("target")
    frame = frame[[name for name in frame if str(name).startswith(example.inputs)]]
    frame[label] = values == 1 if label == "benign" else values.astype(int)
    if "severe" in example.labels:
        frame["severe"] = values > _SEVERE
    frame.insert(0, _NUMBER, range(1, len(frame) + 1))
    return frame
