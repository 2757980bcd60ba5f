"""How far work is that takes long: whoever does it says so here, and one place shows it.

    with underway("converting 2013-01.csv", total=size, unit="bytes") as step:
        step.reach(read, rows=rows)

Nothing is printed here, and nothing is handed down for it: `running` tells what goes on at the
moment in the whole process, to whatever shows it, if anything does.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_lock = threading.Lock()
_running: list[Step] = []
_listeners: list[Callable[[], None]] = []


@dataclass(eq=False)
class Step:
    """One piece of work that has begun and not ended.

    Attributes:
        what: it is, as a person would say it.
        total: of the units, where it is known.
        unit: that is counted, `bytes` or a word in the plural.
        began: when, in seconds of `time.monotonic`.
        done: how many units.
        rows: how many rows, where they are counted too.
        note: what is going on within.
    """

    what: str
    total: float | None = None
    unit: str = ""
    began: float = field(default_factory=time.monotonic)
    done: float = 0.0
    rows: int = 0
    note: str = ""

    def reach(self, done: float, *, rows: int = 0) -> None:
        """Say how much is done altogether."""
        self.done, self.rows = done, rows

    def advance(self, by: float = 1.0) -> None:
        """Say that so much more is done; of several threads each may."""
        with _lock:
            self.done += by


@contextlib.contextmanager
def underway(what: str, *, total: float | None = None, unit: str = "") -> Iterator[Step]:
    """Work that goes on as long as the block does."""
    step = Step(what, total, unit)
    with _lock:
        _running.append(step)
    try:
        yield step
    finally:
        with _lock:
            _running.remove(step)
        for told in tuple(_listeners):
            told()


def running() -> tuple[Step, ...]:
    """The work that goes on now, in the order in which it began."""
    with _lock:
        return tuple(_running)


@contextlib.contextmanager
def told_at_each_end(listener: Callable[[], None]) -> Iterator[None]:
    """Have `listener` called whenever a piece of work has ended, by the thread that did it."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
