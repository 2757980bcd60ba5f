import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType

from mergeline.core.data.snapshot import Drop, Provenance
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import NotFoundError, TableError


def folder(world: Any) -> Path:
    return Path(world.root) / "t"


def parquets(world: Any) -> list[str]:
    return sorted(path.name for path in folder(world).glob("*.parquet"))


def test_a_new_drop_costs_its_own_bytes_and_one_log_entry(world: Any) -> None:
    drops = [world.drop(n) for n in range(4)]
    first = world.build(*drops[:3])
    before = set(parquets(world))
    second = world.build(*drops)
    [added] = set(parquets(world)) - before
    assert (first.version, second.version) == (0, 1)
    assert (first.rows, second.rows) == (30, 40)
    assert [drop.path for drop in second.converted] == ["data/raw/t/0003.csv"]
    assert second.bytes_written == (folder(world) / added).stat().st_size
    assert world.scanned(1).equals(world.rows(drops))
    log = (folder(world) / "_delta_log" / f"{1:020}.json").read_text().splitlines()
    assert sorted(key for line in log for key in json.loads(line)) == ["add", "commitInfo", "txn"]


def test_withdrawing_re_adding_and_reverting_write_nothing(world: Any) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    world.build(a, b)
    world.build(a, c)
    written = len(world.written)
    again = world.build(a, b, c)
    alone = world.build(b)
    reverted = world.build(a, b)
    assert len(world.written) == written
    assert reverted.found
    assert reverted.version == 0
    assert (again.bytes_written, alone.bytes_written) == (0, 0)
    assert world.scanned(again.version).equals(world.rows([a, b, c]))
    assert world.scanned(alone.version).equals(world.rows([b]))


def test_a_known_snapshot_is_found_and_not_built(world: Any) -> None:
    drops = [world.drop(n) for n in range(2)]
    assert world.tables.find(world.snapshot(drops)) is None
    built = world.build(*drops)
    world.build(drops[0])
    again = world.build(*reversed(drops))
    assert again == replace(built, found=True, converted=(), bytes_written=0)
    assert world.tables.find(world.snapshot(drops)) == built.version
    assert world.tables.at_digest("t", built.digest) == built.version
    assert DeltaTable(folder(world)).version() == 1


def test_the_history_says_whose_change_it_was(world: Any) -> None:
    a, b = world.drop(1), world.drop(2)
    world.build(a)
    built = world.build(b)
    entry = DeltaTable(folder(world)).history(1)[0]
    said = {key: entry[key] for key in ("commit", "ref", "pull_request", "author", "snapshot")}
    assert said == {
        "commit": "c0ffee",
        "ref": "topic",
        "pull_request": "7",
        "author": "Ann",
        "snapshot": built.digest,
    }
    assert entry["drops_added"] == {b.md5: b.path}
    assert entry["drops_removed"] == [a.md5]


def test_two_machines_get_the_same_digest_and_rows(
    world: Any, new_world: Any, tmp_path: Path
) -> None:
    drops = [world.drop(n) for n in range(3)]
    world.build(drops[2])
    world.build(drops[1], drops[2])
    here = world.build(*drops)
    other = new_world(tmp_path / "elsewhere")
    for n in range(3):
        other.drop(n)
    there = other.build(*drops)
    assert (here.digest, here.rows) == (there.digest, there.rows)
    assert here.version != there.version
    assert world.scanned(here.version).equals(other.scanned(there.version))


def test_the_same_content_under_two_paths_is_counted_once(world: Any) -> None:
    drop = world.drop(1)
    built = world.build(drop, Drop("data/raw/t/copy.csv", drop.md5))
    assert built.rows == 10


def test_all_drops_withdrawn_leave_no_rows_and_the_columns(world: Any) -> None:
    drop = world.drop(1)
    world.build(drop)
    empty = world.build()
    assert empty.rows == 0
    assert world.scanned(empty.version).equals(world.rows([]))
    assert world.scanned(0).height == 10


def test_an_empty_table_can_be_the_first_version(world: Any) -> None:
    assert world.build().version == 0
    assert world.scanned(0).height == 0


