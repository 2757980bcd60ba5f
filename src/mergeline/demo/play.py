"""`demo`: the whole story on embedded defaults, in one folder.

It plays the people: a data scientist who pushes, a reviewer who merges, a runner that checks out
what the forge offers. What happens in between is done by the functions that the workflows call.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.git.tree import Tree
from mergeline.adapters.scoring_server import Client, running_server
from mergeline.core.release.ledger import Entry
from mergeline.core.report.content import Report
from mergeline.errors import ForgeError, InputError, NotFoundError
from mergeline.lifecycle.steps.candidates import fetch
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.smoke_test import recorded_answers
from mergeline.lifecycle.verbs.comment import comment
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.release import Released, release
from mergeline.lifecycle.verbs.track import track
from mergeline.system.git_command import run_git

MODEL = "delay"
# What a project of its own has of this repository.
_PARTS = (
    ".dvc", ".dvcignore", ".gitignore", "data", "dvc.yaml", "models", "params.yaml", "pipelines",
    "pyproject.toml", "uv.lock",
)  # fmt: skip
ShowLedger = Callable[[Sequence[Entry]], object]  # something that rich prints
_BETTER = ("learning_rate: 0.05", "learning_rate: 0.1")
_WORSE = ("max_iter: 60 ", "max_iter: 2 ")


def play(
    here: Path,
    *,
    workspace: Path | None,
    keep: bool,
    ledger_table: ShowLedger,
) -> None:
    """Play the story of the reference project that `here` lies in.

    Args:
        here: in a clone of mergeline.
        workspace: an empty or new folder that is left for exploring; None: a temporary one.
        keep: whether the temporary one is left too.
        ledger_table: shows the ledger, as `mergeline history` does.

    Raises:
        InputError: `here` is not in a clone of the reference project, or `workspace` is not empty.
    """
    source = Repository.at(here)
    tree = source.working_tree()
    if tree.blob("models/delay.yaml") is None or tree.blob("data/drops.py") is None:
        raise InputError(
            "the demo plays the reference project, which is not here",
            where=str(here),
            next_step="Run it in a clone of mergeline",
        )
    with _workspace(workspace, keep=keep) as folder:
        stage = _Stage(folder)
        stage.build(tree)
        with stage.serving() as address:
            _story(stage, address)
            stage.releases(address, ledger_table)
        stage.where_to_look(kept=keep or workspace is not None)


def _story(stage: _Stage, address: str) -> None:
    stage.act(1, "main holds January to June 2013; its first release")
    stage.merged("main")
    stage.ask(address)

    stage.act(2, "a pull request changes params.yaml")
    number = stage.propose("faster-learning", "Learn faster", *_edit(stage, _BETTER))
    stage.review(number)
    stage.merge(number)
    stage.ask(address)

    stage.act(3, "a pull request adds July")
    number = stage.propose_drop("add-july", "Add July", "2013-07")
    stage.review(number)
    july = stage.merge(number)
    stage.ask(address)

    stage.act(4, "a pull request makes the model worse")
    number = stage.propose("tiny-model", "Train for a moment only", *_edit(stage, _WORSE))
    stage.review(number)
    stage.try_to_merge(number)

    stage.act(5, "git revert of the July merge")
    number = stage.propose_revert("revert-july", july)
    stage.review(number)
    stage.merge(number)
    stage.ask(address)


def _edit(stage: _Stage, change: tuple[str, str]) -> tuple[str, str]:
    path = stage.author.root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    if change[0] not in text:
        raise InputError(f"params.yaml has no line {change[0]!r}", where=str(path))
    return "params.yaml", text.replace(*change)


@dataclass
class _Stage:
    """Where the story is played, and by whom."""

    folder: Path

    def __post_init__(self) -> None:
        from rich.console import Console

        self.out = Console(highlight=False)
        self.since = time.monotonic()
        self.state = self.folder / "state"
        self._bundles = self.folder / "bundles"
        self._sample: list[dict[str, Any]] = []

    # --- the set --------------------------------------------------------------------------------

    def build(self, tree: Tree) -> None:
        """A forge with a main branch, an author's clone, and a runner's clone."""
        self._say(f"workspace {self.folder}")
        self.forge = FolderForge.create(self.folder / "forge")
        self.author = _start_project(tree, self.folder / "ana", self.state)
        self._say("making the drops of January to June, and pushing them to the DVC remote")
        self._drops("2013-01:2013-06")
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", "Flights and weather of January to June 2013")
        self._git("remote", "add", "origin", str(self.forge.repository))
        self._git("push", "--quiet", "-u", "origin", "main")
        self._git("remote", "set-head", "origin", "main")
        run_git(["clone", "--quiet", str(self.forge.repository), "runner"], cwd=self.folder)
        self.runner = Repository.at(self.folder / "runner")

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """A scoring server on the registry, for as long as the story lasts."""
        command = [sys.executable, "-m", "mergeline", "serve", "--port", "0", "--poll", "0.5"]
        with running_server(command, cwd=self.runner.root, env=self._environment()) as address:
            self.address = address
            yield address

    # --- the people -----------------------------------------------------------------------------

    def propose(self, branch: str, title: str, path: str, text: str) -> int:
        """Ana pushes a branch with one changed file and opens a pull request."""
        self._branch(branch)
        (self.author.root / path).write_text(text, encoding="utf-8")
        return self._open(branch, title)

    def propose_drop(self, branch: str, title: str, month: str) -> int:
        """Ana adds the drops of a month and opens a pull request."""
        self._branch(branch)
        self._drops(month)
        return self._open(branch, title)

    def propose_revert(self, branch: str, commit: str) -> int:
        """Ana reverts a merge and opens a pull request."""
        self._branch(branch)
        self._git("revert", "--no-edit", commit)
        self._git("push", "--quiet", "origin", branch)
        return self._pull("Revert the July drop", branch)

    def review(self, number: int) -> Evaluated:
        """The runner evaluates a pull request, a trusted one takes the bundle in and comments."""
        head = self.forge.pull_request(number).head_sha
        self._checkout(head)
        project = self._project(number)
        bundle = self._bundles / f"pull-request-{number}"
        [done] = evaluate(project, model=MODEL, bundle=bundle, say=self._say)
        track(project, bundle, say=self._say)
        comment(project, bundle, say=self._say)
        self._show(done.report)
        if done.exit_code:
            self.out.print(f"  evaluate ends with [red]exit code {done.exit_code}[/]")
        return done

    def try_to_merge(self, number: int) -> None:
        """The reviewer presses the button all the same; the forge refuses what is red."""
        try:
            self.merge(number)
        except ForgeError as error:
            self.out.print(f"  the forge refuses to merge: [red]{error.message}[/]")

    def merge(self, number: int) -> str:
        """The reviewer squash-merges; the runner releases what main is then."""
        sha = self.forge.as_user("rex").merge(number, method="squash")
        self.out.print(f"  squash-merged as [bold]{sha[:8]}[/]")
        self.merged(sha)
        return sha

    def merged(self, revision: str) -> Released:
        """The runner releases the tip of main."""
        self.runner.git("fetch", "--quiet", "origin")
        self._checkout("origin/main" if revision == "main" else revision)
        done = release(self._project(), model=MODEL, say=self._say)[0]
        for line in (done.sentence, *done.plan.refusal[1:]):
            self.out.print(f"  [green]{line}[/]")
        return done

    def ask(self, address: str) -> None:
        """Somebody asks the served model about one flight of the holdout."""
        client = Client(address)
        answer = client.predict(MODEL, self._flight(), stage="production")
        late = answer.predictions[0][1]
        self.out.print(
            f"  asked over HTTP: v{answer.version} ({answer.model_digest[:8]}) says "
            f"[bold]{late:.1%}[/] late"
        )

    # --- what is said ---------------------------------------------------------------------------

    def act(self, number: int, title: str) -> None:
        """The heading of one act."""
        seconds = time.monotonic() - self.since
        self.out.print()
        self.out.rule(f"[bold]{number}. {title}[/]  [dim]{seconds:.0f} s[/]", align="left")

    def releases(self, address: str, ledger_table: ShowLedger) -> None:
        """The end: the ledger, and what the server says that it serves."""
        self.out.print()
        self.out.rule("[bold]The releases[/]", align="left")
        self.out.print(ledger_table(self._project().ledger(MODEL)))
        self.out.print()
        for one in Client(address).versions(MODEL):
            if one["stage"] == "Production":
                said = f"{MODEL} v{one['version']} ({one['model_digest'][:8]})"
                self.out.print(f"serving now, by the server's word: {said}")
        self.out.print(f"the whole story took {time.monotonic() - self.since:.0f} s")

    def where_to_look(self, *, kept: bool) -> None:
        """What is left in the workspace, or would be."""
        folder = self.folder if kept else "FOLDER"
        state = f"{folder}/{self.state.name}"
        if not kept:
            self.out.print("mergeline demo --keep leaves its folder, to look around in:")
        lines = [
            f"runs:     mlflow ui --backend-store-uri sqlite:///{state}/mlflow.db",
            f"reports:  {folder}/{self._bundles.name}/*/evaluation/report.html",
            f"comments: {folder}/forge/pulls/*/comments/*.md",
        ]
        if kept:
            self._git("checkout", "--quiet", "main")
            self._git("pull", "--quiet", "--tags")
            lines += [
                "to go on as Ana, with a pull request of your own:",
                f"  cd {self.author.root}",
                f"  export MERGELINE_STATE={state} MERGELINE_FORGE={folder}/forge",
                f"  export PATH={Path(sys.executable).parent}:$PATH",
            ]
        for line in lines:
            self.out.print(line, soft_wrap=True, markup=False)

    def _show(self, report: Report) -> None:
        from mergeline.core.report.render.terminal import to_terminal

        self.out.print(to_terminal(report))

    def _say(self, text: str) -> None:
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        console.print(f"  · {text}", soft_wrap=True, markup=False, style="dim")

    # --- hands ----------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        import os

        own = {
            "MERGELINE_STATE": str(self.state),
            "MERGELINE_FORGE": str(self.folder / "forge"),
        }
        unset = {
            "MERGELINE_TABLES", "MERGELINE_SERVER", "MERGELINE_PULL_REQUEST", "MLFLOW_TRACKING_URI",
            "GITHUB_REF", "GITHUB_TOKEN", "GITHUB_REPOSITORY",
        }  # fmt: skip
        return {**{k: v for k, v in os.environ.items() if k not in unset}, **own}

    def _project(self, pull_request: int | None = None) -> Project:
        environment = {**self._environment(), "MERGELINE_SERVER": self.address}
        if pull_request:
            environment["MERGELINE_PULL_REQUEST"] = str(pull_request)
        return Project(self.runner, environment)

    def _flight(self) -> list[dict[str, Any]]:
        """One flight of the holdout, the same in each act."""
        if not self._sample:
            project = self._project()
            champion = project.tracking.champion(MODEL)
            if champion is None:
                raise NotFoundError("nothing is in production")
            run = project.tracking.run_of(champion)
            rows, _ = recorded_answers(project, fetch(project, run), run)
            self._sample = rows[:1]
        return self._sample

    def _branch(self, name: str) -> None:
        self._git("fetch", "--quiet", "origin")
        self._git("checkout", "--quiet", "-b", name, "origin/main")

    def _open(self, branch: str, title: str) -> int:
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", title)
        self._git("push", "--quiet", "origin", branch)
        return self._pull(title, branch)

    def _pull(self, title: str, branch: str) -> int:
        number = self.forge.as_user("ana").open(title, head=branch).number
        changed = self._git("diff", "--stat=72", "origin/main", branch).splitlines()[:-1]
        self.out.print(f"  pull request [bold]#{number}[/] {title}")
        for line in changed:
            self.out.print(f"    [dim]{line.strip()}[/]")
        return number

    def _drops(self, months: str) -> None:
        root = self.author.root
        _run([sys.executable, "data/drops.py", "--months", months], root)
        first, _, last = months.partition(":")
        year = first[:4]
        span = range(int(first[5:]), int((last or first)[5:]) + 1)
        files = [f"data/raw/{t}/{year}-{m:02d}.csv" for t in ("flights", "weather") for m in span]
        _run([sys.executable, "-m", "dvc", "add", "--quiet", *files], root)
        _run([sys.executable, "-m", "dvc", "push", "--quiet", *(f"{f}.dvc" for f in files)], root)

    def _checkout(self, revision: str) -> None:
        self.runner.git("fetch", "--quiet", "origin")
        self.runner.git("checkout", "--quiet", "--detach", revision)

    def _git(self, *arguments: str) -> str:
        return self.author.git(*arguments)


@contextlib.contextmanager
def _workspace(named: Path | None, *, keep: bool) -> Iterator[Path]:
    if named is not None:
        if named.exists() and any(named.iterdir()):
            raise InputError(
                "the workspace is not empty", where=str(named), next_step="Name a new folder"
            )
        named.mkdir(parents=True, exist_ok=True)
        yield named.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="mergeline-demo-")).resolve()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _start_project(tree: Tree, root: Path, state: Path) -> Repository:
    """A repository of its own with the reference project's files, and a DVC remote to share."""
    for path in tree.list():
        if path.startswith(tuple(f"{part}/" for part in _PARTS)) or path in _PARTS:
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(tree.read(path) or b"")
    (root / ".dvc" / "config").write_text(
        f"[core]\n    analytics = false\n    remote = storage\n"
        f"['remote \"storage\"']\n    url = {state / 'dvc-remote'}\n",
        encoding="utf-8",
    )
    (state / "dvc-remote").mkdir(parents=True)
    run_git(["init", "--quiet", "--initial-branch", "main"], cwd=root)
    for key, value in {"user.name": "Ana", "user.email": "ana@example.org"}.items():
        run_git(["config", key, value], cwd=root)
    return Repository.at(root)


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InputError(f"{' '.join(command[1:3])}: {said[-1] if said else 'failed'}")
