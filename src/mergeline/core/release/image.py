"""The image that serves one candidate: a base, the packages, the server and the model.

The same base, packages, server and candidate are the same bytes, so the digest is known before
anything is pushed, and anybody can build the image again and compare. That is why neither a time
nor a commit is in it: both stand in the provenance beside it.

Forms: OCI image specification 1.1, with Docker's `Healthcheck` in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergeline.core.release.oci import INDEX_TYPE, MANIFEST_TYPE, canonical, digest_of
from mergeline.errors import DeclarationError

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
TAR_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP_TYPE = f"{TAR_TYPE}+gzip"
SBOM_TYPE = "application/vnd.cyclonedx+json"
PROVENANCE_TYPE = "application/vnd.in-toto+json"
PLATFORMS = ("linux/amd64", "linux/arm64")

# Folders of the image.
ROOT = "opt/mergeline"
PACKAGES = f"{ROOT}/packages"
SERVER = f"{ROOT}/server"
MODEL = f"{ROOT}/model"
DESCRIPTION = f"{ROOT}/image.json"
LOCK = f"{ROOT}/requirements.txt"

PORT = 8000
SERVER_NEEDS = (
    "cloudpickle", "httptools", "msgspec", "numpy", "pandas", "prometheus-client", "pyyaml",
    "scipy", "threadpoolctl", "treelite", "uvicorn", "uvloop", "zstandard",
)  # fmt: skip
"""The packages that the server itself imports, by name."""

_MODULE = "mergeline.serving.image"
_USER = "65532:65532"  # nobody's; a number, so that Kubernetes sees that it is not root
_EPOCH = "1970-01-01T00:00:00Z"
_SECOND = 1_000_000_000  # nanoseconds
_LABEL = "dev.mergeline"
_OCI = "org.opencontainers.image"
_BUILD_TYPE = "https://github.com/mergeline/mergeline/blob/main/docs/images.md"
_REFERENCE = re.compile(
    r"(?P<host>localhost|[\w-]+(\.[\w-]+)+|[\w.-]+(?=:\d))(?P<port>:\d+)?/(?P<path>[a-z0-9._/-]+)"
    r"(?P<tag>:[\w.-]+)?@(?P<digest>sha256:[0-9a-f]{64})"
)
_DOCKER_HUB = "registry-1.docker.io"
_PINNED = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Reference:
    """An image by its digest: `repository` is host and path, without a tag."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Layer:
    """One layer: `digest` and `size` of the bytes as they are stored, `diff_id` of the archive."""

    media_type: str
    digest: str
    size: int
    diff_id: str

    def document(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Base:
    """The base for one platform.

    Attributes:
        reference: as the declaration names it.
        config: the document of its configuration.
    """

    reference: Reference
    platform: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """Whose model an image has; `python` is the minor version, such as 3.11."""

    model: str
    fingerprint: str
    model_digest: str
    python: str

    def document(self) -> bytes:
        """As it lies in the image."""
        return canonical({**vars(self)})


@dataclass(frozen=True)
class Image:
    """An image for one platform: the documents that name its layers.

    Attributes:
        base: its layers, which come first.
        layers: those on top of the base's.
    """

    base: Base
    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """By which a registry knows it."""
        return digest_of(self.manifest)


@dataclass(frozen=True)
class Index:
    """The images of one candidate, one for each platform; `document` lists them."""

    content: Content
    images: tuple[Image, ...]
    document: bytes

    @property
    def digest(self) -> str:
        """By which a registry knows it: the image's digest."""
        return digest_of(self.document)


def parse_reference(text: str, *, where: str) -> Reference:
    """Read `host/path@sha256:…`; a tag before the @ is allowed and says nothing.

    Raises:
        DeclarationError: it names no host, or no digest.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise DeclarationError(
            f"serving.base is {text[:120]!r}, which is no image by its digest",
            where=where,
            next_step="Write host/repository@sha256:…, as `skopeo inspect` shows it",
        )
    host, path = f"{found['host']}{found['port'] or ''}", found["path"]
    if host == "docker.io":
        host = _DOCKER_HUB
        path = path if "/" in path else f"library/{path}"
    return Reference(f"{host}/{path}", found["digest"])


def plan_image(base: Base, layers: Sequence[Layer], content: Content) -> Image:
    """The image of a candidate for one platform, from layers that may not be anywhere yet."""
    described = _config(base, layers, content)
    config = canonical(described)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [layer.document() for layer in (*base.layers, *layers)],
        "annotations": described["config"]["Labels"],
    }
    return Image(base, tuple(layers), config, canonical(manifest))


def plan_index(images: Sequence[Image], content: Content) -> Index:
    """The list of a candidate's images, which a registry gives by one digest."""
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {
                "mediaType": MANIFEST_TYPE,
                "digest": image.digest,
                "size": len(image.manifest),
                "platform": _platform(image.base.platform),
            }
            for image in images
        ],
        "annotations": labels(images[0].base.reference, content),
    }
    return Index(content, tuple(images), canonical(document))


def labels(base: Reference, content: Content) -> dict[str, str]:
    """What an image says of itself."""
    return {
        f"{_OCI}.title": content.model,
        f"{_OCI}.base.name": base.repository,
        f"{_OCI}.base.digest": base.digest,
        f"{_LABEL}.model": content.model,
        f"{_LABEL}.fingerprint": content.fingerprint,
        f"{_LABEL}.model-digest": content.model_digest,
        f"{_LABEL}.python": content.python,
    }


