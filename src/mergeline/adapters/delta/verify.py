"""Whether a table's file still holds what was written, by the checksums of its pages."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.delta.storage import Storage

_ROWS = 65_536


def is_sound(storage: Storage, name: str, rows: int) -> bool:
    """Whether a file can be read to its end and has so many rows; read in parts.

    Of a file that was written without checksums no more than that can be told.
    """
    with storage.fetched(name) as path:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                found: int = sum(batch.num_rows for batch in file.iter_batches(_ROWS))
        except PermissionError:  # says nothing of what is in it
            raise
        except (pa.ArrowException, OSError, ValueError):
            return False
    return found == rows
