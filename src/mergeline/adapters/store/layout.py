"""Manifests and blobs as an OCI image layout, in a folder or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mergeline.adapters.store.artifact import (
    Descriptor,
    OvertakenError,
    described,
    read_descriptors,
    read_document,
)
from mergeline.core.numbers import size
from mergeline.core.release.oci import MANIFEST_TYPE, canonical, digest_of
from mergeline.errors import StoreError
from mergeline.system.progress import underway

_TAG = "org.opencontainers.image.ref.name"
_Index = tuple[list[Descriptor], dict[str | None, Descriptor]]
_FORM = "oci-layout"
_INDEX = "index.json"
_BLOBS = "blobs/sha256"
_LARGEST_INDEX = 100_000_000  # bytes
_TRIES = 15  # of a change that others are quicker with


class Files(Protocol):
    """The files of a layout by their paths; every method raises StoreError if the place fails.

    Attributes:
        name: as people write it, without credentials.
    """

    name: str

    def alone(self) -> AbstractContextManager[object]:
        """Keep other writers waiting, where the place can."""

    def read(self, path: str) -> tuple[bytes, object] | None:
        """A small file, and what tells this content of it from others; None if there is none."""

    def write(self, path: str, content: bytes, instead_of: object) -> bool:
        """Write a small file, unless it is no longer what was read; None: was not there.

        Returns:
            Whether it is written.
        """

    def fetch(self, path: str, into: Path) -> bool:
        """Write a file's content to a local one; whether there is such a file."""

    def put(self, path: str, content: bytes | Path) -> None:
        """Write a file that always has this content; what is there already is made whole."""

    def settled(self, folder: str) -> list[str]:
        """Names in a folder of the files that no writer is about to refer to."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; they may be gone already."""

    def check_writable(self) -> None:
        """Refuse where nothing may be written."""


class Layout:
    """An OCI image layout.

    Its index names all manifests, so it is written only over the index that was read: by a lock in
    a folder, by conditional writes in a bucket.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.name = files.name
        self._known: tuple[bytes, _Index] | None = None

    def alone(self) -> AbstractContextManager[object]:
        """Keep other writers waiting, where the place can."""
        return self._files.alone()

    def tags(self) -> list[str]:
        """All tags."""
        return [tag for entry in self._entries() if (tag := _tag(entry))]

    def manifest(self, reference: str) -> bytes | None:
        """A manifest by its tag or digest; None if there is none."""
        digest = reference
        if not reference.startswith("sha256:"):
            found = self._read_index()[0][1].get(reference)
            if found is None:
                return None
            digest = found.digest
        read = self._files.read(_blob(digest))
        if read is None:
            return None
        content, _ = read
        if digest_of(content) != digest:
            raise StoreError(
                f"{digest} is not what it was when it was written",
                where=self.name,
                next_step=f"Delete it, and evaluate again: {self.name}/{_blob(digest)}",
            )
        return content

    def put_manifest(
        self, content: bytes, media_type: str, tag: str, *, instead_of: str | None
    ) -> bool:
        """See `Place`. A layout does not list what refers to a manifest."""
        kind = read_document(content, where=self.name).get("artifactType")
        entry = described(content, media_type)
        tagged = replace(entry, artifact_type=kind, annotations={_TAG: tag})

        def add(entries: list[Descriptor]) -> list[Descriptor]:
            known = next((entry for entry in entries if _tag(entry) == tag), None)
            if known and known.digest not in {instead_of, entry.digest}:
                raise OvertakenError(tag, where=self.name)
            return [*(other for other in entries if other is not known), tagged]

        with self.alone():
            self._files.put(_blob(entry.digest), content)
            self._change(add)
        return False

    def referrers(self, digest: str) -> None:
        """None: a layout does not list them."""

    def read_blob(self, digest: str, into: Path) -> None:
        """Write a blob to a file; its digest is not looked at."""
        if not self._files.fetch(_blob(digest), into):
            raise StoreError(f"{digest} is missing", where=self.name)

    def check_writable(self) -> None:
        """Refuse where nothing may be written."""
        self._files.check_writable()

    def put_blob(self, file: Path, digest: str) -> None:
        """Write a blob, unless it is there."""
        with underway(f"writing {size(file.stat().st_size)} to the store"):
            self._files.put(_blob(digest), file)

    def borrow_blob(self, digest: str, repository: str) -> bool:  # noqa: ARG002
        """False: no repository is beside it."""
        return False

    def remove(self, tags: Collection[str]) -> None:
        """Take tags away."""
        with self.alone():
            self._change(lambda entries: [one for one in entries if _tag(one) not in tags])

    def sweep(self) -> None:
        """Delete the blobs that nothing names."""
        with self.alone():
            # In this order: what a writer adds meanwhile is not settled yet.
            named = {digest for entry in self._entries() for digest in self._reachable(entry)}
            names = self._files.settled(_BLOBS)
            unnamed = [name for name in names if f"sha256:{name}" not in named]
            self._files.delete([f"{_BLOBS}/{name}" for name in unnamed])

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
        return self._read_index()[0][0]

    def _read_index(self) -> tuple[_Index, object]:
        """What the index names, and what tells this index from others; None if there is none.

        With the releases of years it has thousands of entries, and each tag is looked up in it: it
        is parsed again only where it is another one.
        """
        read = self._files.read(_INDEX)
        if read is None:
            return ([], {}), None
        content, version = read
        if self._known is None or self._known[0] != content:
            where = f"{self.name}/{_INDEX}"
            document = read_document(content, where=where, largest=_LARGEST_INDEX)
            entries = read_descriptors(document, "manifests", where=where)
            self._known = content, (entries, {_tag(entry): entry for entry in reversed(entries)})
        return self._known[1], version

    def _change(self, change: Callable[[list[Descriptor]], list[Descriptor]]) -> None:
        """Change what the index names, from what it names when it is written."""
        import tenacity

        def write() -> bool:
            (entries, _), version = self._read_index()
            changed = sorted(change(entries), key=lambda entry: _tag(entry) or "")
            if version is None:
                form = b'{"imageLayoutVersion":"1.0.0"}'
                self._files.put(_FORM, form)
            index = {"schemaVersion": 2, "manifests": [entry.document() for entry in changed]}
            return self._files.write(_INDEX, canonical(index), version)

        tries = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda written: not written),
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
        )
        try:
            tries(write)
        except tenacity.RetryError as error:
            raise OvertakenError(_INDEX, where=self.name) from error


def _tag(entry: Descriptor) -> str | None:
    return entry.annotations.get(_TAG)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
