"""Read drops in batches, whatever their format."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
from polars.exceptions import PolarsError

from mergeline.adapters.drops import csv_text
from mergeline.adapters.drops.arrow_csv import csv_batches
from mergeline.adapters.drops.batch import Batch, columns_problems, with_later_columns
from mergeline.adapters.drops.json_lines import read_jsonl
from mergeline.adapters.drops.parquet import read_parquet
from mergeline.adapters.drops.sniff import (
    likely_delimiter,
    mark_problem,
    refuse_foreign,
)
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import UnreadableDropError, Violation, refuse
from mergeline.core.declare.contract import Contract, Format

_WRONG_ROWS = 10_000


def read_batches(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    """The rows of a drop, in its order.

    Raises:
        DropError: it cannot be read as what the contract says, or its columns are others.
    """
    readers = {"csv": _read_csv, "jsonl": read_jsonl, "parquet": read_parquet}
    refuse_foreign(source, drop, contract.format)
    try:
        yield from readers[contract.format](source, drop, contract)
    except (pa.ArrowException, PolarsError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the drop's
            raise
        raise unreadable(drop, contract.format, str(error), contract) from error


def unreadable(
    drop: Drop, form: Format, why: str, contract: Contract | None = None
) -> UnreadableDropError:
    """The error of a drop that is not of its format; an inferred contract has no file."""
    return UnreadableDropError(
        form,
        why,
        where=drop.path,
        next_step="Get the drop again from its source"
        + (f", or correct {contract.path}" if contract and contract.table else ""),
    )


def _read_csv(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    names = _csv_columns(source, drop, contract)
    ragged = 0

    def count_ragged(_row: pa_csv.InvalidRow) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    row = 1
    with csv_text.text_file(source, drop, contract) as file, pa.OSFile(str(file)) as stream:
        size = stream.size()
        try:
            for batch in csv_batches(stream, names, contract, count_ragged):
                frame = with_later_columns(
                    cast("pl.DataFrame", pl.from_arrow(batch)), contract.columns
                )
                yield Batch(frame, first_row=row, share=stream.tell() / size)
                row += frame.height
        except pa.ArrowInvalid as error:
            if wrong := _broken_text(source, drop, contract):
                raise refuse(drop.path, contract.path, wrong) from error
            raise
        if not ragged and csv_text.is_plainly_quoted(file, contract.dialect):
            return
    problems = csv_text.row_problems(source, drop, contract)
    nothing = pl.DataFrame(schema=dict.fromkeys(contract.columns, pl.String()))
    while part := tuple(itertools.islice(problems, _WRONG_ROWS)):
        yield Batch(nothing, first_row=row, wrong=part)


def _csv_columns(source: Path, drop: Drop, contract: Contract) -> list[str]:
    """The columns of a CSV, which are the contract's.

    Raises:
        RefusedDropError: they are not.
    """
    wrong = mark_problem(source, drop, contract)
    names = [] if wrong else csv_text.column_names(source, drop, contract)
    unlike = [] if wrong else columns_problems(names, drop, contract)
    if unlike:
        wrong = likely_delimiter(names, drop, contract)
    if wrong or unlike:
        raise refuse(drop.path, contract.path, [wrong] if wrong else unlike)
    return names


def _broken_text(source: Path, drop: Drop, contract: Contract) -> list[Violation]:
    """Why Arrow gives up on a CSV: one value may be all that follows an open quote."""
    if wrong := csv_text.encoding_problem(source, drop, contract.dialect):
        return [wrong]
    return list(itertools.islice(csv_text.row_problems(source, drop, contract), _WRONG_ROWS))
