"""The people around one project, and the folders in which they work.

    forge/       a bare repository with its pull requests
    author/      the clone of Ana, who changes the project
    runner/      the clone of the CI machine
    dvc-remote/  the drops that both share
    state/       tables, candidates and tracking store of the CI machine

Ana opens a pull request, a job on the CI machine evaluates it and leaves a bundle, a second job
takes the bundle in and comments, Rex reviews and merges, and a third job releases.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mergeline.adapters.forge.folder import FolderForge, Method
from mergeline.adapters.git.repository import Repository
from mergeline.errors import InputError
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.verbs.comment import comment
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.release import Released, release
from mergeline.lifecycle.verbs.track import track
from mergeline.system.git_command import run_git

# What would lead a verb away from the folders here.
_ELSEWHERE = {
    "MERGELINE_TABLES", "MERGELINE_PULL_REQUEST", "MLFLOW_TRACKING_URI", "GITHUB_REF",
    "GITHUB_TOKEN", "GITHUB_REPOSITORY",
}  # fmt: skip


class Workplace:
    """A forge, the author's and the CI machine's clone of one project, and what people do there.

    Attributes:
        root: the folder of it all.
        say: is told what the verbs do.
        state: the state folder of the CI machine.
        server: address of the scoring server that releases deploy to.
    """

    def __init__(self, root: Path, say: Say) -> None:
        self.root = root
        self.say = say
        self.state = root / "state"
        self.author = Repository(root / "author")
        self.runner = Repository(root / "runner")
        self.server = ""

    @property
    def forge(self) -> FolderForge:
        """The forge, as the jobs see it."""
        return FolderForge(self.root / "forge")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the jobs."""
        outer = {key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
        return {
            **outer,
            "MERGELINE_STATE": str(self.state),
            "MERGELINE_FORGE": str(self.root / "forge"),
            "MERGELINE_SERVER": self.server,
        }

    def project(self, **environment: str) -> Project:
        """The project as a job sees it."""
        return Project(self.runner, {**self.environment, **environment})

    def set_up(self, write_project: Callable[[], None], message: str) -> None:
        """Make the forge and both clones; `write_project` fills the author's before its commit."""
        forge = FolderForge.create(self.root / "forge")
        (self.root / "dvc-remote").mkdir()
        self.author.root.mkdir()
        self.author.git("init", "--quiet", "--template=", "--initial-branch", "main")
        _introduce_ana(self.author)
        write_project()
        self.commit(message)
        # A relative address, so that the folder can be moved and copied.
        self.author.git("remote", "add", "origin", "../forge/repository.git")
        self.author.git("push", "--quiet", "-u", "origin", "main")
        self.author.git("remote", "set-head", "origin", "main")
        source = str(forge.repository)
        run_git(["clone", "--quiet", "--template=", source, "runner"], cwd=self.root)
        self.runner.git("config", "remote.origin.url", "../forge/repository.git")
        _introduce_ana(self.runner)

    def branch(self, name: str, start: str = "origin/main") -> None:
        """Ana starts a branch on what main is now."""
        self.author.git("fetch", "--quiet", "origin")
        self.author.git("checkout", "--quiet", "-b", name, start)

    def edit(self, path: str, old: str, new: str) -> None:
        """Ana replaces a text in a file.

        Raises:
            InputError: the file does not have the text.
        """
        file = self.author.root / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise InputError(f"{path} does not contain {old!r}", where=str(file))
        file.write_text(text.replace(old, new), encoding="utf-8")

    def commit(self, message: str) -> str:
        """Ana commits all that she changed; the commit's name."""
        self.author.git("add", "--all")
        self.author.git("commit", "--quiet", "--message", message)
        return self.author.git("rev-parse", "HEAD")

    def push(self, branch: str, title: str | None = None) -> int:
        """Ana pushes a branch and opens a pull request; its number."""
        self.author.git("push", "--quiet", "origin", branch)
        return self.forge.as_user("ana").open(title or branch, head=branch).number

    def check_out(self, revision: str) -> str:
        """The CI machine checks out a revision, detached; the commit's name."""
        self.runner.git("fetch", "--quiet", "origin")
        self.runner.git("checkout", "--quiet", "--detach", revision)
        return self.runner.git("rev-parse", "HEAD")

    def check_out_pull(self, number: int) -> str:
        """The CI machine checks out the head of a pull request; the commit's name."""
        return self.check_out(self.forge.pull_request(number).head_sha)

    def review(self, number: int, bundle: Path | None = None) -> Evaluated:
        """A job evaluates the one model of a pull request, and leaves a bundle if one is named."""
        self.check_out_pull(number)
        project = self.project(MERGELINE_PULL_REQUEST=str(number))
        [evaluated] = evaluate(project, bundle=bundle, say=self.say)
        return evaluated

    def publish(self, number: int, bundle: Path) -> None:
        """A trusted job takes a bundle into the tracking store and comments on its pull request."""
        project = self.project(MERGELINE_PULL_REQUEST=str(number))
        track(project, bundle, say=self.say)
        comment(project, bundle, say=self.say)

    def release(self, *, plan_only: bool = False, override: str | None = None) -> Released:
        """A job releases the one model of the commit that is checked out.

        Where that was never judged as it is now, the jobs before it do that first.
        """
        for _ in range(2):
            [released] = release(
                self.project(), plan_only=plan_only, override=override, say=self.say
            )
            if plan_only or not released.plan.missing:
                break
            self.say(released.plan.missing)
            evaluate(self.project(), base=released.base, say=self.say)
        return released

    def merge(self, number: int, method: Method = "squash") -> str:
        """Rex merges a pull request, and the CI machine checks out what main is then."""
        return self.check_out(self.forge.as_user("rex").merge(number, method=method))


def _introduce_ana(clone: Repository) -> None:
    clone.git("config", "user.name", "Ana")
    clone.git("config", "user.email", "ana@example.org")
