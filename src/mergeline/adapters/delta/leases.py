"""Notes that files are in use again, where a file's own time cannot be set: in an object store.

A note is written once and never changed, so that removing an old one takes no newer one away.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING

from mergeline.errors import TableError

if TYPE_CHECKING:
    from mergeline.adapters.delta.storage import Storage

# Delta readers and vacuum pass over names that begin with an underscore.
FOLDER = "_leases"
_SUFFIX = ".json"
_YOUNG_SECONDS = 600  # what is younger needs no note: builds follow one another


class Leases:
    """The notes of one table; each is read once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._read: dict[str, frozenset[str]] = {}

    def times(self) -> dict[str, float]:
        """When each file was last noted, as Unix time, by name."""
        found: dict[str, float] = {}
        for note in self._storage.listing(FOLDER, _SUFFIX):
            for name in self._names(note.name):
                found[name] = max(note.written, found.get(name, 0.0))
        return found

    def write(self, names: Collection[str]) -> None:
        """Note that files are in use, those of them that are there and old."""
        from mergeline.adapters.delta.storage import new_part

        noted, since = self.times(), time.time() - _YOUNG_SECONDS
        old = sorted(
            file.name
            for file in self._storage.listing()
            if file.name in names and max(file.written, noted.get(file.name, 0.0)) < since
        )
        if old:
            with new_part(self._storage) as part:
                part.write_text(json.dumps(old), encoding="utf-8")
                self._storage.put(part, f"{FOLDER}/{uuid.uuid4().hex}{_SUFFIX}")

    def sweep(self, before: float) -> None:
        """Remove the notes older than a Unix time."""
        for note in self._storage.listing(FOLDER, _SUFFIX):
            if note.written < before:
                self._storage.delete(f"{FOLDER}/{note.name}")

    def _names(self, note: str) -> frozenset[str]:
        if note not in self._read:
            path = f"{FOLDER}/{note}"
            try:
                # One that is gone by now was older than what is being deleted.
                names = json.loads(self._storage.read(path) or b"[]")
                self._read[note] = frozenset(map(str, names))
            except (ValueError, TypeError) as error:
                raise TableError(
                    "no list of files",
                    where=self._storage.path(path),
                    next_step="Remove it once no build is running",
                ) from error
        return self._read[note]
