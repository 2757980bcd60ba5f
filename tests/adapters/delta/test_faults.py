"""What another machine, a signal or a disk may do in the middle of a build."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Built, Drop, Provenance, Snapshot
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import TableError

# A process with work of its own: six drops of a real CSV each, one snapshot.
WORKER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from mergeline.adapters.delta.tables import Tables
    from mergeline.adapters.drops.convert import convert
    from mergeline.core.declare.contract import parse_contract
    from mergeline.core.data.snapshot import Drop, Provenance, Snapshot

    root, raw, wait, *names = sys.argv[1:]
    contract = parse_contract("t", (Path(raw) / "contract.yaml").read_text())
    drops = tuple(Drop(f"{name}.csv", name) for name in names)

    def write(drop, target):
        convert(Path(raw) / drop.path, drop, contract, target)

    print("ready", flush=True)
    if wait == "wait":
        sys.stdin.readline()
    built = Tables(root).build(Snapshot("t", contract, drops), write, Provenance())
    print(built.version, built.rows, built.found)
""")
# Runs such code in a process of its own for each line that it reads: the libraries are imported
# once, and nothing of them runs yet when it forks.
FORKS = textwrap.dedent("""
    import json, os, sys, traceback
    import mergeline.adapters.delta.tables, mergeline.adapters.drops.convert

    for line in sys.stdin:
        code, *sys.argv[1:] = json.loads(line)
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        sys.stdout = sys.stderr
        try:
            exec(code, {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
""")
CONTRACT = "source: d\nformat: csv\nkey: [id]\ncolumns: {id: {type: int64}, s: {type: string}}\n"
ROWS = 400


class Raw:
    """CSV drops named by a stand-in for their md5, and processes that build them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder / "raw", folder / "tables"
        self.folder.mkdir()
        (self.folder / "contract.yaml").write_text(CONTRACT)
        self.contract = parse_contract("t", CONTRACT)

    def drop(self, number: int) -> str:
        name = f"{number:032x}"
        path = self.folder / f"{name}.csv"
        if not path.exists():
            ids = range(number * ROWS, (number + 1) * ROWS)
            path.write_text("id,s\n" + "".join(f"{n},{n % 7}\n" for n in ids))
        return name

    def start(self, *drops: str, wait: bool = False) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(self.root), str(self.folder),
             "wait" if wait else "go", *drops],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def build(self, *drops: str) -> Built:
        """The same in this process."""
        named = tuple(Drop(f"{name}.csv", name) for name in drops)

        def write(drop: Drop, target: Path) -> None:
            convert(self.folder / drop.path, drop, self.contract, target)

        return Tables(self.root).build(Snapshot("t", self.contract, named), write, Provenance())

    def ids(self, version: int) -> list[int]:
        """Ids of a version, by another reader than the one that built it."""
        return sorted(pl.read_delta(str(self.root / "t"), version=version)["id"])


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    return Raw(tmp_path)


def outcome(process: subprocess.Popen[str]) -> tuple[int, int, bool]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    version, rows, found = out.split()[-3:]
    return int(version), int(rows), found == "True"


def ids_of(*numbers: int) -> list[int]:
    return sorted(n for number in numbers for n in range(number * ROWS, (number + 1) * ROWS))


@pytest.mark.slow
def test_sixteen_processes_on_one_new_table_lose_and_double_nothing(raw: Raw) -> None:
    """Sixteen different snapshots, the creation raced too, and then each of them once more."""
    wanted = [(n, n + 1, 30) for n in range(16)]
    started = [raw.start(*map(raw.drop, numbers), wait=True) for numbers in wanted]
    for process in started:
        go(process)
    outcomes = [outcome(process) for process in started]
    table = DeltaTable(raw.root / "t")
    assert table.version() == 15
    assert sorted(version for version, _, _ in outcomes) == list(range(16))
    assert not any(found for _, _, found in outcomes)
    for numbers, (version, rows, _) in zip(wanted, outcomes, strict=True):
        assert rows == 3 * ROWS
        assert raw.ids(version) == ids_of(*numbers)
    said = [entry["snapshot"] for entry in table.history()]
    assert len(set(said)) == len(said) == 16
    again = [raw.build(*map(raw.drop, numbers)) for numbers in wanted]
    assert [(one.version, one.found) for one in again] == [(v, True) for v, _, _ in outcomes]


def test_eight_threads_that_create_one_table_lose_and_double_nothing(raw: Raw) -> None:
    wanted = [(1,), (2,), (1, 2), (3,), (2, 3), (1, 3), (1, 2, 3), (3,)]
    for number in (1, 2, 3):
        raw.drop(number)
    barrier = threading.Barrier(len(wanted))

    def build(numbers: tuple[int, ...]) -> int:
        barrier.wait()
        return raw.build(*map(raw.drop, numbers)).version

    with ThreadPoolExecutor(len(wanted)) as pool:
        versions = list(pool.map(build, wanted))
    assert sorted(set(versions)) == list(range(7))
    assert versions[3] == versions[7]
    for numbers, version in zip(wanted, versions, strict=True):
        assert raw.ids(version) == ids_of(*numbers)


@pytest.mark.slow
def test_killed_anywhere_and_run_again_it_holds_the_right_snapshot(raw: Raw) -> None:
    """At 30 random moments, on a table that grows and shrinks."""
    random.seed(7)
    process = raw.start(*map(raw.drop, range(90, 96)), wait=True)
    start = go(process)
    assert outcome(process)[1] == 6 * ROWS
    took = time.monotonic() - start
    kills = attempt = 0
    while kills < 30:
        attempt += 1
        numbers = [*sorted(random.sample(range(40), k=5)), 100 + attempt]
        drops = [raw.drop(number) for number in numbers]
        process = raw.start(*drops, wait=True)
        go(process)
        time.sleep(random.uniform(0, 0.8 * took))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.communicate()
        pl.scan_delta(str(raw.root / "t")).collect()  # what it left can be read
        built = raw.build(*drops)
        assert built.rows == 6 * ROWS
        assert raw.ids(built.version) == ids_of(*numbers)
    digests = [entry.get("snapshot") for entry in DeltaTable(raw.root / "t").history()]
    assert len(digests) == len(set(digests))


@pytest.mark.slow
def test_killed_anywhere_while_its_table_is_created_and_run_again_it_holds_the_snapshot(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    took = kills = attempt = 0.0
    while kills < 15:
        folder = tmp_path / f"{attempt}"
        folder.mkdir()
        raw, attempt = Raw(folder), attempt + 1
        drops = [raw.drop(number) for number in (0, 1, 2)]
        process = raw.start(*drops, wait=True)
        start = go(process)
        if not took:
            assert outcome(process) == (0, 3 * ROWS, False)
            took = time.monotonic() - start
            continue
        time.sleep(chance.uniform(0.1, 0.9) * took)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.communicate()
        built = raw.build(*drops)
        assert (built.version, built.rows) == (0, 3 * ROWS)
        assert raw.ids(0) == ids_of(0, 1, 2)


def go(process: subprocess.Popen[str]) -> float:
    """Let a waiting process begin; when that was."""
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return time.monotonic()


STEPS = {
    "before the first drop": "mergeline.adapters.drops.convert.read_batches",
    "while a drop is written": "mergeline.adapters.drops.convert._flush",
    "before a file gets its name": "mergeline.adapters.delta.storage.LocalStorage.put",
    "before the commit": "mergeline.adapters.delta.building.Building._properties",
    "after the commit": "mergeline.adapters.delta.building.Built",
}


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., int]]:
    """Runs code with arguments in a process of its own; its exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run_one(code: str, *arguments: str) -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps([code, *arguments]) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run_one


