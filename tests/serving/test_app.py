"""The served versions over HTTP: a real server, real models."""

from __future__ import annotations

import gzip
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import zstandard

from mergeline.adapters.models.folder import load, model_digest
from mergeline.adapters.scoring_server import Client
from mergeline.errors import DeployError
from mergeline.serving.app import Settings
from mergeline.serving.http import BODY_LIMIT
from mergeline.serving.routes import PROBES
from mergeline.serving.served_versions import ServedVersions
from tests.adapters.models.test_folder import Leaver
from tests.support.model_server import Registry, listening, until
from tests.support.models import ROW, frame, regression, save

PREDICT = "/models/delay/stages/production/predict"
SLIP = {"origin": "JFK", "hour": 17, "wnd": 8.5}


@pytest.fixture
def production(registry: Registry, served_versions: ServedVersions, first: Path) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()


def test_an_answer_names_the_version_and_the_digest_that_made_it(
    registry: Registry,
    served_versions: ServedVersions,
    http: httpx.Client,
    first: Path,
    second: Path,
) -> None:
    old = registry.register(first, "Production")
    new = registry.register(second, "Staging")
    served_versions.reconcile()
    rows = [ROW, ROW | {"hour": 6}]
    for place, version, folder in [
        ("stages/production", old, first),
        ("stages/Staging", new, second),
        ("versions/1", old, first),
        ("versions/2", new, second),
    ]:
        answer = http.post(f"/models/delay/{place}/predict", json={"rows": rows})
        assert answer.status_code == 200
        said = answer.json()
        expected = load(folder, model_digest(folder)).predict(pd.DataFrame(rows)).tolist()
        assert said == {
            "model": "delay",
            "version": version.number,
            "stage": version.stage,
            "fingerprint": version.fingerprint,
            "model_digest": version.model_digest,
            "classes": [False, True],
            "predictions": expected,
        }


def test_a_regression_answers_with_numbers(
    registry: Registry, served_versions: ServedVersions, http: httpx.Client, numbers: Path
) -> None:
    registry.register(numbers, "Production", model="arrivals")
    served_versions.reconcile()
    rows = [{"hour": 10, "wind": 1.5}, {"hour": 0, "wind": 0.5}]
    said = http.post("/models/arrivals/stages/production/predict", json={"rows": rows}).json()
    assert said["predictions"] == pytest.approx([21.5, 0.5])
    assert said["classes"] == []


def test_the_list_of_models_says_what_is_loaded_and_why_not(
    registry: Registry,
    served_versions: ServedVersions,
    http: httpx.Client,
    first: Path,
    tmp_path: Path,
) -> None:
    registry.register(first, "Production")
    registry.register(first)
    registry.folders["delay", 2] = tmp_path / "gone"
    served_versions.reconcile()
    assert http.post("/models/delay/versions/2/predict", json={"rows": [ROW]}).status_code == 503
    (model,) = http.get("/models").json()["models"]
    assert http.get("/models/delay").json() == model
    assert model["stages"] == {"production": 1}
    good, bad = model["versions"]
    assert good["inputs"] == {"origin": "string", "hour": "long", "wind": "double"}
    assert (good["version"], good["stage"], good["loaded"]) == (1, "Production", True)
    assert (bad["version"], bad["stage"], bad["loaded"]) == (2, "None", False)
    assert "gone" in bad["problem"]
    assert http.get("/models/dealy").status_code == 404


