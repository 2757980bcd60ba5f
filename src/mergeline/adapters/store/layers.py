"""The layers of an image: the same files are the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from mergeline.core.release.image import GZIP_TYPE, ROOT, Layer

_LEVEL = 6


class _Counted(io.RawIOBase):
    """A file that is written, with the digest and the number of its bytes."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, part: bytes) -> int:  # type: ignore[override]
        self._hash.update(part)
        self.size += len(part)
        return self._file.write(part)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def write_layer(files: Mapping[str, Path | bytes], into: Path) -> Layer:
    """Write a layer: files by their paths in the image, without owner, time or order of writing.

    It is packed, since tools that copy images pack what is not, and give it another digest.

    Args:
        files: a file on disk, or a content. On disk only its right to be executed counts.
        into: the file to write.
    """
    with into.open("wb") as file:
        stored = _Counted(file)
        with gzip.GzipFile("", "wb", _LEVEL, stored, mtime=0) as packing:
            archive = _Counted(packing)
            with tarfile.open(fileobj=archive, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                _write_entries(tar, files)
    return Layer(GZIP_TYPE, stored.digest, stored.size, archive.digest)


def files_below(folder: Path, place: str) -> dict[str, Path | bytes]:
    """The files of a folder by the paths that they get below another one."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {f"{place}/{path.relative_to(folder).as_posix()}": path for path in found}


def _write_entries(tar: tarfile.TarFile, files: Mapping[str, Path | bytes]) -> None:
    folders = {
        str(parent)
        for path in files
        for parent in PurePosixPath(path).parents
        if str(parent).startswith(ROOT)
    }
    for path in sorted([*files, *folders]):
        entry = tarfile.TarInfo(path)
        if path in folders:
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
            continue
        content = files[path]
        if isinstance(content, bytes):
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
            continue
        status = content.stat()
        entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        with content.open("rb") as opened:
            tar.addfile(entry, opened)
