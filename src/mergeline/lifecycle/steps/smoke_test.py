"""Smoke test before promotion: served by itself, a version answers as it did."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.model_folder import read_inputs
from mergeline.adapters.row_files import read_predictions
from mergeline.adapters.scoring_server import Client, records, running_server
from mergeline.core.compare.result import CLOSE
from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import PREDICTIONS
from mergeline.core.release.version import Version
from mergeline.errors import DeployError
from mergeline.lifecycle.steps.candidates import Trained
from mergeline.lifecycle.steps.project import Project

_ROWS = 20
# All that a process which loads a model gets to see; a list of what is secret would have gaps.
_SEEN = (
    "PATH", "LD_LIBRARY_PATH", "DYLD_", "TMPDIR", "TZ", "LANG", "LC_", "PYTHON", "OMP_", "MKL_",
    "OPENBLAS_", "CUDA_",
)  # fmt: skip


def smoke_test(project: Project, trained: Trained, run: Run, version: Version) -> None:
    """Serve one version by itself and ask for rows whose answers its evaluation recorded.

    Its files are fetched from the registry here; they are loaded in a process without this one's
    secrets.

    Raises:
        DeployError: it does not start, serves another model, or answers otherwise.
    """
    rows, expected = recorded_answers(project, trained, run)
    with TemporaryDirectory(prefix="mergeline-smoke-") as scratch:
        folder = project.tracking.model_files(version.model, version.number, Path(scratch))
        # -P: a served model finds no modules of the working tree, and neither may this one.
        command = [sys.executable, "-P", "-m", "mergeline.serving.single", str(folder)]
        described = write_json(replace(version, stage="None"), indent=None)
        environment = {**without_secrets(project.environment), "HOME": scratch}
        with running_server([*command, described], cwd=folder, env=environment) as address:
            answer = Client(address).predict(version.model, rows, version=version.number)
    where = f"{version.model} v{version.number}"
    if answer.model_digest != version.model_digest:
        raise DeployError(
            f"the smoke test was answered by model {answer.model_digest[:8]}, "
            f"not {version.model_digest[:8]}",
            where=where,
        )
    if not _same(answer.predictions, expected):
        raise DeployError(
            "served, the model answers otherwise than when it was evaluated",
            where=where,
            next_step="Evaluate again in the environment that serves",
        )


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a process may see that runs code nobody vouches for."""
    return {key: value for key, value in environment.items() if key.startswith(_SEEN)}


def recorded_answers(
    project: Project, trained: Trained, run: Run
) -> tuple[list[dict[str, Any]], list[Any]]:
    """The first rows of a candidate's holdout, and what its evaluation says it answered.

    The model is not loaded here, where a release's secrets are.
    """
    import pandas as pd

    frame = pd.read_parquet(trained.holdout).head(_ROWS)[list(read_inputs(trained.model))]
    fetched = project.tracking.evaluation_files(run, project.state / "fetched" / run.run_id)
    answers = read_predictions(fetched / PREDICTIONS, "candidate")[:_ROWS].tolist()
    return records(frame), answers


def _same(answer: Any, expected: Any) -> bool:  # noqa: ANN401 - numbers, or lists of them
    if isinstance(answer, list) and isinstance(expected, list):
        return len(answer) == len(expected) and all(map(_same, answer, expected))
    return math.isclose(answer, expected, rel_tol=CLOSE)
