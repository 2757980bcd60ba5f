"""Candidates and their evaluations, found by fingerprint."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergeline.adapters.store.artifact import (
    EMPTY_TYPE,
    Descriptor,
    OvertakenError,
    Place,
    described,
    file_digest,
    pack,
    read_descriptors,
    read_document,
    unpack,
)
from mergeline.adapters.store.bucket import SCHEMES, Bucket
from mergeline.adapters.store.folder import Folder
from mergeline.adapters.store.layout import Layout
from mergeline.adapters.store.registry import Registry
from mergeline.core.declare.model import is_name
from mergeline.core.declare.strict import read_json
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    EVALUATION,
    EVALUATION_FILES,
    HOLDOUT,
    MANIFEST,
    MODEL,
    TRAINING_ROWS,
    Candidate,
    Evaluation,
    Manifest,
    check_evaluation,
    check_manifest,
    parse_evaluation,
)
from mergeline.core.release.oci import INDEX_TYPE, MANIFEST_TYPE, canonical, digest_of
from mergeline.errors import InputError, StoreError

# CNCF ModelPack, version 1: https://github.com/modelpack/model-spec/blob/main/docs/spec.md
_CANDIDATE_TYPE = "application/vnd.cncf.model.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
_WEIGHTS = "application/vnd.cncf.model.weight.v1.tar"
_SETTINGS = "application/vnd.cncf.model.weight.config.v1.raw"
_ROWS = "application/vnd.cncf.model.dataset.v1.raw"
_FILE = "application/vnd.cncf.model.doc.v1.raw"
_FOLDER = "application/vnd.cncf.model.doc.v1.tar"
_PATH = "org.cncf.model.filepath"
# Ours:
_EVALUATION_TYPE = "application/vnd.mergeline.evaluation.v1+json"
_EVALUATION_DOCUMENT = "application/vnd.mergeline.evaluation.v1.json"
_EVALUATION_TAR = "application/vnd.mergeline.evaluation.files.v1.tar"
_OVERRIDE_TYPE = "application/vnd.mergeline.override.v1+json"
_MODEL_DIGEST = "dev.mergeline.model-digest"
_VERDICT = "dev.mergeline.verdict"
_ROWS_DIGEST = "dev.mergeline.rows"
_CREATED = "org.opencontainers.image.created"
_REASON = "dev.mergeline.reason"
_TITLE = "org.opencontainers.image.title"
_REVISION = "org.opencontainers.image.revision"
_SCHEME = "oci://"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LOST = (
    "Evaluate its tree where the candidate still is, bring the store's files back from a copy, or "
    "take the candidate's tag away and evaluate again"
)
_LINKING_TRIES = 6
_AT_ONCE = 8  # requests


@dataclass(frozen=True)
class Stored:
    """A candidate in the store; `digest` is that of its artifact."""

    model: str
    fingerprint: str
    model_digest: str
    digest: str


def open_store(address: str, environment: Mapping[str, str]) -> Store:
    """The store at an address: `oci://host/repository`, `s3://bucket/prefix`, or a folder.

    Raises:
        InputError: it is none of these.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Store(Layout(Folder(Path(address))))
    if f"{scheme}://" in SCHEMES and rest.strip("/") and not set(rest) & set("@?#"):
        return Store(Layout(Bucket(address, environment)))
    if not address.startswith(_SCHEME):
        raise InputError(
            f"MERGELINE_STORE is of kind {scheme}://, and is no place for a store",
            next_step="Name a registry as oci://host/owner/repository, a bucket as "
            "s3://bucket/prefix, gs://… or az://… without a password, or a folder",
        )
    repository = address.removeprefix(_SCHEME).strip("/").lower()
    if "/" not in repository or "@" in repository:
        raise InputError(
            "MERGELINE_STORE names no repository of a registry",
            next_step="Name it as oci://host/owner/repository, without a password",
        )
    return Store(Registry(repository, environment))


