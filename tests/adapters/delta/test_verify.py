"""Files whose size is right and whose content is not."""

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mergeline.adapters.delta.storage import ObjectStorage, Storage, open_storage
from mergeline.adapters.delta.verify import is_sound
from mergeline.core.data.snapshot import Built, Drop, Provenance
from mergeline.errors import TableError

PAGE = 150  # in the first column's first page, whatever the rows


def verified(world: Any, *drops: Drop) -> Built:
    built: Built = world.tables.build(world.snapshot(drops), world.write, Provenance(), verify=True)
    return built


def file_of(world: Any, drop: Drop) -> Path:
    [name] = world.snapshot([drop]).files
    return Path(str(world.root), "t", name)


def flip(path: Path, byte: int = PAGE, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.slow
def test_no_bit_that_falls_over_in_a_page_changes_a_value_unseen(world: Any) -> None:
    """What is not found is a page's header, in which a reader takes no notice of it or says it."""
    drop = world.drop(1, rows=500)
    world.build(drop)
    path, storage = file_of(world, drop), open_storage(f"{world.root}/t")
    content, rows = path.read_bytes(), pq.read_table(path)
    footer = int.from_bytes(content[-8:-4], "little") + 8
    chance, found = random.Random(1), 0
    for _ in range(200):
        flip(path, chance.randrange(4, len(content) - footer), chance.randrange(8))
        if not is_sound(storage, path.name, 500):
            found += 1
        else:
            assert pq.read_table(path).equals(rows)
        path.write_bytes(content)
    assert found > 180
    assert is_sound(storage, path.name, 500)
    assert not is_sound(storage, path.name, 501)


def test_a_damaged_file_of_the_right_size_is_made_again_from_its_drop(world: Any) -> None:
    drops = [world.drop(n, rows=200) for n in range(5)]
    first = world.build(*drops)
    world.tables.compare("t", None, first.version)
    flip(file_of(world, drops[1]))
    summary = next(Path(world.root, "t", "_profiles").glob(f"{drops[1].md5}*"))
    merged = list(Path(world.root, "t", "_profiles", "merged").glob("[0-9a-f]*.z"))
    assert merged
    built = verified(world, *drops)
    assert (built.version, built.found) == (first.version, True)
    assert built.repaired == (drops[1],)
    assert world.scanned(built.version).equals(world.rows(drops))
    assert not any(one.exists() for one in (summary, *merged))
    assert verified(world, *drops).repaired == ()


def test_a_damaged_file_is_made_again_before_another_snapshot_takes_it_up(world: Any) -> None:
    a, b, c = (world.drop(n, rows=200) for n in range(3))
    world.build(a, b)
    world.build(a)
    for drop in (a, b):
        flip(file_of(world, drop))
    built = verified(world, a, b, c)
    assert set(built.repaired) == {a, b}
    assert built.converted == (c,)
    assert world.scanned(built.version).equals(world.rows([a, b, c]))


def test_a_file_without_checksums_passes(world: Any) -> None:
    world.checksums = False
    drop = world.drop(1)
    world.build(drop)
    assert verified(world, drop).repaired == ()


def test_a_build_that_does_not_verify_reads_no_rows(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = [world.drop(n) for n in range(3)]
    world.build(*drops)
    monkeypatch.delattr("mergeline.adapters.delta.building.is_sound")
    assert world.build(*drops).found
    assert world.build(*drops[:2]).rows == 20


def test_an_object_is_verified_as_a_file_is(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    drop = world.drop(1, rows=200)
    world.build(drop)
    path, far = file_of(world, drop), ObjectStorage(f"file://{world.root}/t")
    assert is_sound(far, path.name, 200)
    flip(path)
    assert not is_sound(far, path.name, 200)
    assert not list(far.workshop.glob("*.part"))


def test_an_object_that_cannot_be_fetched_is_not_taken_for_a_broken_one(world: Any) -> None:
    far: Storage = ObjectStorage(f"file://{world.root}/t")
    with pytest.raises(TableError, match="cannot be reached"):
        is_sound(far, "none.parquet", 1)
