"""The command line: parse, one call into the lifecycle, print, exit code.

Standard output is the product; progress and errors go to standard error.
Exit codes: 0 done or passed, 1 the gate refused, 2 usage or configuration, 3 an external system.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import click

from mergeline.cli.data import contract, data
from mergeline.cli.output import JSON, document, print_json
from mergeline.core.report.render.formats import RENDERERS
from mergeline.errors import ExternalError, MergelineError, StageError

if TYPE_CHECKING:
    from mergeline.lifecycle.steps.project import Project

REFUSED = 1
_READER_GONE = 128 + signal.SIGPIPE  # as a shell has it
_TAIL = 15  # lines of a stage that failed
_PATIENCE = 5.0  # seconds to stop, before it is asked for again
_ISSUES = "https://github.com/mergeline/mergeline/issues"
_MODEL = click.argument("model", required=False)
_PLAN = click.option("--plan", "plan_only", is_flag=True, help="Print what would be done only.")
_BASE = click.option("--base", metavar="REF", help="Branch it would merge onto [main].")
_FOLDER = click.Path(file_okay=False, path_type=Path)


class _Lined(Protocol):
    """What is printed one sentence a line, or as JSON."""

    def lines(self) -> list[str]:
        """For a person."""


class _Verbs(click.Group):
    """Lists its verbs in the order of the lifecycle, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """End as a shell has it when the reader of the output goes away, as in `… | head`.

        click, and rich by itself, would end with a refusal's code.
        """
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as ended:
            if BrokenPipeError not in {type(ended), type(ended.__context__)}:
                raise
            # What is left to print is printed at the end, once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_READER_GONE)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mergeline")
def commands() -> None:
    """Merge is the release: a Git-driven lifecycle for machine-learning models."""


