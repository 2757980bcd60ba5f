"""What artifacts are made of: the same content is the same bytes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mergeline.core.release.oci import digest_of
from mergeline.errors import StoreError
from mergeline.system.digests import file_sha256

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_LARGEST = 4_000_000  # bytes of a manifest that every registry takes


@dataclass(frozen=True)
class Descriptor:
    """A manifest or blob as another one names it: `digest` is `sha256:` and 64 digits."""

    media_type: str
    digest: str
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it stands in a manifest or an index."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


class OvertakenError(StoreError):
    """Another writer was quicker, so what was about to be written is out of date."""

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(
            f"others write {what} at the same time", where=where, next_step="Run again"
        )


class Place(Protocol):
    """Where manifests and blobs lie; every method raises StoreError if the place fails.

    Attributes:
        name: as people write it, without credentials.
    """

    name: str

    def alone(self) -> AbstractContextManager[object]:
        """Keep the place's other writers waiting, as far as it can."""

    def tags(self) -> list[str]:
        """All tags."""

    def manifest(self, reference: str) -> bytes | None:
        """A manifest by its tag or digest; None if there is none."""

    def put_manifest(
        self, content: bytes, media_type: str, tag: str, *, instead_of: str | None
    ) -> bool:
        """Write a manifest, and have the tag name it instead of another one, or of none.

        Returns:
            Whether its `subject` will list it.

        Raises:
            OvertakenError: the tag names something else by now; a registry cannot tell.
        """

    def referrers(self, digest: str) -> list[Descriptor] | None:
        """The manifests whose subject is this one; None if the place does not list them."""

    def read_blob(self, digest: str, into: Path) -> None:
        """Write a blob to a file; its digest is not looked at."""

    def check_writable(self) -> None:
        """Refuse, with StoreError, where nothing may be written; nothing is left there."""

    def put_blob(self, file: Path, digest: str) -> None:
        """Write a blob, unless it is there."""

    def borrow_blob(self, digest: str, repository: str) -> bool:
        """Whether a blob is here without being sent, maybe from a repository beside this one."""

    def remove(self, tags: Collection[str]) -> None:
        """Take tags away, and with them their manifests, in this order."""

    def sweep(self) -> None:
        """Delete the blobs that nothing names, unless the place does by itself."""


def file_digest(file: Path) -> str:
    """The digest by which a file's content is known."""
    return f"sha256:{file_sha256(file)}"


def described(content: bytes, media_type: str) -> Descriptor:
    """The descriptor of a manifest or blob."""
    return Descriptor(media_type, digest_of(content), len(content))


def read_document(content: bytes, *, where: str, largest: int = _LARGEST) -> dict[str, Any]:
    """A manifest or index as JSON, of so many bytes at most.

    Raises:
        StoreError: it is none.
    """
    try:
        document = json.loads(content) if len(content) <= largest else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise StoreError("what lies there is no OCI manifest", where=where)
    return document


def read_descriptors(document: Mapping[str, Any], key: str, *, where: str) -> list[Descriptor]:
    """The descriptors that a manifest or index holds under a key.

    Raises:
        StoreError: they are not of a descriptor's form.
    """
    try:
        return [
            Descriptor(
                str(entry["mediaType"]),
                _checked(entry["digest"]),
                int(entry["size"]),
                entry.get("artifactType"),
                {str(name): str(text) for name, text in (entry.get("annotations") or {}).items()},
            )
            for entry in document.get(key) or ()
        ]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StoreError(f"{key!r} of an OCI manifest cannot be read", where=where) from error


def _checked(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    if algorithm != "sha256" or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError(digest)
    return digest


def pack(folder: Path, into: Path) -> None:
    """Write a folder's files as a tar archive: by name, without owner or time."""
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in _sorted_files(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)


def unpack(file: Path, into: Path, *, where: str) -> None:
    """Write the files of a tar archive below a folder.

    Raises:
        StoreError: it is no archive, or holds other things than plain files that belong there.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file, "r:") as archive:
            archive.extractall(into, filter="data")
    except tarfile.TarError as error:
        raise StoreError(f"a layer cannot be unpacked: {error}", where=where) from error


def _sorted_files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
