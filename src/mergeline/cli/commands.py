"""The commands of the lifecycle: options, one verb, print, exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mergeline.cli import begin
from mergeline.cli.data import contract, data, this_project
from mergeline.cli.image import image
from mergeline.cli.output import (
    JSON,
    REFUSED,
    as_document,
    print_json,
    print_parts,
    print_results,
    say,
    set_output,
)
from mergeline.core.report.render.formats import RENDERERS
from mergeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mergeline.lifecycle.steps.evaluation import Evaluated

_NOT_JUDGED = 3
# The exit code that a shell reports for it; Windows has no such signal.
_READER_GONE = 128 + getattr(signal, "SIGPIPE", 13)
# All else starts processes and ends them as Windows does not know it.
_ON_WINDOWS = {
    "init", "plan", "report", "open", "status", "history", "data", "contract", "schema",
}  # fmt: skip
_MODEL = click.argument("model", required=False)
_PLAN = click.option("--plan", "plan_only", is_flag=True, help="Print what would be done only.")
_BASE = click.option("--base", metavar="REF", help="Branch or commit it would merge onto [main].")
_FOLDER = click.Path(file_okay=False, path_type=Path)


class _Verbs(click.Group):
    """The verbs of the lifecycle, listed in its order and not in the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse on Windows what does not work there; its help may be read."""
        name, command, rest = super().resolve_command(ctx, args)
        asks_for_help = not {"-h", "--help"}.isdisjoint(rest)
        if os.name == "nt" and name not in _ON_WINDOWS and not asks_for_help:
            raise InputError(
                f"{name} does not work on Windows: it starts processes that need Linux or macOS",
                next_step="Run it in WSL, or leave it to the forge's jobs",
            )
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        """End as a shell expects when the reader of the output goes away, as in `… | head`.

        click and rich would end with 1, which means that the gate refused.
        """
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as end:
            if BrokenPipeError not in {type(end), type(end.__context__)}:
                raise
            # Python prints what is left once more at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_READER_GONE)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mergeline")
def commands() -> None:
    """Merge is the release: a Git-driven lifecycle for machine-learning models."""


commands.add_command(begin.init)


@commands.command()
@_MODEL
@_BASE
@JSON
def plan(model: str | None, base: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell what the working tree will cause, and why.

    In a job the output `changes` says whether there is anything to judge: true or false.
    """
    from mergeline.cli.show import change_plan_lines
    from mergeline.lifecycle.verbs.plan import plan as read

    plans = read(this_project(), model=model, base=base)
    set_output("changes", "true" if any(plan.touched for plan in plans) else "false")
    print_results(plans, change_plan_lines, as_json=as_json)


