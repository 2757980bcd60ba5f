"""CSV as Arrow reads it: ahead, in a thread of its own that has ended when the reading has."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv as pa_csv

# Measured: smaller blocks cost time in hand-overs, larger ones only memory.
BLOCK_BYTES = 2 << 20
_PATIENCE = 10.0  # seconds; a read that hangs must not hang us
_PAUSE = 0.001


def csv_batches(
    stream: IO[bytes],
    header: Sequence[str],
    null: Sequence[str],
    on_invalid: Callable[[pa_csv.InvalidRow], str],
) -> Iterator[pa.RecordBatch]:
    """The rows as texts; however the reading ends, Arrow's thread is done with the stream.

    A thread that calls Python while Python ends takes the process down, with 134 for an exit code.

    Raises:
        pa.ArrowInvalid: it is no CSV, or not UTF-8.
    """
    feed, reader = _Feed(stream), None
    try:
        reader = _reader(feed, header, null, on_invalid)
        yield from reader
    finally:
        del reader
        feed.stop()


def _reader(
    feed: _Feed,
    header: Sequence[str],
    null: Sequence[str],
    on_invalid: Callable[[pa_csv.InvalidRow], str],
) -> pa_csv.CSVStreamingReader:
    """Pyarrow's reader: it alone tells a row with too few fields from one of absent values."""
    return pa_csv.open_csv(
        feed.file(),
        read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True,
            ignore_empty_lines=len(header) > 1,
            invalid_row_handler=on_invalid,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=list(null),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


class _Feed:
    """Lends a stream to Arrow, and takes it back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.ended = False
        # Filled by a C function: no Python runs in Arrow's thread after it.
        self._gone: list[object] = []
        self._watch: object = None

    def file(self) -> pa.PythonFile:
        """The stream for Arrow; who keeps a name for it keeps it from being taken back."""
        end = _End(self)
        self._watch = weakref.ref(end, self._gone.append)
        return pa.PythonFile(end, mode="r")

    def stop(self) -> None:
        """End the stream, and wait until Arrow has let go of it."""
        self.ended = True
        until = time.monotonic() + _PATIENCE
        while self._watch is not None and not self._gone and time.monotonic() < until:
            time.sleep(_PAUSE)


class _End:
    """The end of a feed that Arrow holds."""

    closed = False

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def read(self, size: int = -1) -> bytes:
        return b"" if self._feed.ended else self._feed.stream.read(size)
