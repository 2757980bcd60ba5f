"""Notes of what was found true once and stays so: a file of names, one a line.

They only save work. Where the file is lost, damaged or cannot be written, it is found out again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from mergeline.system.atomic_writes import write_file_whole


def read_notes(file: Path) -> set[str]:
    """The names that were noted."""
    try:
        return set(file.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return set()


def write_notes(file: Path, names: Collection[str]) -> None:
    """Note names, which have no spaces, in place of what is there."""
    with contextlib.suppress(OSError):
        write_file_whole(file, "\n".join(sorted(names)).encode("ascii"))
