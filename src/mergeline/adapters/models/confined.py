"""Ask a model that nobody vouches for: in a child process behind walls, with input columns only.

The child gets neither labels nor keys, and answers with numbers of a stated shape; whatever else it
sends is a finding about the model. Times and memory are measured from outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.errors import BundleError
from mergeline.system.confinement import Confined, Limits, Walls, start_confined

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_CHILD = "mergeline.adapters.models.child"
_IMPORTS = ("pandas", "pyarrow", "sklearn.ensemble", "sklearn.pipeline", "sklearn.compose")
_TOO_LONG = "the model took longer to answer than it may"
_MOST_TEXT = 100_000  # bytes of an answer that is not numbers
_MOST_CLASSES = 1_000
_TEXT_SHOWN = 300
_LATENCY_ROWS = 30


@dataclass
class ConfinedModel:
    """A model in a child process of its own; it is loaded, given rows to hold, and asked.

    Attributes:
        classes: order of the probability columns as the model itself names them; empty for a
            regression, and before it is loaded.
        load_seconds: that it took to load.
    """

    _child: Confined
    _until: float
    classes: tuple[bool | int | str, ...] = ()
    load_seconds: float = 0.0

    def load(self) -> None:
        """Wait until it is loaded.

        Raises:
            BundleError: it cannot be loaded, or ends its process while it is.
        """
        kind, content = _receive(self._child, self._until, _MOST_TEXT)
        since = time.perf_counter()
        if kind == b"S":
            kind, content = _receive(self._child, self._until, _MOST_TEXT)
        self.load_seconds = time.perf_counter() - since
        if kind == b"E":
            raise BundleError(_one_line(content))
        if kind != b"L":
            raise BundleError("the model's process sent something else than its classes")
        self.classes = _classes(content)

    def end(self) -> None:
        """End its process; who waits for its answer is told that it ended."""
        self._child.end()

    def hold(self, frame: pd.DataFrame) -> None:
        """Give it rows of input columns, which it is then asked about.

        Raises:
            BundleError: it ends its process, or does not take them in time.
        """
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        table = pa.Table.from_pandas(frame)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        _send(self._child, b"F", memoryview(sink.getvalue()), self._until)

    def answer(
        self, rows: npt.NDArray[np.int64], *, at_once: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, classes), or numbers, shape (n,), for rows that it holds.

        Args:
            rows: their positions in the frame, shape (n,).
            at_once: how many it is asked for at a time; None: for all.

        Raises:
            BundleError: the model fails on these rows, answers in another shape, ends its process,
                or takes longer or more memory than it may.
        """
        import numpy as np

        question = np.concatenate([[at_once or max(len(rows), 1)], rows]).astype("<i8")
        _send(self._child, b"R", question.tobytes(), self._until)
        most = 16 + 8 * len(rows) * max(len(self.classes), 1)
        kind, content = _receive(self._child, self._until, most)
        if kind == b"E":
            raise BundleError(_one_line(content))
        expected = (len(rows), len(self.classes))
        if kind != b"A" or len(content) < 16 or struct.unpack("<QQ", content[:16]) != expected:
            raise BundleError("the model's process sent something else than an answer")
        if len(content) != most:
            raise BundleError("the model's process sent an answer of another length")
        numbers = np.frombuffer(content, dtype="<f8", offset=16).astype(np.float64)
        return numbers.reshape(expected) if self.classes else numbers

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """What it answers for all rows of a frame, which it holds from then on.

        Raises:
            BundleError: as `hold` and `answer`.
        """
        import numpy as np

        self.hold(frame)
        return self.answer(np.arange(len(frame)))

    def latency_ms(self, count: int) -> float:
        """Median milliseconds for one row, of the first `count` that it holds, by our clock."""
        import statistics

        import numpy as np

        times = []
        for row in range(_LATENCY_ROWS + 1):
            since = time.perf_counter()
            self.answer(np.array([row % count]))
            times.append((time.perf_counter() - since) * 1000)
        return statistics.median(times[1:])

    @property
    def peak_memory_mb(self) -> float:
        """The most memory that its process has held so far, in 10^6 bytes."""
        return _peak_mb(self._child.process.pid)


