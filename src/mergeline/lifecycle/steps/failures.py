"""A run that failed leaves a report too, so that a comment can say what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import EVALUATION_FILES, REPORT
from mergeline.core.report.content import Report
from mergeline.errors import MergelineError, StageError
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.reporting import describe_failure
from mergeline.system.atomic_writes import folder_written_whole


@contextlib.contextmanager
def leaving_failure(
    bundle: Path | None,
    describe: Callable[[MergelineError], Report],
    *,
    of_stages: Path | None = None,
) -> Iterator[None]:
    """What fails within leaves a bundle that holds only its report.

    An error that is nobody's mistake but ours is reported too, and raised as it is. What would end
    the process is an error: its code may be 0, which means that the gate passed. A signal to stop,
    as of a job that ran out of time, is reported too.
    Without a `bundle` only a stage that failed leaves one, in the folder `of_stages`.
    """
    try:
        yield
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        ours = _as_ours(error)
        folder = of_stages if bundle is None and isinstance(ours, StageError) else bundle
        if folder is not None:
            leave_failure(folder, describe(ours))
        if isinstance(error, SystemExit):
            raise ours from error
        raise


def leaving_failure_of(
    project: Project, case: Case, bundle: Path | None
) -> contextlib.AbstractContextManager[None]:
    """As `leaving_failure`, of one case; without a bundle a failed stage is kept here."""
    of_stages = project.state / "bundles" / f"{case.model.name}-failed"
    return leaving_failure(bundle, partial(describe_failure, case), of_stages=of_stages)


def leave_failure(bundle: Path, failed: Report) -> None:
    """Leave a bundle that holds only the report of a failure."""
    with folder_written_whole(bundle) as scratch:
        files = scratch / EVALUATION_FILES
        files.mkdir()
        (files / REPORT).write_text(write_json(failed), encoding="utf-8")


def _as_ours(error: Exception | SystemExit | KeyboardInterrupt) -> MergelineError:
    if isinstance(error, MergelineError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return MergelineError(
            "it was stopped before it came to an end",
            next_step="If nobody stopped it, the job took longer than it may: see its log",
        )
    if isinstance(error, SystemExit):
        return MergelineError(
            f"something ends the process: {error!r}",
            next_step="Let the project's own code raise another error than SystemExit",
        )
    return MergelineError(
        f"{type(error).__name__}: {error}",
        next_step="This is a defect of mergeline: report it with the log of the job",
    )
