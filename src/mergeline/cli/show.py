"""The results of the lifecycle's verbs as lines for a person, one function for each type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mergeline.core.declare.pointer import describe_differing
from mergeline.core.numbers import counted, duration, size

if TYPE_CHECKING:
    from mergeline.core.data.garbage import GarbagePlan
    from mergeline.core.fingerprint.change_plan import ChangePlan
    from mergeline.core.fingerprint.ingredients import Change
    from mergeline.core.release.facts import Time
    from mergeline.core.release.reconcile import ShowPlan
    from mergeline.core.report.content import Report
    from mergeline.lifecycle.verbs.comment import Commented
    from mergeline.lifecycle.verbs.doctor import Finding
    from mergeline.lifecycle.verbs.promote import Promoted
    from mergeline.lifecycle.verbs.release import Released
    from mergeline.lifecycle.verbs.reproduce import Reproduced
    from mergeline.lifecycle.verbs.snapshot import PlannedSnapshot
    from mergeline.lifecycle.verbs.status import Status
    from mergeline.lifecycle.verbs.store import StoreGarbage
    from mergeline.lifecycle.verbs.track import PlannedTracking, Tracked
    from mergeline.lifecycle.verbs.why import Why


def change_plan_lines(plan: ChangePlan) -> list[str]:
    """What a change will cause."""
    if plan.before == plan.fingerprint:
        lines = [f"{plan.model}: nothing that determines the model changes; {_outcome(plan)}"]
    elif plan.before is None:
        lines = [f"{plan.model}: no base to compare with; {_outcome(plan)}"]
    elif plan.known:
        lines = [*map(str, plan.changes), f"{plan.model}: {_outcome(plan)}"]
    else:
        lines = [f"{change}: {_effect(plan, change)}" for change in plan.changes]
    lines = [f"{plan.model}: {plan.unreleased}", *lines] if plan.unreleased else lines
    lines += [f"the bar moves: {path}" for path in plan.moved]
    for table, paths in plan.unpointed.items():
        files = f"{len(paths)} files have" if len(paths) > 1 else "1 file has"
        lines.append(f"{table}: {files} no pointer, so no model sees it: dvc add {paths[0]} …")
    lines += plan.notes
    if not plan.locked:
        lines.append(
            f"{plan.model}: no dependency lock (such as uv.lock) is in the tree, so no "
            "fingerprint sees which versions train it"
        )
    if plan.differing:
        problem, next_step = describe_differing(plan.differing)
        lines.append(f"{problem}, so evaluate and snapshot will refuse. {next_step}")
    return lines


def _outcome(plan: ChangePlan) -> str:
    if plan.known and plan.before == plan.fingerprint:
        return "nothing runs"
    if plan.known:
        return f"this tree was trained already ({plan.known}); nothing trains"
    why = "" if plan.run else "it was never trained: "
    return why + _stages_run(plan.run or plan.stay)


def _effect(plan: ChangePlan, change: Change) -> str:
    if change.kind == "decision":
        return "another model, though no stage reads it"
    if not change.stages:
        return "nothing runs"
    effect = _stages_run(change.stages)
    if plan.snapshots:
        return effect
    everything = not {*plan.run, *plan.stay} - {*change.stages}
    return f"{effect}, on the same snapshots" if everything else f"{effect}; snapshots stay"


def _stages_run(names: Sequence[str]) -> str:
    """Such as `train and evaluate run`."""
    if len(names) < 2:
        return f"{''.join(names)} {'runs' if names else 'run'}"
    return f"{', '.join(names[:-1])} and {names[-1]} run"


def planned_snapshot_lines(planned: PlannedSnapshot) -> list[str]:
    """What `snapshot` would build for one table."""
    line = f"{planned.table} {planned.digest[:8]}: {counted(planned.drops, 'drop')}"
    if planned.version is None:
        return [f"{line}, would be built", *planned.notes]
    damaged = counted(planned.damaged_files, "damaged file")
    repair = f"; {damaged} would be made again" if planned.damaged_files else ""
    return [f"{line}, version {planned.version} holds it{repair}", *planned.notes]


def report_text(report: Report, form: str) -> str:
    """The report in one of the forms of `RENDERERS`."""
    from mergeline.core.report.render.formats import RENDERERS

    if form == "terminal":
        from rich.console import Console

        from mergeline.core.report.render.terminal import terminal_text

        return terminal_text(report, Console())  # in this terminal's width and colours
    return RENDERERS[form](report)


def planned_tracking_lines(planned: PlannedTracking) -> list[str]:
    """What `track` would take in of one candidate."""
    from mergeline.lifecycle.verbs.track import describe_tracked

    if planned.evaluation_stored:
        return [describe_tracked(planned.model, planned.fingerprint)]
    name = f"{planned.model} {planned.fingerprint[:8]}"
    evaluation = f"its evaluation ({planned.verdict}) would be stored"
    if planned.candidate_stored:
        return [f"{name} is in the store; {evaluation}"]
    return [f"{name} and {evaluation}"]


def tracked_lines(tracked: Tracked) -> list[str]:
    """A candidate that is in the store."""
    run = f" run {tracked.run_id}" if tracked.run_id else ""
    return [f"{tracked.model} {tracked.fingerprint[:8]} {tracked.digest}{run}"]


def finding_lines(finding: Finding) -> list[str]:
    """What `doctor` found of one thing."""
    line = f"{finding.state:<8}{finding.topic}: {finding.text}"
    return [line, f"        {finding.next_step}"] if finding.next_step else [line]


def comment_lines(commented: Commented) -> list[str]:
    """What a pull request is told, or would be."""
    if commented.url is not None:
        return [commented.url]
    head, (state, text) = commented.head[:8], commented.status
    if commented.newer_head:
        proposed = f"pull request {commented.pull_request} proposes {commented.newer_head[:8]}"
        return [f"{proposed}, and the report is of {head}: nothing is posted"]
    whose = f"pull request {commented.pull_request} at " if commented.pull_request else ""
    return [f"{whose}{head}: {text} ({state})"]


def release_lines(released: Released) -> list[str]:
    """What a release of one model planned or did."""
    if released.plan.steps and not released.applied:
        steps = [f"{released.model}: {step.kind}: {step.text}" for step in released.plan.steps]
        waits = released.plan.waits
        return [*steps, f"{released.model}: then: {waits}"] if waits else steps
    return [released.sentence, *released.plan.refusal[1:]]


def status_lines(status: Status) -> list[str]:
    """Target and live of one model, and their difference."""
    version = f"v{status.champion}" if status.champion else "nothing"
    lines = [
        f"{status.model}",
        f"  target  {status.target[:8]}  main at {status.commit[:8]}",
        f"  live    {(status.fingerprint or 'none')[:8]}  {version} in production",
    ]
    if status.staging:
        lines.append(f"          v{status.staging} in staging")
    if status.served:
        lines.append(f"  server  answers with model {status.served[:8]}")
    if status.server_problem:
        lines.append(f"  server  {status.server_problem}")
    if status.waits:
        lines.append(f"  waits   {status.waits}")
    lines += [f"  drift   {line}" for line in status.drift] or ["  drift   none"]
    return lines + [f"  ledger  not believed: {doubt}" for doubt in status.doubts]


def why_lines(why: Why) -> Iterator[str]:
    """Where one model comes from, a fact a line."""
    from mergeline.core.report import safe

    version = f"v{why.version}" if why.version else "a candidate that was never in a stage"
    yield f"{why.model} {version}"
    for name, texts in _origin(why).items():
        for text in filter(None, texts):
            yield f"  {name:<13}{safe.text(text.strip())}"


def _origin(why: Why) -> dict[str, list[str]]:
    """What is known of a model, by what it is."""
    page, judged, origin = why.brought_by, why.evaluation, why.origin
    number = page.pull_request if page else origin.pull_request
    approval = page.approval if page else None
    return {
        "model": [why.model_digest],
        "fingerprint": [why.fingerprint],
        "stage": [_time_in_stage(time) for time in why.times],
        "verdict": [why.headline or (judged.verdict if judged else "it was never judged")],
        "override": [page.override or "" if page else ""],
        "pull request": [
            f"#{number} {page.pull_request_url or '' if page else ''}" if number else ""
        ],
        "commit": [f"{page.commit[:12]} {page.subject}" if page else (origin.commit or "")[:12]],
        "author": [page.author if page else origin.author or ""],
        "approved by": [", ".join(page.approved_by) if page else ""],
        "bar moved by": [f"{approval.by}: {approval.reason}" if approval else ""],
        "gate": [judged.gate_digest if judged else ""],
        "data": [
            f"{use.table} snapshot {use.digest[:12]}, {counted(use.rows, 'row')}, "
            f"version {use.version} of {use.uri}"
            for use in why.snapshots
        ],
        "params": [f"{name}: {value}" for name, value in why.params.items()],
        "trained with": [", ".join(f"{name} {text}" for name, text in why.environment.items())],
        "report": [f"mergeline report {why.fingerprint[:12]}" if judged else ""],
    }


def _time_in_stage(time: Time) -> str:
    from mergeline.core.release.ledger import page_name

    entry, seconds = time.entry, time.seconds
    lasted = "until now" if seconds is None else f"for {duration(seconds)}"
    replaced = f", in place of v{entry.replaced}" if entry.replaced else ""
    page = page_name(entry.model, entry.sequence)
    return f"{entry.stage} since {entry.released_at} {lasted}{replaced} ({page})"


def promoted_lines(promoted: Promoted) -> list[str]:
    """What was moved, or would be."""
    name, at = f"{promoted.model} v{promoted.version}", promoted.stage
    if promoted.page is None:
        return [f"{name} stands in {at}"]
    verb = "moves" if promoted.applied else "would move"
    return [f"{name} {verb} from {promoted.before} to {at}: {promoted.page}"]


def reproduction_lines(reproduced: Reproduced) -> list[str]:
    """A candidate, and the same fingerprint trained again."""
    same_predictions = "the same on every row" if reproduced.same_predictions else "differ"
    return [
        f"{reproduced.model} {reproduced.fingerprint[:8]}",
        *(
            f"  {name}: tracked {tracked!r}, again {again!r}"
            for name, (tracked, again) in reproduced.metrics.items()
        ),
        f"  model: {'the same bytes' if reproduced.same_bytes else 'other bytes'}",
        f"  predictions: {same_predictions}",
        "reproduced" if reproduced.agrees else "NOT reproduced",
    ]


def showing_lines(plan: ShowPlan) -> list[str]:
    """What is written into MLflow of one model."""
    steps = [f"{plan.model}: {step.kind}: {step.text}" for step in plan.steps]
    return steps or [f"{plan.model}: MLflow shows what store and ledger have; nothing to do"]


def store_garbage_lines(garbage: StoreGarbage) -> list[str]:
    """The candidates that `store gc` deletes."""
    verb = "deleted" if garbage.applied else "to delete"
    lines = [f"{model} {fp[:8]}: {verb}, evaluated {at}" for model, fp, at in garbage.delete]
    return [*lines, f"{counted(len(garbage.delete), 'candidate')} {verb}, {garbage.keep} kept"]


def garbage_lines(plan: GarbagePlan) -> Iterator[str]:
    """The files of one table that `data gc` deletes."""
    versions = ", ".join(map(str, plan.pinned))
    yield (
        f"{plan.table}: {counted(len(plan.delete), 'file')} to delete ({size(plan.size)}), "
        f"{counted(plan.keep, 'file')} kept; versions {versions} stay readable"
    )
    for file in plan.delete:
        yield f"  − {file.name} ({size(file.size)})"
    for digest in plan.missing:
        yield f"  ! pinned snapshot {digest[:8]} is not in the table"
