"""Read Parquet, each page held against its own checksum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.drops.archive import compression
from mergeline.adapters.drops.batch import Batch, columns_problems, with_later_columns
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation, refuse
from mergeline.core.declare.contract import Contract

_PARQUET_ROWS = 128_000
_NANO_RANGE = (2**63 - 1) // 1000


def read_parquet(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    """The rows of a Parquet file.

    Raises:
        RefusedDropError: its columns are others than the contract's.
        pa.ArrowException, OSError: it is damaged; the message names the column.
    """
    if compression(drop.path):
        raise pa.ArrowInvalid("Parquet in gzip or zip cannot be read in parts")
    with _opened(source) as file:
        if problems := columns_problems(file.schema_arrow.names, drop, contract):
            raise refuse(drop.path, contract.path, problems)
        columns = [name for name in contract.columns if name in file.schema_arrow.names]
        if problems := _unreadable_types(file, columns, drop):
            raise refuse(drop.path, contract.path, problems)
        with _damage_located(source, file, columns):
            yield from _batches(source, file, columns, drop, contract)


@contextmanager
def _opened(source: Path, unit: str = "ns") -> Iterator[pq.ParquetFile]:
    with pq.ParquetFile(
        source, page_checksum_verification=True, coerce_int96_timestamp_unit=unit
    ) as file:
        yield file


def _unreadable_types(file: pq.ParquetFile, columns: Sequence[str], drop: Drop) -> list[Violation]:
    """Columns at whose type Polars would panic."""
    types = {name: file.schema_arrow.field(name).type for name in columns}
    return [
        Violation(drop.path, f"is a {kind}, and 38 digits are the most", column=name)
        for name, kind in types.items()
        if pa.types.is_decimal256(kind)
    ]


def _batches(
    source: Path, file: pq.ParquetFile, columns: Sequence[str], drop: Drop, contract: Contract
) -> Iterator[Batch]:
    old = [
        column.name
        for column in map(file.schema.column, range(len(file.schema)))
        if column.physical_type == "INT96" and column.name in columns
    ]
    with _opened(source, "us") as in_micros:
        again = in_micros.iter_batches(_PARQUET_ROWS, columns=old) if old else None
        row = 1
        for batch in file.iter_batches(_PARQUET_ROWS, columns=list(columns)):
            plain = {name: _plain(batch.column(name), name) for name in columns}
            frame = cast("pl.DataFrame", pl.from_arrow(pa.table(plain)))
            wrong: list[Violation] = []
            if again is not None:
                far = cast("pl.DataFrame", pl.from_arrow(next(again)))
                for name in old:
                    frame, rounded = _exact(frame, far[name])
                    rule = "would be rounded to fit a datetime"
                    places = [row + at for at in rounded]
                    wrong += [Violation(drop.path, rule, None, at, name) for at in places]
            row += frame.height
            yield Batch(
                with_later_columns(frame, contract.columns),
                row - frame.height,
                tuple(wrong),
                share=(row - 1) / file.metadata.num_rows,
            )


def _plain(values: pa.Array, name: str) -> pa.Array:
    """The values as Polars takes them without looking at them: all of them are of their type.

    Texts that are marked as UTF-8 and are not become bytes, whose places are then told.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    try:
        values.validate(full=True)
    except pa.ArrowInvalid as error:
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_string(values.type):
            return values.view(pa.binary())
        if pa.types.is_large_string(values.type):
            return values.view(pa.large_binary())
        raise pa.ArrowInvalid(f"column {name}: {error}") from error
    return values


def _exact(frame: pl.DataFrame, far: pl.Series) -> tuple[pl.DataFrame, list[int]]:
    """The frame with moments of INT96 that are right, and rows that neither unit can hold.

    In nanoseconds an int64 goes from 1677 to 2262, and what is beyond comes out as another year;
    in microseconds it goes further, and what is finer is cut.
    """
    near = frame[far.name]
    held = far.dt.epoch("us").is_between(-_NANO_RANGE, _NANO_RANGE).fill_null(value=True)
    if held.all():
        return frame, []
    cut = held & (near.dt.epoch("ns") != far.dt.epoch("us") * 1000).fill_null(value=False)
    return frame.with_columns(far), cut.arg_true().to_list()


@contextmanager
def _damage_located(source: Path, file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[None]:
    """Name the first column and row group that cannot be read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the drop's
            raise
        for group in range(file.num_row_groups):
            for name in columns:
                try:
                    with _opened(source) as again:
                        again.read_row_group(group, columns=[name])
                except (pa.ArrowException, OSError) as same:
                    message = f"column {name}, row group {group + 1}: {same}"
                    raise pa.ArrowInvalid(message) from error
        raise
