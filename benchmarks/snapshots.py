"""What one more drop costs, on top of 12, 120 and 1,200.

    python benchmarks/snapshots.py [--rows 10000] [--drops 12 120 1200]

Three ways to have a table that holds all drops, after a new one came:

- `mergeline snapshot`: the command in a Git repository with one pointer a drop;
- a full rebuild: Polars reads every CSV, `write_deltalake(mode="overwrite")`;
- pandas + CSV: read every CSV, concatenate, write one CSV.

And what there is to know of it: `mergeline data diff`, of the commit with the new drop from the one
before it.

For each: bytes written, seconds of a process of its own, and its peak memory; for mergeline also
where the seconds go. Goals: bytes are exactly the new drop's Parquet and one log entry; seconds at
the most drops are at most 1.3 times those at the fewest, of the snapshot and of the diff. Exits
with 1 where one is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

RUNS = 9
GOAL = 1.3
CONTRACT = """\
source: data/raw/trips
format: csv
null: [NA]
key: [id]
columns:
  id: {type: int64}
  day: {type: date, min: 2013-01-01}
  at: {type: datetime}
  carrier: {type: string, allowed: [AA, B6, DL, UA]}
  origin: {type: string}
  delay: {type: float64, nullable: true}
  distance: {type: int32, min: 0}
  late: {type: bool}
"""
REBUILD = """
import sys
from pathlib import Path
import polars as pl
from deltalake import write_deltalake
files = sorted(Path(sys.argv[1]).glob("*.csv"))
rows = pl.scan_csv(files, null_values=["NA"], try_parse_dates=True).collect()
write_deltalake(sys.argv[2], rows.to_arrow(), mode="overwrite")
"""
PANDAS = """
import sys
from pathlib import Path
import pandas as pd
files = sorted(Path(sys.argv[1]).glob("*.csv"))
pd.concat([pd.read_csv(file) for file in files]).to_csv(sys.argv[2], index=False)
"""
# The same as the command, in parts.
PARTS = """
import json, sys, time
from pathlib import Path
start = time.perf_counter()
from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.adapters.dvc.drops import DropStore
from mergeline.core.data.snapshot import Provenance
from mergeline.lifecycle.steps import snapshots as data
from mergeline.lifecycle.steps.project import Project
ready = time.perf_counter()
project = Project.at()
tree, _ = project.target_tree()
named = time.perf_counter()
store = DropStore(project.repository.root)
[snapshot] = data.gather_snapshots(tree, store)
gathered = time.perf_counter()
converting = 0.0
def write(drop, target):
    global converting
    since = time.perf_counter()
    convert(store.fetch(drop.md5, pointer=drop.path), drop, snapshot.contract, target)
    converting += time.perf_counter() - since
Tables(project.tables).build(snapshot, write, Provenance())
done = time.perf_counter()
print(json.dumps({"imports": ready - start, "tree": named - ready, "pointers": gathered - named,
                  "conversion": converting, "table": done - gathered - converting}))
