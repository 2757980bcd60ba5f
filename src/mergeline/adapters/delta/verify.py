"""Whether a table's file still holds what was written, by the checksums of its pages."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.delta.storage import Storage

_ROWS = 65_536


def is_sound(storage: Storage, name: str, rows: int) -> bool:
    """Whether a file can be read to its end and has so many rows; read in parts.

    If a file was written without checksums, that is all that can be checked.
    """
    with storage.fetched(name) as path:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                rows_read: int = sum(batch.num_rows for batch in file.iter_batches(_ROWS))
        except PermissionError:  # it tells nothing about the content
            raise
        except (pa.ArrowException, OSError, ValueError):
            return False
    return rows_read == rows