@commands.command()
@_MODEL
@_BASE
@JSON
def plan(model: str | None, base: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell what the working tree will cause, and why."""
    from mergeline.lifecycle.verbs.plan import plan as make

    _print(make(_project(), model=model, base=base), as_json=as_json)


@commands.command()
@_PLAN
def snapshot(plan_only: bool) -> None:  # noqa: FBT001
    """Build the snapshots that pointers and contracts name."""
    from mergeline.lifecycle.verbs.snapshot import snapshot as build

    for line in build(_project(), plan_only=plan_only):
        click.echo(line)


@commands.command()
@_MODEL
@_BASE
@click.option("--bundle", type=_FOLDER, help="Leave the bundle there; write to no store.")
@_PLAN
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def evaluate(
    model: str | None,
    base: str | None,
    bundle: Path | None,
    plan_only: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Hold the candidate against production and base.

    It is trained unless it is known. Exit code 1: the gate refuses it.
    """
    from mergeline.lifecycle.verbs.evaluate import evaluate as run
    from mergeline.lifecycle.verbs.plan import plan as make
    from mergeline.lifecycle.verbs.report import render

    if plan_only:
        _print(make(_project(), model=model, base=base), as_json=as_json)
        return
    done = run(_project(), model=model, base=base, bundle=bundle, say=_say)
    if as_json:
        print_json(document(one.report) for one in done)
    else:
        for one in done:
            click.echo(render(one.report, "terminal"), nl=False)
    sys.exit(max((one.exit_code for one in done), default=0))


@commands.command()
@click.argument("source", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(RENDERERS)),
    default="terminal",
    show_default=True,
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def report(source: str | None, form: str, output: Path | None) -> None:
    """Print a report again.

    SOURCE: a bundle's folder or a run's id [the newest evaluation].
    """
    from mergeline.lifecycle.verbs.report import find_report, of_another_tree, render

    project = _project()
    found = find_report(project, source)
    if source is None and of_another_tree(project, found):
        _say("the working tree is another than the report's: mergeline evaluate")
    text = render(found, form)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        _say(f"written to {output}")


@commands.command()
@click.argument("bundle", type=_FOLDER)
@_PLAN
def track(bundle: Path, plan_only: bool) -> None:  # noqa: FBT001
    """Check a bundle and log it; its model is never loaded."""
    from mergeline.lifecycle.verbs.track import plan_tracking
    from mergeline.lifecycle.verbs.track import track as take

    if plan_only:
        click.echo("\n".join(plan_tracking(_project(), bundle)))
        return
    for run in take(_project(), bundle, say=_say):
        click.echo(f"{run.model} {run.fingerprint[:8]} run {run.run_id}")


@commands.command()
@click.argument("bundle", type=_FOLDER)
@_PLAN
def comment(bundle: Path, plan_only: bool) -> None:  # noqa: FBT001
    """Show a bundle's report on its pull request."""
    from mergeline.lifecycle.verbs.comment import comment as post

    click.echo(post(_project(), bundle, plan_only=plan_only, say=_say))


@commands.command()
@_MODEL
@_PLAN
@click.option(
    "--override", metavar="REASON", help="Release against the verdict; kept in the ledger."
)
@JSON
def release(model: str | None, plan_only: bool, override: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Put the reviewed model of HEAD into production.

    Register, test, promote, deploy, record; what is done already is not done again.
    """
    from mergeline.lifecycle.verbs.release import release as run

    outcomes = run(_project(), model=model, plan_only=plan_only, override=override, say=_say)
    _print(outcomes, as_json=as_json)
    if any(one.plan.refusal for one in outcomes):
        sys.exit(REFUSED)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, help="0: any free one.")
@click.option(
    "--poll", default=2.0, show_default=True, help="Seconds between looks at the registry."
)
@click.option("--only", metavar="MODEL/VERSION", help="Serve one version, whatever its stage.")
def serve(host: str, port: int, poll: float, only: str | None) -> None:
    """Serve every version that is not archived."""
    from mergeline.serving.server import serve as run

    run(_project(), host=host, port=port, poll=poll, only=only)


@commands.command()
@_MODEL
@JSON
def status(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show target and live, and their difference."""
    from mergeline.lifecycle.verbs.status import status as look

    _print(look(_project(), model=model), as_json=as_json)


@commands.command()
@_MODEL
@JSON
def history(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show the ledger of releases, newest last."""
    from rich.console import Console

    from mergeline.lifecycle.verbs.history import as_table, read

    entries = read(_project(), model)
    if as_json:
        print_json(map(document, entries))
    else:
        Console().print(as_table(entries))


@commands.command()
@click.argument("run")
@JSON
def reproduce(run: str, as_json: bool) -> None:  # noqa: FBT001
    """Train a run's fingerprint again and compare."""
    from mergeline.lifecycle.verbs.reproduce import reproduce as again

    outcome = again(_project(), run, say=_say)
    _print([outcome], as_json=as_json)
    if not outcome.agrees:
        sys.exit(REFUSED)


@commands.command()
@click.option("--workspace", type=_FOLDER, help="Play there, and leave it for exploring.")
@click.option("--keep", is_flag=True, help="Leave the temporary workspace for exploring.")
def demo(workspace: Path | None, keep: bool) -> None:  # noqa: FBT001
    """Play the whole story: from a first model to a revert."""
    from mergeline.demo.play import play

    play(Path.cwd(), workspace=workspace, keep=keep)


commands.add_command(data)
commands.add_command(contract)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, ours a traceback."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _stopped()
    except MergelineError as error:
        for line in error.tail.splitlines()[-_TAIL:] if isinstance(error, StageError) else ():
            click.echo(click.style(f"  {line}", dim=True), err=True)
        click.echo(click.style("mergeline: ", fg="red") + str(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # no room, no right, no such place: a folder's fault, not ours
        said = f"{error.filename or 'a file'}: {error.strerror or error}. Check who may write there"
        click.echo(click.style("mergeline: ", fg="red") + said + ", and the room left.", err=True)
        sys.exit(ExternalError.exit_code)
    except Exception:  # noqa: BLE001 - Python would end with 1, which means that the gate refused
        traceback.print_exc()
        said = f"this is a mistake of mergeline's own. Report it with the lines above: {_ISSUES}"
        click.echo(click.style("mergeline: ", fg="red") + said, err=True)
        sys.exit(ExternalError.exit_code)


def _stop(signum: int, frame: object) -> None:  # noqa: ARG001
    """Clean up and end, as after Ctrl-C.

    And once more if that is not done soon: where Python calls back, from a weak reference or a
    library's handler, an exception is dropped, and the verb would go on.
    """
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    raise KeyboardInterrupt


def _stopped() -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, 0)
    click.echo("mergeline: stopped", err=True)
    sys.exit(130)


def _project() -> Project:
    from mergeline.lifecycle.steps.project import Project

    return Project.at()


def _say(text: str) -> None:
    click.echo(click.style(f"· {text}", dim=True), err=True)


def _print(found: Sequence[_Lined], *, as_json: bool) -> None:
    if as_json:
        print_json(map(document, found))
        return
    for one in found:
        for line in one.lines():
            click.echo(line)
