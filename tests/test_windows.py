"""What works on Windows, and that all else says so: no path to it needs what only POSIX has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.line import Line

RUN = [sys.executable, str(Path(__file__).parent / "support/as_windows.py")]
ROOT = Path(__file__).parents[1]


def on_windows(*words: str, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command does there."""
    return subprocess.run(
        [*RUN, *words],
        cwd=at,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    ["plan --json", "report", "status --json", "history --json", "data history --json",
     "data show --json", "contract check data/raw/parcels/2024-01.csv", "init --plan"],
)  # fmt: skip
def test_what_reads_and_begins_works_there(line: Line, words: str) -> None:
    arguments = words.split()
    if arguments[0] == "report":
        arguments.append(str(line.bundle))
    (line.runner.root / "data/raw/parcels/2024-01.csv").write_text(
        "id,day,weight,distance,late\n1,2024-01-01,1.0,1.0,true\n"
    )
    if arguments[0] == "plan":
        (line.runner.root / "data/raw/parcels/2024-01.csv").unlink()
    done = on_windows(*arguments, at=line.runner.root, **line.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "--json" in arguments:
        json.loads(done.stdout)


@pytest.mark.parametrize(
    "words", ["evaluate", "snapshot", "judge b --into c", "release", "serve", "score a b --model c"]
)
def test_all_else_says_that_it_does_not(tmp_path: Path, words: str) -> None:
    done = on_windows(*words.split(), at=tmp_path)
    verb = words.split(maxsplit=1)[0]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"mergeline: {verb} does not work on Windows")
    assert "WSL" in done.stderr
    assert on_windows(verb, "--help", at=tmp_path).returncode == 0


@pytest.mark.slow
def test_a_repository_is_begun_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = "".join(f"{number},{number % 7},{number % 2}\n" for number in range(60))
    (tmp_path / "data/rows.csv").write_text(f"id,size,sold\n{rows}")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    done = on_windows("init", "--yes", "--label", "sold", at=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models/sold.yaml").is_file()
    assert (tmp_path / "data/rows.csv.dvc").is_file()


def test_a_client_is_made_there() -> None:
    code = (
        "from tests.support.as_windows import pretend; pretend()\n"
        "import mergeline; mergeline.Client('http://localhost:1')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_folder_for_conversions_is_of_the_user_there(tmp_path: Path) -> None:
    code = (
        "from tests.support.as_windows import pretend; pretend()\n"
        "from mergeline.adapters.delta.storage import ObjectStorage\n"
        "print(ObjectStorage('s3://somewhere/tables').workshop)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
