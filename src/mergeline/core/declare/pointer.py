"""Pointers: the `.dvc` files that stand in Git for drops."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mergeline.core.declare.strict import did_you_mean, parse_yaml
from mergeline.errors import DeclarationError

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
# A pointer of one file as `dvc add` writes it, with nothing in it that YAML reads as other than
# text. A YAML parser takes 0.3 ms for each, which a thousand pointers make felt.
_USUAL = re.compile(
    r"outs:\n- md5: (?P<md5>[0-9a-f]{32})\n(?:  size: (?P<size>\d+)\n)?"
    r"(?:  hash: md5\n)?  path: (?P<name>[A-Za-z0-9_][\w.-]*\.[a-z]\w*)\n",
    flags=re.ASCII,
)
# What DVC's own schema knows.
_KEYS = {"outs", "deps", "md5", "wdir", "desc", "meta", "frozen", "locked", "always_changed"}
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
    """

    path: str
    target: str
    md5: str
    size: int | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder of drops."""
        return self.md5.endswith(".dir")


def describe_differing(paths: Sequence[str]) -> tuple[str, str]:
    """What to say of files that are not what their pointers say, and the next step."""
    if len(paths) == 1:
        said, files, them = f"{paths[0]} differs from its pointer", paths[0], "it"
    else:
        said = f"{len(paths)} drops differ from their pointers: {_listed(paths, ', ')}"
        files, them = _listed(paths, " "), "them"
    return said, f"Take {them} in: dvc add {files}; or go back: dvc checkout {files}"


def _listed(paths: Sequence[str], between: str) -> str:
    return between.join(paths[:3]) + (f"{between}…" if len(paths) > 3 else "")


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
    _refuse_unknown(document, _KEYS, path)
    outs = document.get("outs")
    next_step = "Make the pointer with `dvc add`"
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        raise DeclarationError("not a pointer with one output", where=path, next_step=next_step)
    out = outs[0]
    _refuse_unknown(out, _OUT_KEYS, path)
    md5, name = out.get("md5"), out.get("path")
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise DeclarationError("the pointer has no md5", where=path, next_step=next_step)
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in name.split("/"):
        raise DeclarationError(
            "the pointer's path leaves its folder", where=path, next_step=next_step
        )
    size = out.get("size")
    inside = PurePosixPath(path).parent / str(document.get("wdir", "."))
    return Pointer(path, str(inside / name), md5, size if isinstance(size, int) else None)


def _refuse_unknown(mapping: Mapping[Any, Any], known: set[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            near = did_you_mean(str(key), sorted(known))
            raise DeclarationError(
                f"unknown key {key!r} ({near})", where=where, next_step="Correct it and run again"
            )
