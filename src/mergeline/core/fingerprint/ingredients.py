"""The fingerprint: the digest of everything in a Git tree that determines a model.

It is not made of the commit, the README, the gate, comments, or keys of `params.yaml` that no stage
reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mergeline.core.declare.model import DECISION

SNAPSHOT_FILE = ".snapshot.json"


@dataclass(frozen=True)
class Stage:
    """What one stage of `dvc.yaml` is made of.

    Attributes:
        command: as DVC runs it; several commands are joined by newlines.
        folder: where it runs; empty for the root.
        params: effective values by `file: dotted.key`.
        code: Git's name of the content of each file it depends on, by path.
        data: md5 of each DVC-tracked dependency that is not a table, by path.
        tables: names of the tables whose snapshots it reads or makes.
        after: names of the stages whose outputs it depends on.
    """

    name: str
    command: str
    params: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    folder: str = ""


@dataclass(frozen=True)
class TableInput:
    """What determines a snapshot; the digest is over the contract and the pointers."""

    digest: str
    contract: str
    pointers: Mapping[str, str]  # md5 by path


@dataclass(frozen=True)
class Ingredients:
    """Everything that determines one model.

    Attributes:
        stages: in the order in which they run.
        snapshots: by table.
        lock: digest by dependency-lock file.
        outputs: folder of what the stages leave, by the model's declaration.
        decision: the probability from which the model says yes, by its declaration: one that
            decides otherwise is another model.
    """

    stages: tuple[Stage, ...]
    snapshots: Mapping[str, TableInput]
    lock: Mapping[str, str]
    outputs: str = ""
    decision: float = DECISION

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of the ingredients, 64 hexadecimal digits."""
        parts: dict[str, Any] = {
            "stages": [_parts(stage) for stage in self.stages],
            "snapshots": {table: one.digest for table, one in self.snapshots.items()},
            "lock": dict(self.lock),
            "outputs": self.outputs,
        }
        if self.decision != DECISION:  # else models that were made before it counted stay known
            parts["decision"] = self.decision
        return _digest(parts)

    def tracked_data(self) -> dict[str, str]:
        """md5 of each file or folder behind a pointer that a stage reads as it is, by path."""
        return {path: md5 for stage in self.stages for path, md5 in stage.data.items()}

    def params(self) -> dict[str, Any]:
        """Effective params of all stages by `dotted.key` (with the file, where not params.yaml)."""
        return {
            key.removeprefix("params.yaml: "): value
            for stage in self.stages
            for key, value in stage.params.items()
        }


@dataclass(frozen=True)
class Change:
    """One ingredient that differs.

    Attributes:
        kind: `params`, `code`, `data`, `drop`, `contract`, `command`, `stage`, `lock` or
            `decision`.
        where: the file.
        what: the key, file, table or stage.
        before: None where it is new.
        after: None where it is gone.
        stages: the stages that run again because of it, in order.
    """

    kind: str
    where: str
    what: str
    before: str | None
    after: str | None
    stages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"

    @property
    def said(self) -> str:
        """What changed, without the file."""
        if self.kind in {"params", "command", "decision"}:
            before = "absent" if self.before is None else self.before
            after = "absent" if self.after is None else self.after
            return f"{self.what} {before} → {after}"
        if self.before is None:
            return f"{self.what} added"
        return f"{self.what} removed" if self.after is None else f"{self.what} changed"


def stages_to_run(before: Ingredients | None, after: Ingredients) -> tuple[str, ...]:
    """Names of the stages whose own ingredients, or those of a stage before them, differ."""
    old = _stage_digests(before) if before else {}
    new = _stage_digests(after)
    return tuple(stage.name for stage in after.stages if old.get(stage.name) != new[stage.name])


def changes(before: Ingredients | None, after: Ingredients) -> tuple[Change, ...]:
    """What differs between the ingredients of two trees, and which stages that makes run.

    A file or key that several stages read is one change.
    """
    if before is None:
        return ()
    merged: dict[tuple[str, str, str], Change] = {}
    for change in _changes(before, after):
        key = (change.kind, change.where, change.what)
        names = {*change.stages, *(merged[key].stages if key in merged else ())}
        stages = tuple(stage.name for stage in after.stages if stage.name in names)
        merged[key] = replace(change, stages=stages)
    return tuple(merged.values())


