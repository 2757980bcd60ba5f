"""A server on loopback that answers as GitHub's REST API does, for the requests of GitHubForge.

Bodies start from the examples in GitHub's own OpenAPI description (github_examples.json). The
contract tests run a second time (`-m slow`) through Prism, which holds every request and every
answer against that description.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

EXAMPLES: dict[str, Any] = json.loads(
    (Path(__file__).parent / "github_examples.json").read_text(encoding="utf-8")
)
REPOSITORY = "octo/flights"
Answer = tuple[int, Any]


@dataclass
class Pull:
    """A pull request as the server keeps it."""

    number: int
    title: str
    author: str
    head: str
    base: str
    labels: tuple[str, ...] = ()
    commits: list[str] = field(default_factory=list)
    merge_commit: str | None = None
    fork: bool = False


@dataclass
class Note:
    """A comment as the server keeps it."""

    id: int
    number: int
    author: str
    body: str


class GitHubServer:
    """The state, and the HTTP server over it in a thread.

    Attributes:
        tokens: the login that each token belongs to.
        rules: what is answered to a question for settings, by its path below the repository.
        requests: method and path of each request, in order.
        faults: status, body and headers that the next requests get instead of an answer.
        before: is called with method and path before a request is answered.
    """

    def __init__(
        self, port: int = 0, public_url: str | None = None, *, enterprise: bool = False
    ) -> None:
        self.pulls: dict[int, Pull] = {}
        self.notes: list[Note] = []
        self.statuses: list[dict[str, Any]] = []
        self.commits: set[str] = set()
        self.rules: dict[str, Any] = {}
        self.tokens = {"a-job": "github-actions[bot]", "a-robot": "robot"}
        self.requests: list[str] = []
        self.faults: list[tuple[int, Any, dict[str, str]]] = []
        self.before: Callable[[str], None] = lambda _: None
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = False
        self._server.block_on_close = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.api = "/api/v3" if enterprise else ""
        self.public_url = (public_url or self.url) + self.api
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def say(self, number: int, author: str, body: str) -> int:
        """Add a comment."""
        with self._lock:
            note = Note(max((n.id for n in self.notes), default=0) + 1, number, author, body)
            self.notes.append(note)
            return note.id

    def answer(
        self, method: str, path: str, query: dict[str, str], login: str, sent: Any
    ) -> Answer:
        """What GitHub would answer to a request of `login`."""
        if (method, path) == ("POST", "/graphql"):
            bare = login.removesuffix("[bot]")
            return 200, {"data": {"viewer": {"login": bare}}}
        if (method, path) == ("GET", "/user"):
            if login.endswith("[bot]"):
                return 403, {"message": "Resource not accessible by integration"}
            return 200, EXAMPLES["private-user"] | _user(login)
        below = path.removeprefix(f"/repos/{REPOSITORY}")
        if method == "GET" and below in self.rules:
            return 200, self.rules[below]
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("POST", r"/actions/runs/(\d+)/rerun", lambda *_, **__: (201, {})),
            ("GET", r"/(pulls)", self._open_pulls),
            ("GET", r"/pulls/(\d+)", self._get_pull),
            ("GET", r"/commits/(\w+)/pulls", self._pulls_of),
            ("GET", r"/commits/(\w+)", self._get_commit),
            ("POST", r"/statuses/(\w+)", self._post_status),
            ("GET", r"/commits/(\w+)/statuses", self._list_statuses),
            ("GET", r"/issues/(\d+)/comments", self._list_comments),
            ("POST", r"/issues/(\d+)/comments", self._post_comment),
            ("PATCH", r"/issues/comments/(\d+)", self._edit_comment),
            ("DELETE", r"/issues/comments/(\d+)", self._delete_comment),
        ]
        for verb, pattern, route in routes:
            match = re.fullmatch(f"/repos/{REPOSITORY}{pattern}", path)
            if match and verb == method:
                with self._lock:
                    return route(match[1], login=login, query=query, sent=sent)
        return _not_found()

    def _get_pull(self, number: str, **_: Any) -> Answer:
        pull = self.pulls.get(int(number))
        return (200, self._pull_body(pull, whole=True)) if pull else _not_found()

    def _open_pulls(self, _: str, query: dict[str, str], **__: Any) -> Answer:
        assert query["state"] == "open"
        pulls = [pull for pull in self.pulls.values() if pull.merge_commit is None]
        return 200, _Page([self._pull_body(pull, whole=False) for pull in pulls[::-1]], query)

    def _pulls_of(self, sha: str, query: dict[str, str], **_: Any) -> Answer:
        if sha not in self.commits:
            return 422, {"message": f"No commit found for SHA: {sha}"}
        near = [pull for pull in self.pulls.values() if not pull.fork]
        pulls = [p for p in near if sha in {*p.commits, p.merge_commit, p.head}]
        return 200, _Page([self._pull_body(pull, whole=False) for pull in pulls], query)

    def _get_commit(self, sha: str, **_: Any) -> Answer:
        if sha not in self.commits:
            return 422, {"message": f"No commit found for SHA: {sha}"}
        return 200, EXAMPLES["commit"] | {"sha": sha, "url": self._at(f"/commits/{sha}")}

    def _post_status(self, sha: str, sent: dict[str, Any], login: str, **_: Any) -> Answer:
        if sha not in self.commits:
            return 422, {"message": f"No commit found for SHA: {sha}"}
        if len(sent.get("description") or "") > 140:
            return _invalid("description is too long (maximum is 140 characters)")
        status = EXAMPLES["status"] | {"target_url": None} | sent | {"creator": _user(login)}
        self.statuses.append({**status, "sha": sha})
        return 201, status

    def _list_statuses(self, sha: str, query: dict[str, str], **_: Any) -> Answer:
        return 200, _Page([one for one in self.statuses[::-1] if one["sha"] == sha], query)

    def _list_comments(self, number: str, query: dict[str, str], **_: Any) -> Answer:
        if int(number) not in self.pulls:
            return _not_found()
        notes = sorted((n for n in self.notes if n.number == int(number)), key=lambda n: n.id)
        return 200, _Page([self._note_body(note) for note in notes], query)

    def _post_comment(self, number: str, login: str, sent: dict[str, Any], **_: Any) -> Answer:
        if int(number) not in self.pulls:
            return _not_found()
        if len(sent["body"]) > 65_536:
            return _invalid("Body is too long (maximum is 65536 characters)")
        self.say(int(number), login, sent["body"])
        return 201, self._note_body(self.notes[-1])

    def _edit_comment(self, comment_id: str, sent: dict[str, Any], **_: Any) -> Answer:
        for note in self.notes:
            if note.id == int(comment_id):
                note.body = sent["body"]
                return 200, self._note_body(note)
        return _not_found()

    def _delete_comment(self, comment_id: str, **_: Any) -> Answer:
        left = [note for note in self.notes if note.id != int(comment_id)]
        gone, self.notes = len(left) == len(self.notes), left
        return _not_found() if gone else (204, None)

    def _at(self, path: str) -> str:
        return f"{self.public_url}/repos/{REPOSITORY}{path}"

    def _note_body(self, note: Note) -> dict[str, Any]:
        body: dict[str, Any] = EXAMPLES["issue-comment"] | {
            "id": note.id,
            "body": note.body,
            "user": _user(note.author),
            "url": self._at(f"/issues/comments/{note.id}"),
            "issue_url": self._at(f"/issues/{note.number}"),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{note.number}#issuecomment-{note.id}",
        }
        return body

    def _pull_body(self, pull: Pull, *, whole: bool) -> dict[str, Any]:
        body: dict[str, Any] = copy.deepcopy(EXAMPLES["pull-request"])
        label = body["labels"][0]
        merged = pull.merge_commit is not None
        body |= {
            "number": pull.number,
            "title": pull.title,
            "url": self._at(f"/pulls/{pull.number}"),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{pull.number}",
            "user": _user(pull.author),
            "labels": [label | {"name": name} for name in pull.labels],
            "requested_teams": [],  # the example's lack what the description requires
            "state": "closed" if merged else "open",
            "merged_at": "2026-01-01T00:00:00Z" if merged else None,
            # an open one has here the commit of a trial merge
            "merge_commit_sha": pull.merge_commit or "e" * 40,
        }
        if pull.fork:
            body["head"]["repo"]["id"] += 1
        body["head"]["sha"], body["base"]["sha"], body["base"]["ref"] = pull.head, pull.base, "main"
        if whole:
            return body | {"merged": merged}
        only_whole = (
            "merged additions changed_files comments commits deletions mergeable rebaseable "
            "mergeable_state maintainer_can_modify merged_by review_comments"
        )
        return {key: value for key, value in body.items() if key not in only_whole.split()}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        github = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def _respond(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                path = _below(parts.path, github.api)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                line = f"{self.command} {path}"
                github.requests.append(line)
                github.before(line)
                scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
                login = github.tokens.get(token)
                extra: dict[str, str] = {}
                status: int
                if github.faults:
                    status, body, extra = github.faults.pop(0)
                elif scheme not in {"token", "Bearer"} or login is None:
                    status, body = 401, {"message": "Bad credentials"}
                else:
                    status, body = github.answer(self.command, path, query, login, sent)
                if isinstance(body, _Page):
                    extra = {"Link": body.links(github.public_url + path)} | extra
                    body = body.items
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in extra.items():
                    if value:
                        self.send_header(name, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815

        return Handler


class _Page:
    """One page of a list, and the Link header that leads to the others."""

    def __init__(self, everything: list[Any], query: dict[str, str]) -> None:
        self.size = min(int(query.get("per_page", 30)), 100)
        self.number = int(query.get("page", 1))
        self.last = max(1, -(-len(everything) // self.size))
        start = (self.number - 1) * self.size
        self.items = everything[start : start + self.size]

    def links(self, url: str) -> str:
        def link(page: int, rel: str) -> str:
            return f'<{url}?per_page={self.size}&page={page}>; rel="{rel}"'

        links = []
        if self.number > 1:
            links += [link(self.number - 1, "prev"), link(1, "first")]
        if self.number < self.last:
            links += [link(self.number + 1, "next"), link(self.last, "last")]
        return ", ".join(links)


def _user(login: str) -> dict[str, Any]:
    kind = "Bot" if login.endswith("[bot]") else "User"
    user: dict[str, Any] = EXAMPLES["issue-comment"]["user"]
    return user | {"login": login, "type": kind}


def _below(path: str, api: str) -> str:
    """What a path is on github.com; an Enterprise Server has all of it below `/api`."""
    if api and path == "/api/graphql":
        return "/graphql"
    return path.removeprefix(api) if path.startswith(api) else "/not-of-this-server"


def _not_found() -> Answer:
    return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}


def _invalid(message: str) -> Answer:
    error = {"resource": "Issue", "code": "unprocessable", "field": "data", "message": message}
    return 422, {"message": "Validation Failed", "errors": [error]}
