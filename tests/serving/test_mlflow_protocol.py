"""MLflow's scoring protocol: its own server and clients, beside ours."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mergeline.serving.app import Settings
from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry, listening, until
from tests.support.models import ROW, frame, save

CSV, PARQUET, JSON = "text/csv", "application/vnd.apache.parquet", "application/json"
GOOD: dict[str, Any] = {
    "origin": "JFK", "hour": 17, "wind": 8.5, "small": 0.25, "seats": 180, "late": True,
}  # fmt: skip
NAMES = list(GOOD)
VALUES = list(GOOD.values())
BACKWARDS = dict(reversed(GOOD.items()))
# What MLflow answers with 200 and ours refuses.
NONSENSE = "nonsense"


def dumped(document: Any) -> str:
    return json.dumps(document)


def of(name: str, content: Any) -> str:
    return dumped({name: content})


def records(*changes: dict[str, Any]) -> str:
    return dumped({"dataframe_records": [GOOD | change for change in changes or ({},)]})


def split(data: Any, columns: Any = NAMES, **more: Any) -> str:
    return dumped({"dataframe_split": {"columns": columns, "data": data, **more}})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def columns(**changes: Any) -> dict[str, Any]:
    return {name: [value, value] for name, value in GOOD.items()} | changes


def csv(*rows: dict[str, Any]) -> str:
    return pd.DataFrame(rows or [GOOD]).to_csv(index=False)


def parquet(*rows: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    typed = {"hour": "int64", "small": "float32", "seats": "int32"}
    pd.DataFrame(rows or [GOOD]).astype(typed).to_parquet(sink)
    return sink.getvalue()


# name: (body, content type, and whether MLflow takes nonsense there)
REQUESTS: dict[str, tuple[str | bytes, str, str]] = {
    "records": (records(), JSON, ""),
    "two records": (records({}, {"hour": 3, "origin": "EWR"}), JSON, ""),
    "a thousand records": (records(*({"hour": n % 24} for n in range(1_000))), JSON, ""),
    "records in another order": (of("dataframe_records", [BACKWARDS]), JSON, ""),
    "records with one more column": (records({"dest": "MDW"}), JSON, ""),
    "records with a nested column more": (records({"dest": {"a": [1, 2]}}), JSON, ""),
    "records with spaces": (json.dumps({"dataframe_records": [GOOD]}, indent=3), JSON, ""),
    "records and params": (dumped({"dataframe_records": [GOOD], "params": {"a": 1}}), JSON, ""),
    "records and null params": (dumped({"dataframe_records": [GOOD], "params": None}), JSON, ""),
    "records and an id": (dumped({"dataframe_records": [GOOD], "request_id": "7"}), JSON, ""),
    "charset": (records(), "application/json; charset=utf-8", ""),
    "charset in capitals": (records(), "application/json; charset=UTF-8", ""),
    "null for a double": (records({"wind": None}), JSON, ""),
    "NaN for a double": (records({"wind": float("nan")}), JSON, ""),
    "null and a double": (records({"wind": None}, {"wind": 1.5}), JSON, ""),
    "a whole number for a double": (records({"wind": 8}), JSON, ""),
    "a large whole number for a double": (records({"wind": 2**53}), JSON, ""),
    "a small double": (records({"wind": 5e-324}), JSON, ""),
    "minus zero": (records({"wind": -0.0}), JSON, ""),
    "a double of many digits": (records({"wind": 8.123456789012345678}), JSON, ""),
    "a double for a float": (records({"small": 0.1}), JSON, ""),
    "an unseen category": (records({"origin": "XXX"}), JSON, ""),
    "an empty text": (records({"origin": ""}), JSON, ""),
    "a text of another script": (records({"origin": "東京 \u00e9"}), JSON, ""),
    "escapes": (records().replace("JFK", "\\u004aFK"), JSON, ""),
    "a colon in a text": (records({"origin": 'a":b'}), JSON, ""),
    "false": (records({"late": False}), JSON, ""),
    "the smallest long": (records({"hour": -(2**62)}), JSON, ""),
    "split": (split([VALUES]), JSON, ""),
    "split of two": (split([VALUES, VALUES]), JSON, ""),
    "split with an index": (split([VALUES], index=[7]), JSON, ""),
    "split in another order": (split([VALUES[::-1]], NAMES[::-1]), JSON, ""),
    "split with one more column": (split([[*VALUES, 1]], [*NAMES, "dest"]), JSON, ""),
    "split with NaN": (split([["JFK", 17, float("nan"), 0.25, 180, True]]), JSON, ""),
    "split of pandas": (of("dataframe_split", pd.DataFrame([GOOD]).to_dict("split")), JSON, ""),
    "instances": (dumped({"instances": [GOOD]}), JSON, ""),
    "two instances": (dumped({"instances": [GOOD, GOOD]}), JSON, ""),
    "inputs of columns": (dumped({"inputs": columns()}), JSON, ""),
    "inputs of columns of one": (dumped({"inputs": {k: [v] for k, v in GOOD.items()}}), JSON, ""),
    "inputs of one row": (dumped({"inputs": GOOD}), JSON, ""),
    "inputs of rows": (dumped({"inputs": [GOOD, GOOD]}), JSON, ""),
    "csv": (csv(), CSV, ""),
    "csv of three": (csv(GOOD, GOOD | {"wind": 0.1}, GOOD | {"hour": 4}), CSV, ""),
    "csv with a gap": (csv(GOOD | {"wind": None}, GOOD), CSV, ""),
    "csv in another order": (csv(dict(reversed(GOOD.items()))), CSV, ""),
    "csv with one more column": (csv(GOOD | {"dest": "MDW"}), CSV, ""),
    "csv with charset": (csv(), "text/csv; charset=utf-8", ""),
    "csv with quotes": (csv(GOOD | {"origin": 'a,"b"\n'}), CSV, ""),
    "parquet": (parquet(), PARQUET, ""),
    "parquet of two": (parquet(GOOD, GOOD | {"wind": None}), PARQUET, ""),
    "empty": ("", JSON, ""),
    "half": ('{"dataframe_records": [', JSON, ""),
    "a list": (dumped([GOOD]), JSON, ""),
    "a number": ("5", JSON, ""),
    "null": ("null", JSON, ""),
    "a text": ('"x"', JSON, ""),
    "no format": ("{}", JSON, ""),
    "an unknown format": (dumped({"rows": [GOOD]}), JSON, ""),
    "an old format": (dumped({"columns": NAMES, "data": [VALUES]}), JSON, ""),
    "two formats": (dumped({"dataframe_records": [GOOD], "inputs": columns()}), JSON, ""),
    "not UTF-8": (b'{"dataframe_records": "\xff\xfe"}', JSON, ""),
    "records that are an object": (dumped({"dataframe_records": GOOD}), JSON, ""),
    "records that are a text": (dumped({"dataframe_records": "x"}), JSON, ""),
    "a missing column": (dumped({"dataframe_records": [without("wind")]}), JSON, ""),
    "a missing text": (dumped({"dataframe_records": [without("origin")]}), JSON, ""),
    "split that is a list": (dumped({"dataframe_split": [VALUES]}), JSON, ""),
    "split without data": (dumped({"dataframe_split": {"columns": NAMES}}), JSON, ""),
    "split with an unknown key": (split([VALUES], name="x"), JSON, ""),
    "split of too few values": (split([VALUES[:3]]), JSON, ""),
    "split of too many values": (split([[*VALUES, 1]]), JSON, ""),
    "split without a column": (split([VALUES[1:]], NAMES[1:]), JSON, ""),
    "a text for a double": (records({"wind": "windy"}), JSON, ""),
    "a text for a long": (records({"hour": "x"}), JSON, ""),
    "a fraction for a long": (records({"hour": 17.5}), JSON, NONSENSE),
    "an object for a double": (records({"wind": {"a": 1}}), JSON, ""),
    "a list for a text": (of("dataframe_records", [GOOD | {"origin": ["JFK"]}]), JSON, NONSENSE),
    "columns of different lengths": (dumped({"inputs": columns(wind=[1.5])}), JSON, ""),
    "csv of a text for a double": (csv(GOOD | {"wind": "x"}), CSV, ""),
    "csv without a column": (csv(without("wind")), CSV, ""),
    "csv that is empty": ("", CSV, ""),
    "csv that is not UTF-8": (b"origin\n\xff\xfe", CSV, ""),
    "parquet that is none": (b"PAR1", PARQUET, ""),
    "another type": ("<x/>", "application/xml", ""),
    "another charset": (records(), "application/json; charset=latin-1", ""),
    "another setting": (records(), "application/json; format=pandas-split", ""),
    "a null for a text": (records({"origin": None}), JSON, NONSENSE),
    "a number in quotes": (records({"wind": "509"}), JSON, NONSENSE),
    "a long in quotes": (records({"hour": "17"}), JSON, NONSENSE),
    "a number for a text": (records({"origin": 5}), JSON, NONSENSE),
    "infinity": (records({"wind": float("inf")}), JSON, NONSENSE),
    "a number for a boolean": (records({"late": 1}), JSON, NONSENSE),
    "a boolean for a double": (records({"wind": True}), JSON, NONSENSE),
    "a key twice": (records().replace('"wind"', '"wind": 1.0, "wind"'), JSON, NONSENSE),
    "no rows": (dumped({"dataframe_records": []}), JSON, NONSENSE),
    "a misspelt column": (dumped({"dataframe_records": [GOOD | {"Wind": 1.0}]}), JSON, ""),
}  # fmt: skip


def wide_frame() -> pd.DataFrame:
    random = np.random.default_rng(2)
    rows = frame()
    return rows.assign(
        small=random.random(len(rows)).astype("float32"),
        seats=random.integers(50, 300, len(rows)).astype("int32"),
        late=random.random(len(rows)) > 0.5,
    )


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier of columns of many types, which knows missing numbers."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = wide_frame()
    codes = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["origin"]),
        remainder="passthrough",
    )
    model = make_pipeline(codes, HistGradientBoostingClassifier(max_iter=20, random_state=0))
    model.fit(rows, rows["hour"] + rows["wind"] > 20)
    return save(model, tmp_path_factory.mktemp("wide") / "model", rows)


@contextlib.contextmanager
def served(folder: Path, **settings: Any) -> Iterator[httpx.Client]:
    registry = Registry()
    registry.register(folder, "Production")
    held = ServedVersions(registry)
    held.reconcile()
    with (
        listening(held, Settings(**settings)) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30) as http,
    ):
        yield http


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[httpx.Client]:
    """A real `mlflow models serve`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here = Path(sys.executable).parent
    process = subprocess.Popen(
        [here / "mlflow", "models", "serve", "--model-uri", folder, "--port", str(port),
         "--env-manager", "local"],
        cwd=folder,
        env={**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:

            def answers() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return http.get("/ping").status_code == 200
                return False

            until(answers, 120)
            yield http
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def ask(http: httpx.Client, body: str | bytes, kind: str) -> httpx.Response:
    return http.post("/invocations", content=body, headers={"content-type": kind})


@pytest.mark.slow
def test_it_answers_as_mlflow_s_own_server_does(wide: Path) -> None:
    assert len(REQUESTS) >= 80
    wrong = {}
    with (
        mlflow_server(wide) as theirs,
        served(wide) as strict,
        served(wide, mlflow_lenient=True) as lenient,
    ):
        for name, (body, kind, nonsense) in REQUESTS.items():
            expected, said = ask(theirs, body, kind), ask(strict, body, kind)
            same = ask(lenient, body, kind)
            if not alike(expected, same):
                wrong[name, "lenient"] = described(expected), described(same)
            if nonsense and said.status_code not in {400, 415}:
                wrong[name, "strict"] = described(expected), described(said)
            if not nonsense and not alike(expected, said):
                wrong[name, "strict"] = described(expected), described(said)
        for path in ("/ping", "/health", "/version"):
            assert strict.get(path).text == theirs.get(path).text
    assert not wrong, "\n".join(f"{name}: {answers}" for name, answers in wrong.items())


def alike(expected: httpx.Response, said: httpx.Response) -> bool:
    if expected.status_code != said.status_code:
        return False
    if expected.status_code == 200:
        return bool(expected.json() == said.json())
    return expected.status_code == 415 or said.json().keys() >= {"error_code", "message"}


def described(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:300]}"


@pytest.mark.slow
def test_labels_and_numbers_are_mlflow_s_too(tmp_path: Path) -> None:
    rows = frame()
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["origin"]), remainder="passthrough"),
        LogisticRegression(max_iter=500),
    ).fit(rows, np.where(rows["hour"] > 12, "late", "early"))
    folder = save(model, tmp_path / "model", rows)
    described = (
        (folder / "MLmodel").read_text().replace("predict_fn: predict_proba", "predict_fn: predict")
    )
    (folder / "MLmodel").write_text(described)
    body = json.dumps({"dataframe_records": rows.head(20).to_dict("records")})
    with mlflow_server(folder) as theirs, served(folder) as ours:
        expected = ask(theirs, body, JSON).json()
        assert set(expected["predictions"]) == {"late", "early"}
        assert ask(ours, body, JSON).json() == expected


