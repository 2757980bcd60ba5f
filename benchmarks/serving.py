"""One model behind `mergeline serve` and behind `mlflow models serve`, side by side.

    python benchmarks/serving.py

Both servers are up at once and are asked in turn over loopback, so that a busy machine weighs on
both alike. A classifier of 100 trees over twelve numbers and four texts, as raw columns; default
settings, one process each. `bare` is the estimator alone, asked in turn with them: no request, no
server, rows already a frame. Exits with 1 where the answers differ. About a minute.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mergeline.adapters.models.folder import LoadedModel, load, model_digest
from mergeline.adapters.scoring_server import records, running_server

MODEL = "model"
SINGLE = 300  # requests of one row to each server
LARGE = 40  # requests of 1,000 rows
CLIENTS = 8
ROUNDS = 12  # in which all clients ask one server, then the other
ROUND = 0.7  # seconds; short, so that a busy moment hits both
LIMIT = 20.0  # seconds that one kind of request may take in all
PATIENCE = 120.0  # seconds until a server must be up

Row = dict[str, Any]


class Server:
    """One server's address, and how it is asked for predictions."""

    def __init__(self, address: str, path: str, key: str, seconds: float) -> None:
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.path, self.key, self.seconds = path, key, seconds

    def body(self, rows: list[Row]) -> bytes:
        """The request that asks for these rows."""
        return json.dumps({self.key: rows}).encode()

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def ask(self, connection: http.client.HTTPConnection, body: bytes) -> list[list[float]]:
        """The predictions."""
        headers = {"content-type": "application/json"}
        connection.request("POST", self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{self.path} answered {answer.status}: {content[:300]!r}")
        predictions: list[list[float]] = json.loads(content)["predictions"]
        return predictions


def train(folder: Path) -> list[Row]:
    """Save a fitted model as MLflow has it; rows to ask it about."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    random = np.random.default_rng(0)
    rows = 20_000
    numbers = {f"x{i}": random.normal(size=rows) for i in range(12)}
    texts = {name: random.choice([f"v{i}" for i in range(20)], rows) for name in "abcd"}
    frame = pd.DataFrame({**numbers, **texts})
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(
        make_column_transformer((codes, list(texts)), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=0),
    )
    model.fit(frame, frame["x0"] + frame["x1"] + (frame["a"] == "v3") > random.normal(size=rows))
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(frame.head(), model.predict_proba(frame.head())),
            pip_requirements=["scikit-learn"],
            pyfunc_predict_fn="predict_proba",
            serialization_format="cloudpickle",
        )
    return records(frame.head(1_000))


def register(folder: Path, project: Path) -> None:
    """Put the model into production in the registry of a new project."""
    from mlflow import MlflowClient

    from mergeline.adapters.mlflow.tracking import Tracking

    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    tracking = Tracking(f"sqlite:///{project / '.mergeline' / 'mlflow.db'}", project / "artifacts")
    tracking.models()  # which makes the database
    client = MlflowClient(tracking.uri, tracking.uri)
    client.create_registered_model(MODEL)
    tags = {
        "mergeline.model_digest": model_digest(folder),
        "mergeline.fingerprint": "0" * 64,
        "mergeline.stage": "None",
    }
    client.create_model_version(MODEL, source=str(folder), tags=tags)
    tracking.move(MODEL, 1, "Production")


@contextlib.contextmanager
def mergeline_server(project: Path, environment: dict[str, str]) -> Iterator[Server]:
    """`mergeline serve`, ready."""
    since = time.perf_counter()
    command = [sys.executable, "-m", "mergeline", "serve", "--port", "0"]
    with running_server(command, cwd=project, env=environment, patience=PATIENCE) as address:
        path = f"/models/{MODEL}/stages/production/predict"
        yield Server(address, path, "rows", time.perf_counter() - since)


@contextlib.contextmanager
def mlflow_server(folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """`mlflow models serve`, ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        str(Path(sys.executable).with_name("mlflow")), "models", "serve",
        "--model-uri", str(folder), "--port", str(port), "--env-manager", "local",
    ]  # fmt: skip
    here = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # it looks for uvicorn
    since = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "PATH": here},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(port, process)
        seconds = time.perf_counter() - since
        yield Server(address, "/invocations", "dataframe_records", seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers to /ping."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                connection.close()
                return
        connection.close()
        time.sleep(0.02)
    raise SystemExit("mlflow models serve did not start")


def in_turn(servers: list[Server], model: LoadedModel, rows: list[Row], times: int) -> list[float]:
    """Median milliseconds of each server's answers to one client, and of the bare model's."""
    import pandas as pd

    asks: list[Callable[[], object]] = [
        partial(server.ask, server.connect(), server.body(rows)) for server in servers
    ]
    asks.append(partial(model.predict, pd.DataFrame(rows)))
    taken: list[list[float]] = [[] for _ in asks]
    for ask in asks:
        ask()  # the first one is slower
    end = time.monotonic() + LIMIT
    for _ in range(times):
        for ask, spent in zip(asks, taken, strict=True):
            since = time.perf_counter()
            ask()
            spent.append((time.perf_counter() - since) * 1000)
        if time.monotonic() > end:
            break
    return [statistics.median(spent) for spent in taken]


def at_once(servers: list[Server], row: Row) -> list[float]:
    """Requests a second that each server answers to `CLIENTS` clients at once."""
    counts = [0] * len(servers)
    for _ in range(ROUNDS):
        for number, server in enumerate(servers):
            counts[number] += all_ask(server, server.body([row]))
    return [count / (ROUNDS * ROUND) for count in counts]


def all_ask(server: Server, body: bytes) -> int:
    """How many requests were answered in one round."""
    counts = [0] * CLIENTS
    end = time.monotonic() + ROUND

    def client(number: int) -> None:
        connection = server.connect()
        while time.monotonic() < end:
            server.ask(connection, body)
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def show(name: str, values: list[float], unit: str, *, more_is_better: bool = False) -> None:
    """One line of the table; the ratio says how many times better mergeline's value is."""
    ours, theirs, *bare = values
    ratio = ours / theirs if more_is_better else theirs / ours
    alone = f"{bare[0]:9.1f}" if bare else f"{'':9}"
    print(f"{name:<24} {ours:9.1f} {theirs:9.1f} {alone} {unit:<6} {ratio:6.1f} ×")


def main() -> int:
    """Print both servers' values and their ratios."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MERGELINE_")}
    with tempfile.TemporaryDirectory(prefix="mergeline-benchmark-") as scratch:
        folder, project = Path(scratch) / "model", Path(scratch) / "project"
        rows = train(folder)
        register(folder, project)
        model = load(folder, model_digest(folder))
        with (
            mergeline_server(project, environment) as ours,
            mlflow_server(folder, environment) as theirs,
        ):
            both = [ours, theirs]
            one, other = (server.ask(server.connect(), server.body(rows)) for server in both)
            print(f"{'':<24} {'mergeline':>9} {'mlflow':>9} {'bare':>9} {'':6} {'ratio':>6}")
            show("start", [ours.seconds, theirs.seconds], "s")
            show("1 row, p50", in_turn(both, model, rows[:1], SINGLE), "ms")
            show("1,000 rows, p50", in_turn(both, model, rows, LARGE), "ms")
            at_a_time = at_once(both, rows[0])
            show(f"1 row, {CLIENTS} clients at once", at_a_time, "req/s", more_is_better=True)
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"scikit-learn {version('scikit-learn')}, mlflow {version('mlflow')}"
    )
    print(f"the answers to {len(rows):,} rows are {'the same' if one == other else 'DIFFERENT'}")
    return int(one != other)


if __name__ == "__main__":
    sys.exit(main())
