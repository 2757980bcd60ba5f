"""Run a command that ends when the process that started it does, however that ends.

    python -m mergeline.system.child_process COMMAND [ARGUMENT ...]

`start_child` starts this, holds its standard input open and never writes to it. When that is
closed, the whole process group, which is this command's own, is told to end, and soon after killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_GRACE = 2.0  # seconds to end by oneself


def start_child(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
) -> subprocess.Popen[str]:
    """Start a command that ends with this process at the latest.

    `env` is its whole environment; besides, Python is told not to hold its output back.
    """
    return subprocess.Popen(
        # -P: this module is not looked for where the command runs.
        [sys.executable, "-P", "-m", "mergeline.system.child_process", *command],
        cwd=cwd,
        env={**env, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def end_child(process: subprocess.Popen[str], *, patience: float = 0.0) -> None:
    """Tell a child to end, and after `patience` seconds kill it and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None and patience:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the command; its exit code is ours."""
    # Sent to the whole group, it is the command's to obey; this process ends with it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    starter_is_gone = threading.Event()
    threading.Thread(target=_end_with_starter, args=(starter_is_gone,), daemon=True).start()
    code = child.wait()
    if starter_is_gone.is_set():
        os.killpg(0, signal.SIGKILL)  # what the command has started and not ended
    sys.exit(code)


def _end_with_starter(starter_is_gone: threading.Event) -> None:
    while os.read(0, 1):  # not sys.stdin: its lock, held at exit, aborts the interpreter
        pass
    starter_is_gone.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