def test_addresses_by_name_version_and_stage_lead_to_the_same(first: Path, second: Path) -> None:
    registry = Registry()
    registry.register(first, "Production")
    registry.register(second, "Staging")
    held = ServedVersions(registry)
    held.reconcile()
    body = {"dataframe_records": [ROW]}
    with (
        listening(held) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
    ):
        for path, version in {
            "/invocations": "1",
            "/serving-endpoints/delay/invocations": "1",
            "/model/delay/1/invocations": "1",
            "/model/delay/2/invocations": "2",
            "/model/delay/Production/invocations": "1",
            "/model/delay/staging/invocations": "2",
        }.items():
            answer = http.post(path, json=body)
            assert answer.status_code == 200
            assert answer.headers["mergeline-version"] == version
            assert (
                answer.headers["mergeline-model-digest"]
                == registry.known["delay", int(version)].model_digest
            )
        for path in ("/model/delay/9/invocations", "/serving-endpoints/dealy/invocations"):
            answer = http.post(path, json=body)
            assert answer.status_code == 404
            assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        registry.register(first, "Production", model="other")
        held.reconcile()
        answer = http.post("/invocations", json=body)
        assert answer.status_code == 404
        assert "in production are delay, other" in answer.json()["message"]


def test_mlflow_s_own_client_gets_its_predictions(first: Path) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    rows = frame().head(5)
    with served(first) as http:
        client = ScoringServerClient(http.base_url.host, http.base_url.port)
        client.ping()
        said = client.invoke(rows).get_predictions()
        native = http.post(
            "/models/delay/stages/production/predict", json={"rows": rows.to_dict("records")}
        ).json()
    assert said.to_numpy().tolist() == native["predictions"]


