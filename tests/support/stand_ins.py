"""Stand-ins for the slow steps of the line: stages under DVC, models behind walls, the smoke test.

This is the one place that patches them. `Project` could carry both as fields, but commands of the
command line make their `Project` themselves: tests of those would have to patch all the same.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import yaml

from mergeline.adapters.dvc import stages
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.models.folder import LoadedModel, load
from mergeline.core.compare import behaviour
from mergeline.errors import BundleError, StageError
from mergeline.lifecycle.steps import candidates, judging, scoring
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained
from mergeline.lifecycle.verbs.snapshot import snapshot
from mergeline.system.confinement import Walls


@dataclass
class StagesInProcess:
    """Runs the stages of `dvc.yaml` in this process, where DVC starts four: 1 s instead of 9 s.

    Attributes:
        runs: fingerprint folders of the checkouts whose stages ran, in order.
    """

    runs: list[str] = field(default_factory=list)

    def __call__(
        self,
        checkout: Path,
        stage: str,
        *,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> dict[str, float]:
        self.runs.append(checkout.name)
        document = yaml.safe_load((checkout / "dvc.yaml").read_text())
        for name, spec in document["stages"].items():
            say(f"stage {name}")
            if spec["cmd"] == "mergeline snapshot":
                snapshot(Project(Repository(checkout), {**os.environ, **environment}))
                continue
            for out in spec["outs"]:
                (checkout / out).parent.mkdir(parents=True, exist_ok=True)
            _run_module(name, spec["cmd"].removeprefix("python -m "), checkout, environment)
        return dict.fromkeys(document["stages"], 0.1)


def _run_module(stage: str, module: str, checkout: Path, environment: Mapping[str, str]) -> None:
    with _inside(checkout, environment), silent():
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except Exception as error:
            raise StageError(
                f"stage {stage} failed: {type(error).__name__}: {error}",
                stage=stage,
                where="dvc.yaml",
                next_step=f"Run it by hand: dvc repro {stage}",
            ) from error


@contextlib.contextmanager
def stages_in_process() -> Iterator[StagesInProcess]:
    """Candidates are trained in this process, for as long as the block lasts."""
    runner = StagesInProcess()
    with pytest.MonkeyPatch.context() as patch:
        run_stages_by(patch, runner)
        patch.setattr(scoring, "confined_model", in_process)
        patch.setattr(behaviour, "SINGLE_ROWS", 2)
        yield runner


@dataclass
class _InProcess:
    """A model that is asked in this process, as `ConfinedModel` is asked in a child."""

    model: LoadedModel
    load_seconds: float = 0.1
    peak_memory_mb: float = 200.0

    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def classes(self) -> tuple[Any, ...]:
        return self.model.classes

    def load(self) -> None:
        """It is loaded."""

    def end(self) -> None:
        """It has no process."""

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        self.frame = frame
        return self.model.predict(frame)

    def answer(
        self, rows: npt.NDArray[np.int64], *, at_once: int | None = None
    ) -> npt.NDArray[np.float64]:
        size = at_once or len(rows)
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        return np.concatenate([self.model.predict(self.frame.iloc[batch]) for batch in batches])

    def latency_ms(self, count: int) -> float:
        since = time.perf_counter()
        self.answer(np.arange(1))
        return (time.perf_counter() - since) * 1000


@contextlib.contextmanager
def in_process(folder: Path, digest: str, walls: Walls, **_: object) -> Iterator[_InProcess]:
    """Starting a child takes 2 s; `tests/adapters/models` holds it against what walls are for."""
    yield _InProcess(load(folder, digest))


def stages_by_dvc(patch: pytest.MonkeyPatch) -> None:
    """Candidates are trained as in production again."""
    run_stages_by(patch, stages.reproduce)


def run_stages_by(patch: pytest.MonkeyPatch, runner: Callable[..., dict[str, float]]) -> None:
    """Candidates are trained by a function that is called as `adapters.dvc.stages.reproduce` is."""
    patch.setattr(candidates, "reproduce", runner)


def smoke_test_by(patch: pytest.MonkeyPatch, ask: Callable[..., list[Any] | str]) -> None:
    """An evaluation calls a function instead of starting a server and asking it."""
    patch.setattr(judging, "ask_its_server", ask)


def as_in_process(
    _: Project, trained: Trained, frame: pd.DataFrame, *, quoted: bool
) -> list[Any] | str:
    """What a server that does nothing wrong answers."""
    try:
        model = load(trained.model, trained.candidate.model_digest)
        answers: list[Any] = model.predict(frame.head(20)).tolist()
    except BundleError as error:
        return error.message if quoted else ""
    return answers


@contextlib.contextmanager
def _inside(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """This process is as one that was started in a folder."""
    pipelines = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_pipeline(name)}
    before = dict(os.environ)
    bytecode = sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    os.environ.update(environment)
    try:
        with contextlib.chdir(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in a process of its own
            yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if _is_pipeline(name)]:
            del sys.modules[name]
        sys.modules.update(pipelines)
        os.environ.clear()
        os.environ.update(before)


def _is_pipeline(module: str) -> bool:
    return module.partition(".")[0] == "pipelines"


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Nothing is printed on standard output or error."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
