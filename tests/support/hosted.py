"""A project on a forge that runs its workflows, as its people see it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import requests

from mergeline.adapters.forge.workflow_files import render
from tests.support.gitea_server import PASSWORD, GiteaServer
from tests.support.parcels import PROJECT, drop

ROOT = Path(__file__).parent.parent.parent
# To compile all packages would cost these short jobs more than it saves.
REFERENCE = {
    "install": "uv sync --locked --no-dev --group reference",
    "drops": 'cd "$GITHUB_WORKSPACE" && .venv/bin/python data/drops.py --into "$OLDPWD/data/raw"',
}
# The small project has no lock of its own; its drops come from DVC's remote. Its jobs share the
# environment of the tests: with one for each, about half of their time was the installation
# and the compiling of bytecode at the first import.
PARCELS = {"install": f'ln -s "{sys.prefix}" .venv'}
_LONGEST_WAIT = 900
T = TypeVar("T")


def write_reference(folder: Path) -> Mapping[str, str]:
    """This repository's HEAD; the inputs of its workflows."""
    command = ["git", "-C", str(ROOT), "archive", "HEAD"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return REFERENCE


def write_parcels(folder: Path) -> Mapping[str, str]:
    """The small project of the tests, with the drops of three months; its workflows' inputs."""
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    remote = folder.parent / f"{folder.name}-drops"
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = here\n"
        f"['remote \"here\"']\n    url = {remote}\n"
    )
    (folder / ".gitignore").write_text("/.mergeline/\n/.venv\n/build/\n/data/*.snapshot.json\n")
    for month in (1, 2, 3):
        add_parcels(folder, month)
    return PARCELS


def add_parcels(folder: Path, month: int) -> None:
    """A drop in the remote, and its pointer."""
    content = drop(month).encode()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    kept = folder.parent / f"{folder.name}-drops" / "files" / "md5" / md5[:2] / md5[2:]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    write_pointer(folder / "data" / "raw" / "parcels" / f"2024-{month:02d}.csv", content)


