"""DVC as the reader of what only DVC reads as DVC does: templates, loops, and params files."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mergeline.errors import DeclarationError

_NEXT = "Correct the file: DVC reads it so, too"


class _Files(Protocol):
    def read(self, path: str) -> bytes | None: ...

    def list(self, prefix: str = "") -> list[str]: ...


class DvcReading:
    """DVC's own resolver and parsers over the files of a Git tree; no checkout is needed."""

    def __init__(self, files: _Files) -> None:
        self._files = files

    def resolve(self, document: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
        """The stages of the `dvc.yaml` in a folder, with templates, loops and `vars` resolved.

        Raises:
            DeclarationError: DVC refuses it.
        """
        from dvc.exceptions import DvcException
        from dvc.parsing import DataResolver
        from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA
        from voluptuous import Invalid

        where = posixpath.join(folder, "dvc.yaml")
        try:
            COMPILED_MULTI_STAGE_SCHEMA(dict(document))
            resolver = DataResolver(_Repository(self._files), folder, dict(document))
            stages: Mapping[str, Any] = resolver.resolve()["stages"]
        except (DvcException, Invalid) as error:
            problem = " ".join(str(error).split()).removeprefix("failed to parse ")
            raise DeclarationError(
                f"DVC refuses it: {problem}", where=where, next_step=_NEXT
            ) from error
        return stages

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that `.dvcignore` leaves out."""
        from pathspec import GitIgnoreSpec

        lines = (self._files.read(".dvcignore") or b"").decode(errors="replace").splitlines()
        return set(GitIgnoreSpec.from_lines(lines).match_files(paths))

    def params(self, text: bytes, path: str) -> Mapping[str, Any]:
        """The values of a params file that is not YAML: TOML, JSON or Python.

        Raises:
            DeclarationError: it cannot be read.
        """
        from dvc.exceptions import DvcException
        from dvc.utils.serialize import PARSERS

        suffix = posixpath.splitext(path)[1].lower()
        try:
            values = PARSERS[suffix](text.decode(), path)
        except (DvcException, ValueError, SyntaxError, RecursionError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise DeclarationError(
                f"not readable as {suffix[1:].upper()}: {problem}", where=path, next_step=_NEXT
            ) from error
        if not isinstance(values, Mapping):
            raise DeclarationError(
                "expected values by name", where=path, next_step="Correct the file"
            )
        return values


class _Repository:
    """As much of a DVC repository as its resolver asks for."""

    def __init__(self, files: _Files) -> None:
        from configobj import ConfigObj

        self.fs = _FileSystem(files)
        settings = (files.read(".dvc/config") or b"").decode().splitlines()
        self.config = {"parsing": dict(ConfigObj(settings).get("parsing", {}))}


class _FileSystem:
    """As much of a file system as DVC's resolver asks for."""

    normpath = staticmethod(posixpath.normpath)
    join = staticmethod(posixpath.join)

    def __init__(self, files: _Files) -> None:
        self._files = files

    def suffix(self, path: str) -> str:
        return posixpath.splitext(path)[1]

    def exists(self, path: str) -> bool:
        return bool(self._files.list(posixpath.normpath(path)))

    def isdir(self, path: str) -> bool:
        return self.exists(path) and self._files.read(posixpath.normpath(path)) is None

    def open(self, path: str, encoding: str = "utf-8", **_: Any) -> io.StringIO:  # noqa: ANN401
        return io.StringIO((self._files.read(posixpath.normpath(path)) or b"").decode(encoding))
