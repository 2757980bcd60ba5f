"""Read a model's ingredients out of a tree: `dvc.yaml`, params, code, pointers, contracts, lock."""

from __future__ import annotations

import graphlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from mergeline.core.declare.model import DECISION
from mergeline.core.declare.pointer import parse_pointer
from mergeline.core.declare.stages import DVC_YAML, DeclaredStage, Dvc, place, read_dvc_yaml
from mergeline.core.declare.strict import did_you_mean, parse_yaml
from mergeline.core.fingerprint.ingredients import SNAPSHOT_FILE, Ingredients, Stage, TableInput
from mergeline.core.fingerprint.undeclared_code import Files, refuse_undeclared_code
from mergeline.errors import DeclarationError

# Files that pin or name the packages that stages run with; the third is of PEP 751.
_LOCK = re.compile(
    r"(?:(?P<folder>.*)/)?(?:"
    r"(uv|poetry|pdm|pixi|Pipfile)\.lock|conda-lock\.ya?ml|pylock(\.[^./]+)?\.toml"
    r"|environment([-_.][^/]*)?\.ya?ml|requirements([-_.][^/]*)?\.txt|requirements/[^/]+\.txt)"
)
_STAND_INS = {
    b"version https://git-lfs": "Git LFS",
    b"\0GITCRYPT": "git-crypt",
    b"#$# git-fat ": "git-fat",
    b"U2FsdGVkX1": "transcrypt",  # `Salted__`, as openssl begins, in base64
}
_NOT_YAML = (".toml", ".json", ".py")  # of params files; DVC reads all others as YAML


