"""The registry of a SQLite store as it is read without MLflow, held against MLflow's own client."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mergeline.adapters.mlflow.embedded import read_registered
from mergeline.adapters.mlflow.tracking import Tracking

NAMES = ["late", 'o\'hare "50%" größe']


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """A store with two models of four versions each: one deleted, aliases of ours and of others."""
    folder = tmp_path_factory.mktemp("a # b") / "x"
    folder.mkdir()
    tracking = Tracking(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")
    for name in NAMES:
        client = tracking.client
        client.create_registered_model(name)
        for number in (1, 2, 3, 4):
            client.create_model_version(
                name, source=f"/{number}", tags={"mergeline.version": f"{number + 10}", "k": "é"}
            )
        client.set_registered_model_alias(name, "production", "2")
        client.set_registered_model_alias(name, "theirs", "3")
        client.delete_model_version(name, "3")
        client.set_model_version_tag(name, "1", "mergeline.stage", "Archived")
    return tracking


def file_of(store: Tracking) -> Path:
    return Path(store.uri.removeprefix("sqlite:///"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_the_client_says(store: Tracking, name: str) -> None:
    read = read_registered(file_of(store), name)
    assert read is not None
    said = store.client.search_model_versions(f"name = '{name}'") if "'" not in name else [
        store.client.get_model_version(name, number) for number in ("1", "2", "4")
    ]  # fmt: skip
    assert {one.version: (one.name, one.run_id, one.tags) for one in read.versions} == {
        int(one.version): (one.name, one.run_id or "", dict(one.tags)) for one in said
    }
    assert read.aliases == {
        alias: int(number)
        for alias, number in store.client.get_registered_model(name).aliases.items()
    }


def test_a_model_that_is_not_registered_has_nothing(store: Tracking) -> None:
    read = read_registered(file_of(store), "unknown")
    assert read is not None
    assert (read.versions, read.aliases) == ((), {})


@pytest.mark.parametrize("content", [None, b"", b"no database", "another schema"])
def test_what_is_not_as_expected_is_left_to_the_client(
    tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "mlflow.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE model_versions (name TEXT, version INTEGER)")
        database.close()
    assert read_registered(path, "late") is None
    assert path.exists() == (content is not None)
