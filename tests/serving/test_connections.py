"""Clients that do not finish asking, or are too many: the server answers the others, and ends."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import pytest

from mergeline.serving import connections, http
from mergeline.serving.connections import most_connections
from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry, listening, until

FILES = 200  # that the server may open
HEAD = (
    b"POST /models/late/stages/production/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n"
)


def connect(address: str, timeout: float = 10) -> socket.socket:
    host, _, port = address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout)


@contextlib.contextmanager
def crowd(address: str, said: bytes, size: int) -> Iterator[None]:
    """Clients that say this much and no more."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(TimeoutError):  # the server accepts nobody more
            for _ in range(size):
                client = stack.enter_context(connect(address, timeout=2))
                with contextlib.suppress(ConnectionError):  # it got its 503
                    client.sendall(said)
        yield


@contextlib.contextmanager
def server_with_few_files(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server that may open FILES files, and its address."""
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    command = [sys.executable, "-m", "mergeline", "serve", "--port", "0"]
    log = folder / "log"
    with log.open("w") as stderr:
        server = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *command],
            cwd=folder,
            stderr=stderr,
        )
    try:
        until(lambda: "serving on " in log.read_text(), 60)
        yield server, log.read_text().partition("serving on ")[2].split()[0]
    finally:
        server.kill()
        server.wait()


def health(address: str) -> int:
    return httpx.get(f"{address}/healthz", timeout=5, trust_env=False).status_code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "answers"),
    [(b"P", {503}), (HEAD + b"{", {200, 503})],  # 200: after the crowd's own 503
    ids=["half a head", "half a body"],
)
def test_under_more_slow_clients_than_connections_all_are_answered_and_the_end_is_quick(
    tmp_path: Path, said: bytes, answers: set[int]
) -> None:
    with server_with_few_files(tmp_path) as (server, address), crowd(address, said, FILES // 2):
        for _ in range(3):
            assert health(address) in answers
        since = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert time.monotonic() - since < 6
        assert "Too many open files" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"P", HEAD + b"{"], ids=["half a head", "half a body"])
def test_after_more_slow_clients_than_files_health_is_answered_again(
    tmp_path: Path, said: bytes
) -> None:
    with server_with_few_files(tmp_path) as (_, address):
        with crowd(address, said, FILES + 60):
            pass
        until(lambda: health(address) == 200)


@pytest.mark.slow
def test_after_20_000_connections_at_once_all_is_as_before(address: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:  # both ends of each are files of this process
        size = min(20_000, hard // 2 - 500)
        with crowd(address, b"P", size):
            until(lambda: health(address) == 503)
        until(lambda: health(address) == 200)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_body_that_does_not_come_in_time_is_refused_and_its_connection_closed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_TIME", 0.3)
    with connect(address) as client:
        client.sendall(HEAD + b"{")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"message":"not complete after 0.3 seconds","where":"body"' in answer


def asked(rows: bytes) -> bytes:
    head = b"POST /models/delay/stages/production/predict HTTP/1.1\r\nhost: x\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(rows) + rows


def answers(client: socket.socket, count: int) -> list[bytes]:
    """The bodies of so many answers, in their order."""
    said = b""
    while said.count(b"\r\n\r\n") < count or not said.endswith(b"}"):
        said += client.recv(65_536)
    return [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 ")[1:]]


def test_a_request_is_answered_alike_in_one_piece_in_parts_and_behind_another(
    address: str, registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    registry.register(first, stage="Production")
    served_versions.reconcile()
    rows = [b'{"rows":[{"origin":"JFK","hour":17,"wind":%d.5}]}' % wind for wind in range(3)]
    misspelt = rows[0].replace(b"wind", b"wnid")
    with connect(address) as client:
        alone = []
        for body in [*rows, misspelt]:
            client.sendall(asked(body))
            alone += answers(client, 1)
        assert len(set(alone)) == 4
        assert b"did you mean 'wind'?" in alone[3]
        client.sendall(b"".join(map(asked, [*rows, misspelt])))
        assert answers(client, 4) == alone
        for part in (asked(rows[1])[:30], asked(rows[1])[30:-9], asked(rows[1])[-9:]):
            client.sendall(part)
            time.sleep(0.02)
        assert answers(client, 1) == [alone[1]]


def test_a_head_that_grows_without_end_is_refused(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 20_000)
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "lengths",
    [
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        b"content-length: 3\r\ncontent-length: 3\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ],
)
def test_a_request_of_two_lengths_is_refused_and_its_connection_closed(
    address: str, lengths: bytes
) -> None:
    second = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    with connect(address) as client:
        client.sendall(
            b"POST /models HTTP/1.1\r\nhost: x\r\n" + lengths + b"\r\n0\r\n\r\n" + second
        )
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_head_that_does_not_come_in_time_ends_its_connection(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIME", 0.2)
    for said in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow"):
        with connect(address) as client:
            client.sendall(said)
            assert client.recv(65_536) == b""


@pytest.mark.slow
def test_a_server_that_stops_tells_its_clients_and_resets_none() -> None:
    said: list[str] = []  # of each answer whether the connection is kept
    with listening(ServedVersions(Registry())) as address:
        clients = [
            threading.Thread(target=ask_until_refused, args=(address, said)) for _ in range(16)
        ]
        for client in clients:
            client.start()
        until(lambda: len(said) > 100)
    for client in clients:
        client.join()
    assert set(said) == {"keep-alive", "close"}
    assert said.count("close") >= 16


def ask_until_refused(address: str, said: list[str]) -> None:
    """Ask on kept connections until nobody listens any more; note any other end of one."""
    while True:
        with contextlib.closing(HTTPConnection(address.removeprefix("http://"), timeout=10)) as one:
            try:
                one.connect()
            except ConnectionRefusedError:
                return
            try:
                kept = "keep-alive"
                while kept == "keep-alive":
                    one.request("GET", "/healthz")
                    answer = one.getresponse()
                    answer.read()
                    kept = answer.headers.get("connection", "keep-alive")
                    said.append(kept)
            except (OSError, HTTPException) as error:
                said.append(repr(error))
                return


def test_a_kept_connection_that_asks_again_is_kept(address: str) -> None:
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


def test_a_flood_of_bad_requests_writes_few_lines(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(60):
        with connect(address) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")
    lines = [record.getMessage() for record in caplog.records]
    assert 0 < len(lines) <= 22
    assert "left out" in lines[-1]
