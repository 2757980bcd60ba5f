"""What the walls around models, and the smoke test, add to an evaluation of the reference project.

    python -m benchmarks.walls [rounds]

A change of `train.learning_rate` is trained once; production and main are one other model. Then
each round evaluates it again, so that nothing trains, in a process of its own each time:

- asked in the process that judges, without a smoke test;
- asked in confined children, without a smoke test;
- as it is: in confined children, with the smoke test.

Printed are medians, and what the last two add to the first by the clock. Goal: a second in all.
Exits with 1 when it is missed. Children run side by side, so one busy core more is felt.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.pull_request import ROOT, Clone, Cost, start
from mergeline.cli.main import run as mergeline
from mergeline.lifecycle.steps import scoring
from tests.support.stand_ins import in_process, smoke_test_by

GOAL = 1.0
WAYS = ("in its own process", "behind walls", "and with the smoke test")


def evaluate(way: str) -> None:
    """Evaluate the tree of this folder in one of the ways."""
    with pytest.MonkeyPatch.context() as patch:
        if way == WAYS[0]:
            patch.setattr(scoring, "confined_model", in_process)
        if way != WAYS[2]:
            smoke_test_by(patch, lambda *_, **__: "not asked")
        patch.setattr(sys, "argv", ["mergeline", "evaluate"])
        mergeline()


def prepare(folder: Path) -> Clone:
    """Main is in production, and a change of it was evaluated."""
    clone = start(folder / "project", MERGELINE_STATE=str(folder / "state"), PYTHONPATH=str(ROOT))
    clone.commit("Flights and weather")
    clone.run("mergeline", "evaluate")
    clone.run("mergeline", "release")
    clone.change(0.06)
    clone.run("mergeline", "evaluate")
    return clone


def main() -> int:
    """Play the rounds and print the medians."""
    if len(sys.argv) == 3:
        evaluate(sys.argv[2])
        return 0
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    taken: dict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="mergeline-") as name:
        clone = prepare(Path(name))
        for _ in range(rounds):
            for way in WAYS:
                # A model whose server was not asked is refused, which changes no cost.
                command = (sys.executable, "-m", "benchmarks.walls", "evaluate", way)
                taken[way].append(clone.timed(*command, refused=way != WAYS[2]))
    first = statistics.median(cost.wall for cost in taken[WAYS[0]])
    print(f"{f'median of {rounds}':<26}{'seconds':>9}{'CPU s':>9}{'adds s':>9}{'ratio':>8}")
    for way, costs in taken.items():
        wall = statistics.median(cost.wall for cost in costs)
        cpu = statistics.median(cost.cpu for cost in costs)
        print(f"{way:<26}{wall:>9.2f}{cpu:>9.2f}{wall - first:>9.2f}{wall / first:>8.2f}")
    print(f"goal: {GOAL:g} s added")
    return int(wall - first > GOAL)


if __name__ == "__main__":
    sys.exit(main())
