"""Read a model's ingredients out of a tree: `dvc.yaml`, params, code, pointers, contracts, lock."""

from __future__ import annotations

import graphlib
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Protocol

from mergeline.core.declare.pointer import parse_pointer
from mergeline.core.declare.stages import DeclaredStage, place, read_dvc_yaml
from mergeline.core.declare.strict import did_you_mean, parse_yaml
from mergeline.core.fingerprint.ingredients import SNAPSHOT_FILE, Ingredients, Stage, TableInput
from mergeline.core.fingerprint.undeclared_code import refuse_undeclared_code
from mergeline.errors import DeclarationError

LOCK_FILES = (
    "uv.lock", "poetry.lock", "pdm.lock", "requirements.txt", "pylock.toml", "Pipfile.lock",
    "pixi.lock", "conda-lock.yml",
)  # fmt: skip
_NAMED_LOCK = re.compile(r"pylock\.[^./]+\.toml")  # PEP 751


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


def read_ingredients(
    files: Files, stage: str, snapshots: Mapping[str, TableInput], *, outputs: str
) -> Ingredients:
    """The ingredients of the model that `stage` is the last stage of.

    Args:
        files: the tree.
        stage: a stage of its `dvc.yaml`; the stages before it are found by their outputs.
        snapshots: what determines the snapshot of each declared table of the tree.
        outputs: folder that the model and its holdout are taken from.

    Raises:
        DeclarationError: `dvc.yaml` or a params file cannot be read as it stands, a dependency is
            neither in Git nor made by a stage, or code is imported that no dependency names.
    """
    declared = read_dvc_yaml(files.read("dvc.yaml"))
    if stage not in declared:
        raise DeclarationError(
            f"no stage {stage!r} ({did_you_mean(stage, sorted(declared))})",
            where="dvc.yaml",
            next_step="Correct `stage` in the model's declaration",
        )
    needed = _closure(declared, stage)
    stages = tuple(_stage(files, declared[name], declared, snapshots) for name in needed)
    used = {table for one in stages for table in one.tables}
    locks = [path for path in files.list() if _is_lock(path)]
    lock = {path: blob for path in locks if (blob := files.blob(path)) is not None}
    return Ingredients(stages, {t: snapshots[t] for t in sorted(used)}, lock, place(outputs))


def _is_lock(path: str) -> bool:
    return path in LOCK_FILES or _NAMED_LOCK.fullmatch(path) is not None


def _closure(declared: Mapping[str, DeclaredStage], last: str) -> list[str]:
    """Names of `last` and the stages before it, in the order they run; ties by name."""
    graph: dict[str, set[str]] = {}
    waiting = [last]
    while waiting:
        name = waiting.pop()
        if name not in graph:
            graph[name] = set(_upstream(declared[name], declared))
            waiting.extend(graph[name])
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise DeclarationError(
            f"stages wait for each other: {error.args[1]}", where="dvc.yaml"
        ) from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def _upstream(stage: DeclaredStage, declared: Mapping[str, DeclaredStage]) -> list[str]:
    return [
        other.name
        for other in declared.values()
        if any(_overlap(dep, out) for dep in stage.deps for out in other.outs)
    ]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _stage(
    files: Files,
    stage: DeclaredStage,
    declared: Mapping[str, DeclaredStage],
    snapshots: Mapping[str, TableInput],
) -> Stage:
    code: dict[str, str] = {}
    data: dict[str, str] = {}
    made = [out for other in declared.values() for out in other.outs]
    for dep in stage.deps:
        inside = {path: blob for path in files.list(dep) if (blob := files.blob(path))}
        pointer = files.read(f"{dep}.dvc")
        if pointer is not None:
            data[dep] = parse_pointer(f"{dep}.dvc", pointer).md5
        elif inside:
            code.update({path: _regular(files, stage, path, inside[path]) for path in inside})
        elif not any(_overlap(dep, out) for out in made):
            raise DeclarationError(
                f"stage {stage.name} depends on {dep}, which is neither in Git nor made by a stage",
                where="dvc.yaml",
                next_step="Add the file to Git, or correct the path",
            )
    refuse_undeclared_code(files, stage, code)
    tables = _tables(stage, snapshots)
    params = _params(files, stage)
    after = tuple(sorted(_upstream(stage, declared)))
    return Stage(stage.name, stage.command, params, code, data, tables, after)


