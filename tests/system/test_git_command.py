"""What a git command inherits, and how its failure is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergeline.errors import GitError
from mergeline.system.git_command import run_git


def test_an_isolated_command_sees_no_setting_of_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "own.setting")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "x")
    asked = ["config", "--default", "none", "--get", "own.setting"]
    assert run_git(asked, cwd=tmp_path) == b"x\n"
    assert run_git(asked, cwd=tmp_path, isolated=True) == b"none\n"


def test_a_command_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"^\S+: git rev-parse: not a git repository") as caught:
        run_git(["rev-parse", "HEAD"], cwd=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="no such folder"):
        run_git(["status"], cwd=tmp_path / "none")