def _changes(before: Ingredients, after: Ingredients) -> Iterator[Change]:
    old = {stage.name: stage for stage in before.stages}
    new = {stage.name: stage for stage in after.stages}
    everything = tuple(new)
    for table in sorted({*before.snapshots, *after.snapshots}):
        yield from _table_changes(table, before, after)
    for name in sorted({*old, *new}):
        yield from _stage_changes(name, old.get(name), new.get(name), after)
    old_order = ", ".join(name for name in old if name in new)
    new_order = ", ".join(name for name in new if name in old)
    if old_order != new_order:
        yield Change("command", "dvc.yaml", "order of stages", old_order, new_order, everything)
    for path, was, now in _differing(before.lock, after.lock):
        yield Change("lock", path, path, was, now, everything)
    if before.outputs != after.outputs:
        last = everything[-1:]  # the model's own stage: model and holdout are others now
        yield Change("command", "models/", "outputs", before.outputs, after.outputs, last)
    if before.decision != after.decision:
        was, now = _canonical(before.decision), _canonical(after.decision)
        yield Change("decision", "models/", "decision", was, now, ())


def _table_changes(table: str, before: Ingredients, after: Ingredients) -> Iterator[Change]:
    stages = _downstream(after, [stage.name for stage in after.stages if table in stage.tables])
    absent = TableInput(digest="", contract="", pointers={})
    old, new = (tree.snapshots.get(table, absent) for tree in (before, after))
    if old.contract != new.contract:
        where, what = f"data/{table}.yaml", f"contract of {table}"
        yield Change("contract", where, what, old.contract or None, new.contract or None, stages)
    for path, was, now in _differing(old.pointers, new.pointers):
        drop = path.rpartition("/")[2].removesuffix(".dvc")
        yield Change("drop", path, f"drop {drop}", was, now, stages)


def _stage_changes(
    name: str, old: Stage | None, new: Stage | None, after: Ingredients
) -> Iterator[Change]:
    if old is None or new is None:
        was, now = (stage.command if stage else None for stage in (old, new))
        again = _downstream(after, [name]) if new else ()
        yield Change("stage", "dvc.yaml", f"stage {name}", was, now, again)
        return
    again = _downstream(after, [name])
    if old.command != new.command:
        yield Change("command", "dvc.yaml", f"{name}.cmd", old.command, new.command, again)
    if old.folder != new.folder:
        yield Change("command", "dvc.yaml", f"{name}.wdir", old.folder, new.folder, again)
    for key, was, now in _differing(old.params, new.params):
        path, _, dotted = key.partition(": ")
        yield Change("params", path, dotted, was, now, again)
    for kind, mine, theirs in (("code", old.code, new.code), ("data", old.data, new.data)):
        for path, was, now in _differing(mine, theirs):
            yield Change(kind, path, path.rpartition("/")[2], was, now, again)


def _downstream(ingredients: Ingredients, names: Sequence[str]) -> tuple[str, ...]:
    reached = set(names)
    for stage in ingredients.stages:
        if reached & set(stage.after):
            reached.add(stage.name)
    return tuple(stage.name for stage in ingredients.stages if stage.name in reached)


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Keys whose values differ, with both values as texts; None where the key is absent."""
    for key in sorted({*before, *after}):
        same = key in before and key in after and _canonical(before[key]) == _canonical(after[key])
        if not same:
            yield key, _shown(before, key), _shown(after, key)


def _shown(values: Mapping[str, Any], key: str) -> str | None:
    if key not in values:
        return None
    return values[key] if isinstance(values[key], str) else _canonical(values[key])


def _stage_digests(ingredients: Ingredients) -> dict[str, str]:
    digests: dict[str, str] = {}
    outputs = {stage.name: ingredients.outputs for stage in ingredients.stages[-1:]}
    for stage in ingredients.stages:
        upstream = [digests[name] for name in stage.after]
        tables = {table: ingredients.snapshots[table].digest for table in stage.tables}
        digests[stage.name] = _digest(
            [_parts(stage), tables, upstream, dict(ingredients.lock), outputs.get(stage.name)]
        )
    return digests


def _parts(stage: Stage) -> dict[str, Any]:
    folder = {"folder": stage.folder} if stage.folder else {}  # older fingerprints know none
    return folder | {
        "name": stage.name,
        "command": stage.command,
        "params": dict(stage.params),
        "code": dict(stage.code),
        "data": dict(stage.data),
        "after": sorted(stage.after),
    }


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()
