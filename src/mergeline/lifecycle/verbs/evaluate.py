"""`evaluate`: the candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mergeline.adapters.bundles import check_replaceable
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.case import Case, read_cases
from mergeline.lifecycle.steps.evaluation import Evaluated, leave_bundle, log_evaluation
from mergeline.lifecycle.steps.failures import leaving_failure, leaving_failure_of
from mergeline.lifecycle.steps.judging import judge_case
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reporting import describe, describe_unread


def evaluate(
    project: Project,
    *,
    model: str | None = None,
    base: str | None = None,
    bundle: Path | None = None,
    say: Say,
) -> list[Evaluated]:
    """Evaluate the models that the working tree changes (all if it changes none), or the one named.

    The `base` is the branch that the tree would be merged onto, main without it. With `bundle` the
    bundle (of several models: a folder each) is left there, and nothing is written to a store.

    Raises:
        MergelineError: see its classes; a failed run leaves a report of the failure in `bundle`.
    """
    if bundle is not None:
        check_replaceable(bundle)
    with leaving_failure(bundle, partial(describe_unread, project, model)):
        cases = read_cases(project, model, base)
    done, failures = [], []
    for case in cases:
        folder = bundle / case.model.name if bundle and len(cases) > 1 else bundle
        try:
            with leaving_failure_of(project, case, folder):
                done.append(_evaluate(project, case, folder, say))
        except MergelineError as error:
            failures.append(error)  # raised when the other models have their reports
    if failures:
        raise failures[0]
    return done


def _evaluate(project: Project, case: Case, bundle: Path | None, say: Say) -> Evaluated:
    match = judge_case(project, case, say, track=bundle is None)
    report = describe(project, match)
    if bundle is None:
        evaluated = log_evaluation(project, match, report, say)
    else:
        evaluated = leave_bundle(bundle, match, report)
    say(f"the page: {evaluated.page}")
    return evaluated
