"""A Git repository with DVC and one table, where drops are a few lines of sales."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mergeline.adapters.delta.tables import Tables
from mergeline.core.data.snapshot import Built
from mergeline.core.release.bundle import Origin
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import build_snapshots

CONTRACT = """\
source: data/raw/sales
format: csv
key: [id]
columns:
  id: {type: int64}
  shop: {type: string, nullable: true}
  amount: {type: float64, nullable: true, min: 0}
  big: {type: bool}
"""


def md5(content: bytes) -> str:
    """The name of a content in DVC's cache."""
    return hashlib.md5(content).hexdigest()


class Shop:
    """A Git repository with DVC and one table, `sales`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root.parent / "state"

    @property
    def tables(self) -> Tables:
        """The tables of the state folder."""
        return Tables(self.state / "tables")

    def git(self, *arguments: str) -> str:
        """What one git command prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str = "change") -> str:
        """Commit all changes; the commit's name."""
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def store(self, content: bytes, suffix: str = "") -> str:
        """Put content into DVC's cache, as `dvc add` does; its md5."""
        name = md5(content) + suffix
        path = self.root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def point(self, path: str, name: str) -> None:
        """Write the pointer of `path`."""
        pointer = self.root / f"{path}.dvc"
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(f"outs:\n- md5: {name}\n  hash: md5\n  path: {Path(path).name}\n")

    def add(self, month: str, *, rows: int = 5, first: int | None = None, more: str = "") -> str:
        """A month's drop with its pointer; its md5."""
        name = self.store(sales(month, rows=rows, first=first, more=more))
        self.point(f"data/raw/sales/{month}.csv", name)
        return name

    def add_folder(self, contents: Mapping[str, bytes]) -> str:
        """One pointer for a folder of drops; its md5."""
        listing = [
            {"md5": self.store(content), "relpath": path}
            for path, content in sorted(contents.items())
        ]
        name = self.store(json.dumps(listing).encode(), ".dir")
        self.point("data/raw/sales", name)
        return name

    def build(self, revision: str | None = None) -> Built:
        """Build the snapshot of a revision, or of the working tree."""
        project = Project.at(self.root, {"MERGELINE_STATE": str(self.state)})
        tree = project.tree(revision) if revision else project.working_tree()
        origin = Origin(tree.files.sha, commit=revision, ref="main")
        [built] = build_snapshots(project, tree, origin)
        return built


def sales(month: str, *, rows: int = 5, first: int | None = None, more: str = "") -> bytes:
    """The CSV of a month, whose ids follow from it."""
    start = int(month.replace("-", "")) * 1000 if first is None else first
    lines = [
        f"{start + n},{'NWS'[n % 3]},{n * 1.5},{'true' if n % 2 else 'false'}\n"
        for n in range(rows)
    ]
    return ("id,shop,amount,big\n" + "".join(lines) + more).encode()
