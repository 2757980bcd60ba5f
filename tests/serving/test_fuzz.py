"""Whatever is sent, the answer is a 200 or a 4xx in the protocol's own form; never a failure."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergeline.serving.app import Application
from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry, listening

PATHS = ["/models/delay/stages/production/predict", "/invocations", "/v2/models/delay/infer"]
KINDS = [
    "application/json", "text/csv", "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
]  # fmt: skip
KEYS = st.sampled_from([
    "rows", "dataframe_records", "dataframe_split", "inputs", "instances", "columns", "data",
    "index", "params", "name", "shape", "datatype", "parameters", "binary_data_size", "outputs",
    "origin", "hour", "wind", "wnd",
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["JFK", "wind", "FP64", "BYTES", 17, 8.5, [1], [1, 1]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode())


ROW = {"origin": "JFK", "hour": 17, "wind": 8.5}
TENSORS = [
    {"name": "origin", "shape": [1], "datatype": "BYTES", "data": ["JFK"]},
    {"name": "hour", "shape": [1], "datatype": "INT64", "data": [17]},
    {"name": "wind", "shape": [1, 1], "datatype": "FP64", "data": [8.5]},
]
VALID: list[tuple[str, Any]] = [
    (PATHS[0], {"rows": [ROW, ROW]}),
    (PATHS[1], {"dataframe_records": [ROW], "params": None}),
    (PATHS[1], {"dataframe_split": {"columns": [*ROW], "data": [[*ROW.values()]]}}),
    (PATHS[1], {"inputs": {name: [value] for name, value in ROW.items()}}),
    (PATHS[2], {"inputs": TENSORS, "id": "x"}),
]


def places(document: Any) -> list[list[Any]]:
    """The ways to each value in a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    return [[], *([key, *rest] for key, value in inner for rest in places(value))]


def changed(document: Any, way: list[Any], value: Any) -> Any:
    """The document with another value at one place."""
    if not way:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[way[0]] = changed(document[way[0]], way[1:], value)
    return copy


@pytest.fixture(scope="module")
def app(first: Path) -> Application:
    registry = Registry()
    registry.register(first, "Production")
    held = ServedVersions(registry)
    held.reconcile()
    return Application(held)


def ask(app: Application, path: str, kind: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """The answer, without a network between."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": path.encode(),
        "headers": [
            (b"content-type", kind.encode()),
            *((name.encode(), text.encode()) for name, text in headers.items()),
        ],
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PATHS), st.sampled_from(KINDS), BODIES)
@pytest.mark.filterwarnings("ignore")
def test_no_body_makes_the_server_fail(app: Application, path: str, kind: str, body: bytes) -> None:
    status, said = ask(app, path, kind, body)
    assert status == 200 or 400 <= status < 500, said
    document = json.loads(said)
    assert status == 200 or "error" in document or "error_code" in document


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(VALID), st.data(), VALUES)
def test_no_change_of_one_value_makes_the_server_fail(
    app: Application, valid: tuple[str, Any], data: st.DataObject, value: Any
) -> None:
    path, document = valid
    way = data.draw(st.sampled_from(places(document)))
    status, said = ask(app, path, KINDS[0], json.dumps(changed(document, way, value)).encode())
    assert status == 200 or 400 <= status < 500, said


@pytest.mark.parametrize(("path", "document"), VALID)
def test_what_is_changed_there_is_answered_as_it_is(
    app: Application, path: str, document: Any
) -> None:
    status, said = ask(app, path, KINDS[0], json.dumps(document).encode())
    assert status == 200, said


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=40), st.sampled_from(["gzip", "zstd", "br"]))
def test_no_packing_makes_the_server_fail(app: Application, body: bytes, packing: str) -> None:
    status, _ = ask(app, PATHS[0], KINDS[0], body, **{"content-encoding": packing})
    assert 400 <= status < 500


@pytest.mark.slow
def test_no_request_made_from_the_openapi_document_makes_the_server_fail(
    first: Path, tmp_path: Path
) -> None:
    """By schemathesis; what a model takes beyond the types of its columns no document says."""
    registry = Registry()
    registry.register(first, "Production")
    held = ServedVersions(registry)
    held.reconcile()
    with listening(held) as address:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
                                "--exclude-checks", "positive_data_acceptance",
                "--max-examples", "10", "--seed", "1", "--no-color",
                "--continue-on-failure", "--generation-deterministic",
            ],
            cwd=tmp_path,  # it keeps a cache there
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
