"""What every forge does, and the one way in which all keep a single report comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from mergeline.core.report.one_comment import (
    LIMIT,
    Stamp,
    Stamped,
    converge,
    read_stamp,
    stamped,
)
from mergeline.errors import ForgeError, NotFoundError

State = Literal["pending", "success", "failure", "error"]
"""What stands beside a commit: still running, passed, refused, or could not be judged."""

STATUS_CONTEXT = "mergeline"
_DECIDING = {"APPROVED", "CHANGES_REQUESTED", "REQUEST_CHANGES", "DISMISSED"}  # of both forges
Topic = Literal["approval", "asked"]
"""What a note beside a commit is about: that its bar may move, or what its evaluation shall do."""
_DESCRIPTION_LIMIT = 140
_ROUNDS = 6


@dataclass(frozen=True)
class PullRequest:
    """A proposed change.

    Attributes:
        open: neither merged nor closed.
        fork: whether the change lies in another repository, which others may write to.
        url: of its page; None where the forge has none.
    """

    number: int
    head_sha: str
    open: bool
    labels: tuple[str, ...] = ()
    fork: bool = False
    url: str | None = None


@dataclass(frozen=True)
class Comment:
    """A comment under a pull request."""

    id: int
    author: str
    body: str
    url: str


@dataclass(frozen=True)
class Settings:
    """What a forge says of a repository's rules; None where the token may not see it.

    Attributes:
        public: whether strangers can read it, and so its artifacts.
        required: contexts of the statuses that the main branch demands.
        up_to_date: whether a pull request is merged only on top of main as it was evaluated, by a
            rule or by a merge queue.
        owners_review: whether a code owner must have said yes.
        protected_tags: patterns of tags that not every writer may push.
        environments: for each, whether only chosen branches may use it.
        has_environments: False where the forge has none, so that each job of a writer's branch can
            read each secret.
        jobs_may_write: whether a job that does not say its rights may write.
    """

    public: bool | None = None
    required: tuple[str, ...] | None = None
    up_to_date: bool | None = None
    owners_review: bool | None = None
    protected_tags: tuple[str, ...] | None = None
    environments: Mapping[str, bool] | None = None
    has_environments: bool = True
    jobs_may_write: bool | None = None


class Forge(Protocol):
    """Where pull requests live."""

    def pull_request(self, number: int) -> PullRequest:
        """The pull request of that number.

        Raises:
            NotFoundError: there is no such pull request.
            ForgeError: the forge cannot be reached or refuses.
        """

    def approvers(self, number: int) -> tuple[str, ...]:
        """Who approved a pull request and did not take that back, by name.

        Raises:
            NotFoundError: there is no such pull request.
            ForgeError: the forge cannot be reached or refuses.
        """

    def pull_request_of(self, commit: str) -> PullRequest | None:
        """The pull request that brought a commit, or proposes it; squashed and rebased ones too.

        Raises:
            NotFoundError: the forge does not know the commit.
            ForgeError: the forge cannot be reached or refuses.
        """

    def upsert_report(self, number: int, markdown: str, stamp: Stamp) -> Comment:
        """Show a report as the one comment of ours that carries the stamp's marker.

        A report on what the pull request proposes now is never overwritten by one on an earlier
        head, nor a later report by an earlier one: then the comment that stays is returned.

        Raises:
            NotFoundError: there is no such pull request.
            ForgeError: the report is longer than `mergeline.core.report.one_comment.ROOM`, or the
                forge cannot be reached or refuses.
        """

    def own_comments(self, number: int) -> tuple[Comment, ...]:
        """All comments that we wrote, oldest first."""

    def comment(self, number: int, text: str) -> Comment:
        """Add a comment."""

    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments of a pull request, oldest first."""

    def set_status(self, sha: str, state: State, description: str, url: str | None = None) -> None:
        """Set the state that stands as `mergeline` beside a commit (140 characters are shown)."""

    def note(self, sha: str, topic: Topic, text: str) -> None:
        """Set a note beside a commit, as the status `mergeline/TOPIC`; it replaces the last."""

    def noted(self, sha: str, topic: Topic) -> str | None:
        """The note beside a commit, of up to 140 characters; None if there is none."""

    def may_write(self, user: str) -> bool:
        """Whether a person may push to the repository."""

    def run_again(self, workflow: str, sha: str) -> str:
        """Start the last run of a workflow (its file's name) for a commit once more; its address.

        Raises:
            NotFoundError: it never ran for that commit.
            ForgeError: it is still running, or the forge refuses.
        """

    def settings(self, branch: str) -> Settings:
        """The rules of the repository and of its main branch, as far as the token may see them."""


