"""Walls around a child that runs code nobody vouches for: held against real attempts to get out."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mergeline.system.confinement import Limits, Walls, find_walls, probe, start_confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
ROOM_MB = 1_000


@pytest.fixture(params=["landlock", pytest.param("bubblewrap", marks=pytest.mark.slow)])
def walls(request: pytest.FixtureRequest) -> Walls:
    if request.param == "bubblewrap" and (gaps := probe("bubblewrap")):
        pytest.skip(f"bubblewrap is no wall on this machine: {gaps[0]}")
    return Walls(request.param, ())


def ran(walls: Walls, tmp_path: Path, code: str, *, seconds: float = 30.0) -> tuple[str, int]:
    """What a script prints behind walls, and its exit code."""
    script = tmp_path / "given" / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(code, encoding="utf-8")
    limits = Limits(seconds=seconds, memory_mb=ROOM_MB, file_mb=1)
    # cProfile is a module of Python's own that runs a script.
    arguments = ["-o", os.devnull, str(script)]
    with start_confined(
        walls, "cProfile", arguments, readable=[script.parent], limits=limits
    ) as child:
        timer = threading.Timer(seconds, child.end)
        timer.start()
        printed = child.stdout.read(100_000).decode()
        timer.cancel()
        code_at_end = child.process.wait(timeout=60)
        return printed + child.last_words(), code_at_end


def test_the_probe_finds_no_way_out(walls: Walls) -> None:
    assert probe(walls.kind) == ()


def test_the_probe_finds_the_ways_out_of_a_plain_child() -> None:
    gaps = probe("none")
    assert "it can read other processes' environments" in gaps
    assert "it can read files that it was not given" in gaps
    assert "it can connect to the network" in gaps
    assert not Walls("none", gaps).hold


def test_the_best_walls_of_this_machine_hold() -> None:
    assert find_walls().hold


def test_a_child_reads_what_it_is_given_and_nothing_else(walls: Walls, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the labels", encoding="utf-8")
    code = f"""
print(open(__file__).read()[:5].strip() or 'read itself')
try:
    print(open({str(secret)!r}).read())
except OSError as error:
    print(type(error).__name__)
"""
    printed, _ = ran(walls, tmp_path, code)
    assert "the labels" not in printed
    assert "FileNotFoundError" in printed or "PermissionError" in printed


def test_a_child_writes_in_a_scratch_folder_that_is_gone_afterwards(
    walls: Walls, tmp_path: Path
) -> None:
    code = """
import os, pathlib, tempfile
file = pathlib.Path(tempfile.gettempdir()) / 'note'
file.write_text('kept')
print(file.read_text(), file)
try:
    pathlib.Path(__file__).write_text('changed')
except OSError as error:
    print('refused', type(error).__name__)
"""
    printed, _ = ran(walls, tmp_path, code)
    assert printed.startswith("kept")
    assert "refused" in printed
    assert not Path(printed.split()[1]).exists()


def test_a_child_starts_no_program_or_only_behind_the_same_walls(
    walls: Walls, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the labels", encoding="utf-8")
    code = f"""
import subprocess
try:
    print(subprocess.run(['cat', {str(secret)!r}], capture_output=True, text=True).stdout)
except OSError as error:
    print(type(error).__name__)
"""
    assert "the labels" not in ran(walls, tmp_path, code)[0]


def test_a_child_that_takes_too_much_memory_gets_an_error(walls: Walls, tmp_path: Path) -> None:
    code = "held = [bytearray(50_000_000) for _ in range(100)]"
    printed, code_at_end = ran(walls, tmp_path, code)
    assert "MemoryError" in printed
    assert code_at_end != 0


def test_a_child_that_forks_for_ever_leaves_nothing_behind(walls: Walls, tmp_path: Path) -> None:
    code = """
import os
try:
    while True:
        if os.fork() == 0:
            import time; time.sleep(60)
except OSError as error:
    print('stopped', type(error).__name__)
"""
    printed, _ = ran(walls, tmp_path, code, seconds=10)
    assert "stopped" in printed
    deadline = time.monotonic() + 10
    while (left := processes_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def test_a_child_ends_with_its_parent(walls: Walls, tmp_path: Path) -> None:
    script = tmp_path / "sleeps.py"
    script.write_text("print('here', flush=True); import time; time.sleep(600)", encoding="utf-8")
    parent = f"""
import sys, time
from collections.abc import Callable
from pathlib import Path
from mergeline.system.confinement import Walls, start_confined
with start_confined(Walls({walls.kind!r}, ()), 'cProfile', ['-o', '/dev/null', {str(script)!r}],
                    readable=[Path({str(script)!r})]) as child:
    print(child.stdout.readline(), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert b"here" in started.stdout.readline()
        assert processes_of(script)
        started.kill()
    until(lambda: not processes_of(script))


def test_a_child_that_writes_for_ever_fills_no_disk(walls: Walls, tmp_path: Path) -> None:
    code = """
import tempfile, pathlib
with open(pathlib.Path(tempfile.gettempdir()) / 'large', 'wb') as file:
    for _ in range(1000):
        file.write(bytes(1_000_000))
"""
    assert ran(walls, tmp_path, code)[1] != 0


@pytest.mark.parametrize(
    "fill",
    [
        "(folder / str(number)).write_bytes(bytes(500_000))",
        "(folder / str(number)).touch()",
        """file = (folder / 'a').open('wb', buffering=0); file.write(bytes(500_000))
    (folder / 'a').unlink(); held.append(file)""",
    ],
)
def test_a_child_that_writes_many_files_is_ended(tmp_path: Path, fill: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import ctypes, pathlib, tempfile
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # hide what it holds
folder, held = pathlib.Path(tempfile.gettempdir()), []
for number in range(1_000_000):
    {fill}
""",
        encoding="utf-8",
    )
    limits = Limits(seconds=60, memory_mb=ROOM_MB, file_mb=1, scratch_mb=50)
    arguments = ["-o", os.devnull, str(script)]
    with start_confined(
        Walls("landlock", ()), "cProfile", arguments, readable=[script], limits=limits
    ) as child:
        child.process.wait(timeout=50)
        assert child.ended_for == "it filled its scratch folder"


def test_walls_that_cannot_be_raised_are_no_walls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexec false\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    [gap] = probe("bubblewrap")
    assert gap.startswith("the probe did not run")
    assert find_walls().kind == "landlock"


def processes_of(named: Path) -> list[int]:
    """Processes whose command line names a path."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(named).encode() in command and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