def test_another_contract_makes_other_files_and_another_schema(world: Any) -> None:
    drop = world.drop(1)
    before = world.build(drop)
    contract = parse_contract("t", "source: d\nformat: csv\ncolumns: {id: {type: int64}}\n")
    narrow = replace(world, contract=contract, written=[])
    narrow.drop(1)
    after = narrow.build(drop)
    assert after.digest != before.digest
    assert narrow.scanned(after.version).columns == ["id"]
    assert world.scanned(before.version).width == 8
    world.drop(1)
    back = world.build(drop, world.drop(2))
    assert world.scanned(back.version).width == 8
    assert len(DeltaTable(folder(world)).file_uris()) == 2


def test_statistics_let_a_reader_skip_files(world: Any) -> None:
    world.build(*(world.drop(n) for n in range(3)))
    adds = pl.DataFrame(DeltaTable(folder(world)).get_add_actions(flatten=True))
    for row in adds.iter_rows(named=True):
        frame = pl.read_parquet(folder(world) / row["path"])
        assert row["size_bytes"] == (folder(world) / row["path"]).stat().st_size
        assert row["num_records"] == frame.height
        for name in frame.columns:
            assert row[f"null_count.{name}"] == frame[name].null_count()
            assert row[f"min.{name}"] == frame[name].min()
            assert row[f"max.{name}"] == frame[name].max()
    table = DeltaTable(folder(world))
    one = pl.scan_delta(table).filter(pl.col("id") == 2003).collect()
    assert one["id"].to_list() == [2003]


def test_a_column_without_values_has_no_bounds(world: Any) -> None:
    drop = world.drop(1)
    world.frames[drop.md5] = world.frames[drop.md5].with_columns(
        x=pl.lit(None, pl.Float64), s=pl.lit("ü" * 500)
    )
    world.build(drop)
    stats = json.loads(
        next(
            json.loads(line)["add"]["stats"]
            for line in (folder(world) / "_delta_log" / f"{0:020}.json").read_text().splitlines()
            if "add" in json.loads(line)
        )
    )
    assert stats["nullCount"]["x"] == 10
    assert not {"x", "s"} & stats["minValues"].keys()


def test_a_drop_that_is_refused_commits_nothing(world: Any) -> None:
    a, b = world.drop(1), world.drop(2)
    world.build(a)
    del world.frames[b.md5]
    with pytest.raises(KeyError):
        world.build(a, b)
    assert DeltaTable(folder(world)).version() == 0
    assert not list((folder(world) / "_incoming").iterdir())


def test_a_file_left_by_a_killed_build_is_used_not_written_again(world: Any) -> None:
    a, b = world.drop(1), world.drop(2)
    world.build(a, b)
    for entry in (folder(world) / "_delta_log").iterdir():
        entry.unlink()
    world.written.clear()
    assert world.build(a, b).rows == 20
    assert world.written == []


def test_a_half_written_file_is_never_data(world: Any) -> None:
    a, b = world.drop(1), world.drop(2)
    world.build(a)
    [name] = set(world.snapshot([b]).files)
    (folder(world) / name).write_bytes(b"PAR1 half")
    built = world.build(a, b)
    assert world.scanned(built.version).equals(world.rows([a, b]))


def test_a_part_left_in_the_workshop_is_swept_once_it_is_old(world: Any) -> None:
    workshop = folder(world) / "_incoming"
    workshop.mkdir(parents=True)
    old, new = workshop / "old.part", workshop / "new.part"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    world.build(world.drop(1))
    assert not old.exists()
    assert new.exists()


def test_a_deleted_file_is_said_when_read_and_made_again_when_built(world: Any) -> None:
    drops = [world.drop(n) for n in range(3)]
    built = world.build(*drops)
    gone = folder(world) / next(iter(world.snapshot(drops).files))
    gone.unlink()
    with pytest.raises(TableError, match="gone, or not of the size"):
        world.scanned(built.version)
    again = world.build(*drops)
    assert again.version == built.version
    assert [drop.md5 for drop in again.repaired] == [gone.name.partition("-")[0]]
    assert world.scanned(built.version).equals(world.rows(drops))


