"""CSV as Arrow reads it: in blocks, ahead, in threads of its own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from mergeline.core.declare.contract import Contract

# Measured: smaller blocks cost time in hand-overs, larger ones only memory.
BLOCK_BYTES = 2 << 20
_PATIENCE = 10.0  # seconds; a read that hangs must not hang us


def csv_batches(
    file: Path | pa.NativeFile,
    names: Sequence[str],
    contract: Contract,
    on_invalid_row: Callable[[pa_csv.InvalidRow], str],
) -> Iterator[pa.RecordBatch]:
    """The rows as texts; however the reading ends, `on_invalid_row` is not called any more.

    Arrow alone tells a row with too few fields from one of absent values.

    Args:
        file: its text, as `csv_text.text_file` makes it.
        names: of all its columns, whether it has a header or not.
        contract: its dialect, and the texts of an absent value.
        on_invalid_row: called for each row with too few or too many fields; says "skip".

    Raises:
        pa.ArrowInvalid: the file is not CSV, or not UTF-8.
    """
    dialect = contract.dialect
    handler = partial(on_invalid_row)
    handler_is_released = threading.Event()
    weakref.finalize(handler, handler_is_released.set)
    try:
        yield from pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(
                block_size=BLOCK_BYTES, column_names=None if dialect.header else list(names)
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                escape_char=dialect.escape or False,
                newlines_in_values=True,
                ignore_empty_lines=len(names) > 1,
                invalid_row_handler=handler,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(contract.null),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    finally:
        # A thread that calls Python while Python ends takes the process down, with exit code 134.
        del handler
        handler_is_released.wait(_PATIENCE)
