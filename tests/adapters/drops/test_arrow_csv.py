from __future__ import annotations

import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from mergeline.adapters.drops.arrow_csv import csv_batches
from mergeline.core.declare.contract import Contract

CONTRACT = Contract("t", "d", "csv", {})
BLOCK_BYTES = 64 << 10
ROWS = b"1,Paris\n" * (BLOCK_BYTES // 8)
RAGGED = b"1\n" * 500
LATIN = "1,Genève\n".encode("latin-1")


class Handler:
    """Skips invalid rows slowly, and says when it was last called."""

    def __init__(self) -> None:
        self.calls = 0
        self.threads: set[int] = set()

    def __call__(self, _row: pa_csv.InvalidRow) -> str:
        self.calls += 1
        self.threads.add(threading.get_ident())
        time.sleep(0.0002)
        return "skip"


def is_called_no_more(handler: Handler) -> bool:
    calls = handler.calls
    time.sleep(0.1)
    return calls == handler.calls


def read(file: Path, handler: Handler) -> int:
    return sum(batch.num_rows for batch in csv_batches(file, ["id", "name"], CONTRACT, handler))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("mergeline.adapters.drops.arrow_csv.BLOCK_BYTES", BLOCK_BYTES)
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    "content",
    [LATIN + (RAGGED + ROWS) * 3, (RAGGED + ROWS) * 2 + LATIN + (RAGGED + ROWS) * 3],
    ids=["at once", "later"],
)
def test_no_thread_goes_on_once_a_csv_was_refused(file: Path, content: bytes) -> None:
    file.write_bytes(b"id,name\n" + content)
    handler = Handler()
    with pytest.raises(pa.ArrowInvalid, match="invalid UTF8"):
        read(file, handler)
    assert is_called_no_more(handler)


def test_no_thread_goes_on_once_nobody_wants_the_rest(file: Path) -> None:
    file.write_bytes(b"id,name\n" + (RAGGED + ROWS) * 6)
    handler = Handler()
    batches = csv_batches(file, ["id", "name"], CONTRACT, handler)
    next(batches)
    del batches
    assert is_called_no_more(handler)


def test_a_csv_is_read_to_its_end(file: Path) -> None:
    file.write_bytes(b"id,name\n" + ROWS + RAGGED)
    handler = Handler()
    assert read(file, handler) == ROWS.count(b"\n")
    assert handler.calls == RAGGED.count(b"\n")
