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
    isolated: bool = False,
) -> bytes:
    """Run one git command and return its standard output.

    Args:
        arguments: of git, its subcommand first.
        cwd: where it runs.
        stdin: what it reads.
        env: variables on top of this process's own.
        isolated: whether it runs without the user's configuration and `GIT_` variables.

    Raises:
        GitError: git is not installed, or ended with an error; its own words are in the message.
    """
    return checked_output(arguments[0], git_process(arguments, cwd, stdin, env, isolated), cwd)


def git_process(
    arguments: Sequence[str],
    cwd: Path,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    isolated: bool = False,  # noqa: FBT001, FBT002
) -> subprocess.CompletedProcess[bytes]:
    """Run one git command to its end, whatever its exit code; the arguments are `run_git`'s.

    Raises:
        GitError: git is not installed, or the folder does not exist.
    """
    inherited = without_repository(os.environ)
    if isolated:
        inherited = {name: v for name, v in inherited.items() if not name.startswith("GIT_")}
        inherited["GIT_CONFIG_GLOBAL"] = os.devnull
    own = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            env={**inherited, **own},
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise GitError("no such folder", where=str(cwd)) from error
        raise GitError("git is not installed", next_step="Install git") from error


def checked_output(
    subcommand: str, process: subprocess.CompletedProcess[bytes], cwd: Path
) -> bytes:
    """Return the standard output of a git command.

    Raises:
        GitError: it ended with an error.
    """
    if process.returncode != 0:
        message = _in_one_line(process.stderr) or _in_one_line(process.stdout) or "failed"
        raise GitError(f"git {subcommand}: {message}", where=str(cwd))
    return process.stdout


def _in_one_line(output: bytes) -> str:
    """What git printed, without its hints."""
    lines = output.decode(errors="replace").splitlines()
    told = (line.strip().removeprefix("fatal: ") for line in lines)
    return "; ".join(line for line in told if line and not line.startswith("hint:"))