class Store:
    """Candidates and their evaluations at one place, where images may lie too."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.name

    def find(self, model: str, fingerprint: str) -> Stored | None:
        """The candidate of a fingerprint.

        Raises:
            StoreError: the store fails, or holds something else under that name.
        """
        content = self.place.manifest(_tag(model, fingerprint))
        if content is None:
            return None
        document = read_document(content, where=self.name)
        noted = document.get("annotations") or {}
        stored = Stored(
            str(noted.get(_TITLE)),
            str(noted.get(_REVISION)),
            str(noted.get(_MODEL_DIGEST)),
            digest_of(content),
        )
        is_candidate = document.get("artifactType") == _CANDIDATE_TYPE
        if not is_candidate or (stored.model, stored.fingerprint) != (model, fingerprint):
            raise StoreError(
                f"{_tag(model, fingerprint)} is not that candidate",
                where=self.name,
                next_step="Take that tag away, and evaluate again",
            )
        return stored

    def check_writable(self) -> None:
        """Refuse where nothing may be written; nothing is left there.

        Raises:
            StoreError: the token may not write, or the store fails.
        """
        self.place.check_writable()

    def known(self) -> list[tuple[str, str]]:
        """Model and fingerprint of each candidate."""
        return sorted(filter(None, map(_read_tag, self.place.tags())))

    def put_candidate(self, candidate: Candidate, bundle: Path) -> Stored:
        """Take a bundle's candidate in; the first one of a fingerprint stays.

        Where it is that very one, parts of it that were lost are written again.

        Returns:
            What the store has of its fingerprint, which may be another one's.

        Raises:
            StoreError: the store does not take it; then nothing of it is found.
        """
        model, fingerprint = candidate.model, candidate.fingerprint
        with self.place.alone():
            known = self.find(model, fingerprint)
            parts = _candidate_parts(bundle / CANDIDATE_FILES)
            if known is not None:
                if known.model_digest == candidate.model_digest:
                    there = {layer.digest for layer in self._layers(known.digest).values()}
                    self._put_layers(bundle, parts, only=there)
                return known
            layers = self._put_layers(bundle, parts)
            config = {
                "descriptor": {"name": model, "revision": fingerprint},
                "config": {"format": "mlflow"},
                "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
            }
            with suppress(OvertakenError):
                self._put_manifest(
                    _CANDIDATE_TYPE,
                    self._put_bytes(canonical(config), _CONFIG_TYPE),
                    layers,
                    tag=_tag(model, fingerprint),
                    annotations={
                        _TITLE: model,
                        _REVISION: fingerprint,
                        _MODEL_DIGEST: candidate.model_digest,
                    },
                )
            stored = self.find(model, fingerprint)  # another one may have set the tag at once
        if stored is None:
            raise self._lost(_tag(model, fingerprint))
        return stored

    def read_candidate(self, stored: Stored) -> Candidate:
        """A candidate's account, without its files."""
        content = self._content(self._layers(stored.digest)[MANIFEST])
        manifest = read_json(Manifest, content, where=f"{self.name}/{MANIFEST}")
        check_manifest(manifest)
        return manifest.candidate

    def fetch(self, stored: Stored, into: Path) -> None:
        """Bring a candidate's files, as in a bundle."""
        self._fetch(stored.digest, into)

    def put_evaluation(self, stored: Stored, evaluation: Evaluation, bundle: Path) -> None:
        """Take in a bundle's evaluation of a candidate, unless it is there."""
        with self.place.alone():
            if evaluation in self.evaluations(stored):
                return
            parts = {EVALUATION: _EVALUATION_DOCUMENT, EVALUATION_FILES: _EVALUATION_TAR}
            layers = self._put_layers(bundle, parts)
            noted = {
                _VERDICT: evaluation.verdict,
                _ROWS_DIGEST: evaluation.rows,
                _CREATED: evaluation.evaluated_at,
            }
            self._refer(self.subject(stored), _EVALUATION_TYPE, layers, noted)

    def put_override(self, stored: Stored, reason: str) -> None:
        """Note a person's reason to release a candidate in spite of the verdict."""
        with self.place.alone():
            empty = [self._put_bytes(b"{}", EMPTY_TYPE)]
            self._refer(self.subject(stored), _OVERRIDE_TYPE, empty, {_REASON: reason})

    def backing(self, stored: Stored) -> tuple[bool, str | None]:
        """Whether an evaluation of a candidate passed, and a person's reason to override one."""
        referrers = self._referrers(stored.digest)
        verdicts = {entry.annotations.get(_VERDICT) for entry in referrers}
        reasons = (entry.annotations.get(_REASON) for entry in referrers)
        return "pass" in verdicts, next(filter(None, reasons), None)

    def judged_on(self, model: str, rows: str) -> dict[str, str]:
        """When each candidate was first judged on rows of a digest, by fingerprint."""
        fingerprints = [fingerprint for name, fingerprint in self.known() if name == model]
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # a registry takes its time for each
            found = pool.map(lambda of: self._first_judged(model, of, rows), fingerprints)
            return {of: at for of, at in zip(fingerprints, found, strict=True) if at}

    def _first_judged(self, model: str, fingerprint: str, rows: str) -> str | None:
        stored = self.find(model, fingerprint)
        referrers = self._referrers(stored.digest) if stored else []
        judged = (entry for entry in referrers if entry.annotations.get(_ROWS_DIGEST) == rows)
        return min((entry.annotations[_CREATED] for entry in judged), default=None)

    def evaluations(self, stored: Stored) -> list[Evaluation]:
        """The evaluations of a candidate, oldest first."""
        return [evaluation for evaluation, _ in self._evaluations(stored)]

    def fetch_evaluation(self, stored: Stored, evaluation: Evaluation, into: Path) -> None:
        """Bring an evaluation's files, as in a bundle."""
        for known, digest in self._evaluations(stored):
            if known == evaluation:
                self._fetch(digest, into)
                return
        raise self._lost(f"the evaluation of {evaluation.evaluated_at}")

    def remove(self, model: str, fingerprint: str) -> None:
        """Delete a candidate and what refers to it; `sweep` deletes their files."""
        stored = self.find(model, fingerprint)
        if stored is None:
            return
        referring = [_referring_tag(entry.digest) for entry in self._referrers(stored.digest)]
        # The candidate goes last: cut off before, it is found, and removed again.
        self.place.remove([*referring, _listing(stored.digest), _tag(model, fingerprint)])

    def sweep(self) -> None:
        """Delete the files that nothing in the store names any more."""
        self.place.sweep()

    def _evaluations(self, stored: Stored) -> list[tuple[Evaluation, str]]:
        found = []
        for entry in self._referrers(stored.digest):
            if entry.artifact_type != _EVALUATION_TYPE:
                continue  # a signature, say
            where = f"{self.name}/{EVALUATION}"
            content = self._content(self._layers(entry.digest)[EVALUATION])
            evaluation = parse_evaluation(content, where=where)
            check_evaluation(evaluation)
            found.append((evaluation, entry.digest))
        return sorted(found, key=lambda pair: (pair[0].evaluated_at, pair[1]))

    def attach(self, subject: Descriptor, content: bytes, media_type: str) -> None:
        """Put a document beside a manifest that is here, as an artifact that refers to it."""
        with self.place.alone():
            self._refer(subject, media_type, [self._put_bytes(content, media_type)], {})

    def attached(self, digest: str, media_type: str) -> list[bytes]:
        """The documents of a media type that were put beside a manifest."""
        found = []
        for entry in self._referrers(digest):
            if entry.artifact_type == media_type:
                document = read_document(self._manifest(entry.digest), where=self.name)
                [layer] = read_descriptors(document, "layers", where=self.name)
                found.append(self._content(layer))
        return found

    def _referrers(self, digest: str) -> list[Descriptor]:
        listed = self.place.referrers(digest)
        if listed is not None:
            return listed
        return self._listed(self.place.manifest(_listing(digest)))

    def _listed(self, content: bytes | None) -> list[Descriptor]:
        if content is None:
            return []
        return read_descriptors(
            read_document(content, where=self.name), "manifests", where=self.name
        )

    def subject(self, stored: Stored) -> Descriptor:
        """A candidate as what refers to it names it.

        Raises:
            StoreError: another candidate of the fingerprint has taken its place.
        """
        now = self.find(stored.model, stored.fingerprint)
        if now is not None and now.digest != stored.digest:
            # Some registries let go of a manifest as soon as its tag names another one.
            raise StoreError(
                f"another candidate of {stored.model} with this fingerprint was written meanwhile, "
                "and that one stays",
                where=self.name,
                next_step="Evaluate the tree again, so that the one that stays is judged",
            )
        return described(self._manifest(stored.digest), MANIFEST_TYPE)

    def _refer(
        self,
        subject: Descriptor,
        artifact_type: str,
        layers: Sequence[Descriptor],
        annotations: Mapping[str, str],
    ) -> None:
        """Write an artifact whose subject is a candidate, or an image."""
        entry, listed = self._put_manifest(
            artifact_type,
            self._put_bytes(b"{}", EMPTY_TYPE),
            layers,
            annotations=annotations,
            subject=subject,
        )
        if not listed:
            self._link(subject.digest, entry)

    def _link(self, digest: str, entry: Descriptor) -> None:
        """List what refers to a manifest under a tag, where the place does not by itself.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
        """
        for attempt in range(_LINKING_TRIES):
            before = self.place.manifest(_listing(digest))
            listed = self._listed(before)
            if any(known.digest == entry.digest for known in listed):
                return  # still there after another writer's turn
            entries = sorted([*listed, entry], key=lambda each: each.digest)
            index = {
                "schemaVersion": 2,
                "mediaType": INDEX_TYPE,
                "manifests": [each.document() for each in entries],
            }
            with suppress(OvertakenError):
                self.place.put_manifest(
                    canonical(index),
                    INDEX_TYPE,
                    _listing(digest),
                    instead_of=digest_of(before) if before is not None else None,
                )
            time.sleep(0.01 * 2**attempt if attempt else 0)
        raise OvertakenError("the evaluations of one candidate", where=self.name)

    def _put_manifest(
        self,
        artifact_type: str,
        config: Descriptor,
        layers: Sequence[Descriptor],
        *,
        annotations: Mapping[str, str],
        tag: str | None = None,
        subject: Descriptor | None = None,
    ) -> tuple[Descriptor, bool]:
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": config.document(),
            "layers": [layer.document() for layer in layers],
            "annotations": dict(annotations),
        }
        if subject:
            document["subject"] = subject.document()
        content = canonical(document)
        entry = replace(
            described(content, MANIFEST_TYPE), artifact_type=artifact_type, annotations=annotations
        )
        # Each has a tag, so that what cleans a registry of untagged manifests leaves it.
        tag = tag or _referring_tag(entry.digest)
        return entry, self.place.put_manifest(content, MANIFEST_TYPE, tag, instead_of=None)

    def _put_layers(
        self, bundle: Path, parts: Mapping[str, str], only: Container[str] | None = None
    ) -> list[Descriptor]:
        """Write parts of a bundle, by path and media type; a folder as one archive.

        With `only`, those of which the digest is among these.
        """
        layers = []
        for path, media_type in parts.items():
            with _as_file(bundle / path) as file:
                digest, size = file_digest(file), file.stat().st_size
                if only is None or digest in only:
                    self.place.put_blob(file, digest)
            layers.append(Descriptor(media_type, digest, size, annotations={_PATH: path}))
        return layers

    def _put_bytes(self, content: bytes, media_type: str) -> Descriptor:
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            file = Path(scratch) / "blob"
            file.write_bytes(content)
            self.place.put_blob(file, digest_of(content))
        return described(content, media_type)

    def _fetch(self, digest: str, into: Path) -> None:
        for path, layer in self._layers(digest).items():
            place = into / path
            if not layer.media_type.endswith(".tar"):
                place.parent.mkdir(parents=True, exist_ok=True)
                self._read_blob(layer, place)
                continue
            with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
                archive = Path(scratch) / "layer.tar"
                self._read_blob(layer, archive)
                unpack(archive, place, where=f"{self.name}: {layer.digest}")

    def _layers(self, digest: str) -> dict[str, Descriptor]:
        """The layers of an artifact by the paths that they have in a bundle."""
        layers = read_descriptors(
            read_document(self._manifest(digest), where=self.name), "layers", where=self.name
        )
        by_path = {layer.annotations.get(_PATH, ""): layer for layer in layers}
        expected = {MANIFEST, EVALUATION} & by_path.keys()
        if not expected or any(Path(path).is_absolute() or ".." in path for path in by_path):
            raise StoreError(f"{digest} is no artifact of mergeline", where=self.name)
        return by_path

    def _manifest(self, digest: str) -> bytes:
        content = self.place.manifest(digest)
        if content is None:
            raise self._lost(digest)
        if digest_of(content) != digest:
            raise self._lost(digest, torn=True)
        return content

    def _content(self, layer: Descriptor) -> bytes:
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            file = Path(scratch) / "blob"
            self._read_blob(layer, file)
            return file.read_bytes()

    def _read_blob(self, layer: Descriptor, into: Path) -> None:
        try:
            self.place.read_blob(layer.digest, into)
        except StoreError as error:
            error.next_step = error.next_step or _LOST
            raise
        if file_digest(into) != layer.digest:
            into.unlink()
            raise self._lost(layer.digest, torn=True)

    def _lost(self, what: str, *, torn: bool = False) -> StoreError:
        problem = "is not what it was when it was written" if torn else "is missing"
        return StoreError(f"{what} {problem}", where=self.name, next_step=_LOST)


