"""The rows that a model is judged on: as a candidate has them, or made again from their keys.

Where a declaration says `holdout: rebuilt`, bundle and store hold the keys alone. No code of a tree
runs to make the rows again: they are columns of a snapshot, found by key, and held against the
digest that was written down when the candidate was trained.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.row_files import content_digest
from mergeline.core.declare.model import Model
from mergeline.core.declare.private import words_of_others
from mergeline.core.release.bundle import Candidate, Rebuilt, SnapshotUse
from mergeline.errors import BundleError, MergelineError, NotFoundError, StageError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import build_snapshots
from mergeline.lifecycle.steps.trained import Trained
from mergeline.system.atomic_writes import file_written_whole

if TYPE_CHECKING:
    import polars as pl


def holdout_rows(project: Project, trained: Trained) -> Path:
    """The file of the rows that a candidate is judged on.

    Raises:
        BundleError: they cannot be made again, or are not those that it was trained beside.
    """
    rebuilt = trained.candidate.rebuilt
    if rebuilt is None:
        return trained.holdout
    place = project.state / "holdouts" / f"{rebuilt.digest}.parquet"
    if place.is_file():
        return place
    model = trained.candidate.declaration
    try:
        use = next(use for use in trained.candidate.snapshots if use.table == rebuilt.table)
        here = replace(use, version=_version(project, trained.candidate, use))
        rows = _rows(project, here, trained.holdout, model, columns=rebuilt.columns)
    except StopIteration as error:
        raise _lost(model, f"it was trained on no table {rebuilt.table!r}") from error
    except MergelineError as error:
        raise _lost(model, str(error)) from error
    if _digest(rows) != rebuilt.digest:
        raise _lost(model, "the rows with its keys are others than they were")
    with file_written_whole(place) as part:
        rows.write_parquet(part)
    return place


def keep_keys(
    project: Project, holdout: Path, uses: tuple[SnapshotUse, ...], model: Model
) -> Rebuilt:
    """Leave of a holdout's rows only the keys, once the rows were made again from a table.

    Raises:
        StageError: no table has all its columns, or has other rows under these keys.
    """
    import polars as pl

    from mergeline.adapters.delta.tables import Tables

    left = pl.read_parquet(holdout)
    tables = Tables(project.tables)
    schemas = {use: tables.scan(use.table, use.version).collect_schema() for use in uses}
    whole = [use for use, schema in schemas.items() if set(left.columns) <= set(schema)]
    if not whole:
        known = {name for schema in schemas.values() for name in schema}
        derived = sorted(set(left.columns) - known)
        why = f"{derived[0]!r} is no column of one" if derived else "its columns are of several"
        raise _not_rebuilt(model, f"no table has all columns of the holdout: {why}")
    columns = tuple(left.columns)
    try:
        rows = _rows(project, whole[0], holdout, model, columns=columns)
        same = left.cast(rows.schema).equals(rows)
    except pl.exceptions.PolarsError:
        same = False
    except BundleError as error:
        raise _not_rebuilt(model, error.message) from error
    if not same:
        raise _not_rebuilt(model, f"{whole[0].table} has other values under the holdout's keys")
    left.select(model.key).write_parquet(holdout)
    return Rebuilt(whole[0].table, columns, _digest(rows))


def _rows(
    project: Project,
    use: SnapshotUse,
    keys: Path,
    model: Model,
    *,
    columns: tuple[str, ...],
) -> pl.DataFrame:
    """Columns of a snapshot's rows, in the order of a file's keys."""
    import polars as pl

    from mergeline.adapters.delta.tables import Tables

    key = list(model.key)
    try:
        wanted = pl.read_parquet(keys, columns=key)
        table = Tables(project.tables).scan(use.table, use.version).select(columns)
        found = table.join(wanted.lazy(), on=key, how="semi", nulls_equal=True).collect()
        rows = wanted.join(found, on=key, how="left", nulls_equal=True, maintain_order="left")
    except (OSError, pl.exceptions.PolarsError) as error:
        said = words_of_others(str(error).strip().partition("\n")[0][:200], model.private)
        raise BundleError(said, where=use.table) from error
    if found.height != wanted.height or rows.height != wanted.height:
        raise BundleError(
            f"it has {found.height:,} rows for the holdout's {wanted.height:,} keys",
            where=use.table,
        )
    return rows.select(columns)


def _version(project: Project, candidate: Candidate, use: SnapshotUse) -> int:
    """The version of a table that holds a candidate's snapshot, built if it is not there."""
    from mergeline.adapters.delta.tables import Tables

    try:
        return Tables(project.tables).at_digest(use.table, use.digest)
    except NotFoundError as error:
        missing = error
    for tree in project.trees_of(candidate):
        for built in build_snapshots(project, tree, candidate.origin, only={use.table}):
            if built.digest == use.digest:
                return built.version
    raise missing


def _digest(rows: pl.DataFrame) -> str:
    return content_digest(rows.to_pandas())


def _lost(model: Model, why: str) -> BundleError:
    return BundleError(
        f"the holdout's rows cannot be made again: {why}",
        where=f"models/{model.name}.yaml: holdout",
        next_step="Bring the drops back that it was trained on, or evaluate the tree again",
    )


def _not_rebuilt(model: Model, why: str) -> StageError:
    return StageError(
        why,
        stage=model.stage,
        where=f"models/{model.name}.yaml: holdout: rebuilt",
        next_step="Let the stage leave columns of one table as they are, or say holdout: stored",
    )
