"""What a change will cause, told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergeline.core.declare.pointer import describe_differing
from mergeline.core.fingerprint.ingredients import Change, Ingredients, changes, stages_to_run


@dataclass(frozen=True)
class ChangePlan:
    """What a tree means for one model.

    Attributes:
        before: fingerprint at the base; None where there is no base or no such model there.
        changes: the ingredients that differ.
        run: stages that must run.
        stay: stages whose result stands.
        snapshots: tables whose snapshot is another one.
        moved: gate, holdout or contract files that the change edits.
        known: where the candidate is already, in words, e.g. `run 3f2a…`.
        unpointed: by table, files among its drops that no pointer names.
        differing: drops in the working tree that are not what their pointers say.
        locked: whether the tree has a dependency lock.
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
    locked: bool = True

    def lines(self) -> list[str]:
        """The plan in sentences, one a line."""
        if self.before == self.fingerprint:
            said = [f"{self.model}: nothing that determines the model changes; {self._outcome()}"]
        elif self.before is None:
            said = [f"{self.model}: no base to compare with; {self._outcome()}"]
        elif self.known:
            said = [*map(str, self.changes), f"{self.model}: {self._outcome()}"]
        else:
            said = [f"{change}: {self._effect(change)}" for change in self.changes]
        said += [f"the bar moves: {path}" for path in self.moved]
        for table, paths in self.unpointed.items():
            files = f"{len(paths)} files have" if len(paths) > 1 else "1 file has"
            said.append(f"{table}: {files} no pointer, so no model sees it: dvc add {paths[0]} …")
        if not self.locked:
            said.append(
                f"{self.model}: no dependency lock (such as uv.lock) is in the tree, so no "
                "fingerprint sees which versions train it"
            )
        if self.differing:
            what, next_step = describe_differing(self.differing)
            said.append(f"{what}, so evaluate and snapshot will refuse. {next_step}")
        return said

    def _outcome(self) -> str:
        if self.known and self.before == self.fingerprint:
            return "nothing runs"
        if self.known:
            return f"this tree was trained already ({self.known}); nothing trains"
        run = self.run or self.stay
        why = "" if self.run else "it was never trained: "
        return f"{why}{_join(run)} {_runs(run)}"

    def _effect(self, change: Change) -> str:
        if not change.stages:
            return "nothing runs"
        effect = f"{_join(change.stages)} {_runs(change.stages)}"
        if self.snapshots:
            return effect
        everything = not {*self.run, *self.stay} - {*change.stages}
        return f"{effect}, on the same snapshots" if everything else f"{effect}; snapshots stay"


def plan_change(
    model: str,
    before: Ingredients | None,
    after: Ingredients,
    *,
    moved: Sequence[str] = (),
    known: str | None = None,
    unpointed: Mapping[str, tuple[str, ...]] | None = None,
    differing: Sequence[str] = (),
) -> ChangePlan:
    """Compare the ingredients of two trees."""
    run = stages_to_run(before, after)
    snapshots = tuple(
        table
        for table, one in after.snapshots.items()
        if before is None
        or table not in before.snapshots
        or before.snapshots[table].digest != one.digest
    )
    return ChangePlan(
        model=model,
        before=before.fingerprint if before else None,
        fingerprint=after.fingerprint,
        changes=changes(before, after),
        run=run,
        stay=tuple(stage.name for stage in after.stages if stage.name not in run),
        snapshots=snapshots,
        moved=tuple(moved),
        known=known,
        unpointed=unpointed or {},
        differing=tuple(differing),
        locked=bool(after.lock),
    )


def _join(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _runs(names: Sequence[str]) -> str:
    return "runs" if len(names) == 1 else "run"
