"""Two versions of a table beside each other: each state, log entry and summary is read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mergeline.adapters.delta.keys import shared_keys
from mergeline.adapters.delta.log import read_entry
from mergeline.adapters.delta.state import State, open_version, translated
from mergeline.adapters.delta.storage import Storage
from mergeline.adapters.delta.summaries import MERGED, PATHS, Summaries, kept
from mergeline.core.data.diff import HeldDrop, SharedKeys, Side, SnapshotPair, SnapshotSummary
from mergeline.core.data.history import LogEntry
from mergeline.core.data.profile import DropProfile
from mergeline.core.data.snapshot import drop_md5

_BLOCK = 64  # log entries whose paths are kept together
_Paths = dict[str, tuple[str, str | None]]  # of drops by md5, as in `LogEntry.drops_added`


class Comparing:
    """One look at a table."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._states: dict[int, State] = {}
        self._entries: dict[int, LogEntry | None] = {}
        self._summaries: dict[tuple[tuple[str, str], ...], Summaries] = {}

    def compare(self, before: int | None, after: int, key: Sequence[str]) -> SnapshotPair:
        """See `Tables.compare`."""
        old = _by_md5(self._state(before).files) if before is not None else {}
        new = _by_md5(self._state(after).files)
        come = sorted(new.keys() - old.keys())
        summary = self._summary(after)
        return SnapshotPair(
            before=self._summary(before) if before is not None else None,
            after=summary,
            gone=self._drops(before, old, old.keys() - new.keys()) if before is not None else (),
            come=self._drops(after, new, come),
            added=self._profile(summary.types, [new[md5] for md5 in come]),
            shared_keys=self.shared_keys(before, after, key),
        )

    def shared_keys(self, before: int | None, after: int, key: Sequence[str]) -> SharedKeys | None:
        """See `Tables.shared_keys`."""
        if not key or not set(key) <= set(self._state(after).types):
            return None
        old = _by_md5(self._state(before).files) if before is not None else {}
        new = _by_md5(self._state(after).files)
        come = sorted(new.keys() - old.keys())
        with translated(self._storage):
            return shared_keys(self._state(after), key, [new[md5] for md5 in come])

    def _summary(self, version: int) -> SnapshotSummary:
        state = self._state(version)
        state.refuse_deleted()
        entry = self._entry(version)
        metadata = entry.metadata if entry else {}
        side = Side(
            version=version,
            digest=metadata.get("snapshot"),
            rows=state.rows,
            drops=len(state.files),
            size=sum(state.files.values()),
            contract=metadata.get("contract"),
        )
        types = state.types
        return SnapshotSummary(side, types, self._profile(types, state.files), state.empty)

    def _profile(self, types: Mapping[str, str], files: Collection[str]) -> DropProfile:
        known = tuple(types.items())
        if known not in self._summaries:
            self._summaries[known] = Summaries(self._storage, types)
        return self._summaries[known].of(files)

    def _drops(
        self, version: int, files: Mapping[str, str], md5s: Collection[str]
    ) -> tuple[HeldDrop, ...]:
        rows = self._state(version).rows_by_file
        paths = self._paths(version, md5s)
        held = []
        for md5 in sorted(md5s):
            path, replaces = paths.get(md5, (md5, None))
            held.append(HeldDrop(path, md5, rows[files[md5]], replaces))
        return tuple(held)

    def _paths(self, version: int, md5s: Collection[str]) -> _Paths:
        """Paths of drops, as the last commit that added each says."""
        wanted, at = set(md5s), version
        paths: _Paths = {}
        while at >= 0 and not wanted <= paths.keys():
            start = at if (at + 1) % _BLOCK else at + 1 - _BLOCK
            paths = {**self._added(range(start, at + 1)), **paths}
            at = start - 1
        return paths

    def _added(self, versions: range) -> _Paths:
        """Paths of the drops that these commits added, by md5."""

        def read() -> _Paths:
            entries = [entry for version in versions if (entry := self._entry(version))]
            return {md5: paths for entry in entries for md5, paths in entry.drops_added.items()}

        if len(versions) < _BLOCK:
            return read()
        # The id: a table that was deleted and built anew has other versions.
        table = self._state(versions[-1]).table.metadata().id
        block = f"{MERGED}/{PATHS}{table}-{versions.start}.z"
        return kept(self._storage, block, make=read, write=dict, read=_read_paths)

    def _entry(self, version: int) -> LogEntry | None:
        if version not in self._entries:
            self._entries[version] = read_entry(self._storage, version)
        return self._entries[version]

    def _state(self, version: int) -> State:
        if version not in self._states:
            self._states[version] = open_version(self._storage, version)
        return self._states[version]


def _read_paths(kept_paths: Mapping[str, Sequence[str | None]]) -> _Paths:
    """As they were kept; a TypeError or ValueError if something else was."""
    return {md5: (str(path), replaces) for md5, (path, replaces) in kept_paths.items()}


def _by_md5(files: Collection[str]) -> dict[str, str]:
    return {drop_md5(name): name for name in files}
