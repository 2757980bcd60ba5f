"""Snapshots: which drops under which contract, and the files of a table that hold them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mergeline.core.declare.contract import FOLDER, Contract
from mergeline.core.numbers import counted

_FILE = re.compile(r"([0-9a-f]{32})-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True)
class Drop:
    """One raw file as it arrived.

    Attributes:
        path: in the repository, e.g. `data/raw/flights/2013-01.csv`.
        size: in bytes; None if the pointer does not say.
        replaces: path of an earlier drop that it corrects, where its pointer says so.
    """

    path: str
    md5: str
    size: int | None = None
    replaces: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """One exact content of a table: a set of drops under a contract.

    Attributes:
        skipped: files in folders of drops that are none, by their names.
        private: columns of which no message may quote a value.
    """

    table: str
    contract: Contract
    drops: tuple[Drop, ...]
    skipped: tuple[str, ...] = ()
    private: frozenset[str] = frozenset()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over contract and drops; it does not depend on the table's history."""
        return pointers_digest(self.contract, (drop.md5 for drop in self.drops))

    @cached_property
    def files(self) -> dict[str, Drop]:
        """The table's files that hold the rows, sorted by name, with their drops.

        Two drops with the same content are one file.
        """
        by_name = {file_name(self.contract, drop): drop for drop in reversed(self.drops)}
        return dict(sorted(by_name.items()))


def snapshot_notes(snapshot: Snapshot) -> tuple[str, ...]:
    """What a person might not expect of a snapshot, a sentence each."""
    return (*same_drops(snapshot.drops), *_skipped(snapshot.skipped))


def same_drops(drops: Iterable[Drop]) -> tuple[str, ...]:
    """A sentence on each content that several drops have."""
    paths: dict[str, list[str]] = {}
    for drop in drops:
        paths.setdefault(drop.md5, []).append(drop.path)
    return tuple(
        f"{' and '.join(sorted(same))} are one drop under {len(same)} names: its rows count once"
        for same in paths.values()
        if len(same) > 1
    )


def _skipped(paths: Sequence[str]) -> Sequence[str]:
    if not paths:
        return ()
    shown = ", ".join([*paths[:3], *(["…"] if len(paths) > 3 else [])])
    are = "is no drop" if len(paths) == 1 else "are no drops"
    return [f"{counted(len(paths), 'file')} {are} by their names, and skipped: {shown}"]


@dataclass(frozen=True)
class DropRecord:
    """A drop as a pinned snapshot names it."""

    path: str
    md5: str


@dataclass(frozen=True)
class PinnedSnapshot:
    """What `data/<table>.snapshot.json` holds: a snapshot, without its version in any one table."""

    table: str
    digest: str
    contract: str
    drops: tuple[DropRecord, ...] = ()


def pin(snapshot: Snapshot) -> PinnedSnapshot:
    """The file's content, on which the pipeline's stages depend."""
    records = sorted((drop.path, drop.md5) for drop in snapshot.drops)
    return PinnedSnapshot(
        table=snapshot.table,
        digest=snapshot.digest,
        contract=snapshot.contract.digest,
        drops=tuple(DropRecord(path, md5) for path, md5 in records),
    )


def pin_path(table: str) -> str:
    """Path of a table's pinned snapshot in a working tree."""
    return f"{FOLDER}/{table}.snapshot.json"


def pointers_digest(contract: Contract, md5s: Iterable[str]) -> str:
    """The digest of a contract over the md5s of pointers, as they stand in Git.

    If each pointer names one drop, it is the snapshot's own digest. A folder's pointer counts by
    its `.dir` md5, so that no drop has to be fetched.
    """
    named = {"contract": contract.digest, "drops": sorted(set(md5s))}
    text = json.dumps(named, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_name(contract: Contract, drop: Drop) -> str:
    """Name of the Parquet file that holds a drop; the same rows have the same name."""
    return f"{drop.md5}-{contract.digest[:16]}.parquet"


def drop_md5(name: str) -> str:
    """The md5 of the drop that a table's file holds; the name itself if it is not our file."""
    match = _FILE.fullmatch(name)
    return match[1] if match else name


@dataclass(frozen=True)
class Provenance:
    """Whose change a snapshot is built for; the table's history tells it."""

    commit: str = ""
    ref: str = ""
    pull_request: str = ""
    author: str = ""


@dataclass(frozen=True)
class Built:
    """A snapshot in its table.

    Attributes:
        version: of the table; it depends on the table's history, the digest does not.
        converted: drops not seen before, whose rows were written.
        repaired: drops whose file was missing from the table and was written again.
        bytes_written: size of the files written.
        found: whether the table had the snapshot already.
        notes: what a person might not expect of it.
    """

    table: str
    version: int
    digest: str
    rows: int
    converted: tuple[Drop, ...] = ()
    repaired: tuple[Drop, ...] = ()
    bytes_written: int = 0
    found: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommitPlan:
    """The files that one commit adds to a table and removes from it, sorted by name."""

    adds: tuple[str, ...]
    removes: tuple[str, ...]


def plan_commit(current: Iterable[str], wanted: Iterable[str]) -> CommitPlan:
    """The commit that turns a table of the `current` files into one of the `wanted` files."""
    now, then = set(current), set(wanted)
    return CommitPlan(adds=tuple(sorted(then - now)), removes=tuple(sorted(now - then)))
