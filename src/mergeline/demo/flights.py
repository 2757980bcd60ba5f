"""The reference project as the author begins it, and its drops of a month."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mergeline.adapters.git.repository import Repository
from mergeline.adapters.git.tree import Tree
from mergeline.errors import InputError

MODEL = "delay"
# What a project of its own has of the reference project's repository.
_PARTS = (
    ".dvc", ".dvcignore", ".gitignore", "data", "dvc.yaml", "models", "params.yaml", "pipelines",
    "pyproject.toml", "uv.lock",
)  # fmt: skip
_DVC_CONFIG = """\
[core]
    analytics = false
    remote = storage
['remote "storage"']
    url = ../../dvc-remote
"""


def reference_project(here: Path) -> Tree:
    """The reference project's files in the clone of mergeline that `here` lies in.

    Raises:
        InputError: `here` is not in a clone of the reference project.
    """
    tree = Repository.at(here).working_tree()
    if tree.blob("models/delay.yaml") is None or tree.blob("data/drops.py") is None:
        raise InputError(
            "the demo plays the reference project, which is not here",
            where=str(here),
            next_step="Run it in a clone of mergeline",
        )
    return tree


def write_files(tree: Tree, root: Path) -> None:
    """Put the reference project's files into a folder, with a DVC remote beside the folder."""
    for path in tree.list():
        if path.startswith(tuple(f"{part}/" for part in _PARTS)) or path in _PARTS:
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(tree.read(path) or b"")
    (root / ".dvc" / "config").write_text(_DVC_CONFIG, encoding="utf-8")


def add_drops(root: Path, months: range) -> None:
    """Make the drops of months of 2013, add them to DVC, and push them to its remote."""
    span = f"2013-{months[0]:02}:2013-{months[-1]:02}"
    _run([sys.executable, "data/drops.py", "--months", span], root)
    drops = [f"data/raw/{t}/2013-{m:02}.csv" for t in ("flights", "weather") for m in months]
    _run([sys.executable, "-m", "dvc", "add", "--quiet", *drops], root)
    _run([sys.executable, "-m", "dvc", "push", "--quiet", *(f"{d}.dvc" for d in drops)], root)


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        printed = (done.stderr or done.stdout).strip().splitlines()
        raise InputError(f"{' '.join(command[1:3])}: {printed[-1] if printed else 'failed'}")
