"""The program that asks a model behind walls; see `confined` for its parent.

    python -m mergeline.adapters.models.child FOLDER DIGEST

Questions come in on standard input, and answers go out on what was standard output: each a length
of eight bytes and so many bytes, of which the first is a letter. A question is `F` (a frame of raw
columns as an Arrow stream, which is held and not answered) or `R` (a batch's size and positions of
rows of that frame, each of eight bytes: the rows are asked for batch by batch, and answered
together). An answer is `S` (started), `L` (loaded; JSON with the classes), `A` (numbers: two
lengths of eight bytes, rows and columns, then doubles) or `E` (an error's text). The parent never
unpickles anything.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mergeline.errors import MergelineError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def main() -> None:
    """Load the model, then answer until the questions end."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the model prints is no answer
    questions = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    import numpy as np
    import pandas as pd  # what every model needs is no part of its loading time
    import pyarrow as pa

    from mergeline.adapters.models.folder import load

    _send(answers, b"S")
    try:
        model = load(Path(sys.argv[1]), sys.argv[2])
    except MergelineError as error:
        _send(answers, b"E", error.message.encode())
        return
    _send(answers, b"L", json.dumps({"classes": [_plain(c) for c in model.classes]}).encode())
    held = pd.DataFrame()
    while question := _receive(questions):
        if question[:1] == b"F":
            held = pa.ipc.open_stream(question[1:]).read_pandas()
            continue
        numbers = np.frombuffer(question, dtype="<i8", offset=1)
        size, rows = int(numbers[0]), numbers[1:]
        try:
            starts = range(0, max(len(rows), 1), size)
            parts = [model.predict(held.iloc[rows[start : start + size]]) for start in starts]
            _send(answers, b"A", _numbers(np.concatenate(parts)))
        except MergelineError as error:
            _send(answers, b"E", error.message.encode())


def _plain(value: Any) -> bool | int | str:  # noqa: ANN401 - what a model calls a class
    """A class as JSON has it; NumPy's scalars become Python's."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _numbers(answer: npt.NDArray[np.float64]) -> bytes:
    columns = answer.shape[1] if answer.ndim > 1 else 0
    return struct.pack("<QQ", len(answer), columns) + answer.astype("<f8").tobytes()


def _send(pipe: IO[bytes], *parts: bytes) -> None:
    pipe.write(struct.pack("<Q", sum(map(len, parts))))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    """The next question; empty at the end of them."""
    head = pipe.read(8)
    return pipe.read(struct.unpack("<Q", head)[0]) if len(head) == 8 else b""


if __name__ == "__main__":
    main()
