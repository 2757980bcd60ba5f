"""Other engines commit to the same table: what is pinned survives it, and we harm nobody.

The logs here are written by hand as such engines write them; `test_spark.py` has a real one.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from mergeline.adapters.delta import building
from mergeline.errors import TableError
from tests.adapters.delta.conftest import World

Action = Mapping[str, Any]
# The example of Delta's protocol for what stands inline: rows 3, 4, 7, 11, 18 and 29 are deleted.
SIX_ROWS = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"


class Stranger:
    """An engine that writes a table's log by itself."""

    def __init__(self, world: World) -> None:
        self.log = Path(world.root) / "t" / "_delta_log"

    def entry(self, version: int) -> list[dict[str, Any]]:
        return list(map(json.loads, (self.log / f"{version:020}.json").read_text().splitlines()))

    def commit(self, *actions: Action) -> int:
        version = len(list(self.log.glob("*.json")))
        info = {"commitInfo": {"operation": "STRANGER", "timestamp": 1_700_000_000_000}}
        text = "\n".join(map(json.dumps, [info, *actions]))
        (self.log / f"{version:020}.json").write_text(text)
        return version

    def properties(self, **switched: str) -> Action:
        metadata = next(action for action in self.entry(0) if "metaData" in action)
        names = {name.replace("_", "."): value for name, value in switched.items()}
        metadata["metaData"]["configuration"] |= names
        return metadata

    def delete_rows(self) -> int:
        """Mark six rows of the file of thirty as deleted."""
        [add] = [a for a in self.entry(0) if "add" in a and "30" in a["add"]["stats"][:20]]
        remove = {name: add["add"][name] for name in ("path", "size")}
        marked = copy.deepcopy(add)
        marked["add"]["deletionVector"] = {
            "storageType": "i", "pathOrInlineDv": SIX_ROWS, "sizeInBytes": 40, "cardinality": 6,
        }  # fmt: skip
        gone = {"remove": {**remove, "dataChange": True, "deletionTimestamp": 1}}
        return self.commit(protocol("deletionVectors", reader=True), gone, marked)


def protocol(feature: str, *, reader: bool = False) -> Action:
    return {
        "protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": [feature] if reader else [],
            "writerFeatures": [feature],
        }
    }


@pytest.fixture
def stranger(world: World) -> Stranger:
    world.build(world.drop(0, rows=30), world.drop(1))
    return Stranger(world)


def test_deletion_vectors_of_a_stranger_are_taken_out_before_our_snapshot(
    world: World, stranger: Stranger
) -> None:
    drops = [world.drop(0, rows=30), world.drop(1)]
    stranger.delete_rows()
    built = world.build(*drops, world.drop(2))
    assert built.rows == 50
    assert built.converted == (world.drop(2),)
    table = DeltaTable(str(stranger.log.parent), version=built.version)
    assert pl.DataFrame(table.deletion_vectors().read_all()).height == 0
    assert pl.DataFrame(table.get_add_actions(flatten=True))["num_records"].sum() == 50
    assert world.scanned(built.version).height == 50
    removed = [a["remove"] for a in stranger.entry(built.version - 1) if "remove" in a]
    assert [
        gone["deletionVector"]["cardinality"] for gone in removed if "deletionVector" in gone
    ] == [6]


def test_deleted_rows_are_no_rows_of_a_stranger_s_version(world: World, stranger: Stranger) -> None:
    """And a version that has some is not read as if it had none."""
    version = stranger.delete_rows()
    newest = world.tables.history("t")[0]
    assert (newest.version, newest.rows, newest.digest) == (version, 34, None)
    for read in (lambda: world.scanned(version), lambda: world.tables.compare("t", 0, version)):
        with pytest.raises(TableError, match=r"version 1 has deletion vectors: .* deleted 6 rows"):
            read()
    assert world.scanned(0).height == 40


def test_a_pinned_snapshot_below_deleted_rows_is_found(world: World, stranger: Stranger) -> None:
    stranger.delete_rows()
    built = world.build(world.drop(0, rows=30), world.drop(1))
    assert (built.version, built.found, built.rows) == (0, True, 40)