@pytest.mark.parametrize("target", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("calls", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("exists", [True, False], ids=["of a table", "of no table yet"])
def test_killed_at_a_step_and_run_again_it_holds_the_right_snapshot(
    raw: Raw, run: Callable[..., int], target: str, calls: int, *, exists: bool
) -> None:
    drops = [raw.drop(number) for number in (1, 2, 3)]
    if exists:
        raw.build(drops[0])
    die = f"""
import os, pkgutil, signal
owner, name = {target!r}.rsplit(".", 1)
thing = pkgutil.resolve_name(owner)
real, left = getattr(thing, name), [{calls}]
def deadly(*a, **k):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*a, **k)
setattr(thing, name, deadly)
"""
    ended = run(die + WORKER, str(raw.root), str(raw.folder), "go", *drops)
    assert ended == -signal.SIGKILL or (calls, ended) == (2, 0)
    if exists:
        assert raw.ids(0) == ids_of(1)
    built = raw.build(*drops)
    assert (built.version, built.rows) == (int(exists), 3 * ROWS)
    assert built.found == (target.endswith(".Built") or ended == 0)
    assert raw.ids(built.version) == ids_of(1, 2, 3)


def test_a_disk_that_is_full_while_a_drop_is_written_is_said(raw: Raw, tmp_path: Path) -> None:
    name = raw.drop(1)
    target = tmp_path / "full.parquet"
    target.symlink_to("/dev/full")
    with pytest.raises(TableError, match="No space left on device") as caught:
        convert(raw.folder / f"{name}.csv", Drop("1.csv", name), raw.contract, target)
    assert caught.value.next_step.startswith("Make room")
    assert not target.is_symlink()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_leaves_every_version_readable(world: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=True)
    try:
        world.root = str(disk / "tables")
        drops = []
        with pytest.raises((TableError, OSError), match="No space left"):  # noqa: PT012
            for number in range(100):
                drops.append(world.drop(number, rows=200))
                world.build(*drops)
        last = DeltaTable(disk / "tables" / "t").version()
        for version in range(last + 1):
            assert world.scanned(version).equals(world.rows(drops[: version + 1]))
        (disk / "fill").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
        with pytest.raises(TableError, match="No space left"):
            world.build(*drops[1:last])
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        assert world.build(*drops[1:last]).version == last + 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)
