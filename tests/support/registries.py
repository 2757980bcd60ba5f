"""A real OCI registry on loopback, and a candidate and its evaluation to put into it."""

from __future__ import annotations

import base64
import http.client
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest

from mergeline.adapters.bundles import digests, manifest_digest, write_candidate, write_evaluation
from mergeline.core.declare.model import parse_model
from mergeline.core.fingerprint.ingredients import Ingredients, Stage
from mergeline.core.release.bundle import EVALUATION_FILES, Candidate, Evaluation, Origin
from tests.support.parcels import MODEL, MODEL_YAML

USER, PASSWORD = "tester", "secret"
_HTPASSWD = f"{USER}:$2b$04$cQ/bJzJcxiQXmrcEpI6aeuCUcZP.IWzrzKilPeKt5X.zI0bC.B2w.\n"


def run_at_once(commands: Sequence[Sequence[str]]) -> list[int]:
    """Exit codes of programs that go on at once: each prints `ready`, and then waits for a line."""
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(each, stdin=pipe, stdout=pipe, text=True) for each in commands]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate()
    return [racer.returncode for racer in racers]


@contextmanager
def registry(
    folder: Path,
    *,
    password: bool = False,
    read_only: bool = False,
    largest_file: int | None = None,
) -> Iterator[str]:
    """Host and port of a registry that keeps its content in a folder.

    With `largest_file` no file gets more bytes, as on a disk that is full.
    """
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("docker-registry is not on the PATH: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: basic-realm, path: {folder}/htpasswd}}}}\n"
    (folder / "config.yml").write_text(
        f"""\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/content}}
  delete: {{enabled: true}}
  maintenance: {{readonly: {{enabled: {str(read_only).lower()}}}}}
http: {{addr: "{host}"}}
{auth if password else ""}"""
    )
    command = [program, "serve", str(folder / "config.yml")]
    if largest_file is not None:
        command = ["prlimit", f"--fsize={largest_file}", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(host.partition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=20)


class _Way(BaseHTTPRequestHandler):
    """A way to a registry; see `short_tokens`."""

    server: _Tokens
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shown = self.headers.get("Authorization", "")
        left = self.server.left
        if self.path.startswith("/token"):
            good = shown == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            token = f"token-{len(left)}"
            left.update({f"Bearer {token}": self.server.uses} if good else {})
            self.reply(200 if good else 403, {}, b'{"token": "%s"}' % token.encode())
        elif left.get(shown, 0) > 0:
            left[shown] -= 1
            self.pass_on(content)
        else:
            challenge = f'Bearer realm="http://{self.server.host}/token",service="x",scope="y"'
            self.reply(401, {"WWW-Authenticate": challenge}, b"{}")

    def pass_on(self, content: bytes) -> None:
        kept = {k: v for k, v in self.headers.items() if k in {"Accept", "Content-Type"}}
        connection = http.client.HTTPConnection(self.server.behind)
        connection.request(
            self.command, self.path, content, {**kept, "Content-Length": str(len(content))}
        )
        passed = connection.getresponse()
        self.reply(passed.status, dict(passed.getheaders()), passed.read())
        connection.close()

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "date"}:
                self.send_header(name, value.replace(self.server.behind, self.server.host))
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815


class _Tokens(ThreadingHTTPServer):
    def __init__(self, behind: str, uses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Way)
        self.behind, self.uses = behind, uses
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.left: dict[str, int] = {}


@contextmanager
def short_tokens(behind: str, *, uses: int) -> Iterator[str]:
    """Host and port of a way to a registry that asks for tokens, each of which ends after `uses`.

    Tokens are given for USER and PASSWORD.
    """
    with _Tokens(behind, uses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.host
        server.shutdown()


def make_bundle(folder: Path, *, answer: str = "yes", pull_request: int | None = 7) -> Candidate:
    """A bundle with a candidate whose model says `answer`, and with one evaluation of it."""
    files = folder / "candidate"
    (files / "model").mkdir(parents=True)
    (files / "model" / "MLmodel").write_text("flavors: {}\n")
    (files / "model" / "model.pkl").write_text(answer * 1000)
    (files / "holdout.parquet").write_bytes(b"rows")
    (files / "training_rows.parquet").write_bytes(b"other rows")
    (files / "artifacts").mkdir()
    (files / "artifacts" / "notes.txt").write_text("a note")
    ingredients = Ingredients((Stage("train", "python -m train"),), {}, {})
    candidate = Candidate(
        model=MODEL,
        fingerprint=ingredients.fingerprint,
        declaration=parse_model(MODEL, MODEL_YAML),
        ingredients=ingredients,
        origin=Origin("a" * 40, pull_request=pull_request),
        model_digest=answer,
        holdout_digest="b" * 64,
        snapshots=(),
        params={},
        metrics={"roc_auc": 0.7},
        seconds={"train": 1.5},
        environment={"python": "3.11"},
    )
    write_candidate(folder, candidate)
    evaluate_bundle(folder, candidate)
    return candidate


def evaluate_bundle(
    folder: Path,
    candidate: Candidate,
    at: str = "2026-01-01T00:00:00+00:00",
    verdict: Literal["pass", "fail"] = "pass",
) -> Evaluation:
    """Write an evaluation of that time into a bundle."""
    (folder / EVALUATION_FILES).mkdir(exist_ok=True)
    (folder / EVALUATION_FILES / "report.md").write_text(f"# evaluated at {at}\n")
    evaluation = Evaluation(
        verdict=verdict,
        reasons=(),
        gate_digest="c" * 64,
        champion=None,
        origin=replace(candidate.origin),
        evaluated_at=at,
        manifest=manifest_digest(folder),
        files=digests(folder, EVALUATION_FILES),
    )
    write_evaluation(folder, evaluation)
    return evaluation
