"""`judge`: the verdict on a candidate of an untrusted job, from numbers computed here (law 9).

Of the bundle only the candidate's files are taken: what the job says of its own verdict is never
read. The tree is read as data, models are asked behind walls, and code of the project that measures
is the base's.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from mergeline.adapters.bundles import (
    check_replaceable,
    copy_candidate,
    digests,
    read_candidate,
    write_candidate,
)
from mergeline.adapters.confined_rows import rewrite_rows
from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.packages import LOCKS, packages_of
from mergeline.adapters.row_files import check_keys
from mergeline.adapters.store.store import Stored
from mergeline.core.gate.verdict import Approval, Situation
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    HOLDOUT,
    MANIFEST,
    MODEL,
    TRAINING_ROWS,
    Candidate,
)
from mergeline.core.report.content import Moved
from mergeline.errors import BundleError, MergelineError
from mergeline.lifecycle.steps.bundle_folders import bundle_folders, read_reports
from mergeline.lifecycle.steps.candidates import measured
from mergeline.lifecycle.steps.case import Case, read_cases
from mergeline.lifecycle.steps.evaluation import Evaluated, leave_bundle
from mergeline.lifecycle.steps.failures import leave_failure, leaving_failure
from mergeline.lifecycle.steps.judging import judge_trained
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reporting import describe, describe_failure, describe_unread
from mergeline.lifecycle.steps.trained import Trained
from mergeline.system.digests import file_sha256

_HOLDOUT_FILE = f"{CANDIDATE_FILES}/{HOLDOUT}"


def judge(
    project: Project,
    bundle: Path,
    *,
    into: Path,
    base: str | None = None,
    approval: Approval | None = None,
    say: Say,
) -> list[Evaluated]:
    """Judge the candidates of a bundle by the base's gate, and leave bundles of our own.

    Args:
        project: a clean working copy of the tree that was evaluated; nothing of it is run.
        bundle: what the untrusted job left: a bundle, or a folder of bundles.
        into: where the bundle (of several models: a folder each) is left.
        base: branch that the tree would be merged onto; None: the main branch.
        approval: of a person with write access, to a bar or a holdout that moves.
        say: is told what goes on.

    Raises:
        BundleError: the bundle is of another shape, size or tree. Then a report in `into` says so.
        MergelineError: something could not be judged; as above.
    """
    check_replaceable(into)
    with leaving_failure(into, partial(describe_unread, project, None)):
        cases = read_cases(project, None, base, as_committed=True)
    judged, failures = [], []
    for case in (replace(one, approval=approval) for one in cases):
        folder = into / case.model.name if len(cases) > 1 else into
        try:
            with leaving_failure(folder, partial(describe_failure, case)):
                if (evaluated := _judge_one(project, case, bundle, folder, say)) is not None:
                    judged.append(evaluated)
        except MergelineError as error:
            failures.append(error)  # raised when the other models have their reports
    if failures:
        raise failures[0]
    return judged


def _judge_one(
    project: Project, case: Case, bundle: Path, into: Path, say: Say
) -> Evaluated | None:
    folders = {folder.name: folder for folder in bundle_folders(bundle)}
    alone = folders.get(bundle.name) if len(folders) == 1 else None
    found = folders.get(case.model.name, alone)
    if found is None:
        failed = [one for one in read_reports(bundle) if one.model == case.model.name]
        if not failed or failed[0].kind is not Situation.FAILED:
            raise BundleError(f"the job left no candidate of {case.model.name}", where=bundle.name)
        say(f"{case.model.name}: the job failed, and its report is passed on")
        told = failed[0].failure.message if failed[0].failure else "it left no reason"
        error = BundleError(f"the job could not evaluate it: {told}", where=bundle.name)
        leave_failure(into, describe_failure(case, error))
        return None
    with _taken(project, found, case) as trained:
        say(f"{case.model.name}: judging {case.ingredients.fingerprint[:8]}")
        match = judge_trained(project, _by_the_base(case), trained, say)
        metrics = measured(match.comparison)
        write_candidate(trained.folder, replace(trained.candidate, metrics=metrics))
        return leave_bundle(into, match, describe(project, match))


@contextlib.contextmanager
def _taken(project: Project, folder: Path, case: Case) -> Iterator[Trained]:
    """The candidate's files in a folder of our own, held against their digests and the tree.

    The rows in it are the bundle's, and the files that hold them are written here.
    """
    with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
        taken = Path(scratch) / "bundle"
        copy_candidate(folder, taken)
        candidate = read_candidate(taken)
        name = case.model.name
        stored = project.store.find(name, case.ingredients.fingerprint)
        # A known candidate is of an earlier tree, whose gate or metrics may have been others.
        declared = [case.model]
        if stored is not None:
            declared.append(project.store.read_candidate(stored).declaration)
        problems = {
            f"the bundle's candidate is of {candidate.model}, not {name}": candidate.model != name,
            "the bundle's candidate is of another fingerprint than the tree": (
                candidate.fingerprint != case.ingredients.fingerprint
            ),
            "the bundle's candidate has another declaration than the tree": (
                candidate.declaration not in declared
            ),
            "the model is not the one that the manifest names": (
                model_digest(taken / CANDIDATE_FILES / MODEL) != candidate.model_digest
            ),
            "the holdout is not the one that the manifest names": (
                candidate.holdout_digest != digests(taken, CANDIDATE_FILES).get(_HOLDOUT_FILE)
            ),
            "the bundle's candidate names other snapshots than the tree": (
                {use.table: use.digest for use in candidate.snapshots}
                != {table: used.digest for table, used in case.ingredients.snapshots.items()}
            ),
        }
        for problem, is_so in problems.items():
            if is_so:
                raise BundleError(problem, where=MANIFEST, next_step="Evaluate this tree again")
        _refuse_other_bytes(candidate, stored)
        holdout, fitted_on = (taken / CANDIDATE_FILES / one for one in (HOLDOUT, TRAINING_ROWS))
        rewrite_rows([holdout, fitted_on], project.walls)
        check_keys(holdout, fitted_on, candidate.declaration)
        # What the job says of where the tree is from and how well the model does is not taken over.
        known = replace(
            candidate,
            origin=case.origin,
            ingredients=case.ingredients,
            holdout_digest=file_sha256(holdout),
            metrics={},
        )
        write_candidate(taken, known)
        packages = _packages(project, case)
        yield Trained(known, taken, None, fresh=True, packages=packages)


def _refuse_other_bytes(candidate: Candidate, stored: Stored | None) -> None:
    """The first model of a fingerprint in the store stays that fingerprint's model (law 2)."""
    if stored is not None and stored.model_digest != candidate.model_digest:
        raise BundleError(
            f"the store has model {stored.model_digest[:8]} of this fingerprint, and the bundle "
            f"{candidate.model_digest[:8]}",
            where=MANIFEST,
            next_step="Evaluate this tree again: the stored one is compared. `mergeline reproduce` "
            "trains it anew, and tells which of the two its tree makes",
        )


