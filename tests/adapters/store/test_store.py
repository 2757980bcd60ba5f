"""Candidates and evaluations in a store: found whole or not at all, and as they were."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.store.store import Store, Stored, open_store
from mergeline.core.release.bundle import Candidate
from mergeline.errors import InputError, StoreError
from tests.support.gitea_server import PASSWORD as GITEA_PASSWORD
from tests.support.gitea_server import GiteaServer
from tests.support.parcels import MODEL
from tests.support.registries import (
    PASSWORD,
    USER,
    evaluate_bundle,
    make_bundle,
    registry,
    run_at_once,
    short_tokens,
)
from tests.support.s3_server import s3_environment, s3_server

LATER = "2026-02-01T00:00:00+00:00"
PLACES = [
    "layout",
    pytest.param("registry", marks=pytest.mark.slow),
    pytest.param("bucket", marks=pytest.mark.s3),
    pytest.param("forge", marks=pytest.mark.forge),
]
LONG = [
    pytest.param("layout", marks=pytest.mark.slow),
    pytest.param("registry", marks=pytest.mark.slow),
    pytest.param("bucket", marks=pytest.mark.s3),
    pytest.param("forge", marks=pytest.mark.forge),
]
IN_BUCKET = "s3/warehouse/models/store"


@pytest.fixture(params=PLACES)
def address(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "layout":
        yield str(tmp_path / "store")
    elif request.param == "registry":
        with registry(tmp_path / "registry") as host:
            yield f"oci://{host}/acme/parcels"
    elif request.param == "forge":
        with contextlib.closing(GiteaServer(tmp_path / "forge")) as forge:
            monkeypatch.setenv("ORAS_USER", "owner")
            monkeypatch.setenv("ORAS_PASS", GITEA_PASSWORD)
            yield f"oci://{forge.url.removeprefix('http://')}/owner/parcels"
    else:
        (tmp_path / IN_BUCKET).parent.parent.mkdir(parents=True)
        with s3_server(tmp_path / "s3") as server:
            for name, value in s3_environment(server).items():
                monkeypatch.setenv(name, value)
            yield f"s3://{IN_BUCKET.removeprefix('s3/')}"


@pytest.fixture
def store(address: str) -> Store:
    return opened(address)


def opened(address: str) -> Store:
    return open_store(address, os.environ)


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return make_bundle(tmp_path / "bundle")


def put(store: Store, candidate: Candidate, tmp_path: Path) -> Stored:
    stored = store.put_candidate(candidate, tmp_path / "bundle")
    evaluation = read_evaluation(tmp_path / "bundle")
    store.put_evaluation(stored, evaluation, tmp_path / "bundle")
    return stored


def blobs(tmp_path: Path) -> dict[str, Path]:
    """The files in which a place keeps its blobs, by digest."""
    content = tmp_path / "registry/content/docker/registry/v2/blobs/sha256"
    if content.exists():
        return {path.parent.name: path for path in content.rglob("data")}
    packages = tmp_path / "forge/gitea/data/packages"
    if packages.exists():
        return {path.name: path for path in packages.rglob("*") if path.is_file()}
    layouts = [tmp_path / "store", tmp_path / IN_BUCKET]
    [layout] = [path for path in layouts if path.exists()]
    return {path.name: path for path in (layout / "blobs/sha256").glob("*")}


def is_registry(tmp_path: Path) -> bool:
    return any((tmp_path / place).exists() for place in ("registry", "forge"))


def test_whether_a_store_can_be_written_is_tried_without_a_trace(
    store: Store, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("blobs/*"))
    store.check_writable()
    assert store.known() == []
    assert sorted(tmp_path.rglob("blobs/*")) == before


def test_an_empty_store_knows_nothing(store: Store, candidate: Candidate) -> None:
    assert store.find(MODEL, candidate.fingerprint) is None
    assert store.known() == []


def test_a_candidate_comes_back_as_it_was(
    store: Store, address: str, candidate: Candidate, tmp_path: Path
) -> None:
    stored = put(store, candidate, tmp_path)
    again = opened(address)
    assert again.find(MODEL, candidate.fingerprint) == stored
    assert again.known() == [(MODEL, candidate.fingerprint)]
    assert again.read_candidate(stored) == candidate
    [evaluation] = again.evaluations(stored)
    again.fetch(stored, tmp_path / "fetched")
    again.fetch_evaluation(stored, evaluation, tmp_path / "fetched")
    assert read_candidate(tmp_path / "fetched") == candidate
    assert read_evaluation(tmp_path / "fetched") == evaluation
    assert (tmp_path / "fetched/candidate/artifacts/notes.txt").read_text() == "a note"


def test_the_same_candidate_is_the_same_bytes_everywhere(
    store: Store, candidate: Candidate, tmp_path: Path
) -> None:
    other = open_store(str(tmp_path / "other"), {})
    make_bundle(tmp_path / "made again")
    again = other.put_candidate(candidate, tmp_path / "made again")
    assert store.put_candidate(candidate, tmp_path / "bundle") == again


def test_putting_twice_changes_nothing(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    stored = put(store, candidate, tmp_path)
    before = set(blobs(tmp_path))
    assert put(store, candidate, tmp_path) == stored
    assert set(blobs(tmp_path)) == before
    assert len(store.evaluations(stored)) == 1


def test_the_first_candidate_of_a_fingerprint_stays(
    store: Store, candidate: Candidate, tmp_path: Path
) -> None:
    stored = store.put_candidate(candidate, tmp_path / "bundle")
    other = make_bundle(tmp_path / "other", answer="no")
    assert other.fingerprint == candidate.fingerprint
    assert store.put_candidate(other, tmp_path / "other") == stored
    assert store.read_candidate(stored).model_digest == "yes"


def test_an_evaluation_of_a_candidate_that_another_one_replaced_is_refused(
    store: Store, candidate: Candidate, tmp_path: Path
) -> None:
    stored = store.put_candidate(candidate, tmp_path / "bundle")
    store.remove(MODEL, candidate.fingerprint)
    store.put_candidate(make_bundle(tmp_path / "other", answer="no"), tmp_path / "other")
    with pytest.raises(StoreError, match=r"another candidate of .* that one stays.* Evaluate the"):
        store.put_evaluation(stored, read_evaluation(tmp_path / "bundle"), tmp_path / "bundle")


def test_evaluations_come_oldest_first(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    later = evaluate_bundle(tmp_path / "bundle", candidate, LATER)
    stored = put(store, candidate, tmp_path)
    first = evaluate_bundle(tmp_path / "bundle", candidate)
    put(store, candidate, tmp_path)
    assert store.evaluations(stored) == [first, later]
    store.fetch_evaluation(stored, later, tmp_path / "fetched")
    assert LATER in (tmp_path / "fetched/evaluation/report.md").read_text()


def test_a_candidate_has_its_verdicts_and_overrides_by_its_side(
    store: Store, candidate: Candidate, tmp_path: Path
) -> None:
    stored = store.put_candidate(candidate, tmp_path / "bundle")
    assert store.backing(stored) == (False, None)
    failed = evaluate_bundle(tmp_path / "bundle", candidate, verdict="fail")
    store.put_evaluation(stored, failed, tmp_path / "bundle")
    assert store.backing(stored) == (False, None)
    store.put_override(stored, "a customer waits, – Ana")
    store.put_override(stored, "a customer waits, – Ana")
    assert store.backing(stored) == (False, "a customer waits, – Ana")
    passed = evaluate_bundle(tmp_path / "bundle", candidate, LATER)
    store.put_evaluation(stored, passed, tmp_path / "bundle")
    assert store.backing(stored) == (True, "a customer waits, – Ana")
    assert store.evaluations(stored) == [failed, passed]


def test_a_removed_candidate_takes_its_evaluations_along(
    store: Store, candidate: Candidate, tmp_path: Path
) -> None:
    put(store, candidate, tmp_path)
    store.remove(MODEL, candidate.fingerprint)
    assert store.known() == []
    assert store.find(MODEL, candidate.fingerprint) is None
    if not is_registry(tmp_path):
        for path in blobs(tmp_path).values():
            os.utime(path, (0, 0))
        store.sweep()
        assert not blobs(tmp_path)
    store.remove(MODEL, candidate.fingerprint)
    stored = put(store, candidate, tmp_path)
    assert len(store.evaluations(stored)) == 1


def test_the_artifact_is_of_the_model_pack_form(candidate: Candidate, tmp_path: Path) -> None:
    stored = put(open_store(str(tmp_path / "store"), {}), candidate, tmp_path)
    manifest = json.loads(blobs(tmp_path)[stored.digest[7:]].read_bytes())
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    config = json.loads(blobs(tmp_path)[manifest["config"]["digest"][7:]].read_bytes())
    assert config["descriptor"] == {"name": MODEL, "revision": candidate.fingerprint}
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
    kinds = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"].split(".")[-3:]
        for layer in manifest["layers"]
    }
    assert kinds["candidate/model"] == ["weight", "v1", "tar"]
    assert kinds["candidate/holdout.parquet"] == ["dataset", "v1", "raw"]
    index = json.loads((tmp_path / "store/index.json").read_text())
    assert json.loads((tmp_path / "store/oci-layout").read_text()) == {
        "imageLayoutVersion": "1.0.0"
    }
    assert f"{MODEL}.{candidate.fingerprint}" in {
        entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]
    }


@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_a_damaged_blob_is_said(
    store: Store, candidate: Candidate, tmp_path: Path, damage: str
) -> None:
    stored = put(store, candidate, tmp_path)
    found = {
        digest: path for digest, path in blobs(tmp_path).items() if b"yesyes" in path.read_bytes()
    }
    [(digest, path)] = found.items()
    if damage == "torn":
        path.write_bytes(path.read_bytes().replace(b"yes", b"no!", 1))
    else:
        path.unlink()
    with pytest.raises(StoreError, match=rf"{digest}.*(is missing|is not what it was).* Evaluate"):
        store.fetch(stored, tmp_path / "fetched")
    if not is_registry(tmp_path):  # a registry's own copy is the registry's to mend
        assert store.put_candidate(candidate, tmp_path / "bundle") == stored
        store.fetch(stored, tmp_path / "mended")
        assert read_candidate(tmp_path / "mended") == candidate


def test_a_damaged_manifest_is_said(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    stored = put(store, candidate, tmp_path)
    path = blobs(tmp_path)[stored.digest[7:]]
    path.write_bytes(path.read_bytes().replace(b"weight", b"WEIGHT", 1))
    with pytest.raises(StoreError):
        store.fetch(stored, tmp_path / "fetched")
    if not is_registry(tmp_path):
        with pytest.raises(StoreError, match="Delete it, and evaluate again"):
            store.find(MODEL, candidate.fingerprint)
        path.unlink()
        assert put(store, candidate, tmp_path) == stored


_RACER = """
import os, sys, time
from pathlib import Path
from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.store.store import open_store
store, bundle = open_store(sys.argv[1], os.environ), Path(sys.argv[2])
candidate, evaluation = read_candidate(bundle), read_evaluation(bundle)
print("ready", flush=True)
sys.stdin.readline()
store.put_evaluation(store.put_candidate(candidate, bundle), evaluation, bundle)
"""


def test_of_writers_at_once_one_is_found_whole(store: Store, address: str, tmp_path: Path) -> None:
    answers = ("yes", "no", "why")
    racers = []
    for answer in answers:
        make_bundle(tmp_path / answer, answer=answer)
        racers.append([sys.executable, "-c", _RACER, address, str(tmp_path / answer)])
    codes = run_at_once(racers)
    if address.startswith("oci:"):  # the last one's stays, and the others are told
        assert 0 in codes
    else:
        assert codes == [0, 0, 0]
    [(model, fingerprint)] = store.known()
    stored = store.find(model, fingerprint)
    assert stored is not None
    store.fetch(stored, tmp_path / "fetched")
    assert read_candidate(tmp_path / "fetched").model_digest in answers


_WRITER = """
import os, sys, time
from pathlib import Path
from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.store.store import open_store
store, bundle = open_store(sys.argv[1], os.environ), Path(sys.argv[2])
write, left = type(store.place).%s, [int(sys.argv[3])]
def slow(self, *given, **named):
    if not left[0]:
        print("here", flush=True)
        time.sleep(60)
    left[0] -= 1
    return write(self, *given, **named)
