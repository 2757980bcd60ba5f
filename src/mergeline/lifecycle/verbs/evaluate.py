"""`evaluate`: the candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mergeline.adapters.bundles import check_replaceable
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.asked import asked_for
from mergeline.lifecycle.steps.case import Case, read_cases
from mergeline.lifecycle.steps.evaluation import Evaluated, leave_bundle, log_evaluation
from mergeline.lifecycle.steps.failures import (
    leave_failure,
    leaving_failure,
    leaving_failure_of,
)
from mergeline.lifecycle.steps.judging import judge_case
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reporting import describe, describe_failure, describe_unread
from mergeline.lifecycle.steps.sample import SAMPLE, try_sample


def evaluate(
    project: Project,
    *,
    model: str | None = None,
    base: str | None = None,
    bundle: Path | None = None,
    sample: bool = False,
    say: Say,
) -> list[Evaluated]:
    """Evaluate the models that the working tree changes (all if it changes none), or the one named.

    The `base` is the branch that the tree would be merged onto, main without it. With `bundle` the
    bundle (of several models: a folder each) is left there, and nothing is written to a store.
    With a `sample`, which a comment may ask for too, part of the data is tried: what that says is
    told, and the bundle holds the report of a failure and no candidate.

    Raises:
        MergelineError: see its classes; a failed run leaves a report of the failure in `bundle`.
    """
    if bundle is not None:
        check_replaceable(bundle)
    with leaving_failure(bundle, partial(describe_unread, project, model)):
        cases = read_cases(project, model, base)
    sample = sample or _asked(project, say)
    done, failures = [], []
    for case in cases:
        folder = bundle / case.model.name if bundle and len(cases) > 1 else bundle
        try:
            with leaving_failure_of(project, case, folder):
                case.tree.check_columns(case.model)  # before anything trains
                if sample:
                    _try(project, case, folder, say)
                    continue
                done.append(_evaluate(project, case, folder, say))
        except MergelineError as error:
            failures.append(error)  # raised when the other models have their reports
    if failures:
        raise failures[0]
    return done


def _asked(project: Project, say: Say) -> bool:
    try:
        return asked_for(project) == SAMPLE
    except MergelineError as error:
        say(f"whether a sample is asked for cannot be told: {error}")
        return False


def _try(project: Project, case: Case, bundle: Path | None, say: Say) -> None:
    said = try_sample(project, case, say)
    say(f"{case.model.name}: {said}")
    if bundle is not None:
        whole = "Evaluate all of it: /mergeline evaluate in a comment"
        leave_failure(bundle, describe_failure(case, MergelineError(said, next_step=whole)))


def _evaluate(project: Project, case: Case, bundle: Path | None, say: Say) -> Evaluated:
    match = judge_case(project, case, say, track=bundle is None)
    report = describe(project, match)
    if bundle is None:
        evaluated = log_evaluation(project, match, report, say)
    else:
        evaluated = leave_bundle(bundle, match, report)
    say(f"the page: {evaluated.page}")
    return evaluated
