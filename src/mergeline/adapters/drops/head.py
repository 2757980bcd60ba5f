"""The first rows of a large drop, as a drop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.drops.archive import open_drop
from mergeline.adapters.drops.read import unreadable
from mergeline.adapters.drops.sniff import MARKS_16
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import Format

_BATCH_ROWS = 65_536
_TRIED = 1_000  # ends of lines, until one is not inside a quoted value


@contextmanager
def head_of(source: Path, drop: Drop, form: Format, most: int) -> Iterator[Path]:
    """A temporary plain file with the first rows of a drop, about `most` bytes of them.

    Raises:
        DropError: the drop is damaged.
    """
    with TemporaryDirectory(prefix="mergeline-head-") as folder:
        head = Path(folder) / f"head.{form}"
        if form == "parquet":
            _copy_parquet(source, head, drop, most)
        else:
            with open_drop(source, drop) as stream:
                head.write_bytes(_whole_rows(stream.read(most), quoted=form == "csv"))
        yield head


def _whole_rows(text: bytes, *, quoted: bool) -> bytes:
    """The text up to the end of its last whole row, which is no end of line inside of quotes."""
    newline, quote = b"\n", b'"'
    if text.startswith(MARKS_16):
        is_little = text.startswith(MARKS_16[0])
        newline, quote = (b"\n\0", b'"\0') if is_little else (b"\0\n", b'\0"')
    end = len(text)
    for _ in range(_TRIED):
        end = text.rfind(newline, 0, end)
        if end < 0:
            break
        if not quoted or text.count(quote, 0, end) % 2 == 0:
            return text[: end + len(newline)]
    return text


def _copy_parquet(source: Path, head: Path, drop: Drop, most: int) -> None:
    try:
        with pq.ParquetFile(source) as file, pq.ParquetWriter(head, file.schema_arrow) as writer:
            size = 0
            for batch in file.iter_batches(_BATCH_ROWS):
                writer.write_batch(batch)
                size += batch.nbytes
                if size >= most:
                    break
    except pa.ArrowInvalid as error:
        raise unreadable(drop, "parquet", str(error)) from error
