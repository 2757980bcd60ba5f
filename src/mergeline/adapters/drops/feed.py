"""CSV as Arrow reads it: ahead, in a thread of its own that has ended when the reading has."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.csv as pa_csv

# Measured: smaller blocks cost time in hand-overs, larger ones only memory.
BLOCK_BYTES = 2 << 20
_PATIENCE = 10.0  # seconds; a read that hangs must not hang us
_PAUSE = 0.001
Handler = Callable[[pa_csv.InvalidRow], str]
T = TypeVar("T")


def csv_batches(
    stream: IO[bytes], header: Sequence[str], null: Sequence[str], on_invalid: Handler
) -> Iterator[pa.RecordBatch]:
    """The rows as texts; however the reading ends, Arrow's thread is done with the stream.

    A thread that calls Python while Python ends takes the process down, with 134 for an exit code.

    Raises:
        pa.ArrowInvalid: it is no CSV, or not UTF-8.
        Exception: whatever the stream raises.
    """
    feed, reader = _Feed(stream, on_invalid), None
    try:
        reader = _reader(feed, header, null)
        yield from reader
    except pa.ArrowInvalid:
        if feed.problem is None:
            raise
    finally:
        del reader
        feed.stop()
    if feed.problem is not None:
        raise feed.problem


def _reader(feed: _Feed, header: Sequence[str], null: Sequence[str]) -> pa_csv.CSVStreamingReader:
    """Pyarrow's reader: it alone tells a row with too few fields from one of absent values."""
    return pa_csv.open_csv(
        feed.file(),
        read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True,
            ignore_empty_lines=len(header) > 1,
            invalid_row_handler=feed.handler(),
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=list(null),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


class _Feed:
    """Lends what is Python's to Arrow, and takes it back."""

    def __init__(self, stream: IO[bytes], on_invalid: Handler) -> None:
        self._stream = stream
        self.ended = False
        self.problem: Exception | None = None
        self._on_invalid = on_invalid
        self._lent: list[object] = []
        self._back: list[object] = []

    def file(self) -> pa.PythonFile:
        """The stream for Arrow; who keeps a name for it keeps it from being taken back."""
        return pa.PythonFile(self._lend(_End(self)), mode="r")

    def handler(self) -> Handler:
        """What is done with an invalid row, for Arrow; as with the file."""
        return self._lend(partial(self._on_invalid))

    def read(self, size: int) -> memoryview:
        """Some of the stream: none after an error, which is then ours to raise, or the end."""
        try:
            content = b"" if self.ended else self._stream.read(size)
        except Exception as error:  # noqa: BLE001 - Arrow would keep it beyond the end
            # Its frames lead to those that hold what was lent, which is waited for.
            self.problem, self.ended, content = error.with_traceback(None), True, b""
            error.__context__ = None
        return self._lend(memoryview(content))

    def _lend(self, thing: T) -> T:
        # Called back is a C function: no more Python runs in Arrow's thread.
        self._lent.append(weakref.ref(thing, self._back.append))
        return thing

    def stop(self) -> None:
        """End the stream, and wait until Arrow has let go of all."""
        self.ended = True
        until = time.monotonic() + _PATIENCE
        while len(self._back) < len(self._lent) and time.monotonic() < until:
            time.sleep(_PAUSE)


class _End:
    """The end of a feed that Arrow holds."""

    closed = False

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def read(self, size: int = -1) -> memoryview:
        return self._feed.read(size)
