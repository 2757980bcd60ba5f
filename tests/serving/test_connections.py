"""Clients that do not finish asking, or are too many: the server answers the others, and ends."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from mergeline.serving import app, connections
from mergeline.serving.connections import most_connections
from tests.support.model_server import until

FILES = 200  # that the server may open
HEAD = (
    b"POST /models/late/stages/production/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n"
)


def connect(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


@contextlib.contextmanager
def crowd(address: str, said: bytes, size: int) -> Iterator[None]:
    """Clients that say this much and no more."""
    with contextlib.ExitStack() as stack:
        for _ in range(size):
            client = stack.enter_context(connect(address))
            with contextlib.suppress(ConnectionError):  # it is let go
                client.sendall(said)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"P", HEAD + b"{"], ids=["half a head", "half a body"])
def test_health_is_answered_and_the_end_is_quick_under_more_slow_clients_than_files(
    tmp_path: Path, said: bytes
) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    command = [sys.executable, "-m", "mergeline", "serve", "--port", "0"]
    log = tmp_path / "log"
    with log.open("w") as stderr:
        server = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *command],
            cwd=tmp_path,
            stderr=stderr,
        )
    try:
        until(lambda: "serving on " in log.read_text(), 60)
        address = log.read_text().partition("serving on ")[2].split()[0]
        with crowd(address, said, FILES + 60):
            for _ in range(3):
                answer = httpx.get(f"{address}/healthz", timeout=5, trust_env=False)
                assert answer.status_code == 200
            since = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
            assert time.monotonic() - since < 6
        assert "Too many open files" not in log.read_text()
    finally:
        server.kill()
        server.wait()


def test_a_body_that_does_not_come_in_time_is_refused_and_its_connection_closed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BODY_TIME", 0.3)
    with connect(address) as client:
        client.sendall(HEAD + b"{")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"message":"not all there after 0.3 seconds","where":"body"' in answer


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(
    address: str, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.5)
    with connect(address) as client:
        if before:
            client.sendall(before)
            assert client.recv(65_536)
        since = time.monotonic()
        with contextlib.suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nx: ")
            while time.monotonic() - since < 10:
                client.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - since < 5


def test_a_kept_connection_that_asks_in_time_is_kept(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.3)
    with contextlib.closing(HTTPConnection(address.removeprefix("http://"))) as client:
        for _ in range(4):
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b'{"live":true}'
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("files", "most"), [(resource.RLIM_INFINITY, 1_000), (1_048_576, 1_000), (1_024, 341), (3, 2)]
)
def test_connections_leave_files_for_the_server_itself(
    files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == most