def read_labels(found: Mapping[str, str]) -> tuple[Reference, Content] | None:
    """Base and candidate of an image by its labels; None if it is none of ours."""
    try:
        base = Reference(found[f"{_OCI}.base.name"], found[f"{_OCI}.base.digest"])
        keys = ("model", "fingerprint", "model-digest", "python")
        return base, Content(*(found[f"{_LABEL}.{key}"] for key in keys))
    except (KeyError, TypeError):
        return None


def _platform(text: str) -> dict[str, str]:
    system, architecture = text.split("/")
    return {"os": system, "architecture": architecture}


def _config(base: Base, layers: Sequence[Layer], content: Content) -> dict[str, Any]:
    own = base.config.get("config") or {}
    environment = {
        **dict(line.partition("=")[::2] for line in own.get("Env") or ()),
        "PYTHONPATH": f"/{SERVER}:/{PACKAGES}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = ["python3", "-P", "-m", _MODULE]
    return {
        **_platform(base.platform),
        "created": _EPOCH,
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "User": _USER,
            "WorkingDir": "/",
            "Entrypoint": command,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "StopSignal": "SIGTERM",
            "Labels": labels(base.reference, content),
            "Healthcheck": {
                "Test": ["CMD", *command, "health"],
                "Interval": 10 * _SECOND,
                "Timeout": 5 * _SECOND,
                "StartPeriod": 60 * _SECOND,
                "Retries": 3,
            },
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id for layer in (*base.layers, *layers)],
        },
        **_history(base, layers),
    }


def _history(base: Base, layers: Sequence[Layer]) -> dict[str, Any]:
    """How each layer came about, where the base says so of each of its own."""
    before = base.config.get("history") or []
    if sum(not step.get("empty_layer") for step in before) != len(base.layers):
        return {}
    own = [{"created": _EPOCH, "created_by": "mergeline image build"} for _ in layers]
    return {"history": [*before, *own]}


# ---- What lies beside an image


def sbom(index: Index, locks: Mapping[str, str], server: str) -> bytes:
    """The software bill of materials of an image, by CycloneDX 1.6.

    Args:
        index: the image.
        locks: the packages of each platform, as lines `name==version --hash=…`.
        server: mergeline's version.
    """
    content, base = index.content, index.images[0].base.reference
    packages: dict[str, dict[str, Any]] = {}
    for platform, lock in sorted(locks.items()):
        for name, version, hashes in read_lock(lock):
            purl = f"pkg:pypi/{name}@{version}"
            known = packages.setdefault(purl, _component(name, version, purl, hashes))
            known["properties"].append({"name": f"{_LABEL}:platform", "value": platform})
    repository = base.repository
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": index.digest,
                "name": content.model,
                "version": index.digest,
            },
        },
        "components": [
            {
                "type": "container",
                "bom-ref": str(base),
                "name": repository,
                "version": base.digest,
                "purl": f"pkg:oci/{repository.rpartition('/')[2]}@{base.digest.replace(':', '%3A')}"
                f"?repository_url={repository}",
            },
            {
                "type": "machine-learning-model",
                "bom-ref": f"model:{content.model_digest}",
                "name": content.model,
                "version": content.fingerprint,
                "hashes": [{"alg": "SHA-256", "content": content.model_digest}],
            },
            {
                "type": "application",
                "bom-ref": "mergeline",
                "name": "mergeline",
                "version": server,
            },
            *(packages[purl] for purl in sorted(packages)),
        ],
    }
    return canonical(document)


def _component(name: str, version: str, purl: str, hashes: Sequence[str]) -> dict[str, Any]:
    """A package; its hashes are those of all files that the lock allows for it."""
    allowed = [{"name": f"{_LABEL}:sha256", "value": each} for each in hashes]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "properties": allowed,
    }


def provenance(index: Index, locks: Mapping[str, str], candidate: Reference, server: str) -> bytes:
    """From which candidate an image was made and how: an in-toto statement by SLSA 1.0.

    Args:
        index: the image.
        locks: as for `sbom`.
        candidate: where the store has the candidate.
        server: mergeline's version.
    """
    content, base = index.content, index.images[0].base.reference
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": content.model, "digest": _sha256(index.digest)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {
                    "model": content.model,
                    "fingerprint": content.fingerprint,
                    "base": str(base),
                },
                "resolvedDependencies": [
                    {"uri": f"oci://{base}", "digest": _sha256(base.digest)},
                    {"uri": f"oci://{candidate}", "digest": _sha256(candidate.digest)},
                    {"name": "model", "digest": {"sha256": content.model_digest}},
                    *(
                        {"name": f"packages for {platform}", "digest": _sha256(digest_of(text))}
                        for platform, text in sorted(
                            (platform, lock.encode()) for platform, lock in locks.items()
                        )
                    ),
                ],
            },
            "runDetails": {"builder": {"id": f"{_BUILD_TYPE}@{server}"}},
        },
    }
    return canonical(statement)


def read_lock(lock: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, version and hashes of each package of a lock."""
    lines = lock.replace("\\\n", " ").splitlines()
    found = ((_PINNED.match(line), _HASH.findall(line)) for line in lines)
    return [(pin["name"], pin["version"], tuple(hashes)) for pin, hashes in found if pin]


def _sha256(digest: str) -> dict[str, str]:
    algorithm, _, digits = digest.partition(":")
    return {algorithm: digits}