def _regular(files: Files, stage: DeclaredStage, path: str, blob: str) -> str:
    """The content's name, of a file that has content of its own and a name that can be written."""
    if files.is_link(path):
        raise DeclarationError(
            f"stage {stage.name} depends on {path}, which is a link: what it leads to is not seen",
            where="dvc.yaml",
            next_step="List the file itself, or put a copy there",
        )
    written = path.encode(errors="backslashreplace").decode()
    if written != path:
        raise DeclarationError(
            f"stage {stage.name} depends on {written}, whose name is not UTF-8",
            where="dvc.yaml",
            next_step="Rename the file",
        )
    return blob


def _tables(stage: DeclaredStage, snapshots: Mapping[str, TableInput]) -> tuple[str, ...]:
    names = [
        PurePosixPath(path).name.removesuffix(SNAPSHOT_FILE)
        for path in (*stage.deps, *stage.outs)
        if path.endswith(SNAPSHOT_FILE)
    ]
    for name in names:
        if name not in snapshots:
            raise DeclarationError(
                f"stage {stage.name} uses table {name!r}, which no contract declares "
                f"({did_you_mean(name, sorted(snapshots))})",
                where="dvc.yaml",
                next_step=f"Write data/{name}.yaml",
            )
    return tuple(sorted(set(names)))


def _params(files: Files, stage: DeclaredStage) -> dict[str, Any]:
    found: dict[str, Any] = {}
    keys = list(stage.params)
    if stage.templated:
        keys.append(("params.yaml", None))  # a template may read any of them
    for path, dotted in keys:
        text = files.read(path)
        if text is None:
            raise DeclarationError(
                f"stage {stage.name} reads {path}, which is not in the tree", where="dvc.yaml"
            )
        document = parse_yaml(text, where=path)
        if dotted is None:
            for name, value in document.items():
                _flatten(f"{path}: {_step(name)}", value, found)
        else:
            _flatten(f"{path}: {dotted}", _look_up(document, dotted, path, stage.name), found)
    return found


def _look_up(document: Mapping[str, Any], dotted: str, path: str, stage: str) -> Any:  # noqa: ANN401
    value: Any = document
    for part in dotted.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = sorted(map(str, value)) if isinstance(value, Mapping) else []
            raise DeclarationError(
                f"no {dotted!r}, which stage {stage} reads ({did_you_mean(part, known)})",
                where=path,
                next_step="Add it, or correct the stage's params in dvc.yaml",
            )
        value = value[part]
    return value


def _flatten(key: str, value: Any, into: dict[str, Any]) -> None:  # noqa: ANN401 - parsed YAML
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{_step(name)}", inner, into)
    else:
        into[key] = _plain(value)


def _step(name: Any) -> str:  # noqa: ANN401 - parsed YAML
    """A key as a part of a dotted one: its own dots are escaped."""
    return str(_key(name)).replace("\\", "\\\\").replace(".", "\\.")


def _plain(value: Any) -> Any:  # noqa: ANN401 - parsed YAML
    """The value as JSON has it, which a bundle is written in.

    What JSON does not know is a text that begins with the YAML tag of its type, so that no two
    values become one; a text that begins so itself gets the tag of a text.
    """
    if isinstance(value, Mapping):
        return {_key(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, set):
        return ["!!set", *sorted((_plain(inner) for inner in value), key=repr)]
    if isinstance(value, tuple):
        return ["!!pair", *map(_plain, value)]
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return f"!!str {value}" if value.startswith("!!") else value
    finite = isinstance(value, float) and math.isfinite(value)
    known = value is None or isinstance(value, bool | int) or finite
    return value if known else f"!!{type(value).__name__} {value}"


def _key(name: Any) -> str:  # noqa: ANN401 - parsed YAML
    if isinstance(name, str):
        return str(_plain(name))
    return f"!!{type(name).__name__} {name}"
