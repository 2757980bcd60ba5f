"""Show on standard error how far work is: bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from mergeline.core.numbers import duration, size
from mergeline.core.report.safe import printed
from mergeline.system.progress import Step, running, told_at_each_end

if TYPE_CHECKING:
    from rich.live import Live

_LONG = 2.0  # seconds from which on work is shown
_BETWEEN_LINES = 10.0
_BETWEEN_LOOKS = 0.25
_WIDTH = 20  # characters of a bar
_NOTE = 80  # characters of what goes on within


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Show what goes on until the block ends."""
    bars = Bars() if sys.stderr.isatty() else None
    show, pause = (bars.show, _BETWEEN_LOOKS) if bars else (print_lines, _BETWEEN_LINES)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(pause):
            show(time.monotonic())

    with told_at_each_end(bars.end_with_work if bars else lambda: None):
        threading.Thread(target=look, name="progress", daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            if bars:
                bars.end()


def print_lines(now: float) -> None:
    """Print what goes on at a time of `time.monotonic`, a line each."""
    for line in lines(running(), now):
        click.echo(f"· {line}", err=True)


def lines(steps: Sequence[Step], now: float) -> list[str]:
    """One line for each piece of work that takes long already, at a time of `time.monotonic`."""
    return [printed(_line(step, now)) for step in steps if now - step.began >= _LONG]


def _line(step: Step, now: float) -> str:
    seconds = now - step.began
    parts = [_amount(step)]
    if step.rows:
        parts.append(f"{step.rows:,} rows")
    if step.done and step.unit == "bytes":
        parts.append(f"{size(round(step.done / seconds))}/s")
    if step.total and step.done and step.done < step.total:
        parts.append(f"{duration(seconds * (step.total - step.done) / step.done)} left")
    else:
        parts.append(duration(seconds))
    if step.note:
        parts.append(step.note[:_NOTE])
    return f"{step.what}: " + ", ".join(filter(None, parts))


def _amount(step: Step) -> str:
    if step.unit == "bytes":
        if not step.total:
            return size(round(step.done)) if step.done else ""
        share = min(step.done / step.total, 1.0)
        return f"{size(round(step.done))} of {size(round(step.total))} ({100 * share:.0f} %)"
    if not step.unit:
        return ""
    of = "" if step.total is None else f" of {step.total:,.0f}"
    return f"{step.done:,.0f}{of} {step.unit}"


class Bars:
    """A line with a bar for each piece of work, gone when none goes on."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._live: Live | None = None

    def show(self, now: float) -> None:
        """Draw what goes on at a time."""
        with self._lock:
            steps = [step for step in running() if now - step.began >= _LONG]
            if not steps:
                self.end()
                return
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text

            if self._live is None:
                console = Console(stderr=True, highlight=False, emoji=False)
                self._live = Live(
                    console=console, auto_refresh=False, transient=True, redirect_stdout=False
                )
                self._live.start()
            drawn = zip(map(_bar, steps), lines(steps, now), strict=True)
            text = Text("\n".join(f"{bar}{line}" for bar, line in drawn), no_wrap=True)
            text.overflow = "ellipsis"
            self._live.update(text, refresh=True)

    def end_with_work(self) -> None:
        """Take the bars away if nothing goes on any more."""
        if not running():
            self.end()

    def end(self) -> None:
        """Take the bars away."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None


def _bar(step: Step) -> str:
    if not step.total:
        return ""
    full = round(min(step.done / step.total, 1.0) * _WIDTH)
    return "━" * full + "─" * (_WIDTH - full) + " "
