"""Bundles as folders on disk: written whole, read only when their digests agree."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
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
    check_candidate,
    check_evaluation,
    check_files,
    check_format,
    parse_evaluation,
)
from mergeline.errors import BundleError

# Folders with these names are not finished, or no longer.
_PART = ".part"
_ASIDE = ".replaced.part"
_LEFT_BEHIND = 24 * 60 * 60  # seconds after which nobody writes there any more
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


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder`, replacing it, when the block ends without error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    _sweep(folder.parent)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PART, dir=folder.parent))
    try:
        yield scratch
        _replace(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def finished(parent: Path) -> list[Path]:
    """The folders in `parent` that were written whole, one under way left out."""
    inside = sorted(parent.iterdir()) if parent.is_dir() else []
    for aside in inside:
        if replaced := _replaced(aside):
            put_back(replaced)
    return sorted(path for path in parent.glob("[!.]*") if path.is_dir())


def put_back(folder: Path) -> None:
    """Undo what was cut off between putting `folder` aside and putting another in its place."""
    if not folder.exists() and _aside(folder).is_dir():
        with contextlib.suppress(FileNotFoundError):  # another reader was first
            _aside(folder).rename(folder)


def _replace(folder: Path, scratch: Path) -> None:
    aside = _aside(folder)
    for last in (False, True):
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        try:
            scratch.rename(folder)
            break
        except OSError:
            if last or not folder.exists():  # else a reader has put it back just now
                raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_ASIDE}")


def _replaced(aside: Path) -> Path | None:
    """The folder that was put aside as this one, if any was."""
    name = aside.name.removesuffix(_ASIDE).removeprefix(".")
    return aside.with_name(name) if name and aside == _aside(aside.with_name(name)) else None


def _sweep(parent: Path) -> None:
    """Remove what writers that were killed have left."""
    for left in parent.glob(f".*.????????{_PART}"):
        replaced = _replaced(left)
        if replaced is not None and not replaced.exists():
            continue  # the only copy
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(left, ignore_errors=True)


def write_candidate(folder: Path, candidate: Candidate) -> None:
    """Write the manifest of the candidate whose files lie in `folder/candidate`."""
    manifest = Manifest(FORMAT, candidate, digests(folder, CANDIDATE_FILES))
    (folder / MANIFEST).write_text(write_json(manifest), encoding="utf-8")


def read_candidate(folder: Path) -> Candidate:
    """The candidate of a bundle, its files checked and that its parts agree.

    Raises:
        BundleError: there is none, a file is missing, altered or extra, or the manifest contradicts
            itself.
        DeclarationError: the manifest cannot be read.
    """
    put_back(folder)
    manifest = read_json(Manifest, _text(folder / MANIFEST), where=f"{folder.name}/{MANIFEST}")
    check_format(manifest)
    check_candidate(manifest.candidate)
    check_files(manifest.files, digests(folder, CANDIDATE_FILES), where=folder.name)
    return manifest.candidate


def manifest_digest(folder: Path) -> str:
    """SHA-256 of a bundle's manifest."""
    return file_digest(folder / MANIFEST)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write down the evaluation; its `files` are those that lie in `folder/evaluation`."""
    (folder / EVALUATION).write_text(write_json(evaluation), encoding="utf-8")


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation of a bundle, its files checked, and that it is of this candidate.

    Raises:
        BundleError: there is none, a file is missing, altered or extra, or it is another's.
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
    found = {}
    for path in sorted((folder / inside).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(f"{name} is not a plain file", where=folder.name)
        if path.is_file():
            found[name] = file_digest(path)
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BundleError(
            f"no {path.name}", where=str(path.parent), next_step="Name the folder of a bundle"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path.name} cannot be read: {error}", where=str(path.parent)) from error
