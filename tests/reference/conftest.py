"""The reference project is no package of the distribution: its folder is put on the path."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def january(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference project with January's drops only, its snapshots built."""
    project = tmp_path_factory.mktemp("january")
    for name in (".dvc", "data", "pipelines", "models"):
        ignore = shutil.ignore_patterns("*.csv", "2013-0[2-9]*", "cache", "tmp", "config.local")
        shutil.copytree(ROOT / name, project / name, ignore=ignore)
    for name in (".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    python = [sys.executable, "-W", "ignore"]
    run(["git", "init", "-q", "-b", "main"], project)
    run(["git", "add", "."], project)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    run(["git", *who, "commit", "-q", "-m", "January"], project)
    run([*python, "data/drops.py", "--months", "2013-01"], project)
    drops = [f"data/raw/{table}/2013-01.csv" for table in ("flights", "weather")]
    run([*python, "-m", "dvc", "add", "-q", *drops], project)
    run([*python, "-m", "mergeline", "snapshot"], project)
    assert run(["git", "status", "--porcelain"], project).stdout == ""
    return project


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done
