import datetime as dt
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mergeline.adapters.delta.profiles import make_profile
from mergeline.adapters.delta.storage import LocalStorage
from mergeline.core.data import hyperloglog
from mergeline.core.data.diff import ColumnFacts, DataDiff, diff_snapshots
from mergeline.core.data.profile import merge_profiles
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.wording import drop_names, value_words, values
from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.strict import write_json


def profiles(world: Any) -> list[Path]:
    return sorted((Path(world.root) / "t" / "_profiles").glob("*.z"))


def test_a_summary_says_what_the_rows_say() -> None:
    rows = pl.DataFrame(
        {
            "id": range(1, 1001),
            "day": [dt.date(2013, 1, 1 + n % 3) for n in range(1000)],
            "at": [dt.datetime(2013, 1, 1, n % 24, tzinfo=dt.UTC) for n in range(1000)],
            "s": ["x" if n % 4 else None for n in range(1000)],
            "b": [n % 2 == 0 for n in range(1000)],
        }
    ).with_columns(f=pl.col("id").cast(pl.Float32) / 3, none=pl.lit(None, pl.Int64))
    profile = make_profile(rows.lazy())
    types = {name: column.type for name, column in profile.columns.items()}
    assert types == {
        "id": "int64", "day": "date", "at": "datetime", "s": "string", "b": "bool",
        "f": "float32", "none": "int64",
    }  # fmt: skip
    merged = merge_profiles([profile], types)
    assert merged["day"].top(1) == ((15706, 334),)
    assert (merged["s"].nulls, merged["s"].distinct) == (250, 1)
    assert merged["b"].counts == {True: 500, False: 500}
    assert merged["none"].distribution is None
    assert merged["id"].distinct == pytest.approx(1000, rel=0.1)
    assert merged["id"].distribution
    assert merged["id"].distribution.quantile(0.5) == pytest.approx(500, abs=5)
    assert (merged["id"].least, merged["id"].most) == (1, 1000)
    assert merged["at"].distinct == 24


def facts_of(rows: pl.DataFrame, world: Any) -> dict[str, ColumnFacts]:
    """What a diff says of a table whose only drop holds the rows."""
    types = {pl.Int64: "int64", pl.Float64: "float64", pl.String: "string", pl.Date: "date"}
    kinds = {name: types.get(kind.base_type(), "datetime") for name, kind in rows.schema.items()}
    columns = "".join(f"  {name}: {{type: {kind}}}\n" for name, kind in kinds.items())
    world.contract = parse_contract("t", f"source: d\nformat: csv\ncolumns:\n{columns}")
    drop = Drop("d/a.csv", "a" * 32)
    world.frames[drop.md5] = rows
    shown = diff_snapshots("t", world.tables.compare("t", None, world.build(drop).version))
    return {column.name: column.after for column in shown.columns if column.after}


def test_long_texts_are_told_apart_by_what_is_not_shown(world: Any) -> None:
    start = "https://example.com/" + "a" * 90
    texts = {"few": 50, "many": 300}
    rows = {name: [f"{start}{n % count}" for n in range(900)] for name, count in texts.items()}
    facts = facts_of(pl.DataFrame(rows), world)
    few, many = facts["few"], facts["many"]
    assert (few.distinct, few.exact, few.top[0].rows) == (50, True, 18)
    assert {one.value for one in few.top} == {start[:99] + "…"}
    assert not many.exact
    assert many.distinct == pytest.approx(300, rel=4 * hyperloglog.STANDARD_ERROR)


def test_a_few_long_texts_are_counted_with_many_as_the_same_values() -> None:
    start = "x" * 150
    many = make_profile(pl.LazyFrame({"s": [f"{start}{n}" for n in range(2_000)]}))
    few = make_profile(pl.LazyFrame({"s": [f"{start}{n}" for n in range(200)]}))
    both, alone = (merge_profiles(some, {"s": "string"})["s"] for some in ([many, few], [many]))
    assert both.distinct == alone.distinct


