"""What a change edits of how it is judged: gate, metrics, contracts, holdout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mergeline.core.compare.holdout_changes import MovedRows
from mergeline.core.fingerprint.ingredients import Change, Stage, changes
from mergeline.core.gate.judge import moved_lines
from mergeline.core.report.content import Moved
from mergeline.lifecycle.steps.case import Case

_JUDGING: dict[str, Literal["metrics", "slices", "labels", "decision", "other"]] = {
    "metrics": "metrics",
    "slices": "slices",
    "slice_minimum": "slices",
    "label": "labels",
    "classes": "labels",
    "decision": "decision",
    "cluster": "other",
    "key": "other",
}


def moved_bar(case: Case) -> tuple[Moved, ...]:
    """What the change edits of how it is judged, beside the lines of the gate."""
    where, by = f"models/{case.model.name}.yaml", case.judged_by
    moved = [
        Moved(what, where, f"{name} changed")
        for name, what in _JUDGING.items()
        if by and getattr(by.model, name) != getattr(case.model, name)
    ]
    for change in _changes(case):
        if change.kind == "contract":
            moved.append(Moved("contract", change.where, change.said))
        elif _edits_holdout(case, change):
            moved.append(Moved("holdout", change.where, f"{change.said}: it makes the holdout"))
    return (*moved, *_moved_metrics(case), *case.noted)


def edited_bar(case: Case) -> str:
    """How the change edits what later changes must reach; empty if it does not.

    That is the gate, whose lines count from the merge on, and all that gives them their meaning:
    the decision threshold, slices, labels, clusters and metrics as they are declared, and the code
    of the project's own metrics. A metric that is only added has no bar yet.
    """
    by = case.judged_by
    if by is None:
        return ""
    edited = [
        f"gate.{line.key} {line.before} → {line.after}"
        for line in moved_lines(by.model.gate, case.model.gate)
    ]
    for name in _JUDGING:
        before, after = getattr(by.model, name), getattr(case.model, name)
        if before != after and name != "metrics":
            edited.append(f"{name} {before} → {after}" if name == "decision" else name)
    known = {metric.name: metric for metric in by.model.metrics}
    edited += [one.name for one in case.model.metrics if known.get(one.name, one) != one]
    edited += [moved.text for moved in _moved_metrics(case)]
    return f"what later changes must reach is edited ({', '.join(edited)})" if edited else ""


def _moved_metrics(case: Case) -> Iterator[Moved]:
    """The project's own metrics whose code the change edits; the standard's still measures."""
    if case.standard is None:
        return
    for metric in case.judge.metrics:
        module = "/".join(metric.name.split(".")[:-1])
        for path in (f"{module}.py", f"{module}/__init__.py") if module else ():
            then = case.standard.tree.files.blob(path)
            if then is not None and then != case.tree.files.blob(path):
                yield Moved("metrics", path, f"the code of {metric.name} changed")


def may_move_rows(case: Case) -> bool:
    """Whether the change edits something that the stage of the holdout reads, beside the drops."""
    return any(
        change.kind == "contract"
        or _edits_holdout(case, change)
        or any(change.where in stage.code for stage in _holdout_stages(case))
        for change in _changes(case)
    )


def moved_by_more_than_drops(case: Case, moved: MovedRows | None) -> str:
    """How a change moves its holdout by more than drops that come or go; empty if it does not.

    Edited code counts though today's rows stay: it may choose others of the next drop.
    """
    found = _changes(case)
    edited = next((change for change in found if _edits_holdout(case, change)), None)
    if edited is not None:
        return f"what makes the holdout is edited ({edited})"
    if moved is None or (moved.kept and not moved.added):
        return ""
    drops = [change for change in found if change.kind in {"drop", "data"}]
    replaced = any(_replaces_a_drop(change) for change in drops)
    stages = [*_holdout_stages(case)]
    shared = any(change.where in stage.code for change in found for stage in stages)
    if drops and not replaced and not shared and not moved.relabelled:
        return ""
    return f"the holdout's rows change by more than drops ({moved}; {moved.added:,} are new)"


def _replaces_a_drop(change: Change) -> bool:
    """A folder's pointer is another one with each drop that comes, so it tells nothing."""
    both = change.before is not None and change.after is not None
    return both and not (change.before or "").endswith(".dir")


def only_drops(case: Case) -> bool:
    """Whether the change brings and takes data, and nothing else."""
    return all(change.kind in {"drop", "data"} for change in _changes(case))


def _changes(case: Case) -> tuple[Change, ...]:
    """What differs from the tree that judges."""
    return changes(case.judged_by.ingredients, case.ingredients) if case.judged_by else ()


def _holdout_stages(case: Case) -> Iterator[Stage]:
    """The stage that writes the holdout, in the tree and in the one that judges."""
    before = case.judged_by.ingredients.stages if case.judged_by else ()
    stages = (*before, *case.ingredients.stages)
    return (stage for stage in stages if stage.name == case.model.stage)


def _edits_holdout(case: Case, change: Change) -> bool:
    """Whether the stage that writes the holdout reads a param, or it alone runs again."""
    if change.kind == "params":
        key = f"{change.where}: {change.what}"
        return any(key in stage.params for stage in _holdout_stages(case))
    return change.kind in {"code", "command", "stage"} and change.stages == (case.model.stage,)
