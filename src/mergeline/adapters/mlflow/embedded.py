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

_FIND = """
    SELECT name, version, run_id, description, coalesce(storage_location, source)
    FROM model_versions AS found
    WHERE workspace = 'default' AND current_stage != 'Deleted_Internal' AND
"""
_OF_MODEL = "name = ?"
# By its tag, or by an alias, which moves first.
_NOT_ARCHIVED = """
    (EXISTS (
        SELECT 1 FROM model_version_tags AS tag
        WHERE tag.name = found.name AND tag.version = found.version AND tag.workspace = 'default'
        AND tag.key = ? AND tag.value != 'Archived'
    ) OR EXISTS (
        SELECT 1 FROM registered_model_aliases AS held
        WHERE held.name = found.name AND held.version = found.version
        AND held.workspace = 'default' AND held.alias IN ('production', 'staging')
    ))
"""
_TAGS = """
    SELECT version, key, value FROM model_version_tags
    WHERE name = ? AND workspace = 'default'
"""
_ALIASES = (
    "SELECT alias, version FROM registered_model_aliases WHERE name = ? AND workspace = 'default'"
)
_PATIENCE = 10.0  # seconds for a writer to end


@dataclass(frozen=True)
class EmbeddedVersion:
    """A version as MLflow's client gives it; `place` is where its files are."""

    name: str
    version: int
    run_id: str
    description: str
    place: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddedModel:
    """A registered model as MLflow's client gives it, with its versions."""

    aliases: Mapping[str, int]
    versions: tuple[EmbeddedVersion, ...]


def read_registered(file: Path, model: str) -> EmbeddedModel | None:
    """A registered model, of one moment; None if only MLflow's client can tell."""
    found = _read(file, _OF_MODEL, model)
    return None if found is None else found.get(model, EmbeddedModel({}, ()))


def read_standing(file: Path, stage: str) -> dict[str, EmbeddedModel] | None:
    """All models, of one moment, with their versions that are not archived by the tag `stage`.

    None if only MLflow's client can tell.
    """
    return _read(file, _NOT_ARCHIVED, stage)


def _read(file: Path, wanted: str, value: str) -> dict[str, EmbeddedModel] | None:
    """The tables are those of `mlflow.store.model_registry.dbmodels.models`."""
    address = f"file:{quote(str(file.absolute()))}?mode=ro"
    found: dict[str, dict[int, EmbeddedVersion]] = {}
    try:
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)
        ) as database:
            database.execute("BEGIN")
            for name, number, run_id, description, place in database.execute(
                f"{_FIND} {wanted}",
                (value,),
            ).fetchall():
                found.setdefault(name, {})[int(number)] = EmbeddedVersion(
                    name, int(number), run_id or "", description or "", place or ""
                )
            for name, versions in found.items():
                for number, key, text in database.execute(_TAGS, (name,)):
                    if int(number) in versions:
                        versions[int(number)].tags[key] = text
            return {
                name: EmbeddedModel(
                    {alias: int(n) for alias, n in database.execute(_ALIASES, (name,))},
                    tuple(versions.values()),
                )
                for name, versions in found.items()
            }
    except sqlite3.Error:
        return None