def test_numbers_are_exact_in_json_and_rounded_for_a_person(world: Any) -> None:
    large, moment = 2**53 + 1, dt.datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=dt.UTC)
    rows = pl.DataFrame({"n": range(large, large + 601), "x": [1357034400.25] * 601,
                         "at": [moment] * 601, "day": [moment.date()] * 601})  # fmt: skip
    facts = facts_of(rows, world)
    assert json.loads(write_json(facts["n"]))["least"] == large
    assert facts["n"].most == large + 600
    assert facts["n"].quantiles[2] in range(large + 295, large + 306)
    assert facts["x"].least == facts["x"].top[0].value == 1357034400.25
    assert facts["at"].least == "2013-01-01 05:00:00.123456"
    assert facts["day"].most == "2013-01-01"
    assert values(facts["x"]) == "1357034400 100 %"
    said = (123456.789, 1e-5, 0.1 + 0.2, 2e300, True, 12345678)
    assert [*map(value_words, said)] == ["123457", "1e-05", "0.3", "2e+300", "true", "12345678"]


def test_summaries_are_made_once_and_a_diff_reads_the_changed_drops_only(world: Any) -> None:
    drops = [world.drop(n, rows=300) for n in range(4)]
    before = world.build(*drops[:3])
    world.tables.compare("t", None, before.version)
    made = {path: path.stat().st_mtime_ns for path in profiles(world)}
    assert len(made) == 3
    after = world.build(*drops[:2], drops[3])
    compared = world.tables.compare("t", None, after.version)
    assert len(profiles(world)) == 4
    assert all(path.stat().st_mtime_ns == made[path] for path in made)
    assert [drop.path for drop in sorted(compared.come, key=lambda drop: drop.path)] == [
        "data/raw/t/0000.csv", "data/raw/t/0001.csv", "data/raw/t/0003.csv",
    ]  # fmt: skip


def test_a_half_written_summary_is_made_again(world: Any) -> None:
    built = world.build(world.drop(1))
    compared = world.tables.compare("t", None, built.version)
    [path] = profiles(world)
    content = path.read_bytes()
    for broken in (content[:100], b"", zlib.compress(b'{"rows": 1}'), zlib.compress(b"[]")):
        path.write_bytes(broken)
        assert world.tables.compare("t", None, built.version) == compared
        assert path.read_bytes() == content


