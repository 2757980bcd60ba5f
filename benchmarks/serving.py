"""One model behind `mergeline serve`, in each of its forms, and behind `mlflow models serve`.

    python benchmarks/serving.py

Needs `wrk` (Debian: apt-get install wrk). All servers are up at once and are asked in turn over
loopback, so that a busy machine weighs on each alike; a figure is the median of its rounds. The
model is a classifier of 100 trees over twelve numbers and four texts, as raw columns. For slower
forms the same model has a step that the faster one does not know. Prints the table of
docs/serving.md, and exits with 1 where a goal is missed or the answers differ. About three minutes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.scoring_server import records

if TYPE_CHECKING:
    import pandas as pd

FORMS = ["compiled", "arrays", "frame"]
ROUNDS = 3
SECONDS = 2  # of one round
CLIENTS = 8
STEADY = 32  # clients that wait between their requests
ROWS = 1_000  # of a large request
PATIENCE = 120.0  # seconds until a server must be up
CLOSE = 1e-12

Row = dict[str, Any]


@dataclass
class Server:
    """A server that is up.

    Attributes:
        seconds: from the start of its process to its first answer.
        path: where to ask, and `key` how the rows are called there.
    """

    name: str
    port: int
    path: str
    key: str
    pid: int = 0
    seconds: float = 0.0

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def body(self, rows: Sequence[Row]) -> bytes:
        """The request that asks for these rows."""
        return json.dumps({self.key: list(rows)}).encode()

    def ask(self, rows: Sequence[Row]) -> list[list[float]]:
        """The predictions."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url, self.body(rows), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            predictions: list[list[float]] = json.load(answer)["predictions"]
            return predictions

    def memory(self) -> float:
        """MB that its processes hold."""
        pages = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(folder.name)) == self.pid:
                    pages += int((folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def same(table: object) -> object:
    """A step that changes nothing, and that no form knows."""
    return table


def train(scratch: Path) -> tuple[dict[str, Path], list[Row]]:
    """Save a fitted model as MLflow has it, for each form; rows to ask about."""
    import cloudpickle
    import numpy as np
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    random = np.random.default_rng(0)
    rows = 20_000
    numbers = {f"x{i}": random.normal(size=rows) for i in range(12)}
    texts = {name: random.choice([f"v{i}" for i in range(20)], rows) for name in "abcd"}
    frame = pd.DataFrame({**numbers, **texts})
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = make_column_transformer((codes, list(texts)), remainder="passthrough")
    trees = HistGradientBoostingClassifier(random_state=0)
    target = frame["x0"] + frame["x1"] + (frame["a"] == "v3") > random.normal(size=rows)
    whole = make_pipeline(encode, trees).fit(frame, target)
    step = FunctionTransformer(same)
    models = {
        "compiled": whole,
        "arrays": make_pipeline(encode, step, trees),
        "frame": make_pipeline(step, encode, trees),
    }
    folders = {}
    for name, model in models.items():
        folders[name] = scratch / name
        save(model, folders[name], frame, whole.predict_proba(frame.head()))
    return folders, records(frame.head(ROWS))


def save(model: object, folder: Path, frame: pd.DataFrame, answers: object) -> None:
    """Save a model as a stage does."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(frame.head(), answers),
            input_example=frame.head(1),
            pip_requirements=["scikit-learn"],
            pyfunc_predict_fn="predict_proba",
            serialization_format="cloudpickle",
        )


def register(name: str, folder: Path, project: Path) -> None:
    """Put the model into production in the registry of a new project."""
    from mergeline.adapters.mlflow.tracking import Tracking

    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    tracking = Tracking(f"sqlite:///{project / '.mergeline' / 'mlflow.db'}", project / "artifacts")
    client = tracking.client
    client.create_registered_model(name)
    tags = {
        "mergeline.model_digest": model_digest(folder),
        "mergeline.fingerprint": "0" * 64,
        "mergeline.stage": "None",
    }
    client.create_model_version(name, source=str(folder), tags=tags)
    tracking.move(name, 1, "Production")


@contextlib.contextmanager
def running(server: Server, command: Sequence[str], cwd: Path, row: Row) -> Iterator[Server]:
    """A server in a process group of its own, once it has answered."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MERGELINE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    since = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            with contextlib.suppress(OSError):
                server.ask([row])
                break
            if process.poll() is not None or time.perf_counter() - since > PATIENCE:
                raise SystemExit(f"{server.name} did not start")
            time.sleep(0.02)
        server.pid, server.seconds = process.pid, time.perf_counter() - since
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second, and milliseconds of the median and of the slowest in 100."""

    rate: float
    p50: float
    p99: float


def load(server: Server, body: bytes, clients: int, scratch: Path, pause: float = 0.0) -> Load:
    """Ask by wrk; each client waits `pause` milliseconds between requests, more or less."""
    script = scratch / f"{server.name}.lua"
    waits = b"function delay() return math.floor(-math.log(1 - math.random()) * %f + 0.5) end\n"
    script.write_bytes(
        b'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        b"wrk.body = [==[" + body + b"]==]\n" + (waits % pause if pause else b"")
    )
    said = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{SECONDS}s", "--latency", "-s", script, server.url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{server.name} failed under load:\n{said}")
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    assert rate, said
    return Load(float(rate[1]), milliseconds(said, 50), milliseconds(said, 99))


def milliseconds(said: str, percent: int) -> float:
    """A percentile of the times that wrk prints."""
    found = re.search(rf"{percent}%\s+([0-9.]+)(us|ms|s)", said)
    assert found, said
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def steady(server: Server, row: Row, rate: float, scratch: Path) -> Load:
    """The load of many clients that ask this often together, at random times."""
    return load(server, server.body([row]), STEADY, scratch, pause=1000 * STEADY / rate)


@dataclass
class Figures:
    """What was measured of one server."""

    at_once: float
    alone: float
    large: float
    start: float
    memory: float


@dataclass
class Compiled:
    """What was measured of the compiled form alone.

    Attributes:
        restart: seconds to the first answer of a server that finds the form on disk.
        steady: at 70 % of what it can answer.
        workers: requests a second by two processes, as many times as by one.
    """

    restart: float
    steady: Load
    workers: float


def measure_compiled(server: Server, project: Path, row: Row, scratch: Path) -> Compiled:
    """Measure the compiled form's server further, and others like it."""
    command = [sys.executable, "-m", "mergeline", "serve", "--port"]
    restarts = []
    for _ in range(ROUNDS):
        again = Server("again", free_port(), server.path, server.key)
        with running(again, [*command, str(again.port)], project, row):
            restarts.append(again.seconds)
    rate = load(server, server.body([row]), CLIENTS, scratch).rate
    steadies = [steady(server, row, 0.7 * rate, scratch) for _ in range(ROUNDS)]
    two = Server("two", free_port(), server.path, server.key)
    with running(two, [*command, str(two.port), "--workers", "2"], project, row):
        times = []
        for _ in range(ROUNDS):
            both = load(two, two.body([row]), CLIENTS, scratch).rate
            times.append(both / load(server, server.body([row]), CLIENTS, scratch).rate)
    return Compiled(
        statistics.median(restarts),
        sorted(steadies, key=lambda one: one.p99 / one.p50)[ROUNDS // 2],
        statistics.median(times),
    )


def measure(servers: Sequence[Server], rows: list[Row], scratch: Path) -> list[Figures]:
    """Ask all in turn, round by round."""
    taken: list[list[tuple[float, float, float]]] = [[] for _ in servers]
    for number in range(ROUNDS + 1):
        for server, figures in zip(servers, taken, strict=True):
            at_once = load(server, server.body(rows[:1]), CLIENTS, scratch).rate
            alone = load(server, server.body(rows[:1]), 1, scratch).p50
            large = load(server, server.body(rows), 1, scratch).p50
            if number:  # the first round warms up
                figures.append((at_once, alone, large))
    medians = [[statistics.median(one) for one in zip(*kept, strict=True)] for kept in taken]
    return [
        Figures(*median, server.seconds, server.memory())
        for server, median in zip(servers, medians, strict=True)
    ]


def report(names: Sequence[str], figures: Sequence[Figures], more: Compiled) -> list[str]:
    """Print the table of docs/serving.md; the goals that were missed."""
    theirs = figures[-1]
    print(f"| | {' | '.join(names)} |")
    print(f"|---|{'--:|' * len(names)}")

    def row(title: str, values: list[str]) -> None:
        print(f"| {title} | {' | '.join(values)} |")

    row(f"1 row, {CLIENTS} clients, req/s", [f"{one.at_once:,.0f}" for one in figures])
    row("times mlflow's", [f"{one.at_once / theirs.at_once:.1f}" for one in figures])
    row("1 row, 1 client, p50 ms", [f"{one.alone:.2f}" for one in figures])
    row(f"{ROWS:,} rows, 1 client, p50 ms", [f"{one.large:.1f}" for one in figures])
    row("times faster than mlflow", [f"{theirs.large / one.large:.1f}" for one in figures])
    row("first start to first answer, s", [f"{one.start:.1f}" for one in figures])
    row("memory, MB", [f"{one.memory:.0f}" for one in figures])
    print(
        f"\ncompiled: {more.restart:.2f} s to the first answer of a further start; at 70 % load "
        f"p50 {more.steady.p50:.2f} ms, p99 {more.steady.p99:.2f} ms "
        f"({more.steady.rate:,.0f} req/s); two workers answer {more.workers:.2f} times as many"
    )
    compiled, arrays, frame = figures[:3]
    goals = {
        "compiled: 100 times the requests": compiled.at_once >= 100 * theirs.at_once,
        "arrays: 10 times the requests": arrays.at_once >= 10 * theirs.at_once,
        "frame: 3 times the requests": frame.at_once >= 3 * theirs.at_once,
        "compiled: one client's p50 of 0.35 ms": compiled.alone <= 0.35,
        f"compiled: {ROWS:,} rows 10 times as fast": theirs.large >= 10 * compiled.large,
        "compiled: start in 1.5 s": more.restart <= 1.5,
        "compiled: p99 of 4 times p50 at 70 % load": more.steady.p99 <= 4 * more.steady.p50,
        "compiled: 130 MB": compiled.memory <= 130,
    }
    return [goal for goal, reached in goals.items() if not reached]


def main() -> int:
    """Print the table and what was missed."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk)")
    with contextlib.ExitStack() as stack:
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="mergeline-benchmark-"))
        )
        folders, rows = train(scratch)
        servers = []
        for name in FORMS:
            project = scratch / f"project-{name}"
            register(name, folders[name], project)
            server = Server(name, free_port(), f"/models/{name}/stages/production/predict", "rows")
            command = [sys.executable, "-m", "mergeline", "serve", "--port", str(server.port)]
            servers.append(stack.enter_context(running(server, command, project, rows[0])))
            check_form(server)
        server = Server("mlflow", free_port(), "/invocations", "dataframe_records")
        command = [
            "mlflow", "models", "serve", "--model-uri", str(folders["compiled"]),
            "--port", str(server.port), "--env-manager", "local",
        ]  # fmt: skip
        servers.append(stack.enter_context(running(server, command, scratch, rows[0])))
        expected = servers[-1].ask(rows)
        apart = max(
            abs(one - other)
            for server in servers
            for mine, theirs in zip(server.ask(rows), expected, strict=True)
            for one, other in zip(mine, theirs, strict=True)
        )
        figures = measure(servers, rows, scratch)
        more = measure_compiled(servers[0], scratch / "project-compiled", rows[0], scratch)
        missed = report([server.name for server in servers], figures, more)
    print(
        f"\n{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"scikit-learn {version('scikit-learn')}, mlflow {version('mlflow')}, "
        f"treelite {version('treelite')}; largest difference in {len(rows):,} answers {apart:.1e}"
    )
    for goal in missed:
        print(f"missed: {goal}")
    return int(bool(missed) or apart > CLOSE)


def check_form(server: Server) -> None:
    """Make sure that a server asks its model in the form that is measured."""
    address = f"http://127.0.0.1:{server.port}/models/{server.name}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        (described,) = json.load(answer)["versions"]
    if described["form"] != server.name:
        raise SystemExit(f"{server.name} is asked as {described['form']}: {described}")


if __name__ == "__main__":
    sys.exit(main())
