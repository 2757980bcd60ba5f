"""The folder of one table, on a disk or in an object store: whole files in, whole files out."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector

from mergeline.core.data.garbage import TableFile
from mergeline.errors import TableError
from mergeline.system.atomic_writes import part_file

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"\s*\d+: ")
# Delta readers and vacuum pass over names that begin with an underscore.
_INCOMING = "_incoming"
_SUFFIX = ".parquet"
_LEFT_BEHIND_SECONDS = 3600
_CHUNK_BYTES = 8 << 20


class Storage(ABC):
    """What a table asks of the place it lives in."""

    uri: str
    options: dict[str, str]

    def sizes(self) -> dict[str, int]:
        """Size in bytes of each Parquet file beside the log, by name."""
        return {file.name: file.size for file in self.listing()}

    @abstractmethod
    def renew(self, names: Collection[str]) -> None:
        """Make files young where their time can be set, so that no clean-up takes them."""

    @abstractmethod
    def path(self, name: str) -> str:
        """The file's path or URI, for a reader."""

    def scan(self, *names: str) -> pl.LazyFrame:
        """The rows of Parquet files, in that order."""
        paths = [self.path(name) for name in names]
        return pl.scan_parquet(paths, storage_options=self.options or None, glob=False)

    @abstractmethod
    def listing(self, folder: str = "", suffix: str = _SUFFIX) -> list[TableFile]:
        """The files of a folder: without one, the Parquet files beside the log."""

    @abstractmethod
    def file(self, name: str) -> TableFile | None:
        """One file as it is now, or None if it does not exist."""

    def size(self, name: str) -> int | None:
        """Size in bytes of one file, or None if it does not exist."""
        file = self.file(name)
        return file.size if file else None

    @abstractmethod
    def put(self, part: Path, name: str) -> None:
        """Give a finished file its name, at once; one that has the name already stays."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; it may be gone already."""

    @abstractmethod
    def metadata(self, name: str) -> pq.FileMetaData:
        """The footer of a Parquet file."""

    @abstractmethod
    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """A file as one on a disk, for as long as it is read."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A small file's content, or None if it does not exist."""

    @property
    @abstractmethod
    def workshop(self) -> Path:
        """A local folder in which files are made before they are put."""

    def open_workshop(self) -> Path:
        """The workshop, made if it is not there; a TableError if it is somebody else's."""
        self.workshop.mkdir(parents=True, exist_ok=True)
        return self.workshop

    def sweep(self) -> None:
        """Remove what processes that were killed left in the workshop."""
        now = time.time()
        for part in self.open_workshop().glob("*.part") if self.workshop.is_dir() else ():
            with suppress(FileNotFoundError):  # another process was quicker
                if now - part.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                    part.unlink()


def open_storage(uri: str) -> Storage:
    """The storage of a table by its URI; a path or `file://` is a disk."""
    parts = urlsplit(uri)
    if len(parts.scheme) <= 1:
        return LocalStorage(Path(uri).absolute())
    if parts.scheme == "file":
        return LocalStorage(Path(unquote(parts.path)))
    return ObjectStorage(uri)


def new_part(storage: Storage) -> AbstractContextManager[Path]:
    """A file in the making, in the workshop; removed at the end unless it was moved."""
    return part_file(storage.open_workshop())


class LocalStorage(Storage):
    """A folder on a disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root)
        self.options: dict[str, str] = {}

    @property
    def workshop(self) -> Path:
        """On the same disk, so that a finished file can be given its name at once."""
        return self.root / _INCOMING

    def path(self, name: str) -> str:
        """See `Storage`."""
        return str(self.root / name)

    def listing(self, folder: str = "", suffix: str = _SUFFIX) -> list[TableFile]:
        """See `Storage`."""
        try:
            with os.scandir(self.root / folder) as entries:
                return [
                    TableFile(entry.name, entry.stat().st_size, entry.stat().st_mtime)
                    for entry in entries
                    if entry.is_file() and entry.name.endswith(suffix)
                ]
        except FileNotFoundError:
            return []

    def file(self, name: str) -> TableFile | None:
        """See `Storage`."""
        with suppress(FileNotFoundError):
            status = (self.root / name).stat()
            return TableFile(name, status.st_size, status.st_mtime)
        return None

    def put(self, part: Path, name: str) -> None:
        """See `Storage`."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            # Unlike a rename, a link never replaces a file that another process has put there
            # and whose size it has committed.
            os.link(part, self.root / name)
        except FileExistsError:
            pass
        except OSError:  # a disk without hard links
            part.replace(self.root / name)
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def renew(self, names: Collection[str]) -> None:
        """See `Storage`."""
        for name in names:
            with suppress(OSError):  # gone, which whoever opens it says; or another user's
                os.utime(self.root / name)

    def delete(self, name: str) -> None:
        """See `Storage`."""
        (self.root / name).unlink(missing_ok=True)

    def metadata(self, name: str) -> pq.FileMetaData:
        """See `Storage`."""
        return pq.read_metadata(self.root / name)

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """See `Storage`."""
        return nullcontext(self.root / name)

    def read(self, name: str) -> bytes | None:
        """See `Storage`."""
        with suppress(FileNotFoundError):
            return (self.root / name).read_bytes()
        return None