def merged(world: Any) -> dict[str, int]:
    folder = Path(world.root) / "t" / "_profiles" / "merged"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.z")}


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the small files that are read from now on."""
    read: list[str] = []
    whole = LocalStorage.read

    def counted(storage: LocalStorage, name: str) -> bytes | None:
        read.append(name)
        return whole(storage, name)

    monkeypatch.setattr(LocalStorage, "read", counted)
    return read


@pytest.mark.slow
def test_one_more_drop_of_many_reads_and_merges_a_few_summaries(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = [world.drop(n, rows=3) for n in range(300)]
    before = world.build(*drops[:-1])
    world.tables.compare("t", None, before.version)
    kept = merged(world)
    after = world.build(*drops)
    read = counted_reads(monkeypatch)
    compared = world.tables.compare("t", before.version, after.version)
    assert (compared.after.profile.rows, compared.added.rows) == (900, 3)
    assert len(read) < 60
    assert len(read) == len(set(read))
    assert len(merged(world)) <= len(kept) + 2
    assert all(merged(world)[name] == made for name, made in kept.items())


@pytest.mark.slow
def test_a_summary_of_many_drops_is_the_same_whatever_the_way_to_it(
    world: Any, new_world: Any, tmp_path: Path
) -> None:
    drops = [world.drop(n, rows=300) for n in range(24)]
    by_steps = [drops[:18], drops[6:], drops]
    for some in by_steps:
        one = world.tables.compare("t", None, world.build(*some).version)
    other = new_world(tmp_path / "other")
    other.frames = world.frames
    at_once = other.tables.compare("t", None, other.build(*reversed(drops)).version)
    assert one.after.profile == at_once.after.profile
    ids = merge_profiles([one.after.profile], one.after.types)["id"]
    everything = np.sort(np.concatenate([world.frames[d.md5]["id"].to_numpy() for d in drops]))
    assert ids.error < 1 / 250
    assert ids.distribution
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        rank = np.searchsorted(everything, ids.distribution.quantile(share)) / len(everything)
        assert abs(rank - share) <= ids.error + 1 / len(everything)
    assert (ids.least, ids.most) == (0, 23_299)
    assert ids.distinct == pytest.approx(7_200, rel=4 * hyperloglog.STANDARD_ERROR)


def test_merged_summaries_that_are_broken_are_made_again_and_go_with_the_garbage(
    world: Any,
) -> None:
    drops = [world.drop(n, rows=3) for n in range(24)]
    first, last = world.build(*drops), world.build(*drops[:12])
    known = [world.tables.compare("t", None, built.version) for built in (first, last)]
    folder = Path(world.root) / "t" / "_profiles"
    (folder / "an-old-one.1.json").touch()
    for name in merged(world):
        (folder / "merged" / name).write_bytes(b"not this")
    assert world.tables.compare("t", None, first.version) == known[0]
    world.tables.delete("t", [])
    assert world.tables.compare("t", None, last.version) == known[1]
    assert len(merged(world)) < 10
    assert not (folder / "an-old-one.1.json").exists()
    assert world.tables.compare("t", None, first.version) == known[0]


@pytest.mark.slow
def test_paths_of_drops_are_found_in_few_reads_of_a_long_history(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [world.drop(n, rows=1) for n in range(70)]
    for number in range(1, 71):
        world.build(*many[:number])
    said = [world.tables.compare("t", None, 69).come for _ in range(2)]
    assert said[0] == said[1]
    assert {drop.path for drop in said[0]} == {drop.path for drop in many}
    read = counted_reads(monkeypatch)
    assert world.tables.compare("t", None, 69).come == said[0]
    assert len([name for name in read if "_delta_log" in name]) < 10


def test_a_diff_says_what_changed(world: Any) -> None:
    a, b = world.drop(1, rows=400), world.drop(2, rows=400)
    c = world.drop(2, rows=300, edition="x")
    before, after = world.build(a, b), world.build(a, c, world.drop(3, rows=50))
    diff = diff_snapshots("t", world.tables.compare("t", before.version, after.version, key=["id"]))
    assert diff.before
    assert (diff.before.rows, diff.after.rows) == (800, 750)
    assert [(d.path, d.change, d.rows_before, d.rows_after) for d in diff.drops] == [
        ("data/raw/t/0002.csv", "replaced", 400, 300),
        ("data/raw/t/0003.csv", "added", 0, 50),
    ]
    assert (diff.rows_added, diff.rows_removed) == (350, 400)
    assert not diff.schema
    column = {one.name: one for one in diff.columns}
    assert column["id"].added
    assert column["id"].added.rows == 350
    assert column["id"].drift
    assert column["id"].drift.psi > 0.25
    assert column["day"].drift is None
    assert column["b"].drift
    assert column["b"].drift.psi < 0.01
    assert diff.shared_keys
    assert diff.shared_keys.count == 0


def test_a_version_that_differs_in_nothing_has_an_empty_diff(world: Any) -> None:
    built = world.build(world.drop(1))
    assert not diff_snapshots("t", world.tables.compare("t", built.version, built.version))
    assert diff_snapshots("t", world.tables.compare("t", None, built.version))


def test_a_drop_that_took_the_path_of_one_renamed_hides_none(world: Any) -> None:
    renamed, other = world.drop(1), world.drop(2, rows=7)
    path = renamed.path
    first = world.build(renamed)
    second = world.build(Drop("data/raw/t/old.csv", renamed.md5), Drop(path, other.md5))
    third = world.build(world.drop(3))
    versions = [None, *(built.version for built in (first, second, third))]

    def diff(before: int, after: int) -> DataDiff:
        return diff_snapshots("t", world.tables.compare("t", versions[before], versions[after]))

    shown = diff(0, 2)
    assert (len(shown.drops), shown.rows_added, shown.after.rows) == (2, 17, 17)
    assert sorted(drop_names(shown)) == sorted(
        f"{path} ({drop.md5[:8]})" for drop in (renamed, other)
    )
    [added] = diff(1, 2).drops
    assert (added.md5, added.change, added.rows_after) == (other.md5, "added", 7)
    gone = diff(2, 3)
    assert [drop.change for drop in gone.drops] == ["withdrawn", "withdrawn", "added"]
    assert (gone.rows_removed, gone.rows_added) == (17, 10)


def test_keys_in_more_than_one_drop_are_counted(world: Any) -> None:
    a, b, far = (world.drop(n, rows=300) for n in (1, 2, 9))
    double = world.drop(3, rows=10)
    frame = world.frames[a.md5].slice(295).vstack(world.frames[double.md5].head(3))
    world.frames[double.md5] = frame
    before = world.build(a, b, far)
    after = world.build(a, b, far, double)
    shared = world.tables.compare("t", before.version, after.version, key=["id"]).shared_keys
    assert (shared.count, shared.examples) == (5, ("1295", "1296", "1297"))
    assert world.tables.compare("t", None, before.version, key=["id"]).shared_keys.count == 0


ODD = ["files", "is_added", "path", "path_right", "key0", "rows", "value", "x", "x_right", "*",
       "^.*$", "a.b"]  # fmt: skip


def test_a_column_may_have_any_name(new_world: Any, tmp_path: Path) -> None:
    world = new_world(tmp_path / "odd")
    columns = "".join(f"  {name!r}: {{type: int64}}\n" for name in ODD)
    world.contract = parse_contract("t", f"source: d\nformat: csv\ncolumns:\n{columns}")
    drops = [Drop(f"d/{n}.csv", f"{n}" * 32) for n in range(2)]
    for n, drop in enumerate(drops):
        world.frames[drop.md5] = pl.DataFrame({name: [n, n + 1] for name in ODD})
    before, after = world.build(drops[0]), world.build(*drops)
    compared = world.tables.compare("t", before.version, after.version, key=ODD)
    shared = compared.shared_keys
    assert shared
    assert (shared.count, shared.examples) == (1, (", ".join("1" for _ in ODD),))
    diff = diff_snapshots("t", compared)
    assert [column.name for column in diff.columns] == ODD
    assert all(column.after and column.after.distinct == 3 for column in diff.columns)


def test_keys_of_drops_that_lie_apart_are_not_read(world: Any) -> None:
    """The bounds in the log say it: even a file that has gone is not missed."""
    a, b = world.drop(1), world.drop(2)
    before, after = world.build(a), world.build(a, b)
    world.tables.compare("t", before.version, after.version)  # which makes the summaries
    for path in (Path(world.root) / "t").glob("*.parquet"):
        path.unlink()
    shared = world.tables.compare("t", before.version, after.version, key=["id"]).shared_keys
    assert shared.count == 0


def test_the_history_counts_rows_and_files(world: Any) -> None:
    a, b, c = world.drop(1), world.drop(2, rows=7), world.drop(3, rows=5)
    world.build(a)
    world.build(a, b)
    world.build(a, c)
    world.build(a, b)  # found: no version
    world.build(c)
    entries = world.tables.history("t")
    assert [(e.version, e.operation, e.rows, e.rows_added, e.rows_removed) for e in entries] == [
        (3, "withdraw drop", 5, 0, 10),
        (2, "replace drops", 15, 5, 7),
        (1, "add drop", 17, 7, 0),
        (0, "create", 10, 10, 0),
    ]
    assert entries[0].pull_request == "7"
    assert entries[0].author == "Ann"
    assert world.tables.history("t", limit=2) == entries[:2]


def test_somebody_elses_commit_is_in_the_history(world: Any) -> None:
    from deltalake import DeltaTable

    world.build(world.drop(1))
    DeltaTable(Path(world.root) / "t").delete("id < 1004")
    newest = world.tables.history("t")[0]
    assert (newest.operation, newest.rows, newest.digest) == ("delete", 6, None)


def test_large_float_columns_keep_their_extremes() -> None:
    values = np.random.default_rng(0).normal(size=5_000)
    profile = make_profile(pl.LazyFrame({"x": values}))
    assert profile.columns["x"].least == values.min()
    assert profile.columns["x"].most == values.max()
    assert not profile.columns["x"].complete
