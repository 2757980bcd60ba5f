"""How much longer `mergeline --help` takes than Python by itself.

    python benchmarks/startup.py

Goal: at most 0.15 s. Exits with 1 above it. Runs are interleaved, so that a busy machine weighs on
both alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 20
GOAL = 0.15


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    since = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - since


def main() -> int:
    """Print the two medians and their difference."""
    mergeline = str(Path(sys.executable).with_name("mergeline"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mergeline --help": [mergeline, "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(RUNS + 1):
        for name, command in commands.items():
            once = seconds(command)
            if run:  # the first fills the file cache
                taken[name].append(once)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in medians.items():
        print(f"{name:<18} {median:6.3f} s   ({min(taken[name]):.3f}–{max(taken[name]):.3f})")
    more = medians["mergeline --help"] - medians["python -c pass"]
    print(f"{'difference':<18} {more:6.3f} s   goal {GOAL} s")
    return int(more > GOAL)


if __name__ == "__main__":
    sys.exit(main())
