"""Bundles on disk: whole or not there, and never in the place of something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mergeline.adapters.bundles import (
    check_replaceable,
    digests,
    read_candidate,
    read_evaluation,
)
from mergeline.errors import BundleError
from tests.support.line import Line


@pytest.mark.parametrize("made", [[], ["manifest.json"], ["evaluation/report.json"],
    ["late/manifest.json", "again/evaluation/report.json"]])  # fmt: skip
def test_a_bundle_may_be_replaced(tmp_path: Path, made: list[str]) -> None:
    for name in made:
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_text("")
    check_replaceable(tmp_path / "b")


@pytest.mark.parametrize("made", [["notes.txt"], ["manifest.json", "notes.txt"], [".git/config"],
    ["late/manifest.json", "src/main.py"], ["late/manifest.json", "notes.txt"]])  # fmt: skip
def test_anything_else_may_not(tmp_path: Path, made: list[str]) -> None:
    for name in made:
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_text("")
    with pytest.raises(BundleError, match="would be lost"):
        check_replaceable(tmp_path / "b")


def test_a_link_may_not_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "real")
    with pytest.raises(BundleError):
        check_replaceable(tmp_path / "b")


def test_a_bundle_reads_the_same_wherever_it_is_moved(line: Line, tmp_path: Path) -> None:
    before = read_candidate(line.bundle), read_evaluation(line.bundle)
    shutil.move(line.bundle, tmp_path / "artifact")
    assert (read_candidate(tmp_path / "artifact"), read_evaluation(tmp_path / "artifact")) == before


def test_what_is_no_plain_file_is_not_digested(tmp_path: Path) -> None:
    (tmp_path / "candidate").mkdir()
    os.mkfifo(tmp_path / "candidate" / "pipe")
    with pytest.raises(BundleError, match="candidate/pipe is not a plain file"):
        digests(tmp_path, "candidate")


def test_no_folder_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json\. Name the folder of a bundle"):
        read_candidate(tmp_path / "none")