def approving(reviews: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Whose last review that says yes or no says yes; reviews are of name and state, in order."""
    last = {name: state for name, state in reviews if state in _DECIDING}
    return tuple(sorted(name for name, state in last.items() if state == "APPROVED"))


class CommentStore(Protocol):
    """The writing half of a forge, on which `keep_one_report` works."""

    def head_of(self, number: int) -> str:
        """The commit that a pull request proposes now."""

    def own_comments(self, number: int) -> tuple[Comment, ...]:
        """All comments that we wrote, oldest first."""

    def post(self, number: int, body: str) -> Comment:
        """Add a comment."""

    def edit(self, number: int, comment_id: int, body: str) -> None:
        """Change a comment's body, unless it is gone."""

    def delete(self, number: int, comment_id: int) -> None:
        """Remove a comment, unless it is gone."""


def standing_report(forge: Forge, number: int, marker: str) -> Comment | None:
    """The report comment of ours that a pull request has now, if it has one."""
    ours = forge.own_comments(number)
    return next((comment for comment in ours if read_stamp(comment.body, marker)), None)


def keep_one_report(store: CommentStore, number: int, markdown: str, stamp: Stamp) -> Comment:
    """Look, write, and look again until one report stands: parallel runs end at the same one."""
    body = checked_length(stamped(stamp, markdown))
    for _ in range(_ROUNDS):
        ours = {comment.id: comment for comment in store.own_comments(number)}
        reports = [
            Stamped(comment.id, comment_stamp, comment.body)
            for comment in ours.values()
            if (comment_stamp := read_stamp(comment.body, stamp.marker)) is not None
        ]
        steps = converge(reports, stamp, body, current_head=store.head_of(number))
        if not steps:
            return ours[min(report.id for report in reports)]
        if steps.post is not None:
            store.post(number, steps.post)
        if steps.edit is not None:
            store.edit(number, *steps.edit)
        for comment_id in steps.delete:
            store.delete(number, comment_id)
    raise ForgeError(
        f"the report of pull request {number} is being rewritten by other runs",
        next_step="Run again when they have ended",
    )


def checked_length(body: str) -> str:
    """Return the body if a forge takes it.

    Raises:
        ForgeError: it is empty, or longer than 65,536 characters.
    """
    if not body.strip():
        raise ForgeError("an empty comment", next_step="Say something in it")
    if len(body) > LIMIT:
        raise ForgeError(
            f"a comment of {len(body):,} characters; {LIMIT:,} is the most that is taken",
            next_step="Fold the report and link to the full page",
        )
    return body


def context_of(topic: Topic) -> str:
    """The status that a note is."""
    return f"{STATUS_CONTEXT}/{topic}"


def shortened(description: str) -> str:
    """A status description in one line that a forge takes whole."""
    line = " ".join(description.split())
    return line if len(line) <= _DESCRIPTION_LIMIT else line[: _DESCRIPTION_LIMIT - 1] + "…"


def never_ran(workflow: str, sha: str, where: str) -> NotFoundError:
    """That a workflow has no run for a commit which could be started again."""
    return NotFoundError(
        f"{workflow} never ran for {sha[:8]}",
        where=where,
        next_step=f"Push to the pull request; the workflow's file must be named {workflow}",
    )
