"""Tables in an object store: a real S3 server on loopback (`pytest -m s3`)."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mergeline.adapters.delta.storage import open_storage
from mergeline.adapters.delta.tables import Tables
from mergeline.errors import NotFoundError, TableError
from tests.support.s3_server import s3_environment, s3_server

pytestmark = pytest.mark.s3

WORKER = textwrap.dedent("""
    import hashlib, sys
    import polars as pl
    import pyarrow.parquet as pq
    from mergeline.adapters.delta.tables import Tables
    from mergeline.core.declare.contract import parse_contract
    from mergeline.core.data.snapshot import Drop, Provenance, Snapshot

    root, *numbers = sys.argv[1:]
    contract = parse_contract("t", "source: d\\nformat: csv\\ncolumns: {id: {type: int64}}\\n")
    drops = tuple(Drop(f"{n}.csv", hashlib.md5(n.encode()).hexdigest()) for n in numbers)

    def write(drop, target):
        n = int(drop.path.removesuffix(".csv"))
        frame = pl.DataFrame({"id": range(n * 100, n * 100 + 100)})
        pq.write_table(frame.to_arrow(), target, store_schema=False)

    print("ready", flush=True)
    sys.stdin.readline()
    built = Tables(root).build(Snapshot("t", contract, drops), write, Provenance())
    print(built.version, built.rows, built.found)
""")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the server, and the folder in which a bucket is a folder."""
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder) as address:
        yield address, folder


@pytest.fixture
def root(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """URI of a table root in a bucket of its own; credentials from the environment."""
    address, folder = server
    bucket = f"bucket-{abs(hash(request.node.name)):x}"
    (folder / bucket).mkdir()
    for name, value in s3_environment(address).items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/tables"


@pytest.fixture
def far(root: str, new_world: Callable[[str], Any]) -> Any:
    return new_world(root)


def keys(server: tuple[str, Path], root: str) -> set[str]:
    folder = server[1] / root.removeprefix("s3://") / "t"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_table_lives_in_a_bucket(far: Any, server: tuple[str, Path]) -> None:
    drops = [far.drop(n) for n in range(3)]
    far.build(*drops[:2])
    before = keys(server, far.root)
    built = far.build(*drops)
    assert {key.partition("/")[0] for key in keys(server, far.root) - before} == {
        "_delta_log",
        next(name for name in far.snapshot(drops[2:]).files),
    }
    assert far.build(*drops[:2]).found
    assert far.scanned(built.version).equals(far.rows(drops))
    assert pl.scan_delta(f"{far.root}/t", version=0).collect().height == 20


def test_history_summaries_and_garbage_work_in_a_bucket(far: Any) -> None:
    a, b = far.drop(1), far.drop(2)
    first = far.build(a)
    far.build(a, b)
    far.build(b)
    assert [entry.rows for entry in far.tables.history("t")] == [10, 20, 10]
    compared = far.tables.compare("t", 0, 1)
    assert far.tables.compare("t", 0, 1) == compared
    files = far.tables.files("t")
    gone = [file for file in files if file.drop == b.md5]
    assert len(files) == 2
    assert all(file.written > time.time() - 300 for file in files)
    far.tables.delete("t", gone)
    assert far.scanned(first.version).equals(far.rows([a]))
    with pytest.raises(TableError, match="gone"):
        far.scanned(1)
    assert [drop.md5 for drop in far.build(a, b).repaired] == [b.md5]
    assert far.scanned(1).height == 20


def test_an_upload_that_breaks_off_leaves_no_object(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_storage(f"{root}/t")
    part = tmp_path / "part"
    part.write_bytes(b"x" * 1000)

    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 500:
                raise OSError(5, "Input/output error")
            return super().read(100)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: Torn(b"x" * 1000))
        with pytest.raises(TableError, match="Input/output error"):
            store.put(part, "a.parquet")
    assert store.size("a.parquet") is None


def start(root: str, *numbers: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, root, *map(str, numbers)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ.copy(),
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def ids_of(*numbers: int) -> list[int]:
    return sorted(n for number in numbers for n in range(number * 100, number * 100 + 100))


def test_writers_at_once_lose_and_double_nothing_in_a_bucket(root: str) -> None:
    wanted = [(n, n + 1, 9) for n in range(6)]
    started = [start(root, *numbers) for numbers in wanted]
    for process in started:
        go(process)
    versions = []
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        versions.append(int(out.split()[-3]))
    assert sorted(versions) == list(range(6))
    for numbers, version in zip(wanted, versions, strict=True):
        rows = Tables(root).scan("t", version).collect()
        assert sorted(rows["id"]) == ids_of(*numbers)


def test_a_writer_killed_among_others_does_no_harm_in_a_bucket(root: str) -> None:
    others = [start(root, 20 + n, 50) for n in range(2)]
    doomed = start(root, *range(12))
    for process in (doomed, *others):
        go(process)
    time.sleep(0.15)
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    for process in others:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    again = start(root, *range(12))
    go(again)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    rows = Tables(root).scan("t", int(out.split()[-3])).collect()
    assert sorted(rows["id"]) == ids_of(*range(12))


def test_a_store_that_is_not_there_is_said(
    root: str, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TableError):
        far.build(far.drop(1))


def test_wrong_credentials_are_said(far: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(TableError):
        far.build(far.drop(1))


def test_an_unknown_table_is_said(far: Any) -> None:
    with pytest.raises(NotFoundError, match="no such table"):
        far.tables.scan("t", 0)