def test_live_and_ready_are_two_things(
    registry: Registry, served_versions: ServedVersions, http: httpx.Client, first: Path
) -> None:
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 503
    registry.register(first, "Production")
    served_versions.reconcile()
    assert http.get("/readyz").json() == {"ready": True, "loading": False, "problems": []}
    registry.trouble = OSError("no route to host")
    served_versions.reconcile()
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert "no route to host" in answer.json()["problems"][0]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 400, "not JSON"),
        ("{", 400, "not JSON"),
        ("[" * 100_000, 422, "more than 16 objects and lists within each other"),
        (b"\xff\xfe\xff", 400, "not JSON"),
        ("9" * 5_000, 400, "not JSON"),
        ("[]", 400, 'must be {"rows": [...]}'),
        ('{"rows": [], "row": 1}', 400, 'must be {"rows": [...]}'),
        ('{"rows": [{"hour": NaN}]}', 400, "NaN is not a JSON number; send null for a missing one"),
        ('{"rows": [{"hour": -Infinity}]}', 400, "-Infinity is not a JSON number"),
        ('{"rows": []}', 422, "no rows"),
        ('{"rows": {}}', 422, "must be a list of objects"),
        (json.dumps({"rows": [SLIP]}), 422, "unknown column 'wnd' (did you mean 'wind'?)"),
        (json.dumps({"rows": [ROW | {"wind": "x"}]}), 422, "'x' is not of type double"),
        (json.dumps({"rows": [ROW | {"origin": "\ud800"}]}), 422, "is not of type string"),
        ('{"rows": [{"hour": 1, "wind": 2, "wind": 3}]}', 422, "'wind' appears more than once"),
        ('{"rows": [], "rows": []}', 422, "'rows' appears more than once in one object"),
        ("x" * (BODY_LIMIT + 1), 413, "larger than 16,000,000 bytes"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_with_it(
    http: httpx.Client, body: Any, status: int, said: str
) -> None:
    answer = http.post(PREDICT, content=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert said in error["message"]
    assert error.keys() == {"message", "where", "next_step"}
    # The connection is good for the next one.
    assert http.post(PREDICT, json={"rows": [ROW]}).status_code == 200


@pytest.mark.usefixtures("production")
def test_a_body_of_unknown_length_has_the_same_limit(http: httpx.Client) -> None:
    parts = (b"x" * 1_000_000 for _ in range(20))
    assert http.post(PREDICT, content=parts).status_code == 413


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/models/delay/predict", 404),
        ("POST", "/models/delay/versions/one/predict", 404),
        ("POST", "/models/delay/versions/9/predict", 404),
        ("POST", f"/models/delay/versions/{'9' * 5_000}/predict", 404),
        ("POST", "/models/delay/versions/²/predict", 404),
        ("POST", "/models/delay/stages/archived/predict", 404),
        ("POST", "/models/dealy/stages/production/predict", 404),
    ],
)
def test_an_address_that_does_not_exist_is_said_in_json_too(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path, json={"rows": [ROW]})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PREDICT, "POST"),
        ("PUT", PREDICT, "POST"),
        ("POST", "/models", "GET, HEAD"),
        ("DELETE", "/v2/models/delay", "GET, HEAD"),
        ("GET", "/invocations", "POST"),
    ],
)
def test_another_method_of_an_address_is_told_which_it_takes(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.usefixtures("production")
def test_one_row_of_a_million_keys_is_refused_before_it_is_read_to_its_end(
    http: httpx.Client,
) -> None:
    keys = ",".join(f'"k{number}":1' for number in range(1_000_000))
    answer = http.post(PREDICT, content='{"rows":[{' + keys + "}]}")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "more than 5,000 keys in one object"


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_packed_body_is_unpacked_up_to_the_limit(http: httpx.Client, packing: str) -> None:
    def pack(body: bytes) -> bytes:
        return gzip.compress(body) if packing == "gzip" else zstandard.compress(body)

    headers = {"content-encoding": packing}
    plain = json.dumps({"rows": [ROW]}).encode()
    answer = http.post(PREDICT, content=pack(plain), headers=headers)
    assert answer.json() == http.post(PREDICT, content=plain).json()
    bomb = pack(bytes(40_000_000))
    assert http.post(PREDICT, content=bomb, headers=headers).status_code == 413
    for broken in (pack(plain)[:-9], b"no archive", b""):
        answer = http.post(PREDICT, content=broken, headers=headers)
        assert answer.status_code == 400
        assert f"not {packing}" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("production")
def test_a_body_packed_in_another_way_is_refused(http: httpx.Client) -> None:
    answer = http.post(PREDICT, content=b"x", headers={"content-encoding": "br"})
    assert answer.status_code == 415


def test_until_the_registry_was_read_it_says_when_to_ask_again(
    registry: Registry, served_versions: ServedVersions, http: httpx.Client, first: Path
) -> None:
    registry.register(first, "Production")
    answer = http.post(PREDICT, json={"rows": [ROW]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").json()["loading"]
    served_versions.reconcile()
    assert http.post(PREDICT, json={"rows": [ROW]}).status_code == 200


def test_more_requests_than_can_wait_are_refused_and_may_come_again(
    registry: Registry,
    served_versions: ServedVersions,
    http: httpx.Client,
    first: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()
    monkeypatch.setattr("mergeline.serving.app.QUEUE_LIMIT", 0)
    answer = http.post(PREDICT, json={"rows": [ROW] * 500})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    monkeypatch.undo()
    assert http.post(PREDICT, json={"rows": [ROW] * 500}).status_code == 200


@pytest.mark.usefixtures("production")
def test_an_address_with_a_slash_too_many_is_unknown_and_leads_nowhere(http: httpx.Client) -> None:
    answer = http.get("/models/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_model_that_ends_the_process_when_it_is_asked_does_not_end_the_server(
    registry: Registry, served_versions: ServedVersions, http: httpx.Client, tmp_path: Path
) -> None:
    rows = frame()[["hour", "wind"]]
    folder = save(regression(), tmp_path / "model", rows)
    (folder / "model.pkl").write_bytes(pickle.dumps(Leaver().fit(rows, rows["hour"])))
    registry.register(folder, "Production")
    served_versions.reconcile()
    for _ in range(2):
        answer = http.post(PREDICT, json={"rows": [{"hour": 2, "wind": 2.0}]})
        assert answer.status_code == 422
        assert "it ends the process" in answer.json()["error"]["message"]


def test_whoever_asked_the_version_before_may_go_on_sending_what_this_one_does_not_take(
    registry: Registry,
    served_versions: ServedVersions,
    http: httpx.Client,
    first: Path,
    tmp_path: Path,
) -> None:
    registry.register(first, "Production")
    narrow = save(regression(), tmp_path / "model", frame()[["hour", "wind"]])
    registry.move(registry.register(narrow), "Production")
    served_versions.reconcile()
    answer = http.post(PREDICT, json={"rows": [ROW]})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    taken = {name: ROW[name] for name in ("hour", "wind")}
    predictions = http.post(PREDICT, json={"rows": [taken]}).json()["predictions"]
    assert answer.json()["predictions"] == predictions


def test_an_answer_that_is_not_a_finite_number_is_refused(
    registry: Registry, served_versions: ServedVersions, http: httpx.Client, tmp_path: Path
) -> None:
    model = regression()
    model.intercept_ = float("nan")
    rows = frame()[["hour", "wind"]]
    registry.register(save(model, tmp_path / "model", rows), "Production", model="arrivals")
    served_versions.reconcile()
    path = "/models/arrivals/stages/production/predict"
    answer = http.post(path, json={"rows": [{"hour": 2, "wind": 2.0}]})
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "rows[0]"


@pytest.mark.parametrize("swaps", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_swap_under_constant_requests_loses_none_and_mixes_nothing(
    *,
    registry: Registry,
    served_versions: ServedVersions,
    address: str,
    first: Path,
    second: Path,
    swaps: int,
) -> None:
    versions = [registry.register(first, "Production"), registry.register(second)]
    served_versions.reconcile()
    truth = {
        version.model_digest: load(folder, model_digest(folder))
        .predict(pd.DataFrame([ROW]))
        .tolist()
        for version, folder in zip(versions, (first, second), strict=True)
    }
    stop = threading.Event()
    wrong: list[Any] = []
    seen: list[str] = []

    def ask() -> None:
        with httpx.Client(base_url=address, trust_env=False) as http:
            while not stop.is_set():
                answer = http.post(PREDICT, json={"rows": [ROW]})
                said = answer.json()
                digest = said.get("model_digest")
                if answer.status_code != 200 or said["predictions"] != truth[digest]:
                    wrong.append(said)
                seen.append(digest)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for number in range(swaps):
        registry.move(versions[(number + 1) % 2], "Production")
        served_versions.reconcile()
        enough = len(seen) + 15
        until(lambda: len(seen) > enough)  # noqa: B023
    stop.set()
    for asker in askers:
        asker.join()
    assert wrong == []
    assert set(seen) == set(truth)
    assert len(seen) > 50


def test_a_server_with_a_token_answers_those_who_bear_it_and_probes(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()
    body = {"rows": [ROW]}
    with (
        listening(served_versions, Settings(token="s3cret")) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
    ):
        for probe in PROBES:
            assert http.get(probe).status_code == 200
        for sent in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic s3cret"}):
            answer = http.post(PREDICT, json=body, headers=sent)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert http.get("/models").status_code == 401
        assert Client(address, token="s3cret").predict("delay", [ROW]).version == 1
        with pytest.raises(DeployError, match="needs a token"):
            Client(address).predict("delay", [ROW])