def test_a_truncated_file_is_found_and_made_again(world: Any) -> None:
    drops = [world.drop(n) for n in range(3)]
    world.build(*drops)
    for name in world.snapshot(drops).files:
        os.truncate(folder(world) / name, 100)
    more = world.build(*drops, world.drop(4))
    assert len(more.repaired) == 3
    assert world.scanned(more.version).height == 40


def test_a_deleted_table_is_built_anew(world: Any) -> None:
    drops = [world.drop(n) for n in range(3)]
    world.build(drops[0])
    built = world.build(*drops)
    for path in sorted(folder(world).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(NotFoundError, match="there is no such table"):
        world.scanned(built.version)
    again = world.build(*drops)
    assert (again.digest, again.version) == (built.digest, 0)


def test_a_damaged_log_is_said(world: Any) -> None:
    world.build(world.drop(1))
    (folder(world) / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(TableError, match="move the table away") as caught:
        world.build(world.drop(2))
    assert "\n" not in str(caught.value)


def test_a_missing_log_entry_is_said(world: Any) -> None:
    for n in range(3):
        world.build(world.drop(n))
    (folder(world) / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(TableError):
        world.build(world.drop(9))


def test_rows_deleted_by_hand_do_not_reach_a_later_snapshot(world: Any) -> None:
    """Somebody else's commit on top is no reason to take its files for the snapshot's."""
    a, b = world.drop(1), world.drop(2)
    world.build(a, b)
    DeltaTable(folder(world)).delete("id < 1005")
    same = world.build(a, b)
    assert (same.version, same.found) == (0, True)
    more = world.build(a, b, world.drop(3))
    assert world.scanned(more.version).equals(world.rows([a, b, world.drop(3)]))


def test_a_schema_changed_by_hand_is_set_right(world: Any) -> None:
    a, b = world.drop(1), world.drop(2)
    world.build(a)
    DeltaTable(folder(world)).alter.add_columns([Field("extra", PrimitiveType("string"))])
    built = world.build(a, b)
    assert world.scanned(built.version).equals(world.rows([a, b]))
    assert "extra" not in [f.name for f in DeltaTable(folder(world)).schema().fields]


def test_an_unknown_version_table_or_digest_is_said(world: Any) -> None:
    world.build(world.drop(1))
    with pytest.raises(NotFoundError, match="no version 7, the latest is 0"):
        world.tables.scan("t", 7)
    with pytest.raises(NotFoundError, match="no such table"):
        world.tables.scan("u", 0)
    for table in ("t", "u"):
        with pytest.raises(NotFoundError, match="holds no snapshot abababababab"):
            world.tables.at_digest(table, "ab" * 32)


@pytest.mark.slow
def test_old_versions_stay_readable_after_many_commits(world: Any) -> None:
    """Beyond checkpoints, and with a log that nothing may clean."""
    drops = [world.drop(n, rows=1) for n in range(60)]
    for n in range(1, 61):
        world.build(*drops[:n])
    assert list((folder(world) / "_delta_log").glob("*.checkpoint.parquet"))
    for n in (1, 2, 30, 60):
        assert world.tables.find(world.snapshot(drops[:n])) == n - 1
        assert world.scanned(n - 1).equals(world.rows(drops[:n]))
    settings = DeltaTable(folder(world)).metadata().configuration
    assert settings["delta.enableExpiredLogCleanup"] == "false"


def test_a_conversion_that_takes_long_has_as_much_patience_as_a_quick_one(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.adapters.delta.building._PATIENCE_SECONDS", 0.3)
    a, b = world.drop(1), world.drop(2)
    write = world.write

    def slow(drop: Drop, target: Path) -> None:
        time.sleep(0.5)
        world.tables.build(world.snapshot([b]), write, Provenance())
        write(drop, target)

    built = world.tables.build(world.snapshot([a]), slow, Provenance())
    assert (built.version, built.found) == (1, False)


def test_writers_that_are_always_quicker_are_said(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.adapters.delta.building._PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("mergeline.adapters.delta.building.Building._commit", lambda *_: None)
    with pytest.raises(TableError, match="other writers were quicker"):
        world.build(world.drop(1))


def test_a_full_disk_is_said_and_commits_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.build(world.drop(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world, "write", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        world.build(world.drop(2))
    assert DeltaTable(folder(world)).version() == 0
