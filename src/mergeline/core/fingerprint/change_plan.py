"""What a change will cause, told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergeline.core.fingerprint.ingredients import Change, Ingredients, changes, stages_to_run


@dataclass(frozen=True)
class ChangePlan:
    """What a tree means for one model.

    Attributes:
        before: fingerprint at the base, or in production; None if that has no such model.
        run: stages that must run; `stay`: stages whose result stands.
        snapshots: tables whose snapshot is another one.
        moved: gate, holdout or contract files that the change edits.
        known: where the candidate is already, in words, e.g. `run 3f2a…`.
        unpointed: by table, files among its drops that no pointer names.
        differing: drops in the working tree that are not what their pointers say.
        notes: what else is worth a look before anything runs, a sentence each.
        locked: whether the tree has a dependency lock.
        unreleased: that the base is not what is in production, which it is compared with then.
        touched: whether it makes another model than the base, or another bar for it.
    """

    model: str
    before: str | None
    fingerprint: str
    changes: tuple[Change, ...]
    run: tuple[str, ...]
    stay: tuple[str, ...]
    snapshots: tuple[str, ...]
    moved: tuple[str, ...] = ()
    known: str | None = None
    unpointed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    locked: bool = True
    unreleased: str = ""
    touched: bool = True


def plan_change(
    model: str,
    before: Ingredients | None,
    after: Ingredients,
    *,
    moved: Sequence[str] = (),
    known: str | None = None,
    unpointed: Mapping[str, tuple[str, ...]] | None = None,
    differing: Sequence[str] = (),
    notes: Sequence[str] = (),
    unreleased: str = "",
    touched: bool = True,
) -> ChangePlan:
    """Compare the ingredients of two trees."""
    run = stages_to_run(before, after)
    old_snapshots = before.snapshots.items() if before else ()
    old_digests = {table: snapshot.digest for table, snapshot in old_snapshots}
    return ChangePlan(
        model=model,
        before=before.fingerprint if before else None,
        fingerprint=after.fingerprint,
        changes=changes(before, after),
        run=run,
        stay=tuple(stage.name for stage in after.stages if stage.name not in run),
        snapshots=tuple(
            table
            for table, snapshot in after.snapshots.items()
            if old_digests.get(table) != snapshot.digest
        ),
        moved=tuple(moved),
        known=known,
        unpointed=unpointed or {},
        differing=tuple(differing),
        notes=tuple(notes),
        locked=bool(after.lock),
        unreleased=unreleased,
        touched=touched,
    )
