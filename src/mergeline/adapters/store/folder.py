"""The files of a layout in a folder of one machine."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from mergeline.errors import StoreError
from mergeline.system.atomic_writes import file_written_whole, write_file_whole
from mergeline.system.digests import file_sha256
from mergeline.system.locks import file_lock

_NEXT = "Check that it is there, who may write to it, and the space left; then run again"


class Folder:
    """See `layout.Files`. The folder is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        self.name = str(folder)
        self._seen: dict[str, tuple[tuple[int, int, int], bytes]] = {}

    def alone(self) -> AbstractContextManager[object]:
        """Keep this machine's other writers waiting; its holder may ask again."""
        return self._lock

    @cached_property
    def _lock(self) -> AbstractContextManager[object]:
        with self._translating():
            return file_lock(self._root / "writing.lock")

    def read(self, path: str) -> tuple[bytes, object] | None:
        """See `layout.Files`. An index of many megabytes is read again where it is another file."""
        if path.startswith("blobs/"):
            content = self._content(path)
            return None if content is None else (content, path)
        with self._translating():
            try:
                found = (self._root / path).stat()
            except FileNotFoundError:
                return None
        version = found.st_ino, found.st_mtime_ns, found.st_size
        known, content = self._seen.get(path, (None, None))
        if known != version or content is None:
            if (content := self._content(path)) is None:
                return None
            self._seen[path] = version, content
        return content, path

    def _content(self, path: str) -> bytes | None:
        with self._translating():
            try:
                return (self._root / path).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, content: bytes, instead_of: object) -> bool:  # noqa: ARG002 - alone
        """See `layout.Files`. Who writes is alone, so nothing changes meanwhile."""
        with self._translating():
            write_file_whole(self._root / path, content)
        return True

    def fetch(self, path: str, into: Path) -> bool:
        """See `layout.Files`."""
        with self._translating():
            try:
                shutil.copyfile(self._root / path, into)
            except FileNotFoundError:
                if not into.parent.is_dir():
                    raise
                return False
        return True

    def put(self, path: str, content: bytes | Path) -> None:
        """See `layout.Files`."""
        place = self._root / path
        with self._translating():
            if place.is_file() and file_sha256(place) == _sha256(content):
                return
            if isinstance(content, bytes):
                write_file_whole(place, content)
                return
            with file_written_whole(place) as part:
                shutil.copyfile(content, part)

    def settled(self, folder: str) -> list[str]:
        """See `layout.Files`. Whoever asks is alone."""
        with self._translating():
            paths = (self._root / folder).glob("[!.]*")
            return [path.name for path in paths]

    def check_writable(self) -> None:
        """See `layout.Files`. The folder is not made."""
        there = next(path for path in (self._root, *self._root.parents) if path.exists())
        with self._translating(), tempfile.TemporaryFile(dir=there):
            pass

    def delete(self, paths: Sequence[str]) -> None:
        """See `layout.Files`."""
        with self._translating():
            for path in paths:
                (self._root / path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = error.strerror or str(error)
            raise StoreError(
                f"the store failed: {problem}", where=self.name, next_step=_NEXT
            ) from error


def _sha256(content: bytes | Path) -> str:
    return (
        hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else file_sha256(content)
    )
