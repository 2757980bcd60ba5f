"""Pull requests and comments on Gitea and Forgejo, by their REST API.

It is GitHub's in most, and differs where mergeline looks: the pull request of a commit is one
object, and is known for the last commit of a merge only; lists hold 50 entries a page; a job's
token is the user `gitea-actions`, and may ask who it is.
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

import requests
from pydantic import TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from mergeline.adapters.forge.base import (
    STATUS_CONTEXT,
    Comment,
    PullRequest,
    Settings,
    State,
    Topic,
    approving,
    checked_length,
    context_of,
    keep_one_report,
    never_ran,
    shortened,
)
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import ForgeError, MergelineError, NotFoundError

_TIMEOUT = 20
_PAGE = 50
_MOST_PAGES = 20
_MERGED_LOOKED_AT = 20
"""Merged pull requests that are searched for a commit which is not the last of its merge."""
T = TypeVar("T")


# What of the server's answers is looked at.
@dataclass(frozen=True)
class _Named:
    name: str


@dataclass(frozen=True)
class _User:
    login: str


@dataclass(frozen=True)
class _Side:
    sha: str
    repo_id: int


@dataclass(frozen=True)
class _Pull:
    number: int
    head: _Side
    base: _Side
    state: str
    merged_at: datetime | None
    merge_commit_sha: str | None
    labels: tuple[_Named, ...] | None
    html_url: str | None = None

    def read(self) -> PullRequest:
        return PullRequest(
            number=self.number,
            head_sha=self.head.sha,
            open=self.state == "open",
            labels=tuple(label.name for label in self.labels or ()),
            fork=self.head.repo_id != self.base.repo_id,
            url=self.html_url,
        )


@dataclass(frozen=True)
class _Review:
    state: str
    dismissed: bool
    user: _User | None


@dataclass(frozen=True)
class _Note:
    id: int
    body: str
    html_url: str
    user: _User | None

    def read(self) -> Comment:
        return Comment(self.id, self.user.login if self.user else "ghost", self.body, self.html_url)


@dataclass(frozen=True)
class _Person:
    name: str
    email: str
    date: datetime


@dataclass(frozen=True)
class _Content:
    author: _Person
    committer: _Person
    message: str


@dataclass(frozen=True)
class _Commit:
    sha: str
    commit: _Content

    def same_change(self, other: _Commit) -> bool:
        """Whether it is the other, or its copy by a rebase: author, time and message stay."""
        ours, theirs = self.commit, other.commit
        copied = (ours.author, ours.message) == (theirs.author, theirs.message)
        return self.sha == other.sha or copied


@dataclass(frozen=True)
class _Parent:
    sha: str


@dataclass(frozen=True)
class _Parents:
    parents: tuple[_Parent, ...]


@dataclass(frozen=True)
class _Compared:
    commits: tuple[_Commit, ...]


class _ForbiddenError(ForgeError):
    """The token may not do that."""


@dataclass(frozen=True)
class _Repository:
    private: bool


@dataclass(frozen=True)
class _Branch:
    enable_status_check: bool
    status_check_contexts: tuple[str, ...] | None


@dataclass(frozen=True)
class _Status:
    id: int
    context: str
    description: str


@dataclass(frozen=True)
class _Permission:
    permission: str


@dataclass(frozen=True)
class _Run:
    id: int
    path: str
    html_url: str


@dataclass(frozen=True)
class _Runs:
    workflow_runs: tuple[_Run, ...] | None


@dataclass(frozen=True)
class _BranchRule:
    rule_name: str
    block_on_outdated_branch: bool


@dataclass(frozen=True)
class _TagRule:
    name_pattern: str


class GiteaForge:
    """The pull requests of one repository on a server that speaks Gitea's REST API."""

    def __init__(self, repository: str, token: str, api_url: str, *, patient: bool = True) -> None:
        """Prepare; nothing is sent yet.

        `repository` is `owner/name`, `token` that of a person or the job, and `api_url` ends in
        `/api/v1`. `patient` pauses before trying again.
        """
        self._api = api_url.rstrip("/")
        self.where = f"{self._api}/repos/{repository}"
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"token {token}", "User-Agent": "mergeline"})
        # What is added is not added again after an answer of 5xx: it may have arrived. To edit
        # twice is to edit once, and a busy server answers 500 to one of several writers.
        retry = Retry(
            total=4,
            allowed_methods={*Retry.DEFAULT_ALLOWED_METHODS, "PATCH"},
            status_forcelist=(429, 500, 502, 503, 504),
            backoff_factor=1 if patient else 0,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def pull_request(self, number: int) -> PullRequest:
        """The pull request of that number."""
        return self._get(_Pull, f"/pulls/{number}").read()

    def approvers(self, number: int) -> tuple[str, ...]:
        """Who approved a pull request and did not take that back."""
        reviews = self._pages(_Review, f"/pulls/{number}/reviews?")
        return approving(
            (one.user.login, "DISMISSED" if one.dismissed else one.state)
            for one in reviews
            if one.user
        )

    def pull_request_of(self, commit: str) -> PullRequest | None:
        """The pull request that brought a commit, or proposes it."""
        try:
            return self._get(_Pull, f"/commits/{commit}/pull").read()
        except NotFoundError:  # it ends no merge
            known = self._commit(commit)
        for pull in self._pages(_Pull, "/pulls?state=open&sort=recentupdate"):
            if pull.head.sha == commit:
                return pull.read()
        for pull in self._recently_merged():
            if pull.merged_at and pull.merged_at < known.commit.committer.date:
                continue
            if any(known.same_change(each) for each in self._commits_of(pull)):
                return pull.read()
        return None

    def _commits_of(self, pull: _Pull) -> list[_Commit]:
        """The commits of a pull request that was merged, as they were before."""
        path = f"/pulls/{pull.number}/commits?verification=false&files=false"
        own = list(self._pages(_Commit, path))
        if own or not pull.merge_commit_sha:
            return own
        # Where it was merged right after a push, Gitea may take it for one without commits.
        [before, *_] = self._get(_Parents, f"/git/commits/{pull.merge_commit_sha}").parents
        compared = self._get(_Compared, f"/compare/{before.sha}...{pull.head.sha}")
        return list(compared.commits)

    def upsert_report(self, number: int, markdown: str, stamp: Stamp) -> Comment:
        """Show a report as our one comment with that marker; the newest report stays."""
        return keep_one_report(self, number, markdown, stamp)

    def comment(self, number: int, text: str) -> Comment:
        """Add a comment."""
        checked_length(text)
        self.pull_request(number)  # to one that is not there it would answer 500
        return self.post(number, text)

    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments of a pull request, oldest first."""
        self.pull_request(number)  # an issue has comments too
        # All come at once, whatever page is asked for.
        notes = self._get(tuple[_Note, ...], f"/issues/{number}/comments")
        return tuple(note.read() for note in sorted(notes, key=lambda note: note.id))

    def set_status(self, sha: str, state: State, description: str, url: str | None = None) -> None:
        """Set the state that stands as `mergeline` beside a commit."""
        self._set_status(sha, STATUS_CONTEXT, state, description, url or "")

    def note(self, sha: str, topic: Topic, text: str) -> None:
        """Set a note beside a commit, as a status; it replaces the last."""
        self._set_status(sha, context_of(topic), "success", text, "")

    def noted(self, sha: str, topic: Topic) -> str | None:
        """The note beside a commit; None if there is none."""
        self._commit(sha)
        statuses = self._pages(_Status, f"/statuses/{sha}?sort=recentupdate")
        notes = [one for one in statuses if one.context == context_of(topic)]
        return max(notes, key=lambda one: one.id).description if notes else None

    def _set_status(self, sha: str, context: str, state: State, description: str, url: str) -> None:
        what = {
            "state": state,
            "description": shortened(description),
            "context": context,
            "target_url": url,
        }
        self._commit(sha)  # of one that is not there it would answer 500
        self._send("POST", f"/statuses/{sha}", what)

    def may_write(self, user: str) -> bool:
        """Whether a person may push to the repository.

        Raises:
            ForgeError: the token may not see it, as a job's in an organisation's repository.
        """
        try:
            found = self._if_allowed(_Permission, f"/collaborators/{quote(user)}/permission")
        except NotFoundError:  # no such person
            return False
        if found is not None:
            return found.permission in {"admin", "owner", "write"}
        # A job's token may not ask that. But it may ask to whom work can be assigned: that is who
        # may write; in an organisation's repository readers too.
        if self._is_of_organisation:
            raise ForgeError(
                "the job's token may not see who may write to an organisation's repository",
                where=self.where,
                next_step="Hand the job an administrator's token as GITHUB_TOKEN",
            )
        return any(one.login == user for one in self._get(tuple[_User, ...], "/assignees"))

    @functools.cached_property
    def _is_of_organisation(self) -> bool:
        owner = self.where.split("/")[-2]
        try:
            self._send("GET", f"{self._api}/orgs/{owner}")
        except NotFoundError:
            return False
        return True

    def run_again(self, workflow: str, sha: str) -> str:
        """Start the last run of a workflow for a commit once more; its address."""
        runs = self._get(_Runs, f"/actions/runs?head_sha={sha}&limit={_PAGE}").workflow_runs
        newest = next((run for run in runs or () if run.path.startswith(f"{workflow}@")), None)
        if newest is None:
            raise never_ran(workflow, sha, self.where)
        self._send("POST", f"/actions/runs/{newest.id}/rerun")
        return newest.html_url

    def settings(self, branch: str) -> Settings:
        """The rules of the repository, as far as the token may see them."""
        at = self._get(_Branch, f"/branches/{branch}")
        rules = self._if_allowed(tuple[_BranchRule, ...], "/branch_protections")
        tags = self._if_allowed(tuple[_TagRule, ...], "/tag_protections")
        required = at.status_check_contexts if at.enable_status_check else ()
        on_top = [
            rule.block_on_outdated_branch
            for rule in rules or ()
            if fnmatch.fnmatchcase(branch, rule.rule_name)
        ]
        return Settings(
            public=not self._get(_Repository, "").private,
            required=tuple(required or ()),
            up_to_date=None if rules is None else any(on_top),
            protected_tags=None if tags is None else tuple(tag.name_pattern for tag in tags),
            has_environments=False,
        )

    def head_of(self, number: int) -> str:
        """The commit that a pull request proposes now."""
        return self.pull_request(number).head_sha

    def own_comments(self, number: int) -> tuple[Comment, ...]:
        """All comments that we wrote."""
        return tuple(comment for comment in self.comments(number) if comment.author == self._me)

    def post(self, number: int, body: str) -> Comment:
        """Add a comment."""
        answer = self._send("POST", f"/issues/{number}/comments", {"body": body})
        return self._read(_Note, answer).read()

    def edit(self, number: int, comment_id: int, body: str) -> None:  # noqa: ARG002
        """Change a comment's body, unless it is gone."""
        self._unless_gone("PATCH", f"/issues/comments/{comment_id}", {"body": body})

    def delete(self, number: int, comment_id: int) -> None:  # noqa: ARG002
        """Remove a comment, unless it is gone."""
        self._unless_gone("DELETE", f"/issues/comments/{comment_id}")

    @functools.cached_property
    def _me(self) -> str:
        """Who the token speaks for."""
        return self._get(_User, f"{self._api}/user").login

    def _recently_merged(self) -> Iterator[_Pull]:
        closed = self._pages(_Pull, "/pulls?state=closed&sort=recentupdate")
        return itertools.islice((pull for pull in closed if pull.merged_at), _MERGED_LOOKED_AT)

    def _commit(self, sha: str) -> _Commit:
        return self._get(_Commit, f"/git/commits/{sha}?stat=false&files=false&verification=false")

    def _pages(self, kind: type[T], path: str) -> Iterator[T]:
        """The entries of a list, page after page."""
        for page in range(1, _MOST_PAGES + 1):
            entries = self._get(tuple[kind, ...], f"{path}&limit={_PAGE}&page={page}")  # type: ignore[valid-type]
            yield from entries
            if len(entries) < _PAGE:
                return

    def _unless_gone(self, method: str, path: str, body: Mapping[str, str] | None = None) -> None:
        try:
            self._send(method, path, body)
        except NotFoundError:
            return

    def _get(self, kind: type[T], path: str) -> T:
        return self._read(kind, self._send("GET", path))

    def _if_allowed(self, kind: type[T], path: str) -> T | None:
        """What is there, unless the token may not see it."""
        try:
            return self._get(kind, path)
        except _ForbiddenError:
            return None

    def _read(self, kind: type[T], answer: bytes) -> T:
        try:
            return TypeAdapter(kind).validate_json(answer)
        except ValidationError as error:
            raise ForgeError(
                "the forge answered in a form that is not its API's",
                where=self.where,
                next_step="Check GITHUB_API_URL",
            ) from error

    def _send(self, method: str, path: str, body: Mapping[str, str] | None = None) -> bytes:
        """The answer to one request; the one place where the server's errors become ours."""
        url = path if path.startswith("http") else self.where + path
        try:
            answer = self._session.request(method, url, json=body, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise ForgeError(
                "the forge cannot be reached, or does not answer",
                where=self.where,
                next_step="Check the network and GITHUB_API_URL, and run again",
            ) from error
        if not answer.ok:
            raise _refusal(answer, self.where)
        return answer.content


def _refusal(answer: requests.Response, where: str) -> MergelineError:
    try:
        reason = " ".join(str(answer.json().get("message", "")).split())[:300]
    except (ValueError, AttributeError):
        reason = answer.reason
    kind: type[MergelineError] = ForgeError
    if answer.status_code == 401:
        message, step = "the forge does not accept the token", "Renew GITHUB_TOKEN"
    elif answer.status_code == 403:
        kind = _ForbiddenError
        message = f"the forge forbids it: {reason}"
        step = "Give the job `permissions: issues: write, contents: write`"
    elif answer.status_code in {404, 410} or "object does not exist" in reason:
        kind = NotFoundError
        message = f"the forge knows no such pull request or commit: {reason}"
        step = "Check the number, that the commit is pushed, and that the token may read"
    elif answer.status_code >= 500 or answer.status_code == 429:
        message, step = "the forge answers with errors of its own", "Run again later"
    else:
        message, step = f"the forge answered {answer.status_code}: {reason}", "Correct what is sent"
    return kind(message, where=where, next_step=step)
