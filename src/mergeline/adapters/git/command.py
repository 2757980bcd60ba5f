"""One git command: how it is run, and what its errors become."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mergeline.errors import GitError
from mergeline.system.environment import without_repository


def run_git(
    arguments: Sequence[str],
    *,
    cwd: Path,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Standard output of one git command.

    Raises:
        GitError: git is not installed, or ended with an error; its own words are in the message.
    """
    return output(arguments[0], run(arguments, cwd, stdin, env), cwd)


def run(
    arguments: Sequence[str],
    cwd: Path,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """One git command, however it ends.

    Raises:
        GitError: git is not installed, or the folder is not there.
    """
    own = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            env={**without_repository(os.environ), **own},
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise GitError("no such folder", where=str(cwd)) from error
        raise GitError("git is not installed", next_step="Install git") from error


def output(verb: str, done: subprocess.CompletedProcess[bytes], cwd: Path) -> bytes:
    """What a command said; GitError where it ended with an error."""
    if done.returncode != 0:
        said = _in_one_line(done.stderr.decode(errors="replace"))
        raise GitError(f"git {verb}: {said or 'failed'}", where=str(cwd))
    return done.stdout


def _in_one_line(stderr: str) -> str:
    """What git said, without its hints."""
    lines = [line.strip().removeprefix("fatal: ") for line in stderr.splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("hint:"))
