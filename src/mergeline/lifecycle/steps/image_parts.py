"""The parts of a candidate's image, and the digest that they make: planned before it is pushed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from mergeline.adapters.models.folder import Servable, model_digest, servable
from mergeline.adapters.packages import LOCKS, install_for, lock_for
from mergeline.adapters.store.layers import files_below, write_layer
from mergeline.adapters.store.store import Stored
from mergeline.core.release.bundle import CANDIDATE_FILES, MODEL, Candidate
from mergeline.core.release.image import (
    DESCRIPTION,
    LOCK,
    PACKAGES,
    PROVENANCE_TYPE,
    SBOM_TYPE,
    SERVER,
    SERVER_NEEDS,
    Content,
    Index,
    Layer,
    Reference,
    parse_reference,
    plan_image,
    plan_index,
    provenance,
    sbom,
)
from mergeline.core.release.image import MODEL as MODEL_PLACE
from mergeline.core.release.oci import digest_of
from mergeline.errors import BundleError, DeclarationError
from mergeline.lifecycle.steps.candidates import fetch, tree_of
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.trained import Trained
from mergeline.system.atomic_writes import file_written_whole, write_file_whole
from mergeline.system.locks import file_lock

# What of mergeline serves a model: no verb, no adapter but that of models.
_ROOMS = ("core", "system", "serving", "adapters/models")
_FILES = ("__init__.py", "errors.py", "adapters/__init__.py")
# Of an installation: what names a folder of this machine, or says how it came there.
_LOCAL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


@dataclass(frozen=True)
class Parts:
    """A planned image and the files that its own layers are in, by digest.

    Attributes:
        locks: the packages of each platform.
    """

    index: Index
    layers: Mapping[str, Path]
    locks: Mapping[str, str]


@contextmanager
def image_parts(project: Project, trained: Trained, base: Reference, say: Say) -> Iterator[Parts]:
    """The image of a candidate, as long as the block lasts; the layers of packages are kept.

    Nothing of the model is loaded, and nothing of its packages is run.

    Args:
        project: where the candidate's tree is, which has the lock.
        trained: the candidate.
        base: what the image begins with.
        say: tells what goes on.

    Raises:
        BundleError: the candidate's files are not its model's, or its packages cannot be had.
        NotFoundError: the candidate's tree is not in this repository.
        StoreError: the base cannot be read.
    """
    candidate = trained.candidate
    folder = trained.folder / CANDIDATE_FILES / MODEL
    if model_digest(folder) != candidate.model_digest:
        raise BundleError(
            "the model's files are not the candidate's",
            where=str(folder),
            next_step=f"Delete {trained.folder}, and run again",
        )
    needed = servable(folder)
    python = ".".join(candidate.environment["python"].split(".")[:2])
    content = Content(candidate.model, candidate.fingerprint, candidate.model_digest, python)
    bases = project.images.bases(base)
    locked = _locked(candidate, tree_of(project, candidate))
    with TemporaryDirectory(prefix="mergeline-image-") as scratch:
        files: dict[str, Path] = {}
        server = _kept(files, _server_files(), Path(scratch) / "server")
        model = _kept(files, _model_files(needed, content), Path(scratch) / "model")
        locks, planned = {}, []
        for each in bases:
            lock = lock_for(
                [*SERVER_NEEDS, *needed.needs],
                locked,
                python=python,
                platform=each.platform,
            )
            locks[each.platform] = lock
            packages, file = _packages(project, lock, python, each.platform, say)
            files[packages.digest] = file
            planned.append(plan_image(each, (packages, server, model), content))
        yield Parts(plan_index(planned, content), files, locks)


def put_image(project: Project, stored: Stored, parts: Parts) -> int:
    """Put an image into the store, and what lies beside it; the bytes that had to be sent.

    Raises:
        StoreError: the store, or the base's registry, fails; then the image is not found.
    """
    images = project.images
    sent = images.put(parts.index, parts.layers)
    for _, media_type, document in beside(project, stored, parts):
        project.store.attach(images.describe(parts.index), document, media_type)
    return sent


def beside(project: Project, stored: Stored, parts: Parts) -> list[tuple[str, str, bytes]]:
    """What lies beside an image: name, media type and document."""
    version = server_version()
    candidate = Reference(project.images.repository, stored.digest)
    return [
        ("bill of materials", SBOM_TYPE, sbom(parts.index, parts.locks, version)),
        (
            "provenance",
            PROVENANCE_TYPE,
            provenance(parts.index, parts.locks, candidate, version),
        ),
    ]


def named(project: Project, digest: str) -> str:
    """An image's name in the store, by its digest."""
    return str(Reference(project.images.repository, digest))


def image_for(project: Project, tree: ProjectTree, stored: Stored, say: Say) -> tuple[str, bool]:
    """The image that a release of a candidate needs, by its digest, and whether it is built.

    None is needed where the tree declares no base, or the store is no registry, which engines could
    take it from: then its name is empty.

    Raises:
        MergelineError: see `image_parts`.
    """
    if not _needs_image(project, tree, stored.model):
        return "", True
    base = base_of(tree, stored.model)
    if built := _built(project, stored, base):
        return built, True
    with image_parts(project, fetch(project, stored), base, say) as parts:
        return named(project, parts.index.digest), False


