"""Places with pull requests, told apart by nothing that the contract tests can see."""

from __future__ import annotations

import base64
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any, Literal, Protocol

import requests

from mergeline.adapters.forge.base import Forge
from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.forge.gitea import GiteaForge
from mergeline.adapters.forge.github import GitHubForge
from tests.support.gitea_server import GiteaServer
from tests.support.github_server import REPOSITORY, GitHubServer, Pull

Method = Literal["squash", "rebase", "merge"]


class World(Protocol):
    """What the people around a forge do. `us` is who the job is."""

    us: str

    def forge(self) -> Forge:
        """The forge as the job sees it; each call is another process's view."""

    def open(self, title: str, *, author: str = "ana", labels: tuple[str, ...] = ()) -> int:
        """Open a pull request of one commit."""

    def push(self, number: int) -> str:
        """Add a commit to a pull request."""

    def merge(self, number: int, method: Method) -> list[str]:
        """Merge; the commits that main gained."""

    def say(self, number: int, author: str, body: str) -> int:
        """Comment as someone."""

    def direct_commit(self) -> str:
        """A commit on main that no pull request brought."""


class GitHubWorld:
    """A server that answers as GitHub does."""

    def __init__(
        self,
        *,
        token: str = "a-job",
        port: int = 0,
        url: str | None = None,
        enterprise: bool = False,
    ) -> None:
        self.server = GitHubServer(port, url, enterprise=enterprise)
        self.url = self.server.public_url
        self.us = self.server.tokens[token]
        self._token = token
        self._main = self._new_commit()

    def forge(self) -> GitHubForge:
        return GitHubForge(REPOSITORY, self._token, self.url, patient=False)

    def open(self, title: str, *, author: str = "ana", labels: tuple[str, ...] = ()) -> int:
        number = len(self.server.pulls) + 1
        head = self._new_commit()
        pull = Pull(number, title, author, head, self._main, labels, commits=[head])
        self.server.pulls[number] = pull
        return number

    def push(self, number: int) -> str:
        pull = self.server.pulls[number]
        pull.head = self._new_commit()
        pull.commits.append(pull.head)
        return pull.head

    def merge(self, number: int, method: Method) -> list[str]:
        pull = self.server.pulls[number]
        new = [self._new_commit() for _ in pull.commits] if method == "rebase" else []
        new = new or [self._new_commit()]
        pull.merge_commit = self._main = new[-1]
        gained = [*pull.commits, *new] if method == "merge" else new
        pull.commits += new
        return gained

    def say(self, number: int, author: str, body: str) -> int:
        return self.server.say(number, author, body)

    def direct_commit(self) -> str:
        self._main = self._new_commit()
        return self._main

    def _new_commit(self) -> str:
        sha = secrets.token_hex(20)
        self.server.commits.add(sha)
        return sha


