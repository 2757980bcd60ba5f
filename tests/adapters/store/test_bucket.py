"""A bucket as the store, on a real S3 server: failures are said, and no writer loses anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from mergeline.adapters.store.store import Store, open_store
from mergeline.core.release.bundle import Candidate
from mergeline.errors import StoreError
from tests.support.parcels import MODEL
from tests.support.registries import evaluate_bundle, make_bundle, run_at_once
from tests.support.s3_server import s3_environment, s3_server

pytestmark = pytest.mark.s3
ADDRESS = "s3://warehouse/store"
Bucket = Callable[..., AbstractContextManager[Store]]


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A store in a bucket, on a server of some kind, with some of the environment changed."""
    (tmp_path / "s3/warehouse").mkdir(parents=True)

    @contextmanager
    def start(
        address: str = ADDRESS, changed: dict[str, str] | None = None, **kind: bool | int
    ) -> Iterator[Store]:
        with s3_server(tmp_path / "s3", **kind) as server:  # type: ignore[arg-type]
            for name, value in {**s3_environment(server), **(changed or {})}.items():
                monkeypatch.setenv(name, value)
            yield open_store(address, os.environ)

    return start


def test_a_bucket_that_is_not_there_is_not_an_empty_one(bucket: Bucket, tmp_path: Path) -> None:
    candidate = make_bundle(tmp_path / "bundle")
    with bucket("s3://wharehouse/store") as store:
        failing: tuple[Callable[[], object], ...] = (
            store.known,
            lambda: store.put_candidate(candidate, tmp_path / "bundle"),
            lambda: store.find(MODEL, candidate.fingerprint),
        )
        for fail in failing:
            with pytest.raises(StoreError, match=r"s3://wharehouse/store: there is no such bucket"):
                fail()


def test_wrong_credentials_are_said_without_them(
    bucket: Bucket, candidate: Candidate, tmp_path: Path
) -> None:
    wrong = {"AWS_SECRET_ACCESS_KEY": "a-wrong-one"}
    with bucket(changed=wrong) as store:
        failing: tuple[Callable[[], object], ...] = (
            lambda: store.find(MODEL, candidate.fingerprint),
            lambda: store.put_candidate(candidate, tmp_path / "bundle"),
            store.sweep,
        )
        for fail in failing:
            with pytest.raises(StoreError, match=r"not allowed to .* Set the credentials") as said:
                fail()
            assert "a-wrong-one" not in str(said.value)
            assert "tester" not in str(said.value)


def test_a_bucket_that_can_only_be_read_is_read(
    bucket: Bucket, candidate: Candidate, tmp_path: Path
) -> None:
    with bucket() as store:
        stored = store.put_candidate(candidate, tmp_path / "bundle")
    with bucket(read_only=True) as store:
        assert store.find(MODEL, candidate.fingerprint) == stored
        with pytest.raises(StoreError, match="not allowed to write blobs/sha256/"):
            store.put_override(stored, "a customer waits")


def test_a_server_whose_disk_is_full_is_said_and_nothing_is_found(
    bucket: Bucket, candidate: Candidate, tmp_path: Path
) -> None:
    with bucket(largest_file=2_000) as store:
        with pytest.raises(StoreError, match=r"the store answers 5\d\d.*space left"):
            store.put_candidate(candidate, tmp_path / "bundle")
        assert store.find(MODEL, candidate.fingerprint) is None
    with bucket() as store:
        stored = store.put_candidate(candidate, tmp_path / "bundle")
        store.fetch(stored, tmp_path / "fetched")


def test_a_server_that_is_out_of_reach_is_said_soon(
    monkeypatch: pytest.MonkeyPatch, candidate: Candidate
) -> None:
    for name, value in s3_environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"does not answer: .*Check MERGELINE_STORE"):
        open_store(ADDRESS, os.environ).find(MODEL, candidate.fingerprint)


_EVALUATOR = """
import os, sys
from pathlib import Path
from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.store.store import open_store
store, bundle = open_store(sys.argv[1], os.environ), Path(sys.argv[2])
candidate, evaluation = read_candidate(bundle), read_evaluation(bundle)
print("ready", flush=True)
sys.stdin.readline()
store.put_evaluation(store.put_candidate(candidate, bundle), evaluation, bundle)
"""


def test_of_evaluations_written_at_once_none_is_lost(bucket: Bucket, tmp_path: Path) -> None:
    with bucket() as store:
        writers = []
        for month in range(1, 6):
            folder = tmp_path / f"bundle {month}"
            candidate = make_bundle(folder)
            evaluate_bundle(folder, candidate, f"2026-0{month}-01T00:00:00+00:00")
            writers.append([sys.executable, "-c", _EVALUATOR, ADDRESS, str(folder)])
        assert run_at_once(writers) == [0] * 5
        stored = store.find(MODEL, candidate.fingerprint)
        assert stored is not None
        assert len(store.evaluations(stored)) == 5


def test_what_a_writer_has_just_put_is_not_swept_away(
    bucket: Bucket, candidate: Candidate, tmp_path: Path
) -> None:
    blobs = tmp_path / "s3/warehouse/store/blobs/sha256"
    with bucket() as store:
        stored = store.put_candidate(candidate, tmp_path / "bundle")
        before = set(blobs.iterdir())
        for age, name in ((0, "new"), (3 * 24 * 3600, "old")):
            (blobs / name).write_bytes(b"of a push that was cut off")
            at = (blobs / name).stat().st_mtime - age
            os.utime(blobs / name, (at, at))
        for path in before:
            os.utime(path, (0, 0))
        store.sweep()
        assert {path.name for path in blobs.iterdir()} == {*(one.name for one in before), "new"}
        store.fetch(stored, tmp_path / "fetched")
