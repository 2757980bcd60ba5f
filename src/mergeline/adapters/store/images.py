"""Images in the store's place, put together by the registry's API alone: no engine builds them.

Layers go first, then the image of each platform, then the list of them under its tags: what was cut
off is never found. Layers of the base are taken from where they are: an image's repository borrows
them from one beside it, and otherwise they are copied.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergeline.adapters.store.artifact import (
    Descriptor,
    Place,
    file_digest,
    read_descriptors,
    read_document,
)
from mergeline.adapters.store.registry import Registry
from mergeline.core.release.image import (
    GZIP_TYPE,
    PLATFORMS,
    TAR_TYPE,
    Base,
    Content,
    Index,
    Layer,
    Reference,
    read_labels,
)
from mergeline.core.release.oci import INDEX_TYPE, MANIFEST_TYPE, digest_of
from mergeline.errors import StoreError
from mergeline.system.atomic_writes import file_written_whole

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_LISTS = {INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"}
_MEDIA_TYPES = {_DOCKER_LAYER: TAR_TYPE, f"{_DOCKER_LAYER}.gzip": GZIP_TYPE}


@dataclass(frozen=True)
class Found:
    """An image that the place has.

    Attributes:
        platforms: size in bytes of all its layers, by platform.
        manifests: digest of the image of each platform.
    """

    digest: str
    base: Reference
    content: Content
    platforms: Mapping[str, int]
    manifests: Mapping[str, str]


class Images:
    """The images at one place.

    Args:
        place: of the store.
        environment: holds credentials.
        cache: folder of layers that were brought from elsewhere.
    """

    def __init__(self, place: Place, environment: Mapping[str, str], cache: Path) -> None:
        self._place = place
        self._environment = environment
        self._cache = cache
        self.name = place.name
        self.repository = place.name.removeprefix("oci://")

    def bases(self, reference: Reference) -> list[Base]:
        """A base for each platform that it has, of those that images are made for.

        Only documents are read, no layer.

        Raises:
            StoreError: its registry fails, or has no such image for these platforms.
        """
        place = self._registry_of(reference)
        document = _document(place, reference.digest)
        if "manifests" in document:
            entries = document["manifests"]
            platforms = {_platform(entry.get("platform") or {}): entry for entry in entries}
            digests = {name: platforms[name]["digest"] for name in PLATFORMS if name in platforms}
            found = [self._base(place, reference, digest) for digest in digests.values()]
        else:
            found = [self._base(place, reference, reference.digest)]
        found = [base for base in found if base.platform in PLATFORMS]
        if not found:
            raise StoreError(
                f"the base has no image for {' or '.join(PLATFORMS)}", where=str(reference)
            )
        return found

    def put(self, index: Index, layers: Mapping[str, Path]) -> int:
        """Write an image; the bytes that had to be sent.

        Args:
            index: as it was planned.
            layers: the files of its own layers, by digest.

        Raises:
            StoreError: the place, or the base's registry, fails; then the image is not found.
        """
        sent = 0
        with self._place.alone():
            for image in index.images:
                for layer in image.base.layers:
                    sent += self._bring(layer, image.base.reference)
                for layer in image.layers:
                    sent += self._send(layers[layer.digest], layer.digest)
                sent += self._send_bytes(image.config)
                self._place.put_manifest(
                    image.manifest, MANIFEST_TYPE, image.digest, instead_of=None
                )
                sent += len(image.manifest)
            for tag in (_own_tag(index.digest), _tag(index.content)):
                before = self._place.manifest(tag)
                self._place.put_manifest(
                    index.document, INDEX_TYPE, tag,
                    instead_of=digest_of(before) if before is not None else None,
                )  # fmt: skip
        return sent + len(index.document)

    def find(self, model: str, fingerprint: str) -> str | None:
        """The digest of the newest image of a candidate."""
        content = self._place.manifest(_tag(Content(model, fingerprint, "", "")))
        return digest_of(content) if content is not None else None

    def read(self, digest: str) -> Found:
        """What an image is.

        Raises:
            StoreError: there is none of that digest, or it is not one of mergeline's.
        """
        document = _document(self._place, digest)
        described = read_labels(document.get("annotations") or {})
        if described is None:
            raise StoreError(f"{digest} is no image of mergeline", where=self.name)
        sizes, manifests = {}, {}
        for entry in document["manifests"]:
            name, manifest = _platform(entry["platform"]), _document(self._place, entry["digest"])
            layers = read_descriptors(manifest, "layers", where=self.name)
            sizes[name] = sum(layer.size for layer in layers)
            manifests[name] = entry["digest"]
        return Found(digest, *described, sizes, manifests)

    def check(self, digest: str) -> None:
        """Hold everything that an image is made of against its digest.

        Raises:
            StoreError: a part is missing, or is not what it was.
        """
        document = _document(self._place, digest)
        parts: set[str] = set()
        for entry in read_descriptors(document, "manifests", where=self.name):
            manifest = _document(self._place, entry.digest)
            named = {"parts": [manifest["config"], *manifest["layers"]]}
            parts |= {one.digest for one in read_descriptors(named, "parts", where=self.name)}
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            for part in sorted(parts):
                _read_checked(self._place, part, Path(scratch) / "blob")

    def describe(self, index: Index) -> Descriptor:
        """An image as what refers to it names it."""
        return Descriptor(INDEX_TYPE, index.digest, len(index.document))

    def _base(self, place: Place, reference: Reference, digest: str) -> Base:
        manifest = _document(place, digest)
        where = str(reference)
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            file = Path(scratch) / "config"
            _read_checked(place, str((manifest.get("config") or {}).get("digest")), file)
            config = read_document(file.read_bytes(), where=where)
        layers = read_descriptors(manifest, "layers", where=where)
        diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
        if len(diff_ids) != len(layers):
            raise StoreError("the base's layers are not those of its configuration", where=where)
        return Base(
            reference,
            _platform(config),
            tuple(
                Layer(_MEDIA_TYPES.get(one.media_type, one.media_type), one.digest, one.size, diff)
                for one, diff in zip(layers, diff_ids, strict=True)
            ),
            config,
        )

    def _registry_of(self, reference: Reference) -> Registry:
        """The base's registry; what logs in to the store's is shown to no other."""
        store_host = self.repository.partition("/")[0]
        environment = dict(self._environment)
        if reference.repository.partition("/")[0] != store_host:
            environment = {
                name: value
                for name, value in environment.items()
                if name not in {"ORAS_USER", "ORAS_PASS"}
            }
        return Registry(reference.repository, environment)

    def _bring(self, layer: Layer, base: Reference) -> int:
        """Have a layer of the base here; the bytes that had to be sent for it."""
        if self._place.borrow_blob(layer.digest, base.repository):
            return 0
        cached = self._cache / layer.digest.replace(":", "-")
        if not cached.is_file():
            with file_written_whole(cached) as part:
                _read_checked(self._registry_of(base), layer.digest, part)
        self._place.put_blob(cached, layer.digest)
        return layer.size

    def _send(self, file: Path, digest: str) -> int:
        if self._place.borrow_blob(digest, self.repository):
            return 0
        self._place.put_blob(file, digest)
        return file.stat().st_size

    def _send_bytes(self, content: bytes) -> int:
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            file = Path(scratch) / "blob"
            file.write_bytes(content)
            return self._send(file, digest_of(content))


def _document(place: Place, digest: str) -> dict[str, Any]:
    content = place.manifest(digest)
    if content is None:
        raise StoreError(f"there is no image {digest}", where=place.name)
    if digest_of(content) != digest:
        raise StoreError(f"{digest} is not what it was when it was written", where=place.name)
    return read_document(content, where=place.name)


def _read_checked(place: Place, digest: str, into: Path) -> None:
    place.read_blob(digest, into)
    if file_digest(into) != digest:
        raise StoreError(f"{digest} is not what it was when it was written", where=place.name)


def _platform(described: Mapping[str, Any]) -> str:
    return f"{described.get('os')}/{described.get('architecture')}"


def _tag(content: Content) -> str:
    """The tag of a candidate's newest image; no model is called so."""
    return f"_image.{content.model}.{content.fingerprint[:40]}"


def _own_tag(digest: str) -> str:
    """The tag that an image keeps, so that what cleans a registry of untagged ones leaves it."""
    return f"_image.{digest.removeprefix('sha256:')}"
