"""The scoring server from outside: asking it over HTTP, and running one for a while."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import re
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from mergeline.core.release.verification import Traffic
from mergeline.errors import DeployError, InputError, MergelineError, NotFoundError
from mergeline.system.child_process import end_child, start_child
from mergeline.system.confinement import Walls, start_confined

if TYPE_CHECKING:
    import httpx

_ADDRESS = re.compile(r"serving on (http://\S+)")
_SINGLE = "mergeline.serving.single"
_TIMEOUT = 30.0  # seconds
_STOP = 5.0  # seconds that a server has to end by itself
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        predictions: for each row probabilities in the order of `classes`, or a number.
    """

    model: str
    version: int
    stage: str
    fingerprint: str
    model_digest: str
    classes: tuple[Any, ...]
    predictions: list[Any]


class Client:
    """Asks the models that a scoring server holds.

    Args:
        url: address of the server, e.g. `http://127.0.0.1:8000`.
        timeout: seconds that an answer may take.
        socket: of a server that listens on a Unix socket; `url` is then only its name.
        token: of a server that needs one.

    Example:
        >>> Client("http://127.0.0.1:8000").predict("delay", [{"origin": "JFK", ...}])
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        socket: Path | None = None,
        token: str | None = None,
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        # One connection, kept: a new one for each question costs more than the answer.
        plain = self.url.lower().startswith("http:")  # then no certificates need to be read
        way = httpx.HTTPTransport(uds=str(socket)) if socket else None
        self._http = httpx.Client(
            timeout=timeout,
            trust_env=False,
            verify=not plain,
            transport=way,
            headers={"authorization": f"Bearer {token}"} if token else None,
        )
        weakref.finalize(self, self._http.close)

    def close(self) -> None:
        """Close its connection; that happens by itself too, when nobody holds it any more."""
        self._http.close()

    def predict(
        self,
        model: str,
        rows: Any,  # noqa: ANN401 - records, or a pandas or polars frame
        *,
        stage: str = "production",
        version: int | None = None,
    ) -> Answer:
        """Predictions of the model in a stage, or of one version of it.

        Args:
            model: its name.
            rows: records by column, or a pandas or polars DataFrame.
            stage: `production` or `staging`.
            version: instead of a stage.

        Raises:
            NotFoundError: the server holds no such model, version or stage.
            InputError: the rows are not what the model takes.
            DeployError: the server cannot be reached, or fails.
        """
        which = f"stages/{quote(stage, safe='')}" if version is None else f"versions/{version}"
        path = f"/models/{quote(model, safe='')}/{which}/predict"
        try:
            body = json.dumps({"rows": records(rows)}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"the rows cannot be sent as JSON: {error}", where="rows") from error
        answer = self._ask("POST", path, body)
        return Answer(
            model=self._take(answer, "model", str),
            version=self._take(answer, "version", int),
            stage=self._take(answer, "stage", str),
            fingerprint=self._take(answer, "fingerprint", str),
            model_digest=self._take(answer, "model_digest", str),
            classes=tuple(self._take(answer, "classes", list)),
            predictions=self._take(answer, "predictions", list),
        )

    def models(self) -> list[dict[str, Any]]:
        """Each model with its versions, their stages, and whether they are loaded."""
        models: list[dict[str, Any]] = self._take(self._ask("GET", "/models"), "models", list)
        for model in models:
            self._take(model, "name", str)
            for version in self._take(model, "versions", list):
                self._take(version, "version", int)
                self._take(version, "stage", str)
                self._take(version, "model_digest", str)
                self._take(version, "loaded", bool)
        return models

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a model; empty if the server holds no such model."""
        return next((held["versions"] for held in self.models() if held["name"] == model), [])

    def traffic(self, model: str, version: int) -> Traffic:
        """What the server has counted of a version; nothing of one that nobody asked."""
        answer = self._send("GET", "/metrics")
        if answer.status_code != 200:
            raise _refused(answer.status_code, None, self.url)
        try:
            return _traffic(answer.text, {"model": model, "version": str(version)})
        except ValueError as error:
            raise _not_ours(self.url) from error

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        answer = self._send(method, path, body)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if answer.status_code == 200 and isinstance(document, dict):
            return document
        raise _refused(answer.status_code, document, self.url)

    def _send(self, method: str, path: str, body: str | None = None) -> httpx.Response:
        import httpx

        headers = {"content-type": "application/json"} if body else None
        try:
            request = self._http.build_request(
                method, self.url + path, content=body, headers=headers
            )
            try:
                return self._http.send(request)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # The kept connection was closed while nobody asked; asking again changes nothing.
                return self._http.send(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeployError(
                f"the scoring server does not answer: {error}",
                where=self.url,
                next_step="Start it (mergeline serve), or correct the address",
            ) from error

    def _take(self, document: Any, name: str, kind: type[T]) -> T:  # noqa: ANN401 - any JSON
        """What an answer has under a name; a server that leaves it out is not ours."""
        value = document.get(name) if isinstance(document, dict) else None
        if type(value) is not kind:  # not isinstance: a bool is no number here
            raise _not_ours(self.url)
        return value


@contextlib.contextmanager
def running_server(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], patience: float = 60.0
) -> Iterator[str]:
    """A scoring server in a process of its own, ended with the block; yields its address.

    `command` prints `serving on ADDRESS` on standard error, in `patience` seconds at most; `env` is
    its whole environment.

    Raises:
        DeployError: it ended, or was not up in time; with the last lines that it printed.
    """
    process = start_child(
        command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    last_lines: deque[str] = deque(maxlen=10)
    address: Future[str] = Future()

    def read() -> None:
        """Read until the server ends, so that it never blocks on a full pipe."""
        for line in process.stderr or ():
            last_lines.append(line.rstrip())
            if not address.done() and (match := _ADDRESS.search(line)):
                address.set_result(match.group(1))
        if not address.done():
            address.set_exception(EOFError())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        try:
            known_address = address.result(patience)
        except (TimeoutError, EOFError) as error:
            message = "; ".join(filter(None, last_lines))[-500:] or "it printed nothing"
            raise DeployError(f"the scoring server did not start: {message}") from error
        _await_loaded(known_address, patience)
        yield known_address
    finally:
        end_child(process, patience=_STOP)
        reader.join(_STOP)
        for stream in filter(None, (process.stdin, process.stderr)):
            with contextlib.suppress(OSError):
                stream.close()


@contextlib.contextmanager
def confined_server(
    walls: Walls, folder: Path, version: str, *, patience: float = 60.0
) -> Iterator[Client]:
    """The scoring server over one model folder, behind walls, as long as the block lasts.

    It can open no socket. It is given one to listen on, and that is its only way out.

    Args:
        walls: as `find_walls` found them.
        folder: of the MLflow model.
        version: the version that it serves, as JSON.
        patience: seconds that it may take to start and answer.

    Raises:
        DeployError: it ended, with the last that it printed.
    """
    with tempfile.TemporaryDirectory(prefix="mergeline-") as place:
        address = Path(place) / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(address))
            listener.listen()
            arguments = [str(folder.resolve()), version]
            child = start_confined(walls, _SINGLE, arguments, readable=[folder], stdin=listener)
            running = contextlib.ExitStack()
            server = running.enter_context(child)
        with running:  # only the child listens now: where it ends, nobody waits for it
            client = Client("http://smoke-test", timeout=patience, socket=address)
            running.callback(client.close)
            try:
                yield client
            except DeployError as error:
                server.end()
                words = " ".join(server.last_words().split())[-300:]
                raise DeployError(
                    f"{error.message} ({words})" if words else error.message
                ) from error


