"""Forks of one process that has imported what confined children need."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mergeline.system import confined_forks
from mergeline.system.confinement import Limits, Walls, start_confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
WALLS = Walls("landlock", ())


def program() -> int:
    """The number of the process that forks."""
    assert confined_forks._program
    return confined_forks._program._process.pid


def ran(folder: Path, code: str, *imports: str) -> tuple[str, int]:
    """What a script prints in a fork, and its exit code."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    arguments, limits = ["-o", os.devnull, str(script)], Limits(seconds=30, memory_mb=1_000)
    with start_confined(
        WALLS, "cProfile", arguments, readable=[folder], imports=imports, limits=limits
    ) as child:
        printed = child.stdout.read().decode()
        return printed + child.last_words(), child.process.wait(timeout=30)


@pytest.mark.parametrize(
    ("code", "printed", "exit_code"),
    [
        ("print('done')", "done\n", 0),
        ("import os; os._exit(7)", "", 7),
        ("raise ValueError('no')", "ValueError: no\n", 1),
    ],
)
def test_a_fork_ends_as_a_process_of_its_own_does(
    tmp_path: Path, code: str, printed: str, exit_code: int
) -> None:
    said, ended_with = ran(tmp_path, code)
    assert (said[-len(printed) :] if printed else said, ended_with) == (printed, exit_code)


def test_forks_share_what_was_imported_and_neither_handles_nor_random_numbers(
    tmp_path: Path,
) -> None:
    look = """
import os, random, sys
first = "numpy" in sys.modules
import numpy
print(first, sorted(map(int, os.listdir("/proc/self/fd")))[:-1], len(os.listdir("/proc/self/task")))
print(random.random(), numpy.random.random())
"""
    ran(tmp_path, "pass", "numpy")
    (first, one), (second, other) = (ran(tmp_path, look)[0].splitlines() for _ in range(2))
    handles = "[0, 1, 2, 3]"  # the script itself is open
    assert first == second
    assert first in {f"True {handles} 1", "True [0, 1, 2] 1"}
    assert not set(one.split()) & set(other.split())


def test_forks_end_with_the_process_that_made_them_and_another_takes_its_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text("print(1, flush=True)\nimport time; time.sleep(60)")
    arguments = ["-o", os.devnull, str(tmp_path / "script.py")]
    with start_confined(WALLS, "cProfile", arguments, readable=[tmp_path]) as child:
        assert child.stdout.read(1) == b"1"
        before = program()
        os.kill(before, signal.SIGKILL)
        assert child.process.wait(timeout=10) == -signal.SIGKILL
    assert ran(tmp_path, "print('again')") == ("again\n", 0)
    assert program() != before


def test_threads_that_end_a_fork_and_wait_for_it_at_once_all_learn_its_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text("import time; time.sleep(60)")
    arguments = ["-o", os.devnull, str(tmp_path / "script.py")]
    for _ in range(20):
        with (
            start_confined(WALLS, "cProfile", arguments, readable=[tmp_path]) as child,
            ThreadPoolExecutor(8) as threads,
        ):
            ends = [threads.submit(child.process.wait, 10) for _ in range(4)]
            polls = [threads.submit(child.process.poll) for _ in range(2)]
            for ending in [threads.submit(child.end) for _ in range(2)]:
                ending.result()
            assert {waiting.result() for waiting in ends} == {-signal.SIGKILL}
            assert {poll.result() for poll in polls} <= {None, -signal.SIGKILL}
            assert child.process.poll() == -signal.SIGKILL
