"""A look into the registry of a SQLite store without importing MLflow, which takes seconds.

Only reading, and only of the three tables that say which versions there are. Whatever is not as
expected there is left to MLflow's own client: another schema, a file amid a migration, no file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

_VERSIONS = """
    SELECT version, run_id, description FROM model_versions
    WHERE name = ? AND workspace = 'default' AND current_stage != 'Deleted_Internal'
"""
_TAGS = (
    "SELECT version, key, value FROM model_version_tags WHERE name = ? AND workspace = 'default'"
)
_ALIASES = (
    "SELECT alias, version FROM registered_model_aliases WHERE name = ? AND workspace = 'default'"
)
_PATIENCE = 10.0  # seconds for a writer to end


@dataclass(frozen=True)
class EmbeddedVersion:
    """A version as MLflow's client gives it."""

    name: str
    version: int
    run_id: str
    description: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddedModel:
    """A registered model as MLflow's client gives it, with its versions."""

    aliases: Mapping[str, int]
    versions: tuple[EmbeddedVersion, ...]


def read_registered(file: Path, model: str) -> EmbeddedModel | None:
    """A registered model, of one moment; None if only MLflow's client can tell.

    The tables are those of `mlflow.store.model_registry.dbmodels.models`.
    """
    address = f"file:{quote(str(file.absolute()))}?mode=ro"
    try:
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)
        ) as database:
            database.execute("BEGIN")
            versions = {
                int(number): EmbeddedVersion(model, int(number), run_id or "", description or "")
                for number, run_id, description in database.execute(_VERSIONS, (model,))
            }
            for number, key, value in database.execute(_TAGS, (model,)):
                if int(number) in versions:
                    versions[int(number)].tags[key] = value
            aliases = {alias: int(n) for alias, n in database.execute(_ALIASES, (model,))}
    except sqlite3.Error:
        return None
    return EmbeddedModel(aliases, tuple(versions.values()))
