"""Ask models for the rows of a holdout: each behind walls, in a child process of its own (law 9).

A model's bytes are code. In this process nothing of a model is loaded: its signature is read as
data, and its answers come back as numbers. Children of several models run side by side.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from mergeline.adapters.models.confined import ConfinedModel, confined_model
from mergeline.adapters.models.folder import own_size, read_inputs
from mergeline.adapters.row_files import HoldoutFile, content_digest
from mergeline.core.compare.behaviour import Trial, Trialled, misbehaviour, trials
from mergeline.core.compare.result import InputColumn, Problem, Scored
from mergeline.core.declare.model import Model
from mergeline.core.declare.private import NOT_SHOWN
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained, find_twins, rows_trained_on
from mergeline.system.confinement import Limits
from mergeline.system.digests import file_sha256
from mergeline.system.progress import underway

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_SIDE_BY_SIDE = 2
_MOST_NULLS = 50  # columns that are left out in turn
_LATENCY_SAMPLE = 50  # rows
CANDIDATE: Literal["candidate"] = "candidate"
"""The name of the model that is also asked in other ways than all rows at once."""
ModelName = TypeVar("ModelName", bound=str)


@dataclass(frozen=True)
class _Answers:
    """What a model says of the rows, and what asking it showed."""

    predictions: npt.NDArray[np.float64]
    classes: tuple[bool | int | str, ...]
    latency_ms: float | None
    load_s: float
    memory_mb: float
    misbehaviour: tuple[Problem, ...]


def score_models(
    project: Project,
    models: Mapping[ModelName, Trained],
    holdout: HoldoutFile,
    judged_by: Model,
) -> dict[ModelName, Scored]:
    """What each model says about the rows of one holdout.

    A model that cannot score the rows is a finding: then its predictions are None.

    Args:
        project: whose walls stand around the models.
        models: by name.
        holdout: the rows.
        judged_by: the declaration that says classes and key.
    """
    # Production and the base are often one model, which is asked once.
    different = {_identity(trained): trained for trained in models.values()}
    tried = {_identity(trained) for name, trained in models.items() if name == CANDIDATE}
    # Where this is broken off, the children end first: who waits for one would not be done.
    asking = underway(
        f"{', '.join(models)}: asked for {len(holdout.frame):,} rows",
        total=len(different),
        unit="models",
    )
    with asking as step, ThreadPoolExecutor(_SIDE_BY_SIDE) as pool, ExitStack() as children:
        children.callback(pool.shutdown, wait=False, cancel_futures=True)
        quoted = not judged_by.private
        ask_once = partial(_ask_once, project, holdout=holdout, children=children, quoted=quoted)
        asked = {
            identity: pool.submit(ask_once, trained, try_it=identity in tried)
            for identity, trained in different.items()
        }
        for answer in asked.values():
            answer.add_done_callback(lambda _: step.advance())
        answers = {identity: answer.result() for identity, answer in asked.items()}
    scored = {
        name: _scored(trained, holdout, judged_by, answers[_identity(trained)])
        for name, trained in models.items()
    }
    return {
        name: replace(one, twins=find_twins(models[name], holdout, one.inputs, judged_by))
        if name == CANDIDATE
        else one
        for name, one in scored.items()
    }


def _identity(trained: Trained) -> str:
    """A model with its description, which the digest of an estimator's bytes leaves out."""
    described = trained.model / "MLmodel"
    return trained.candidate.model_digest + (file_sha256(described) if described.is_file() else "")


def _ask_once(
    project: Project,
    trained: Trained,
    *,
    holdout: HoldoutFile,
    children: ExitStack,
    try_it: bool,
    quoted: bool,
) -> _Answers | str:
    """What a model answers, or why it cannot; one that was asked before is not asked again.

    Its process ends at the latest with `children`. A model's own words are `quoted`, but where they
    may hold values of private columns.
    """
    digest, since = trained.candidate.model_digest, time.monotonic()
    try:
        identity = _identity(trained)
        inputs = read_inputs(trained.model)
        missing = [name for name in inputs if name not in holdout.frame.columns]
        if missing:
            return f"takes a column {missing[0]!r} that the holdout does not have"
        frame = holdout.frame[list(inputs)].reset_index(drop=True)
        question = (identity, content_digest(frame))
        if question not in project.answers:
            # What a candidate does when it is asked in other ways is found out once.
            try_it = try_it and all(known != identity for known, _ in project.answers)
            limits = Limits(seconds=min(Limits.seconds, project.seconds_left_to_ask))
            with confined_model(
                trained.model, digest, project.walls, packages=trained.packages, limits=limits
            ) as model:
                children.callback(model.end)
                model.load()
                row_id = holdout.rows.row_id
                answered = _ask(model, frame, row_id, inputs, try_it=try_it, quoted=quoted)
                project.answers[question] = answered
    except MergelineError as error:
        return str(error) if quoted else f"it fails; {NOT_SHOWN}"
    finally:
        project.seconds_asked.append(time.monotonic() - since)
    answers = project.answers[question]
    if not isinstance(answers, _Answers):
        raise TypeError("these are no answers")
    return answers


def _scored(
    trained: Trained, holdout: HoldoutFile, judged_by: Model, answers: _Answers | str
) -> Scored:
    scored = Scored(
        rows_digest=holdout.rows.digest,
        predictions=None,
        classes=judged_by.classes,
        trained_on=rows_trained_on(trained, judged_by),
        threshold=trained.candidate.declaration.decision,
    )
    try:
        inputs = tuple(read_inputs(trained.model).values())
        scored = replace(scored, inputs=inputs, size_bytes=own_size(trained.model))
    except MergelineError as error:
        return replace(scored, problem=str(error))
    if isinstance(answers, str):
        return replace(scored, problem=answers)
    return replace(
        scored,
        predictions=answers.predictions,
        classes=answers.classes or judged_by.classes,
        latency_ms=answers.latency_ms,
        load_s=answers.load_s,
        memory_mb=answers.memory_mb,
        misbehaviour=answers.misbehaviour,
    )


def _ask(
    model: ConfinedModel,
    frame: pd.DataFrame,
    row_id: npt.NDArray[np.uint64],
    inputs: Mapping[str, InputColumn],
    *,
    try_it: bool,
    quoted: bool,
) -> _Answers:
    predictions = model.predict(frame)
    latency = model.latency_ms(min(len(frame), _LATENCY_SAMPLE)) if len(frame) else None
    problems: tuple[Problem, ...] = ()
    if try_it:
        optional = [name for name, column in inputs.items() if not column.required][:_MOST_NULLS]
        asked = trials(row_id, optional)
        trialled = [_try(model, frame, trial, quoted=quoted) for trial in asked]
        problems = misbehaviour(predictions, trialled)
    return _Answers(
        predictions, model.classes, latency, model.load_seconds, model.peak_memory_mb, problems
    )


def _try(model: ConfinedModel, frame: pd.DataFrame, trial: Trial, *, quoted: bool) -> Trialled:
    """Ask in one way more; a trial with nulls is of other rows, which the model then holds."""
    import numpy as np

    rows = trial.rows
    try:
        if trial.null is not None:
            changed = frame.iloc[rows].copy()
            changed[trial.null] = changed[trial.null].where(np.zeros(len(rows), dtype=bool))
            return Trialled(trial, model.predict(changed))
        return Trialled(trial, model.answer(rows, at_once=trial.batch))
    except MergelineError as error:
        return Trialled(trial, None, error.message if quoted else NOT_SHOWN)
