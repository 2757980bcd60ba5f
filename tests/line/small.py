"""A small project on a whole line: a forge, an author's clone, a runner's clone, stores."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import runpy
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mergeline.adapters.dvc.stages import StagesRun
from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.errors import StageError
from mergeline.lifecycle.steps.project import Project
from mergeline.system.git_command import run_git

MODEL = "late"
FILES = {
    ".gitignore": "/.mergeline/\n/build/\n/data/*.snapshot.json\n__pycache__/\n",
    ".dvcignore": "__pycache__/\n",
    ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n",
    ".dvc/config": """\
[core]
    analytics = false
    remote = storage
['remote "storage"']
    url = ../../dvc-remote
""",
    "README.md": "# Will a parcel be late?\n",
    # Far enough from each other for two pull requests to merge.
    "params.yaml": """\
train:
  C: 1.0
  # the columns
  # it takes
  use: [weight, distance]

# every how many-th parcel
evaluate: {holdout_every: 4}
""",
    "uv.lock": "version = 1\n",
    "dvc.yaml": """\
stages:
  snapshot:
    cmd: mergeline snapshot
    always_changed: true
    outs:
      - data/parcels.snapshot.json: {cache: false}
  train:
    cmd: python -m pipelines.train
    deps: [pipelines/train.py, pipelines/rows.py, data/parcels.snapshot.json]
    params: [train, evaluate.holdout_every]
    outs: [build/late/model, build/late/training_rows.parquet]
  evaluate:
    cmd: python -m pipelines.evaluate
    deps:
      - pipelines/evaluate.py
      - pipelines/rows.py
      - data/parcels.snapshot.json
      - build/late/model
    params: [evaluate]
    outs: [build/late/holdout.parquet]
""",
    "data/parcels.yaml": """\
source: data/raw/parcels
format: csv
key: [id]
columns:
  id: {type: int64}
  day: {type: date}
  weight: {type: float64, min: 0}
  distance: {type: float64, min: 0}
  late: {type: bool}
""",
    "models/late.yaml": """\
task: binary
stage: evaluate
outputs: build/late
label: late
classes: [false, true]
key: [id]
metrics: [roc_auc, neg_log_loss]
gate:
  primary: roc_auc
  first: {roc_auc: {at_least: 0.6}}
  metrics:
    roc_auc: {at_least: 0.6, margin: 0.05}
""",
    "pipelines/rows.py": """\
import polars as pl

import mergeline


def parcels(every, held_out):
    chosen = pl.col("id") % every == 0
    rows = mergeline.table("parcels").filter(chosen if held_out else ~chosen)
    return rows.sort("id").collect()
""",
    "pipelines/train.py": """\
import logging
import shutil

import mlflow.sklearn
import yaml
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.rows import parcels


