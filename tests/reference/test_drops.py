from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from mergeline.core.declare.pointer import parse_pointer

ROOT = Path(__file__).resolve().parents[2]
POINTERS = sorted(path.relative_to(ROOT) for path in ROOT.glob("data/raw/*/*.dvc"))


def make(into: Path, months: str | None) -> subprocess.CompletedProcess[str]:
    asked = ["--months", months] if months else []
    return subprocess.run(
        [sys.executable, ROOT / "data/drops.py", *asked, "--into", into],
        capture_output=True,
        text=True,
        check=False,
        cwd=into,
    )


@pytest.fixture(scope="module")
def drops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    done = make(folder, "2013-01:2013-06")
    assert done.returncode == 0, done.stderr
    return folder


def test_main_holds_january_to_june_of_both_tables() -> None:
    months = [f"2013-{month:02d}.csv.dvc" for month in range(1, 7)]
    for table in ("flights", "weather"):
        assert [path.name for path in POINTERS if path.parent.name == table] == months


@pytest.mark.slow
@pytest.mark.parametrize("path", POINTERS, ids=str)
def test_the_script_makes_the_bytes_that_a_committed_pointer_names(path: Path, drops: Path) -> None:
    pointer = parse_pointer(str(path), (ROOT / path).read_bytes())
    content = (drops / Path(pointer.target).relative_to("data/raw")).read_bytes()
    assert len(content) == pointer.size
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == pointer.md5


@pytest.mark.slow
def test_without_months_those_are_made_that_the_pointers_there_name(tmp_path: Path) -> None:
    (tmp_path / "weather").mkdir()
    for name in ("2013-11.csv.dvc", "2013-12.csv.dvc", "notes.csv.dvc"):
        (tmp_path / "weather" / name).touch()
    done = make(tmp_path, None)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "weather").glob("*.csv"))
    assert made == ["2013-11.csv", "2013-12.csv"]


def test_a_month_is_one_of_local_dates(drops: Path) -> None:
    with (drops / "flights/2013-01.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["month"] for row in rows} == {"1"}
    assert "2013-02-01T04:00:00Z" in {row["time_hour"] for row in rows}


def test_a_flight_without_a_known_plane_has_missing_columns(drops: Path) -> None:
    with (drops / "flights/2013-01.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tailnum"] == "NA"]
    assert rows
    assert {row["seats"] for row in rows} == {"NA"}


def test_the_drops_are_ignored_by_git() -> None:
    path = "data/raw/flights/2013-07.csv"
    ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
    pointer = subprocess.run(["git", "check-ignore", "-q", f"{path}.dvc"], cwd=ROOT, check=False)
    assert (ignored.returncode, pointer.returncode) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("months", ["2013-7", "2013-13", "2013-03:2013-01", "2014-01"])
def test_months_that_do_not_exist_are_refused_and_nothing_is_written(
    months: str, tmp_path: Path
) -> None:
    done = make(tmp_path, months)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