type(store.place).%s = slow
stored = store.put_candidate(read_candidate(bundle), bundle)
store.put_evaluation(stored, read_evaluation(bundle), bundle)
"""


@pytest.mark.parametrize("address", LONG, indirect=True)
@pytest.mark.parametrize(
    ("step", "after"), [("put_blob", 0), ("put_blob", 3), ("put_manifest", 0), ("put_manifest", 2)]
)
def test_a_writer_that_is_killed_leaves_nothing_half_written(
    address: str, candidate: Candidate, tmp_path: Path, step: str, after: int
) -> None:
    store, script = opened(address), _WRITER % (step, step)
    writer = subprocess.Popen(
        [sys.executable, "-c", script, address, str(tmp_path / "bundle"), str(after)],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"here\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    found = store.find(MODEL, candidate.fingerprint)
    assert (found is None) == (after != 2)
    if found is not None:  # cut off while its evaluation was listed
        assert store.evaluations(found) == []
    stored = put(store, candidate, tmp_path)
    store.fetch(stored, tmp_path / "fetched")
    assert read_candidate(tmp_path / "fetched") == candidate
    assert len(store.evaluations(stored)) == 1


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/x",
        "oci://",
        "oci://host",
        "oci://me:secret@host/x",
        "s3://",
        "s3://me:secret@bucket/x",
        "az://box/x?sig=secret",
    ],
)
def test_what_is_no_place_for_a_store_is_refused(address: str) -> None:
    with pytest.raises(InputError) as refused:
        open_store(address, {})
    assert "secret" not in str(refused.value)


def test_a_registry_out_of_reach_is_said_at_once(candidate: Candidate) -> None:
    store = open_store("oci://127.0.0.1:9/acme/parcels", {"ORAS_USER": "u", "ORAS_PASS": "hidden"})
    with pytest.raises(
        StoreError, match=r"oci://127\.0\.0\.1:9/acme/parcels.*does not answer"
    ) as e:
        store.find(MODEL, candidate.fingerprint)
    assert "hidden" not in str(e.value)


@pytest.mark.slow
def test_a_registry_is_shown_the_credentials_that_it_asks_for(
    candidate: Candidate, tmp_path: Path
) -> None:
    with registry(tmp_path / "registry", password=True) as host:
        address = f"oci://{host}/acme/parcels"
        store = open_store(address, {"ORAS_USER": USER, "ORAS_PASS": PASSWORD})
        stored = put(store, candidate, tmp_path)
        assert open_store(
            address,
            {
                "GITHUB_SERVER_URL": f"http://{host}",
                "GITHUB_ACTOR": USER,
                "GITHUB_TOKEN": PASSWORD,
            },
        ).evaluations(stored)
        for wrong in ({}, {"ORAS_USER": USER, "ORAS_PASS": "other"}):
            with pytest.raises(StoreError, match=r"not allowed to read .*docker login"):
                open_store(address, wrong).find(MODEL, candidate.fingerprint)
            with pytest.raises(StoreError, match=r"not allowed to write .*docker login"):
                open_store(address, wrong).check_writable()
        store.check_writable()


@pytest.mark.slow
def test_a_registry_that_takes_nothing_is_said(candidate: Candidate, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", read_only=True) as host:
        store = open_store(f"oci://{host}/acme/parcels", {})
        with pytest.raises(StoreError, match=r"does not let anybody write sha256:"):
            store.put_candidate(candidate, tmp_path / "bundle")


@pytest.mark.slow
def test_a_registry_whose_disk_is_full_is_said_and_nothing_is_found(
    candidate: Candidate, tmp_path: Path
) -> None:
    with registry(tmp_path / "registry", largest_file=2_000) as host:
        store = open_store(f"oci://{host}/acme/parcels", {})
        with pytest.raises(
            StoreError, match=r"the store answers \d+ to: write sha256:.*space left"
        ):
            store.put_candidate(candidate, tmp_path / "bundle")
        assert store.find(MODEL, candidate.fingerprint) is None


@pytest.mark.slow
def test_a_token_that_has_ended_is_asked_for_anew(candidate: Candidate, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as behind, short_tokens(behind, uses=2) as host:
        address = f"oci://{host}/acme/parcels"
        store = open_store(address, {"ORAS_USER": USER, "ORAS_PASS": PASSWORD})
        stored = put(store, candidate, tmp_path)
        store.fetch(stored, tmp_path / "fetched")
        assert read_candidate(tmp_path / "fetched") == candidate
        ended = open_store(address, {"ORAS_USER": USER, "ORAS_PASS": "ended"})
        with pytest.raises(StoreError, match=r"not allowed to read .*docker login") as said:
            ended.find(MODEL, candidate.fingerprint)
        assert "ended" not in str(said.value)


def test_a_folder_that_cannot_be_written_is_said(candidate: Candidate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_store(str(tmp_path / "file" / "store"), {})
    with pytest.raises(StoreError, match=r"Not a directory.*who may write"):
        store.put_candidate(candidate, tmp_path / "bundle")


def test_a_full_disk_leaves_nothing(candidate: Candidate, tmp_path: Path) -> None:
    import resource

    store = open_store(str(tmp_path / "store"), {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"space left"):
            store.put_candidate(candidate, tmp_path / "bundle")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.find(MODEL, candidate.fingerprint) is None


def test_an_index_that_is_none_is_said(candidate: Candidate, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for text in ("", "[]", "{", '{"manifests": [3]}', '{"manifests": [{"digest": "../../x"}]}'):
        (tmp_path / "store/index.json").write_text(text)
        with pytest.raises(StoreError, match=r"index\.json"):
            open_store(str(tmp_path / "store"), {}).find(MODEL, candidate.fingerprint)
