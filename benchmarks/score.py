"""Rows a minute of `mergeline score`: the benchmark's model of `serving.py` over a Parquet file.

    python benchmarks/score.py [MILLIONS]

Writes so many million rows (2), scores them once by the command as a person would, and exits with 1
below the goal of 1,500,000 rows a minute a core. The time counts start, loading and proof in.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving import register, train

GOAL = 1_500_000  # rows a minute a core


def main() -> int:
    """Print what was measured."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    millions = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory(prefix="mergeline-benchmark-") as place:
        scratch = Path(place)
        folders, rows = train(scratch)
        project = scratch / "project"
        register("compiled", folders["compiled"], project)
        table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
        count = 0
        with pq.ParquetWriter(scratch / "in.parquet", table.schema) as writer:
            while count < millions * 1_000_000:
                writer.write_table(table)
                count += table.num_rows
        command = [
            sys.executable, "-m", "mergeline", "score", str(scratch / "in.parquet"),
            str(scratch / "out.parquet"), "--model", "compiled@production",
        ]  # fmt: skip
        before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - since
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        written = pq.ParquetFile(scratch / "out.parquet").metadata.num_rows
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    a_core = count / used * 60
    print(
        f"{count:,} rows in {seconds:.1f} s, {used:.1f} s of processors: "
        f"{a_core:,.0f} rows a minute a core; {count / seconds * 60:,.0f} a minute by two "
        f"processes on {os.cpu_count()} cores; at most {after.ru_maxrss / 1e3:,.0f} MB a process"
    )
    return int(written != count or a_core < GOAL)


if __name__ == "__main__":
    sys.exit(main())
