"""Pointers: the `.dvc` files that stand in Git for drops."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from mergeline.core.declare.strict import parse_yaml, refuse_unknown_keys
from mergeline.errors import DeclarationError

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_NO_DROP = re.compile(r"(readme|licen[cs]e)(\.(md|txt|rst|html))?|thumbs\.db|desktop\.ini")
# A pointer of one file as `dvc add` writes it, with nothing in it that YAML reads as other than
# text. A YAML parser takes 0.3 ms for each, which a thousand pointers make felt.
_USUAL = re.compile(
    r"outs:\n- md5: (?P<md5>[0-9a-f]{32})\n(?:  size: (?P<size>\d+)\n)?"
    r"(?:  hash: md5\n)?  path: (?P<name>[A-Za-z0-9_][\w.-]*\.[a-z]\w*)\n",
    flags=re.ASCII,
)
# What DVC's own schema knows.
_KEYS = {"outs", "deps", "md5", "wdir", "desc", "meta", "frozen", "locked", "always_changed"}
_CLOUD_KEYS = {"files", "cloud", "version_id", "etag"}
_OUT_KEYS = {
    "path", "md5", "size", "hash", "nfiles", "isexec", "cache", "checksum", "cloud", "desc", "etag",
    "files", "fs_config", "labels", "meta", "persist", "push", "remote", "type", "version_id",
}  # fmt: skip


@dataclass(frozen=True)
class Pointer:
    """One `.dvc` file.

    Attributes:
        path: of the `.dvc` file in the repository, e.g. `data/raw/flights/2013-01.csv.dvc`.
        target: of the drop or folder it points to, e.g. `data/raw/flights/2013-01.csv`.
        md5: of the content; a folder's ends in `.dir`.
        size: in bytes, where the pointer says so.
        replaces: the drop that this one corrects, by its path in the repository; its own pointer
            may stay, and counts no more. None if the pointer says nothing of the kind.
    """

    path: str
    target: str
    md5: str
    size: int | None = None
    replaces: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder of drops."""
        return self.md5.endswith(".dir")


def is_no_drop(path: str) -> bool:
    """Whether a file in a folder of drops is none, by its name.

    Hidden files, names that begin with an underscore (as for Hive and Spark), and what tells of the
    data: README, LICENSE, and what file managers leave.
    """
    parts = path.split("/")
    name = parts[-1].lower()
    return any(part.startswith((".", "_")) for part in parts) or bool(_NO_DROP.fullmatch(name))


def without_replaced(pointers: Sequence[Pointer]) -> tuple[Pointer, ...]:
    """The pointers of a table that count: those that no other one replaces.

    Raises:
        DeclarationError: one replaces what no pointer of the table names, or some replace each
            other in a circle.
    """
    by_target = {pointer.target: pointer for pointer in pointers}
    for pointer in pointers:
        met, at = {pointer.target}, pointer
        while at.replaces is not None:
            if at.replaces not in by_target:
                raise DeclarationError(
                    f"replaces {at.replaces}, which no pointer of the table names",
                    where=at.path,
                    next_step="Correct the name. The pointer of a replaced drop stays, and counts "
                    "no more; if it is gone for good, take `replaces` out",
                )
            at = by_target[at.replaces]
            if at.target in met:
                raise DeclarationError(
                    f"replaces {pointer.replaces}, and is replaced by it",
                    where=pointer.path,
                    next_step="Take `replaces` out of one of them",
                )
            met.add(at.target)
    replaced = {pointer.replaces for pointer in pointers}
    return tuple(pointer for pointer in pointers if pointer.target not in replaced)


def describe_differing(paths: Sequence[str]) -> tuple[str, str]:
    """What to say of files that are not what their pointers say, and the next step."""
    listed = [*paths[:3], *(["…"] if len(paths) > 3 else [])]
    problem, them = f"{paths[0]} differs from its pointer", "it"
    if len(paths) > 1:
        problem = f"{len(paths)} drops differ from their pointers: {', '.join(listed)}"
        them = "them"
    files = " ".join(listed)
    return problem, f"Take {them} in: dvc add {files}; or go back: dvc checkout {files}"


def parse_pointer(path: str, text: bytes | str) -> Pointer:
    """Read a `.dvc` file with one output.

    Raises:
        DeclarationError: it is not a pointer that `dvc add` writes.
    """
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    if usual := _USUAL.fullmatch(decoded):
        folder, slash, _ = path.rpartition("/")
        target = f"{folder}{slash}{usual['name']}"
        return Pointer(path, target, usual["md5"], int(usual["size"]) if usual["size"] else None)
    document = parse_yaml(text, where=path)
    refuse_unknown_keys(document, _KEYS, where=path)
    refused = partial(DeclarationError, where=path, next_step="Make the pointer with `dvc add`")
    outs = document.get("outs")
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        raise refused("not a pointer with one output")
    out = outs[0]
    refuse_unknown_keys(out, _OUT_KEYS, where=path)
    md5, name = out.get("md5"), out.get("path")
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        if out.keys() & _CLOUD_KEYS:
            raise DeclarationError(
                "the pointer names versions of a bucket, and no md5 of the whole",
                where=path,
                next_step="Take version_aware out of the DVC remote, `dvc pull` and `dvc add` "
                "what it stands for, and `dvc push`",
            )
        raise refused("the pointer has no md5")
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in name.split("/"):
        raise refused("the pointer's path leaves its folder")
    inside = PurePosixPath(path).parent / str(document.get("wdir", "."))
    size, earlier = out.get("size"), _replaced(document.get("meta"), path)
    return Pointer(
        path,
        str(inside / name),
        md5,
        size if isinstance(size, int) else None,
        posixpath.normpath(inside / earlier) if earlier else None,
    )


def _replaced(meta: object, path: str) -> str | None:
    """What a pointer's `meta: {replaces: 2013-01.csv}` says."""
    name = meta.get("replaces") if isinstance(meta, dict) else None
    if name is not None and (not isinstance(name, str) or not name or name.startswith("/")):
        raise DeclarationError(
            "meta.replaces is the name of one drop, as the pointer names its own",
            where=path,
            next_step="Write, for example, `replaces: 2013-01.csv`",
        )
    return name
