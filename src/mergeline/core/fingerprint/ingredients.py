"""The fingerprint: the digest of everything in a Git tree that determines a model.

It is made of the model's stages (commands in their order), the parameters those stages read, the
content of the code they depend on, the digests of the snapshots, the dependency lock, and the
folder that the model is taken from. It is not made of the commit, the README, the gate, comments,
or keys of `params.yaml` that no stage reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SNAPSHOT_FILE = ".snapshot.json"


@dataclass(frozen=True)
class Stage:
    """What one stage of `dvc.yaml` is made of.

    Attributes:
        command: as written; several commands are joined by newlines.
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


@dataclass(frozen=True)
class TableInput:
    """What determines a snapshot.

    Attributes:
        digest: over the contract and the pointers.
        contract: digest of the contract.
        pointers: md5 by the pointer's path.
    """

    digest: str
    contract: str
    pointers: Mapping[str, str]


@dataclass(frozen=True)
class Ingredients:
    """Everything that determines one model.

    Attributes:
        stages: in the order in which they run.
        snapshots: by table.
        lock: digest by dependency-lock file.
        outputs: folder of what the stages leave, by the model's declaration.
    """

    stages: tuple[Stage, ...]
    snapshots: Mapping[str, TableInput]
    lock: Mapping[str, str]
    outputs: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of the ingredients, 64 hexadecimal digits."""
        return _digest(
            {
                "stages": [_parts(stage) for stage in self.stages],
                "snapshots": {table: one.digest for table, one in self.snapshots.items()},
                "lock": dict(self.lock),
                "outputs": self.outputs,
            }
        )

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
        kind: `params`, `code`, `data`, `drop`, `contract`, `command`, `stage` or `lock`.
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
        if self.kind in {"params", "command"}:
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
    """What differs between the ingredients of two trees, and which stages that makes run."""
    if before is None:
        return ()
    found: list[Change] = []
    old = {stage.name: stage for stage in before.stages}
    new = {stage.name: stage for stage in after.stages}
    everything = tuple(new)
    for table in sorted({*before.snapshots, *after.snapshots}):
        users = [stage.name for stage in after.stages if table in stage.tables]
        found.extend(
            _table_changes(
                table,
                before.snapshots.get(table),
                after.snapshots.get(table),
                _downstream(after, users),
            )
        )
    for name in sorted({*old, *new}):
        found.extend(_stage_changes(name, old.get(name), new.get(name), after))
    order_before = [stage.name for stage in before.stages if stage.name in new]
    order_after = [stage.name for stage in after.stages if stage.name in old]
    if order_before != order_after:
        found.append(
            Change("command", "dvc.yaml", "order of stages", ", ".join(order_before),
                   ", ".join(order_after), everything)
        )  # fmt: skip
    for path, digest_before, digest_after in _differing(before.lock, after.lock):
        found.append(Change("lock", path, path, digest_before, digest_after, everything))
    if before.outputs != after.outputs:
        last = everything[-1:]  # the model's own stage: model and holdout are others now
        found.append(Change("command", "models/", "outputs", before.outputs, after.outputs, last))
    return _merged(found, after)


def _table_changes(
    table: str, old: TableInput | None, new: TableInput | None, stages: tuple[str, ...]
) -> list[Change]:
    contract = (old.contract if old else None, new.contract if new else None)
    found = []
    if contract[0] != contract[1]:
        where = f"data/{table}.yaml"
        found.append(Change("contract", where, f"contract of {table}", *contract, stages))
    pointers_before = old.pointers if old else {}
    pointers_after = new.pointers if new else {}
    for path, md5_before, md5_after in _differing(pointers_before, pointers_after):
        drop = path.rpartition("/")[2].removesuffix(".dvc")
        found.append(Change("drop", path, f"drop {drop}", md5_before, md5_after, stages))
    return found


def _stage_changes(
    name: str, old: Stage | None, new: Stage | None, after: Ingredients
) -> list[Change]:
    again = _downstream(after, [name]) if new else ()
    if old is None or new is None:
        before_command = old.command if old else None
        after_command = new.command if new else None
        return [Change("stage", "dvc.yaml", f"stage {name}", before_command, after_command, again)]
    found = []
    if old.command != new.command:
        found.append(Change("command", "dvc.yaml", f"{name}.cmd", old.command, new.command, again))
    for key, value_before, value_after in _differing(old.params, new.params):
        path, _, dotted = key.partition(": ")
        found.append(
            Change("params", path, dotted, _show(value_before, key in old.params),
                   _show(value_after, key in new.params), again)
        )  # fmt: skip
    for kind, mine, theirs in (("code", old.code, new.code), ("data", old.data, new.data)):
        for path, blob_before, blob_after in _differing(mine, theirs):
            found.append(
                Change(kind, path, path.rpartition("/")[2], blob_before, blob_after, again)
            )
    return found


def _merged(found: Sequence[Change], after: Ingredients) -> tuple[Change, ...]:
    """One change for a file or key that several stages read."""
    order = [stage.name for stage in after.stages]
    merged: dict[tuple[str, str, str], Change] = {}
    for change in found:
        key = (change.kind, change.where, change.what)
        names = {*change.stages, *(merged[key].stages if key in merged else ())}
        stages = tuple(name for name in order if name in names)
        merged[key] = Change(
            change.kind, change.where, change.what, change.before, change.after, stages
        )
    return tuple(merged.values())


def _downstream(ingredients: Ingredients, names: Sequence[str]) -> tuple[str, ...]:
    reached = set(names)
    for stage in ingredients.stages:
        if reached & set(stage.after):
            reached.add(stage.name)
    return tuple(stage.name for stage in ingredients.stages if stage.name in reached)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (key, before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if (key in before) != (key in after)
        or _canonical(before.get(key)) != _canonical(after.get(key))
    ]


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
    return {
        "name": stage.name,
        "command": stage.command,
        "params": dict(stage.params),
        "code": dict(stage.code),
        "data": dict(stage.data),
        "after": sorted(stage.after),
    }


def _show(value: object, present: bool) -> str | None:  # noqa: FBT001
    if not present:
        return None
    return value if isinstance(value, str) else _canonical(value)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()
