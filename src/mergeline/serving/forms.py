"""The forms in which a model is asked, the fastest first.

*compiled*: trees by Treelite, linear models by NumPy, behind scikit-learn's first steps on plain
values (`steps.py`). *arrays*: the same steps, then scikit-learn's own estimator on an array.
*frame*: the model itself, with a data frame. A form other than the last serves only after a proof
(`proof.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mergeline.adapters.models.folder import LoadedModel
from mergeline.errors import BundleError
from mergeline.serving.many_rows import leaf_values
from mergeline.serving.rows import Batch
from mergeline.serving.steps import NoStepsError, ToMatrix, first_steps

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Answers = npt.NDArray[np.float64]

FEW_ROWS = 200  # of more, other ways to ask trees may take less time than Treelite
_TREES = {
    f"{family}{task}"
    for family in ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
    for task in ("Classifier", "Regressor")
}
_BOOSTERS = {"XGBClassifier", "XGBRegressor", "LGBMClassifier", "LGBMRegressor"}
_LINEAR = {
    "LinearRegression", "Ridge", "Lasso", "ElasticNet", "LogisticRegression", "RidgeCV", "LassoCV",
}  # fmt: skip


class Form(Protocol):
    """A way to ask a model.

    Attributes:
        name: as `/models` says it.
        reason: why this form and no faster one.
        quick: whether a row takes less than a millisecond.
        joins: whether rows of several requests may be asked about at once.
        labels: whether the model's own `predict` is known to give the most probable class.
        exact: whether no answer was found to differ, not even in its last bit.
    """

    name: str
    reason: str
    quick: bool
    joins: bool
    labels: bool
    exact: bool

    def answer(self, batch: Batch) -> Answers:
        """Probabilities, shape (n, classes), or numbers, shape (n,).

        Raises:
            BundleError: the model fails on these rows.
        """
        ...


@dataclass
class Frame:
    """The model itself, asked with a data frame: any model."""

    model: LoadedModel
    reason: str = ""
    joins: bool = False
    name: str = "frame"
    quick: bool = False
    labels: bool = False
    exact: bool = True

    def answer(self, batch: Batch) -> Answers:
        """As the model answers."""
        return self.model.predict(batch.frame())


@dataclass
class OnArrays:
    """The first steps on plain values, then what is left of the pipeline on an array.

    Attributes:
        to_matrix: the steps up to there.
        few: answers to a matrix of few rows; `many` to one of many.
        most: rows that are few.
        refused: places of columns in which the model takes no missing value.
        labels: whether the model's own `predict` gives the most probable class.
        kernel: what `few` computes, where that needs no estimator.
    """

    name: str
    to_matrix: ToMatrix
    few: Callable[[Answers], Answers]
    many: Callable[[Answers], Answers]
    most: float = FEW_ROWS
    refused: frozenset[int] = frozenset()
    labels: bool = False
    exact: bool = False
    reason: str = ""
    quick: bool = False
    joins: bool = True
    kernel: Trees | Linear | None = None

    def answer(self, batch: Batch) -> Answers:
        """As the model answers, to 1e-12."""
        import numpy as np

        for place in self.refused:
            values = batch.columns[place]
            if np.isnan(values).any() if isinstance(values, np.ndarray) else None in values:
                name = list(batch.inputs)[place]
                raise BundleError(f"the model cannot score these rows: {name!r} is missing in one")
        matrix = self.to_matrix(batch)
        return self.few(matrix) if batch.size <= self.most else self.many(matrix)


def candidates(model: LoadedModel, *, alone: bool = False) -> list[OnArrays]:
    """The forms that a model may have, fastest first; none of them is proven yet.

    `alone`: the compiled one does without the estimator, for many rows too.

    Raises:
        NoStepsError: it has none; the message says why.
    """
    estimator = model.estimator
    if estimator is None:
        raise NoStepsError("it is not a scikit-learn estimator")
    steps = _steps_of(estimator)
    first, rest = _split(steps, model)
    arrays = _by_sklearn(rest, model)
    forms = [OnArrays("arrays", first, arrays, arrays)]
    if len(rest) == 1:
        kernel = _kernel(rest[0], len(model.classes))
        if kernel is not None:
            few = kernel.asked()
            many = few if alone else arrays
            forms.insert(0, OnArrays("compiled", first, few, many, kernel=kernel))
    return forms


def _steps_of(estimator: Any) -> list[Any]:  # noqa: ANN401
    return [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]


def _split(steps: Sequence[Any], model: LoadedModel) -> tuple[ToMatrix, list[Any]]:
    """As many first steps as are known here, and the rest."""
    why: NoStepsError | None = None
    for known in range(len(steps) - 1, -1, -1):
        try:
            return first_steps(steps[:known], model.inputs), list(steps[known:])
        except NoStepsError as error:
            why = why or error
    assert why is not None  # noqa: S101 - there is at least one step
    raise why


def _by_sklearn(steps: Sequence[Any], model: LoadedModel) -> Callable[[Answers], Answers]:
    import numpy as np

    # A step that was fitted with names warns, at each call, that an array has none.
    nameless = [copy.copy(step) for step in steps]
    for step in nameless:
        vars(step).pop("feature_names_in_", None)
    *before, last = nameless
    ask = last.predict_proba if model.classes else last.predict

    def answer(matrix: Answers) -> Answers:
        try:
            with model.one_thread():
                for step in before:
                    matrix = step.transform(matrix)
                return np.asarray(ask(matrix), dtype=np.float64)
        except (Exception, SystemExit) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BundleError(f"the model cannot score these rows: {line}") from error

    return answer


def _kernel(estimator: Any, classes: int) -> Trees | Linear | None:  # noqa: ANN401
    kind = type(estimator).__name__
    if kind in _TREES | _BOOSTERS:
        return _trees(estimator, kind, classes)
    if kind in _LINEAR:
        import numpy as np

        weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T
        start = np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))
        return Linear(weights, start, classes)
    return None


def _trees(estimator: Any, kind: str, classes: int) -> Trees | None:  # noqa: ANN401
    import treelite
    import treelite.sklearn

    try:
        if kind.startswith("XGB"):
            trees = treelite.frontend.from_xgboost(estimator.get_booster())
        elif kind.startswith("LGBM"):
            trees = treelite.frontend.from_lightgbm(estimator.booster_)
        else:
            trees = treelite.sklearn.import_model(estimator)
    except Exception:  # noqa: BLE001 - whatever it does not take has its other forms
        return None
    return Trees(
        trees,
        single=kind.startswith(("RandomForest", "ExtraTrees", "Gradient")),
        boosted=kind.startswith(("Gradient", "HistGradient")),
        classes=classes,
    )


@dataclass(frozen=True)
class Trees:
    """Trees, asked by Treelite.

    Attributes:
        trees: a `treelite.Model`.
        single: whether they take numbers of half the digits.
        boosted: whether they are scikit-learn's boosted ones.
        classes: how many; 0 for a regression.
    """

    trees: Any
    single: bool
    boosted: bool
    classes: int

    def asked(self) -> Callable[[Answers], Answers]:
        """What answers to a matrix."""
        import numpy as np

        boosted = _boosted(self.trees, self.classes) if self.boosted else None
        ask = _asked(self.trees, "default")

        def answer(matrix: Answers) -> Answers:
            if self.single:
                matrix = matrix.astype(np.float32)
            if boosted:
                return boosted(matrix)
            given = ask(matrix).astype(np.float64, copy=False)
            if not self.classes:
                return given[:, 0]
            return np.column_stack([1 - given[:, 0], given[:, 0]]) if given.shape[1] == 1 else given

        return answer


@dataclass(frozen=True)
class Linear:
    """A linear model: weights, shape (columns, answers), and what is added, shape (answers,)."""

    weights: Answers
    start: Answers
    classes: int

    def asked(self) -> Callable[[Answers], Answers]:
        """What answers to a matrix."""
        import numpy as np
        from scipy.special import expit, softmax

        def answer(matrix: Answers) -> Answers:
            with np.errstate(invalid="ignore", over="ignore"):
                scores = matrix @ self.weights + self.start
                if not self.classes:
                    return scores[:, 0]
                if scores.shape[1] == 1:
                    positive = expit(scores[:, 0])
                    return np.column_stack([1 - positive, positive])
                return np.asarray(softmax(scores, axis=1))

        return answer


def _asked(trees: Any, kind: str) -> Callable[[Answers], Answers]:  # noqa: ANN401 - of treelite
    """Asks Treelite by its C interface, one thread at a time.

    For one row `treelite.gtil.predict` takes eight times as long, to describe what it asks anew.
    """
    import ctypes

    import numpy as np
    from treelite.core import _LIB, _check_call
    from treelite.gtil.gtil import GTILConfig
    from treelite.util import typestr_to_numpy_type

    settings = GTILConfig(nthread=1, predict_type=kind)
    columns = trees.num_feature
    entered, left = map(typestr_to_numpy_type, (trees.input_type, trees.output_type))
    entered_name = trees.input_type.encode()
    shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
    _check_call(
        _LIB.TreeliteGTILGetOutputShape(
            trees.handle,
            ctypes.c_uint64(1),
            settings.handle,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
        )
    )
    of_one = shape[1 : dimensions.value]
    predict = _LIB.TreeliteGTILPredict

    def ask(matrix: Answers) -> Answers:
        rows, width = matrix.shape
        if width != columns:  # trees need not use the last ones
            matrix = np.pad(matrix, ((0, 0), (0, columns - width)), constant_values=np.nan)
        matrix = np.ascontiguousarray(matrix, dtype=entered)
        answers = np.zeros((rows, *of_one), dtype=left)
        _check_call(
            predict(
                trees.handle,
                ctypes.c_void_p(matrix.ctypes.data),
                entered_name,
                ctypes.c_uint64(rows),
                ctypes.c_void_p(answers.ctypes.data),
                settings.handle,
            )
        )
        return answers.reshape(rows, -1)

    return ask


def _boosted(trees: Any, classes: int) -> Callable[[Answers], Answers]:  # noqa: ANN401 - of treelite
    """What scikit-learn's boosted trees answer, to the last bit.

    It adds tree by tree, beginning with the base score, where Treelite ends with it; and Treelite's
    own softmax has half the digits.
    """
    import numpy as np
    from scipy.special import expit

    base = np.asarray(trees.get_header_accessor().get_field("base_scores"), dtype=np.float64)
    ways = len(base)
    few = _asked(trees, "score_per_tree")
    many = leaf_values(trees) or few

    def answer(matrix: Answers) -> Answers:
        ask = few if len(matrix) <= FEW_ROWS else many
        each = ask(matrix).astype(np.float64, copy=False)
        each[:, :ways] += base
        if ways > 1:
            scores = each.reshape(len(matrix), -1, ways).cumsum(axis=1)[:, -1]
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        score = each.cumsum(axis=1)[:, -1]
        if not classes:
            return score
        answers = np.empty((len(matrix), 2))
        expit(score, out=answers[:, 1])
        answers[:, 0] = 1 - answers[:, 1]
        return answers

    return answer


def thresholds(estimator: Any) -> dict[int, list[float]]:  # noqa: ANN401
    """The thresholds of an estimator's trees, by the column of the matrix; none of other models."""
    found: dict[int, set[float]] = {}
    for feature, threshold in _splits(estimator):
        if feature >= 0:
            found.setdefault(int(feature), set()).add(float(threshold))
    return {feature: sorted(values) for feature, values in found.items()}


def _splits(estimator: Any) -> list[tuple[int, float]]:  # noqa: ANN401
    import numpy as np

    splits: list[tuple[int, float]] = []
    if hasattr(estimator, "_predictors"):  # HistGradientBoosting
        for trees in estimator._predictors:  # noqa: SLF001 - nothing public names its nodes
            for tree in trees:
                nodes = tree.nodes[tree.nodes["is_leaf"] == 0]
                places, numbers = nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist()
                splits += zip(places, numbers, strict=True)
    elif hasattr(estimator, "estimators_"):
        for one in np.ravel(np.asarray(estimator.estimators_, dtype=object)):
            tree = one.tree_
            splits += zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True)
    return splits