def _built(project: Project, stored: Stored, base: Reference) -> str:
    """The image that the store has of a candidate on a base, by its digest; empty if none."""
    digest = project.images.find(stored.model, stored.fingerprint)
    there = digest is not None and project.images.read(digest).base == base
    return named(project, digest) if digest is not None and there else ""


def _needs_image(project: Project, tree: ProjectTree, model: str) -> bool:
    declared = tree.choose_models(model)[model].serving is not None
    return declared and project.store.name.startswith("oci://")


def have_image(project: Project, tree: ProjectTree, stored: Stored, say: Say) -> str:
    """The image that a release of a candidate needs, built unless it is there; its name or nothing.

    Raises:
        MergelineError: see `image_parts` and `put_image`.
    """
    if not _needs_image(project, tree, stored.model):
        return ""
    base = base_of(tree, stored.model)
    if built := _built(project, stored, base):
        return built
    with image_parts(project, fetch(project, stored), base, say) as parts:
        image = named(project, parts.index.digest)
        say(f"image: {image}")
        put_image(project, stored, parts)
    return image


def server_version() -> str:
    """The version of mergeline that is put into images."""
    return version("mergeline")


def base_of(tree: ProjectTree, model: str) -> Reference:
    """What images of a model begin with, as a tree declares it.

    Raises:
        DeclarationError: it declares nothing, or nothing that is an image by its digest.
    """
    where, serving = f"models/{model}.yaml", tree.choose_models(model)[model].serving
    if serving is None:
        raise DeclarationError(
            "no image of the model is declared",
            where=where,
            next_step="Name a base: `serving: {base: host/repository@sha256:…}`",
        )
    return parse_reference(serving.base, where=where)


def _locked(candidate: Candidate, tree: ProjectTree) -> dict[str, bytes]:
    """The lock files that the fingerprint is made of, of the kinds that can be read here."""
    known = [path for path in LOCKS if path in candidate.ingredients.lock][:1]
    named = [*known, "pyproject.toml"] if known == ["uv.lock"] else known
    return {path: content for path in named if (content := tree.files.read(path)) is not None}


def _kept(files: dict[str, Path], content: Mapping[str, Path | bytes], file: Path) -> Layer:
    layer = write_layer(content, file)
    files[layer.digest] = file
    return layer


def _server_files() -> dict[str, Path | bytes]:
    """The code of mergeline that serves, and what says its version."""
    package = Path(__file__).parents[2]
    files: dict[str, Path | bytes] = {
        f"{SERVER}/mergeline/{path.relative_to(package).as_posix()}": path.read_bytes()
        for room in _ROOMS
        for path in (package / room).rglob("*.py")
    }
    files |= {f"{SERVER}/mergeline/{name}": (package / name).read_bytes() for name in _FILES}
    said = f"Metadata-Version: 2.1\nName: mergeline\nVersion: {server_version()}\n"
    name = f"mergeline-{server_version()}.dist-info"
    return {**files, f"{SERVER}/{name}/METADATA": said.encode()}


def _model_files(needed: Servable, content: Content) -> dict[str, Path | bytes]:
    files = {f"{MODEL_PLACE}/{path}": file for path, file in needed.files.items()}
    return {**files, DESCRIPTION: content.document()}


def _packages(
    project: Project, lock: str, python: str, platform: str, say: Say
) -> tuple[Layer, Path]:
    """The layer of packages; made once for each lock, Python and platform."""
    key = digest_of(f"{python} {platform}\n{lock}".encode()).partition(":")[2][:20]
    file = project.state / "images" / f"packages-{key}.tar.gz"
    described = file.with_suffix(".json")
    described.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(f"{file}.lock"):
        if described.is_file() and file.is_file():
            return Layer(**json.loads(described.read_bytes())), file
        say(f"packages for {platform}: {lock.count('==')}, once for this lock")
        with TemporaryDirectory(prefix="mergeline-packages-") as folder:
            install_for(lock, Path(folder), python=python, platform=platform)
            files = {
                path: source
                for path, source in files_below(Path(folder), PACKAGES).items()
                if _is_shipped(path.removeprefix(f"{PACKAGES}/"))
            }
            with file_written_whole(file) as part:
                layer = write_layer({**files, LOCK: lock.encode()}, part)
            write_file_whole(described, json.dumps(asdict(layer)).encode())
    return layer, file


def _is_shipped(path: str) -> bool:
    """Whether a file that was installed belongs into an image: none that names this machine."""
    first, *_, last = path.split("/") if "/" in path else ("", path)
    is_note = first.endswith(".dist-info") and last in _LOCAL
    return not (is_note or first == "bin" or last.startswith(".lock") or "__pycache__" in path)
