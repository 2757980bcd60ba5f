"""Manifests and blobs in a folder, as an OCI image layout."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from mergeline.adapters.store.artifact import (
    MANIFEST_TYPE,
    Descriptor,
    canonical,
    described,
    digest_of,
    file_digest,
    read_descriptors,
    read_document,
)
from mergeline.errors import StoreError
from mergeline.system.atomic_writes import file_written_whole, write_file_whole
from mergeline.system.locks import file_lock

_TAG = "org.opencontainers.image.ref.name"
_FORM = "oci-layout"
_INDEX = "index.json"
_NEXT = "Check that it is there, who may write to it, and the space left; then run again"


class Layout:
    """An OCI image layout; the folder is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def alone(self) -> AbstractContextManager[object]:
        """Keep this machine's other writers waiting; its holder may ask again."""
        return self._lock

    @cached_property
    def _lock(self) -> AbstractContextManager[object]:
        with self._translating():
            return file_lock(self.folder / "writing.lock")

    def tags(self) -> list[str]:
        """All tags."""
        return [entry.annotations[_TAG] for entry in self._entries() if _TAG in entry.annotations]

    def manifest(self, reference: str) -> bytes | None:
        """A manifest by its tag or digest; None if there is none."""
        digest = reference
        if not reference.startswith("sha256:"):
            tagged = (entry for entry in self._entries() if _tag(entry) == reference)
            found = next(tagged, None)
            if found is None:
                return None
            digest = found.digest
        with self._translating():
            try:
                content = self._blob(digest).read_bytes()
            except FileNotFoundError:
                return None
        if digest_of(content) != digest:
            raise StoreError(
                f"{digest} is not what it was when it was written",
                where=self.name,
                next_step=f"Delete it, and evaluate again: {self._blob(digest)}",
            )
        return content

    def put_manifest(self, content: bytes, media_type: str, tag: str) -> bool:
        """Write a manifest, and have the tag name it; its `subject` will not list it."""
        entry = described(content, media_type)
        kind = read_document(content, where=self.name).get("artifactType")
        tagged = replace(entry, artifact_type=kind, annotations={_TAG: tag})
        with self.alone(), self._translating():
            self._write(self._blob(entry.digest), content)
            others = [other for other in self._entries() if _tag(other) != tag]
            self._write_index([*others, tagged])
        return False

    def referrers(self, digest: str) -> None:
        """None: a layout does not list them."""

    def read_blob(self, digest: str, into: Path) -> None:
        """Write a blob to a file; its digest is not looked at."""
        with self._translating():
            try:
                shutil.copyfile(self._blob(digest), into)
            except FileNotFoundError as error:
                if not into.parent.is_dir():
                    raise
                raise StoreError(f"{digest} is missing", where=self.name) from error

    def check_writable(self) -> None:
        """Refuse where nothing may be written."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        with self._translating(), tempfile.TemporaryFile(dir=there):
            pass

    def put_blob(self, file: Path, digest: str) -> None:
        """Write a blob, unless it is there."""
        with self._translating():
            place = self._blob(digest)
            if place.is_file() and file_digest(place) == digest:
                return
            with file_written_whole(place) as part:
                shutil.copyfile(file, part)

    def remove(self, tag: str) -> None:
        """Take a tag away, and with it what nothing else names."""
        with self.alone(), self._translating():
            self._write_index([entry for entry in self._entries() if _tag(entry) != tag])
            self._sweep()

    def _sweep(self) -> None:
        named = {digest for entry in self._entries() for digest in self._reachable(entry)}
        for path in (self.folder / "blobs/sha256").iterdir():
            if f"sha256:{path.name}" not in named and not path.name.startswith("."):
                path.unlink()

    def _reachable(self, entry: Descriptor) -> Iterator[str]:
        yield entry.digest
        content = self.manifest(entry.digest)
        if content is None:
            return
        document = read_document(content, where=self.name)
        if entry.media_type == MANIFEST_TYPE:
            parts = {"parts": [document.get("config"), *document.get("layers", ())]}
            yield from (one.digest for one in read_descriptors(parts, "parts", where=self.name))
        else:
            for manifest in read_descriptors(document, "manifests", where=self.name):
                yield from self._reachable(manifest)

    def _entries(self) -> list[Descriptor]:
        with self._translating():
            try:
                content = (self.folder / _INDEX).read_bytes()
            except FileNotFoundError:
                return []
        where = f"{self.name}/{_INDEX}"
        return read_descriptors(read_document(content, where=where), "manifests", where=where)

    def _write_index(self, entries: Sequence[Descriptor]) -> None:
        self._write(self.folder / _FORM, b'{"imageLayoutVersion":"1.0.0"}')
        listed = sorted(entries, key=lambda entry: _tag(entry) or "")
        index = {"schemaVersion": 2, "manifests": [entry.document() for entry in listed]}
        write_file_whole(self.folder / _INDEX, canonical(index))

    @staticmethod
    def _write(file: Path, content: bytes) -> None:
        if not file.is_file() or file.read_bytes() != content:
            write_file_whole(file, content)

    def _blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = error.strerror or str(error)
            raise StoreError(
                f"the store failed: {problem}", where=self.name, next_step=_NEXT
            ) from error


def _tag(entry: Descriptor) -> str | None:
    return entry.annotations.get(_TAG)
