"""Folders appear whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mergeline.system.atomic_writes import finished_folders, folder_written_whole
from tests.support.line import content_of


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with (
        pytest.raises(FileExistsError),
        folder_written_whole(tmp_path / "deep" / "bundle") as scratch,
    ):
        scratch.mkdir()
    assert list((tmp_path / "deep").iterdir()) == []
    with folder_written_whole(tmp_path / "deep" / "bundle") as scratch:
        (scratch / "whole").write_text("")
        assert not (tmp_path / "deep" / "bundle").exists()
    assert content_of(tmp_path).keys() == {"deep/bundle/whole"}


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with folder_written_whole(folder) as scratch:
        (scratch / "old").write_text("")
    with pytest.raises(FileExistsError), folder_written_whole(folder) as scratch:
        scratch.mkdir()
    assert content_of(tmp_path).keys() == {"bundle/old"}
    with folder_written_whole(folder) as scratch:
        (scratch / "new").write_text("")
    assert content_of(tmp_path).keys() == {"bundle/new"}


class Killed(BaseException):
    """As by SIGKILL: nothing is cleaned up."""


def test_who_is_killed_between_the_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    with folder_written_whole(folder) as scratch:
        (scratch / "old").write_text("")
    rename = Path.rename

    def cut_off(source: Path, target: Path) -> Path:
        if target == folder:
            raise Killed
        return rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed), folder_written_whole(folder):
        patch.setattr(Path, "rename", cut_off)
    assert not folder.exists()
    assert finished_folders(tmp_path) == [folder]
    assert content_of(tmp_path).keys() == {"bundle/old"}


def test_what_was_put_aside_comes_back_to_the_next_writer(tmp_path: Path) -> None:
    aside = tmp_path / ".bundle.replaced.part"
    aside.mkdir()
    (aside / "old").write_text("")
    with pytest.raises(FileExistsError), folder_written_whole(tmp_path / "bundle") as scratch:
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
            looks.append(finished_folders(tmp_path))
        return moved

    looks: list[list[Path]] = []
    for name in ("old", "new"):
        with folder_written_whole(folder) as scratch:
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
    with folder_written_whole(tmp_path / "b"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "there", "b"}