class FolderWorld:
    """A real bare repository with its folder of pull requests."""

    us = "github-actions[bot]"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bare = FolderForge.create(path).repository
        self._commits = 0
        self._push("main", parent=None)

    def forge(self) -> FolderForge:
        return FolderForge(self.path, user=self.us)

    def open(self, title: str, *, author: str = "ana", labels: tuple[str, ...] = ()) -> int:
        branch = f"change-{secrets.token_hex(4)}"
        self._push(branch, parent="main")
        forge = FolderForge(self.path, user=author)
        return forge.open(title, head=branch, labels=labels).number

    def push(self, number: int) -> str:
        branch = f"{self._branch(number)}"
        return self._push(branch, parent=branch)

    def merge(self, number: int, method: Method) -> list[str]:
        before = self._git("rev-parse", "main")
        FolderForge(self.path, user="ben").merge(number, method=method)
        return self._git("rev-list", f"{before}..main").split()

    def say(self, number: int, author: str, body: str) -> int:
        return FolderForge(self.path, user=author).comment(number, body).id

    def direct_commit(self) -> str:
        return self._push("main", parent="main")

    def _branch(self, number: int) -> str:
        head = self.forge().pull_request(number).head_sha
        refs = self._git("for-each-ref", "--points-at", head, "--format=%(refname:short)")
        return next(ref for ref in refs.split() if ref != "main")

    def _push(self, branch: str, *, parent: str | None) -> str:
        """A commit with one more file than its parent, made without a working tree."""
        self._commits += 1
        blob = self._git("hash-object", "-w", "--stdin", stdin=f"{self._commits}\n")
        listed = self._git("ls-tree", parent) if parent else ""
        entries = [*listed.splitlines(), f"100644 blob {blob}\tfile-{self._commits}"]
        tree = self._git("mktree", stdin="\n".join(entries) + "\n")
        parents = ("-p", parent) if parent else ()
        sha = self._git("commit-tree", tree, *parents, "-m", f"change {self._commits}")
        self._git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def _git(self, *arguments: str, stdin: str = "") -> str:
        identity = ("-c", "user.name=ana", "-c", "user.email=ana@localhost")
        command = ["git", "-C", str(self._bare), *identity, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
        return done.stdout.strip()


class GiteaWorld:
    """A repository of its own on a real Gitea."""

    us = "robot"

    def __init__(self, server: GiteaServer) -> None:
        self._server = server
        for user in (self.us, "ana", "ben", "github-actions"):
            server.add_user(user)
        name = f"line-{secrets.token_hex(4)}"
        self._repository = f"owner/{name}"
        server.call("POST", "/user/repos", {"name": name, "auto_init": True})
        for user in (self.us, "ana", "ben"):
            self.call("PUT", f"/collaborators/{user}", {"permission": "write"})

    def forge(self, user: str = us) -> GiteaForge:
        token = self._server.tokens[user]
        return GiteaForge(self._repository, token, f"{self._server.url}/api/v1", patient=False)

    def open(self, title: str, *, author: str = "ana", labels: tuple[str, ...] = ()) -> int:
        branch = f"change-{secrets.token_hex(4)}"
        self._commit("main", new_branch=branch)
        asked = {"base": "main", "head": branch, "title": title}
        number: int = self.call("POST", "/pulls", asked, user=author)["number"]
        for label in labels:
            made = self.call("POST", "/labels", {"name": label, "color": "#ededed"})
            self.call("POST", f"/issues/{number}/labels", {"labels": [made["id"]]})
        return number

    def push(self, number: int) -> str:
        return self._commit(self.call("GET", f"/pulls/{number}")["head"]["ref"])

    def merge(self, number: int, method: Method) -> list[str]:
        before = self.call("GET", "/branches/main")["commit"]["id"]
        for _ in range(100):
            try:
                self.call("POST", f"/pulls/{number}/merge", {"Do": method})
                break
            except requests.HTTPError as error:
                if "try again later" not in str(error).lower():
                    raise
                time.sleep(0.1)
        gained = self.call("GET", f"/compare/{before}...main")["commits"]
        return [commit["sha"] for commit in gained]

    def say(self, number: int, author: str, body: str) -> int:
        said = self.call("POST", f"/issues/{number}/comments", {"body": body}, user=author)
        note: int = said["id"]
        return note

    def direct_commit(self) -> str:
        return self._commit("main")

    def _commit(self, branch: str, **more: str) -> str:
        """A commit with one file more."""
        content = base64.b64encode(secrets.token_bytes(8)).decode()
        asked = {"branch": branch, "content": content, "message": "change", **more}
        path = f"/contents/file-{secrets.token_hex(4)}"
        sha: str = self.call("POST", path, asked)["commit"]["sha"]
        return sha

    def call(self, method: str, path: str, body: object = None, user: str = "owner") -> Any:
        """What the API says of the repository."""
        return self._server.call(method, f"/repos/{self._repository}{path}", body, user)
