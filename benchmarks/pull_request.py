"""What a pull request's run costs beyond the fit itself, here and in the stack built by hand.

    python benchmarks/pull_request.py [rounds]

Each round changes `train.learning_rate` on a branch and times, on the same rows and the same model:

- the bare fit on the training rows and predict on the holdout, both in memory;
- `mergeline evaluate --bundle`: what a pull request's job runs; snapshots of main are there;
- the same on a new machine, that has the drops and can reach the store, but no table;
- by hand (benchmarks/by_hand): `dvc repro` of two scripts with MLflow, then
  `dvc metrics diff main`.

The first says of production, main and the change on the same rows what changed, and how surely; the
last prints the difference of two sets of numbers. Printed are medians, and their ratio to the fit.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = (
    "pipelines",
    "models",
    "data",
    "params.yaml",
    "dvc.yaml",
    "uv.lock",
    ".dvc",
    ".gitignore",
)
FIT = "fit and predict alone"
BARE = """
import time, yaml
from threadpoolctl import threadpool_limits
from pipelines import features
from pipelines.train import make_model
params = yaml.safe_load(open("params.yaml"))
threads = params["train"].pop("threads")
rows = features.flights().collect()
mask = rows.select(features.held_out(params["evaluate"]["holdout_every"])).to_series()
train, held = rows.filter(~mask), rows.filter(mask)
x, z = train[features.INPUTS].to_pandas(), held[features.INPUTS].to_pandas()
y = train[features.LABEL].to_numpy()
model = make_model(params["train"])
with threadpool_limits(threads):
    since, cpu = time.perf_counter(), time.process_time()
    model.fit(x, y).predict_proba(z)
    print(time.perf_counter() - since, time.process_time() - cpu)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and seconds of CPU, which a busy machine does not stretch as much."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


class Clone:
    """A repository of its own, and the environment that its commands run in."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        own = {k: v for k, v in os.environ.items() if not k.startswith(("MERGELINE", "MLFLOW"))}
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {**own, "PATH": f"{bin_folder}:{own['PATH']}", **environment}

    def run(self, *command: str, refused: bool = False) -> str:
        """Standard output of a command; its errors are shown if it fails.

        `refused`: the gate must refuse.
        """
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode != int(refused):
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def timed(self, *command: str, refused: bool = False) -> Cost:
        """What a command cost."""
        since, cpu = time.perf_counter(), _children()
        self.run(*command, refused=refused)
        return Cost(time.perf_counter() - since, _children() - cpu)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def change(self, learning_rate: float) -> None:
        """A branch off main with another learning rate."""
        self.run("git", "checkout", "--quiet", "--force", "-B", "change", "main")
        path = self.root / "params.yaml"
        lines = path.read_text().splitlines(keepends=True)
        assert any("learning_rate:" in line for line in lines)
        path.write_text(
            "".join(
                f"  learning_rate: {learning_rate}\n" if "learning_rate:" in line else line
                for line in lines
            )
        )
        self.commit(f"learning rate {learning_rate}")


def start(root: Path, **environment: str) -> Clone:
    """The reference project with its drops, as a repository of its own."""
    root.mkdir(parents=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *PROJECT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    clone = Clone(root, **environment)
    clone.run("git", "init", "--quiet", "--initial-branch", "main")
    clone.run("git", "config", "user.name", "Ana")
    clone.run("git", "config", "user.email", "ana@example.org")
    clone.run(sys.executable, "data/drops.py")
    return clone


def start_mergeline(folder: Path) -> Clone:
    """Main is evaluated and in production."""
    clone = start(folder / "mergeline", MERGELINE_STATE=str(folder / "state"))
    clone.commit("Flights and weather")
    clone.run("mergeline", "evaluate")
    clone.run("mergeline", "release")
    return clone


def start_by_hand(folder: Path) -> Clone:
    """Main is reproduced, its lock file and metrics are committed."""
    clone = start(folder / "by-hand")
    shutil.copytree(ROOT / "benchmarks" / "by_hand", clone.root / "by_hand")
    (clone.root / "by_hand" / "dvc.yaml").rename(clone.root / "dvc.yaml")
    (clone.root / ".gitignore").write_text("/build/\n/mlflow.db\n/mlruns/\n__pycache__/\n")
    for pointer in (clone.root / "data" / "raw").rglob("*.dvc"):
        pointer.unlink()  # plain files here: DVC hashes the folder as a dependency
    clone.run("dvc", "repro", "--quiet")
    clone.commit("Flights and weather")
    return clone


def new_machine(known: Clone, folder: Path) -> Clone:
    """A clone with the drops, and nothing else but the way to the store."""
    store = Path(known.environment["MERGELINE_STATE"]) / "store"
    clone = Clone(
        folder / "clone",
        MERGELINE_STATE=str(folder / "state"),
        MERGELINE_STORE=str(store),
    )
    known.run("git", "clone", "--quiet", str(known.root), str(clone.root))
    clone.run(sys.executable, "data/drops.py")
    return clone


def one_round(ours: Clone, theirs: Clone, rate: float, folder: Path) -> dict[str, Cost]:
    """What one change costs."""
    ours.change(rate)
    theirs.change(rate)
    ours.run("mergeline", "snapshot")
    wall, cpu = ours.run(sys.executable, "-c", BARE).split()[-2:]
    evaluate = ("mergeline", "evaluate", "--bundle", str(folder / "bundle"))
    return {
        FIT: Cost(float(wall), float(cpu)),
        "mergeline evaluate": ours.timed(*evaluate),
        "  on a new machine": new_machine(ours, folder / f"new-{rate}").timed(*evaluate),
        "by hand": theirs.timed("dvc", "repro", "--quiet")
        + theirs.timed("dvc", "metrics", "diff", "main"),
    }


def main() -> int:
    """Play the rounds and print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    taken: dict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = start_mergeline(folder), start_by_hand(folder)
        for number in range(rounds):
            for what, cost in one_round(ours, theirs, 0.06 + number / 100, folder).items():
                taken[what].append(cost)
                print(f"round {number + 1}: {what.strip()}: {cost}", file=sys.stderr)
    medians = {
        what: Cost(
            statistics.median(cost.wall for cost in costs),
            statistics.median(cost.cpu for cost in costs),
        )
        for what, costs in taken.items()
    }
    fit = medians[FIT]
    print(f"{f'median of {rounds}':<24}{'seconds':>9}{'÷ fit':>8}{'CPU s':>9}{'÷ fit':>8}")
    for what, cost in medians.items():
        print(
            f"{what:<24}{cost.wall:>9.1f}{cost.wall / fit.wall:>8.1f}"
            f"{cost.cpu:>9.1f}{cost.cpu / fit.cpu:>8.1f}"
        )
    return 0


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
