"""What converting one large drop takes: seconds and peak memory.

    python benchmarks/conversion.py [--gigabytes 4]
    python benchmarks/conversion.py --drops 4 --gigabytes 1

A CSV with a key, dates, moments, texts and numbers becomes Parquet under its contract, every value
checked. Goal: at most 1 GB of memory, whatever the size of the drop. Exits with 1 above it.

With several drops they become a snapshot, first one at a time and then side by side.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

GOAL_MB = 1000
ROWS = 1_000_000
CONTRACT = """\
source: data/raw/trips
format: csv
null: [NA]
key: [day, id]
columns:
  id: {type: int64}
  day: {type: date, min: 2013-01-01}
  at: {type: datetime}
  carrier: {type: string, allowed: [AA, B6, DL, UA]}
  delay: {type: float64, nullable: true}
  distance: {type: int32, min: 0}
"""
CONVERT = """
import sys
from pathlib import Path
from mergeline.adapters.drops.convert import convert
from mergeline.core.declare.contract import parse_contract
from mergeline.core.data.snapshot import Drop
contract = parse_contract("trips", sys.argv[3])
target = Path(sys.argv[2])
rows = convert(Path(sys.argv[1]), Drop("trips.csv", ""), contract, target)
print(f"{rows:,} rows, {target.stat().st_size / 1e6:,.0f} MB of Parquet")
"""
SNAPSHOT = """
import sys
from pathlib import Path
from mergeline.adapters.delta import building
from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop, Provenance, Snapshot
from mergeline.core.declare.contract import parse_contract
building._AT_ONCE = int(sys.argv[4])
contract = parse_contract("trips", sys.argv[3])
drops = tuple(Drop(f"{n}.csv", f"{n:032}") for n in range(int(sys.argv[5])))
snapshot = Snapshot("trips", contract, drops)
def write(drop, target):
    convert(Path(sys.argv[1]), drop, contract, target)
built = Tables(sys.argv[2]).build(snapshot, write, Provenance())
print(f"{built.rows:,} rows of {len(drops)} drops, {sys.argv[4]} at once")
"""


def write(path: Path, size: int) -> None:
    """A CSV of at least so many bytes."""
    random = np.random.default_rng(0)
    start = np.datetime64("2013-01-01T00:00:00", "ms")
    with path.open("wb") as sink:
        part = 0
        while sink.tell() < size:
            frame = pl.DataFrame(
                {
                    "id": np.arange(part * ROWS, (part + 1) * ROWS),
                    "at": start + random.integers(0, 31_536_000_000, ROWS),
                    "carrier": random.choice(["AA", "B6", "DL", "UA"], ROWS),
                    "delay": np.round(random.gamma(2, 9, ROWS) - 8, 1),
                    "distance": random.integers(80, 4983, ROWS),
                }
            ).select(
                "id",
                pl.col("at").dt.date().alias("day"),
                pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "carrier",
                "delay",
                "distance",
            )
            frame.write_csv(sink, include_header=part == 0)
            part += 1


def measure(code: str, *arguments: object) -> tuple[float, float] | None:
    """Seconds and megabytes at the peak of a process of its own; None if it fails."""
    since = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - since
    if os.waitstatus_to_exitcode(status):
        return None
    return seconds, usage.ru_maxrss * (1 if platform.system() == "Darwin" else 1024) / 1e6


def main() -> int:
    """Measure, print, and hold against the goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of each drop")
    parser.add_argument("--drops", type=int, default=1)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    highest = 0.0
    with tempfile.TemporaryDirectory(prefix="mergeline-bench-") as folder:
        source = Path(folder, "trips.csv")
        write(source, int(arguments.gigabytes * 1e9))
        size = source.stat().st_size * arguments.drops
        ways: list[tuple[object, ...]] = [
            (CONVERT, source, Path(folder, "trips.parquet"), CONTRACT)
        ]
        if arguments.drops > 1:
            ways = [
                (SNAPSHOT, source, Path(folder, f"tables{n}"), CONTRACT, n, arguments.drops)
                for n in (1, 2)
            ]
        for code, *rest in ways:
            measured = measure(str(code), *rest)
            if measured is None:
                return 1
            seconds, peak = measured
            highest = max(highest, peak)
            print(
                f"{size / 1e9:.1f} GB of CSV: {seconds:.0f} s ({size / 1e6 / seconds:.0f} MB/s), "
                f"{peak:.0f} MB peak (goal {GOAL_MB})"
            )
    return int(highest > GOAL_MB)


if __name__ == "__main__":
    sys.exit(main())
