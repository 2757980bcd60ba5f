"""What a clean-up may not take from under a build."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.delta.storage import LocalStorage, Storage
from mergeline.core.data.garbage import TableFile


def age(world: Any, days: float = 3) -> None:
    """Make all files of the table old."""
    then = time.time() - days * 86_400
    for path in Path(world.root, "t").rglob("*.parquet"):
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
