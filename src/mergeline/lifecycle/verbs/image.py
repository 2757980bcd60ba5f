"""`image`: build what serves a candidate, show it, and hold it against what it was made of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mergeline.adapters.store.images import Found
from mergeline.adapters.store.store import Stored
from mergeline.core.release.image import (
    PROVENANCE_TYPE,
    SBOM_TYPE,
    Index,
)
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.candidates import fetch, find_by
from mergeline.lifecycle.steps.image_parts import (
    base_of,
    beside,
    image_parts,
    named,
    put_image,
)
from mergeline.lifecycle.steps.project import Project, Say

_VERSION = re.compile(r"v?([0-9]{1,5})")
_DIGEST = re.compile(r"(?:.*@)?(sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Built:
    """An image that was built, or would be.

    Attributes:
        image: repository and digest.
        platforms: bytes of all its layers, by platform.
        sent: bytes that had to be sent; None where it was only planned.
    """

    model: str
    fingerprint: str
    model_digest: str
    image: str
    base: str
    platforms: Mapping[str, int]
    sent: int | None


@dataclass(frozen=True)
class Inspected:
    """An image that the store has.

    Attributes:
        image: repository and digest.
        platforms: bytes of all its layers, by platform.
        packages: names and versions, by its bill of materials.
        has_provenance: whether a statement of how it was made lies beside it.
    """

    model: str
    fingerprint: str
    model_digest: str
    image: str
    base: str
    python: str
    platforms: Mapping[str, int]
    packages: tuple[str, ...]
    has_provenance: bool


@dataclass(frozen=True)
class Verified:
    """An image held against what it was made of.

    Attributes:
        problems: what is not as it should be; empty if all is.
    """

    image: str
    model: str
    fingerprint: str
    problems: tuple[str, ...]


def build(project: Project, name: str, *, plan_only: bool = False, say: Say) -> Built:
    """Build the image of a candidate and put it into the store, unless it is there.

    Args:
        project: whose working tree declares the base.
        name: a model, whose candidate is that of the working tree; or `model@version` of a
            release; or `model@fingerprint`.
        plan_only: whether only its digest is computed.
        say: tells what goes on.

    Raises:
        DeclarationError: no base is declared.
        NotFoundError: there is no such candidate.
        StoreError: the store, or the base's registry, fails.
    """
    stored = _candidate(project, name)
    base = base_of(project.target_tree()[0], stored.model)
    with image_parts(project, fetch(project, stored), base, say) as parts:
        sent = None if plan_only else put_image(project, stored, parts)
    index = parts.index
    sizes = {
        image.base.platform: sum(layer.size for layer in (*image.base.layers, *image.layers))
        for image in index.images
    }
    content = index.content
    return Built(
        content.model,
        content.fingerprint,
        content.model_digest,
        named(project, index.digest),
        str(base),
        sizes,
        sent,
    )


def inspect(project: Project, name: str) -> Inspected:
    """What an image is, by its digest or by the candidate that it is the newest image of.

    Raises:
        NotFoundError: there is none.
        StoreError: the store fails, or it is not one of mergeline's.
    """
    found = _find(project, name)
    packages = [
        f"{part['name']} {part['version']}"
        for document in project.store.attached(found.digest, SBOM_TYPE)[:1]
        for part in json.loads(document)["components"]
        if part["type"] == "library"
    ]
    content = found.content
    return Inspected(
        content.model,
        content.fingerprint,
        content.model_digest,
        named(project, found.digest),
        str(found.base),
        content.python,
        found.platforms,
        tuple(packages),
        bool(project.store.attached(found.digest, PROVENANCE_TYPE)),
    )


def verify(project: Project, name: str, *, say: Say) -> Verified:
    """Hold an image's parts against their digests, and build it again to compare.

    Raises:
        NotFoundError: there is no such image, or not its candidate.
        StoreError: a part of it is missing or damaged.
    """
    found = _find(project, name)
    project.images.check(found.digest)
    content = found.content
    stored = project.store.find(content.model, content.fingerprint)
    if stored is None:
        raise NotFoundError(
            f"the store has no candidate {content.model} {content.fingerprint[:8]}",
            where=project.store.name,
        )
    with image_parts(project, fetch(project, stored), found.base, say) as parts:
        problems = _differences(found, parts.index)
        problems += [
            f"beside it is no {what} of this image"
            for what, media_type, document in beside(project, stored, parts)
            if document not in project.store.attached(found.digest, media_type)
        ]
    return Verified(
        named(project, found.digest), content.model, content.fingerprint, tuple(problems)
    )


def _differences(found: Found, again: Index) -> list[str]:
    """Where an image is not what building it again gives."""
    if found.digest == again.digest:
        return []
    built = {image.base.platform: image.digest for image in again.images}
    return [
        f"built again for {platform}, it is {digest}"
        for platform, digest in built.items()
        if found.manifests.get(platform) != digest
    ] or [f"built again, it is {again.digest}"]


def _find(project: Project, name: str) -> Found:
    if match := _DIGEST.fullmatch(name):
        return project.images.read(match[1])
    stored = _candidate(project, name)
    digest = project.images.find(stored.model, stored.fingerprint)
    if digest is None:
        raise NotFoundError(
            f"there is no image of {stored.model} {stored.fingerprint[:8]}",
            where=project.images.name,
            next_step=f"mergeline image build {name}",
        )
    return project.images.read(digest)


def _candidate(project: Project, name: str) -> Stored:
    """The stored candidate that `model`, `model@version` or `model@fingerprint` names."""
    model, _, which = name.partition("@")
    if not which:
        tree, _ = project.target_tree()
        declared = tree.choose_models(model)[model]
        fingerprint = tree.ingredients(declared).fingerprint
    elif match := _VERSION.fullmatch(which):
        entries = [one for one in project.ledger(model) if one.version == int(match[1])]
        if not entries:
            raise NotFoundError(
                f"no release of {model} is version {match[1]}",
                where="ledger",
                next_step="Look: mergeline history",
            )
        fingerprint = entries[-1].fingerprint
    else:
        stored = find_by(project, which)
        model, fingerprint = (model, "") if stored.model != model else (model, stored.fingerprint)
    found = project.store.find(model, fingerprint) if fingerprint else None
    if found is None:
        raise NotFoundError(
            f"the store has no candidate {name} {fingerprint[:8]}".rstrip(),
            where=project.store.name,
            next_step="mergeline evaluate",
        )
    return found