def _user() -> int:
    """The user's number; Windows has none, and says 0 of every file."""
    return os.getuid() if hasattr(os, "getuid") else 0


class ObjectStorage(Storage):
    """A prefix in an object store, by whatever URI delta-rs speaks."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        is_s3 = uri.startswith(("s3://", "s3a://"))
        # Without it delta-rs has no way on S3 to let one writer of a version win.
        self.options = {"aws_conditional_put": "etag"} if is_s3 else {}

    @property
    def workshop(self) -> Path:
        """See `Storage`."""
        return Path(tempfile.gettempdir()) / f"mergeline-{_user()}"

    def open_workshop(self) -> Path:
        """See `Storage`. Whoever owns the folder could change our rows before they are put."""
        with suppress(FileExistsError):
            self.workshop.mkdir(parents=True, mode=0o700)
        status = self.workshop.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != _user():
            raise TableError(
                "is not a folder of yours, and drops would be converted in it",
                where=str(self.workshop),
                next_step="Remove it, or set TMPDIR to a folder of your own",
            )
        self.workshop.chmod(0o700)
        return self.workshop

    def path(self, name: str) -> str:
        """See `Storage`."""
        return f"{self.uri}/{name}"

    def listing(self, folder: str = "", suffix: str = _SUFFIX) -> list[TableFile]:
        """See `Storage`."""
        with self._store() as store:
            infos = store.get_file_info_selector(FileSelector(folder, allow_not_found=True))
        return [
            TableFile(Path(info.path).name, info.size, info.mtime_ns / 1e9)
            for info in infos
            if info.is_file and info.path.endswith(suffix)
        ]

    def file(self, name: str) -> TableFile | None:
        """See `Storage`."""
        with self._store() as store:
            [info] = store.get_file_info([name])
        return TableFile(name, int(info.size), info.mtime_ns / 1e9) if info.is_file else None

    def renew(self, names: Collection[str]) -> None:
        """See `Storage`. An object's time cannot be set; the age of garbage protects builds."""

    def put(self, part: Path, name: str) -> None:
        """See `Storage`."""
        if self.size(name) is not None:
            return
        with self._store() as store, part.open("rb") as source:
            # delta-rs' own stream: pyarrow's around it hands on a Buffer, which delta-rs refuses.
            sink = store._handler.open_output_stream(name, None)  # noqa: SLF001
            shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            # Only closing makes the object: one that failed before is never seen, not half of it.
            sink.close()

    def delete(self, name: str) -> None:
        """See `Storage`."""
        if self.size(name) is not None:
            with self._store() as store:
                store.delete_file(name)

    def metadata(self, name: str) -> pq.FileMetaData:
        """See `Storage`."""
        with self._store() as store, store.open_input_file(name) as stream:
            return pq.read_metadata(stream)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See `Storage`. What fails on the way is then never taken for a broken file."""
        with new_part(self) as part:
            with (
                self._store() as store,
                store.open_input_file(name) as source,
                part.open("wb") as sink,
            ):
                shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            yield part

    def read(self, name: str) -> bytes | None:
        """See `Storage`."""
        if self.size(name) is None:
            return None
        with self._store() as store, store.open_input_file(name) as stream:
            return bytes(stream.read())

    @contextmanager
    def _store(self) -> Iterator[Any]:
        """delta-rs' own view of the store: the log's credentials, from the same places."""
        from deltalake.exceptions import DeltaError
        from deltalake.fs import DeltaStorageHandler

        try:
            yield DeltaStorageHandler(self.uri, self.options)
        except pa.ArrowInvalid:  # a broken file, not a broken store
            raise
        except (DeltaError, OSError, ValueError, RuntimeError, pa.ArrowException) as error:
            raise TableError(
                f"the storage cannot be reached: {message_in_one_line(error)}",
                where=self.uri,
                next_step="Check the address, your access and the network, then run again",
            ) from error


def message_in_one_line(error: Exception) -> str:
    """delta-rs' words without colours and backtrace."""
    lines = _COLOUR.sub("", str(error)).splitlines()
    message = itertools.takewhile(lambda line: not _FRAME.match(line), lines)
    return ": ".join(line.strip(" ↳") for line in message if line.strip()) or type(error).__name__
