"""Read a table's log as it is written: one JSON file a commit.

Ours are never cleaned away; another engine may clean those before a checkpoint.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from urllib.parse import unquote

from mergeline.adapters.delta.state import translated
from mergeline.adapters.delta.storage import Storage
from mergeline.core.data.history import LogEntry

_METADATA = ("commit", "ref", "pull_request", "author", "snapshot", "contract")


def read_entry(storage: Storage, version: int) -> LogEntry | None:
    """The commit of a version, or None if the log does not have it."""
    with translated(storage):
        content = storage.read(f"_delta_log/{version:020}.json")
        return None if content is None else _read_entry(version, content)


def logged_version(storage: Storage, digest: str) -> int | None:
    """The last version that a commit of ours made for a snapshot, by the log alone."""
    files = storage.listing("_delta_log", ".json")
    versions = sorted((int(f.name[:20]) for f in files if f.name[:20].isdecimal()), reverse=True)
    for version in versions:
        entry = read_entry(storage, version)
        if entry is not None and entry.metadata.get("snapshot") == digest:
            return version
    return None


def _read_entry(version: int, content: bytes) -> LogEntry:
    actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    info: dict[str, Any] = next((a["commitInfo"] for a in actions if "commitInfo" in a), {})
    metadata = {key: str(info[key]) for key in _METADATA if key in info}
    drops, replacing = (
        named if isinstance(named := info.get(f"drops_{what}"), dict) else {}
        for what in ("added", "replacing")
    )
    return LogEntry(
        version=version,
        time=dt.datetime.fromtimestamp(info.get("timestamp", 0) / 1000, tz=dt.UTC),
        operation=str(info.get("operation", "unknown")),
        metadata=metadata if "snapshot" in metadata else {},
        drops_added={md5: (path, replacing.get(md5)) for md5, path in drops.items()},
        added={unquote(a["add"]["path"]): _rows(a["add"]) for a in actions if "add" in a},
        removed=tuple(unquote(a["remove"]["path"]) for a in actions if "remove" in a),
    )


def _rows(add: dict[str, Any]) -> int:
    stats = json.loads(add.get("stats") or "{}")
    deleted = add.get("deletionVector") or {}
    return int(stats.get("numRecords", 0)) - int(deleted.get("cardinality", 0))
