"""The code of a stage: files of the tree that its command runs or reads, and those that these name.

Python is read as Python: its imports, modules that are imported by name, and texts that are the
path of a file. In other languages and in the command itself, every word that is the path of a file
of the tree counts.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

from mergeline.core.declare.stages import DeclaredStage, place
from mergeline.errors import DeclarationError

_MODULE = re.compile(r"(?:^|\s)-[A-Za-z]*?m[\s\\]*[\"']?([\w.${}]+)")
_WORD = re.compile(r"[^\s'\"=:;|&<>()`,\[\]\\]+")
_SCRIPT = re.compile(r"\.(py|sh|bash|zsh|R|r|Rmd|sql|ipynb|jl|pl|lua|js|ts|scala)$")
_TEXTS = re.compile(r"\.(sh|bash|zsh|R|r|Rmd|sql|jl|pl|lua|js|ts|scala)$|(^|/)Makefile$")
_CD = re.compile(r"(?:^|[\s;&|(])cd\s+([^\s;&|()]+)")
_IMPORTERS = {"import_module", "__import__", "run_module"}


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


@dataclass(frozen=True)
class _Named:
    """What a file of code names: modules that it imports, and words that may be paths."""

    modules: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def refuse_undeclared_code(files: Files, stage: DeclaredStage, declared: Collection[str]) -> None:
    """Hold a stage to listing what it runs and reads: DVC runs it again for nothing else.

    `declared` holds the paths of the tree's files that the stage's deps name.

    Raises:
        DeclarationError: it names a file of the tree that is not among them, or one of which only
            a shell variable tells the name, or a file cannot be read as Python.
    """
    known = {*declared, *stage.outs, *(path for path, _ in stage.params)}
    for path, how in _named_files(files, stage, declared):
        if path not in known:
            raise DeclarationError(
                f"{how} {path}, which {'it' if how.startswith('stage') else f'stage {stage.name}'} "
                "does not list under deps",
                where=stage.where,
                next_step=f"Add {path} to the deps of {stage.name}",
            )


def _named_files(
    files: Files, stage: DeclaredStage, declared: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The files of the tree that a stage's command and its declared files name, and how."""
    words, modules = _WORD.findall(stage.command), _MODULE.findall(stage.command)
    for script in (*words, *(f"{name}.py" for name in modules)):
        if "$" in script and _SCRIPT.search(script):
            raise DeclarationError(
                f"stage {stage.name} runs {script}: which file that is, its deps cannot tell",
                where=stage.where,
                next_step="Write its name out",
            )
    folders = [stage.folder, *(place(path, stage.folder) for path in _CD.findall(stage.command))]
    run = list(_paths(files, words, folders))
    for path in run:
        yield path, f"stage {stage.name} {'runs' if _SCRIPT.search(path) else 'names'}"
    # Where Python looks: the folder that it starts in, a script's own, and `src` once installed.
    roots = [*folders, "src", *(str(PurePosixPath(path).parent) for path in run)]
    run_modules = [name for module in modules for name in (module, f"{module}.__main__")]
    for path in _module_files(files, run_modules, roots):
        yield path, f"stage {stage.name} runs"
    for path in sorted(declared):
        named = _names_in(path, files)
        for imported in _module_files(files, named.modules, roots):
            yield imported, f"{path} imports"
        own = str(PurePosixPath(path).parent)
        for other in _paths(files, named.words, [*folders, own]):
            yield other, f"{path} names"


def _paths(files: Files, words: Iterable[str], folders: Iterable[str]) -> Iterator[str]:
    """Files of the tree that words name, seen from one of the folders."""
    for word in dict.fromkeys(words):
        if "/" in word or "." in word:
            for path in dict.fromkeys(place(word, folder) for folder in folders):
                if files.blob(path) is not None:
                    yield path


def _names_in(path: str, files: Files) -> _Named:
    """What a file of code names; nothing of a file that is none."""
    if path.endswith((".py", ".ipynb")):
        return _named_by_python(path, files.read(path) or b"")
    if _TEXTS.search(path):
        text = (files.read(path) or b"").decode(errors="replace")
        return _Named(tuple(_MODULE.findall(text)), tuple(_WORD.findall(text)))
    return _Named()


@lru_cache(maxsize=10_000)  # what many stages share, and what two trees have alike
def _named_by_python(path: str, text: bytes) -> _Named:
    """Names of the modules that a Python file imports, and of what may be modules in them."""
    try:
        module = ast.parse(_code_cells(text) if path.endswith(".ipynb") else text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        problem = getattr(error, "msg", None) or str(error) or "nested too deep"
        raise DeclarationError(
            f"not readable as Python: {problem}",
            where=f"{path}:{line}" if line else path,
            next_step="Correct the file",
        ) from error
    package = PurePosixPath(path).parent.parts
    modules: list[str] = []
    words: list[str] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            modules += [source, *(f"{source}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS:
            modules.append(_imported_by_name(node, path, package))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.append(node.value)
    return _Named(tuple(modules), tuple(words))


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imported_by_name(call: ast.Call, path: str, package: Sequence[str]) -> str:
    name = call.args[0] if call.args else None
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        raise DeclarationError(
            "imports a module whose name is only known when it runs: no deps can tell which",
            where=f"{path}:{call.lineno}",
            next_step="Write its name out",
        )
    dots = len(name.value) - len(name.value.lstrip("."))
    base = package[: len(package) - dots + 1] if dots else ()
    return ".".join([*base, name.value[dots:]])


def _code_cells(text: bytes) -> str:
    """The Python code of a notebook, without lines that only Jupyter understands."""
    notebook = json.loads(text)
    cells = notebook.get("cells", []) if isinstance(notebook, dict) else []
    sources = [cell.get("source", "") for cell in cells if cell.get("cell_type") == "code"]
    code = "\n".join("".join(source) for source in sources)
    return "\n".join("" if line.lstrip()[:1] in {"%", "!"} else line for line in code.split("\n"))


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
