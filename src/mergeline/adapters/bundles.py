"""Bundles as folders on disk, read only when their digests agree."""

from __future__ import annotations

import shutil
from pathlib import Path

from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    EVALUATION,
    EVALUATION_FILES,
    FORMAT,
    MANIFEST,
    Candidate,
    Evaluation,
    Manifest,
    check_evaluation,
    check_files,
    check_manifest,
    parse_evaluation,
)
from mergeline.errors import BundleError
from mergeline.system.atomic_writes import put_back
from mergeline.system.digests import file_sha256

_MOST_FILES, _MOST_BYTES, _MOST_MANIFEST = 10_000, 4_000_000_000, 16_000_000
_LONGEST_NAME, _DEEPEST = 400, 20
_PARTS = {MANIFEST, EVALUATION, CANDIDATE_FILES, EVALUATION_FILES}


def check_replaceable(folder: Path) -> None:
    """Refuse to write a bundle where something else would be lost.

    Raises:
        BundleError: the folder holds other things than a bundle, or a folder of bundles.
    """
    inside = list(folder.iterdir()) if folder.is_dir() else []
    nested = [part for path in inside if path.is_dir() for part in path.iterdir()]
    ours = {path.name for path in inside} <= _PARTS or (
        all(path.is_dir() for path in inside) and {path.name for path in nested} <= _PARTS
    )
    if folder.is_symlink() or not ours:
        raise BundleError(
            "holds other things than a bundle, which would be lost",
            where=str(folder),
            next_step="Name a new folder",
        )


def write_candidate(folder: Path, candidate: Candidate) -> None:
    """Write the manifest of the candidate whose files lie in `folder/candidate`."""
    manifest = Manifest(FORMAT, candidate, digests(folder, CANDIDATE_FILES))
    (folder / MANIFEST).write_text(write_json(manifest), encoding="utf-8")


def copy_candidate(folder: Path, into: Path) -> None:
    """Copy the manifest and the candidate's files of a bundle that nobody vouches for.

    Raises:
        BundleError: there are links or special files among them, names that cannot be printed, or
            more files or bytes than a candidate has.
    """
    waiting = [path for path in (folder / MANIFEST, folder / CANDIDATE_FILES) if _is_there(path)]
    count = size = 0
    while waiting:
        path = waiting.pop()
        name, count = path.relative_to(folder).as_posix(), count + 1
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(f"{name[:80]!r} is not a plain file", where=folder.name)
        if not name.isprintable() or len(name) > _LONGEST_NAME or name.count("/") > _DEEPEST:
            raise BundleError(f"{name[:80]!r} is not a file's name here", where=folder.name)
        size += path.stat().st_size
        large = path.name == MANIFEST and path.stat().st_size > _MOST_MANIFEST
        if large or count + len(waiting) > _MOST_FILES or size > _MOST_BYTES:
            raise BundleError("it is larger than a candidate is", where=folder.name)
        waiting += path.iterdir() if path.is_dir() else ()
    into.mkdir(parents=True)
    if (folder / MANIFEST).is_file():
        shutil.copyfile(folder / MANIFEST, into / MANIFEST)
    if (folder / CANDIDATE_FILES).is_dir():
        shutil.copytree(folder / CANDIDATE_FILES, into / CANDIDATE_FILES, symlinks=True)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def read_candidate(folder: Path) -> Candidate:
    """Read the candidate of a bundle; check its files, and that its parts agree.

    Raises:
        BundleError: the folder is no bundle, a file is missing, altered or extra, or the manifest
            contradicts itself.
        DeclarationError: the manifest cannot be read.
    """
    put_back(folder)
    manifest = read_json(Manifest, _text(folder / MANIFEST), where=f"{folder.name}/{MANIFEST}")
    check_manifest(manifest)
    check_files(manifest.files, digests(folder, CANDIDATE_FILES), where=folder.name)
    return manifest.candidate


def manifest_digest(folder: Path) -> str:
    """SHA-256 of a bundle's manifest."""
    return file_sha256(folder / MANIFEST)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write down the evaluation; its `files` are those that lie in `folder/evaluation`."""
    (folder / EVALUATION).write_text(write_json(evaluation), encoding="utf-8")


def read_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation of a bundle; check its files, and that it is of this candidate.

    Raises:
        BundleError: the bundle has none, a file is missing, altered or extra, or it is another's.
        DeclarationError: it cannot be read.
    """
    put_back(folder)
    where = f"{folder.name}/{EVALUATION}"
    evaluation = parse_evaluation(_text(folder / EVALUATION), where=where)
    check_evaluation(evaluation)
    check_files(evaluation.files, digests(folder, EVALUATION_FILES), where=folder.name)
    if evaluation.manifest != manifest_digest(folder):
        raise BundleError("the evaluation is of another candidate", where=where)
    return evaluation


def digests(folder: Path, inside: str) -> dict[str, str]:
    """SHA-256 of each file below `folder/inside`, by its path in `folder`.

    Raises:
        BundleError: something in there is neither a file nor a folder.
    """
    digest_by_path = {}
    for path in sorted((folder / inside).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(f"{name} is not a plain file", where=folder.name)
        if path.is_file():
            digest_by_path[name] = file_sha256(path)
    return digest_by_path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BundleError(
            f"no {path.name}", where=str(path.parent), next_step="Name the folder of a bundle"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path.name} cannot be read: {error}", where=str(path.parent)) from error
