"""Where state lives: as the environment says, or below the main working tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


def state_folder(environment: Mapping[str, str], main_root: Callable[[], Path]) -> Path:
    """Folder of everything that has no place of its own: MERGELINE_STATE, or `.mergeline`.

    Args:
        environment: of the process.
        main_root: finds the main working tree; asked only where the environment does not say.
    """
    named = environment.get("MERGELINE_STATE")
    return Path(named).absolute() if named else main_root() / ".mergeline"


def tables_root(environment: Mapping[str, str], main_root: Callable[[], Path]) -> str:
    """Root of the Delta tables: MERGELINE_TABLES, any URI that delta-rs speaks."""
    named = environment.get("MERGELINE_TABLES")
    return named or str(state_folder(environment, main_root) / "tables")
