"""What an evaluation leaves: a folder complete by itself, held together by digests.

manifest.json        who and what the candidate is, and the digest of every other file
candidate/           the model and the rows it is judged on
    model/               the MLflow model
    holdout.parquet      key, label, cluster, slices and the columns the model takes; where it is
                         declared so, only the key, see `Rebuilt`
    training_rows.parquet  the keys of the rows it was fitted on
    artifacts/           anything else that the stages left
evaluation.json      the comparison's circumstances and its verdict
evaluation/          predictions.parquet, flipped_rows.parquet, report.json, report.md, report.html,
                     curves
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mergeline.core.declare.model import Model, is_name
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.gate.verdict import Approval
from mergeline.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"
CANDIDATE_FILES = "candidate"
EVALUATION = "evaluation.json"
EVALUATION_FILES = "evaluation"
# Among the candidate's files:
MODEL = "model"
HOLDOUT = "holdout.parquet"
TRAINING_ROWS = "training_rows.parquet"
# Among the evaluation's:
PREDICTIONS = "predictions.parquet"
FLIPPED_ROWS = "flipped_rows.parquet"
REPORT = "report.json"
REPORT_MARKDOWN = "report.md"
REPORT_PAGE = "report.html"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORMER = ("kind", "champion_version", "base")  # keys of evaluations that were made before


@dataclass(frozen=True)
class Origin:
    """Where in Git an evaluated tree comes from.

    The tree has the same name in a dirty working tree, which has no commit, as in a later commit.
    """

    tree: str
    commit: str | None = None
    ref: str | None = None
    author: str | None = None
    pull_request: int | None = None


@dataclass(frozen=True)
class SnapshotUse:
    """A snapshot that went into the model: its digest, and the version that holds it in a table."""

    table: str
    digest: str
    version: int
    uri: str
    rows: int


@dataclass(frozen=True)
class Rebuilt:
    """What a holdout's rows are, where only their keys are kept: columns of a table's snapshot.

    Attributes:
        digest: of the rows' content.
    """

    table: str
    columns: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Candidate:
    """The manifest's account of a trained model; the same for each evaluation of it.

    Attributes:
        model_digest: SHA-256 of the estimator's own bytes, not of the folder.
        holdout_digest: SHA-256 of `holdout.parquet`.
        metrics: on its own holdout, by scikit-learn's names.
        seconds: that each stage took, for the stages that ran.
        environment: Python, platform and the versions that were in use.
        declaration: of the model, in the candidate's own tree.
        rebuilt: None where `holdout.parquet` has the rows themselves.
    """

    model: str
    fingerprint: str
    declaration: Model
    ingredients: Ingredients
    origin: Origin
    model_digest: str
    holdout_digest: str
    snapshots: tuple[SnapshotUse, ...]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    environment: Mapping[str, str]
    rebuilt: Rebuilt | None = None


@dataclass(frozen=True)
class Manifest:
    """The first file of a bundle, with the SHA-256 of each of the candidate's files by path."""

    format: int
    candidate: Candidate
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SmokeTest:
    """Whether the model's own server answers rows of its holdout as the model was heard to answer.

    Attributes:
        model_digest: of the model that was served.
        versions: of Python, mergeline and the packages that served it, by name.
        problem: why it failed; empty if it passed.
    """

    model_digest: str
    versions: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True)
class Evaluation:
    """One comparison of the candidate and what came of it.

    Attributes:
        gate_digest: of the gate that judged, as `gate_digest` computes it.
        champion: fingerprint of the model in production then; None where there was none.
        evaluated_at: ISO 8601, UTC.
        walls: what stood around the models that were asked; empty where it is not known.
        manifest: SHA-256 of the candidate's manifest.
        rows: digest of the keys of the holdout's rows.
        better: whether the primary metric was shown better than the champion's.
        holdout_moved: whether the change moves its holdout by more than drops.
        approval: a person's yes to what it moves of its bar.
        files: SHA-256 of each file of the evaluation by its path in the bundle.
        smoke_test: None where it was made by a version of mergeline that did not test then.
    """

    verdict: Literal["pass", "fail", "inconclusive"]
    reasons: tuple[str, ...]
    gate_digest: str
    champion: str | None
    origin: Origin
    evaluated_at: str
    manifest: str
    files: Mapping[str, str] = field(default_factory=dict)
    smoke_test: SmokeTest | None = None
    rows: str = ""
    walls: str = ""
    better: bool = False
    holdout_moved: bool = False
    approval: Approval | None = None


def parse_evaluation(text: bytes | str, *, where: str) -> Evaluation:
    """Read `evaluation.json`; DeclarationError if it cannot be read."""
    return read_json(Evaluation, text, where=where, former=_FORMER)


def evaluation_digest(evaluation: Evaluation) -> str:
    """SHA-256 of an evaluation's values."""
    return _digest_of_values(evaluation)


def gate_digest(gate: object) -> str:
    """SHA-256 of a gate's parsed values."""
    return _digest_of_values(gate)


def _digest_of_values(value: object) -> str:
    document = json.dumps(json.loads(write_json(value)), sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest of another form, or whose parts contradict each other.

    Raises:
        BundleError: it is of a format that this version does not read; the fingerprint or the
            params are not those of the ingredients; the name is no model's or not the
            declaration's; or the holdout is not kept as the declaration says.
    """
    candidate, ingredients = manifest.candidate, manifest.candidate.ingredients
    problems = {
        f"format {manifest.format} is not format {FORMAT}": manifest.format != FORMAT,
        f"{candidate.model[:80]!r} is no model's name": not is_name(candidate.model),
        "the declaration is another model's": candidate.declaration.name != candidate.model,
        "the fingerprint is not that of the ingredients beside it": (
            ingredients.fingerprint != candidate.fingerprint
        ),
        "the params are not those of the ingredients beside them": (
            ingredients.params() != dict(candidate.params)
        ),
        "the digest of the holdout's rows is none": (
            candidate.rebuilt is not None and not _SHA256.fullmatch(candidate.rebuilt.digest)
        ),
        "it has the holdout's rows otherwise than the declaration says": (
            (candidate.rebuilt is not None) != (candidate.declaration.holdout == "rebuilt")
        ),
    }
    for problem, holds in problems.items():
        if holds:
            raise BundleError(
                problem, where=MANIFEST, next_step="Evaluate again with this version of mergeline"
            )


def check_evaluation(evaluation: Evaluation) -> None:
    """Refuse an evaluation whose time is invalid or has no time zone; raises BundleError."""
    with contextlib.suppress(ValueError):
        if dt.datetime.fromisoformat(evaluation.evaluated_at).tzinfo is not None:
            return
    raise BundleError(
        "the time of the evaluation is invalid or has no time zone",
        where=EVALUATION,
        next_step="Evaluate again",
    )


def check_files(recorded: Mapping[str, str], present: Mapping[str, str], *, where: str) -> None:
    """Hold the digests of the files that are there against those that were written down.

    Raises:
        BundleError: a file is missing, altered, or was never written down.
    """
    for path in sorted({*recorded, *present}):
        if recorded.get(path) == present.get(path):
            continue
        problem = "is not what the bundle's digests say"
        if path not in present:
            problem = "is missing"
        elif path not in recorded:
            problem = "is named nowhere in the bundle"
        raise BundleError(f"{path} {problem}", where=where, next_step="Evaluate again")