"""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    seconds: float
    peak_mb: float
    written: int


class Bench:
    """A repository with pointers, its cache and its table."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.repository, self.raw = folder / "repository", folder / "raw"
        self.state = folder / "state"
        (self.repository / ".dvc").mkdir(parents=True)
        (self.repository / ".dvc" / "config").touch()
        (self.repository / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n")
        (self.repository / "data" / "raw" / "trips").mkdir(parents=True)
        (self.repository / "data" / "trips.yaml").write_text(CONTRACT)
        (self.repository / ".gitignore").write_text("*.snapshot.json\n")
        self.raw.mkdir()
        self.environment = {
            **os.environ,
            "MERGELINE_STATE": str(self.state),
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
        }  # fmt: skip
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> None:
        """One git command."""
        subprocess.run(["git", *arguments], cwd=self.repository, env=self.environment, check=True)

    def add(self, number: int) -> None:
        """Drop `number`: its CSV, in DVC's cache, with its pointer."""
        content = drop(number, self.rows)
        md5 = hashlib.md5(content).hexdigest()
        (self.raw / f"{number:05}.csv").write_bytes(content)
        cached = self.repository / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        if not cached.exists():
            os.link(self.raw / f"{number:05}.csv", cached)
        pointer = self.repository / "data" / "raw" / "trips" / f"{number:05}.csv.dvc"
        pointer.write_text(
            f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {number:05}.csv\n"
        )

    def commit(self) -> None:
        """Commit all pointers."""
        self.git("add", "-A")
        self.git("commit", "-qm", "drops")

    @property
    def table(self) -> Path:
        """Folder of the Delta table."""
        return self.state / "tables" / "trips"

    def mergeline(self, *arguments: str) -> Cost:
        """A command, and how many bytes its table grew by."""
        before = size_of(self.table)
        program = str(Path(sys.executable).with_name("mergeline"))
        cost = run([program, *arguments], self.repository, self.environment)
        return Cost(cost.seconds, cost.peak_mb, size_of(self.table) - before)

    def files(self) -> dict[Path, int]:
        """Sizes of the Parquet files and of the log's entries."""
        found = [*self.table.glob("*.parquet"), *self.table.glob("_delta_log/*.json")]
        return {path: path.stat().st_size for path in found}

    def parts(self) -> dict[str, float]:
        """Seconds of each part of building one more drop."""
        os.sync()
        done = subprocess.run(
            [sys.executable, "-c", PARTS], cwd=self.repository, env=self.environment,
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        parts: dict[str, float] = json.loads(done.stdout)
        return parts

    def alternative(self, program: str, name: str) -> Cost:
        """What another way takes to hold all drops."""
        target = self.folder / name
        before = size_of(target)
        command = [sys.executable, "-c", program, str(self.raw), str(target)]
        cost = run(command, self.folder, self.environment)
        grown = size_of(target) - before if target.is_dir() else target.stat().st_size
        return Cost(cost.seconds, cost.peak_mb, grown)


def drop(number: int, rows: int) -> bytes:
    """A CSV that follows from its number."""
    random = np.random.default_rng(number)
    start = np.datetime64("2013-01-01T00:00:00", "ms")
    frame = pl.DataFrame(
        {
            "id": np.arange(number * rows, (number + 1) * rows),
            "at": start + (number * 86_400_000 + random.integers(0, 86_400_000, rows)),
            "carrier": random.choice(["AA", "B6", "DL", "UA"], rows),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "delay": np.round(random.gamma(2, 9, rows) - 8, 1),
            "distance": random.integers(80, 4983, rows),
            "late": random.random(rows) < 0.2,
        }
    )
    return frame.select(
        "id", pl.col("at").dt.date().alias("day"), pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "carrier", "origin", "delay", "distance", "late",
    ).write_csv().encode()  # fmt: skip


def run(command: list[str], folder: Path, environment: dict[str, str]) -> Cost:
    """Seconds and peak memory of a process."""
    os.sync()  # what made its input has no part in it
    since = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - since
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(process.stderr.read().decode() if process.stderr else "failed")
    unit = 1 if platform.system() == "Darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit / 1e6, 0)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def line(what: str, cost: Cost, against: Cost | None = None) -> str:
    """One line; the ratio to another cost."""
    ratio = ""
    if against is not None:
        ratio = (
            f"   {cost.written / against.written:8.0f} × bytes"
            f" {cost.seconds / against.seconds:6.1f} × seconds"
        )
    return (
        f"  {what:<22} {cost.written / 1e6:10.2f} MB {cost.seconds:8.2f} s"
        f" {cost.peak_mb:8.0f} MB peak{ratio}"
    )


def set_up(count: int, rows: int, folder: Path) -> tuple[Bench, list[Cost]]:
    """A table of so many drops, and what its first snapshot and first description took."""
    folder.mkdir()
    bench = Bench(folder, rows)
    for number in range(count):
        bench.add(number)
    bench.commit()
    return bench, [bench.mergeline("snapshot"), bench.mergeline("data", "show", "--table", "trips")]


def one_more(bench: Bench, number: int) -> tuple[list[Cost], bool]:
    """What one more drop took and its diff, and whether its bytes are exact."""
    bench.add(number)
    bench.commit()
    before = bench.files()
    cost = bench.mergeline("snapshot")
    new = [size for path, size in bench.files().items() if path not in before]
    exact = len(new) == 2 and cost.written == sum(new)
    return [cost, bench.mergeline("data", "diff", "HEAD~1", "--table", "trips")], exact


def median(costs: list[Cost]) -> Cost:
    """Its seconds, the highest peak, and the last bytes."""
    seconds = statistics.median(cost.seconds for cost in costs)
    return Cost(seconds, max(cost.peak_mb for cost in costs), costs[-1].written)


def report(count: int, bench: Bench, first: list[Cost], costs: list[list[Cost]]) -> list[Cost]:
    """Print one block; the median costs of one more drop and of its diff."""
    one, diff = map(median, zip(*costs, strict=True))
    print(f"\n{count:,} drops of {bench.rows:,} rows")
    print(line("first snapshot", first[0]))
    print(line("first data show", first[1]))
    print(line("one more: mergeline", one))
    print(line("one more: its diff", diff))
    bench.add(count + RUNS)
    bench.commit()
    parts = bench.parts()
    told = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in parts.items())
    print(f"    of which {told}")
    print(line("one more: rebuild", bench.alternative(REBUILD, "rebuilt"), one), flush=True)
    print(line("one more: pandas + CSV", bench.alternative(PANDAS, "pandas.csv"), one), flush=True)
    return [one, diff]


def main() -> int:
    """Measure, print, and hold against the goals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--drops", type=int, nargs="+", default=[12, 120, 1_200])
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    with tempfile.TemporaryDirectory(prefix="mergeline-bench-") as folder:
        benches = {
            count: set_up(count, arguments.rows, Path(folder, str(count)))
            for count in arguments.drops
        }
        costs: dict[int, list[list[Cost]]] = {count: [] for count in benches}
        exact = True
        for run_number in range(RUNS):  # in turns, so that a busy machine weighs on all alike
            for count, (bench, _) in benches.items():
                cost, is_exact = one_more(bench, count + run_number)
                costs[count].append(cost)
                exact = exact and is_exact
        ones = [
            report(count, bench, first, costs[count]) for count, (bench, first) in benches.items()
        ]
    print(f"\nbytes are those of one Parquet file and one log entry: {'yes' if exact else 'NO'}")
    most, fewest = arguments.drops[-1], arguments.drops[0]
    ratios = []
    for name, many, few in zip(("snapshot", "data diff"), ones[-1], ones[0], strict=True):
        ratios.append(many.seconds / few.seconds)
        print(f"{name}: seconds at {most:,} drops ÷ at {fewest:,}: {ratios[-1]:.2f} (goal {GOAL})")
    return int(max(ratios) > GOAL or not exact)


if __name__ == "__main__":
    sys.exit(main())