def main():
    with open("params.yaml") as file:
        params = yaml.safe_load(file)
    rows = parcels(params["evaluate"]["holdout_every"], held_out=False)
    frame = rows.select("weight", "distance").to_pandas()
    model = make_pipeline(
        make_column_transformer((StandardScaler(), params["train"]["use"])),
        LogisticRegression(C=params["train"]["C"]),
    ).fit(frame, rows["late"].to_numpy())
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    shutil.rmtree("build/late/model", ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        "build/late/model",
        signature=infer_signature(frame.head(3), model.predict_proba(frame.head(3))),
        input_example=frame.head(3),
        pip_requirements=["scikit-learn", "pandas"],
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
    rows.select("id").write_parquet("build/late/training_rows.parquet")
    print("fitted on", rows.height)


if __name__ == "__main__":
    main()
""",
    "pipelines/evaluate.py": """\
import yaml

from pipelines.rows import parcels


def main():
    with open("params.yaml") as file:
        every = yaml.safe_load(file)["evaluate"]["holdout_every"]
    parcels(every, held_out=True).write_parquet("build/late/holdout.parquet")


if __name__ == "__main__":
    main()
""",
}  # fmt: skip
BETTER = ("params.yaml", "C: 1.0", "C: 0.5")
OTHER = ("params.yaml", "C: 1.0", "C: 2.0")
WORSE = ("params.yaml", "use: [weight, distance]", "use: [weight]")


def drop(month: int, rows: int = 400) -> str:
    """A month's parcels as CSV: heavy ones are a little late, those that go far mostly are."""
    made = random.Random(month)
    lines = ["id,day,weight,distance,late"]
    for number in range(rows):
        weight, distance = made.uniform(0, 30), made.uniform(0, 1000)
        late = 0.05 * (weight - 15) + 0.01 * (distance - 500) + made.gauss(0, 1.5) > 0
        day = f"2024-{month:02d}-{number % 28 + 1:02d}"
        late_text = "true" if late else "false"
        lines.append(f"{month * 10_000 + number},{day},{weight:.3f},{distance:.3f},{late_text}")
    return "\n".join(lines) + "\n"


def quiet(_: str) -> None:
    """Says nothing."""


@dataclass
class Line:
    """The folders of one line, and the people around it.

    Attributes:
        said: what the verbs narrated.
        first: what the first release did.
        quick: counts the stages' runs, where they run in this process.
    """

    root: Path
    said: list[str] = field(default_factory=list)
    first: Any = None
    quick: Any = None
    _stores: dict[str, Tracking] = field(default_factory=dict)

    # --- places ---------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    @property
    def author(self) -> Repository:
        return Repository(self.root / "author")

    @property
    def runner(self) -> Repository:
        return Repository(self.root / "runner")

    @property
    def forge(self) -> FolderForge:
        return FolderForge(self.root / "forge")

    @property
    def environment(self) -> dict[str, str]:
        """Of the verbs; nothing of the outer process counts."""
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

    def say(self, text: str) -> None:
        self.said.append(text)

    # --- the people -----------------------------------------------------------------------------

    def build(self) -> None:
        """A forge whose main branch holds three months, and the two clones."""
        forge = FolderForge.create(self.root / "forge")
        (self.root / "dvc-remote").mkdir()
        self.author.root.mkdir()
        shutil.rmtree(forge.repository / "hooks")
        git(self.author.root, "init", "--quiet", "--template=", "--initial-branch", "main")
        configure(self.author.root)
        for path, text in FILES.items():
            self.write(path, text)
        self.add_drops(1, 2, 3)
        self.commit("Parcels of three months")
        self.git("remote", "add", "origin", "../forge/repository.git")
        self.git("push", "--quiet", "-u", "origin", "main")
        self.git("remote", "set-head", "origin", "main")
        git(self.root, "clone", "--quiet", "--template=", str(forge.repository), "runner")
        git(self.runner.root, "config", "remote.origin.url", "../forge/repository.git")
        configure(self.runner.root)

    def git(self, *arguments: str, at: str = "author") -> str:
        return git(self.root / at, *arguments)

    def write(self, path: str, text: str, at: str = "author") -> None:
        place = self.root / at / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str, at: str = "author") -> None:
        text = (self.root / at / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new), at)

    def add_drops(
        self, *months: int, at: str = "author", made: Callable[[int], str] | None = None
    ) -> None:
        """Put drops of months beside their pointers, and push them to the DVC remote."""
        from dvc.repo import Repo

        paths = [f"data/raw/parcels/2024-{month:02d}.csv" for month in months]
        for path, month in zip(paths, months, strict=True):
            self.write(path, (made or drop)(month), at)
        logging.getLogger("dvc").setLevel(logging.CRITICAL)
        with Repo(str(self.root / at)) as repo, silent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of DVC's own dependencies
            repo.add([str(self.root / at / path) for path in paths])
            repo.push([str(self.root / at / f"{path}.dvc") for path in paths])

    def commit(self, message: str, at: str = "author") -> str:
        self.git("add", "--all", at=at)
        self.git("commit", "--quiet", "--message", message, at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def branch(self, name: str, start: str = "origin/main") -> None:
        """The author starts a branch on what main is now."""
        self.git("fetch", "--quiet", "origin")
        self.git("checkout", "--quiet", "-b", name, start)

    def propose(self, name: str, *edits: tuple[str, str, str], title: str | None = None) -> int:
        """The author pushes a branch, a commit for each edit, and opens a pull request."""
        self.branch(name)
        for edit in edits:
            self.edit(*edit)
            self.commit(title or name)
        return self.push(name, title)

    def push(self, name: str, title: str | None = None) -> int:
        """The author pushes the branch and opens a pull request; its number."""
        self.git("push", "--quiet", "origin", name)
        return self.forge.as_user("ana").open(title or name, head=name).number

    def check_out(self, revision: str) -> str:
        """The runner checks out a commit, detached, as CI does; its name."""
        self.git("fetch", "--quiet", "origin", at="runner")
        self.git("checkout", "--quiet", "--detach", revision, at="runner")
        return self.git("rev-parse", "HEAD", at="runner")

    def check_out_pull(self, number: int) -> str:
        return self.check_out(self.forge.pull_request(number).head_sha)

    def merge(self, number: int, method: Any = "squash") -> str:
        """The reviewer merges; the runner checks out what main is then."""
        sha = self.forge.as_user("rex").merge(number, method=method)
        return self.check_out(sha)

    # --- the verbs ------------------------------------------------------------------------------

    def evaluate(self, at: str = "runner", bundle: Path | None = None, **environment: str) -> Any:
        """What `mergeline evaluate` finds of the one model."""
        from mergeline.lifecycle.verbs.evaluate import evaluate

        [one] = evaluate(self.project(at, **environment), bundle=bundle, say=self.say)
        return one

    def review(self, number: int) -> Any:
        """What the runner finds of a pull request."""
        self.check_out_pull(number)
        return self.evaluate(MERGELINE_PULL_REQUEST=str(number))

    def release(self, **options: Any) -> Any:
        """What `mergeline release` does with the one model."""
        from mergeline.lifecycle.verbs.release import release

        [one] = release(self.project(), say=self.say, **options)
        return one

    def markdown(self, found: Any) -> str:
        """The comment of what was found."""
        text: str = (found.folder / "evaluation" / "report.md").read_text(encoding="utf-8")
        return text

    def land(self, number: int, method: Any = "squash") -> Any:
        """Review, merge, release."""
        assert self.review(number).passed
        self.merge(number, method)
        return self.release()


def configure(root: Path) -> None:
    for key, value in {"user.name": "Ana", "user.email": "ana@example.org"}.items():
        git(root, "config", key, value)


def git(cwd: Path, *arguments: str) -> str:
    return run_git(arguments, cwd=cwd, env={"GIT_CONFIG_GLOBAL": os.devnull}).decode().strip()


def copy_line(line: Line, root: Path) -> Line:
    """A line with the same content at another place; MLflow's absolute paths are made to follow."""
    shutil.copytree(line.root, root, symlinks=True)
    database = root / "state" / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for table, column in _PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(line.root), str(root)),
            )
    return Line(root, first=line.first)


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
    return Line(root, first=line.first)


