"""The whole line of the small project: the demo's people at work on parcels instead of flights."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path

from mergeline.adapters.forge.folder import Method
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.core.gate.verdict import Judgement
from mergeline.core.release.ledger import Entry
from mergeline.demo.people import Workplace
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.release import Released
from tests.support.parcels import PROJECT, drop
from tests.support.stand_ins import StagesInProcess, silent

NOTES = ("stored/", "signed/")


class Line(Workplace):
    """A workplace whose project is the parcels; each person can be sent to another clone (`at`).

    Attributes:
        said: what the verbs narrated.
        first: what the first release did, once there is one.
        quick: counts the stages' runs, where they run in this process.
    """

    first: Released
    quick: StagesInProcess

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self._stores: dict[str, Tracking] = {}
        super().__init__(root, self.said.append)

    @property
    def bundle(self) -> Path:
        """What the evaluation of pull request 3 left."""
        return self.root / "bundle"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the jobs; nothing of this process's counts but where programs are."""
        outer = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        return {
            **outer,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "MERGELINE_STATE": str(self.state),
            "MERGELINE_FORGE": str(self.root / "forge"),
        }

    def project(self, at: str = "runner", **environment: str) -> Project:
        """A fresh process's view of one of the clones, but for MLflow's store, opened once."""
        project = Project(Repository(self.root / at), {**self.environment, **environment})
        store = self._stores.setdefault(project.tracking.uri, project.tracking)
        project.__dict__["tracking"] = store
        return project

    def kept(self) -> dict[str, str]:
        """Digest of each file of the state; not of notes, which any reader of the ledger leaves."""
        files = content_of(self.state).items()
        return {path: digest for path, digest in files if not path.startswith(NOTES)}

    def build(self) -> None:
        """Main holds the parcels of three months."""

        def write_project() -> None:
            shutil.copytree(PROJECT, self.author.root, dirs_exist_ok=True)
            self.add_drops(1, 2, 3)

        self.set_up(write_project, "Parcels of three months")
        shutil.rmtree(self.forge.repository / "hooks")  # samples, which each copy would hold

    def git(self, *arguments: str, at: str = "author") -> str:
        """What one git command prints."""
        return Repository(self.root / at).git(*arguments)

    def write(self, path: str, text: str, at: str = "author") -> None:
        """Put a file into a clone."""
        place = self.root / at / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str, at: str = "author") -> None:
        """Replace a text in a file of a clone."""
        text = (self.root / at / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new), at)

    def commit(self, message: str, at: str = "author") -> str:
        """Commit all that was changed in a clone; the commit's name."""
        self.git("add", "--all", at=at)
        self.git("commit", "--quiet", "--message", message, at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def add_drops(
        self, *months: int, at: str = "author", made: Callable[[int], str] = drop
    ) -> None:
        """Put drops of months beside their pointers, and push them to the DVC remote."""
        from dvc.repo import Repo  # in this process: as commands they take a second more

        paths = [f"data/raw/parcels/2024-{month:02d}.csv" for month in months]
        for path, month in zip(paths, months, strict=True):
            self.write(path, made(month), at)
        logging.getLogger("dvc").setLevel(logging.CRITICAL)
        with Repo(str(self.root / at)) as repo, silent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of DVC's own dependencies
            repo.add([str(self.root / at / path) for path in paths])
            repo.push([str(self.root / at / f"{path}.dvc") for path in paths])

    def propose(self, branch: str, *edits: tuple[str, str, str], title: str | None = None) -> int:
        """Ana opens a pull request with a commit for each edit (path, old text, new text)."""
        self.branch(branch)
        for edit in edits:
            self.edit(*edit)
            self.commit(title or branch)
        return self.push(branch, title)

    def evaluate(
        self, at: str = "runner", bundle: Path | None = None, **environment: str
    ) -> Evaluated:
        """What `mergeline evaluate` finds of the one model in a clone as it stands."""
        [evaluated] = evaluate(self.project(at, **environment), bundle=bundle, say=self.say)
        return evaluated

    def markdown(self, evaluated: Evaluated) -> str:
        """The comment of an evaluation."""
        return (evaluated.folder / "evaluation" / "report.md").read_text(encoding="utf-8")

    def land(self, number: int, method: Method = "squash") -> Released:
        """Review, merge, release."""
        assert self.review(number).passed
        self.merge(number, method)
        return self.release()


def run_id_of(evaluated: Evaluated) -> str:
    """Of the run that an evaluation is tracked with."""
    run = evaluated.report.run
    assert run is not None
    assert run.id is not None
    return run.id


def judgement_of(evaluated: Evaluated) -> Judgement:
    """What the gate said, where models could be compared."""
    assert evaluated.report.judgement is not None
    return evaluated.report.judgement


def entry_of(released: Released) -> Entry:
    """The ledger's entry that a release wrote."""
    assert released.entry is not None
    return released.entry


def copy_line(line: Line, root: Path) -> Line:
    """A line with the same content at another place; MLflow's absolute paths are made to follow."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()  # of this process, by the runs' ids, which stay
    shutil.copytree(line.root, root, symlinks=True)
    database = root / "state" / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for table, column in _PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(line.root), str(root)),
            )
    return _as_released(line, root)


_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("datasets", "dataset_source"),
)


def borrow_line(line: Line, root: Path) -> Line:
    """A runner's clone, a bundle and a DVC remote of one's own; all else is the other line's."""
    root.mkdir()
    for name in ("runner", "bundle", "dvc-remote"):
        shutil.copytree(line.root / name, root / name, symlinks=True)
    for name in ("author", "forge", "state"):
        (root / name).symlink_to(line.root / name)
    return _as_released(line, root)


def _as_released(line: Line, root: Path) -> Line:
    copy = Line(root)
    copy.first = line.first
    return copy


def content_of(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
