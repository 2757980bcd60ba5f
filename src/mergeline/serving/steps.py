"""scikit-learn's first steps on plain values: from raw columns to an estimator's matrix.

A data frame costs more than most models. Where a pipeline begins with encoders, imputers and
scalers, their fitted numbers are all that is needed. What this cannot do is left to the data frame;
what it does is believed only after `proof.py` has held it against the estimator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

from mergeline.core.compare.result import InputColumn
from mergeline.errors import BundleError
from mergeline.serving.rows import Batch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# The name of a change in `_CHANGES`, and its numbers.
Change = tuple[Any, ...]
Way = Callable[[Any], Any]
_NUMBERS = {"double", "float", "long", "integer", "boolean"}


class NoStepsError(Exception):
    """A step that is not known here; the message says which."""


@dataclass
class Source:
    """One column on its way: how a raw value becomes the columns of the matrix.

    Attributes:
        column: place of the raw column.
        numeric: whether it is a number so far.
        changes: of a raw value on its way, in their order; each is named, with its numbers.
        categories: raw values that a step knows by name.
        place, width: of its columns in the matrix.
        codes: of a category: its number, or with a width its column; None for a plain number.
        unknown: the code of a category that is not known; None refuses it.
    """

    column: int
    numeric: bool
    changes: tuple[Change, ...] = ()
    categories: list[Any] = field(default_factory=list)
    place: int = 0
    width: int = 1
    codes: Mapping[Any, float] | None = None
    unknown: float | None = None

    def inverse(self, number: float) -> float:
        """A raw number that gives this number of the matrix, about."""
        for name, *numbers in reversed(self.changes):
            if name in _INVERSES:
                number = float(_INVERSES[name](number, *numbers))
        return number


def first_steps(steps: Sequence[Any], inputs: Mapping[str, InputColumn]) -> ToMatrix:
    """What fitted steps do to the columns that a model takes.

    Raises:
        NoStepsError: one of the steps is not known here.
    """
    sources = [
        Source(
            place,
            numeric=kind.type in _NUMBERS,
            changes=(("single",),) if kind.type == "float" else (),
        )
        for place, kind in enumerate(inputs.values())
    ]
    names = list(inputs)
    for step in steps:
        sources = _through(step, sources, names)
        names = [str(number) for number in range(len(sources))]
    place = 0
    for source in sources:
        if source.codes is None and not source.numeric:
            raise NoStepsError("a text that no step encodes")
        source.place, place = place, place + source.width
    return ToMatrix(sources, inputs)


class ToMatrix:
    """From a batch to a matrix of float64, as the sources say."""

    def __init__(self, sources: Sequence[Source], inputs: Mapping[str, InputColumn]) -> None:
        self._sources = [(source, _way(source.changes)) for source in sources]
        self.width = sum(source.width for source in sources)
        self._narrow = all(source.width == 1 for source in sources)
        self._ways = [
            (one.column, way, one.codes.get if one.codes is not None else None, one.unknown)
            for one, way in self._sources
        ]
        self._texts = [kind.type == "string" for kind in inputs.values()]

    @property
    def sources(self) -> Sequence[Source]:
        """The columns as they enter the matrix."""
        return [source for source, _ in self._sources]

    def __call__(self, batch: Batch) -> npt.NDArray[np.float64]:
        """The matrix.

        Raises:
            BundleError: a category is not known, and the encoder refuses those.
        """
        import numpy as np

        if batch.size == 1 and self._narrow and (row := self._one_row(batch.columns)):
            # An array takes its time for each column, whatever the rows.
            return np.array([row], dtype=np.float64)
        columns = [self._entered(source, way, batch) for source, way in self._sources]
        matrix = np.zeros((batch.size, self.width))
        for (source, _), values in zip(self._sources, columns, strict=True):
            if source.width == 1:
                matrix[:, source.place] = values
            else:
                for place, code in enumerate(values):
                    if code >= 0:
                        matrix[place, source.place + int(code)] = 1.0
        return matrix

    def _one_row(self, columns: Sequence[Any]) -> list[float | None] | None:
        """The numbers of one row; None if a category is not known."""
        row = []
        for column, change, code, unknown in self._ways:
            value = columns[column][0]
            if change is not None:
                value = change(value)
            if code is not None:
                value = code(value if type(value) is str else _key(value), unknown)
                if value is None:
                    return None
            row.append(value)
        return row

    def _entered(self, source: Source, way: Way | None, batch: Batch) -> Any:  # noqa: ANN401
        """The numbers, or codes, that a column's raw values become: a list or an array."""
        values = batch.columns[source.column]
        if way is not None:
            values = [way(value) for value in _listed(values)]
        if source.codes is None:
            return values
        code, unknown = source.codes.get, source.unknown
        if self._texts[source.column] and way is None:
            keys = _listed(values)  # texts and None, which are their own keys
        else:
            keys = [_key(value) for value in _listed(values)]
        codes = list(map(code, keys, repeat(unknown)))
        if unknown is None and None in codes:
            value = _listed(values)[codes.index(None)]
            raise BundleError(
                f"the model cannot score these rows: it knows no category {value!r:.60}"
            )
        return codes


