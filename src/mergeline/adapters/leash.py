"""Run a command that ends when the process that started it does, however that ends.

    python -m mergeline.adapters.leash COMMAND [ARGUMENT ...]

The starter holds this process's standard input open and never writes to it. When it is closed, the
whole process group, which must be this command's own, is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Run the command; its exit code is ours."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    sys.exit(child.wait())


def _end_with_starter() -> None:
    while os.read(0, 1):  # not sys.stdin: its lock, held at exit, aborts the interpreter
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
