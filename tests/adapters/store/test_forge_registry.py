"""The container registry of a real forge as the store: it offers tokens and passwords at once, and
lists no referrers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.store.store import open_store
from mergeline.errors import StoreError
from tests.support.gitea_server import PASSWORD, GiteaServer
from tests.support.parcels import MODEL
from tests.support.registries import evaluate_bundle, make_bundle

pytestmark = pytest.mark.forge


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GiteaServer]:
    running = GiteaServer(tmp_path / "forge")
    yield running
    running.close()


def test_a_forge_keeps_candidates_with_what_refers_to_them(
    server: GiteaServer, tmp_path: Path
) -> None:
    address = f"oci://{server.url.removeprefix('http://')}/owner/parcels"
    store = open_store(address, {"ORAS_USER": "owner", "ORAS_PASS": PASSWORD})
    bundle = tmp_path / "bundle"
    candidate = make_bundle(bundle)
    assert store.find(MODEL, candidate.fingerprint) is None
    assert store.known() == []
    stored = store.put_candidate(candidate, bundle)
    first = read_evaluation(bundle)
    store.put_evaluation(stored, first, bundle)
    second = evaluate_bundle(bundle, candidate, "2026-02-01T00:00:00+00:00")
    store.put_evaluation(stored, second, bundle)
    store.put_override(stored, "a customer waits")
    job = {"GITHUB_SERVER_URL": server.url, "GITHUB_TOKEN": server.tokens["owner"]}
    seen = open_store(address, {**job, "GITHUB_ACTOR": "owner"})
    assert seen.known() == [(MODEL, candidate.fingerprint)]
    assert seen.find(MODEL, candidate.fingerprint) == stored
    assert seen.evaluations(stored) == [first, second]
    assert seen.backing(stored) == (True, "a customer waits")
    seen.fetch(stored, tmp_path / "fetched")
    assert read_candidate(tmp_path / "fetched") == candidate
    # What a public owner has, everybody reads; a wrong password is refused all the same.
    assert open_store(address, {}).find(MODEL, candidate.fingerprint) == stored
    wrong = {"ORAS_USER": "owner", "ORAS_PASS": "a-wrong-one"}
    with pytest.raises(StoreError, match="not allowed to read") as refused:
        open_store(address, wrong).find(MODEL, candidate.fingerprint)
    assert "a-wrong-one" not in str(refused.value)
    store.remove(MODEL, candidate.fingerprint)
    assert store.known() == []
