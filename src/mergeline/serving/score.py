"""`score`: a released model asked about the rows of files, batch by batch."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.adapters.models.folder import load
from mergeline.errors import DeployError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.serving.native import answer_columns
from mergeline.serving.proof import choose
from mergeline.serving.registered import checkable_files, released
from mergeline.serving.rows import RowReader
from mergeline.serving.served_versions import ServedModel, predict
from mergeline.serving.tables import table_batch

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

_ROWS = 20_000  # of one batch
_PROCESSES = 2
METADATA = b"mergeline"
_SUFFIXES = (".parquet", ".csv")
_MARKS = "*?["  # of a glob


@dataclass(frozen=True)
class Scored:
    """What was written, and by which model."""

    out: str
    rows: int
    model: str
    version: int
    stage: str
    fingerprint: str
    model_digest: str


def score(
    project: Project, source: str, out: str, which: str, *, progress: Callable[[int, int], None]
) -> Scored:
    """Write the rows of `source` with a released model's answers to `out`.

    Rows keep their order. Neither what is read nor what is written is ever in memory as a whole.

    Args:
        project: whose registry names the model.
        source: Parquet or CSV file, folder or glob of them, or a Delta table; a path or a URI.
        out: a Parquet file, whose metadata name the model; or CSV, with `<out>.json` beside it.
        which: `NAME@STAGE` or `NAME@VERSION`.
        progress: is told how many rows are done, and of how many (0: not known).

    Raises:
        InputError: the rows are not what the model takes, or `out` is no Parquet or CSV file.
        NotFoundError: there is no such model or input.
    """
    name, at, stage = which.partition("@")
    if not at or not name or not stage:
        raise InputError(f"--model takes NAME@STAGE or NAME@VERSION, not {which!r}")
    if not out.endswith((".parquet", ".csv")):
        raise InputError("the output must end in .parquet or .csv", where=out)
    rows = _dataset(source)
    version = released(project.tracking, name, stage)
    facts = {
        "model": version.model,
        "version": version.number,
        "stage": version.stage,
        "fingerprint": version.fingerprint,
        "model_digest": version.model_digest,
    }
    done = 0
    total = _count(rows)
    with (
        tempfile.TemporaryDirectory(
            prefix="mergeline-score-", ignore_cleanup_errors=True
        ) as folder,
        _Sink(out, facts) as sink,
        _Scorers(
            checkable_files(project.tracking, version, Path(folder)),
            version.model_digest,
            few=0 < total <= _ROWS,
        ) as scorers,
    ):
        for table in scorers.answers(_batches(rows)):
            sink.write(table)
            done += table.num_rows
            progress(done, total)
        sink.finish(rows.schema)
    return Scored(out=out, rows=done, **facts)  # type: ignore[arg-type]


def _dataset(source: str) -> ds.Dataset:
    """The rows of files.

    Raises:
        NotFoundError: nothing is there.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        if _is_delta(source):
            return _delta(source)
        files: Any = _files(source)
        first = files[0] if isinstance(files, list) else files
        kind = "csv" if first.removesuffix(".gz").endswith(".csv") else "parquet"
        return ds.dataset(files, format=kind)
    except (OSError, pa.ArrowException, ValueError) as error:
        line = str(error).splitlines()[0][:200]
        raise NotFoundError(f"no rows can be read: {line}", where=source) from error


def _delta(source: str) -> ds.Dataset:
    """The rows of a Delta table, read by Arrow's own file system.

    Read by the one of deltalake, one process in ten is aborted at its end.
    """
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem, SubTreeFileSystem

    table = DeltaTable(source)
    files, root = FileSystem.from_uri(table.table_uri)
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(root, files))


def _is_delta(source: str) -> bool:
    from deltalake import DeltaTable

    if any(mark in source for mark in _MARKS) or source.endswith((*_SUFFIXES, ".gz")):
        return False
    return bool(DeltaTable.is_deltatable(source))


def _files(source: str) -> list[str] | str:
    if "://" in source:
        return source
    if any(mark in source for mark in _MARKS):
        import glob

        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - a pattern with a root
    elif Path(source).is_dir():
        found = sorted(str(file) for file in Path(source).rglob("*") if file.suffix in _SUFFIXES)
    else:
        found = [source]
    if not found or not all(map(os.path.exists, found)):
        raise NotFoundError("no such file", where=source)
    return found


