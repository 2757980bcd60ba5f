"""Read `dvc.yaml`: the stages that it declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mergeline.core.declare.strict import did_you_mean, parse_yaml
from mergeline.errors import DeclarationError

_STAGE_KEYS = {
    "cmd", "deps", "params", "outs", "metrics", "plots", "always_changed", "desc", "meta",
    "frozen",
}  # fmt: skip
_TOP_KEYS = {"stages", "params", "metrics", "plots", "artifacts", "datasets", "vars"}


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
    if "vars" in document:
        raise _refused("vars are not supported: no fingerprint sees them", _INSTEAD_OF_VARS)
    for key in document:
        if key not in _TOP_KEYS:
            raise _refused(f"unknown key {key!r} ({did_you_mean(key, sorted(_TOP_KEYS))})")
    stages = document.get("stages")
    if not isinstance(stages, dict) or not stages:
        raise _refused("no stages are declared", "Declare them there (dvc stage add)")
    return {name: _declared(name, spec) for name, spec in stages.items()}


_INSTEAD_OF_VARS = "Move them to params.yaml, which ${…} reads as well"


def place(path: str) -> str:
    """A path from the root without `.` and, as far as it stays inside, `..`."""
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _declared(name: Any, spec: Any) -> DeclaredStage:  # noqa: ANN401 - parsed YAML
    if not isinstance(name, str):
        raise _refused(f"stage {name!r}: a stage's name is a text", "Put it in quotes")
    if not isinstance(spec, dict) or "cmd" not in spec:
        hint = "foreach and matrix are not supported: name each stage"
        raise _refused(f"stage {name!r} has no cmd", hint)
    for key in spec:
        if key == "vars":
            said = f"stage {name!r}: vars are not supported: no fingerprint sees them"
            raise _refused(said, _INSTEAD_OF_VARS)
        if key not in _STAGE_KEYS:
            near = did_you_mean(str(key), sorted(_STAGE_KEYS))
            raise _refused(f"stage {name!r}: unknown key {key!r} ({near})")
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


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - parsed YAML
    lines = command if isinstance(command, list) else [command]
    if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise _refused(f"stage {name!r}: cmd is a command, or a list of commands")
    return "\n".join(lines)


def _items(name: str, key: str, spec: dict[str, Any]) -> list[Any]:
    items = spec.get(key, [])
    if not isinstance(items, list):
        hint = (
            f"Write {key}: [{items}]" if isinstance(items, str) else "Correct it, or leave it out"
        )
        raise _refused(f"stage {name!r}: {key} is a list", hint)
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
    found: list[tuple[str, str | None]] = []
    for path, keys in files.items():
        listed = isinstance(keys, list) and all(isinstance(key, str) and key for key in keys)
        if not isinstance(path, str) or not (keys is None or listed):
            break
        found += [(path, key) for key in keys or [None]]
    else:
        if files:
            return found
    said = f"stage {name!r}: {item!r} under params is neither a key nor a file with a list of keys"
    raise _refused(said)


def _refused(said: str, next_step: str = "Correct it and run again") -> DeclarationError:
    return DeclarationError(said, where="dvc.yaml", next_step=next_step)
