"""One drop becomes one typed Parquet file, or is refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from mergeline.adapters.drops.casting import dtype_of, refuse_unknown_zones
from mergeline.adapters.drops.check import Findings, check_batch
from mergeline.adapters.drops.csv_text import lines_of
from mergeline.adapters.drops.keys import find_duplicates
from mergeline.adapters.drops.read import read_batches
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Refusal, RefusedDropError, UnreadableDropError
from mergeline.core.declare.contract import Contract
from mergeline.core.declare.private import NOT_SHOWN, Quoting
from mergeline.errors import TableError
from mergeline.system.progress import underway

# A reader skips a row group by its statistics; a writer holds one in memory.
_ROW_GROUP_BYTES = 16 << 20


def convert(
    source: Path,
    drop: Drop,
    contract: Contract,
    target: Path,
    *,
    private: frozenset[str] = frozenset(),
) -> int:
    """Write the rows of a drop, in their order, as Parquet of the contract's types; their number.

    The drop is read in parts: memory does not grow with it. If it is refused, no `target` is left.

    Args:
        source: the drop's content (its name does not matter, `drop.path` says the compression).
        drop: which drop it is.
        contract: what it must meet.
        target: the file to write.
        private: columns of which no message may quote a value.

    Raises:
        RefusedDropError: it breaks the contract.
        DropError: it cannot be read as what the contract says.
        DeclarationError: the contract names a zone that there is not.
        TableError: it cannot be written: the disk is full.
    """
    try:
        with _quoting(Quoting(contract, private)):
            return _write_checked(source, drop, contract, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise TableError(
            f"{drop.path} cannot be converted: {error.strerror or error}",
            where=str(target.parent),
            next_step="Make room there and run again"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "Run again",
        ) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def _quoting(quoting: Quoting) -> Iterator[None]:
    """Whatever is found wrong, it is told without values that may not be quoted."""
    try:
        yield
    except RefusedDropError as error:
        raise RefusedDropError(error.refusal.quoted(quoting)) from None
    except UnreadableDropError as error:
        if quoting.is_free:
            raise
        told = {"where": error.where, "next_step": error.next_step}
        raise UnreadableDropError(error.form, NOT_SHOWN, **told) from None


def _write_checked(source: Path, drop: Drop, contract: Contract, target: Path) -> int:
    refuse_unknown_zones(contract)
    findings = Findings()
    rows = _write(source, drop, contract, target, findings)
    if not findings.counts:
        for violation, count in find_duplicates(target, drop, contract, rows):
            findings.add(violation, count)
    if findings.counts:
        raise _refused(source, drop, contract, findings)
    return rows


def _write(source: Path, drop: Drop, contract: Contract, target: Path, findings: Findings) -> int:
    """Write the rows, or only check them from the first finding on; returns their number."""
    rows = 0
    empty = pl.DataFrame(schema={name: dtype_of(c.type) for name, c in contract.columns.items()})
    schema = empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    size = source.stat().st_size
    converting = underway(f"converting {drop.path}", total=size, unit="bytes")
    with converting as step, target.open("wb") as sink:
        with pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            store_schema=False,
            version="2.6",
            write_page_checksum=True,  # a bit that falls over later is found, not trained on
        ) as writer:
            held: list[pl.DataFrame] = []
            for batch in read_batches(source, drop, contract):
                held.append(check_batch(batch, drop.path, contract, findings))
                rows += held[-1].height
                step.reach((batch.share or 0.0) * size, rows=rows)
                if findings.counts:
                    held = []
                elif sum(frame.estimated_size() for frame in held) >= _ROW_GROUP_BYTES:
                    _flush(writer, held)
                    held = []
            if held:
                _flush(writer, held)
        sink.flush()
        os.fsync(sink.fileno())
    return rows


def _flush(writer: pq.ParquetWriter, frames: list[pl.DataFrame]) -> None:
    """Write the frames as one row group."""
    table = pl.concat(frames).to_arrow(compat_level=pl.CompatLevel.oldest())
    writer.write_table(table.cast(writer.schema), row_group_size=max(1, table.num_rows))


def _refused(source: Path, drop: Drop, contract: Contract, findings: Findings) -> RefusedDropError:
    """The refusal, with lines where the format has them."""
    violations = findings.violations
    if contract.format == "csv":
        rows = {item.row for item in violations if item.row is not None and item.line is None}
        lines = lines_of(source, drop, contract, rows) if rows else {}
        violations = [
            item if item.row is None else replace(item, line=lines.get(item.row, item.line))
            for item in violations
        ]
    violations = sorted(violations, key=lambda item: (item.line or 0, item.row or 0))
    return RefusedDropError(Refusal(drop.path, contract.path, tuple(violations), findings.broken()))
