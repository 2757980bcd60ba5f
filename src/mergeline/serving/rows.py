"""From the rows of a request to the columns that a model takes.

Rows are read twice over. `RowReader.quick` takes what is plainly right, by types that msgspec makes
from the model's signature. All else goes to `read_json` and `to_batch`, which take more time,
decide, and name the value at fault. What the first takes, the second takes as the same rows.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mergeline.core.compare.result import InputColumn
from mergeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ROW_LIMIT = 10_000
_NAMES_COMPARED = 1_000  # a body has room for a million, which would take minutes
_BITS = {"long": 64, "integer": 32}
_FLOATS = {"double": "float64", "float": "float32"}
KINDS = {*_BITS, *_FLOATS, "boolean", "string", "datetime"}  # of columns that JSON can carry
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of raw columns that a model takes.

    Attributes:
        columns: in the model's order; each a list or a NumPy array of values of its type, a missing
            one None (or NaN in an array).
    """

    inputs: Mapping[str, InputColumn]
    columns: list[Any]
    size: int

    def frame(self) -> pd.DataFrame:
        """The data frame of the types that the signature says."""
        import pandas as pd

        named = zip(self.inputs.items(), self.columns, strict=True)
        return pd.DataFrame({name: _array(values, kind.type) for (name, kind), values in named})


class RowReader:
    """Reads rows that are plainly right, for one model.

    Args:
        inputs: the columns that the model takes.
    """

    def __init__(self, inputs: Mapping[str, InputColumn]) -> None:
        self.inputs = inputs
        fields = [(f"c{place}", _read_type(kind)) for place, kind in enumerate(inputs.values())]
        names = {f"c{place}": name for place, name in enumerate(inputs)}
        row = msgspec.defstruct("Row", fields, rename=names, gc=False)
        self._list = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        kinds = [kind.type for kind in inputs.values()]
        self._texts = [place for place, kind in enumerate(kinds) if kind in {"string", "datetime"}]
        # msgspec has seen to the others.
        self._checked = [
            (place, kind)
            for place, kind in enumerate(kinds)
            if kind not in {"double", "boolean", "string"}
        ]

    def quick(self, key: str, body: bytes) -> Batch | None:
        """The rows of `{"<key>": [{column: value, …}, …]}`; None if that needs a closer look."""
        start, end = body.find(b"["), body.rfind(b"]")
        around = body[: max(start, 0)] + body[end + 1 :]
        if around.translate(None, b" \t\r\n") != b'{"%s":}' % key.encode():
            return None
        text = body[start : end + 1]
        try:
            rows = self._list.decode(text)
            if not 0 < len(rows) <= ROW_LIMIT:
                return None
            columns = [list(values) for values in zip(*map(_values_of, rows), strict=True)]
            if not self._has_each_key_once(text, columns):
                return None
            for place, kind in self._checked:
                columns[place] = _values(columns[place], kind)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return None
        return Batch(self.inputs, columns, len(rows))

    def _has_each_key_once(self, text: bytes, columns: Sequence[Sequence[Any]]) -> bool:
        """Whether no key is there twice, or unknown: each has its colon, so there are none more."""
        more = text.count(b":") - len(self.inputs) * len(columns[0])
        if more == 0:
            return True
        inside = sum(value.count(":") for n in self._texts for value in columns[n] if value)
        return more == inside and b"\\" not in text  # which may write a colon otherwise


_values_of = msgspec.structs.astuple


def _read_type(kind: InputColumn) -> Any:  # noqa: ANN401 - a type
    """What msgspec reads as a column's value; the closer look takes more of what is right."""
    read: Any = float if kind.type in _FLOATS else int if kind.type in _BITS else str
    if kind.type == "boolean":
        read = bool
    return read | None if kind.type in _FLOATS or not kind.required else read


def to_batch(rows: object, inputs: Mapping[str, InputColumn]) -> Batch:
    """Convert rows, a list of objects, to the columns that a model takes.

    Raises:
        InputError: the rows are not a list of objects or too many or none, a column is missing or
            likely misspelt, or a value is not of the type that the model's signature says.
    """
    if not isinstance(rows, list):
        raise InputError("'rows' must be a list of objects", where="rows")
    check_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            where = f"rows[{number}]"
            raise InputError("a row must be an object of columns and values", where=where)
    check_names(rows, inputs)
    columns = [
        checked(name, kind, [row.get(name) for row in rows]) for name, kind in inputs.items()
    ]
    return Batch(inputs, columns, len(rows))


def check_count(rows: int) -> None:
    """Refuse no rows, and too many.

    Raises:
        InputError: of either.
    """
    if not 0 < rows <= ROW_LIMIT:
        raise InputError(
            f"{rows:,} rows" if rows else "no rows",
            where="rows",
            next_step=f"Send between 1 and {ROW_LIMIT:,} at once",
        )


