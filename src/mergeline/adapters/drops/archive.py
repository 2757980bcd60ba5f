"""The bytes of a drop, plain or out of gzip or zip."""

from __future__ import annotations

import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, cast

from mergeline.core.data.snapshot import Drop
from mergeline.errors import DropError
from mergeline.system.progress import underway

_DECOMPRESSION_ERRORS = (
    EOFError,
    NotImplementedError,  # a compression method that Python lacks
    gzip.BadGzipFile,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
_PART = 1 << 20
Compression = Literal["gz", "zip"]


def compression(path: str) -> Compression | None:
    """The compression that a drop's name says, or None if it is plain."""
    if path.lower().endswith(".gz"):
        return "gz"
    return "zip" if path.lower().endswith(".zip") else None


@contextmanager
def open_drop(source: Path, drop: Drop) -> Iterator[IO[bytes]]:
    """The drop's bytes, decompressed.

    Raises:
        DropError: it is not compressed as its name says, or damaged.
    """
    try:
        match compression(drop.path):
            case "gz":
                with gzip.open(source, "rb") as stream:
                    yield cast("IO[bytes]", stream)
            case "zip":
                with zipfile.ZipFile(source) as file, file.open(_only_member(file)) as stream:
                    yield stream
            case None:
                with source.open("rb") as stream:
                    yield stream
    except _DECOMPRESSION_ERRORS as error:
        raise DropError(
            f"cannot be decompressed: {error}",
            where=drop.path,
            next_step="Get the drop again from its source and `dvc add` it",
        ) from error


@contextmanager
def decompressed(source: Path, drop: Drop) -> Iterator[Path]:
    """The drop as a plain file: itself, or a temporary one.

    Raises:
        DropError: it is not compressed as its name says, or damaged.
    """
    if compression(drop.path) is None:
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="mergeline-") as plain:
        with (
            underway(f"unpacking {drop.path}", unit="bytes") as step,
            open_drop(source, drop) as stream,
        ):
            while part := stream.read(_PART):
                plain.write(part)
                step.advance(len(part))
        plain.flush()
        yield Path(plain.name)


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = (item for item in archive.infolist() if not item.is_dir())
    members = [item for item in entries if not item.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise zipfile.BadZipFile(f"a drop in zip holds one file, this one holds {len(members)}")
    if members[0].flag_bits & 1:
        raise zipfile.BadZipFile("it is encrypted")
    return members[0]
