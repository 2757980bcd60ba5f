"""Several processes that serve on one socket."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from subprocess import PIPE, Popen

_SOON = 10.0  # seconds: a worker that ends earlier will not do better the next time


def supervise(
    command: Sequence[str], count: int, *, listener: int, stopped: Callable[[], None]
) -> None:
    """Run a command in `count` processes, which share a listening socket, until told to stop.

    A worker that is killed is replaced. `listener` is the socket's file descriptor, `stopped`
    is called as soon as the end begins.

    Raises:
        SystemExit: a worker cannot serve and said why, with its exit code; or was killed at once.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="mergeline-metrics-") as counts:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": counts}
        workers = [_Worker(command, listener, environment) for _ in range(count)]
        failed = None
        while not failed and not stop.wait(0.1):
            failed = next((worker for worker in workers if worker.fails()), None)
        stopped()
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.process.wait()
    if failed:
        sys.exit(failed.process.returncode or 1)


class _Worker:
    """One process, and the one that takes its place."""

    def __init__(self, command: Sequence[str], listener: int, env: Mapping[str, str]) -> None:
        self._command = command
        self._listener = listener
        self._environment = env
        self._start()

    def _start(self) -> None:
        # Its standard input is never written to, and closes when this process ends.
        self.process = Popen(
            self._command, stdin=PIPE, pass_fds=[self._listener], env=self._environment
        )
        self._since = time.monotonic()

    def fails(self) -> bool:
        """Replace it if it has ended; whether that makes no sense."""
        if self.process.poll() is None:
            return False
        # It said why it cannot serve; one that was killed may do better, but not at once.
        if self.process.returncode > 0 or time.monotonic() - self._since < _SOON:
            return True
        self._start()
        return False

    def end(self) -> None:
        """Tell it to stop."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)


def end_with_starter() -> None:
    """End this worker when the process that started it has ended."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