def _candidate_parts(files: Path) -> dict[str, str]:
    """The parts of a candidate in a bundle, by path and media type."""
    parts = {MANIFEST: _SETTINGS}
    for path in sorted(files.iterdir()):
        media_type = _FOLDER if path.is_dir() else _FILE
        if path.name == MODEL:
            media_type = _WEIGHTS
        elif path.name in {HOLDOUT, TRAINING_ROWS}:
            media_type = _ROWS
        parts[f"{CANDIDATE_FILES}/{path.name}"] = media_type
    return parts


def _tag(model: str, fingerprint: str) -> str:
    """The tag of a candidate; a name of 63 and a fingerprint of 64 characters just fit."""
    return f"{model}.{fingerprint}"


def _read_tag(tag: str) -> tuple[str, str] | None:
    """Model and fingerprint of a candidate's tag; None if it is another's."""
    model, _, fingerprint = tag.partition(".")
    is_ours = is_name(model) and _FINGERPRINT.fullmatch(fingerprint)
    return (model, fingerprint) if is_ours else None


def _referring_tag(digest: str) -> str:
    """The tag of what refers to a candidate, by its own digest; no model is called so."""
    return f"_referrer.{digest.removeprefix('sha256:')}"


def _listing(digest: str) -> str:
    """The tag under which a manifest's referrers are listed."""
    return digest.replace(":", "-")


@contextmanager
def _as_file(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
        archive = Path(scratch) / "layer.tar"
        pack(path, archive)
        yield archive
