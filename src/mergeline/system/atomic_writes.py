"""Files and folders that appear whole or not at all.

Each is made beside its final place under a name that begins with a dot and ends with `.part`, and
then renamed. A folder cannot be renamed over another: the old one is put aside first, under a name
from which it is put back if the writer is killed in between.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PART = ".part"
_ASIDE = ".replaced.part"
_LEFT_BEHIND_SECONDS = 24 * 60 * 60  # after which nobody writes there any more


@contextlib.contextmanager
def part_file(folder: Path) -> Iterator[Path]:
    """A new private file in `folder`, for content in the making; removed unless it was moved."""
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=_PART)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def file_written_whole(file: Path) -> Iterator[Path]:
    """A path to write to; what is there becomes `file` when the block ends without error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}{_PART}")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def write_file_whole(file: Path, content: bytes) -> None:
    """Write a file, down to the disk; readers see the old one or the new one."""
    with file_written_whole(file) as part, part.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder`, replacing it, when the block ends without error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    _sweep(folder.parent)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PART, dir=folder.parent))
    try:
        yield scratch
        _replace(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def finished_folders(parent: Path) -> list[Path]:
    """The folders in `parent` that were written whole; one in the making is left out."""
    for aside in list(parent.glob(f".*{_ASIDE}")):
        put_back(_replaced(aside))
    return sorted(path for path in parent.glob("[!.]*") if path.is_dir())


def put_back(folder: Path) -> None:
    """Undo a replacement that was cut off after `folder` was put aside."""
    if not folder.exists() and _aside(folder).is_dir():
        with contextlib.suppress(FileNotFoundError):  # another reader was first
            _aside(folder).rename(folder)


def _replace(folder: Path, scratch: Path) -> None:
    aside = _aside(folder)
    for is_last_try in (False, True):
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        try:
            scratch.rename(folder)
            break
        except OSError:
            if is_last_try or not folder.exists():  # else a reader has put it back just now
                raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_ASIDE}")


def _replaced(aside: Path) -> Path:
    """The folder that was put aside under this name."""
    return aside.with_name(aside.name.removeprefix(".").removesuffix(_ASIDE))


def _sweep(parent: Path) -> None:
    """Remove what writers that were killed have left."""
    for left in parent.glob(f".*.????????{_PART}"):
        if left.name.endswith(_ASIDE) and not _replaced(left).exists():
            continue  # the only copy
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
