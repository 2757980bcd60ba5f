"""Smoke test: the server, with this model alone, answers rows as the model was heard to answer.

The server loads the model, so it runs behind the same walls as a model that is asked. A socket that
this process listens on is its only way out; rows go in there, and answers come back as numbers.
"""

from __future__ import annotations

import math
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mergeline.adapters.models.folder import read_inputs
from mergeline.adapters.scoring_server import confined_server, records
from mergeline.core.compare.result import CLOSE
from mergeline.core.declare.private import NOT_SHOWN
from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import SmokeTest
from mergeline.core.release.version import Version
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_ROWS = 20
_SERVING = (  # what loads and serves a model
    "mergeline", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "treelite", "uvicorn",
)  # fmt: skip


def ask_its_server(
    project: Project, trained: Trained, frame: pd.DataFrame, *, quoted: bool
) -> list[Any] | str:
    """What the model's own server answers for the first rows of a holdout, or why it does not.

    Its own words are `quoted`, but where they may hold values of private columns.
    """
    candidate = trained.candidate
    only = Version(candidate.model, 1, "None", candidate.fingerprint, candidate.model_digest, "")
    try:
        rows = records(frame.head(_ROWS)[list(read_inputs(trained.model))])
        described = write_json(only, indent=None)
        with confined_server(project.walls, trained.model, described) as client:
            answer = client.predict(only.model, rows, version=only.number)
    except MergelineError as error:
        return error.message if quoted else NOT_SHOWN
    if answer.model_digest != candidate.model_digest:
        return f"it answers with model {answer.model_digest[:8]}"
    return answer.predictions


def smoke_test(
    trained: Trained,
    served: list[Any] | str,
    heard: npt.NDArray[np.float64] | None,
) -> SmokeTest:
    """Hold what the server answered against what the model was heard to answer.

    Args:
        trained: the model.
        served: as `ask_its_server` gave it.
        heard: the model's predictions for the same holdout; None if it gives none.
    """
    problem = ""
    if heard is None:
        problem = "the model does not answer at all"
    elif isinstance(served, str):
        problem = f"served by itself, it fails: {served}"
    elif not _same(served, heard[:_ROWS].tolist()):
        problem = "served by itself, the model answers otherwise"
    return SmokeTest(trained.candidate.model_digest, serving_versions(), problem)


@cache
def serving_versions() -> dict[str, str]:
    """Versions of Python and of the packages that load and serve a model here."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _SERVING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _same(answer: Any, expected: Any) -> bool:  # noqa: ANN401 - numbers, or lists of them
    if isinstance(answer, list) and isinstance(expected, list):
        return len(answer) == len(expected) and all(map(_same, answer, expected))
    if isinstance(answer, list) or isinstance(expected, list):
        return False
    return math.isclose(answer, expected, rel_tol=CLOSE)
