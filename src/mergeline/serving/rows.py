"""From the rows of a JSON request to the data frame that a model takes.

Each column is converted as a whole. Only if that fails is each of its values tried alone, to name
the one at fault.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def to_frame(rows: object, inputs: Mapping[str, InputColumn]) -> pd.DataFrame:
    """Convert the rows of a JSON request to the data frame that a model takes.

    Raises:
        InputError: the rows are not a list of objects or too many or none, a column is missing or
            likely misspelt, or a value is not of the type that the model's signature says.
    """
    import pandas as pd

    if not isinstance(rows, list):
        raise InputError("'rows' must be a list of objects", where="rows")
    if not 0 < len(rows) <= ROW_LIMIT:
        raise InputError(
            f"{len(rows):,} rows" if rows else "no rows",
            where="rows",
            next_step=f"Send between 1 and {ROW_LIMIT:,} at once",
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            where = f"rows[{number}]"
            raise InputError("a row must be an object of columns and values", where=where)
    _check_names(rows, inputs)
    return pd.DataFrame({name: _column(name, kind, rows) for name, kind in inputs.items()})


def _check_names(rows: Sequence[Row], inputs: Mapping[str, InputColumn]) -> None:
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


def _column(name: str, kind: InputColumn, rows: Sequence[Row]) -> Any:  # noqa: ANN401
    values = [row.get(name) for row in rows]
    # A missing number is NaN to a model, whatever its signature saw while it was trained.
    if None in values and kind.required and kind.type not in _FLOATS:
        place = values.index(None)
        raise InputError(
            "null, where the model has always had a value", where=f"rows[{place}].{name}"
        )
    try:
        return _array(values, kind.type)
    except (ValueError, TypeError, OverflowError):
        raise _first_misfit(name, kind, values) from None


def _first_misfit(name: str, kind: InputColumn, values: Sequence[object]) -> InputError:
    """The error that names the first value which cannot be read alone."""
    for number, value in enumerate(values):
        try:
            _array([value], kind.type)
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


def _array(values: Sequence[Any], kind: str) -> Any:  # noqa: ANN401
    """An array of NumPy or pandas; a Series would take five times as long."""
    import numpy as np
    import pandas as pd

    match kind:
        case "double" | "float":
            _expect(values, int, float)
            return _floats(values, kind)
        case "long" | "integer":
            _expect(values, int, float)
            return _integers(values, kind)
        case "boolean":
            _expect(values, bool)
            return np.array(values, "object" if None in values else "bool")
        case "string":
            _expect(values, str)
            return pd.array(values, dtype=_text_type())
        case _:  # "datetime"
            _expect(values, str)
            return np.array([_time(value) for value in values], dtype="datetime64[us]")


def _expect(values: Sequence[object], *types: type) -> None:
    if not {type(value) for value in values} <= {type(None), *types}:
        raise TypeError


def _floats(values: Sequence[Any], kind: str) -> Any:  # noqa: ANN401
    import numpy as np

    try:
        numbers = [math.nan if value is None else float(value) for value in values]
    except OverflowError:
        raise _MisfitError(f"beyond the largest {kind}") from None
    with np.errstate(over="ignore"):
        array = np.array(numbers, dtype=_FLOATS[kind])
    if np.isinf(array).any():
        raise _MisfitError(f"beyond the largest {kind}")
    return array


def _integers(values: Sequence[Any], kind: str) -> Any:  # noqa: ANN401
    import numpy as np

    bound = 2 ** (_BITS[kind] - 1)
    for value in values:
        if value is not None and value != int(value):
            raise _MisfitError("not a whole number")
        if value is not None and not -bound <= value < bound:
            raise _MisfitError(f"beyond the {_BITS[kind]} bits of {kind}")
    if None in values:
        return np.array([math.nan if value is None else value for value in values], "float64")
    return np.array([int(value) for value in values], f"int{_BITS[kind]}")


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
