"""Candidates as runs, found by their fingerprints."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mergeline.adapters.mlflow.store import Store, is_database, on_all_pages
from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    HOLDOUT,
    MANIFEST,
    MODEL,
    REPORT,
    TRAINING_ROWS,
    Candidate,
    Evaluation,
    Origin,
    SnapshotUse,
    parse_evaluation,
)
from mergeline.core.report.content import read_report
from mergeline.core.report.render.markdown import to_markdown
from mergeline.errors import MergelineError, NotFoundError

FINGERPRINT = "mergeline.fingerprint"
COMPLETE = "mergeline.complete"
COMMIT = "mergeline.commit"
PULL_REQUEST = "mergeline.pull_request"
_COMPLETED = "mergeline.completed_at"
_LOGGED_SINCE = "mergeline.logged_since"
_CUT_OFF_AFTER = dt.timedelta(hours=1)  # nobody logs a candidate that long
# By these MLflow's pages show an experiment with the columns of trained models, and not of traces:
# the experiment's tag and, where the pages have a switch between both, what an address says.
PAGES = "workflowType=machine_learning"
_EXPERIMENT_KIND = ("mlflow.experimentKind", "custom_model_development")
# One tag for each number, so that two evaluations at once both leave theirs.
_EVALUATED_FOR = "mergeline.evaluated_for."
_TAG_LIMIT = 5_000  # characters
_PARAM_LIMIT = 6_000
_MODEL_PARAM_LIMIT = 250
_DIGEST_LIMIT = 36
_RUN_ID_LENGTH = 32
_ACTIVE = 1  # ViewType.ACTIVE_ONLY, whose module is imported late
_BATCH = 100  # params that one call may log
_PARAM_NAME = re.compile(r"[\w\- :/][\w.\- :/]{0,249}")  # and it must be a relative path
_ORDER = (f"tags.`{_COMPLETED}` ASC", "attributes.end_time ASC")
_NOT_IN_A_NAME = re.compile(r"[^\w.-]")


@dataclass(frozen=True)
class Run:
    """A tracked candidate.

    Attributes:
        model_uri: of the logged model, for registering and loading.
        commit: of which it was first evaluated, as is `pull_request`.
        url: of its page, where the store is a server.
        pull_requests: all those that it was evaluated for.
    """

    run_id: str
    model: str
    fingerprint: str
    model_digest: str
    model_uri: str
    commit: str | None
    pull_request: int | None
    url: str | None
    pull_requests: frozenset[int]


class Runs(Store):
    """The candidates of a tracking store."""

    def find(self, model: str, fingerprint: str) -> Run | None:
        """The complete run of a fingerprint; of several, the one that was complete first."""
        condition = f"tags.`{FINGERPRINT}` = '{fingerprint}' and "
        return next(self._complete_runs(model, _ORDER, condition), None)

    def run(self, run_id: str) -> Run:
        """A run by its id, or by the beginning of it that a report shows.

        Raises:
            NotFoundError: no such run, several, or not one that mergeline logged.
        """
        if len(run_id) < _RUN_ID_LENGTH:
            return self._by_beginning(run_id)
        if self.absent():
            raise NotFoundError(f"no run {run_id!r}", where=self.uri)
        with self.translating(f"no run {run_id!r}"):
            run = self.client.get_run(run_id)
        if FINGERPRINT not in run.data.tags:
            raise NotFoundError(f"run {run_id} carries no fingerprint", where=self.uri)
        return _run(run, self.uri)

    def tracked(self) -> list[str]:
        """Names of the models of which candidates may have been logged, registered or not."""
        if self.absent():
            return []
        with self.translating():
            return sorted(experiment.name for experiment in self.client.search_experiments())

    def _by_beginning(self, start: str) -> Run:
        runs = [run for model in self.tracked() for run in self.candidates(model)]
        matching = [run for run in runs if start and run.run_id.startswith(start)]
        if len(matching) != 1:
            raise NotFoundError(
                f"{len(matching) or 'no'} runs begin with {start!r}",
                where=self.uri,
                next_step="`mergeline report` names the run of the newest evaluation",
            )
        return matching[0]

    def candidates(self, model: str) -> list[Run]:
        """All complete runs of a model, newest first."""
        return list(self._complete_runs(model, ("attributes.start_time DESC",)))

    def _complete_runs(
        self, model: str, order: Sequence[str], condition: str = "", *, view: int = _ACTIVE
    ) -> Iterator[Run]:
        if self.absent():
            return
        with self.translating():
            experiment = self.client.get_experiment_by_name(model)
            if experiment is None:
                return
            search = partial(
                self.client.search_runs,
                [experiment.experiment_id],
                f"{condition}tags.`{COMPLETE}` = 'true'",
                view,
                order_by=list(order),
            )
            for run in on_all_pages(search):
                yield _run(run, self.uri)

    def log(self, candidate: Candidate, bundle: Path, trained_at: dt.datetime) -> Run:
        """Log a candidate out of its bundle, unless its fingerprint is logged already.

        Its last tag marks the run as complete, so that a run that was cut off is never found.
        The run lasts as long as the training did, which began at `trained_at`.
        """
        with self.translating(), self.alone():
            experiment = self._experiment(candidate.model)
            known = self.find(candidate.model, candidate.fingerprint) or self._restored(candidate)
            if known is not None:
                return known
            self._end_cut_off(experiment)
            start = int(trained_at.timestamp() * 1000)
            run_id = self._start(experiment, candidate, start)
            self._log_inputs(run_id, candidate.snapshots)
            for path in sorted((bundle / CANDIDATE_FILES).iterdir()):
                if path.name not in {MODEL, HOLDOUT, TRAINING_ROWS}:  # rows stay in the store
                    log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
                    place = f"{CANDIDATE_FILES}/{path.name}" if path.is_dir() else CANDIDATE_FILES
                    log(run_id, str(path), place)
            self.client.log_artifact(run_id, str(bundle / MANIFEST))
            model_uri = self._log_model(run_id, candidate, bundle / CANDIDATE_FILES / MODEL)
            self.client.set_tag(run_id, "mergeline.model_uri", model_uri)
            end = start + int(sum(candidate.seconds.values()) * 1000)
            self.client.set_terminated(run_id, "FINISHED", end)
            self.client.set_tag(run_id, _COMPLETED, _now().isoformat(timespec="microseconds"))
            self.client.set_tag(run_id, COMPLETE, "true")
            first = self.find(candidate.model, candidate.fingerprint)
            if first is not None and first.run_id != run_id:
                self.client.delete_run(run_id)  # on a server another one was first
                return first
            return _run(self.client.get_run(run_id), self.uri)

    def _end_cut_off(self, experiment: str) -> None:
        """Mark runs as killed whose logging was cut off; no other process writes to a file now."""
        search = partial(self.client.search_runs, [experiment], "attributes.status = 'RUNNING'")
        for run in list(on_all_pages(search)):
            since = run.data.tags.get(_LOGGED_SINCE)
            if since is None:  # somebody else's
                continue
            if self.is_file or _now() - dt.datetime.fromisoformat(since) > _CUT_OFF_AFTER:
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _restored(self, candidate: Candidate) -> Run | None:
        """The run of a fingerprint that somebody deleted, brought back."""
        from mlflow.entities import ViewType

        condition = f"tags.`{FINGERPRINT}` = '{candidate.fingerprint}' and "
        deleted = self._complete_runs(
            candidate.model, _ORDER, condition, view=ViewType.DELETED_ONLY
        )
        for run in deleted:
            if run.model_digest == candidate.model_digest:
                self.client.restore_run(run.run_id)
                return run
        return None

    def log_evaluation(self, run: Run, evaluation: Evaluation, folder: Path) -> None:
        """Log the newest evaluation of a candidate: its files, then the tag that points to them.

        A run without commit or pull request gets those of the evaluation. One that has them keeps
        them: a revert finds the candidate of an earlier pull request.
        """
        from mlflow.entities import RunTag

        place = f"evaluations/{evaluation.evaluated_at.replace(':', '')}"
        with self.translating():
            self.client.log_artifacts(run.run_id, str(folder), place)
            known = self.client.get_run(run.run_id).data.tags
            origin = _origin_tags(evaluation.origin)
            tags = {
                "mergeline.evaluation": write_json(_in_a_tag(evaluation), indent=None),
                "mergeline.evaluation_path": place,
                "mergeline.verdict": evaluation.verdict,
                "mlflow.note.content": _note(folder),
                **{key: value for key, value in origin.items() if value and not known.get(key)},
            }
            if evaluation.origin.pull_request is not None:
                tags[f"{_EVALUATED_FOR}{evaluation.origin.pull_request}"] = "true"
            self.client.log_batch(run.run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def evaluation(self, run: Run) -> Evaluation | None:
        """The newest evaluation that was logged with a run."""
        with self.translating():
            text = self.client.get_run(run.run_id).data.tags.get("mergeline.evaluation")
        return parse_evaluation(text, where=f"run {run.run_id}") if text else None

    def has_evaluation(self, run: Run, evaluation: Evaluation) -> bool:
        """Whether this is the newest evaluation that was logged with a run."""
        return self.evaluation(run) == _in_a_tag(evaluation)

    def evaluation_files(self, run: Run, into: Path) -> Path:
        """Fetch the files of a run's newest evaluation.

        Raises:
            NotFoundError: it was never evaluated.
        """
        with self.translating():
            path = self.client.get_run(run.run_id).data.tags.get("mergeline.evaluation_path")
        if path is None:
            raise NotFoundError(
                f"run {run.run_id} was never held against another",
                where=self.uri,
                next_step="Evaluate its tree again",
            )
        return self.fetch(run, path, into)

    def fetch(self, run: Run, path: str, into: Path) -> Path:
        """Download an artifact of a run below `into`; returns where it lies there."""
        into.mkdir(parents=True, exist_ok=True)
        with self.translating(f"run {run.run_id} has no artifact {path!r}"):
            return Path(self.client.download_artifacts(run.run_id, path, str(into)))

    def _start(self, experiment: str, candidate: Candidate, at: int) -> str:
        from mlflow.entities import Metric, Param

        origin = candidate.origin
        name = f"#{origin.pull_request}" if origin.pull_request else (origin.ref or "tree")
        seconds = {f"seconds.{stage}": value for stage, value in candidate.seconds.items()}
        tags = {
            FINGERPRINT: candidate.fingerprint,
            _LOGGED_SINCE: _now().isoformat(),
            "mergeline.model": candidate.model,
            "mergeline.model_digest": candidate.model_digest,
            "mergeline.holdout_digest": candidate.holdout_digest,
            "mergeline.tree": origin.tree,
            **_origin_tags(origin),
            **{f"mergeline.snapshot.{use.table}": use.digest for use in candidate.snapshots},
            **{f"mergeline.{key}": value for key, value in candidate.environment.items()},
            # What MLflow's pages show as the run's source.
            "mlflow.source.type": "PROJECT",
            "mlflow.source.name": "dvc.yaml",
            "mlflow.project.entryPoint": candidate.declaration.stage,
        }
        run = self.client.create_run(
            experiment,
            start_time=at,
            tags={key: value[:_TAG_LIMIT] for key, value in tags.items()},
            run_name=f"{name} {candidate.fingerprint[:8]}",
        )
        run_id: str = run.info.run_id
        self.client.log_batch(
            run_id,
            metrics=[
                Metric(key, value, at, 0) for key, value in {**candidate.metrics, **seconds}.items()
            ],
        )
        params = {**_params(candidate, _PARAM_LIMIT), "fingerprint": candidate.fingerprint}
        entries = [Param(name, text) for name, text in params.items()]
        for start in range(0, len(entries), _BATCH):
            self.client.log_batch(run_id, params=entries[start : start + _BATCH])
        return run_id

    def _experiment(self, model: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(model)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        if experiment is None:
            # Without a place MLflow takes one in the working tree; a server has its own.
            place = (self.artifacts / model).as_uri() if is_database(self.uri) else None
            try:
                kind = dict([_EXPERIMENT_KIND])
                made = self.client.create_experiment(model, artifact_location=place, tags=kind)
                return str(made)
            except MlflowException:  # unless another process has made it just now
                experiment = self.client.get_experiment_by_name(model)
                if experiment is None:
                    raise
        if _EXPERIMENT_KIND[0] not in experiment.tags:
            self.client.set_experiment_tag(experiment.experiment_id, *_EXPERIMENT_KIND)
        return str(experiment.experiment_id)

    def _log_inputs(self, run_id: str, snapshots: tuple[SnapshotUse, ...]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=use.table,
                    digest=use.digest[:_DIGEST_LIMIT],
                    source_type="delta",
                    # DeltaDatasetSource drops version 0, so its JSON is written here.
                    source=json.dumps({"path": use.uri, "delta_table_version": use.version}),
                    profile=json.dumps({"num_rows": use.rows}),
                ),
                [InputTag("mlflow.data.context", "training")],
            )
            for use in snapshots
        ]
        self.client.log_inputs(run_id, inputs)

    def _log_model(self, run_id: str, candidate: Candidate, folder: Path) -> str:
        from mlflow.entities import LoggedModelOutput

        run = self.client.get_run(run_id)
        logged = self.client.create_logged_model(
            run.info.experiment_id,
            name=candidate.model,
            source_run_id=run_id,
            tags={FINGERPRINT: candidate.fingerprint},
            params=_params(candidate, _MODEL_PARAM_LIMIT),
        )
        self.client.log_model_artifacts(logged.model_id, str(folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        return f"models:/{logged.model_id}"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _origin_tags(origin: Origin) -> dict[str, str]:
    """Tags that are blank at first if a candidate was evaluated before it was committed."""
    commit = origin.commit or ""
    return {
        "mlflow.user": origin.author or "",
        "mlflow.source.git.branch": origin.ref or "",
        "mlflow.source.git.commit": commit,
        "mergeline.author": origin.author or "",
        COMMIT: commit,
        PULL_REQUEST: str(origin.pull_request or ""),
    }


def _note(folder: Path) -> str:
    """The report as MLflow shows it beside a run, cut to what a tag takes."""
    try:
        report = read_report((folder / REPORT).read_bytes(), where=REPORT)
    except MergelineError:  # of another version of mergeline
        return ""
    return to_markdown(report, _TAG_LIMIT)


def _in_a_tag(evaluation: Evaluation) -> Evaluation:
    """An evaluation as far as a tag takes it."""
    if len(write_json(evaluation, indent=None)) <= _TAG_LIMIT:
        return evaluation
    return replace(evaluation, reasons=tuple(reason[:200] for reason in evaluation.reasons[:8]))


def _run(run: Any, uri: str) -> Run:  # noqa: ANN401 - mlflow.entities.Run
    tags = run.data.tags
    pull_request = tags.get(PULL_REQUEST) or None
    numbers = {tag.removeprefix(_EVALUATED_FOR) for tag in tags if tag.startswith(_EVALUATED_FOR)}
    return Run(
        run_id=run.info.run_id,
        model=tags["mergeline.model"],
        fingerprint=tags[FINGERPRINT],
        model_digest=tags["mergeline.model_digest"],
        model_uri=tags.get("mergeline.model_uri", ""),
        commit=tags.get(COMMIT) or None,
        pull_request=int(pull_request) if pull_request else None,
        url=_page(run, uri),
        pull_requests=frozenset(map(int, numbers | ({pull_request} if pull_request else set()))),
    )


def _page(run: Any, uri: str) -> str | None:  # noqa: ANN401
    """Address of a run's page on a tracking server, without the user that it was asked as."""
    server = urlsplit(uri)
    if server.scheme not in {"http", "https"}:
        return None
    place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?{PAGES}"
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/{place}"


def _params(candidate: Candidate, limit: int) -> dict[str, str]:
    """Its params by names that MLflow takes, their values cut to `limit` characters."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in candidate.params.items()
    }
    return {_param_name(key): text[:limit] for key, text in texts.items()}


def _param_name(key: str) -> str:
    """The key if MLflow takes it as a name, else one like it with a mark that no other key has."""
    is_path = posixpath.normpath(key) == key and not key.startswith("/")
    if is_path and _PARAM_NAME.fullmatch(key):
        return key
    mark = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"{_NOT_IN_A_NAME.sub('_', key)[:200].lstrip('.')}-{mark}"
