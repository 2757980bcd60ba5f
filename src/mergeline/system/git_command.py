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

    `env` comes on top of this process's environment; `isolated` leaves out the user's configuration
    and `GIT_` variables.

    Raises:
        GitError: the folder does not exist, git is not installed, or it ended with an error (a
            `CalledProcessError`, which is the cause): its own words are in the message.
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
            check=True,
            env={**inherited, **own},
        ).stdout
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise GitError("no such folder", where=str(cwd)) from error
        raise GitError("git is not installed", next_step="Install git") from error
    except subprocess.CalledProcessError as error:
        message = _in_one_line(error.stderr) or _in_one_line(error.stdout) or "failed"
        raise GitError(f"git {arguments[0]}: {message}", where=str(cwd)) from error


def _in_one_line(output: bytes) -> str:
    """What git printed, without its hints."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    messages = [line.removeprefix("fatal: ") for line in lines if not line.startswith("hint:")]
    return "; ".join(filter(None, messages))
