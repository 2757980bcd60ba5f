"""Run a command that ends when the process that started it does, however that ends.

    python -m mergeline.system.child_process COMMAND [ARGUMENT ...]

The starter holds this process's standard input open and never writes to it. When it is closed, the
whole process group, which must be this command's own, is told to end, and soon after killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

_GRACE = 2.0  # seconds to end by oneself


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
