"""The proof that a form answers as the model itself does.

Held against the model are rows that were kept from training (where the source has them), rows at
every threshold of the trees and one unit in the last place beside it, every category and one that
nobody has seen, missing values, and numbers at the ends of their type. A form serves only if each
answer is the model's within 1e-12, and no class changes places.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mergeline.adapters.models.folder import LoadedModel
from mergeline.errors import BundleError, InputError
from mergeline.serving.forms import FEW_ROWS, Form, Frame, OnArrays, candidates, thresholds
from mergeline.serving.rows import Batch, to_batch
from mergeline.serving.steps import NoStepsError, Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Answers = npt.NDArray[np.float64]

CLOSE = 1e-12
_NUMBERS = {"double", "float", "long", "integer"}
_MOST_ROWS = 20_000  # at thresholds; of a model with more, some are drawn
_UNSEEN = "mergeline: never seen"
_QUICK = 0.0007  # seconds for one row
_TRIES = 20
_TOGETHER = 8  # rows
_FEW = 150  # rows
_MANY = 1_000


def choose(model: LoadedModel, holdout: Batch | None = None, *, alone: bool = False) -> Form:
    """The fastest form of a model that stands the proof.

    `alone`: a compiled form must do without the estimator, for many rows too.
    """
    try:
        forms = candidates(model, alone=alone)
    except NoStepsError as error:
        base = _base(model, holdout, {})
        return Frame(model, f"frame: {error}", joins=_joins(model, base))
    reasons: list[str] = []
    for form in forms:
        proof = _Proof(model, form, holdout)
        problem = proof.problem()
        if problem is None:
            form.reason = "; ".join([*reasons, proof.said()])
            form.quick = _is_quick(form, proof.base)
            form.labels, form.exact = proof.labels, proof.exact
            return form
        reasons.append(f"{form.name}: {problem}")
    base = _base(model, holdout, _known_categories(forms[0]))
    return Frame(model, "; ".join(reasons), joins=_joins(model, base))


def _known_categories(form: OnArrays) -> dict[int, Any]:
    """A category that each encoded column knows."""
    return {
        source.column: source.categories[0]
        for source in form.to_matrix.sources
        if source.categories
    }


class _Proof:
    """One form held against its model."""

    def __init__(self, model: LoadedModel, form: OnArrays, holdout: Batch | None) -> None:
        self._model = model
        self._form = form
        self._holdout = holdout
        self.base = _base(model, holdout, _known_categories(form))
        self._rows = 0
        self._largest = 0.0
        self.labels = bool(model.classes) and hasattr(model.estimator, "predict")

    @property
    def exact(self) -> bool:
        """Whether no answer differs."""
        return self._largest == 0

    def said(self) -> str:
        """What it has shown."""
        kept = f", {self._holdout.size:,} of them of the holdout" if self._holdout else ""
        return (
            f"{self._form.name}: {self._rows:,} rows asked{kept}; "
            f"largest difference {self._largest:.1e}, no class changed"
        )

    def problem(self) -> str | None:
        """Why the form does not serve, if it does not."""
        if self.base is None:
            return "no row is known that the model answers to"
        try:
            refused = self._refused()
            self._form.refused = frozenset(refused)
            self._form.most = self._most_for_few()
            for batch in self._batches(refused):
                difference = self._difference(batch)
                if difference is not None:
                    return difference
        except (BundleError, ArithmeticError, ValueError, TypeError) as error:
            return f"it fails where the model does not: {error}"
        return None

    def _most_for_few(self) -> float:
        """Of how many rows at once the form for few ends to be the faster one."""
        form = self._form
        rows = self._holdout or self.base
        assert rows is not None  # noqa: S101 - `problem` has seen to it
        if form.few is form.many:
            return FEW_ROWS
        matrix = form.to_matrix(_rows(rows, [row % rows.size for row in range(_MANY)]))
        few, many = (_shortest(functools.partial(ask, matrix), 5) for ask in (form.few, form.many))
        return math.inf if few < many else FEW_ROWS

    def _refused(self) -> list[int]:
        """The columns in which the model takes no missing value."""
        assert self.base is not None  # noqa: S101 - for the type checker
        base, places = self.base, self._may_be_missing()
        each = [_with(base, {place: [None]}) for place in places]
        if not each or self._answers(_stacked(each)):
            return []
        return [place for place, one in zip(places, each, strict=True) if not self._answers(one)]

    def _answers(self, batch: Batch) -> bool:
        """Whether the model answers to all rows, with finite numbers."""
        import numpy as np

        try:
            return bool(np.isfinite(self._model.predict(batch.frame())).all())
        except BundleError:
            return False

    def _may_be_missing(self) -> list[int]:
        return [
            place
            for place, kind in enumerate(self._model.inputs.values())
            if not kind.required or kind.type in {"double", "float"}
        ]

    def _batches(self, refused: Sequence[int]) -> Iterator[Batch]:
        if self._holdout is not None:
            yield self._holdout
        yield _stacked(list(self._one_by_one(refused)))
        for source in self._form.to_matrix.sources:
            if source.categories:
                yield from self._unseen(source)
        yield from self._at_thresholds()

    def _one_by_one(self, refused: Sequence[int]) -> Iterator[Batch]:
        """Rows of one odd value each: missing, at the end of its type, of each category."""
        assert self.base is not None  # noqa: S101 - for the type checker
        yield self.base
        missing = [place for place in self._may_be_missing() if place not in refused]
        for place in missing:
            yield _with(self.base, {place: [None]})
        if missing:
            yield _with(self.base, {place: [None] for place in missing})
        for place, kind in enumerate(self._model.inputs.values()):
            if ends := _ends(kind.type):
                yield _with(self.base, {place: ends})
        for source in self._form.to_matrix.sources:
            if known := [one for one in source.categories if one is not None]:
                yield _with(self.base, {source.column: known})

    def _unseen(self, source: Source) -> Iterator[Batch]:
        """A category that is not known: both answer, or both refuse."""
        assert self.base is not None  # noqa: S101 - for the type checker
        if any(isinstance(one, bool) for one in source.categories):
            return
        texts = any(isinstance(one, str) for one in source.categories)
        batch = _with(self.base, {source.column: [_UNSEEN if texts else 987_654_321]})
        if self._answers(batch):
            yield batch
            return
        try:
            self._form.answer(batch)
        except BundleError:
            return
        raise BundleError("it answers to a category that the model refuses")

    def _at_thresholds(self) -> Iterator[Batch]:
        """Rows at each threshold, and at its neighbours, in all columns at once."""
        import numpy as np

        assert self.base is not None  # noqa: S101 - for the type checker
        steps = getattr(self._model.estimator, "steps", None)
        found = thresholds(steps[-1][1] if steps else self._model.estimator)
        kinds = [kind.type for kind in self._model.inputs.values()]
        columns: dict[int, list[Any]] = {}
        for source in self._form.to_matrix.sources:
            kind = kinds[source.column]
            if source.codes is None and kind in _NUMBERS and source.place in found:
                raw = map(source.inverse, found[source.place])
                columns[source.column] = [near for one in raw for near in _beside(one, kind)]
        random = np.random.default_rng(0)
        size = min(max(map(len, columns.values()), default=0), _MOST_ROWS)
        for _ in range(2 if size else 0):
            drawn = {
                place: [values[n] for n in _spread(len(values), size, random)]
                for place, values in columns.items()
                if values
            }
            yield _with(self.base, drawn)

    def _difference(self, batch: Batch) -> str | None:
        """What keeps the form's answers, to a few rows at a time and to all, from the model's."""
        import numpy as np

        self._rows += batch.size
        frame = batch.frame()
        expected = self._model.predict(frame)
        if self.labels:
            most = np.asarray(self._model.classes)[expected.argmax(axis=1)]
            with self._model.one_thread():
                self.labels = np.array_equal(self._model.estimator.predict(frame), most)
        few = np.concatenate([self._form.answer(part) for part in _in_parts(batch, _FEW)])
        many = batch
        if batch.size <= FEW_ROWS:  # the same rows again, until they are many
            many = _rows(batch, [row % batch.size for row in range(FEW_ROWS + 1)])
        said = self._form.answer(many)[: batch.size]
        return self._compare(expected, few) or self._compare(expected, said)

    def _compare(self, expected: Answers, said: Answers) -> str | None:
        import numpy as np

        if expected.shape != said.shape:
            return f"it answers in shape {said.shape}, not {expected.shape}"
        both = np.isfinite(expected) & np.isfinite(said)
        if not (np.isfinite(expected) == np.isfinite(said)).all():
            return "it has a finite answer where the model has none, or none where it has one"
        scale = np.maximum(1.0, np.abs(expected)) if not self._model.classes else 1.0
        apart = float((np.abs(expected - said) / scale)[both].max(initial=0.0))
        self._largest = max(self._largest, apart)
        if apart > CLOSE:
            return f"an answer differs by {apart:.1e}"
        if self._model.classes and (expected.argmax(axis=1) != said.argmax(axis=1)).any():
            return "a row changes its class"
        return None


def _base(model: LoadedModel, holdout: Batch | None, categories: Mapping[int, Any]) -> Batch | None:
    """One row that the model answers to: of the holdout, the example, or made up."""
    made_up = {
        name: categories.get(place, _MADE_UP[kind.type])
        for place, (name, kind) in enumerate(model.inputs.items())
    }
    found = [_rows(holdout, [0])] if holdout else []
    for row in (model.example, made_up):
        with contextlib.suppress(InputError):  # an example may be of another form
            found.append(to_batch([dict(row)], model.inputs))
    for batch in found:
        try:
            model.predict(batch.frame())
        except BundleError:
            continue
        return batch
    return None


_MADE_UP = {
    "double": 0.5, "float": 0.5, "long": 1, "integer": 1, "boolean": True, "string": "",
    "datetime": "2013-07-01T17:00:00",
}  # fmt: skip


def _with(base: Batch, changes: dict[int, list[Any]]) -> Batch:
    """The first row of a batch, again and again, with other values in some columns."""
    size = max(map(len, changes.values()))
    columns = []
    for place, values in enumerate(base.columns):
        first = values[0] if isinstance(values, list) else values[:1].tolist()[0]
        new = changes.get(place, [first])
        columns.append([new[row % len(new)] for row in range(size)])
    return Batch(base.inputs, columns, size)


def _stacked(batches: Sequence[Batch]) -> Batch:
    """One batch of the rows of all."""
    columns: list[list[Any]] = [[] for _ in batches[0].columns]
    for batch in batches:
        for column, values in zip(columns, batch.columns, strict=True):
            column.extend(_list(values))
    return Batch(batches[0].inputs, columns, sum(batch.size for batch in batches))


def _rows(batch: Batch, places: Sequence[int]) -> Batch:
    columns = [[values[place] for place in places] for values in map(_list, batch.columns)]
    return Batch(batch.inputs, columns, len(places))


def _list(values: Any) -> list[Any]:  # noqa: ANN401 - a list or an array
    return values if isinstance(values, list) else list(values.tolist())


def _in_parts(batch: Batch, size: int) -> list[Batch]:
    return [
        _rows(batch, range(start, min(start + size, batch.size)))
        for start in range(0, batch.size, size)
    ]


def _beside(number: float, kind: str) -> list[Any]:
    """A number and its neighbours, as a type has them."""
    import numpy as np

    if not abs(number) < 1e30:
        return []
    if kind in {"long", "integer"}:
        whole = math.floor(number)
        return [whole, whole + 1] if abs(whole) < 2**31 - 1 else []
    single = float(np.float32(number))  # forests round what they get
    around = [
        near
        for one in (number, single)
        for near in (one, math.nextafter(one, -math.inf), math.nextafter(one, math.inf))
    ]
    around += [float(np.nextafter(np.float32(number), np.float32(to))) for to in (-1e38, 1e38)]
    return [float(np.float32(one)) for one in around] if kind == "float" else around


def _spread(count: int, size: int, random: np.random.Generator) -> list[int]:
    """`size` of `count` places, each at least once if there is room, in any order."""
    if count > size:
        places: list[int] = random.choice(count, size, replace=False).tolist()
        return places
    places = (list(range(count)) * (size // count + 1))[:size]
    random.shuffle(places)
    return places


def _ends(kind: str) -> list[Any]:
    """Numbers at the ends of a type."""
    match kind:
        case "double":
            return [0.0, -0.0, 1e-300, 1e30, -1e30, 5e-324]
        case "float":
            return [0.0, -0.0, 1e30, -1e30]
        case "long":
            return [0, -1, 2**53 + 1, -(2**62)]
        case "integer":
            return [0, -1, 2**31 - 1, -(2**31)]
        case "boolean":
            return [True, False]
        case _:
            return []


def _joins(model: LoadedModel, base: Batch | None) -> bool:
    """Whether a model answers to rows together as it does to each alone, to the last bit."""
    import numpy as np

    if base is None:
        return False
    kinds = [kind.type for kind in model.inputs.values()]
    changed = {
        place: [values[0] if isinstance(values, list) else values.tolist()[0]] * _TOGETHER
        for place, values in enumerate(base.columns)
    }
    for place, kind in enumerate(kinds):
        if kind in {"double", "float"}:
            changed[place] = [0.25 * row for row in range(_TOGETHER)]
        elif kind in {"long", "integer"}:
            changed[place] = list(range(_TOGETHER))
    batch = _with(base, changed)
    try:
        together = model.predict(batch.frame())
        alone = np.concatenate([model.predict(one.frame()) for one in _in_parts(batch, 1)])
    except BundleError:
        return False
    return bool(np.array_equal(together, alone))


def _is_quick(form: OnArrays, base: Batch | None) -> bool:
    assert base is not None  # noqa: S101 - it stood the proof
    return _shortest(lambda: form.answer(base), _TRIES) < _QUICK


def _shortest(work: Callable[[], object], tries: int) -> float:
    """Seconds that work takes: a busy machine makes some tries longer, none shorter."""
    times = []
    for _ in range(tries):
        since = time.perf_counter()
        work()
        times.append(time.perf_counter() - since)
    return min(times)
