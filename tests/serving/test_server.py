"""`mergeline serve` as a process on a real registry: it starts, answers, and always ends."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.scoring_server import Client, running_server
from mergeline.errors import DeployError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.serving.served_versions import ServedVersions
from mergeline.serving.server import Options, _follow, serve
from tests.support.model_server import Registry, until
from tests.support.models import ROW, frame, late, save

# MLflow's own calls of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
SERVE = [sys.executable, "-m", "mergeline", "serve", "--port", "0", "--poll", "0.2"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, first: Path, second: Path) -> Path:
    """A project whose registry has two versions, the first in production."""
    return registered(tmp_path_factory.mktemp("project"), first, second)


def registered(folder: Path, *models: Path) -> Path:
    """A project whose registry has these versions, the first in production."""
    subprocess.run(["git", "init", "--quiet", "-b", "main", folder], check=True)
    tracking = Tracking(f"sqlite:///{folder / '.mergeline' / 'mlflow.db'}", folder / "artifacts")
    client = tracking.client
    client.create_registered_model("delay")
    for model in models:
        digest = {"mergeline.model_digest": model_digest(model)}
        tags = {**digest, "mergeline.fingerprint": "f", "mergeline.stage": "None"}
        client.create_model_version("delay", source=str(model), tags=tags)
    tracking.move("delay", 1, "Production")
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    own = ("MERGELINE_", "MLFLOW_")
    return {key: value for key, value in os.environ.items() if not key.startswith(own)}


@contextlib.contextmanager
def started(
    project: Path, environment: Mapping[str, str], *options: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server as a person starts it, its standard input open all the time."""
    process = subprocess.Popen(
        [*SERVE, *options],
        cwd=project,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        lines = (line for line in process.stderr if line.startswith("serving on "))
        yield process, next(lines).removeprefix("serving on ").strip()
    finally:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")  # one that ended may wait for its new parent to notice
    return not (state.exists() and ") Z " in state.read_text())


def listens(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def times_of(address: str) -> list[float]:
    """Seconds of answers on one connection; each 0.04 where they wait for acknowledgements."""
    times = []
    with httpx.Client(base_url=address, trust_env=False) as http:
        for _ in range(40):
            since = time.perf_counter()
            assert http.get("/healthz").status_code == 200
            times.append(time.perf_counter() - since)
    return times


def test_it_serves_the_registry_follows_it_and_leaves_no_process(
    project: Path, environment: dict[str, str], first: Path, second: Path
) -> None:
    with running_server(SERVE, cwd=project, env=environment) as address:
        client = Client(address)
        assert client.predict("delay", [ROW]).model_digest == model_digest(first)
        assert client.predict("delay", [ROW], version=2).model_digest == model_digest(second)
        tracking = Tracking(f"sqlite:///{project / '.mergeline' / 'mlflow.db'}", project)
        tracking.move("delay", 2, "Production")
        until(lambda: client.predict("delay", [ROW]).version == 2)
        tracking.move("delay", 1, "Production")
        until(lambda: client.predict("delay", [ROW]).version == 1)
        until(lambda: [one["version"] for one in client.versions("delay")] == [1])
        tracking.move("delay", 2, "None")
        assert statistics.median(times_of(address)) < 0.03
    assert not listens(address)


@contextlib.contextmanager
def dawdler(address: str) -> Iterator[None]:
    """A client that does not finish asking."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /models/delay/stages/production/predict HTTP/1.1\r\nhost: x\r\n"
            b"content-length: 99\r\n\r\n{"
        )
        yield


def ends_cleanly(process: subprocess.Popen[str], by: signal.Signals) -> None:
    process.send_signal(by)
    assert process.wait(10) == 0
    assert process.stderr
    said = process.stderr.read()
    assert "Traceback" not in said, said
    assert "Fatal" not in said, said


@pytest.mark.slow
def test_it_says_what_it_serves_and_when_that_changes_and_ends_while_a_client_dawdles(
    project: Path, environment: dict[str, str]
) -> None:
    tracking = Tracking(f"sqlite:///{project / '.mergeline' / 'mlflow.db'}", project)
    with started(project, environment) as (process, address):
        assert process.stderr
        assert process.stderr.readline() == "delay v1 (production), v2\n"
        tracking.move("delay", 2, "Staging")
        assert process.stderr.readline() == "now delay v1 (production), v2 (staging)\n"
        tracking.move("delay", 2, "None")
        assert process.stderr.readline() == "now delay v1 (production), v2\n"
        assert Client(address).predict("delay", [ROW]).version == 1
        mapped = Path(f"/proc/{process.pid}/maps")
        if mapped.exists():  # what the estimator needs was in another process, which has ended
            for library in ("pandas", "sklearn", "pyarrow", "polars"):
                assert f"/{library}/" not in mapped.read_text()
        with dawdler(address):
            ends_cleanly(process, signal.SIGTERM)


@pytest.mark.slow
def test_interrupted_it_ends_too_and_one_version_is_served_whatever_its_stage(
    project: Path, environment: dict[str, str]
) -> None:
    with started(project, environment, "--only", "delay/2") as (process, address):
        until(lambda: [one["version"] for one in Client(address).versions("delay")] == [2])
        with dawdler(address):
            ends_cleanly(process, signal.SIGINT)


@pytest.mark.slow
def test_several_workers_serve_on_one_address_count_together_and_are_replaced(
    project: Path, environment: dict[str, str]
) -> None:
    with started(project, environment, "--workers", "2", "--only", "delay/1") as (server, address):
        until(lambda: ready(address), 60)
        workers = children_of(server.pid)
        assert len(workers) == 2
        for _ in range(40):
            with httpx.Client(base_url=address, trust_env=False) as http:
                body = {"rows": [ROW]}
                until(lambda: http.post("/models/delay/versions/1/predict", json=body).is_success)  # noqa: B023
        text = httpx.get(f"{address}/metrics", trust_env=False).text
        line = next(line for line in text.splitlines() if 'status="200"' in line)
        assert float(line.split()[-1]) == 40
        time.sleep(11)  # a worker that ended sooner would end all
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(set(children_of(server.pid)) - set(workers)) == 1, 20)
        until(lambda: ready(address), 60)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        until(lambda: not any(map(alive, workers)), 5)
    assert not listens(address)


class Large(DummyClassifier):  # type: ignore[misc]
    """A classifier of many bytes, of which no answer depends on any."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.size = size

    def fit(self, rows: Any, target: Any) -> Large:
        super().fit(rows, target)
        self.ballast_ = np.random.default_rng(0).bytes(self.size)
        return self


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_model_of_500_mb_is_held_once_and_others_are_answered_while_it_is_loaded(
    tmp_path: Path, environment: dict[str, str], first: Path
) -> None:
    import cloudpickle

    size = 500_000_000
    cloudpickle.register_pickle_by_value(sys.modules[Large.__module__])
    large = save(Large(size).fit(frame(), late(frame())), tmp_path / "large", frame())
    project = registered(tmp_path / "project", first, large)
    with started(project, environment) as (process, address):
        until(lambda: ready(address), 60)
        client = Client(address, timeout=240)

        def peak() -> int:
            text = Path(f"/proc/{process.pid}/status").read_text()
            return int(text.partition("VmHWM:")[2].split()[0]) * 1_024

        before = peak()
        done: list[int] = []
        loading = threading.Thread(
            target=lambda: done.append(client.predict("delay", [ROW], version=2).version)
        )
        loading.start()
        meanwhile = 0
        with httpx.Client(base_url=address, trust_env=False) as http:
            while loading.is_alive():
                answer = http.post("/models/delay/versions/1/predict", json={"rows": [ROW]})
                assert answer.status_code == 200
                meanwhile += 1
                time.sleep(0.001)  # the loading needs a processor too
        loading.join()
        assert done == [2]
        assert meanwhile > 50
        assert size < peak() - before < 1.5 * size


def ready(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{address}/readyz", trust_env=False, timeout=2).status_code == 200
    return False


def children_of(pid: int) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists() and int(path.read_text().rpartition(")")[2].split()[1]) == pid
    ]


@pytest.mark.slow
def test_a_worker_that_cannot_start_ends_the_server_with_its_words(
    project: Path, environment: dict[str, str]
) -> None:
    command = [*SERVE, "--workers", "2", "--only", "delay/9"]
    done = subprocess.run(
        command,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no version 9 of delay (registered: v1, v2)" in done.stderr


def test_it_says_that_there_is_nothing_to_serve_yet(capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    stop.set()
    _follow(ServedVersions(Registry()), 1.0, stop)
    assert capsys.readouterr().err == "nothing to serve yet: release a model\n"


@pytest.mark.slow
def test_a_starter_that_is_killed_takes_the_server_with_it(
    project: Path, environment: dict[str, str]
) -> None:
    script = f"""
import time
from pathlib import Path
from mergeline.adapters.scoring_server import running_server
with running_server({SERVE!r}, cwd=Path({str(project)!r}), env={environment!r}) as address:
    print(address, flush=True)
    time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    address = starter.stdout.readline().strip()
    assert listens(address)
    starter.kill()
    starter.communicate()
    until(lambda: not listens(address), 10)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (Options(only="delay"), InputError, "--only takes MODEL/VERSION"),
        (Options(only="delay/9"), NotFoundError, r"no version 9 of delay \(registered: v1, v2\)"),
        (Options(only="delay/²"), InputError, "--only takes MODEL/VERSION, not 'delay/²'"),
        (Options(only=f"delay/{'9' * 5_000}"), InputError, "--only takes MODEL/VERSION"),
        (Options(poll=0), InputError, "--poll takes seconds above 0"),
        (Options(poll=math.inf), InputError, "--poll takes seconds above 0, not inf"),
        (Options(poll=math.nan), InputError, "--poll takes seconds above 0, not nan"),
        (Options(poll=1e10), InputError, "--poll takes seconds above 0"),
        (Options(port=99_999), InputError, "--port takes 0 to 65535, not 99999"),
        (Options(host="nowhere.invalid"), DeployError, "cannot listen there: "),
        (Options(port=-1), DeployError, "cannot listen there: Address already in use"),
    ],
)
def test_what_cannot_be_done_is_said(
    project: Path,
    environment: dict[str, str],
    options: Options,
    kind: type[Exception],
    said: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if options.port < 0:
            options = replace(options, port=taken.getsockname()[1])
        with pytest.raises(kind, match=said):
            serve(Project.at(project, environment), options)


def test_a_server_that_does_not_start_says_why(project: Path, environment: dict[str, str]) -> None:
    command = [*SERVE, "--only", "delay"]
    with (
        pytest.raises(DeployError, match=r"did not start: .*--only takes MODEL/VERSION"),
        running_server(command, cwd=project, env=environment),
    ):
        pass


@pytest.mark.slow
def test_a_server_that_says_nothing_is_not_waited_for_forever_nor_left(
    project: Path,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mergeline.adapters.scoring_server._STOP", 0.5)
    note = tmp_path / "pid"
    script = (
        f"import os, pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(120)"
    )
    with (
        pytest.raises(DeployError, match="did not start: it printed nothing"),
        running_server([sys.executable, "-c", script], cwd=project, env=environment, patience=1),
    ):
        pass
    until(lambda: not alive(int(note.read_text())))
