"""Confined children that begin with their libraries imported: forks of one process that did that.

    python -P -s -B -m mergeline.system.confined_forks

Importing pandas and scikit-learn takes a second of processor time. So one process does it once. It
runs nothing that nobody vouches for; each fork of it raises walls around itself
(`confined_start`) before it does. Standard input is a Unix socket. A question on it is an order as
JSON, with four handles: the child's standard input, output and error, and a pipe for its exit code.
The answer is the child's number, with a handle of the process (pidfd). Both end together: the
program with its socket, and the children with the program.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mergeline.errors import WallsError
from mergeline.system import confined_start

_MOST = 1_000_000  # bytes of an order
_HANDLES = 4


class Fork:
    """A child of the program, as `subprocess.Popen` has its own; several threads may hold it."""

    def __init__(self, pid: int, pidfd: int, code: int) -> None:
        self.pid = pid
        self._pidfd, self._code = pidfd, 0
        self._ended, self._letting_go = threading.Event(), threading.Lock()
        threading.Thread(target=self._await_code, args=(code,), daemon=True).start()

    def _await_code(self, pipe: int) -> None:
        # Nothing comes where the program itself was ended, and took its children with it.
        code = int(os.read(pipe, 20) or -signal.SIGKILL)
        os.close(pipe)
        with self._letting_go:
            os.close(self._pidfd)
            self._code = code
            self._ended.set()

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._code if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit code.

        Raises:
            TimeoutExpired: it still runs after so many seconds.
        """
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._code

    def end(self) -> None:
        """Kill it, if it runs."""
        with self._letting_go, contextlib.suppress(ProcessLookupError):
            if not self._ended.is_set():
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self.wait()


class _Program:
    """The running program, as the process sees it that asks for children."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.of = os.getpid(), dict(environment)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-B", "-m", __name__],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd="/", env=dict(environment), start_new_session=True,
            )  # fmt: skip
        atexit.register(self.close)

    def ask(self, order: bytes, handles: Sequence[int]) -> tuple[int, int]:
        try:
            socket.send_fds(self._socket, [order], handles)
            answer, (pidfd,), _, _ = socket.recv_fds(self._socket, 20, 1)
        except (OSError, ValueError) as error:  # it ended: nothing came, and no handle
            raise WallsError(
                "the process that starts confined children ended", next_step="Run it again"
            ) from error
        return int(answer), pidfd

    def close(self) -> None:
        atexit.unregister(self.close)
        self._socket.close()
        if self.of[0] == os.getpid():
            self._process.wait()


_guard = threading.Lock()
_program: _Program | None = None


def fork(
    order: Mapping[str, Any], environment: Mapping[str, str], handles: tuple[int, int, int]
) -> Fork:
    """Start a child with these handles as its standard input, output and error.

    Args:
        order: as `confined_start` takes it; `imports` names what is imported before.
        environment: of the program.
        handles: numbers of open files, which stay open here.

    Raises:
        WallsError: the program does not start, or was ended.
    """
    code, theirs = os.pipe()
    asked = json.dumps(order).encode(), [*handles, theirs]
    try:
        with _guard:
            try:
                pid, pidfd = _running(environment).ask(*asked)
            except WallsError:  # it was ended by somebody: another one takes its place, once
                pid, pidfd = _running(environment, anew=True).ask(*asked)
    except BaseException:
        os.close(code)
        raise
    finally:
        os.close(theirs)
    return Fork(pid, pidfd, code)


def _running(environment: Mapping[str, str], *, anew: bool = False) -> _Program:
    global _program  # noqa: PLW0603 - one for all, since it costs a second to begin
    if _program is None or anew or _program.of != (os.getpid(), environment):
        if _program is not None:
            _program.close()
        _program = _Program(environment)
    return _program


def main() -> None:
    """Fork for each order until the socket ends."""
    asked = socket.socket(fileno=os.dup(0))
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    code_pipes: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 1_000)
            _report_ended(code_pipes)
        if asked.fileno() in ready:
            text, handles, _, _ = socket.recv_fds(asked, _MOST, _HANDLES)
            if not text:
                return
            order = json.loads(text)
            for module in order["imports"]:
                with contextlib.suppress(Exception):  # the child says what it lacks
                    importlib.import_module(module)
            order["parent"] = os.getpid()
            pid = os.fork()
            if not pid:
                _become(order, handles)
            code_pipes[pid] = handles.pop()
            pidfd = os.pidfd_open(pid)
            with contextlib.suppress(BrokenPipeError):
                socket.send_fds(asked, [str(pid).encode()], [pidfd])
            for handle in (pidfd, *handles):
                os.close(handle)


def _report_ended(code_pipes: dict[int, int]) -> None:
    for pid in list(code_pipes):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            pipe = code_pipes.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(pipe)


def _become(order: Mapping[str, Any], handles: Sequence[int]) -> NoReturn:
    """Be the child: with nothing of the program but what it imported."""
    code: Any = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handle in enumerate(handles[:3]):
            os.dup2(handle, number)
        os.closerange(3, 1 << 20)
        os.setpgid(0, 0)
        os.chdir(order["scratch"])
        os.environ.update(HOME=order["scratch"], TMPDIR=order["scratch"])
        tempfile.tempdir = None
        if random := sys.modules.get("numpy.random"):
            random.seed()  # else all children would draw the same numbers
        confined_start.begin(order)
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:  # noqa: BLE001 - a process ends here
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    main()