@contextlib.contextmanager
def confined_model(
    folder: Path,
    digest: str,
    walls: Walls,
    *,
    packages: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[ConfinedModel]:
    """A process that loads a model behind walls, for as long as the context lasts.

    Args:
        folder: of the MLflow model.
        digest: that its bytes must have.
        walls: as `find_walls` found them.
        packages: folder of the packages that it needs; None: those of this process.
        limits: of the child; by our clock, too, it lives no longer than `seconds`.
    """
    limits = limits or Limits()
    until = time.monotonic() + limits.seconds
    arguments = [str(folder.resolve()), digest]
    with start_confined(
        walls, _CHILD, arguments,
        readable=[folder], packages=packages, imports=_IMPORTS, limits=limits,
    ) as child:  # fmt: skip
        yield ConfinedModel(child, until)


def _classes(content: bytes) -> tuple[bool | int | str, ...]:
    try:
        classes = json.loads(content)["classes"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError("the model's process sent classes that cannot be read") from error
    if not isinstance(classes, list) or len(classes) > _MOST_CLASSES:
        raise BundleError(f"the model names more than {_MOST_CLASSES:,} classes, or none in a list")
    if not all(isinstance(one, bool | int | str) for one in classes):
        raise BundleError("the model's classes are neither texts, whole numbers nor booleans")
    return tuple(classes)


def _send(child: Confined, kind: bytes, question: bytes | memoryview, until: float) -> None:
    """Send a question; the child reads while it cannot yet answer."""
    pipe = child.stdin.fileno()
    os.set_blocking(pipe, False)
    body = memoryview(question)
    for part in (memoryview(struct.pack("<Q", len(body) + 1) + kind), body):
        while part:
            _, ready, _ = select.select([], [pipe], [], max(0.0, until - time.monotonic()))
            if not ready:
                child.end()
                raise BundleError(_TOO_LONG)
            try:
                part = part[os.write(pipe, part[:1_000_000]) :]  # noqa: PLW2901 - what is left of it
            except OSError as error:
                raise BundleError(_ended(child)) from error


def _receive(child: Confined, until: float, most: int) -> tuple[bytes, bytes]:
    length = struct.unpack("<Q", _read(child, 8, until))[0]
    if not 1 <= length <= max(most, _MOST_TEXT) + 1:
        child.end()
        raise BundleError("the model's process sent more than an answer has")
    content = _read(child, length, until)
    return content[:1], content[1:]


def _read(child: Confined, count: int, until: float) -> bytes:
    pipe, parts = child.stdout.fileno(), []
    while count:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            child.end()
            raise BundleError(_TOO_LONG)
        part = os.read(pipe, min(count, 1_000_000))
        if not part:
            raise BundleError(_ended(child))
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _ended(child: Confined) -> str:
    """What is known of a child that ended before it answered."""
    with contextlib.suppress(Exception):
        child.process.wait(timeout=2)
    words = child.ended_for or _one_line(child.last_words().encode())
    code = child.process.poll()
    ending = {0: "ends its process", None: "closed its answers"}.get(code, f"ended with {code}")
    if "MemoryError" in words or "Cannot allocate" in words or "bad_alloc" in words:
        ending = "takes more memory than it may"
    return f"the model {ending} instead of answering" + (f" ({words})" if words else "")


def _one_line(content: bytes) -> str:
    """Untrusted text on one line, without what a terminal or a log would obey."""
    text = content[-2_000:].decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return "".join(c for c in last if c.isprintable()).replace("::", ":").strip()[:_TEXT_SHOWN]


def _peak_mb(pid: int) -> float:
    """The largest peak of a process and those below it; 0 where the system does not tell."""
    peak, waiting = 0.0, [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            status = (process / "status").read_text(encoding="utf-8")
            for children in process.glob("task/*/children"):
                waiting += [int(child) for child in children.read_text(encoding="utf-8").split()]
        except OSError:
            continue
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        peak = max([peak, *(int(kilobytes) * 1024 / 1e6 for kilobytes in found)])
    return peak
