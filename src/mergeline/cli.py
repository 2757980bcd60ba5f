"""The command line: parse, one call into the lifecycle, print, exit code.

Standard output is the product; progress and errors go to standard error.
Exit codes: 0 done or passed, 1 the gate refused, 2 usage or configuration, 3 an external system.
"""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mergeline.cli_data import contract, data
from mergeline.errors import ExternalError, MergelineError

if TYPE_CHECKING:
    from mergeline.lifecycle.project import Project

REFUSED = 1
_ISSUES = "https://github.com/mergeline/mergeline/issues"
_MODEL = click.argument("model", required=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_BASE = click.option("--base", metavar="REF", help="Branch it would merge onto [main].")
_FOLDER = click.Path(file_okay=False, path_type=Path)


class _InOrder(click.Group):
    """Lists its verbs in the order of the lifecycle, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mergeline")
def commands() -> None:
    """Merge is the release: a Git-driven lifecycle for machine-learning models."""


@commands.command()
@_MODEL
@_BASE
@_JSON
def plan(model: str | None, base: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell what the working tree will cause, and why."""
    from mergeline.lifecycle.plan import plan as make

    plans = make(_project(), model=model, base=base)
    if as_json:
        _print_json(plans)
        return
    for one in plans:
        for line in one.lines():
            click.echo(line)


@commands.command()
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be built, build nothing.")
def snapshot(plan_only: bool) -> None:  # noqa: FBT001
    """Build the Delta snapshots that the working tree's pointers and contracts name."""
    from mergeline.lifecycle.snapshot import snapshot as build

    for line in build(_project(), plan_only=plan_only):
        click.echo(line)


@commands.command()
@_MODEL
@_BASE
@click.option("--bundle", type=_FOLDER, help="Leave the bundle there; write to no store.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would run, run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def evaluate(
    model: str | None,
    base: str | None,
    bundle: Path | None,
    plan_only: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Train the candidate, unless it is known, and hold it against production and base."""
    from mergeline.lifecycle.evaluate import evaluate as run
    from mergeline.lifecycle.plan import plan as make
    from mergeline.lifecycle.report import render

    if plan_only:
        for planned in make(_project(), model=model, base=base):
            click.echo("\n".join(planned.lines()))
        return
    done = run(_project(), model=model, base=base, bundle=bundle, say=_say)
    for one in done:
        click.echo(render(one.report, "json" if as_json else "terminal"), nl=False)
    if not all(one.passed for one in done):
        sys.exit(REFUSED)


@commands.command()
@click.argument("source", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "html", "json"]),
    default="terminal",
    show_default=True,
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def report(source: str | None, form: str, output: Path | None) -> None:
    """Print the report of SOURCE: a bundle's folder or a run's id [the newest evaluation]."""
    from mergeline.lifecycle.report import find_report, render

    text = render(find_report(_project(), source), form)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        _say(f"written to {output}")


@commands.command()
@click.argument("bundle", type=_FOLDER)
def track(bundle: Path) -> None:
    """Check a bundle and log it to the tracking store; its model is never loaded."""
    from mergeline.lifecycle.track import track as take

    for run in take(_project(), bundle, say=_say):
        click.echo(f"{run.model} {run.fingerprint[:8]} run {run.run_id}")


@commands.command()
@click.argument("bundle", type=_FOLDER)
def comment(bundle: Path) -> None:
    """Post a bundle's report to its pull request, or renew the one posted before."""
    from mergeline.lifecycle.comment import comment as post

    click.echo(post(_project(), bundle, say=_say))


@commands.command()
@_MODEL
@click.option("--plan", "plan_only", is_flag=True, help="Print the steps, take none.")
@click.option(
    "--override", metavar="REASON", help="Release against the verdict; kept in the ledger."
)
def release(model: str | None, plan_only: bool, override: str | None) -> None:  # noqa: FBT001
    """Put the reviewed model of HEAD into production: register, test, promote, deploy, record."""
    from mergeline.lifecycle.release import release as run

    outcomes = run(_project(), model=model, plan_only=plan_only, override=override, say=_say)
    for one in outcomes:
        for line in one.lines():
            click.echo(line)
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
    """Serve every registered version that is not archived, by version and by stage."""
    from mergeline.serving.server import serve as run

    run(_project(), host=host, port=port, poll=poll, only=only)


@commands.command()
@_MODEL
@_JSON
def status(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show target and live, and their difference."""
    from mergeline.lifecycle.status import status as look

    found = look(_project(), model=model)
    if as_json:
        _print_json(found)
        return
    for one in found:
        for line in one.lines():
            click.echo(line)


@commands.command()
@_MODEL
@_JSON
def history(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show the ledger of releases, newest last."""
    from mergeline.lifecycle.history import read, show

    entries = read(_project(), model)
    if as_json:
        _print_json(list(entries))
    else:
        show(entries)


@commands.command()
@click.argument("run")
def reproduce(run: str) -> None:
    """Train a run's fingerprint again and show whether metrics and model agree."""
    from mergeline.lifecycle.reproduce import reproduce as again

    outcome = again(_project(), run, say=_say)
    for line in outcome.lines():
        click.echo(line)
    if not outcome.agrees:
        sys.exit(REFUSED)


@commands.command()
@click.option("--workspace", type=_FOLDER, help="Play there, and leave it for exploring.")
@click.option("--keep", is_flag=True, help="Leave the temporary workspace for exploring.")
def demo(workspace: Path | None, keep: bool) -> None:  # noqa: FBT001
    """Play the whole story on embedded defaults: four pull requests, from first model to revert."""
    from mergeline.lifecycle.demo import play

    play(Path.cwd(), workspace=workspace, keep=keep)


commands.add_command(data)
commands.add_command(contract)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, ours a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("mergeline: stopped", err=True)
        sys.exit(130)
    except MergelineError as error:
        click.echo(click.style("mergeline: ", fg="red") + str(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # no room, no right, no such place: a folder's fault, not ours
        said = f"{error.filename or 'a file'}: {error.strerror or error}. Check who may write there"
        click.echo(click.style("mergeline: ", fg="red") + said + ", and the room left.", err=True)
        sys.exit(ExternalError.exit_code)
    except KeyboardInterrupt:
        click.echo("mergeline: stopped", err=True)
        sys.exit(130)
    except Exception:  # noqa: BLE001 - Python would end with 1, which means that the gate refused
        traceback.print_exc()
        said = f"this is a mistake of mergeline's own. Report it with the lines above: {_ISSUES}"
        click.echo(click.style("mergeline: ", fg="red") + said, err=True)
        sys.exit(ExternalError.exit_code)


def _project() -> Project:
    from mergeline.lifecycle.project import Project

    return Project.at()


def _say(text: str) -> None:
    click.echo(click.style(f"· {text}", dim=True), err=True)


def _print_json(values: list[Any]) -> None:
    import json

    from mergeline.core.declaration import write_json

    document = [json.loads(write_json(value)) for value in values]
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
