"""The Open Inference Protocol, by Triton's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry
from tests.support.models import ROW, frame

INFER = "/v2/models/delay/infer"


@pytest.fixture
def production(registry: Registry, served_versions: ServedVersions, first: Path) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()


def tensor(name: str, kind: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": kind, "data": data}


def row(**changes: dict[str, Any]) -> dict[str, Any]:
    tensors = {
        "origin": tensor("origin", "BYTES", ["JFK"]),
        "hour": tensor("hour", "INT64", [17]),
        "wind": tensor("wind", "FP64", [8.5]),
    }
    return {"inputs": [one for one in (tensors | changes).values() if one]}


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("binary", [False, True])
def test_triton_s_client_gets_the_answers_of_the_native_protocol(
    http: httpx.Client, binary: bool
) -> None:
    from tritonclient.http import InferenceServerClient, InferInput

    rows = frame().head(7)
    client = InferenceServerClient(f"{http.base_url.host}:{http.base_url.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delay")
    assert client.is_model_ready("delay", "1")
    assert client.get_server_metadata()["name"] == "mergeline"
    described = client.get_model_metadata("delay")
    assert described["versions"] == ["1"]
    inputs = []
    for column in described["inputs"]:
        values = rows[column["name"]].to_numpy()
        if column["datatype"] == "BYTES":
            values = values.astype(object)
        one = InferInput(column["name"], [len(rows)], column["datatype"])
        one.set_data_from_numpy(values, binary_data=binary)
        inputs.append(one)
    answer = client.infer("delay", inputs, request_id="seven")
    said = answer.as_numpy("predict")
    assert answer.get_response()["id"] == "seven"
    native = http.post(
        "/models/delay/stages/production/predict", json={"rows": rows.to_dict("records")}
    ).json()
    assert said.tolist() == native["predictions"]
    assert answer.get_response()["parameters"]["model_digest"] == native["model_digest"]
    client.close()


@pytest.mark.usefixtures("production")
def test_a_tensor_may_be_a_column_of_one(http: httpx.Client) -> None:
    flat = http.post(INFER, json=row()).json()
    one = tensor("wind", "FP64", [8.5]) | {"shape": [1, 1]}
    assert http.post(INFER, json=row(wind=one)).json() == flat
    assert http.post(INFER, json=row(wind=one | {"data": [[8.5]]})).json() == flat
    assert http.post("/v2/models/delay/versions/1/infer", json=row()).json() == flat


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, 'must be {"inputs": [...]}'),
        ({"inputs": []}, "tensors must be columns of equally many values"),
        ({"inputs": [5]}, "a tensor must be an object"),
        (row(wind={}), "the column 'wind' is missing"),
        (row(wind=tensor("wnd", "FP64", [1.0])), "did you mean 'wind'"),
        (row(wind=tensor("wind", "BYTES", ["x"])), "is BYTES, not FP64"),
        (row(wind=tensor("wind", "FP16", [1.0])), "needs a 'name' and a 'datatype'"),
        (row(wind=tensor("wind", "FP64", ["x"])), "'x' is not of type double"),
        (row(wind=tensor("wind", "FP64", [1.0, 2.0])), "columns of equally many values"),
        (row(wind=tensor("wind", "FP64", [1.0]) | {"shape": [2]}), "not a list of 2 values"),
        (row(wind=tensor("wind", "FP64", [1.0]) | {"shape": [1, 2]}), "is [n] or [n, 1]"),
        (row(wind=tensor("hour", "INT64", [1])), "appears more than once"),
        (row() | {"outputs": [{"name": "label"}]}, "no output 'label'"),
        (
            row(wind=tensor("wind", "FP64", [1.0]) | {"parameters": {"binary_data_size": 8}}),
            "beyond the body's end",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_protocol_s_own_form(
    http: httpx.Client, body: dict[str, Any], said: str
) -> None:
    answer = http.post(INFER, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("length", ["x", "-1", "99999", "9" * 400])
def test_a_length_of_the_json_that_cannot_be_is_refused(http: httpx.Client, length: str) -> None:
    answer = http.post(INFER, json=row(), headers={"Inference-Header-Content-Length": length})
    assert answer.status_code == 400
    assert "error" in answer.json()


@pytest.mark.usefixtures("production")
def test_binary_texts_that_end_too_early_are_refused(http: httpx.Client) -> None:
    import json

    size = {"binary_data_size": 6}
    broken = {"name": "origin", "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps(row(origin=broken)).encode()
    answer = http.post(
        INFER,
        content=head + np.uint32(9).tobytes() + b"JF",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert answer.status_code == 400
    assert "a text ends too early" in answer.json()["error"]


def test_an_unknown_model_is_said_in_the_protocol_s_own_form(http: httpx.Client) -> None:
    assert http.get("/v2").status_code == 200
    assert http.get("/v2/health/live").status_code == 200
    assert http.get("/v2/health/ready").status_code == 503
    answer = http.get("/v2/models/delay")
    assert answer.status_code == 503
    assert answer.json()["error"]
    assert ROW
