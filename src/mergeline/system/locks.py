"""Locks between the processes of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


def file_lock(path: str | Path, *, timeout: float = -1) -> BaseFileLock:
    """A lock that one process at a time holds, within `with`; its holder may take it again.

    The file and its folder are made. `timeout` is in seconds; a negative one waits for ever.

    Raises:
        filelock.Timeout: when it is taken, and another process holds it for too long.
    """
    from filelock import FileLock

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=timeout)