@dataclass
class QuickStages:
    """Runs the stages of `dvc.yaml` in this process, where the real runner starts four.

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
    ) -> StagesRun:
        from mergeline.lifecycle.steps.project import Project
        from mergeline.lifecycle.verbs.snapshot import snapshot

        self.runs.append(checkout.name)
        document = yaml.safe_load((checkout / "dvc.yaml").read_text())
        for name, spec in document["stages"].items():
            say(f"stage {name}")
            if spec["cmd"] == "mergeline snapshot":
                snapshot(Project(Repository(checkout), {**os.environ, **environment}))
                continue
            for out in spec["outs"]:
                (checkout / out).parent.mkdir(parents=True, exist_ok=True)
            module = spec["cmd"].removeprefix("python -m ")
            with inside(checkout, environment), silent():
                try:
                    runpy.run_module(module, run_name="__main__", alter_sys=True)
                except Exception as error:
                    said = f"{type(error).__name__}: {error}"
                    raise StageError(
                        f"stage {name} failed: {said}",
                        stage=name,
                        where="dvc.yaml",
                        next_step=f"Run it by hand: dvc repro {name}",
                    ) from error
        return StagesRun(dict.fromkeys(document["stages"], 0.1), ())


@contextlib.contextmanager
def quick_stages() -> Iterator[QuickStages]:
    """Candidates are trained in this process, for as long as the block lasts."""
    quick = QuickStages()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mergeline.lifecycle.steps.candidates.reproduce", quick)
        patch.setattr(
            "mergeline.lifecycle.steps.candidates.dvc_cache", lambda root: root / ".dvc/cache"
        )
        patch.setattr("mergeline.adapters.model_folder._LATENCY_ROWS", 3)
        yield quick


@contextlib.contextmanager
def inside(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """This process as one that was started in a folder."""
    pipelines = {name: sys.modules.pop(name) for name in list(sys.modules) if _theirs(name)}
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
        for name in [name for name in sys.modules if _theirs(name)]:
            del sys.modules[name]
        sys.modules.update(pipelines)
        os.environ.clear()
        os.environ.update(before)


def _theirs(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "pipelines"


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """No word on standard output or error."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def content_of(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