def write_pointer(path: Path, content: bytes) -> None:
    """The pointer of a drop, as `dvc add` leaves it."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.dvc").write_text(
        f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {path.name}\n"
    )


class Hosted:
    """A repository on the forge, with a clone that people work in.

    The workflows are what mergeline renders for Gitea, but for the actions, which are stand-ins on
    this forge. Nothing runs on the first push.
    """

    def __init__(
        self,
        server: GiteaServer,
        name: str,
        clone: Path,
        write: Callable[[Path], Mapping[str, str]] = write_parcels,
    ) -> None:
        self.server, self.name, self.clone = server, name, clone
        owner, short = name.split("/")
        server.add_user(owner)
        server.call("POST", "/user/repos", {"name": short, "default_branch": "main"}, user=owner)
        for user in ("ana", "ben"):
            self.call("PUT", f"/collaborators/{user}", {"permission": "write"})
        inputs = write(clone)
        for path, workflow in render("gitea", inputs).items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(with_stand_ins(workflow))
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", server.clone_url(name, owner))
        self.commit("A project [skip ci]", author=owner)
        self.git("push", "-q", "origin", "main")
        self._await(lambda: not self.call("GET", "")["empty"])  # it takes a moment to be noted
        # The forge's own registry is the store. A job's token may read it, and not write.
        store = f"oci://{server.url.removeprefix('http://')}/{name}"
        self.call("POST", "/actions/variables/MERGELINE_STORE", {"value": store})
        self.call("PUT", "/actions/secrets/STORE_USERNAME", {"data": owner})
        self.call("PUT", "/actions/secrets/STORE_PASSWORD", {"data": server.tokens[owner]})

    def use_bucket(self, store: str, variables: Mapping[str, str], keys: Mapping[str, str]) -> None:
        """A bucket in the place of the forge's registry."""
        self.call("PUT", "/actions/variables/MERGELINE_STORE", {"value": store})
        for name, value in variables.items():
            self.call("POST", f"/actions/variables/{name}", {"value": value})
        for name, value in keys.items():
            self.call("PUT", f"/actions/secrets/{name}", {"data": value})

    def call(self, method: str, path: str, body: object = None, user: str = "owner") -> Any:
        """What the API says of this repository."""
        return self.server.call(method, f"/repos/{self.name}{path}", body, user)

    def git(self, *arguments: str) -> str:
        """What one git command in the clone prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.clone, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str, author: str = "ana") -> str:
        """Commit all that was changed; the commit's name."""
        self.git("add", "--all")
        person = (f"user.name={author}", f"user.email={author}@example.org")
        self.git("-c", person[0], "-c", person[1], "commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str) -> None:
        """Begin a branch at main's tip."""
        self.git("fetch", "-q", "origin", "main")
        self.git("checkout", "-q", "-B", name, "origin/main")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file."""
        text = (self.clone / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.clone / path).write_text(text.replace(old, new))

    def push(self, author: str = "ana") -> str:
        """Push the branch that is checked out; its tip."""
        branch = self.git("symbolic-ref", "--short", "HEAD")
        url = self.server.clone_url(self.name, author)
        self.git("push", "-q", "--force", url, f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def propose(self, title: str, author: str = "ana") -> int:
        """Open a pull request of the branch that is checked out."""
        self.push(author)
        branch = self.git("symbolic-ref", "--short", "HEAD")
        asked = {"base": "main", "head": branch, "title": title}
        number: int = self.call("POST", "/pulls", asked, user=author)["number"]
        return number

    def propose_from_fork(self, title: str, author: str) -> int:
        """Open a pull request of the branch that is checked out, from a stranger's fork."""
        short = self.name.split("/")[1]
        self.call("POST", "/forks", {}, user=author)
        branch = self.git("symbolic-ref", "--short", "HEAD")
        url = self.server.clone_url(f"{author}/{short}", author)
        self.git("push", "-q", "--force", url, f"HEAD:refs/heads/{branch}")
        asked = {"base": "main", "head": f"{author}:{branch}", "title": title}
        number: int = self.call("POST", "/pulls", asked, user=author)["number"]
        return number

    def comments(self, number: int) -> list[Any]:
        """What stands under a pull request."""
        found: list[Any] = self.call("GET", f"/issues/{number}/comments")
        return found

    def states(self, sha: str) -> list[tuple[str, str]]:
        """State and description of each `mergeline` that was set beside a commit, oldest first."""
        found = self.call("GET", f"/commits/{sha}/statuses?limit=50")
        ours = sorted((it for it in found if it["context"] == "mergeline"), key=lambda it: it["id"])
        return [(it["status"], it["description"]) for it in ours]

    def judged(self, sha: str, *, beyond: int = 0) -> tuple[str, str]:
        """State and description beside a commit, once its evaluation has come to its end.

        `beyond` so many states that were set before.

        Raises:
            TimeoutError: that takes too long.
        """

        def ended() -> tuple[str, str] | None:
            states = self.states(sha)[beyond:]
            return states[-1] if states and states[-1][0] != "pending" else None

        return self._await(ended)

    def merge(self, number: int, method: Literal["squash", "rebase", "merge"]) -> str:
        """Merge a pull request as the green button does; main's new tip."""

        def merged() -> bool:
            try:
                self.call("POST", f"/pulls/{number}/merge", {"Do": method}, user="ben")
            except requests.HTTPError as error:
                if "try again later" not in str(error).lower():
                    raise
                return False
            return True

        self._await(merged)
        tip: str = self.call("GET", "/branches/main")["commit"]["id"]
        return tip

    def released(self, commit: str) -> dict[str, str]:
        """How each job of a release ended, once all did.

        Raises:
            TimeoutError: that takes too long.
        """

        def ended() -> dict[str, str] | None:
            for run in self._runs():
                if run["head_sha"] == commit and run["path"].startswith("release.yml@"):
                    jobs = self.call("GET", f"/actions/runs/{run['id']}/jobs")["jobs"]
                    done = run["status"] == "completed"
                    return {job["name"]: job["conclusion"] for job in jobs} if done else None
            return None

        return self._await(ended)

    def ledger(self) -> list[str]:
        """The names of the ledger's pages."""
        return sorted(
            tag["name"] for tag in self.call("GET", "/tags") if tag["name"].startswith("release/")
        )

    def answered(self, number: int, *, beyond: int) -> Any:
        """The comment that follows so many others.

        Raises:
            TimeoutError: that takes too long.
        """
        return self._await(lambda: next(iter(self.comments(number)[beyond:]), None))

    def say(self, number: int, user: str, text: str) -> None:
        """Comment as someone."""
        self.call("POST", f"/issues/{number}/comments", {"body": text}, user=user)

    def cancel(self, sha: str) -> None:
        """End the evaluation of a commit while it runs; as in the browser."""

        def running() -> Any:
            mine = [run for run in self._runs() if run["head_sha"] == sha]
            return next((run for run in mine if run["status"] == "in_progress"), None)

        self._press(self._await(running), "cancel")

    def approve_runs(self, sha: str) -> None:
        """Let the runs go on that wait because a stranger caused them; as in the browser."""
        waiting = self._await(lambda: [run for run in self._runs() if run["head_sha"] == sha])
        for run in waiting:
            self._press(run, "approve")

    def _press(self, run: Any, button: str) -> None:
        """A button of a run's page."""
        session = requests.Session()
        login = {"user_name": "owner", "password": PASSWORD}
        session.post(f"{self.server.url}/user/login", data=login, timeout=60)
        address = f"{self.server.url}/{self.name}/actions/runs/{run['id']}/{button}"
        session.post(address, timeout=60).raise_for_status()

    def _await(self, find: Callable[[], T | None]) -> T:
        end = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < end:
            if found := find():
                return found
            time.sleep(1)
        raise TimeoutError(self.tell())

    def jobs(self) -> list[Any]:
        """The jobs of the latest runs, oldest first, once all have ended."""

        def ended() -> list[Any] | None:
            runs = [self.call("GET", f"/actions/runs/{run['id']}/jobs") for run in self._runs()]
            jobs = [job for run in reversed(runs) for job in run["jobs"]]
            return jobs if all(job["status"] == "completed" for job in jobs) else None

        return self._await(ended)

    def _runs(self) -> list[Any]:
        """The latest runs of workflows."""
        found: list[Any] = self.call("GET", "/actions/runs?limit=8")["workflow_runs"]
        return found

    def tell(self) -> str:
        """The runs and their jobs, and what the failed ones printed: for a test that fails."""
        lines = []
        for run in self._runs():
            lines.append(f"{run['path']} {run['event']} {run['status']} {run.get('conclusion')}")
            for job in self.call("GET", f"/actions/runs/{run['id']}/jobs")["jobs"] or []:
                lines.append(f"   {job['name']}: {job['status']} {job.get('conclusion')}")
                if job.get("conclusion") == "failure":
                    log = self.call("GET", f"/actions/jobs/{job['id']}/logs").splitlines()
                    lines += [f"      {line}" for line in log[-40:]]
        return "\n".join(lines)


def with_stand_ins(workflow: str) -> str:
    """A workflow with the actions that stand in for others on this forge."""
    return re.sub(r"(uses: [\w./-]+)@[0-9a-f]{40}.*", r"\1@v1", workflow)
