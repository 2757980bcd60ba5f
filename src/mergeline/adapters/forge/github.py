"""Pull requests and comments on GitHub, by PyGithub."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import github
import requests
from github.CommitStatus import CommitStatus
from github.GithubException import (
    BadAttributeException,
    GithubException,
    RateLimitExceededException,
    UnknownObjectException,
)
from github.GithubRetry import GithubRetry
from github.PaginatedList import PaginatedList

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

if TYPE_CHECKING:
    from github.IssueComment import IssueComment
    from github.PullRequest import PullRequest as GitHubPullRequest

P = ParamSpec("P")
T = TypeVar("T")

# PyGithub hands on what a broken answer lacks as None, and fails where that is used.
_MALFORMED = (BadAttributeException, AssertionError, AttributeError, KeyError, TypeError)
_TIMEOUT = 20
_LONGEST_WAIT = 120
_BOT = "[bot]"
_OPEN_LOOKED_AT = 300
"""Open pull requests, the newest first, that are searched for a fork's commit."""


def _translated(
    method: Callable[Concatenate[GitHubForge, P], T],
) -> Callable[Concatenate[GitHubForge, P], T]:
    """Make the errors of PyGithub and of its HTTP library those of `mergeline.errors`.

    Only for a method that asks and converts the answer: in others it would hide mistakes.
    """

    @functools.wraps(method)
    def call(forge: GitHubForge, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(forge, *args, **kwargs)
        except (GithubException, requests.RequestException, *_MALFORMED) as error:
            raise _translate(error, forge.where) from error

    return call


class GitHubForge:
    """The pull requests of one repository on GitHub, or on a server that speaks its REST API."""

    def __init__(self, repository: str, token: str, api_url: str, *, patient: bool = True) -> None:
        """Prepare; nothing is sent yet.

        `repository` is `owner/name`, `token` that of a person, an app or the job (`GITHUB_TOKEN`).
        `patient` pauses between requests as GitHub asks, and before trying again.
        """
        self.where = f"{api_url.rstrip('/')}/repos/{repository}"
        retry = GithubRetry(
            total=4,
            backoff_factor=1 if patient else 0,
            secondary_rate_wait=60 if patient else 0,
            max_rate_limit_wait=_LONGEST_WAIT,
        )
        self._github = github.Github(
            auth=github.Auth.Token(token),
            base_url=api_url.rstrip("/"),
            timeout=_TIMEOUT,
            user_agent="mergeline",
            per_page=100,
            retry=retry,
            seconds_between_requests=0.25 if patient else None,
            seconds_between_writes=1 if patient else None,
            lazy=True,
        )
        self._repository = self._github.get_repo(repository)

    @_translated
    def pull_request(self, number: int) -> PullRequest:
        """The pull request of that number."""
        return _pull_request(self._repository.get_pull(number))

    @_translated
    def approvers(self, number: int) -> tuple[str, ...]:
        """Who approved a pull request and did not take that back."""
        reviews = self._repository.get_pull(number).get_reviews()
        return approving((one.user.login, one.state) for one in reviews if one.user)

    @_translated
    def pull_request_of(self, commit: str) -> PullRequest | None:
        """The pull request that brought a commit, or proposes it."""
        pulls = list(self._repository.get_commit(commit).get_pulls())
        if not pulls:  # a fork's commit has none, although an open one proposes it
            opened = self._repository.get_pulls(state="open", sort="updated", direction="desc")
            newest = itertools.islice(opened, _OPEN_LOOKED_AT)
            pulls = [pull for pull in newest if pull.head.sha == commit]
        if not pulls:
            return None
        return _pull_request(max(pulls, key=lambda pull: _nearness(pull, commit)))

    def upsert_report(self, number: int, markdown: str, stamp: Stamp) -> Comment:
        """Show a report as our one comment with that marker; the newest report stays."""
        return keep_one_report(self, number, markdown, stamp)

    def comment(self, number: int, text: str) -> Comment:
        """Add a comment."""
        return self.post(number, checked_length(text))

    @_translated
    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments of a pull request, oldest first."""
        return tuple(map(_comment, self._repository.get_issue(number).get_comments()))

    @_translated
    def set_status(self, sha: str, state: State, description: str, url: str | None = None) -> None:
        """Set the state that stands as `mergeline` beside a commit."""
        self._repository.get_commit(sha).create_status(
            state,
            target_url=github.GithubObject.NotSet if url is None else url,
            description=shortened(description),
            context=STATUS_CONTEXT,
        )

    @_translated
    def note(self, sha: str, topic: Topic, text: str) -> None:
        """Set a note beside a commit, as a status; it replaces the last."""
        self._repository.get_commit(sha).create_status(
            "success", description=shortened(text), context=context_of(topic)
        )

    @_translated
    def noted(self, sha: str, topic: Topic) -> str | None:
        """The note beside a commit; None if there is none."""
        # The newest first. `Commit.get_statuses` asks at an address that GitHub does not describe.
        statuses = PaginatedList(
            CommitStatus,
            self._repository.requester,
            f"{self._repository.url}/commits/{sha}/statuses",
            None,
        )
        notes = (one.description for one in statuses if one.context == context_of(topic))
        return next(notes, None)

    @_translated
    def may_write(self, user: str) -> bool:
        """Whether a person may push to the repository."""
        try:
            return self._repository.get_collaborator_permission(user) in {"admin", "write"}
        except UnknownObjectException:  # no such person
            return False

    @_translated
    def run_again(self, workflow: str, sha: str) -> str:
        """Start the last run of a workflow for a commit once more; its address."""
        actions, ask = f"{self._repository.url}/actions", self._github.requester.requestJsonAndCheck
        newest_first = f"{actions}/workflows/{quote(workflow)}/runs?head_sha={sha}&per_page=1"
        runs = ask("GET", newest_first)[1]["workflow_runs"]
        if not runs:
            raise never_ran(workflow, sha, self.where)
        ask("POST", f"{actions}/runs/{runs[0]['id']}/rerun")
        return str(runs[0]["html_url"])

    @_translated
    def settings(self, branch: str) -> Settings:
        """The rules of the repository, as far as the token may see them."""
        rules, at = self._seen(f"/rules/branches/{branch}"), self._seen(f"/branches/{branch}")
        classic = self._seen(f"/branches/{branch}/protection") or {}  # for administrators only
        parameters = [(rule["type"], rule.get("parameters") or {}) for rule in rules or []]
        checks = [it for kind, it in parameters if kind == "required_status_checks"]
        reviews = [it for kind, it in parameters if kind == "pull_request"]
        contexts = [it["context"] for rule in checks for it in rule["required_status_checks"]]
        older = ((at or {}).get("protection") or {}).get("required_status_checks") or {}
        contexts += older.get("contexts") or []
        on_top = [
            any(kind == "merge_queue" for kind, _ in parameters),
            *(rule["strict_required_status_checks_policy"] for rule in checks),
            (classic.get("required_status_checks") or {}).get("strict", False),
        ]
        agreed = [
            *(rule.get("require_code_owner_review", False) for rule in reviews),
            (classic.get("required_pull_request_reviews") or {}).get("require_code_owner_reviews"),
        ]
        found = self._seen("/environments")
        jobs = self._seen("/actions/permissions/workflow")
        return Settings(
            public=not (self._seen("") or {"private": True})["private"],
            required=None if rules is None and at is None else tuple(dict.fromkeys(contexts)),
            up_to_date=any(on_top) or (False if checks or classic else None),
            owners_review=any(agreed) or (False if reviews or classic else None),
            protected_tags=self._protected_tags(),
            environments=None
            if found is None
            else {
                it["name"]: it["deployment_branch_policy"] is not None
                for it in found["environments"]
            },
            jobs_may_write=None
            if jobs is None
            else jobs["default_workflow_permissions"] == "write",
        )

    def _protected_tags(self) -> tuple[str, ...] | None:
        """Patterns of the tags that a ruleset keeps from being made."""
        listed = self._seen("/rulesets?targets=tag&per_page=100")
        if listed is None:
            return None
        rulesets = [self._seen(f"/rulesets/{it['id']}") for it in listed]
        return tuple(
            pattern.removeprefix("refs/tags/").replace("~ALL", "**")
            for ruleset in rulesets
            if ruleset and ruleset["enforcement"] == "active"
            if any(rule["type"] == "creation" for rule in ruleset["rules"])
            for pattern in ruleset["conditions"]["ref_name"]["include"]
        )

    def _seen(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """What the API answers; None where the token may not see it, or there is none."""
        requester = self._github.requester
        try:
            return requester.requestJsonAndCheck("GET", f"{self._repository.url}{path}")[1]
        except GithubException as error:
            if error.status not in {403, 404} or isinstance(error, RateLimitExceededException):
                raise
            return None

    @_translated
    def head_of(self, number: int) -> str:
        """The commit that a pull request proposes now."""
        return self._repository.get_pull(number).head.sha

    @_translated
    def own_comments(self, number: int) -> tuple[Comment, ...]:
        """All comments that we wrote, on all pages."""
        comments = self._repository.get_issue(number).get_comments()
        return tuple(_comment(comment) for comment in comments if self._is_ours(comment))

    @_translated
    def post(self, number: int, body: str) -> Comment:
        """Add a comment."""
        return _comment(self._repository.get_issue(number).create_comment(body))

    @_translated
    def edit(self, number: int, comment_id: int, body: str) -> None:
        """Change a comment's body, unless it is gone."""
        with _unless_gone():
            self._repository.get_issue(number).get_comment(comment_id).edit(body)

    @_translated
    def delete(self, number: int, comment_id: int) -> None:
        """Remove a comment, unless it is gone."""
        with _unless_gone():
            self._repository.get_issue(number).get_comment(comment_id).delete()

    def _is_ours(self, comment: IssueComment) -> bool:
        """Whether we wrote it. A person may bear an app's bare name, so the kind counts too."""
        author, me = comment.user, self._me
        if not author or (me.endswith(_BOT) and author.type != "Bot"):
            return False
        return author.login == me

    @functools.cached_property
    def _me(self) -> str:
        """Who the token speaks for. A job's token may not ask REST for that, only GraphQL."""
        try:
            return self._github.get_user().login
        except GithubException as error:
            if error.status != 403 or isinstance(error, RateLimitExceededException):
                raise
        _, answer = self._github.requester.graphql_query("query { viewer { login } }", {})
        login = str(answer["data"]["viewer"]["login"])
        return login if login.endswith(_BOT) else login + _BOT


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Pass over a comment that another run has removed."""
    try:
        yield
    except GithubException as error:
        if error.status not in {404, 410}:
            raise


def _pull_request(pull: GitHubPullRequest) -> PullRequest:
    return PullRequest(
        number=pull.number,
        head_sha=pull.head.sha,
        open=pull.state == "open",
        labels=tuple(label.name for label in pull.labels),
        fork=_is_fork(pull),
        url=pull.html_url,
    )


def _is_fork(pull: GitHubPullRequest) -> bool:
    """Whether the change lies elsewhere; a fork that was deleted is no repository any more."""
    return pull.head.repo is None or pull.head.repo.id != pull.base.repo.id


def _nearness(pull: GitHubPullRequest, commit: str) -> tuple[bool, bool, bool, int]:
    """How surely a pull request is a commit's own: made it by merging, merged, proposes it."""
    merged = pull.merged_at is not None
    return (
        merged and pull.merge_commit_sha == commit,
        merged,
        pull.head.sha == commit,
        -pull.number,
    )


def _comment(comment: IssueComment) -> Comment:
    return Comment(
        id=comment.id,
        author=comment.user.login if comment.user else "ghost",
        body=comment.body or "",
        url=comment.html_url,
    )


def _translate(error: Exception, where: str) -> MergelineError:
    if isinstance(error, RateLimitExceededException):
        message, step = "GitHub's rate limit is used up", "Run again in an hour"
    elif isinstance(error, requests.Timeout):
        message, step = f"GitHub did not answer in {_TIMEOUT} s", "Run again"
    elif isinstance(error, requests.exceptions.RetryError):
        message, step = "GitHub answers with errors of its own", "Run again later"
    elif isinstance(error, requests.RequestException):
        message, step = "GitHub cannot be reached", "Check the network and GITHUB_API_URL"
    elif isinstance(error, GithubException):
        return _refusal(error, where)
    else:
        message, step = "GitHub answered in a form that is not its API's", "Check GITHUB_API_URL"
    return ForgeError(message, where=where, next_step=step)


def _refusal(error: GithubException, where: str) -> MergelineError:
    reason = _error_message(error)
    kind: type[MergelineError] = ForgeError
    if error.status == 401:
        message, step = "GitHub does not accept the token", "Renew GITHUB_TOKEN"
    elif error.status == 403:
        message = f"GitHub forbids it: {reason}"
        step = "Give the job `permissions: pull-requests: write, statuses: write`"
    elif error.status in {404, 410} or "No commit found" in reason:
        kind = NotFoundError
        message = f"GitHub knows no such pull request or commit: {reason}"
        step = "Check the number, that the commit is pushed, and that the token may read"
    else:
        message, step = f"GitHub answered {error.status}: {reason}", "Correct what is sent"
    return kind(message, where=where, next_step=step)


def _error_message(error: GithubException) -> str:
    """GitHub's own words: the message, and the first of its detailed errors."""
    data = error.data if isinstance(error.data, dict) else {}
    message = str(data.get("message") or error.message or "no reason given")
    details = data.get("errors") or []
    first = details[0] if isinstance(details, list) and details else None
    more = first.get("message") or first.get("code") if isinstance(first, dict) else first
    return f"{message} ({more})" if more else message
