"""What converting one large drop takes: seconds and peak memory.

    python benchmarks/conversion.py [--gigabytes 4]
    python benchmarks/conversion.py --drops 4 --gigabytes 0.3 --rounds 3

A CSV with a key, dates, moments, texts and numbers becomes Parquet under its contract, every value
checked. Goal: at most 1 GB of memory, whatever the size of the drop. Exits with 1 above it.
In the same run DuckDB makes Parquet of the same file; it checks types, no bound and no key.

Several drops are converted one after the other, and two at a time in threads and in processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from mergeline.adapters.delta.building import make_file
from mergeline.adapters.delta.storage import open_storage
from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import Contract, parse_contract

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


def write(path: Path, size: int) -> int:
    """A CSV of at least so many bytes; its rows."""
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
    return part * ROWS


def convert_side_by_side(source: Path, folder: Path, drops: int, at_once: int, way: str) -> None:
    """What `mergeline snapshot` does before its commit, in threads or in spawned processes."""
    contract = parse_contract("trips", CONTRACT)
    make = partial(
        make_file, open_storage(str(folder)), contract, write=partial(_rows, source, contract)
    )
    named = [Drop(f"{number}.csv", f"{number:032}") for number in range(drops)]
    spawned = multiprocessing.get_context("spawn")
    pool: Executor = (
        ProcessPoolExecutor(at_once, mp_context=spawned)
        if way == "processes"
        else ThreadPoolExecutor(at_once)
    )
    with pool:
        list(pool.map(make, named))


def _rows(source: Path, contract: Contract, drop: Drop, target: Path) -> None:
    convert(source, drop, contract, target)


def convert_by_duckdb(source: Path, folder: Path) -> None:
    """The same columns as Parquet of the same compression, within the memory that we have."""
    import duckdb

    types = {
        "id": "BIGINT", "day": "DATE", "at": "TIMESTAMP", "carrier": "VARCHAR",
        "delay": "DOUBLE", "distance": "INTEGER",
    }  # fmt: skip
    duckdb.sql(f"SET memory_limit = '{GOAL_MB}MB'")
    duckdb.sql(f"""
        COPY (FROM read_csv('{source}', auto_detect = false, header = true, nullstr = 'NA',
                            columns = {types}))
        TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)
    """)


def measure(*arguments: object) -> tuple[float, float] | None:
    """Seconds and megabytes at the peak of a process of its own; None if it fails.

    If that process starts others, the megabytes are those of the largest of them.
    """
    since = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, *map(str, arguments)])
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
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--duckdb", nargs=2, type=Path, help=argparse.SUPPRESS)  # the same
    arguments = parser.parse_args()
    if arguments.one:
        source, folder, drops, at_once, way = arguments.one
        convert_side_by_side(Path(source), Path(folder), int(drops), int(at_once), way)
        return 0
    if arguments.duckdb:
        convert_by_duckdb(*arguments.duckdb)
        return 0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    ways = [(1, "threads")]
    ways += [(2, "threads"), (2, "processes")] if arguments.drops > 1 else [(1, "DuckDB")]
    highest, took = 0.0, dict[tuple[int, str], list[float]]()
    with tempfile.TemporaryDirectory(prefix="mergeline-bench-") as temporary:
        source = Path(temporary, "trips.csv")
        rows = write(source, int(arguments.gigabytes * 1e9))
        size = source.stat().st_size * arguments.drops
        for at_once, way in ways * arguments.rounds:
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                if way == "DuckDB":
                    measured = measure("--duckdb", source, folder)
                else:
                    measured = measure("--one", source, folder, arguments.drops, at_once, way)
            if measured is None:
                return 1
            seconds, peak = measured
            highest = max(highest, peak if way != "DuckDB" else 0)
            took.setdefault((at_once, way), []).append(seconds)
            print(
                f"{arguments.drops} drops of {rows:,} rows, {at_once} at once ({way}): "
                f"{size / 1e9:.1f} GB in {seconds:.0f} s ({size / 1e6 / seconds:.0f} MB/s), "
                f"{peak:.0f} MB peak",
                flush=True,
            )
    alone = statistics.median(took[1, "threads"])
    for at_once, way in ways[1:]:
        ratio = alone / statistics.median(took[at_once, way])
        print(f"{at_once} {way}: {ratio:.2f} x as fast as one at a time in mergeline")
    if arguments.drops == 1:
        print(f"goal: {GOAL_MB} MB at the peak")
        return int(highest > GOAL_MB)
    return 0


if __name__ == "__main__":
    sys.exit(main())
