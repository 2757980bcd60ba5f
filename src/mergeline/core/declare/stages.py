"""Read `dvc.yaml`: the stages that it declares."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mergeline.core.declare.strict import CORRECT, parse_yaml, refuse_unknown_keys
from mergeline.errors import DeclarationError

_STAGE_KEYS = {
    "cmd", "deps", "params", "outs", "metrics", "plots", "always_changed", "desc", "meta",
    "frozen",
}  # fmt: skip
_TOP_KEYS = {"stages", "params", "metrics", "plots", "artifacts", "datasets"}


@dataclass(frozen=True)
class DeclaredStage:
    """One stage as `dvc.yaml` has it.

    Attributes:
        params: `(file, dotted key)`; the key is None where all of a file counts.
        templated: whether `${…}` stands anywhere in it.
    """

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[tuple[str, str | None], ...]
    templated: bool


def read_dvc_yaml(text: bytes | None) -> dict[str, DeclaredStage]:
    """The stages by name.

    Raises:
        DeclarationError: there is no such file, it declares no stage, or one cannot be read as it
            stands.
    """
    if text is None:
        raise DeclarationError(
            "the project has no dvc.yaml", next_step="Declare its stages there (dvc stage add)"
        )
    document = parse_yaml(text, where="dvc.yaml")
    _check_keys(document, _TOP_KEYS)
    stages = document.get("stages")
    if not isinstance(stages, dict) or not stages:
        raise _refused("no stages are declared", "Declare them there (dvc stage add)")
    return {name: _declared(name, spec) for name, spec in stages.items()}


def place(path: str) -> str:
    """A path from the root in its shortest form; the root itself is empty."""
    normal = posixpath.normpath(path)
    return "" if normal == "." else normal


def _declared(name: Any, spec: Any) -> DeclaredStage:  # noqa: ANN401 - parsed YAML
    if not isinstance(name, str):
        raise _refused(f"stage {name!r}: a stage's name is a text", "Put it in quotes")
    if not isinstance(spec, dict) or "cmd" not in spec:
        hint = "foreach and matrix are not supported: name each stage"
        raise _refused(f"stage {name!r} has no cmd", hint)
    _check_keys(spec, _STAGE_KEYS, f"stage {name!r}: ")
    paths = {
        key: tuple(place(_path(name, key, item)) for item in _items(name, key, spec))
        for key in ("deps", "outs", "metrics", "plots")
    }
    params = [_param_keys(name, item) for item in _items(name, "params", spec)]
    return DeclaredStage(
        name,
        _command(name, spec["cmd"]),
        paths["deps"],
        (*paths["outs"], *paths["metrics"], *paths["plots"]),
        tuple(key for keys in params for key in keys),
        templated="${" in str(spec),
    )


def _check_keys(mapping: Collection[object], known: set[str], part: str = "") -> None:
    if "vars" in mapping:
        raise _refused(
            f"{part}vars are not supported: no fingerprint sees them",
            "Move them to params.yaml, which ${…} reads as well",
        )
    refuse_unknown_keys(mapping, known, where="dvc.yaml", part=part)


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - parsed YAML
    lines = command if isinstance(command, list) else [command]
    if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise _refused(f"stage {name!r}: cmd is a command, or a list of commands")
    return "\n".join(lines)


def _items(name: str, key: str, spec: dict[str, Any]) -> list[Any]:
    items = spec.get(key, [])
    if not isinstance(items, list):
        raise _refused(f"stage {name!r}: {key} is a list", "Write it in brackets, or leave it out")
    return items


def _path(name: str, key: str, item: Any) -> str:  # noqa: ANN401 - parsed YAML
    """Of a path, or of `{path: options}`."""
    path = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else item
    if not isinstance(path, str) or not path.strip():
        raise _refused(f"stage {name!r}: {item!r} under {key} is no path")
    return path


def _param_keys(name: str, item: Any) -> list[tuple[str, str | None]]:  # noqa: ANN401 - parsed YAML
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
        raise _refused(
            f"stage {name!r}: {item!r} under params is neither a key nor a file with a list of keys"
        )
    return pairs


def _refused(problem: str, next_step: str = CORRECT) -> DeclarationError:
    return DeclarationError(problem, where="dvc.yaml", next_step=next_step)
