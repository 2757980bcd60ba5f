"""The code of a stage: files of the tree that its command runs, and that those import."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

from mergeline.core.declare.stages import DeclaredStage, place
from mergeline.errors import DeclarationError

_MODULE = re.compile(r"(?:^|\s)-[A-Za-z]*?m[\s\\]*[\"']?([\w.${}]+)")
_SCRIPT = re.compile(r"[^\s'\"=:;|&<>()`]+\.(?:py|sh)\b(?![.\w])")
_CD = re.compile(r"(?:^|[\s;&|(])cd\s+([^\s;&|()]+)")


class Files(Protocol):
    """The files of a tree."""

    def read(self, path: str) -> bytes | None:
        """A file's content, or None."""

    def list(self, prefix: str = "") -> list[str]:
        """Paths below a folder, or the file itself, sorted."""

    def blob(self, path: str) -> str | None:
        """A name of a file's content that differs when the content does, or None."""

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link; its content is then where it leads."""

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Read together what will be asked for; paths that are not in the tree are left out."""


def refuse_undeclared_code(files: Files, stage: DeclaredStage, code: Collection[str]) -> None:
    """Hold a stage to listing its code: DVC does not run it again for what it does not list.

    `code` holds the paths of the files that the stage's deps name.

    Raises:
        DeclarationError: it runs or imports a file of the tree that is not among them, or one
            whose name only a template tells, or a file cannot be read as Python.
    """
    scripts = [_outright(stage, path) for path in _SCRIPT.findall(stage.command)]
    folders = ["", *_CD.findall(stage.command)]
    placed = [
        place(f"{folder}/{path}" if folder else path) for folder in folders for path in scripts
    ]
    run = [path for path in placed if files.blob(path) is not None]
    # Where Python looks: the folder that it starts in, a script's own, and `src` once installed.
    roots = [*folders, "src", *(str(PurePosixPath(path).parent) for path in run)]
    for name in _MODULE.findall(stage.command):
        module = _outright(stage, name)
        run += _module_files(files, [module, f"{module}.__main__"], roots)
    for path in run:
        if path not in code:
            raise _undeclared(path, stage, f"stage {stage.name} runs {path}, which it does not")
    for path in sorted(code):
        names = _imported_names(path, files.read(path) or b"") if path.endswith(".py") else ()
        for imported in _module_files(files, names, roots):
            if imported not in code:
                problem = f"{path} imports {imported}, which stage {stage.name} does not"
                raise _undeclared(imported, stage, problem)


def _undeclared(path: str, stage: DeclaredStage, problem: str) -> DeclarationError:
    return DeclarationError(
        f"{problem} list under deps",
        where="dvc.yaml",
        next_step=f"Add {path} to the deps of {stage.name}",
    )


def _outright(stage: DeclaredStage, name: str) -> str:
    if "${" in name:
        raise DeclarationError(
            f"stage {stage.name} runs {name}: which file that is, its deps cannot tell",
            where="dvc.yaml",
            next_step="Write its name out",
        )
    return name


@lru_cache(maxsize=10_000)  # what many stages share, and what two trees have alike
def _imported_names(path: str, text: bytes) -> tuple[str, ...]:
    """Names of the modules that a Python file imports, and of what may be modules in them."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        problem = getattr(error, "msg", None) or str(error) or "nested too deep"
        raise DeclarationError(
            f"not readable as Python: {problem}",
            where=f"{path}:{line}" if line else path,
            next_step="Correct the file",
        ) from error
    package = PurePosixPath(path).parent.parts
    names: list[str] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _module_files(files: Files, names: Sequence[str], roots: Sequence[str]) -> list[str]:
    """Files of modules and of the packages that they lie in, wherever one may be found."""
    with_packages = {
        "/".join(parts[:end]) for name in names for parts in [name.split(".")]
        for end in range(1, len(parts) + 1) if all(parts[:end])
    }  # fmt: skip
    # mergeline runs the stages; only in its own repository is it a file of the tree.
    with_packages = {stem for stem in with_packages if stem.split("/")[0] != "mergeline"}
    found = {
        place(f"{root}/{stem}{end}" if root else f"{stem}{end}")
        for root in roots for stem in with_packages for end in (".py", "/__init__.py")
    }  # fmt: skip
    return sorted(path for path in found if files.blob(path) is not None)