class IngredientReader:
    """Reads the ingredients of the models of one tree; what models share is read once."""

    def __init__(self, files: Files, snapshots: Mapping[str, TableInput], dvc: Dvc) -> None:
        """Take a tree, and what determines the snapshot of each table that it declares."""
        self._files = files
        self._dvc = dvc
        self._snapshots = snapshots
        self._stages: dict[str, Stage] = {}
        self._documents: dict[str, Mapping[str, Any]] = {}

    def read(self, stage: str, *, outputs: str, decision: float = DECISION) -> Ingredients:
        """The ingredients of the model that `stage` is the last stage of.

        The stages before it are found by their outputs; `outputs` is the folder that the model and
        its holdout are taken from, `decision` the probability from which it says yes.

        Raises:
            DeclarationError: `dvc.yaml` or a params file cannot be read as it stands, a dependency
                is neither in Git nor made by a stage, or code is imported that no dependency names.
        """
        if stage not in self._declared:
            raise DeclarationError(
                f"no stage {stage!r} ({did_you_mean(stage, sorted(self._declared))})",
                where=DVC_YAML,
                next_step="Correct `stage` in the model's declaration",
            )
        names = self._in_order(stage)
        folder = place(outputs)
        if folder and self._makers_of(folder).isdisjoint(names):
            raise DeclarationError(
                f"no stage leaves anything in {folder}, from which the model is taken",
                where=DVC_YAML,
                next_step="Correct `outputs` in the model's declaration, or the outs of the stages",
            )
        stages = tuple(self._stage(name) for name in names)
        used = sorted({table for each in stages for table in each.tables})
        snapshots = {table: self._snapshots[table] for table in used}
        return Ingredients(stages, snapshots, self._lock(stages), folder, decision)

    @cached_property
    def _declared(self) -> Mapping[str, DeclaredStage]:
        files = self._files
        others = [path for path in files.list() if path.endswith(f"/{DVC_YAML}")]
        declared = read_dvc_yaml(files.read(DVC_YAML), self._dvc) if not others else {}
        if others:
            ignored = self._dvc.ignored([DVC_YAML, *others])
            for path in (DVC_YAML, *others):
                if path not in ignored and files.blob(path) is not None:
                    declared |= read_dvc_yaml(files.read(path), self._dvc, path)
        deps = sorted({dep for stage in declared.values() for dep in stage.deps})
        code = [path for dep in deps for path in files.list(dep) if path.endswith(".py")]
        files.read_ahead([*code, *(f"{dep}.dvc" for dep in deps)])
        return declared

    def _lock(self, stages: Sequence[Stage]) -> Mapping[str, str]:
        """Digests of the lock files at the root, and in the folders around the stages' code."""
        around = {folder for stage in stages for path in stage.code for folder in _around(path)}
        return {path: blob for path, folder, blob in self._locks if folder in {"", *around}}

    @cached_property
    def _locks(self) -> Sequence[tuple[str, str, str]]:
        """Path, folder and digest of every lock file of the tree."""
        matches = filter(None, map(_LOCK.fullmatch, self._files.list()))
        return [
            (match[0], match["folder"] or "", blob)
            for match in matches
            if (blob := self._files.blob(match[0])) is not None
        ]

    @cached_property
    def _filters(self) -> bool:
        """Whether the tree says that git filters the content of some of its files."""
        paths = [path for path in self._files.list() if path.endswith(".gitattributes")]
        return any(b"filter=" in (self._files.read(path) or b"") for path in paths)

    @cached_property
    def _makers(self) -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
        """Names of the stages by the paths that they make, and by the folders around those."""
        of_path: defaultdict[str, set[str]] = defaultdict(set)
        of_folder: defaultdict[str, set[str]] = defaultdict(set)
        for stage in self._declared.values():
            if stage.is_frozen and all(map(self._files.list, stage.outs)):
                continue  # its results are in Git, and count as files there
            for out in stage.outs:
                of_path[out].add(stage.name)
                for folder in _around(out):
                    of_folder[folder].add(stage.name)
        return dict(of_path), dict(of_folder)

    def _makers_of(self, dep: str) -> set[str]:
        """Names of the stages that make a path, something in it, or a folder around it."""
        of_path, of_folder = self._makers
        around = (of_path.get(path, set()) for path in (dep, *_around(dep)))
        return of_folder.get(dep, set()).union(*around)

    def _before(self, stage: DeclaredStage) -> set[str]:
        """Names of the stages whose outputs a stage depends on."""
        return set[str]().union(*map(self._makers_of, stage.deps))

    def _in_order(self, last: str) -> list[str]:
        """Names of `last` and the stages before it, in the order they run; ties by name."""
        graph: dict[str, set[str]] = {}
        waiting = [last]
        while waiting:
            name = waiting.pop()
            if name not in graph:
                graph[name] = self._before(self._declared[name])
                waiting.extend(graph[name])
        sorter = graphlib.TopologicalSorter(graph)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise DeclarationError(
                f"stages wait for each other: {error.args[1]}", where=DVC_YAML
            ) from error
        order: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
        return order

    def _stage(self, name: str) -> Stage:
        if name not in self._stages:
            self._stages[name] = self._read_stage(self._declared[name])
        return self._stages[name]

    def _read_stage(self, stage: DeclaredStage) -> Stage:
        if stage.is_frozen:
            raise DeclarationError(
                f"stage {stage.name} is frozen: DVC does not run it, and its results are not in "
                "the Git tree",
                where=stage.where,
                next_step="Take `frozen` away, commit its results (`cache: false`), or track them "
                "with `dvc add` in place of the stage",
            )
        files = self._files
        code: dict[str, str] = {}
        data: dict[str, str] = {}
        for dep in stage.deps:
            inside = {path: blob for path in files.list(dep) if (blob := files.blob(path))}
            pointer = files.read(f"{dep}.dvc")
            if pointer is not None:
                data[dep] = parse_pointer(f"{dep}.dvc", pointer).md5
            elif inside:
                for path in inside:
                    _refuse_unreadable(files, stage, path, filters=self._filters)
                code |= inside
            elif not self._makers_of(dep):
                raise DeclarationError(
                    f"stage {stage.name} depends on {dep}, which is neither in Git nor made by a "
                    "stage",
                    where=stage.where,
                    next_step=_where_it_comes_from(dep),
                )
        refuse_undeclared_code(files, stage, code)
        return Stage(
            name=stage.name,
            command=stage.command,
            folder=stage.folder,
            params=self._params(stage),
            code=code,
            data=data,
            tables=_tables(stage, self._snapshots),
            after=tuple(sorted(self._before(stage))),
        )

    def _params(self, stage: DeclaredStage) -> dict[str, Any]:
        """Effective values of the params that a stage reads, by `file: dotted.key`."""
        params: dict[str, Any] = {}
        for path, dotted in stage.params:
            document = self._document(path, stage)
            if dotted is None:
                for name, value in document.items():
                    _flatten(f"{path}: {_step(name)}", value, params)
            else:
                value = _look_up(document, dotted, path, stage)
                _flatten(f"{path}: {dotted}", value, params)
        return params

    def _document(self, path: str, stage: DeclaredStage) -> Mapping[str, Any]:
        if path not in self._documents:
            text = self._files.read(path)
            if text is None:
                raise DeclarationError(
                    f"stage {stage.name} reads {path}, which is not in the tree", where=stage.where
                )
            not_yaml = path.lower().endswith(_NOT_YAML)
            read = self._dvc.params(text, path) if not_yaml else parse_yaml(text, where=path)
            self._documents[path] = read
        return self._documents[path]


