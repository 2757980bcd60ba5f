"""Look at what a repository has, before it is a project of mergeline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from mergeline.adapters.git.repository import Repository
from mergeline.core.begin.found import DataFile, Forge, Found, Manager
from mergeline.core.begin.scripts import Script, read_script
from mergeline.core.declare.stages import DVC_YAML
from mergeline.core.declare.strict import parse_yaml
from mergeline.errors import DeclarationError, RepositoryError

_DATA = re.compile(r"\.(csv|tsv|jsonl|ndjson)(\.gz|\.zip)?$|\.parquet$", re.IGNORECASE)
_FOREIGN = re.compile(r"\.(xlsx|xls|ods|xml)$", re.IGNORECASE)
_SKIPPED = {"node_modules", "venv", "env", "build", "dist", "__pycache__", "site-packages"}
_MOST_FILES = 50_000
_MOST_CODE = 200_000  # bytes of a script that is read
_HEADER = 1 << 16
_NEEDS = ("pyproject.toml", "requirements.txt", "environment.yml", "environment.yaml", "pixi.toml")
_OWN = re.compile(
    r"(data|models)/[^/]+\.yaml|[^/]+\.(yaml|py|json)|\.(gitignore|dvcignore)|\.dvc/(config|\.gitignore)"
    r"|\.(github|gitea)/workflows/[^/]+"
)


def repository_at(path: Path) -> Repository:
    """The repository that is to become a project.

    Raises:
        RepositoryError: there is none.
    """
    try:
        return Repository.at(path)
    except RepositoryError as error:
        next_step = "Make one: git init; or begin with an example: mergeline init --example binary"
        raise RepositoryError(error.message, where=error.where, next_step=next_step) from error


def survey(repository: Repository) -> Found:
    """What a repository has.

    Raises:
        DeclarationError: its `dvc.yaml` or `params.yaml` cannot be read as it stands.
    """
    root = repository.root
    paths = sorted(_walk(root))
    named = {path for path in paths if _OWN.fullmatch(path)}
    contents = {path: (root / path).read_bytes() for path in named if _is_small(root / path)}
    stages, outs = _stages(contents.get(DVC_YAML, b""))
    sections = parse_yaml(contents.get("params.yaml", b""), where="params.yaml")
    config = contents.get(".dvc/config", b"").decode(errors="replace")
    return Found(
        version=version("mergeline"),
        pin=_pin(),
        branch=repository.branch() or "main",
        forge=_forge(repository.remote_url()),
        manager=_manager(paths),
        files=contents,
        data=_data(repository, paths),
        foreign=tuple(path for path in paths if _FOREIGN.search(path)),
        models=tuple(path for path in paths if re.fullmatch(r"models/[^/]+\.yaml", path)),
        contracts=tuple(path for path in paths if re.fullmatch(r"data/[^/]+\.yaml", path)),
        stages=frozenset(stages),
        outs=frozenset(outs),
        params=frozenset(sections),
        pointers=frozenset(path for path in paths if path.endswith(".dvc")),
        paths=frozenset(paths),
        scripts=_scripts(root, paths),
        has_dvc=(root / ".dvc").is_dir(),
        has_remote=bool(re.search(r"^\s*remote\s*=", config, flags=re.MULTILINE)),
        needs_mergeline=not any(_names_mergeline(root / path) for path in _NEEDS),
        dirty=len(repository.git("status", "--porcelain", "--untracked-files=no").splitlines()),
    )


def _walk(root: Path) -> Iterator[str]:
    """Files of the project, without environments, caches and what begins with a point."""
    for path in (
        *root.glob(".dvc/*"),
        *root.glob(".*ignore"),
        *root.glob(".git[h-z]*/workflows/*"),
    ):
        if path.is_file():
            yield path.relative_to(root).as_posix()
    if (record := root / ".mergeline-init.json").is_file():
        yield record.name
    count = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not (Path(folder) / name / "pyvenv.cfg").exists()
        )
        for name in files:
            count += 1
            if count > _MOST_FILES:
                return
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size < _MOST_CODE * 5


def _stages(text: bytes) -> tuple[list[str], list[str]]:
    """Names of the stages, and all that they leave.

    Raises:
        DeclarationError: it is no `dvc.yaml`.
    """
    stages: Any = parse_yaml(text, where=DVC_YAML).get("stages", {}) if text.strip() else {}
    if not isinstance(stages, dict):
        raise DeclarationError("`stages` is no mapping", where=DVC_YAML, next_step="Correct it")
    outs = [
        path
        for stage in stages.values()
        if isinstance(stage, dict)
        for out in stage.get("outs") or []
        for path in (out if isinstance(out, dict) else [out])
    ]
    return [*map(str, stages)], [*map(str, outs)]


def _data(repository: Repository, paths: Sequence[str]) -> tuple[DataFile, ...]:
    root = repository.root
    named = [path for path in paths if _DATA.search(path)]
    tracked = set(repository.git("ls-files", "--", *named).splitlines()) if named else set()
    folders: dict[Path, list[str]] = {}
    for path in named:
        folders.setdefault(Path(path).parent, []).append(path)
    found = []
    for together in folders.values():
        forms = {(_header(root / path), *Path(path).suffixes) for path in together}
        are_drops = len(forms) == 1 and all(header for header, *_ in forms)
        for path in together:
            drops = tuple(together) if are_drops else (path,)
            size = (root / path).stat().st_size
            found.append(DataFile(path, size, drops, is_tracked=path in tracked))
    return tuple(sorted(found, key=lambda each: (-each.size, each.path)))


def _header(path: Path) -> bytes:
    """The first line of a plain text; empty for any other file."""
    if path.suffix.lower() not in {".csv", ".tsv"}:
        return b""
    with path.open("rb") as stream:
        return stream.readline(_HEADER).strip()


def _scripts(root: Path, paths: Sequence[str]) -> dict[str, Script]:
    """Scripts that fit something, and what they say."""
    scripts = {}
    for path in paths:
        if path.endswith(".py") and (root / path).stat().st_size < _MOST_CODE:
            text = (root / path).read_text(encoding="utf-8", errors="replace")
            if ".fit(" in text and "mergeline.save" not in text:
                scripts[path] = read_script(text)
    return scripts


def _forge(url: str | None) -> Forge:
    if url is None:
        return "none"
    host = re.sub(r"^\w+://|^[^@/]+@", "", url).partition("/")[0].partition(":")[0].lower()
    if "gitea" in host or "forgejo" in host or host == "codeberg.org":
        return "gitea"
    return "github" if host == "github.com" else "enterprise" if "github" in host else "other"


def _manager(paths: Sequence[str]) -> Manager:
    by_file: dict[str, Manager] = {
        "uv.lock": "uv", "poetry.lock": "poetry", "pixi.lock": "pixi", "pixi.toml": "pixi",
        "environment.yml": "conda", "environment.yaml": "conda", "requirements.txt": "pip",
        "pyproject.toml": "uv",
    }  # fmt: skip
    return next((manager for name, manager in by_file.items() if name in paths), "none")


def _names_mergeline(path: Path) -> bool:
    return path.is_file() and "mergeline" in path.read_text(encoding="utf-8", errors="replace")


def _pin() -> str:
    """The commit that mergeline was installed from, if pip was told of one, else its tag."""
    try:
        told = json.loads(distribution("mergeline").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    commit = told.get("vcs_info", {}).get("commit_id", "")
    return commit or f"v{version('mergeline')}"
