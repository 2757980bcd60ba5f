"""Rows as tables: Arrow and Parquet in and out, CSV as MLflow reads it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.core.compare.result import InputColumn
from mergeline.errors import InputError
from mergeline.serving.http import BodyError
from mergeline.serving.rows import Batch, check_names, checked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"
_PROOF_ROWS = 2_000
TABLE_LIMIT = 100_000  # rows of one table
_LARGEST_TEXTS = 64_000_000  # bytes of a table's texts, which may be packed a thousandfold


def read_table(body: bytes, kind: str, inputs: Mapping[str, InputColumn]) -> Batch:
    """The rows of an Arrow stream or a Parquet file.

    Raises:
        BodyError: it is not of that format.
        InputError: a column is missing, or not of the type that the model's signature says.
    """
    import pyarrow as pa

    try:
        table = _arrow(body) if kind == ARROW else _parquet(body, inputs)
    except (pa.ArrowException, OSError, ValueError) as error:
        name = "an Arrow stream" if kind == ARROW else "a Parquet file"
        raise BodyError(f"not {name}: {_first_line(error)}") from error
    _check_count(table.num_rows)
    return table_batch(table, inputs)


def proof_rows(file: Path, inputs: Mapping[str, InputColumn]) -> Batch | None:
    """The first rows of a holdout, for the proof of a form; None if it has none that fit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (
        contextlib.suppress(OSError, ValueError, pa.ArrowException, InputError),
        pq.ParquetFile(file) as opened,
    ):
        wanted = [name for name in opened.schema_arrow.names if name in inputs]
        for batch in opened.iter_batches(_PROOF_ROWS, columns=wanted):
            return table_batch(pa.Table.from_batches([batch]), inputs)
    return None


def table_batch(table: pa.Table, inputs: Mapping[str, InputColumn]) -> Batch:
    """The rows of a table as a model takes them.

    Raises:
        InputError: a column is missing, or not of the type that the model's signature says.
    """
    check_names([dict.fromkeys(table.column_names)], inputs)
    if len(set(table.column_names)) != table.num_columns:
        raise InputError("a column's name appears more than once", where="body")
    columns = [_column(table, name, kind) for name, kind in inputs.items()]
    return Batch(inputs, columns, table.num_rows)


def _check_count(rows: int) -> None:
    if not 0 < rows <= TABLE_LIMIT:
        raise InputError(
            f"{rows:,} rows" if rows else "no rows",
            where="body",
            next_step=f"Send between 1 and {TABLE_LIMIT:,} at once",
        )


def _arrow(body: bytes) -> pa.Table:
    import pyarrow as pa

    rows, batches = 0, []
    with pa.ipc.open_stream(body) as reader:
        for batch in reader:
            rows += batch.num_rows
            _check_count(rows or 1)
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _parquet(body: bytes, inputs: Mapping[str, InputColumn]) -> pa.Table:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(body), read_dictionary=list(inputs))
    _check_count(file.metadata.num_rows)
    wanted = [name for name in file.schema_arrow.names if name in inputs]
    table = file.read(columns=wanted)
    # What the model does not take was not read; its name still tells of a typing mistake.
    for name in file.schema_arrow.names:
        if name not in inputs:
            table = table.append_column(name, [[None] * table.num_rows])
    return table


def _column(table: pa.Table, name: str, kind: InputColumn) -> Any:  # noqa: ANN401
    """One column's values, checked as those of a JSON request are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in table.column_names:
        return checked(name, kind, [None] * table.num_rows)
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        texts = column.dictionary
        if pa.types.is_string(texts.type) and texts.nbytes * len(column) > _LARGEST_TEXTS:
            longest = pc.max(pc.binary_length(texts)).as_py() or 0
            if longest * len(column) > _LARGEST_TEXTS:
                raise InputError("its texts are too long", where=name)
        column = column.dictionary_decode()
    if kind.type == "datetime" and pa.types.is_temporal(column.type):
        zoned = pa.timestamp("us", tz=getattr(column.type, "tz", None))
        values = [
            None if one is None else one.isoformat() for one in column.cast(zoned).to_pylist()
        ]
        return checked(name, kind, values)
    if kind.type == "double" and pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64()).fill_null(float("nan"))
        return _finite(name, numbers.to_numpy(zero_copy_only=False))
    values = column.to_pylist()
    if kind.type in {"double", "float"}:
        values = [None if one != one else one for one in values]  # noqa: PLR0124 - NaN
    return checked(name, kind, values)


def _finite(name: str, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import numpy as np

    infinite = np.isinf(numbers)
    if infinite.any():
        raise InputError("beyond the largest double", where=f"rows[{infinite.argmax()}].{name}")
    return numbers


def read_csv(body: bytes, inputs: Mapping[str, InputColumn]) -> Batch:
    """The rows of a CSV file, its numbers as MLflow reads them (by pandas).

    Raises:
        BodyError: it is no CSV in UTF-8, or a value is not of its column's type.
        InputError: a column is missing, or a value where the model has always had one.
    """
    import pandas as pd

    types = {
        name: {"long": "Int64", "integer": "Int32", "boolean": "boolean", "datetime": "str"}.get(
            kind.type, {"double": "float64", "float": "float32"}.get(kind.type, "str")
        )
        for name, kind in inputs.items()
    }
    try:
        frame = pd.read_csv(io.StringIO(body.decode()), dtype=types, nrows=TABLE_LIMIT + 1)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise BodyError(f"not a CSV file of the model's columns: {_first_line(error)}") from error
    _check_count(len(frame))
    check_names([dict.fromkeys(map(str, frame.columns))], inputs)
    columns = []
    for name, kind in inputs.items():
        if name not in frame:
            columns.append(checked(name, kind, [None] * len(frame)))
            continue
        values = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        columns.append(checked(name, kind, values))
    return Batch(inputs, columns, len(frame))


def write_table(answers: npt.NDArray[np.float64], names: Sequence[str], kind: str) -> bytes:
    """Answers as an Arrow stream or a Parquet file, a column for each name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(answers.reshape(len(answers), -1).T)
    table = pa.table(dict(zip(names, map(pa.array, columns), strict=True)))
    sink = io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