def _listed(values: Any) -> list[Any]:  # noqa: ANN401 - a list or an array
    return values if isinstance(values, list) else values.tolist()


def _key(value: Any) -> Any:  # noqa: ANN401 - a category
    """One key for all that is missing."""
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN


def _single(value: float | None) -> float | None:
    import numpy as np

    return None if value is None else float(np.float32(value))


def _filled(value: Any, filled: Any) -> Any:  # noqa: ANN401
    return filled if _key(value) is None else value


def _centred(value: Any, mean: float, scale: float) -> float:  # noqa: ANN401
    return math.nan if value is None else (float(value) - mean) / scale


def _stretched(value: Any, scale: float, least: float) -> float:  # noqa: ANN401
    return math.nan if value is None else float(value) * scale + least


_CHANGES: Mapping[str, Callable[..., Any]] = {
    "single": _single,
    "fill": _filled,
    "centre": _centred,
    "stretch": _stretched,
}
_INVERSES: Mapping[str, Callable[..., float]] = {
    "centre": lambda number, mean, scale: number * scale + mean,
    "stretch": lambda number, scale, least: (number - least) / scale,
}


def _way(changes: Sequence[Change]) -> Way | None:
    """All changes of a raw value as one; None where there are none."""
    steps = [(_CHANGES[name], numbers) for name, *numbers in changes]
    if not steps:
        return None

    def change(value: Any) -> Any:  # noqa: ANN401
        for step, numbers in steps:
            value = step(value, *numbers)
        return value

    return change


