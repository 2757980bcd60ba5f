"""`serve`: the scoring server as a process, following the registry."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mergeline.core.release.version import Version
from mergeline.errors import InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.serving.app import Application, Settings
from mergeline.serving.connections import GRACE, Server, listen, uvicorn_settings
from mergeline.serving.kept_forms import KeptForms
from mergeline.serving.registered import Registered
from mergeline.serving.routes import VERSION_NUMBER
from mergeline.serving.served_versions import MEMORY, ServedVersions, Source
from mergeline.serving.workers import end_with_starter, supervise


@dataclass(frozen=True)
class Options:
    """What a person decides of a server.

    Attributes:
        port: 0 takes any free one.
        poll: seconds between looks at the registry.
        only: a `model/version` to serve alone, whatever its stage.
        memory: bytes that models without a stage may take, in each process.
        workers: how many processes serve.
        token: that a request must bear; empty: none.
        listener: the file descriptor of a socket that another process listens on.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    poll: float = 2.0
    only: str | None = None
    memory: int = MEMORY
    workers: int = 1
    mlflow_lenient: bool = False
    token: str = ""
    listener: int | None = None


def serve(project: Project, options: Options) -> None:
    """Serve a project's registry until the process is told to stop.

    Raises:
        DeployError: the address cannot be listened on.
        InputError: `only` is not `model/version`, or `poll` or `port` is out of bounds.
        NotFoundError: `only` is not registered.
        SystemExit: one of several workers cannot start.
    """
    if not 0 < options.poll <= threading.TIMEOUT_MAX:
        raise InputError(f"--poll takes seconds above 0, not {options.poll:g}")
    if options.workers > 1:
        _in_workers(options)
        return
    source: Source = Registered(project.tracking, project.store)
    if options.only is not None:
        source = _One(source, options.only)
    kept = KeptForms(project.state / "forms")
    run(ServedVersions(source, memory=options.memory, kept=kept), options)


def run(served_versions: ServedVersions, options: Options) -> None:
    """Serve until the process is told to stop; standard error shows what is served, and changes.

    It listens at once, and answers 503 until what the registry names is loaded.
    """
    if options.listener is None:
        listening = listen(options.host, options.port)
    else:
        listening = socket.socket(fileno=options.listener)
        end_with_starter()
    with listening as listener, contextlib.suppress(KeyboardInterrupt):
        # Requests that take a worker long must not keep the event loop from the others.
        sys.setswitchinterval(0.001)
        settings = Settings(mlflow_lenient=options.mlflow_lenient, token=options.token)
        server = Server(uvicorn_settings(Application(served_versions, settings)))
        signal.signal(signal.SIGTERM, server.handle_exit)
        if options.listener is None:
            _say_address(listener)
        stop = threading.Event()
        follower = threading.Thread(
            target=_follow, args=(served_versions, options.poll, stop), daemon=True
        )
        follower.start()
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
            follower.join(GRACE)


def _in_workers(options: Options) -> None:
    """Serve in several processes, each with the models of its own."""
    with listen(options.host, options.port) as listener:
        command = [
            sys.executable, "-P", "-m", "mergeline", "serve",
            "--listener", str(listener.fileno()),
            "--poll", str(options.poll),
            "--memory", str(options.memory // 1_000_000),
            *(["--only", options.only] if options.only else []),
            *(["--mlflow-lenient"] if options.mlflow_lenient else []),
        ]  # fmt: skip
        _say_address(listener)
        supervise(command, options.workers, listener=listener.fileno(), stopped=listener.close)


def _say_address(listener: socket.socket) -> None:
    address, port = listener.getsockname()[:2]
    address = f"[{address}]" if ":" in address else address
    _log(f"serving on http://{address}:{port}")


def _follow(served_versions: ServedVersions, poll: float, stop: threading.Event) -> None:
    summary = ""
    while True:
        served_versions.reconcile()
        if (now := served_versions.summary()) != summary:
            _log(f"now {now}" if summary else now)
            summary = now
        if stop.wait(poll):
            return


def _log(text: str) -> None:
    """Write to standard error, the log of a server process with or without a command line."""
    with contextlib.suppress(OSError):  # nobody reads: no reason to stop serving
        print(text, file=sys.stderr, flush=True)  # noqa: T201


class _One:
    """One registered version alone, served whatever its stage, even archived."""

    def __init__(self, source: Source, only: str) -> None:
        model, _, number = only.rpartition("/")
        if not model or not re.fullmatch(VERSION_NUMBER, number):
            raise InputError(f"--only takes MODEL/VERSION, not {only!r}")
        registered = {version.number: version for version in source.versions(model)}
        if int(number) not in registered:
            numbers = ", ".join(f"v{one}" for one in registered) or "none"
            raise NotFoundError(
                f"no version {number} of {model} (registered: {numbers})",
                next_step="Look: mergeline history",
            )
        self._source = source
        self._version = replace(registered[int(number)], stage="None")

    def standing(self) -> Sequence[Version]:
        """That version."""
        return [self._version]

    def versions(self, model: str) -> Sequence[Version]:  # noqa: ARG002
        """That version."""
        return [self._version]

    def model_files(self, model: str, number: int, into: Path) -> Path:
        """Its files."""
        return self._source.model_files(model, number, into)

    def holdout(self, version: Version, into: Path) -> Path | None:
        """Its holdout."""
        return self._source.holdout(version, into)
