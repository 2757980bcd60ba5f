"""The process around a command: signals, one line for a mistake, and the exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from typing import NoReturn

import click

from mergeline.cli.commands import commands
from mergeline.cli.output import annotate
from mergeline.cli.progress import progress_shown
from mergeline.core.report.safe import printed
from mergeline.errors import ExternalError, MergelineError, StageError

_TAIL = 15  # lines shown of a stage that failed
_PATIENCE = 5.0  # seconds until a verb that did not stop is asked again
_ISSUES = "https://github.com/mergeline/mergeline/issues"


def run() -> NoReturn:
    """`main` as a process of its own, which ends once all that it has to say is written.

    What a process leaves to its end is done, and only the interpreter's memory is not given back
    piece by piece: with MLflow loaded that takes a second.
    """
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - waits for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or ExternalError.exit_code
    os._exit(code)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, ours a traceback."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with progress_shown():
            commands(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _ask_again(0)
        click.echo("mergeline: stopped", err=True)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - Python would end with 1: the gate refused
        _end_failed(error)


def _end_failed(error: Exception) -> NoReturn:
    if isinstance(error, click.ClickException):
        error.show()
        sys.exit(error.exit_code)
    if isinstance(error, MergelineError):
        for line in error.tail.splitlines()[-_TAIL:] if isinstance(error, StageError) else ():
            click.echo(click.style(f"  {printed(line)}", dim=True), err=True)
        annotate(error)
        _fail(str(error), error.exit_code)
    if isinstance(error, OSError):  # no space, no permission, no such folder: no mistake of ours
        problem = f"{error.filename or 'a file'}: {error.strerror or error}"
        next_step = "Check who may write there, and the space left."
        _fail(f"{problem}. {next_step}", ExternalError.exit_code)
    click.echo(printed("".join(traceback.format_exception(error))), err=True, nl=False)
    message = f"this is a mistake of mergeline's own. Report it with the lines above: {_ISSUES}"
    _fail(message, ExternalError.exit_code)


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(click.style("mergeline: ", fg="red") + printed(message), err=True)
    sys.exit(exit_code)


def _stop(signum: int, frame: object) -> None:  # noqa: ARG001
    """Clean up and end, as after Ctrl-C.

    Asked again if it does not end soon: in the callback of a weak reference or in a library's
    handler Python drops the exception, and the verb would go on.
    """
    _ask_again(_PATIENCE)
    raise KeyboardInterrupt


def _ask_again(seconds: float) -> None:
    """Have `_stop` called once more after so many seconds, or not if 0; not on Windows."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