def _packages(project: Project, case: Case) -> Path | None:
    """What the candidate needs where its lock is not the base's; None: what is installed here.

    Raises:
        BundleError: the lock is of a kind that is not installed here, or cannot be installed.
    """
    if case.before is None:
        return None
    at_base, files = case.before.files, case.tree.files
    locks = [path for path in case.ingredients.lock if files.blob(path) != at_base.blob(path)]
    if not locks:
        return None
    known = [path for path in LOCKS if path in case.ingredients.lock]
    if not known:
        raise BundleError(
            f"the change edits {locks[0]}, and what that names is not installed here",
            where=locks[0],
            next_step=f"Add what the model needs to {' or '.join(LOCKS)} too",
        )
    named = [known[0], "pyproject.toml"] if known[0] == "uv.lock" else [known[0]]
    contents = {path: content for path in named if (content := files.read(path)) is not None}
    return packages_of(contents, project.state)


def _by_the_base(case: Case) -> Case:
    """The case without what would run the change's code: its stages, and metrics that it adds."""
    case = replace(case, untrusted=True)
    known = {metric.name for metric in case.judged_by.model.metrics} if case.judged_by else set()
    new = [metric for metric in case.model.metrics if metric.own and metric.name not in known]
    if not new:
        return case
    kept = tuple(metric for metric in case.model.metrics if metric not in new)
    where = f"models/{case.model.name}.yaml"
    said = tuple(
        Moved("metrics", where, f"{metric.name} is new: it is measured once merged")
        for metric in new
    )
    return replace(case, model=replace(case.model, metrics=kept), noted=(*case.noted, *said))
