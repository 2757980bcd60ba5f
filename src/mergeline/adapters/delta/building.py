"""Make a table hold a snapshot: convert what is missing, then commit, or start over if raced."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, Transaction, create_table_with_add_actions

from mergeline.adapters.delta.actions import add_action, delta_schema, remove_action
from mergeline.adapters.delta.guests import refuse_unsafe
from mergeline.adapters.delta.keys import keys_in_several
from mergeline.adapters.delta.state import State, app_id, find_state, open_state, translated
from mergeline.adapters.delta.storage import (
    LocalStorage,
    Storage,
    message_in_one_line,
    new_part,
)
from mergeline.adapters.delta.summaries import forget
from mergeline.adapters.delta.verify import is_sound
from mergeline.core.data.snapshot import (
    Built,
    CommitPlan,
    Drop,
    Provenance,
    Snapshot,
    drop_md5,
    file_name,
    plan_commit,
)
from mergeline.core.data.wording import shared_keys_line
from mergeline.core.declare.contract import Contract
from mergeline.core.declare.private import Quoting
from mergeline.errors import DropError, TableError
from mergeline.system.progress import underway

_log = logging.getLogger(__name__)
Write = Callable[[Drop, Path], None]
_PATIENCE_SECONDS = 120.0
_AT_ONCE = 2  # conversions, each of which may take a few hundred MB
# A pinned version stays readable only as long as its log entries and files do.
_CONFIGURATION: Mapping[str, str | None] = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "50",
}


@dataclass
class Building:
    """One run of `Tables.build`."""

    storage: Storage
    snapshot: Snapshot
    write: Write
    provenance: Provenance
    verify: bool = False
    converted: list[Drop] = field(default_factory=list)
    repaired: list[Drop] = field(default_factory=list)
    bytes_written: int = 0
    _adds: dict[str, AddAction] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _sound: set[str] = field(default_factory=set)
    _is_unique: bool = False

    def prepare(self) -> None:
        """Convert what the commit will add, and commit nothing; see `Tables.prepare`."""
        latest = open_state(self.storage)
        if latest is not None and find_state(latest, self.snapshot) is not None:
            return
        plan = plan_commit(latest.files if latest else {}, self.snapshot.files)
        if latest is not None:  # before what takes long
            refuse_unsafe(latest, removes=bool(plan.removes))
        self._open()
        self._sizes = self.storage.sizes()
        self._convert_side_by_side([name for name in plan.adds if name not in self._sizes])
        for name in plan.adds:
            self._ready(name)
        self._refuse_repeated_keys(latest)

    def run(self) -> Built:
        """Until the table holds the snapshot; see `Tables.build`."""
        self._open()
        committed, deadline = None, math.inf
        while True:
            latest = open_state(self.storage)
            # First made young, then looked for: a clean-up looks at a file's age at the last.
            self.storage.renew(self.snapshot.files)
            # Listed after the log is read: what the log names, another writer had put there before.
            self._sizes = self.storage.sizes()
            state = find_state(latest, self.snapshot) if latest else None
            if state is not None and not self._mend(state):
                return Built(
                    table=self.snapshot.table,
                    version=state.version,
                    digest=self.snapshot.digest,
                    rows=state.rows,
                    converted=tuple(self.converted),
                    repaired=tuple(self.repaired),
                    bytes_written=self.bytes_written,
                    found=state.version != committed,
                )
            committed = self._commit(latest)
            if committed is None:
                # From the first lost commit on: a conversion takes as long as it takes.
                deadline = min(deadline, time.monotonic() + _PATIENCE_SECONDS)
                if time.monotonic() > deadline:
                    raise TableError(
                        f"other writers were quicker for {_PATIENCE_SECONDS:.0f} s",
                        where=self.storage.uri,
                        next_step="Run again",
                    )
                time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - only to spread the writers

    def _refuse_repeated_keys(self, latest: State | None) -> None:
        """Refuse keys that two drops have, if the contract says that none has: once is enough."""
        contract = self.snapshot.contract
        if contract.unique == "drop" or self._is_unique:
            return
        with translated(self.storage):
            shared = keys_in_several(self.storage, latest, contract.key, self.snapshot.files)
        if shared.count:
            if not Quoting(contract, self.snapshot.private).allows(*contract.key):
                shared = replace(shared, examples=())
            raise DropError(
                f"{shared_keys_line(shared)}, and {contract.path} says `unique: table`",
                where=self.snapshot.contract.source,
                next_step="Mend or withdraw the drop that has them again, or say `unique: drop`",
            )
        self._is_unique = True

    def _open(self) -> None:
        if isinstance(self.storage, LocalStorage):
            self.storage.root.mkdir(parents=True, exist_ok=True)
        self.storage.sweep()

    def _mend(self, state: State) -> Collection[str]:
        """Make the snapshot's files again that the version lost; those still not as committed.

        A file made by another version of the libraries may have another size than the log says;
        then the snapshot needs a commit of its own.
        """
        damaged = self._damaged(state)
        for name in damaged:
            if self.snapshot.files[name] not in self.repaired:
                self._discard(name)
                self.repaired.append(self._convert(name))
        return [name for name in damaged if self._sizes[name] != state.files[name]]

    def _damaged(self, state: State) -> list[str]:
        """The snapshot's files that the version has and that are not what was written."""
        shared = self.snapshot.files.keys() & state.files.keys()
        damaged = shared & set(state.damaged(self._sizes))
        if self.verify:
            with translated(self.storage):
                for name in sorted(shared - damaged - self._sound):
                    if is_sound(self.storage, name, state.rows_by_file[name]):
                        self._sound.add(name)
                    else:
                        damaged.add(name)
        return sorted(damaged)

    def _commit(self, latest: State | None) -> int | None:
        """The version committed on top of `latest`, or None if another writer was first."""
        stale = self._stale(latest) if latest else ()
        plan = plan_commit(latest.files if latest else {}, self.snapshot.files)
        adds = [] if stale else [self._ready(name) for name in plan.adds]
        if not stale:
            self._refuse_repeated_keys(latest)
        if latest is not None:
            removes = bool(stale or plan.removes) or not self._has_our_schema(latest)
            refuse_unsafe(latest, removes=removes)
        with translated(self.storage):
            try:
                return self._write_entry(latest, adds, plan, stale)
            except CommitFailedError as error:
                if self._is_passed(latest):
                    return None
                raise TableError(
                    f"the commit is refused: {message_in_one_line(error)}",
                    where=self.storage.uri,
                    next_step="Mend that there, or give mergeline tables of its own: set "
                    "MERGELINE_TABLES to another place and run `mergeline snapshot`",
                ) from error
            except DeltaError as error:
                if latest is None and "already exists" in str(error):
                    return None
                raise

    def _write_entry(
        self,
        latest: State | None,
        adds: list[AddAction],
        plan: CommitPlan,
        stale: Collection[str],
    ) -> int | None:
        """Write the next entry of the log; its version, or None if another must follow."""
        if latest is None:
            self._create(adds, plan)
            return 0
        if stale:
            self._take_out(latest, stale)
            return None
        self._change(latest, adds, plan)
        return latest.version + 1

    def _is_passed(self, latest: State | None) -> bool:
        """Whether another writer has committed since: the one failure that a new try can mend."""
        now = open_state(self.storage)
        return now is not None and (latest is None or now.version > latest.version)

    def _has_our_schema(self, latest: State) -> bool:
        return bool(latest.table.schema() == delta_schema(self.snapshot.contract))

    def _create(self, adds: list[AddAction], plan: CommitPlan) -> None:
        create_table_with_add_actions(
            self.storage.uri,
            delta_schema(self.snapshot.contract),
            adds,
            name=self.snapshot.table,
            configuration=_CONFIGURATION,
            storage_options=self.storage.options,
            commit_properties=self._properties(0, plan),
        )

    def _take_out(self, latest: State, names: Collection[str]) -> None:
        write = latest.table.create_write_transaction
        if latest.deleted:
            # Only an overwrite removes a file together with its deletion vector, as Delta wants it.
            write([], "overwrite", latest.table.schema(), commit_properties=_commit_once())
            return
        removes = [remove_action(name, latest.files[name]) for name in names]
        write(removes, "append", latest.table.schema(), commit_properties=_commit_once())

    def _change(self, latest: State, adds: list[AddAction], plan: CommitPlan) -> None:
        schema = delta_schema(self.snapshot.contract)
        properties = self._properties(latest.version + 1, plan)
        write = latest.table.create_write_transaction
        if self._has_our_schema(latest) and not latest.deleted:
            removes = [remove_action(name, latest.files[name]) for name in plan.removes]
            write([*adds, *removes], "append", schema, commit_properties=properties)
        else:  # only an overwrite changes the schema, or removes files with deletion vectors
            write(adds, "overwrite", schema, commit_properties=properties)

    def _stale(self, latest: State) -> Collection[str]:
        """Files to take out of the table before the snapshot's commit can add them again.

        Those whose size is no longer what the log says; all that the snapshot shares, where
        somebody changed the schema or deleted rows. One commit can not both remove and add a file.
        """
        shared = self.snapshot.files.keys() & latest.files.keys()
        if shared and (latest.deleted or not self._has_our_schema(latest)):
            return sorted(shared)
        return self._mend(latest)

    def _ready(self, name: str) -> AddAction:
        """The entry that adds a file, once the file is in the table's folder and not broken."""
        if name not in self._adds:
            footer = None
            if name in self._sizes:
                try:
                    footer = self.storage.metadata(name)
                except (pa.ArrowInvalid, OSError):
                    self._discard(name)
            if footer is None:
                self.converted.append(self._convert(name))
                footer = self.storage.metadata(name)
            self._adds[name] = add_action(name, self._sizes[name], footer)
        return self._adds[name]

    def _discard(self, name: str) -> None:
        _log.warning("%s is gone or broken; converting its drop again", self.storage.path(name))
        self.storage.delete(name)
        forget(self.storage, name)  # it may be of the broken rows
        self._sizes.pop(name, None)
        self._adds.pop(name, None)

    def _convert_side_by_side(self, names: Sequence[str]) -> None:
        """Convert drops, some at a time; the first that is refused ends it.

        In threads: Arrow and Polars work outside of Python's lock. Each conversion takes memory of
        its own, so there are few at a time.
        """
        with (
            underway(f"drops of {self.snapshot.table}", total=len(names), unit="drops") as step,
            ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool,
        ):
            for name, size in zip(names, pool.map(self._make, names), strict=True):
                self.converted.append(self._made(name, size))
                step.advance()

    def _convert(self, name: str) -> Drop:
        return self._made(name, self._make(name))

    def _make(self, name: str) -> int:
        return make_file(
            self.storage, self.snapshot.contract, self.snapshot.files[name], self.write
        )

    def _made(self, name: str, size: int) -> Drop:
        self.bytes_written += size
        self._sizes[name] = self.storage.size(name) or 0
        self._sound.add(name)
        return self.snapshot.files[name]

    def _properties(self, version: int, plan: CommitPlan) -> CommitProperties:
        """What the version's entry in the table's history says."""
        added = [self.snapshot.files[name] for name in plan.adds]
        metadata = {
            **vars(self.provenance),
            "snapshot": self.snapshot.digest,
            "contract": self.snapshot.contract.digest,
            "drops": str(len(self.snapshot.files)),
            "drops_added": {drop.md5: drop.path for drop in added},
            "drops_replacing": {drop.md5: drop.replaces for drop in added if drop.replaces},
            "drops_removed": [drop_md5(name) for name in plan.removes],
        }
        return _commit_once(metadata, [Transaction(app_id(self.snapshot.digest), version, None)])


def make_file(storage: Storage, contract: Contract, drop: Drop, write: Write) -> int:
    """Put the file of a drop into the table's folder, under the name that says its content.

    The seam at which conversions can go elsewhere: it needs nothing but its arguments, so any
    thread, process or machine that reaches drop and table may run it, also twice. A file that is
    not whole has no name there. The commit is not its affair.

    Returns: the file's size as it was made, in bytes.
    """
    with new_part(storage) as part:
        write(drop, part)
        size = part.stat().st_size
        storage.put(part, file_name(contract, drop))
    return size


def _commit_once(
    metadata: Mapping[str, object] | None = None, transactions: Sequence[Transaction] = ()
) -> CommitProperties:
    """Commit on top of the version that was read, or not at all.

    Left to itself, delta-rs puts a raced commit on top of the other's, with both writers' files.
    """
    said = {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}
    shown = {"userMetadata": json.dumps(said)} if said else {}  # by Spark's history()
    return CommitProperties(
        custom_metadata={**(metadata or {}), **shown},
        max_commit_retries=0,
        app_transactions=list(transactions),
    )