@commands.command()
@_PLAN
@JSON
def snapshot(plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Build the snapshots that pointers and contracts name."""
    from mergeline.cli.show import planned_snapshot_lines
    from mergeline.lifecycle.steps.snapshots import describe_built
    from mergeline.lifecycle.verbs import snapshot as verb

    if plan_only:
        print_results(verb.plan_snapshots(this_project()), planned_snapshot_lines, as_json=as_json)
    else:
        built = verb.snapshot(this_project())
        print_results(built, lambda each: [describe_built(each), *each.notes], as_json=as_json)


@commands.command()
@_MODEL
@_BASE
@click.option("--bundle", type=_FOLDER, help="Leave the bundle there; write to no store.")
@click.option("--sample", is_flag=True, help="Try part of the drops only; cannot be released.")
@_PLAN
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def evaluate(
    *,
    model: str | None,
    base: str | None,
    bundle: Path | None,
    sample: bool,
    plan_only: bool,
    as_json: bool,
) -> None:
    """Hold the candidate against production and base.

    It is trained unless it is known. Exit code 1: the gate refuses it.
    """
    from mergeline.lifecycle.verbs.evaluate import evaluate as run

    if plan_only:
        click.get_current_context().invoke(plan, model=model, base=base, as_json=as_json)
        return
    evaluated = run(this_project(), model=model, base=base, bundle=bundle, sample=sample, say=say)
    _end_with_reports(evaluated, as_json=as_json)


@commands.command()
@click.argument("bundle", type=_FOLDER)
@click.option("--into", type=_FOLDER, required=True, help="Leave the judged bundle there.")
@_BASE
@click.option("--approved-by", metavar="NAME", help="Who approved that the bar moves.")
@click.option("--reason", metavar="TEXT", help="Why it may move.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def judge(
    *,
    bundle: Path,
    into: Path,
    base: str | None,
    approved_by: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Judge a candidate that an untrusted job left.

    Nothing of the working tree is run. Exit code 1: the gate refuses it.
    """
    from mergeline.core.gate.verdict import Approval
    from mergeline.lifecycle.verbs.judge import judge as run

    said = [text.strip() for text in (approved_by, reason) if text and text.strip()]
    if (approved_by is not None or reason is not None) and len(said) < 2:
        raise click.UsageError("an approval names a person and a reason")
    approval = Approval(*said) if said else None
    project = this_project()
    judged = run(project, bundle, into=into, base=base, approval=approval, say=say)
    _end_with_reports(judged, as_json=as_json)


@commands.command()
@click.argument("source", required=False)
@click.option(
    "--format", "form", type=click.Choice(list(RENDERERS)), default="terminal", show_default=True
)
@click.option("--rows", is_flag=True, help="The rows that moved most instead; a file is Parquet.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def report(source: str | None, form: str, rows: bool, output: Path | None) -> None:  # noqa: FBT001
    """Print a report again.

    SOURCE: the folder of a bundle, or of several, a fingerprint or a run [the newest evaluation].
    """
    from mergeline.cli.show import report_text
    from mergeline.cli.tables import examples_table
    from mergeline.lifecycle.verbs.report import find_reports, find_rows, of_another_tree

    project = this_project()
    reports = find_reports(project, source)
    if source is None and of_another_tree(project, reports[0]):
        say("the working tree is another than the report's: mergeline evaluate")
    if rows and output is not None:
        output.write_bytes(find_rows(project, source).read_bytes())
        say(f"written to {output}")
        return
    if rows:
        print_parts(examples_table(each) for each in reports)
        return
    text = "\n".join(report_text(each, form) for each in reports)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"written to {output}")


commands.add_command(begin.open_report)


@commands.command()
@click.argument("bundle", type=_FOLDER)
@_PLAN
@JSON
def track(bundle: Path, plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Check a bundle and store it; its model is never loaded."""
    from mergeline.cli.show import planned_tracking_lines, tracked_lines
    from mergeline.lifecycle.verbs import track as verb

    if plan_only:
        planned = verb.plan_tracking(this_project(), bundle, say=say)
        print_results(planned, planned_tracking_lines, as_json=as_json)
    else:
        tracked = verb.track(this_project(), bundle, say=say)
        print_results(tracked, tracked_lines, as_json=as_json)


@commands.command()
@click.argument("bundle", type=_FOLDER, required=False)
@_PLAN
@JSON
def comment(bundle: Path | None, plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Show a bundle's report on its pull request.

    Without a bundle: that the commit MERGELINE_HEAD changes no model. Then the state beside it is
    success, nothing is posted, and a report that stands shrinks to a line.
    """
    from mergeline.cli.show import comment_lines
    from mergeline.lifecycle.verbs.comment import comment as post

    commented = post(this_project(), bundle, plan_only=plan_only, say=say)
    print_results([commented], comment_lines, as_json=as_json)


@commands.command()
def answer() -> None:
    """Do what the comment asks for that started this job.

    Known are /mergeline evaluate, retry, approve REASON, attribution and sample, of people who may
    write.
    """
    from mergeline.lifecycle.verbs.answer import answer as run

    click.echo(run(this_project()))


@commands.command()
def approval() -> None:
    """Say who approved that a pull request moves its bar.

    It is that of MERGELINE_HEAD. In a job, the next steps get `approved_by` and `approved_because`.
    """
    from mergeline.lifecycle.verbs.approval import approval as run

    found = run(this_project())
    click.echo(f"{found.by}: {found.reason}" if found else "nobody has approved anything")
    set_output("approved_by", found.by if found else "")
    set_output("approved_because", found.reason if found else "")


@commands.command()
@_MODEL
@_PLAN
@click.option(
    "--override", metavar="REASON", help="Release against the verdict; kept in the ledger."
)
@JSON
def release(model: str | None, plan_only: bool, override: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Put the reviewed model of HEAD into production.

    Register, record, promote, deploy; what is done already is not done again. Nothing is trained or
    judged: exit code 3 says what must run first.
    """
    from mergeline.cli.show import release_lines
    from mergeline.lifecycle.verbs.release import release as run

    outcomes = run(this_project(), model=model, plan_only=plan_only, override=override, say=say)
    print_results(outcomes, release_lines, as_json=as_json)
    if plan_only:  # the jobs that must judge first take the same base as the release
        missing = [outcome for outcome in outcomes if outcome.plan.missing]
        set_output("needed", "true" if missing else "false")
        set_output("base", next((each.base for each in missing if each.base), ""))
    if not plan_only and any(outcome.plan.missing for outcome in outcomes):
        sys.exit(_NOT_JUDGED)
    if any(outcome.plan.refusal for outcome in outcomes):
        sys.exit(REFUSED)


@commands.command()
@click.argument("model")
@click.argument("which")
@click.argument("stage", type=click.Choice(["none", "staging", "archived"], case_sensitive=False))
@_PLAN
@JSON
def promote(*, model: str, which: str, stage: str, plan_only: bool, as_json: bool) -> None:
    """Move a version to another stage than production.

    WHICH: a version (v3), the stage that has it (staging), or a commit whose candidate was
    evaluated (HEAD). Into production a version goes by a release.
    """
    from mergeline.cli.show import promoted_lines
    from mergeline.core.release.version import STAGES
    from mergeline.lifecycle.verbs.promote import promote as run

    to = next(known for known in STAGES if known.casefold() == stage.casefold())
    done = run(this_project(), model, which, to, plan_only=plan_only, say=say)
    print_results([done], promoted_lines, as_json=as_json)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, help="0: any free one.")
@click.option(
    "--poll", default=2.0, show_default=True, help="Seconds between looks at the registry."
)
@click.option("--only", metavar="MODEL/VERSION", help="Serve one version, whatever its stage.")
@click.option(
    "--memory",
    default=1_000,
    show_default=True,
    type=click.IntRange(min=0),
    help="MB that models without a stage may take.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes, each with models of its own.",
)
@click.option("--mlflow-lenient", is_flag=True, help='Take what MLflow takes: "509" for a number.')
@click.option("--listener", type=int, hidden=True)
def serve(*, memory: int, **options: Any) -> None:  # noqa: ANN401 - as `Options` has them
    """Serve every version that is not archived."""
    from mergeline.serving.server import Options
    from mergeline.serving.server import serve as run

    project = this_project()
    token = project.server_token or ""
    run(project, Options(memory=memory * 1_000_000, token=token, **options))


@commands.command()
@click.argument("source", metavar="IN")
@click.argument("out")
@click.option("--model", "which", required=True, metavar="NAME@STAGE", help="Or NAME@VERSION.")
@JSON
def score(*, source: str, out: str, which: str, as_json: bool) -> None:
    """Write the rows of IN with a released model's answers to OUT.

    IN is a Parquet or CSV file, a folder or glob of them, or a Delta table; OUT ends in .parquet or
    .csv.
    """
    from mergeline.cli.output import rows_done
    from mergeline.serving.score import score as run

    with rows_done() as progress:
        scored = run(this_project(), source, out, which, progress=progress)
    if as_json:
        print_json([as_document(scored)])
    else:
        name = f"{scored.model} v{scored.version} ({scored.model_digest[:8]})"
        print_parts([f"{scored.rows:,} rows scored by {name}: {scored.out}"])


@commands.command()
@_MODEL
@JSON
def status(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show target and live, and their difference."""
    from mergeline.cli.show import status_lines
    from mergeline.lifecycle.verbs.status import status as read

    print_results(read(this_project(), model=model), status_lines, as_json=as_json)


@commands.command()
@_MODEL
@JSON
def history(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show the ledger of releases, newest last."""
    from mergeline.cli.tables import ledger_table
    from mergeline.lifecycle.verbs.history import read

    ledger = read(this_project(), model)
    for doubt in ledger.doubts:
        say(f"not believed: {doubt}")
    if as_json:
        print_json(map(as_document, ledger.moves))
    else:
        print_parts([ledger_table(ledger.moves)])


@commands.command()
@JSON
def doctor(as_json: bool) -> None:  # noqa: FBT001
    """Check how the repository is set up, and say what to click or run.

    It sees the forge's rules as far as GITHUB_TOKEN lets it. Exit code 1: something is unsafe.
    """
    from mergeline.cli.show import finding_lines
    from mergeline.lifecycle.verbs.doctor import examine

    findings = examine(this_project())
    print_results(findings, finding_lines, as_json=as_json)
    if any(finding.state == "unsafe" for finding in findings):
        sys.exit(REFUSED)


@commands.command()
@click.argument("candidate")
@JSON
def reproduce(candidate: str, as_json: bool) -> None:  # noqa: FBT001
    """Train a candidate again and compare.

    CANDIDATE: its fingerprint, or its run, as a report shows them.
    """
    from mergeline.cli.show import reproduction_lines
    from mergeline.lifecycle.verbs.reproduce import reproduce as train_again

    outcome = train_again(this_project(), candidate, say=say)
    print_results([outcome], reproduction_lines, as_json=as_json)
    if not outcome.agrees:
        sys.exit(REFUSED)


@commands.command()
@_PLAN
@JSON
def reconcile(plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Write into MLflow again what store and ledger have."""
    from mergeline.cli.show import showing_lines
    from mergeline.lifecycle.verbs.reconcile import reconcile as run

    plans = run(this_project(), plan_only=plan_only, say=say)
    print_results(plans, showing_lines, as_json=as_json)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True)
def ui(host: str, port: int) -> None:
    """Open MLflow's pages over what store and ledger have."""
    from mergeline.lifecycle.verbs.ui import ui as run

    run(this_project(), host=host, port=port, say=say)


@click.group()
def store() -> None:
    """Look after the store of candidates and evaluations."""


@store.command("gc")
@click.option(
    "--days", default=30, show_default=True, help="Keep what was evaluated less than so long ago."
)
@_PLAN
@JSON
def store_gc(days: int, plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Delete candidates that nothing pins.

    Releases, open pull requests, branches and the working tree pin theirs.
    """
    from mergeline.cli.show import store_garbage_lines
    from mergeline.lifecycle.verbs.store import collect

    garbage = collect(this_project(), days=days, plan_only=plan_only, say=say)
    print_results([garbage], store_garbage_lines, as_json=as_json)


@commands.command()
@click.option("--workspace", type=_FOLDER, help="Play there, and leave it for exploring.")
@click.option("--keep", is_flag=True, help="Leave the temporary workspace for exploring.")
def demo(workspace: Path | None, keep: bool) -> None:  # noqa: FBT001
    """Play the whole story: from a first model to a revert."""
    from mergeline.cli.tables import ledger_table
    from mergeline.demo.play import play

    play(Path.cwd(), workspace=workspace, keep=keep, ledger_table=ledger_table)


commands.add_command(store)
commands.add_command(image)
commands.add_command(data)
commands.add_command(contract)
commands.add_command(begin.schema)


def _end_with_reports(evaluated: Sequence[Evaluated], *, as_json: bool) -> None:
    from mergeline.cli.show import report_text

    if as_json:
        print_json(as_document(each.report) for each in evaluated)
    else:
        for each in evaluated:
            click.echo(report_text(each.report, "terminal"), nl=False)
    sys.exit(max((each.exit_code for each in evaluated), default=0))
