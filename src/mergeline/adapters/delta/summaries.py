"""Summaries of a table's files, made once and kept beside them, and merged ones of many files.

Files are sorted into a tree by the hash of their names: the summary of a branch is merged from its
at most 16 twigs. Two sets of files that differ in one file differ in the branches above it, and
share all others, so that a summary of a thousand drops and one more costs a few of them. What a
branch says depends on the files below it only, never on the order in which they came.

All summaries can be deleted: what is missing, broken or of another edition is made again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, TypeVar

from mergeline.adapters.delta.profiles import make_profile
from mergeline.adapters.delta.state import translated
from mergeline.adapters.delta.storage import Storage, new_part
from mergeline.core.data.profile import EDITION, ColumnProfile, DropProfile, merge_into_one

T = TypeVar("T")
FOLDER = "_profiles"
MERGED = f"{FOLDER}/merged"
PATHS = "paths-"
_SUFFIX = f".{EDITION}.z"
_WORTH_KEEPING = 4  # files; fewer are as quickly read one by one


def profile_name(file: str) -> str:
    """Where the summary of a file is kept."""
    return f"{FOLDER}/{file.removesuffix('.parquet')}{_SUFFIX}"


def forget(storage: Storage, file: str) -> None:
    """Delete the summary of a file whose rows were damaged, and all that it may be merged into."""
    storage.delete(profile_name(file))
    for merged in storage.listing(MERGED, _SUFFIX):
        storage.delete(f"{MERGED}/{merged.name}")


class Summaries:
    """Of one table; each is read or made once."""

    def __init__(self, storage: Storage, types: Mapping[str, str]) -> None:
        self._storage = storage
        self._types = dict(types)
        self._known: dict[str, DropProfile] = {}

    def of(self, files: Collection[str]) -> DropProfile:
        """The summary of the rows of these files."""
        parts = self._parts(sorted((_hash(file), file) for file in files), 0)
        return parts[0] if len(parts) == 1 else merge_into_one(parts, self._types)

    def forget_others(self, files: Collection[str]) -> None:
        """Delete merged summaries that the one of these files is not made of, and old editions'."""
        needed = set(self._branches(sorted((_hash(file), file) for file in files), 0))
        for file in self._storage.listing(MERGED, ""):
            if not file.name.startswith(PATHS) and f"{MERGED}/{file.name}" not in needed:
                self._storage.delete(f"{MERGED}/{file.name}")
        for file in self._storage.listing(FOLDER, ""):
            if not file.name.endswith(_SUFFIX):
                self._storage.delete(f"{FOLDER}/{file.name}")

    def _branches(self, files: Sequence[tuple[str, str]], depth: int) -> Iterator[str]:
        """Names of the merged summaries of the files."""
        if len(files) >= _WORTH_KEEPING:
            yield _branch_name(self._types, files)
            for _, twig in groupby(files, key=lambda file: file[0][depth]):
                yield from self._branches(list(twig), depth + 1)

    def _parts(self, files: Sequence[tuple[str, str]], depth: int) -> list[DropProfile]:
        """Summaries that make up that of the files: of their branch, or of each where few."""
        if len(files) < _WORTH_KEEPING:
            return [self._file(file) for _, file in files]

        def make() -> DropProfile:
            twigs = groupby(files, key=lambda file: file[0][depth])
            parts = (self._parts(list(twig), depth + 1) for _, twig in twigs)
            return merge_into_one([*chain.from_iterable(parts)], self._types)

        return [self._kept(_branch_name(self._types, files), make)]

    def _file(self, file: str) -> DropProfile:
        def make() -> DropProfile:
            with translated(self._storage):
                return make_profile(self._storage.scan(file))

        return self._kept(profile_name(file), make)

    def _kept(self, name: str, make: Callable[[], DropProfile]) -> DropProfile:
        if name not in self._known:
            self._known[name] = kept(self._storage, name, make=make, write=_write, read=_read)
        return self._known[name]


def kept(
    storage: Storage,
    name: str,
    *,
    make: Callable[[], T],
    write: Callable[[T], dict[str, Any]],
    read: Callable[[dict[str, Any]], T],
) -> T:
    """What is kept as JSON beside the table; made now if it cannot be read."""
    content = storage.read(name)
    if content is not None:
        try:
            return read(json.loads(zlib.decompress(content)))  # zlib checks a sum of its own
        except (zlib.error, ValueError, TypeError, LookupError, AttributeError):
            storage.delete(name)
    made = make()
    with new_part(storage) as part:
        text = json.dumps(write(made), ensure_ascii=False)
        part.write_bytes(zlib.compress(text.encode()))
        storage.put(part, name)
    return made


def _write(profile: DropProfile) -> dict[str, Any]:
    """Values apart from their rows: a list each, not one for every value."""
    columns = {
        name: {
            **vars(column),
            "values": [value for value, _ in column.values],
            "counts": [rows for _, rows in column.values],
        }
        for name, column in profile.columns.items()
    }
    return {"rows": profile.rows, "columns": columns}


def _read(document: Mapping[str, Any]) -> DropProfile:
    """By hand: to check each of thousands of values takes longer than all else of a diff."""
    columns = {name: _column(dict(column)) for name, column in document["columns"].items()}
    return DropProfile(document["rows"], columns)


def _column(fields: dict[str, Any]) -> ColumnProfile:
    fields["values"] = tuple(zip(fields["values"], fields.pop("counts"), strict=True))
    for name in ("buckets", "points", "weights"):
        fields[name] = tuple(fields[name])
    return ColumnProfile(**fields)


def _branch_name(types: Mapping[str, str], files: Sequence[tuple[str, str]]) -> str:
    content = json.dumps([list(types.items()), [file for _, file in files]])
    return f"{MERGED}/{_hash(content)}{_SUFFIX}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
