"""What a clean-up may not take from under a build."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.delta.leases import FOLDER, Leases
from mergeline.adapters.delta.storage import LocalStorage, ObjectStorage, Storage
from mergeline.core.data.garbage import TableFile
from mergeline.errors import TableError


def age(world: Any, days: float = 3) -> None:
    """Make all files of the table old, and notes on their use."""
    then = time.time() - days * 86_400
    for path in Path(world.root, "t").rglob("*"):
        if path.suffix in {".parquet", ".json"} and "_delta_log" not in path.parts:
            os.utime(path, (then, then))


@pytest.fixture
def doomed(world: Any) -> list[TableFile]:
    """Of the drops 1, 2 and 3 the last two, which were withdrawn long ago."""
    world.build(*map(world.drop, (1, 2, 3)))
    world.build(world.drop(1))
    age(world)
    gone = {world.drop(2).md5, world.drop(3).md5}
    return [file for file in world.tables.files("t") if file.drop in gone]


def test_a_file_that_a_build_takes_up_while_others_are_deleted_stays(
    world: Any, doomed: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = [world.drop(n) for n in (1, 2, 3)]
    delete = LocalStorage.delete

    def delete_amid_a_build(storage: LocalStorage, name: str) -> None:
        monkeypatch.undo()
        delete(storage, name)
        world.build(*drops)

    monkeypatch.setattr(LocalStorage, "delete", delete_amid_a_build)
    world.tables.delete("t", doomed)
    version = world.build(*drops).version
    assert world.scanned(version).equals(world.rows(drops))
    assert len(world.written) == 4  # the one that had gone by then was made again


def test_a_build_makes_files_young_before_it_looks_for_them(
    world: Any, doomed: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = [world.drop(n) for n in (1, 2, 3)]
    sizes = Storage.sizes

    def sizes_and_then_a_clean_up(storage: Storage) -> dict[str, int]:
        monkeypatch.undo()
        found = sizes(storage)
        world.tables.delete("t", doomed)
        return found

    monkeypatch.setattr(Storage, "sizes", sizes_and_then_a_clean_up)
    built = world.build(*drops)
    assert built.found
    assert world.scanned(built.version).equals(world.rows(drops))


def test_where_a_files_time_cannot_be_set_a_note_keeps_what_a_build_found(
    world: Any, doomed: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def renew(storage: LocalStorage, names: Collection[str]) -> None:
        Leases(storage).write(names)

    monkeypatch.setattr(LocalStorage, "renew", renew)
    drops = [world.drop(1), world.drop(2)]
    built = world.build(*drops)
    notes = Path(world.root, "t", FOLDER)
    assert len(list(notes.iterdir())) == 1
    world.build(*drops)
    assert len(list(notes.iterdir())) == 1  # young as it is, it needs no second one
    written = {file.drop: file.written for file in world.tables.files("t")}
    assert written[drops[1].md5] > time.time() - 60
    assert written[world.drop(3).md5] < time.time() - 86_400
    world.tables.delete("t", doomed)
    assert {file.drop for file in world.tables.files("t")} == {drop.md5 for drop in drops}
    assert world.scanned(built.version).equals(world.rows(drops))
    world.tables.sweep("t", time.time() - 60)
    assert len(list(notes.iterdir())) == 1
    age(world)
    world.tables.sweep("t", time.time() - 60)
    assert not list(notes.iterdir())


def test_a_note_that_is_none_is_said_and_nothing_is_deleted(
    world: Any, doomed: list[TableFile]
) -> None:
    notes = Path(world.root, "t", FOLDER)
    notes.mkdir()
    (notes / "a.json").write_text("{")
    with pytest.raises(TableError, match="no list of files"):
        world.tables.delete("t", doomed)
    assert len(list(Path(world.root, "t").glob("*.parquet"))) == 3


def test_who_may_only_read_a_bucket_builds_nothing_and_finds_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise TableError("Access Denied")

    monkeypatch.setattr(Leases, "write", refuse)
    ObjectStorage("s3://bucket/t").renew({"a.parquet"})
    assert "Access Denied" in caplog.text