def check_names(rows: Sequence[Row], inputs: Mapping[str, InputColumn]) -> None:
    """Accept columns that the model does not take, unless one is likely a typing mistake."""
    incomplete = {n: row for n, row in enumerate(rows) if not row.keys() >= inputs.keys()}
    unknown = {name for row in incomplete.values() for name in row} - inputs.keys()
    if len(unknown) > _NAMES_COMPARED:
        message = f"more than {_NAMES_COMPARED:,} columns that the model does not take"
        raise InputError(message, where="rows", next_step="Send those that it takes")
    known = {name.casefold(): name for name in inputs}
    similar = {  # nearest first
        name: difflib.get_close_matches(name.casefold(), known, n=len(known)) for name in unknown
    }
    for number, row in incomplete.items():
        where = f"rows[{number}]"
        for name in row:
            meant = [known[close] for close in similar.get(name, []) if known[close] not in row]
            if meant:
                hint = f"did you mean {meant[0]!r}?"
                raise InputError(f"unknown column {name!r:.80} ({hint})", where=where)
        for name, kind in inputs.items():
            if name not in row and kind.required:
                raise InputError(f"the column {name!r} is missing", where=where)


def checked(name: str, kind: InputColumn, values: Sequence[Any]) -> list[Any]:
    """The values of one column as its type has them.

    Raises:
        InputError: one is missing, or not of the type; it is named by its row.
    """
    # A missing number is NaN to a model, whatever its signature saw while it was trained.
    if kind.required and kind.type not in _FLOATS and None in values:
        place = values.index(None)
        raise InputError(
            "null, where the model has always had a value", where=f"rows[{place}].{name}"
        )
    try:
        return _values(values, kind.type)
    except (ValueError, TypeError, OverflowError):
        raise _first_misfit(name, kind, values) from None


def _first_misfit(name: str, kind: InputColumn, values: Sequence[object]) -> InputError:
    """The error that names the first value which cannot be read alone."""
    for number, value in enumerate(values):
        try:
            _values([value], kind.type)
        except (ValueError, TypeError, OverflowError) as error:
            problem = str(error) if isinstance(error, _MisfitError) else f"not of type {kind.type}"
            where = f"rows[{number}].{name}"
            return InputError(f"{_short(value)} is {problem}", where=where)
    return InputError(f"its values together are not of type {kind.type}", where=name)


class _MisfitError(ValueError):
    """Says why a value is not of a type."""


def _short(value: object) -> str:
    try:
        text = ascii(value)
    except ValueError:  # an integer too long to be written down
        return "a number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _values(values: Sequence[Any], kind: str) -> list[Any]:
    """The values as Python has them.

    Raises:
        ValueError, TypeError, OverflowError: one is not of the type.
    """
    match kind:
        case "double" | "float":
            _expect(values, int, float)
            return _floats(values, kind)
        case "long" | "integer":
            _expect(values, int, float)
            return _integers(values, kind)
        case "boolean":
            _expect(values, bool)
            return list(values)
        case "string":
            _expect(values, str)
            "".join(filter(None, values)).encode()  # no half of a surrogate pair
            return list(values)
        case _:  # "datetime"
            _expect(values, str)
            return [_time(value) for value in values]


def _expect(values: Sequence[object], *types: type) -> None:
    if not {type(value) for value in values} <= {type(None), *types}:
        raise TypeError


def _floats(values: Sequence[Any], kind: str) -> list[float | None]:
    import numpy as np

    try:
        numbers = [value if value is None else float(value) for value in values]
    except OverflowError:
        raise _MisfitError(f"beyond the largest {kind}") from None
    with np.errstate(over="ignore"):
        if np.isinf(np.array(numbers, dtype=_FLOATS[kind])).any():
            raise _MisfitError(f"beyond the largest {kind}")
    return numbers


def _integers(values: Sequence[Any], kind: str) -> list[int | None]:
    bound = 2 ** (_BITS[kind] - 1)
    whole = [value if value is None else int(value) for value in values]
    if whole != values:
        raise _MisfitError("not a whole number")
    if any(value is not None and not -bound <= value < bound for value in whole):
        raise _MisfitError(f"beyond the {_BITS[kind]} bits of {kind}")
    return whole


def _array(values: Any, kind: str) -> Any:  # noqa: ANN401
    """An array of NumPy or pandas; a Series would take five times as long."""
    import numpy as np
    import pandas as pd

    match kind:
        case "double" | "float":
            return np.array(values, dtype=_FLOATS[kind])
        case "long" | "integer":
            if not isinstance(values, np.ndarray) and None in values:
                return np.array(values, "float64")
            return np.asarray(values, f"int{_BITS[kind]}")
        case "boolean":
            return np.array(values, "object" if None in values else "bool")
        case "string":
            return pd.array(values, dtype=_text_type())
        case _:  # "datetime"
            return np.array(values, dtype="datetime64[us]")


@functools.cache
def _text_type() -> Any:  # noqa: ANN401
    """The type that this version of pandas gives to text, as in the evaluation's rows."""
    import pandas as pd

    return pd.Series([""]).dtype


def _time(text: str | None) -> dt.datetime | None:
    """MLflow's datetime has no zone: another zone than UTC is converted."""
    if text is None:
        return None
    time = dt.datetime.fromisoformat(text)
    return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
