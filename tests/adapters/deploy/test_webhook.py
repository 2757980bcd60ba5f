"""A webhook is told once what shall serve, and its no is heard."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mergeline.adapters.deploy import Wanted, open_target
from mergeline.core.declare.environments import Deploy, Webhook
from mergeline.errors import DeployError

WANTED = Wanted("production", "late", 2, "f" * 64, "d" * 64, "ghcr.io/acme/late@sha256:" + "b" * 64)


class Receiver(ThreadingHTTPServer):
    """Keeps what it is told."""

    status = 202

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, str], dict[str, object]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/deploy"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.told.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"no room\nleft")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_it_is_told_all_that_it_needs_with_its_token(receiver: Receiver) -> None:
    secret = {"MERGELINE_DEPLOY_TOKEN": "s3cret"}
    open_target(Deploy(webhook=Webhook(receiver.url)), secret).deploy(WANTED)
    [(headers, body)] = receiver.told
    assert body == asdict(WANTED)
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["idempotency-key"] == f"production-late-2-{'d' * 16}"


def test_its_no_and_its_silence_are_errors(receiver: Receiver) -> None:
    receiver.status = 507
    with pytest.raises(DeployError, match="the webhook answered 507: no room left"):
        open_target(Deploy(webhook=Webhook(receiver.url)), {}).deploy(WANTED)
    with pytest.raises(DeployError, match="does not answer"):
        open_target(Deploy(webhook=Webhook("http://127.0.0.1:9/x")), {}).deploy(WANTED)
