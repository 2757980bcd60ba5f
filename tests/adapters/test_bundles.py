"""Bundles on disk: whole or not there, and never in the place of something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mergeline.adapters.bundles import (
    check_replaceable,
    digests,
    finished,
    read_candidate,
    read_evaluation,
    written_whole,
)
from mergeline.errors import BundleError
from tests.support.line import Line, content_of


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), written_whole(tmp_path / "deep" / "bundle") as scratch:
        scratch.mkdir()
    assert list((tmp_path / "deep").iterdir()) == []
    with written_whole(tmp_path / "deep" / "bundle") as scratch:
        (scratch / "whole").write_text("")
        assert not (tmp_path / "deep" / "bundle").exists()
    assert content_of(tmp_path).keys() == {"deep/bundle/whole"}


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with written_whole(folder) as scratch:
        (scratch / "old").write_text("")
    with pytest.raises(FileExistsError), written_whole(folder) as scratch:
        scratch.mkdir()
    assert content_of(tmp_path).keys() == {"bundle/old"}
    with written_whole(folder) as scratch:
        (scratch / "new").write_text("")
    assert content_of(tmp_path).keys() == {"bundle/new"}


class Killed(BaseException):
    """As by SIGKILL: nothing is cleaned up."""


def test_who_is_killed_between_the_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    with written_whole(folder) as scratch:
        (scratch / "old").write_text("")
    rename = Path.rename

    def cut_off(source: Path, target: Path) -> Path:
        if target == folder:
            raise Killed
        return rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed), written_whole(folder):
        patch.setattr(Path, "rename", cut_off)
    assert not folder.exists()
    assert finished(tmp_path) == [folder]
    assert content_of(tmp_path).keys() == {"bundle/old"}


def test_what_was_put_aside_comes_back_to_the_next_writer(tmp_path: Path) -> None:
    aside = tmp_path / ".bundle.replaced.part"
    aside.mkdir()
    (aside / "old").write_text("")
    with pytest.raises(FileExistsError), written_whole(tmp_path / "bundle") as scratch:
        scratch.mkdir()
    assert content_of(tmp_path).keys() == {"bundle/old"}


def test_a_reader_that_puts_back_meanwhile_disturbs_no_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    rename = Path.rename

    def looked_at(source: Path, target: Path) -> Path:
        moved = rename(source, target)
        if target.name == ".bundle.replaced.part" and not looks:
            looks.append(finished(tmp_path))
        return moved

    looks: list[list[Path]] = []
    for name in ("old", "new"):
        with written_whole(folder) as scratch:
            (scratch / name).write_text("")
            monkeypatch.setattr(Path, "rename", looked_at)
    assert looks == [[folder]]
    assert content_of(tmp_path).keys() == {"bundle/new"}


def test_what_the_killed_left_is_swept_after_a_day(tmp_path: Path) -> None:
    kept = [".git", ".other.old", ".b.aaaaaaaa.part", ".lost.replaced.part"]
    swept = [".b.bbbbbbbb.part", ".there.replaced.part"]
    for name in (*kept, *swept, "there"):
        (tmp_path / name).mkdir()
        if name != ".b.aaaaaaaa.part":
            os.utime(tmp_path / name, (0, 0))
    with written_whole(tmp_path / "b"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "there", "b"}


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
