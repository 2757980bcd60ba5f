"""A forge in a folder: a bare repository, and its pull requests as files beside it.

    forge/
      repository.git/               the bare repository that people push to
      pulls/1/pull.json             title, author, branches, labels; once merged: the commits
      pulls/1/comments/0000007.json who wrote a comment
      pulls/1/comments/0000007.md   what it says
      statuses/<commit>.json        what stands beside a commit
      notes/<topic>/<commit>.txt    who approved of it, and why; who asked for what

For trying things out without a server, and for tests. One lock orders the writers; every file
appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mergeline.adapters.forge.base import (
    STATUS_CONTEXT,
    Comment,
    PullRequest,
    Settings,
    State,
    Topic,
    checked_length,
    keep_one_report,
    shortened,
)
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import ForgeError, GitError, NotFoundError
from mergeline.system.atomic_writes import write_file_whole
from mergeline.system.git_command import run_git
from mergeline.system.locks import file_lock

_BASE = "main"
Method = Literal["squash", "rebase", "merge"]


@dataclass(frozen=True)
class _Pull:
    """What `pull.json` holds. `commits` are what merging put onto the base, the last one last."""

    title: str
    author: str
    head_ref: str
    labels: tuple[str, ...] = ()
    head_sha: str | None = None
    commits: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Status:
    state: State
    description: str
    url: str | None


class FolderForge:
    """Pull requests of the bare repository in a folder, as `user` sees and writes them."""

    def __init__(self, path: Path, *, user: str = "mergeline[bot]") -> None:
        """Open a forge's folder.

        Raises:
            ForgeError: the folder has no `repository.git`.
        """
        self.path = path
        self.repository = path / "repository.git"
        self._user = user
        if not self.repository.is_dir():
            raise ForgeError(
                "not the folder of a forge: it has no repository.git",
                where=str(path),
                next_step="Name a folder that `FolderForge.create` made",
            )
        self._lock = file_lock(path / "lock", timeout=60)

    @classmethod
    def create(cls, path: Path) -> FolderForge:
        """Make the folder with an empty bare repository whose first branch is `main`."""
        path.mkdir(parents=True, exist_ok=True)
        _git(path, "init", "--quiet", "--bare", "--initial-branch=main", "repository.git")
        return cls(path)

    def as_user(self, user: str) -> FolderForge:
        """The same forge as another person sees and writes it."""
        return FolderForge(self.path, user=user)

    def open(self, title: str, *, head: str, labels: tuple[str, ...] = ()) -> PullRequest:
        """Propose to merge the branch `head` onto main.

        Raises:
            NotFoundError: it was not pushed.
        """
        self._tip(head)
        with self._lock:
            number = max(self._numbers(), default=0) + 1
            pull = _Pull(title, self._user, head, labels)
            write_file_whole(self._pull_file(number), write_json(pull).encode())
        return self.pull_request(number)

    def merge(self, number: int, *, method: Method = "squash") -> str:
        """Merge a pull request as the green button does; returns main's new commit.

        Raises:
            NotFoundError: there is no such pull request.
            ForgeError: it is merged already, the status of its head is not success, or it
                conflicts with its base.
        """
        with self._lock:
            pull = self._read(number)
            if pull.commits:
                raise ForgeError(f"pull request {number} is merged", where=str(self.path))
            head = self._tip(pull.head_ref)
            status = self.status(head)
            if status is not None and status[0] != "success":
                raise ForgeError(
                    f"{STATUS_CONTEXT} says {status[0]} ({status[1]})",
                    where=f"pull request {number} at {head[:8]}",
                    next_step="Push what mends it",
                )
            message = f"{pull.title} (#{number})"
            if method == "merge":
                message = f"Merge pull request #{number} from {pull.head_ref}\n\n{pull.title}"
            new = self._merge_commits(head, method, message)
            merged = dataclasses.replace(pull, head_sha=head, commits=new)
            write_file_whole(self._pull_file(number), write_json(merged).encode())
        return new[-1]

    def pull_request(self, number: int) -> PullRequest:
        """The pull request of that number; its head follows the branch until it is merged."""
        pull = self._read(number)
        return PullRequest(
            number=number,
            head_sha=pull.head_sha or self._tip(pull.head_ref),
            open=not pull.commits,
            labels=pull.labels,
        )

    def approvers(self, number: int) -> tuple[str, ...]:
        """Nobody: reviews are not kept here."""
        self._read(number)
        return ()

    def pull_request_of(self, commit: str) -> PullRequest | None:
        """The pull request that brought a commit, or proposes it."""
        self._commit(commit)
        pulls = {number: self._read(number) for number in self._numbers()}
        for number, pull in pulls.items():
            if commit in pull.commits:
                return self.pull_request(number)
        for number in (number for number, pull in pulls.items() if not pull.commits):
            proposed = self.pull_request(number)
            commits = f"refs/heads/{_BASE}..{proposed.head_sha}"
            if commit in _git(self.repository, "rev-list", commits).split():
                return proposed
        return None

    def upsert_report(self, number: int, markdown: str, stamp: Stamp) -> Comment:
        """Show a report as our one comment with that marker; the newest report stays."""
        self._read(number)
        with self._lock:
            return keep_one_report(self, number, markdown, stamp)

    def comment(self, number: int, text: str) -> Comment:
        """Add a comment."""
        self._read(number)
        return self.post(number, checked_length(text))

    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments of a pull request, oldest first."""
        self._read(number)
        with self._lock:
            return tuple(map(_read_comment, sorted(self._comment_folder(number).glob("*.json"))))

    def set_status(self, sha: str, state: State, description: str, url: str | None = None) -> None:
        """Set the state that stands as `mergeline` beside a commit."""
        self._commit(sha)
        status = _Status(state, shortened(description), url)
        with self._lock:
            write_file_whole(self.path / "statuses" / f"{sha}.json", write_json(status).encode())

    def note(self, sha: str, topic: Topic, text: str) -> None:
        """Set a note beside a commit; it replaces the last."""
        self._commit(sha)
        with self._lock:
            note = self.path / "notes" / topic / f"{sha}.txt"
            write_file_whole(note, shortened(text).encode())

    def noted(self, sha: str, topic: Topic) -> str | None:
        """The note beside a commit; None if there is none."""
        note = self.path / "notes" / topic / f"{sha}.txt"
        return note.read_text(encoding="utf-8") if note.exists() else None

    def may_write(self, user: str) -> bool:  # noqa: ARG002
        """Whoever reaches the folder may."""
        return True

    def run_again(self, workflow: str, sha: str) -> str:
        """A folder runs no workflows."""
        raise NotFoundError(
            f"{workflow} never ran for {sha[:8]}: no workflow runs in a folder",
            where=str(self.path),
            next_step="Run mergeline evaluate",
        )

    def settings(self, branch: str) -> Settings:  # noqa: ARG002
        """Merging asks for the status; a folder has no other rules."""
        return Settings(required=(STATUS_CONTEXT,))

    def status(self, sha: str) -> tuple[State, str] | None:
        """State and description that stand beside a commit; None if none was set."""
        file = self.path / "statuses" / f"{sha}.json"
        if not file.exists():
            return None
        status = read_json(_Status, file.read_bytes(), where=str(file))
        return status.state, status.description

    def head_of(self, number: int) -> str:
        """The commit that a pull request proposes now."""
        return self.pull_request(number).head_sha

    def own_comments(self, number: int) -> tuple[Comment, ...]:
        """All comments that we wrote, oldest first."""
        return tuple(comment for comment in self.comments(number) if comment.author == self._user)

    def post(self, number: int, body: str) -> Comment:
        """Add a comment."""
        folder = self._comment_folder(number)
        with self._lock:
            last_id = max((int(file.stem) for file in folder.glob("*.json")), default=0)
            file = folder / f"{last_id + 1:07}.json"
            write_file_whole(file.with_suffix(".md"), body.encode())
            write_file_whole(file, (json.dumps({"author": self._user}) + "\n").encode())
        return _read_comment(file)

    def edit(self, number: int, comment_id: int, body: str) -> None:
        """Change a comment's body, unless it is gone."""
        file = self._comment_folder(number) / f"{comment_id:07}.md"
        with self._lock:
            if file.exists():
                write_file_whole(file, body.encode())

    def delete(self, number: int, comment_id: int) -> None:
        """Remove a comment, unless it is gone."""
        file = self._comment_folder(number) / f"{comment_id:07}.json"
        with self._lock:
            file.unlink(missing_ok=True)
            file.with_suffix(".md").unlink(missing_ok=True)

    def _merge_commits(self, head: str, method: Method, message: str) -> tuple[str, ...]:
        """Merge in a private clone and push; the commits that main gained."""
        with tempfile.TemporaryDirectory(prefix="mergeline-forge-") as folder:
            clone = Path(folder)
            _git(clone, "clone", "--quiet", "--shared", str(self.repository.resolve()), ".")
            _git(clone, "config", "user.name", self._user)
            _git(clone, "config", "user.email", "forge@localhost")
            base = _git(clone, "rev-parse", "HEAD")
            try:
                if method == "squash":
                    _git(clone, "merge", "--quiet", "--squash", head)
                    _git(clone, "commit", "--quiet", "--allow-empty", f"--message={message}")
                elif method == "merge":
                    _git(clone, "merge", "--quiet", "--no-ff", f"--message={message}", head)
                else:
                    _git(clone, "checkout", "--quiet", "--detach", head)
                    _git(clone, "rebase", "--quiet", "--force-rebase", base)
            except ForgeError as error:
                raise ForgeError(
                    f"it cannot be merged onto {_BASE}: {error.message}",
                    where=str(self.path),
                    next_step=f"Merge {_BASE} into the branch and push",
                ) from error
            new = _git(clone, "rev-list", "--reverse", "--topo-order", f"{base}..HEAD").split()
            _git(clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{_BASE}")
        return tuple(new)

    def _tip(self, branch: str) -> str:
        return self._commit(f"refs/heads/{branch}")

    def _commit(self, revision: str) -> str:
        try:
            name = f"{revision}^{{commit}}"
            return _git(self.repository, "rev-parse", "--quiet", "--verify", name)
        except ForgeError as error:
            raise NotFoundError(
                f"no branch or commit {revision}",
                where=str(self.repository),
                next_step="Push it first",
            ) from error

    def _numbers(self) -> list[int]:
        return sorted(int(file.parent.name) for file in self.path.glob("pulls/*/pull.json"))

    def _read(self, number: int) -> _Pull:
        file = self._pull_file(number)
        if not file.exists():
            raise NotFoundError(
                f"no pull request {number}", where=str(self.path), next_step="Check the number"
            )
        return read_json(_Pull, file.read_bytes(), where=str(file))

    def _pull_file(self, number: int) -> Path:
        return self.path / "pulls" / str(number) / "pull.json"

    def _comment_folder(self, number: int) -> Path:
        return self._pull_file(number).parent / "comments"


def _read_comment(file: Path) -> Comment:
    author = json.loads(file.read_text())["author"]
    text = file.with_suffix(".md")
    return Comment(int(file.stem), author, text.read_bytes().decode(), text.as_uri())


def _git(cwd: Path, *arguments: str) -> str:
    """Standard output of git, away from the caller's hooks, configuration and terminal."""
    try:
        return run_git(arguments, cwd=cwd, isolated=True).decode().strip()
    except GitError as error:
        raise ForgeError(error.message, where=error.where, next_step=error.next_step) from error
