"""The client against a real server."""

from __future__ import annotations

import datetime as dt
import gc
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mergeline
from mergeline.adapters.models.folder import load, model_digest
from mergeline.adapters.scoring_server import records
from mergeline.errors import DeployError, InputError, NotFoundError
from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry, listening
from tests.support.models import ROW, frame


@pytest.fixture
def client(
    registry: Registry, served_versions: ServedVersions, address: str, first: Path
) -> Iterator[mergeline.Client]:
    registry.register(first, "Production")
    served_versions.reconcile()
    client = mergeline.Client(address)
    yield client
    client._http.close()  # the server would wait for it when it stops


def test_rows_and_frames_get_the_model_s_own_answers_to_the_last_digit(
    client: mergeline.Client, first: Path
) -> None:
    rows = frame(200, seed=5)
    expected = load(first, model_digest(first)).predict(rows).tolist()
    for given in (rows, pl.from_pandas(rows), rows.to_dict("records")):
        assert client.predict("delay", given).predictions == expected
    assert client.predict("delay", rows.head(1), version=1).predictions == expected[:1]


def test_an_answer_says_who_made_it(client: mergeline.Client, registry: Registry) -> None:
    version = registry.known["delay", 1]
    answer = client.predict("delay", [ROW], stage="PRODUCTION")
    assert (answer.model, answer.version, answer.stage) == ("delay", 1, "Production")
    assert answer.fingerprint == version.fingerprint
    assert answer.model_digest == version.model_digest
    assert answer.classes == (False, True)


def test_what_the_server_holds_can_be_listed(client: mergeline.Client) -> None:
    assert [one["name"] for one in client.models()] == ["delay"]
    assert [one["version"] for one in client.versions("delay")] == [1]
    assert client.versions("other") == []


def test_the_server_s_refusals_become_errors_that_can_be_mended(client: mergeline.Client) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'delay'"):
        client.predict("dealy", [ROW])
    with pytest.raises(NotFoundError, match="v7 is not served"):
        client.predict("delay", [ROW], version=7)
    with pytest.raises(NotFoundError, match="no model 'a/b'"):
        client.predict("a/b", [ROW])
    with pytest.raises(InputError, match=r"rows\[0\]: unknown column 'wnd'"):
        client.predict("delay", [{"origin": "JFK", "hour": 17, "wnd": 1}])
    with pytest.raises(InputError, match="larger than"):
        client.predict("delay", [ROW | {"origin": "x" * 17_000_000}])
    assert client.predict("delay", [ROW]).version == 1


@pytest.mark.parametrize("rows", [ROW, "rows", 3, [3], [{"wind": {1, 2}}], [{"wind": np.inf}]])
def test_rows_that_cannot_be_sent_are_refused_here(client: mergeline.Client, rows: Any) -> None:
    with pytest.raises(InputError, match="cannot be sent as JSON"):
        client.predict("delay", rows)


def test_values_keep_their_digits_and_gaps_become_null() -> None:
    rows = pd.DataFrame(
        {
            "number": [1e-12, float("nan")],
            "whole": pd.array([2**53 + 1, None], dtype="Int64"),
            "text": ["a", None],
            "at": [pd.Timestamp("2013-07-01T10:00:00.000001"), pd.NaT],
        }
    )
    whole = {"number": 1e-12, "whole": 2**53 + 1, "text": "a", "at": "2013-07-01T10:00:00.000001"}
    assert records(rows) == [whole, dict.fromkeys(whole)]
    assert records(pl.from_pandas(rows)) == [whole, dict.fromkeys(whole)]
    assert records(
        [{"day": dt.date(2013, 7, 1), "flag": np.True_, "at": np.datetime64("2013")}]
    ) == [{"day": "2013-07-01", "flag": True, "at": "2013"}]


def test_no_server_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DeployError, match="does not answer") as refused:
        mergeline.Client(f"http://127.0.0.1:{port}").models()
    assert "mergeline serve" in refused.value.next_step
    with pytest.raises(DeployError, match="does not answer"):
        mergeline.Client("no address").models()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "{}"),
        (200, "[]"),
        (200, "<html>"),
        (200, '{"models": {"delay": 1}}'),
        (200, '{"models": [1]}'),
        (200, '{"models": [{"name": "delay", "versions": [{"version": "1"}]}]}'),
        (404, '{"error": "no such page"}'),
        (404, '{"detail": "Not Found"}'),
        (302, ""),
    ],
)
def test_a_server_of_another_kind_is_said_to_be_none(status: int, text: str) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever).start()
        client = mergeline.Client(f"http://127.0.0.1:{server.server_port}")
        asked: list[Callable[[], object]] = [
            client.models,
            lambda: client.predict("delay", [ROW]),
            lambda: client.versions("delay"),
        ]
        for ask in asked:
            with pytest.raises(DeployError, match="is not a mergeline server"):
                ask()
        client._http.close()
        server.shutdown()


@pytest.mark.slow
def test_a_server_that_came_back_is_asked_on_the_same_client(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()
    with listening(served_versions) as address:
        client = mergeline.Client(address)
        assert client.predict("delay", [ROW]).version == 1
    with pytest.raises(DeployError):
        client.predict("delay", [ROW])


def test_a_connection_closed_meanwhile_is_opened_again() -> None:
    """A server that closes a kept connection just when it is asked again."""
    answer = b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"models":[]}'
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(answer)
                    asked.append(connection.recv(4096))  # and not answered

        thread = threading.Thread(target=serve)
        thread.start()
        client = mergeline.Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert client.models() == []
        assert client.models() == []
        del client
        gc.collect()
        thread.join(10)
    assert [one[:12] for one in asked] == [b"GET /models ", b"GET /models ", b"GET /models ", b""]