def _where_it_comes_from(dep: str) -> str:
    if not dep.endswith(SNAPSHOT_FILE):
        return "Add the file to Git, or correct the path"
    outs = f"outs: [{dep}: {{cache: false}}]"
    stage = f"snapshot: {{cmd: mergeline snapshot, always_changed: true, {outs}}}"
    return f"Add a stage that makes it: {stage}"


def _around(path: str) -> list[str]:
    """The folders that a path lies in, outermost first."""
    return [path[:at] for at, character in enumerate(path) if character == "/"]


def _refuse_unreadable(files: Files, stage: DeclaredStage, path: str, *, filters: bool) -> None:
    """Refuse a file without content of its own, or whose name cannot be written."""
    if files.is_link(path):
        raise DeclarationError(
            f"stage {stage.name} depends on {path}, which is a link: what it leads to is not seen",
            where=stage.where,
            next_step="List the file itself, or put a copy there",
        )
    written = path.encode(errors="backslashreplace").decode()
    if written != path:
        raise DeclarationError(
            f"stage {stage.name} depends on {written}, whose name is not UTF-8",
            where=stage.where,
            next_step="Rename the file",
        )
    for start, who in _STAND_INS.items() if filters else ():
        if (files.read(path) or b"").startswith(start):
            raise DeclarationError(
                f"stage {stage.name} depends on {path}, of which Git holds what {who} put in its "
                "place: stages would see that",
                where=stage.where,
                next_step=f"Track it with DVC (git rm --cached {path}; dvc add {path}), "
                "or keep the file itself in Git",
            )


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
                where=stage.where,
                next_step=f"Write data/{name}.yaml",
            )
    return tuple(sorted(set(names)))


def _look_up(document: Mapping[str, Any], dotted: str, path: str, stage: DeclaredStage) -> Any:  # noqa: ANN401 - parsed YAML
    value: Any = document
    for part in dotted.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = sorted(map(str, value)) if isinstance(value, Mapping) else []
            raise DeclarationError(
                f"no {dotted!r}, which stage {stage.name} reads ({did_you_mean(part, known)})",
                where=path,
                next_step=f"Add it, or correct the stage's params in {stage.where}",
            )
        value = value[part]
    return value


def _flatten(key: str, value: Any, into: dict[str, Any]) -> None:  # noqa: ANN401 - parsed YAML
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{_step(name)}", inner, into)
    else:
        into[key] = _as_json(value)


def _step(name: Any) -> str:  # noqa: ANN401 - parsed YAML
    """A key as a part of a dotted one: its own dots are escaped."""
    return str(_key(name)).replace("\\", "\\\\").replace(".", "\\.")


def _as_json(value: Any) -> Any:  # noqa: ANN401 - parsed YAML
    """The value as JSON has it, which a bundle is written in.

    What JSON does not know is a text that begins with the YAML tag of its type, so that no two
    values become one; a text that begins so itself gets the tag of a text.
    """
    if isinstance(value, Mapping):
        return {_key(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, set):
        return ["!!set", *sorted((_as_json(inner) for inner in value), key=repr)]
    if isinstance(value, tuple):
        return ["!!pair", *map(_as_json, value)]
    if isinstance(value, list):
        return [_as_json(inner) for inner in value]
    if isinstance(value, str):
        return f"!!str {value}" if value.startswith("!!") else value
    finite = isinstance(value, float) and math.isfinite(value)
    known = value is None or isinstance(value, bool | int) or finite
    return value if known else f"!!{type(value).__name__} {value}"


def _key(name: Any) -> str:  # noqa: ANN401 - parsed YAML
    if isinstance(name, str):
        return str(_as_json(name))
    return f"!!{type(name).__name__} {name}"
