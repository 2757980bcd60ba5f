"""`serve`: the scoring server as a process, following the registry."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.core.release.version import Version
from mergeline.errors import DeployError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.serving.app import VERSION_NUMBER, make_app
from mergeline.serving.served_versions import ServedVersions

_LAST_PORT = 65_535
_GRACE = 2  # seconds for requests under way, and for a look at the registry, to end
_MOST_CONNECTIONS = 1_000


def serve(project: Project, *, host: str, port: int, poll: float, only: str | None) -> None:
    """Serve a project's registry until the process is told to stop.

    `port` 0 takes any free one; the address is printed on standard error. `poll` is the seconds
    between looks at the registry, `only` a `model/version` to serve alone, whatever its stage.

    Raises:
        DeployError: the address cannot be listened on.
        InputError: `only` is not `model/version`, or `poll` or `port` is out of bounds.
        NotFoundError: `only` is not registered.
    """
    if not 0 < poll <= threading.TIMEOUT_MAX:
        raise InputError(f"--poll takes seconds above 0, not {poll:g}")
    tracking = project.tracking

    def fetch(version: Version, scratch: Path) -> Path:
        return tracking.model_files(version.model, version.number, scratch)

    served_versions = ServedVersions(_versions(tracking, only), fetch)
    run(served_versions, host=host, port=port, poll=poll)


def run(served_versions: ServedVersions, *, host: str, port: int, poll: float) -> None:
    """Serve until the process is told to stop; standard error shows what is served, and changes."""
    with _listen(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, _request_stop)
        served_versions.reconcile()
        server = uvicorn.Server(uvicorn_settings(make_app(served_versions)))
        address, port = listener.getsockname()[:2]
        address = f"[{address}]" if ":" in address else address
        _log(f"serving on http://{address}:{port}")
        stop = threading.Event()
        follower = threading.Thread(target=_follow, args=(served_versions, poll, stop), daemon=True)
        follower.start()
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
            follower.join(_GRACE)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:  # the resolver would take the remainder
        raise InputError(f"--port takes 0 to {_LAST_PORT}, not {port}")
    try:
        # asyncio sets TCP_NODELAY only on a socket that names its protocol; without it, each answer
        # on a kept connection waits 40 ms for the acknowledgement of its first half.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        with contextlib.ExitStack() as undo:
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
            undo.pop_all()
            return listener
    except OSError as error:
        raise DeployError(
            f"cannot listen there: {error.strerror or error}",
            where=f"{host}:{port}",
            next_step="Choose another --host or --port",
        ) from error


def uvicorn_settings(app: Starlette) -> uvicorn.Config:
    """Uvicorn's settings of the scoring server."""
    limit = most_connections()
    return uvicorn.Config(
        app,
        http="h11",  # limits the size of an incomplete head
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=limit,
        # As many are accepted at once, before a limit is looked at.
        backlog=max(16, limit // 4),
    )


def most_connections() -> int:
    """A third of the files that the process may open, since it needs some for itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(2, min(_MOST_CONNECTIONS, files // 3))


class _StopRequest(KeyboardInterrupt):
    """SIGTERM arrived: clean up as on any other end, and leave with 0.

    A SystemExit would count as the failure of a model that is loading; after a plain
    KeyboardInterrupt from within its `exec`, Python ends the process as killed by SIGINT.
    """


def _request_stop(signum: int, frame: object) -> None:  # noqa: ARG001
    raise _StopRequest


def _follow(served_versions: ServedVersions, poll: float, stop: threading.Event) -> None:
    summary = served_versions.summary()
    _log(summary)
    while not stop.wait(poll):
        served_versions.reconcile()
        if (now := served_versions.summary()) != summary:
            summary = now
            _log(f"now {summary}")


def _log(text: str) -> None:
    """Write to standard error, the log of a server process with or without a command line."""
    with contextlib.suppress(OSError):  # nobody reads: no reason to stop serving
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def _versions(tracking: Tracking, only: str | None) -> Callable[[], Sequence[Version]]:
    if only is None:
        return tracking.standing
    model, _, number = only.rpartition("/")
    if not model or not re.fullmatch(VERSION_NUMBER, number):
        raise InputError(f"--only takes MODEL/VERSION, not {only!r}")

    registered = {version.number: version for version in tracking.versions(model)}
    if int(number) not in registered:
        numbers = ", ".join(f"v{registered_number}" for registered_number in registered) or "none"
        raise NotFoundError(
            f"no version {number} of {model} (registered: {numbers})",
            next_step="Look: mergeline history",
        )
    # It is served whatever its stage, even archived; what a version is does not change.
    wanted = [replace(registered[int(number)], stage="None")]
    return lambda: wanted