def _count(rows: ds.Dataset) -> int:
    """How many rows there are, where that is known without reading them."""
    from pyarrow.dataset import ParquetFileFormat

    with contextlib.suppress(AttributeError, OSError):
        if isinstance(rows.format, ParquetFileFormat):
            return int(rows.count_rows())
    return 0


def _batches(rows: ds.Dataset) -> Iterator[pa.Table]:
    import pyarrow as pa

    kept: list[pa.RecordBatch] = []
    size = 0
    for batch in rows.to_batches(batch_size=_ROWS, batch_readahead=2, fragment_readahead=1):
        if batch.num_rows:
            kept.append(batch)
            size += batch.num_rows
        if size >= _ROWS:
            yield pa.Table.from_batches(kept)
            kept, size = [], 0
    if kept:
        yield pa.Table.from_batches(kept)


class _Scorers:
    """Processes that hold the model, or for few rows this one; answers come in the batches' order.

    They load it from one folder, each after its own check of the digest, and need no registry.
    """

    def __init__(self, folder: Path, digest: str, *, few: bool) -> None:
        self._model = folder, digest
        self._few = few
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Scorers:
        if not self._few:
            self._pool = ProcessPoolExecutor(
                _PROCESSES,
                mp_context=get_context("spawn"),
                initializer=_keep,
                initargs=self._model,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def answers(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables, each with the model's answers in further columns.

        Raises:
            DeployError: a process ended.
        """
        if self._pool is None:
            model = _load(*self._model)
            for table in tables:
                yield _answered(model, table, 0)
            return
        waiting: deque[Future[pa.Table]] = deque()
        start = 0
        try:
            for table in tables:
                waiting.append(self._pool.submit(_answered_there, table, start))
                start += table.num_rows
                if len(waiting) > _PROCESSES + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DeployError(
                "a scoring process ended", next_step="Look at what it printed"
            ) from error


_held: list[ServedModel | Exception] = []


def _load(folder: Path, digest: str) -> ServedModel:
    model = load(folder, digest)
    return ServedModel(model, RowReader(model.inputs), choose(model))


def _keep(folder: Path, digest: str) -> None:
    """Load the model in a process of its own; what fails is said with the first batch."""
    try:
        _held.append(_load(folder, digest))
    except Exception as error:  # noqa: BLE001 - an initializer's error would only be printed
        _held.append(error)


def _answered_there(table: pa.Table, start: int) -> pa.Table:
    (model,) = _held
    if isinstance(model, Exception):
        raise model
    return _answered(model, table, start)


def _answered(model: ServedModel, table: pa.Table, start: int) -> pa.Table:
    import pyarrow as pa

    try:
        answers = predict(model, table_batch(table, model.inputs))
    except InputError as error:
        raise type(error)(
            error.message, where=f"{error.where}, of rows {start:,} on", next_step=error.next_step
        ) from None
    for name, column in zip(
        answer_columns(model), answers.reshape(len(answers), -1).T, strict=True
    ):
        if name in table.column_names:
            raise InputError(f"the rows have a column {name!r} already", next_step="Rename it")
        table = table.append_column(name, pa.array(column))
    return table


class _Sink:
    """A Parquet or CSV file that is there once it is complete."""

    def __init__(self, out: str, facts: Mapping[str, Any]) -> None:
        self._out = out
        self._part = f"{out}.part"
        self._facts = json.dumps(facts)
        self._writer: Any = None

    def __enter__(self) -> _Sink:
        return self

    def write(self, table: pa.Table) -> None:
        """Write a table's rows; those of the first give the columns."""
        if self._writer is None:
            self._writer = self._opened(table.schema)
        self._writer.write_table(table.cast(self._writer.schema) if self._is_parquet else table)

    def finish(self, schema: pa.Schema) -> None:
        """All is written."""
        if self._writer is None:
            raise InputError("there are no rows", where=str(schema.names))
        self._writer.close()
        self._writer = None
        Path(self._part).replace(self._out)
        if not self._is_parquet:
            Path(f"{self._out}.json").write_text(f"{self._facts}\n", encoding="utf-8")

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        Path(self._part).unlink(missing_ok=True)

    @property
    def _is_parquet(self) -> bool:
        return self._out.endswith(".parquet")

    def _opened(self, schema: pa.Schema) -> Any:  # noqa: ANN401 - a writer of pyarrow
        import pyarrow.parquet as pq
        from pyarrow import csv

        if not self._is_parquet:
            return csv.CSVWriter(self._part, schema)
        named = {**(schema.metadata or {}), METADATA: self._facts.encode()}
        return pq.ParquetWriter(self._part, schema.with_metadata(named))
