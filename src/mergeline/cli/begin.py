"""The commands with which a project begins, and what helps to write its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergeline.cli.output import JSON, print_parts, print_results, say
from mergeline.core.declare.schemas import KINDS, file_schema

if TYPE_CHECKING:
    from mergeline.core.begin.plan import InitPlan


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
def schema(kind: str) -> None:
    """Print the JSON schema of models/<name>.yaml or of data/<table>.yaml."""
    click.echo(json.dumps(file_schema(kind), indent=2, ensure_ascii=False))


_EXAMPLES = ("regression", "multiclass", "binary", "two-models")


@click.command()
@click.option("--yes", is_flag=True, help="Ask nothing: take every default.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be written only.")
@click.option("--label", metavar="COLUMN", help="The column to predict.")
@click.option(
    "--example", type=click.Choice(_EXAMPLES),
    help="Make a small project of its own, with data of scikit-learn, in an empty folder.",
)  # fmt: skip
@JSON
def init(
    *, yes: bool, plan_only: bool, label: str | None, example: str | None, as_json: bool
) -> None:
    """Make this repository a project: write what it lacks, never over what is there.

    Run again it plans nothing; a newer version updates what it wrote and nobody changed.
    """
    from mergeline.lifecycle.steps.survey import repository_at
    from mergeline.lifecycle.verbs import init as verb

    if example and (plan_only or label):
        raise click.UsageError("--example begins with its own data: leave --plan and --label out")
    if example:
        from mergeline.lifecycle.verbs.example import begin

        repository, answers = begin(Path.cwd(), example)
    else:
        repository, answers = repository_at(Path.cwd()), None
    ask = verb.by_default if yes or plan_only or example else _ask
    planned = verb.plan(repository, ask, label=label, answers=answers)
    if not as_json:
        print_parts(_planned_lines(planned))
    else:
        print_results([planned], lambda _: (), as_json=True)
    if plan_only or not planned.steps:
        return
    if not (yes or example):
        click.confirm("Do that?", default=True, abort=True, err=True)
    verb.apply(repository, planned, say)
    if not as_json:
        print_parts(_after_lines(planned))


def _ask(question: str, default: str, choices: Sequence[str]) -> str:
    kind = click.Choice(choices) if choices else None
    shown = bool(choices) and len(choices) <= 8
    answer = click.prompt(question, default=default, type=kind, show_choices=shown, err=True)
    return str(answer)


def _planned_lines(planned: InitPlan) -> Iterator[str]:
    if not planned.steps:
        yield "nothing to do: the project has what it needs"
    yield from planned.notes
    for step in planned.steps:
        what = " ".join(step.command) or step.path
        lines = step.why.splitlines()
        if step.action == "add":
            yield f"add     {what}: {', '.join(line.strip() for line in lines[:3])} …"[:140]
        else:
            yield f"{step.action:<7} {what}" + (f"  ({step.why})" if step.why else "")
    yield from planned.kept


def _after_lines(planned: InitPlan) -> Iterator[str]:
    if planned.by_hand:
        yield "\nFor you to do:"
        yield from (f"- {line}" for line in planned.by_hand)
    yield "\nThen:"
    yield from (f"  {line}" for line in planned.next_commands)


@click.command("open")
@click.argument("source", required=False)
def open_report(source: str | None) -> None:
    """Open a report in the browser, and print where it lies.

    SOURCE: as of `mergeline report` [the newest evaluation].
    """
    import webbrowser

    from mergeline.cli.data import this_project
    from mergeline.cli.show import report_text
    from mergeline.lifecycle.verbs.report import find_reports
    from mergeline.system.atomic_writes import write_file_whole

    project = this_project()
    for report in find_reports(project, source):
        page = project.state / f"report-{report.model}.html"
        write_file_whole(page, report_text(report, "html").encode())
        webbrowser.open(page.as_uri())
        click.echo(page)