def _await_loaded(address: str, patience: float) -> None:
    """Wait until a server that listens has loaded what it serves, or knows why it cannot."""
    import httpx

    until = time.monotonic() + patience
    with httpx.Client(trust_env=False, timeout=patience) as http:
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                if not http.get(f"{address}/readyz").json().get("loading"):
                    return
            time.sleep(0.05)
    raise DeployError(f"the scoring server did not start: it still loads after {patience:g} s")


def records(rows: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Records, or a pandas or polars frame, as JSON has them; each number to its last digit.

    Raises:
        TypeError: it is not one row after another.
    """
    if hasattr(rows, "to_dicts"):
        rows = rows.to_dicts()
    elif hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        rows = rows.to_dict("records")
    if isinstance(rows, Mapping | str):
        raise TypeError("a list of records is expected, one for each row")
    return [{name: _json_value(value) for name, value in row.items()} for row in map(dict, rows)]


def _json_value(value: Any) -> Any:  # noqa: ANN401
    """A value of a frame as JSON has it: to the last digit, times by ISO 8601, gaps as null."""
    if isinstance(value, str | bool | int) or value is None:
        return value
    if type(value).__name__ == "NAType" or value != value:  # noqa: PLR0124 - NaN and NaT
        return None
    if isinstance(value, dt.date):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _traffic(page: str, wanted: dict[str, str]) -> Traffic:
    """What a page for Prometheus says of the version with these labels."""
    from prometheus_client.parser import text_string_to_metric_families

    requests = failed = 0
    within: dict[float, int] = {}
    rows: dict[float, int] = {}
    samples = (
        sample for family in text_string_to_metric_families(page) for sample in family.samples
    )
    for name, labels, value, *_ in samples:
        if not wanted.items() <= labels.items():
            continue
        if name == "mergeline_requests_total":
            requests += int(value)
            failed += int(value) if labels["status"] >= "500" else 0
        elif name == "mergeline_request_seconds_bucket":
            within[float(labels["le"])] = int(value)
        elif name == "mergeline_probabilities_total":
            rows[float(labels["from"])] = int(value)
    within.pop(math.inf, None)
    return Traffic(requests, failed, tuple(sorted(within.items())), tuple(sorted(rows.items())))


def _refused(status: int, document: object, url: str) -> MergelineError:
    problem = document.get("error") if isinstance(document, dict) else None
    if not isinstance(problem, dict):
        # A proxy in between answers for a server that is away.
        away = DeployError(f"the server answered {status}", where=url, next_step="Run again later")
        return away if status >= 500 else _not_ours(url)
    kinds = {404: NotFoundError, 400: InputError, 413: InputError, 422: InputError}
    return kinds.get(status, DeployError)(
        str(problem.get("message") or f"the server answered {status}"),
        where=str(problem.get("where") or url),
        next_step=str(problem.get("next_step") or ""),
    )


def _not_ours(url: str) -> DeployError:
    return DeployError(
        "is not a mergeline server: it answers in another form",
        where=url,
        next_step="Correct the address (MERGELINE_SERVER)",
    )
