"""Real Spark at the table: it reads each version, and what it switches on we keep or refuse."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mergeline.errors import TableError
from tests.adapters.delta.conftest import World
from tests.adapters.delta.readers import by_duckdb_s_extension

pytestmark = [
    pytest.mark.spark,
    # pyspark leaves its sockets to the JVM open for the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    catalog = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    builder = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", catalog)
    )
    session = configure_spark_with_delta_pip(builder).getOrCreate()
    yield session
    session.stop()


def uri(world: World) -> str:
    return str(Path(world.root) / "t")


def count(spark: Any, world: World, version: int) -> int:
    read = spark.read.format("delta").option("versionAsOf", version)
    return int(read.load(uri(world)).count())


def alter(spark: Any, world: World, **properties: str) -> None:
    named = ", ".join(f"'{n.replace('_', '.')}' = '{v}'" for n, v in properties.items())
    spark.sql(f"ALTER TABLE delta.`{uri(world)}` SET TBLPROPERTIES ({named})")


def age(files: Iterable[Path], *, days: int) -> None:
    """Make files as old as a clean-up of the next month finds them."""
    then = time.time() - days * 86_400
    for file in files:
        os.utime(file, (then, then))


def test_spark_reads_each_version_and_shows_what_we_say_of_it(spark: Any, world: World) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    for drops in ([a, b], [a, b, c], [c], []):
        built = world.build(*drops)
        rows = world.rows(drops)
        found = spark.read.format("delta").option("versionAsOf", built.version).load(uri(world))
        ids = sorted(row.id for row in found.select("id").collect())
        assert ids == sorted(rows["id"].to_list())
        assert by_duckdb_s_extension(uri(world), built.version)["id"].sort().to_list() == ids
    history = spark.sql(f"DESCRIBE HISTORY delta.`{uri(world)}`").collect()
    assert all('"pull_request": "7"' in entry.userMetadata for entry in history)


def test_what_spark_commits_between_ours_changes_no_snapshot(spark: Any, world: World) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    first = world.build(a, b)
    table = f"delta.`{uri(world)}`"
    stranger = spark.read.format("delta").load(uri(world)).limit(3)
    steps: tuple[Callable[[], object], ...] = (
        lambda: stranger.write.format("delta").mode("append").save(uri(world)),
        lambda: spark.sql(f"OPTIMIZE {table}"),
        lambda: spark.sql(f"DELETE FROM {table} WHERE id < 5"),
        lambda: spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF 0"),
        lambda: spark.sql(f"ALTER TABLE {table} ADD COLUMN more INT"),
        lambda: stranger.write.format("delta").mode("overwrite").save(uri(world)),
    )
    for at, step in enumerate(steps):
        step()
        built = world.build(a, b, *([c] if at % 2 else []))
        assert built.rows == count(spark, world, built.version) == (30 if at % 2 else 20)
    assert world.scanned(first.version).sort("id").equals(world.rows([a, b]).sort("id"))


def test_rows_that_spark_deletes_by_vectors_are_back_in_our_next_snapshot(
    spark: Any, world: World
) -> None:
    a, b, c = (world.drop(n, rows=400) for n in range(3))
    world.build(a, b)
    alter(spark, world, delta_enableDeletionVectors="true")
    spark.sql(f"DELETE FROM delta.`{uri(world)}` WHERE id % 7 = 0")
    tip = world.tables.latest("t")
    newest = world.tables.history("t")[0]
    assert newest.rows == count(spark, world, tip) < 800
    with pytest.raises(TableError, match="deletion vectors"):
        world.scanned(tip)
    built = world.build(a, b, c)
    assert built.rows == count(spark, world, built.version) == 1200
    for read in (pl.scan_delta(uri(world)).collect(), by_duckdb_s_extension(uri(world), None)):
        assert read.height == 1200


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"delta_columnMapping_mode": "name"}, "column mapping"),
        ({"delta_appendOnly": "true"}, "delta.appendOnly"),
        ({"delta_enableRowTracking": "true"}, "row tracking"),
        ({"delta_enableInCommitTimestamps": "true"}, "delta.enableInCommitTimestamps"),
    ],
)
def test_what_spark_switches_on_and_our_commit_would_break_is_refused(
    spark: Any, world: World, properties: dict[str, str], said: str
) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    first = world.build(a, b)
    if "delta_columnMapping_mode" in properties:
        properties |= {"delta_minReaderVersion": "2", "delta_minWriterVersion": "5"}
    alter(spark, world, **properties)
    with pytest.raises(TableError, match=said) as caught:
        world.build(c)
    assert "set MERGELINE_TABLES to another place" in caught.value.next_step
    assert count(spark, world, world.tables.latest("t")) == 20
    assert world.scanned(first.version).height == 20


def test_an_append_only_table_takes_what_only_adds(spark: Any, world: World) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    world.build(a, b)
    alter(spark, world, delta_appendOnly="true")
    built = world.build(a, b, c)
    assert built.rows == count(spark, world, built.version) == 30


def test_vacuum_by_default_keeps_what_our_versions_need(spark: Any, world: World) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    first = world.build(a, b)
    world.build(c)
    age(Path(uri(world)).glob("*.parquet"), days=30)
    spark.sql(f"VACUUM delta.`{uri(world)}`")
    assert count(spark, world, first.version) == 20
    assert world.scanned(first.version).sort("id").equals(world.rows([a, b]).sort("id"))
    back = world.build(a, b, c)
    assert (back.rows, back.converted) == (30, ())


@pytest.mark.parametrize("kind", ["classic", "v2"])
def test_a_log_that_spark_checkpoints_and_cleans_up_is_read_and_counted_rightly(
    spark: Any, world: World, kind: str
) -> None:
    a, b, c = (world.drop(n) for n in range(3))
    world.build(a, b)
    second = world.build(a, b, c)
    log = Path(uri(world), "_delta_log")
    age(log.glob("*.json"), days=30)
    properties = {
        "delta_checkpointPolicy": kind,
        "delta_logRetentionDuration": "interval 1 days",
        "delta_enableExpiredLogCleanup": "true",
        "delta_checkpointInterval": "1",
    }
    alter(spark, world, **properties)
    alter(spark, world, comment="its commit is followed by a checkpoint and the clean-up")
    assert [*log.glob("*.checkpoint.*")]
    assert not (log / f"{0:020}.json").exists()
    assert world.build(a, b, c).version >= second.version
    built = world.build(b, c)
    assert built.rows == count(spark, world, built.version) == 20
    assert world.scanned(built.version).sort("id").equals(world.rows([b, c]).sort("id"))
    history = world.tables.history("t")
    assert history[0].version == built.version
    for entry in history:
        assert entry.rows == count(spark, world, entry.version)
