"""Read `dvc.yaml`: the stages that it declares.

DVC itself resolves templates, `foreach`, `matrix` and `vars` (`Dvc.resolve`); only a file that has
them asks DVC, which takes a while to import.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from mergeline.core.declare.strict import CORRECT, parse_yaml, refuse_unknown_keys
from mergeline.errors import DeclarationError

DVC_YAML = "dvc.yaml"
_STAGE_KEYS = {
    "cmd", "deps", "params", "outs", "metrics", "plots", "always_changed", "desc", "meta",
    "frozen", "wdir",
}  # fmt: skip
_TOP_KEYS = {"stages", "params", "metrics", "plots", "artifacts", "datasets", "vars"}
_RESOLVED_BY_DVC = {"vars", "foreach", "matrix"}
_Refuse = Callable[..., DeclarationError]


class Dvc(Protocol):
    """How DVC reads what only DVC can read as DVC does."""

    def resolve(self, document: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
        """The stages of the `dvc.yaml` in a folder, with templates, loops and `vars` resolved.

        Raises:
            DeclarationError: DVC refuses it.
        """

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that `.dvcignore` leaves out."""

    def params(self, text: bytes, path: str) -> Mapping[str, Any]:
        """The values of a params file that is not YAML: TOML, JSON or Python.

        Raises:
            DeclarationError: it cannot be read.
        """


@dataclass(frozen=True)
class DeclaredStage:
    """One stage as a `dvc.yaml` has it; its paths are from the root of the tree.

    Attributes:
        name: as `dvc repro` takes it: of another `dvc.yaml` than the root's, with its path.
        where: the file that declares it.
        folder: where its command runs (`wdir`); empty for the root.
        params: `(file, dotted key)`; the key is None where all of a file counts.
        is_frozen: whether DVC leaves it as it is, and never runs it.
    """

    name: str
    where: str
    folder: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[tuple[str, str | None], ...]
    is_frozen: bool = False


def read_dvc_yaml(text: bytes | None, dvc: Dvc, where: str = DVC_YAML) -> dict[str, DeclaredStage]:
    """The stages by name.

    Raises:
        DeclarationError: there is no such file, it declares no stage, or one cannot be read as it
            stands.
    """
    if text is None:
        raise DeclarationError(
            f"the project has no {where}", next_step="Declare its stages there (dvc stage add)"
        )
    document = parse_yaml(text, where=where)
    refuse_unknown_keys(document, _TOP_KEYS, where=where)
    stages = document.get("stages")
    refused = partial(_refused, where)
    if not isinstance(stages, dict) or not stages:
        raise refused("no stages are declared", "Declare them there (dvc stage add)")
    for name in stages:
        if not isinstance(name, str):
            raise refused(f"stage {name!r}: a stage's name is a text", "Put it in quotes")
    folder = posixpath.dirname(where)
    if "vars" in document or any(map(_needs_dvc, stages.values())):
        stages = dvc.resolve(document, folder)
    prefix = "" if where == DVC_YAML else f"{where}:"
    declared = (_declared(prefix + name, where, spec) for name, spec in stages.items())
    return {stage.name: stage for stage in declared}


def place(path: str, folder: str = "") -> str:
    """A path, seen from a folder, in its shortest form from the root; the root itself is empty."""
    normal = posixpath.normpath(posixpath.join(folder, path))
    return "" if normal == "." else normal


def _needs_dvc(spec: object) -> bool:
    return isinstance(spec, dict) and (not _RESOLVED_BY_DVC.isdisjoint(spec) or "${" in str(spec))


def _declared(name: str, where: str, spec: Any) -> DeclaredStage:  # noqa: ANN401 - parsed YAML
    refused = partial(_refused, where)
    if not isinstance(spec, dict) or "cmd" not in spec:
        raise refused(f"stage {name!r} has no cmd")
    refuse_unknown_keys(spec, _STAGE_KEYS, where=where, part=f"stage {name!r}: ")
    folder = place(_path(refused, name, "wdir", spec.get("wdir", ".")), posixpath.dirname(where))
    paths = {
        key: tuple(
            place(_path(refused, name, key, item), folder)
            for item in _items(refused, name, key, spec)
        )
        for key in ("deps", "outs", "metrics", "plots")
    }
    keys = [
        (place(path, folder), key)
        for item in _items(refused, name, "params", spec)
        for path, key in _param_keys(refused, name, item)
    ]
    return DeclaredStage(
        name,
        where,
        folder,
        _command(refused, name, spec["cmd"]),
        paths["deps"],
        (*paths["outs"], *paths["metrics"], *paths["plots"]),
        tuple(keys),
        is_frozen=bool(spec.get("frozen")),
    )


def _command(refused: _Refuse, name: str, command: Any) -> str:  # noqa: ANN401 - parsed YAML
    lines = command if isinstance(command, list) else [command]
    if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise refused(f"stage {name!r}: cmd is a command, or a list of commands")
    return "\n".join(lines)


def _items(refused: _Refuse, name: str, key: str, spec: dict[str, Any]) -> list[Any]:
    items = spec.get(key, [])
    if not isinstance(items, list):
        raise refused(f"stage {name!r}: {key} is a list", "Write it in brackets, or leave it out")
    return items


def _path(refused: _Refuse, name: str, key: str, item: Any) -> str:  # noqa: ANN401 - parsed YAML
    """Of a path, or of `{path: options}`."""
    path = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else item
    if not isinstance(path, str) or not path.strip():
        raise refused(f"stage {name!r}: {item!r} under {key} is no path")
    return path


def _param_keys(refused: _Refuse, name: str, item: Any) -> list[tuple[str, str | None]]:  # noqa: ANN401
    """Of a key of params.yaml, or of `{file: [keys]}`."""
    files = item if isinstance(item, dict) else {"params.yaml": [item]}
    pairs: list[tuple[str, str | None]] = []
    for path, keys in files.items():
        listed = isinstance(keys, list) and all(isinstance(key, str) and key for key in keys)
        if not isinstance(path, str) or not (keys is None or listed):
            pairs = []
            break
        pairs += [(path, key) for key in keys or [None]]
    if not pairs:
        raise refused(
            f"stage {name!r}: {item!r} under params is neither a key nor a file with a list of keys"
        )
    return pairs


def _refused(where: str, problem: str, next_step: str = CORRECT) -> DeclarationError:
    return DeclarationError(problem, where=where, next_step=next_step)