@pytest.mark.slow
def test_mlflow_s_deployment_client_asks_a_model_by_its_name(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.deployments import get_deploy_client

    with served(first, token="s3cret") as http:
        monkeypatch.setenv("DATABRICKS_HOST", str(http.base_url).rstrip("/"))
        monkeypatch.setenv("DATABRICKS_TOKEN", "s3cret")
        client = get_deploy_client("databricks")
        said = client.predict(endpoint="delay", inputs={"dataframe_records": [ROW]})
        native = http.post(
            "/models/delay/stages/production/predict",
            json={"rows": [ROW]},
            headers={"authorization": "Bearer s3cret"},
        ).json()
    assert said["predictions"] == native["predictions"]


def test_strictness_is_the_default_and_mlflow_s_leniency_a_choice(first: Path) -> None:
    body = json.dumps({"dataframe_records": [ROW | {"wind": "8.5"}]})
    with served(first) as http:
        refused = ask(http, body, JSON)
        assert refused.status_code == 400
        assert "rows[0].wind: '8.5' is not of type double" in refused.json()["message"]
        assert refused.json()["error_code"] == "BAD_REQUEST"
        right = ask(http, body.replace('"8.5"', "8.5"), JSON).json()
    with served(first, mlflow_lenient=True) as http:
        assert ask(http, body, JSON).json() == right