@pytest.mark.parametrize(
    ("feature", "properties", "said"),
    [
        (None, {"delta_appendOnly": "true"}, "delta.appendOnly is switched on"),
        ("columnMapping", {"delta_columnMapping_mode": "name"}, "olumn mapping"),
        ("rowTracking", {"delta_enableRowTracking": "true"}, "row tracking is switched on"),
        ("rowTracking", {}, "row tracking is switched on"),
        ("inCommitTimestamp", {"delta_enableInCommitTimestamps": "true"}, "InCommitTimestamps is"),
        ("checkConstraints", {"delta_constraints_x": "id > 0"}, "delta.constraints.x is"),
        ("newFeature", {}, "the feature newFeature is switched on"),
    ],
)  # fmt: skip
def test_what_our_commit_would_break_is_refused_at_once_with_the_way_out(
    world: World,
    stranger: Stranger,
    feature: str | None,
    properties: dict[str, str],
    said: str,
) -> None:
    actions = [protocol(feature)] if feature else []
    version = stranger.commit(*actions, stranger.properties(**properties))
    with pytest.raises(TableError, match=said) as caught:
        world.build(world.drop(2))
    assert "set MERGELINE_TABLES to another place" in caught.value.next_step
    assert not (stranger.log / f"{version + 1:020}.json").exists()
    assert world.scanned(0).height == 40


@pytest.mark.parametrize(
    ("feature", "properties"),
    [
        ("deletionVectors", {"delta_enableDeletionVectors": "true"}),
        ("changeDataFeed", {"delta_enableChangeDataFeed": "true"}),
        ("appendOnly", {}),
        ("columnMapping", {"delta_columnMapping_mode": "none"}),
    ],
)
def test_features_that_our_commit_keeps_are_committed_on(
    world: World, stranger: Stranger, feature: str, properties: dict[str, str]
) -> None:
    reader = feature in {"deletionVectors", "columnMapping"}
    stranger.commit(protocol(feature, reader=reader), stranger.properties(**properties))
    built = world.build(world.drop(1), world.drop(2))
    assert (built.version, built.rows) == (2, 20)


def test_a_commit_that_fails_for_another_reason_than_a_race_is_not_tried_again(
    world: World, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """delta-rs refuses what the table asks for; two minutes of new tries would not change that."""
    monkeypatch.setattr(building, "refuse_unsafe", lambda *_, **__: None)
    stranger.commit(protocol("rowTracking"))
    with pytest.raises(TableError, match=r"t: the commit is refused: .*RowTracking"):
        world.build(world.drop(2))


def test_a_pinned_version_is_read_though_the_tip_can_not_be_opened(
    world: World, stranger: Stranger
) -> None:
    digest = world.snapshot([world.drop(0, rows=30), world.drop(1)]).digest
    stranger.commit(protocol("notYetInvented", reader=True))
    assert world.scanned(0).height == 40
    assert world.tables.at_digest("t", digest) == 0
    assert world.tables.compare("t", None, 0).after.side.rows == 40
    with pytest.raises(TableError, match="notYetInvented") as caught:
        world.build(world.drop(2))
    assert "set MERGELINE_TABLES to another place" in caught.value.next_step


def test_history_counts_rows_rightly_after_the_log_s_first_entries_are_cleaned_away(
    world: World, stranger: Stranger
) -> None:
    world.build(world.drop(0, rows=30), world.drop(1), world.drop(2))
    DeltaTable(str(stranger.log.parent)).create_checkpoint()
    world.build(world.drop(1), world.drop(2))
    for version in (0, 1):
        (stranger.log / f"{version:020}.json").unlink()
    [newest] = world.tables.history("t")
    assert (newest.version, newest.rows) == (2, 20)


def test_what_we_say_of_a_commit_stands_where_spark_s_history_shows_it(
    world: World, stranger: Stranger
) -> None:
    info = stranger.entry(0)[0]["commitInfo"]
    said = json.loads(info["userMetadata"])
    assert said["snapshot"] == info["snapshot"]
    assert (said["pull_request"], said["author"]) == ("7", "Ann")
