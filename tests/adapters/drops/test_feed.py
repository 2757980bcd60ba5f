from __future__ import annotations

import io
import threading
import time

import pyarrow as pa
import pytest

from mergeline.adapters.drops.feed import BLOCK_BYTES, csv_batches

ROWS = b"1,Paris\n" * (BLOCK_BYTES // 8)
LATIN = "1,Genève\n".encode("latin-1")


class Slow(io.BytesIO):
    """A stream that says which threads are reading it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reading: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        thread = threading.get_ident()
        self.reading.add(thread)
        time.sleep(0.1 if self.tell() else 0)
        try:
            return super().read(size)
        finally:
            self.reading.discard(thread)


def read(stream: Slow) -> int:
    names = ["id", "name"]
    return sum(b.num_rows for b in csv_batches(stream, names, ("",), lambda _row: "skip"))


@pytest.mark.parametrize(
    "content", [LATIN + ROWS * 3, ROWS * 2 + LATIN + ROWS * 3], ids=["at once", "later"]
)
def test_no_thread_reads_on_once_a_csv_was_refused(content: bytes) -> None:
    stream = Slow(b"id,name\n" + content)
    with pytest.raises(pa.ArrowInvalid, match="invalid UTF8"):
        read(stream)
    assert not stream.reading


def test_no_thread_reads_on_once_nobody_wants_the_rest() -> None:
    stream = Slow(b"id,name\n" + ROWS * 6)
    batches = csv_batches(stream, ["id", "name"], ("",), lambda _row: "skip")
    next(batches)
    del batches
    assert not stream.reading


def test_a_csv_is_read_to_its_end() -> None:
    assert read(Slow(b"id,name\n" + ROWS)) == ROWS.count(b"\n")
