"""What a file looks like by its first bytes, where it is not what its name or contract says."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

from mergeline.adapters.drops.archive import open_drop
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation
from mergeline.core.declare.contract import Contract, Format
from mergeline.errors import DropError

AS_CSV = "Save the sheet as CSV and take that for the drop: dvc add FILE.csv"
OUT_OF_XML = "Convert it to CSV, JSON lines or Parquet before `dvc add`"
# First bytes, what a file that begins with them is, and what to do with it.
_KINDS = (
    (b"PK\x03\x04", "a zip archive or a workbook of Excel",
     f"Let its name end in .zip if it is an archive. {AS_CSV} if it is a workbook"),
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel", AS_CSV),
    (b"\x1f\x8b", "compressed by gzip", "Let its name end in .gz"),
    (b"PAR1\x15", "a Parquet file", "Declare `format: parquet`"),
    (b"<?xml", "XML", OUT_OF_XML),
    (b"SQLite format 3", "a database of SQLite", "Export its table as CSV before `dvc add`"),
    (b"ARROW1\0", "an Arrow or Feather file", "Write it as Parquet before `dvc add`"),
    (b"Obj\x01", "an Avro file", "Write it as Parquet before `dvc add`"),
)  # fmt: skip
MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES = 16
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}


def refuse_foreign(source: Path, drop: Drop, form: Format) -> None:
    """Refuse a drop that begins as a file of another kind.

    Raises:
        DropError: it does; the message says what it looks like, and what to do.
    """
    if form == "parquet":
        return
    with open_drop(source, drop) as stream:
        head = stream.read(_HEAD_BYTES)
    for mark, what, next_step in _KINDS:
        if head.startswith(mark):
            raise DropError(f"is not {form} but {what}", where=drop.path, next_step=next_step)
    if head.startswith(MARKS_16) and form == "jsonl":
        raise DropError(
            "is text in UTF-16", where=drop.path, next_step="Write it in UTF-8 before `dvc add`"
        )


def mark_problem(source: Path, drop: Drop, contract: Contract) -> Violation | None:
    """That a CSV has the mark of UTF-16 and its contract does not say so, or the other way."""
    declared = contract.dialect.encoding == "utf-16"
    with open_drop(source, drop) as stream:
        if (stream.read(2) in MARKS_16) == declared:
            return None
    rule = "is text in UTF-16: declare dialect.encoding utf-16"
    if declared:
        rule = "does not begin with the mark of UTF-16"
    return Violation(drop.path, rule, line=1)


def likely_delimiter(names: Sequence[str], drop: Drop, contract: Contract) -> Violation | None:
    """That a header which does not fit the contract would fit it with another delimiter."""
    if len(names) != 1 or len(contract.columns) == 1:
        return None
    for delimiter, words in DELIMITERS.items():
        parts = [part.strip('"') for part in names[0].split(delimiter)]
        if len(parts) > 1 and set(contract.columns) & set(parts):
            rule = f"has values separated by {words}: declare dialect.delimiter {delimiter!r}"
            return Violation(drop.path, rule, line=1)
    return None
