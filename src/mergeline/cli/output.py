"""Printing: results on standard output, narration on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from mergeline.core.report.safe import printed, without_commands
from mergeline.errors import MergelineError
from mergeline.system.progress import underway

REFUSED = 1  # the exit code where the gate, or what was checked, says no
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_WIDTH_WITHOUT_TERMINAL = 140
Result = TypeVar("Result")


def say(text: str) -> None:
    """Tell on standard error what goes on."""
    click.echo(click.style(f"· {printed(text)}", dim=True), err=True)


@contextlib.contextmanager
def rows_done() -> Iterator[Callable[[int, int], None]]:
    """Have shown how many rows are done; yields what takes that, and of how many (0: unknown)."""
    with underway("rows", unit="rows") as step:

        def reach(done: int, total: int) -> None:
            step.total = total or None
            step.reach(done)

        yield reach


def set_output(name: str, value: str) -> None:
    """Hand a value of one line to the job's next steps, where it is a job (GITHUB_OUTPUT)."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a", encoding="utf-8") as outputs:
            outputs.write(f"{name}={value}\n")


def annotate(error: MergelineError) -> None:
    """In a job, show a mistake on the line of the file that it is in, beside the change.

    A drop is not in Git, so its pointer is named, or that of its folder.
    """
    found = re.fullmatch(r"(?P<file>[^:]+)(?::(?P<line>\d+))?", error.where)
    if os.environ.get("GITHUB_ACTIONS") != "true" or not found:
        return
    named = PurePosixPath(found["file"])
    pointers = [f"{path}.dvc" for path in (named, *named.parents)]
    shown = next((path for path in [*pointers, str(named)] if Path(path).is_file()), None)
    if shown is None:
        return
    line = found["line"] or _line_in(Path(shown), error.message)
    file, message = shown, str(error)
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        file, message = file.replace(sign, code), message.replace(sign, code)
    file = file.replace(",", "%2C")
    click.echo(f"::error file={file},line={line}::{message}", err=True)


def _line_in(file: Path, message: str) -> int:
    """The line of a declaration that a message is about, by the key that it names; else 1."""
    from mergeline.core.declare.strict import line_of

    if file.suffix != ".yaml":
        return 1
    place = message.partition(": ")[0]
    if unknown := re.search(r"unknown key '([^']+)'(?: in ([^ ;]+))?", message):
        place = ".".join(filter(None, reversed(unknown.groups())))
    elif missing := re.match(r"key '(.+)' is missing", message):
        place = missing[1]
    return line_of(file.read_bytes(), place)


def print_results(
    results: Iterable[Result], show: Callable[[Result], Iterable[object]], *, as_json: bool
) -> None:
    """Print the lines and tables that `show` makes of each result, or a list of JSON objects."""
    if as_json:
        print_json(map(as_document, results))
    else:
        print_parts(part for result in results for part in show(result))


def print_parts(parts: Iterable[object]) -> None:
    """Print lines and tables, one below the other."""
    for part in parts:
        if isinstance(part, str):
            click.echo(printed(part))
        else:
            _print_table(part)


def print_json(documents: Iterable[dict[str, Any]]) -> None:
    """Print a list of documents."""
    text = json.dumps(list(documents), indent=2, ensure_ascii=False)
    click.echo(text.replace("##[", "\\u0023#["))  # GitHub's runner takes it for a command


def as_document(result: object) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    from mergeline.core.declare.strict import write_json

    document: dict[str, Any] = json.loads(write_json(result, indent=None))
    return document


def _print_table(table: object) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    console = Console(width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    click.echo(without_commands(captured.get()), nl=False)