def _through(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401
    """The columns after a step."""
    kind = type(step).__name__
    if step in ("passthrough", None) or (kind == "FunctionTransformer" and step.func is None):
        return sources
    if not type(step).__module__.startswith("sklearn."):
        raise NoStepsError(f"a step of {type(step).__module__}")
    known = {
        "Pipeline": _pipeline,
        "ColumnTransformer": _column_transformer,
        "OrdinalEncoder": _ordinal,
        "OneHotEncoder": _one_hot,
        "SimpleImputer": _imputer,
        "StandardScaler": _scaler,
        "MinMaxScaler": _min_max,
    }
    if kind not in known:
        raise NoStepsError(f"the step {kind}")
    if kind in {"Pipeline", "ColumnTransformer"}:
        return known[kind](step, sources, names)
    if getattr(step, "n_features_in_", len(sources)) != len(sources):
        raise NoStepsError(f"{kind} of other columns")
    return known[kind](step, sources, names)


def _pipeline(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401
    for _, inner in step.steps:
        sources = _through(inner, sources, names)
        names = [str(number) for number in range(len(sources))]
    return sources


def _column_transformer(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401
    import copy

    after: list[Source] = []
    for _, inner, columns in step.transformers_:
        if inner == "drop":
            continue
        places = _places(columns, names)
        # One column may go several ways.
        chosen = [copy.copy(sources[place]) for place in places]
        after += _through(inner, chosen, [names[place] for place in places])
    return after


def _places(columns: Any, names: list[str]) -> list[int]:  # noqa: ANN401 - as scikit-learn takes them
    import numpy as np

    if isinstance(columns, slice):
        return list(range(len(names)))[columns]
    if isinstance(columns, str):
        raise NoStepsError("a step that takes one column as a vector")
    listed: list[Any] = np.asarray(columns).tolist()
    if listed and all(isinstance(one, bool) for one in listed):
        return [place for place, taken in enumerate(listed) if taken]
    try:
        return [names.index(one) if isinstance(one, str) else int(one) for one in listed]
    except (ValueError, TypeError) as error:
        raise NoStepsError("columns that are not named") from error


def _categories(step: Any, place: int) -> list[Any]:  # noqa: ANN401
    if getattr(step, "_infrequent_enabled", False):
        raise NoStepsError("an encoder of infrequent categories")
    return [_key(one) for one in step.categories_[place].tolist()]


def _ordinal(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401, ARG001
    for place, source in enumerate(sources):
        known = _categories(step, place)
        source.codes = {
            value: math.nan
            if value is None and _is_nan(step.encoded_missing_value)
            else float(code)
            for code, value in enumerate(known)
        }
        if None in known and not _is_nan(step.encoded_missing_value):
            source.codes[None] = float(step.encoded_missing_value)
        source.categories = known
        if step.handle_unknown == "use_encoded_value":
            source.unknown = float(step.unknown_value)
        source.numeric = False
    return sources


def _is_nan(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, float) and math.isnan(value)


def _one_hot(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401, ARG001
    for place, source in enumerate(sources):
        known = _categories(step, place)
        dropped = None if step.drop_idx_ is None else step.drop_idx_[place]
        kept = [value for number, value in enumerate(known) if number != dropped]
        source.codes = {value: float(code) for code, value in enumerate(kept)}
        if dropped is not None:
            source.codes[known[dropped]] = -1.0
        if step.handle_unknown != "error":
            source.unknown = -1.0
        source.categories, source.width, source.numeric = known, len(kept), False
        if len(kept) == 1:  # a width of one would be taken for a number
            source.codes = {value: float(code == 0) for value, code in source.codes.items()}
            source.unknown = None if source.unknown is None else 0.0
    return [source for source in sources if source.width]


def _numbers_only(step: Any, sources: Iterable[Source]) -> None:  # noqa: ANN401
    for source in sources:
        if source.codes is not None or not source.numeric:
            raise NoStepsError(f"{type(step).__name__} of what is no number")


def _imputer(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401, ARG001
    if step.add_indicator or not _is_nan(step.missing_values):
        raise NoStepsError("an imputer with an indicator, or of other values than NaN")
    for source, filled in zip(sources, step.statistics_.tolist(), strict=True):
        if source.codes is not None or _key(filled) is None:
            raise NoStepsError("an imputer of what is encoded, or of nothing")
        source.changes += (("fill", filled),)
    return sources


def _scaler(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401, ARG001
    _numbers_only(step, sources)
    for place, source in enumerate(sources):
        mean = float(step.mean_[place]) if step.with_mean else 0.0
        scale = float(step.scale_[place]) if step.with_std else 1.0
        source.changes += (("centre", mean, scale),)
    return sources


def _min_max(step: Any, sources: list[Source], names: list[str]) -> list[Source]:  # noqa: ANN401, ARG001
    _numbers_only(step, sources)
    if step.clip:
        raise NoStepsError("a scaler that clips")
    for place, source in enumerate(sources):
        scale, least = float(step.scale_[place]), float(step.min_[place])
        source.changes += (("stretch", scale, least),)
    return sources
