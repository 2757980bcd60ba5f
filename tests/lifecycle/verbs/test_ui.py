"""`mergeline ui`: MLflow's pages over store and ledger, without a server that was there before."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from tests.support.line import Line
from tests.support.parcels import MODEL

pytestmark = pytest.mark.slow


def test_the_pages_show_releases_on_a_machine_that_never_had_mlflow(line: Line) -> None:
    line.merge(1)
    line.release()
    (line.state / "mlflow.db").unlink()
    shutil.rmtree(line.state / "artifacts")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    said = (line.root / "said").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "mergeline", "ui", "--port", str(port)],
        cwd=line.root / "runner",
        env={**line.environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        stderr=said,
    )
    try:
        for _ in range(1200):
            assert process.poll() is None, (line.root / "said").read_text()
            try:
                httpx.get(f"{address}/health")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        query = {"name": MODEL}
        found = httpx.get(f"{address}/api/2.0/mlflow/registered-models/get", params=query).json()
        aliases = {one["alias"]: one["version"] for one in found["registered_model"]["aliases"]}
        assert aliases == {"production": "2"}
        assert httpx.get(address).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
        said.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/health")
