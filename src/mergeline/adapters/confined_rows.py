"""Rows of a bundle that nobody vouches for: decoded behind walls, and written anew here.

    python -m mergeline.adapters.confined_rows FILE ...

is the child, which answers with a count of rows (eight bytes) and an Arrow stream for each Parquet
file. A Parquet file of few bytes
can hold any number of rows, and its decoder is a large program; so neither this process nor any
that reads the rows later decodes what a stranger wrote.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mergeline.errors import BundleError
from mergeline.system.atomic_writes import file_written_whole
from mergeline.system.confinement import Limits, Walls, start_confined

if TYPE_CHECKING:
    import pyarrow as pa

_MODULE = "mergeline.adapters.confined_rows"
_MOST_ROWS, _MOST_BYTES, _MOST_COLUMNS = 50_000_000, 4_000_000_000, 5_000
_MOST_METADATA = 4_000_000  # bytes
_BATCH = 65_536  # rows
_LIMITS = Limits(seconds=300)


def rewrite_rows(files: Sequence[Path], walls: Walls) -> None:
    """Replace Parquet files by ones with the same rows and columns that this process wrote.

    Raises:
        BundleError: one is missing, cannot be read within the limits of time and memory, or has
            more rows, more bytes or other kinds of columns than rows have.
    """
    for file in files:
        if not file.is_file():
            raise BundleError(f"the bundle has no {file.name}", next_step="Evaluate again")
    arguments = [str(file.resolve()) for file in files]
    with start_confined(
        walls, _MODULE, arguments, readable=files, imports=["pyarrow.parquet"], limits=_LIMITS
    ) as child:
        timer = threading.Timer(_LIMITS.seconds, child.end)
        timer.start()
        try:
            for file in files:
                _rewrite(file, child.stdout, child.last_words)
        finally:
            timer.cancel()


def _rewrite(file: Path, stream: IO[bytes], last_words: Callable[[], str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pipe = _Bounded(stream)
        expected = int.from_bytes(pipe.read(8), "little")
        with pa.ipc.open_stream(pipe) as rows, file_written_whole(file) as part:
            _check_schema(rows.schema)
            with pq.ParquetWriter(part, rows.schema) as writer:
                count = size = 0
                for batch in rows:
                    batch.validate(full=True)
                    count, size = count + batch.num_rows, size + _bytes_of(batch)
                    _check_size(count, size)
                    writer.write_batch(batch)
            if count != expected:  # a stream that breaks off looks like one that ends
                raise EOFError  # noqa: TRY301 - said below, with the child's last words
    except BundleError as error:
        raise BundleError(f"{file.name} has {error.message}") from error
    except (pa.ArrowException, ValueError, OSError, EOFError) as error:
        words = last_words().strip().splitlines()
        why = words[-1] if words else str(error) or "its process ended"
        raise BundleError(f"{file.name} cannot be read: {why[:200]}") from error


def _check_size(rows: int, size: int) -> None:
    if rows > _MOST_ROWS or size > _MOST_BYTES:
        raise BundleError(f"more than {_MOST_ROWS:,} rows or {_MOST_BYTES:,} bytes")


def _check_schema(schema: pa.Schema) -> None:
    """Refuse what is no table of plain rows, or would make pandas fail on it."""
    if not 0 < len(schema.names) <= _MOST_COLUMNS:
        raise BundleError(f"{len(schema.names):,} columns, and it may have 1 to {_MOST_COLUMNS:,}")
    if len(set(schema.names)) < len(schema.names):
        raise BundleError("two columns of one name")
    if len(schema.serialize()) > _MOST_METADATA:
        raise BundleError("more said of its columns than columns need")
    for field in schema:
        if not _is_plain(field.type):
            raise BundleError(f"a column of type {str(field.type)[:80]}, which rows do not have")
    try:
        columns = schema.empty_table().to_pandas().columns
    except Exception as error:
        raise BundleError(f"metadata that pandas does not read: {error!r:.200}") from error
    hidden = [name for name in schema.names if name not in columns]
    if any(not name.startswith("__index_level_") for name in hidden):
        raise BundleError(f"its column {hidden[0][:80]!r} as an index: save it with index=False")


def _is_plain(kind: pa.DataType) -> bool:
    """Of a type whose values take as much memory as they say."""
    import pyarrow.types as of

    if of.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if of.is_list(kind) or of.is_large_list(kind):
        return not of.is_nested(kind.value_type) and _is_plain(kind.value_type)
    return any((
        of.is_primitive(kind), of.is_boolean(kind), of.is_decimal(kind), of.is_null(kind),
        of.is_string(kind), of.is_large_string(kind), of.is_binary(kind), of.is_large_binary(kind),
        of.is_fixed_size_binary(kind),
    ))  # fmt: skip


def _bytes_of(batch: pa.RecordBatch) -> int:
    """What its rows take when each holds its own value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size: int = batch.nbytes
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray):
            lengths = pc.binary_length(column.dictionary.cast(pa.large_binary(), safe=False))
            size += pc.sum(lengths.take(column.indices)).as_py() or 0
    return size


class _Bounded:
    """A pipe that ends in an error where a child sends more than it may."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, 2 * _MOST_BYTES

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= self._left:
            raise ValueError("it is larger than it may be")
        self._left -= count
        return self._stream.read(count)

    def close(self) -> None:
        """The pipe is closed by whoever opened it."""


def main() -> None:
    """Decode the files, behind the walls."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in sys.argv[1:]:
        try:
            with pq.ParquetFile(name, page_checksum_verification=True) as file:
                rows = file.metadata.num_rows
                if rows > _MOST_ROWS:
                    sys.exit(f"it has {rows:,} rows")
                answers.write(rows.to_bytes(8, "little"))
                writer = pa.ipc.new_stream(answers, file.schema_arrow)
                for batch in file.iter_batches(_BATCH):
                    writer.write_batch(batch)
                writer.close()
        except MemoryError:
            sys.exit("it takes more memory than it may")
        except Exception as error:  # noqa: BLE001 - whatever the decoder makes of it
            sys.exit(" ".join(str(error).split())[:300] or repr(error))
        answers.flush()


if __name__ == "__main__":
    main()
