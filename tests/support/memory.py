"""What a piece of code takes, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_BETWEEN = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def peak_memory(code: str, *arguments: object) -> tuple[str, float]:
    """What the code printed, and the most memory that it took, in MB.

    A process begins with the peak of the one that starts it, and that of the tests is large: a
    small one stands between.
    """
    done = subprocess.run(
        [sys.executable, "-c", _BETWEEN, textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    unit = 1 if sys.platform == "darwin" else 1024
    return done.stdout, int(done.stderr.splitlines()[-1]) * unit / 1e6
