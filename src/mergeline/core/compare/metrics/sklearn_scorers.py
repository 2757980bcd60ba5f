"""Score predictions without their model, by scikit-learn's scorers or a project's own function."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from mergeline.core.compare.arrays import Predicted, Rows
from mergeline.core.declare.model import Model
from mergeline.errors import DeclarationError

Score = Callable[[Rows, Predicted], tuple[float, str]]


def _d2_absolute(labels: Any, numbers: Any) -> float:  # noqa: ANN401 - arrays
    spread = np.abs(labels - np.median(labels)).sum()
    return float(1 - np.abs(labels - numbers).sum() / spread) if spread > 0 else math.nan


# As scikit-learn defines them, but faster: a call of its scorers takes milliseconds, which a
# thousand resamples of twenty slices turn into minutes.
_FAST: dict[str, Callable[[Any, Any], Any]] = {
    "neg_median_absolute_error": lambda labels, numbers: -np.median(np.abs(labels - numbers)),
    "neg_max_error": lambda labels, numbers: -np.abs(labels - numbers).max(),
    "d2_absolute_error_score": _d2_absolute,
}


def names() -> list[str]:
    """The names of scikit-learn's scorers."""
    import sklearn.metrics

    return list(sklearn.metrics.get_scorer_names())


def by_name(name: str, model: Model, rows: Rows, predicted: Predicted) -> tuple[float, str]:
    """The value by scikit-learn's scorer and '', or NaN and the reason."""
    import sklearn.metrics

    if model.task == "regression" and name in _FAST:
        return _number(lambda: _FAST[name](rows.labels, predicted.numbers))
    estimator = _estimator(model, predicted)
    scorer = sklearn.metrics.get_scorer(name)
    return _number(lambda: scorer(estimator, np.empty((len(rows), 0)), rows.labels))


def by_function(
    function: Callable[[Any, Any], Any], model: Model, rows: Rows, predicted: Predicted
) -> tuple[float, str]:
    """The value by a project's function of labels (as declared) and predictions; see `by_name`."""
    labels, numbers = rows.labels, predicted.numbers
    if model.task != "regression":
        labels = np.array(model.classes)[labels]
    if model.task == "binary":
        numbers = np.column_stack([1 - numbers, numbers])
    return _number(lambda: function(labels, numbers))


def custom(path: str, *, where: str) -> Callable[[Any, Any], Any]:
    """The function that `package.module.function` names.

    Raises:
        DeclarationError: it cannot be imported, or is not a function.
    """
    module, _, attribute = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            f"metrics: {path!r} cannot be imported: {_in_words(error)}",
            where=where,
            next_step="Correct the import path",
        ) from error
    if not callable(function):
        raise DeclarationError(f"metrics: {path!r} is not a function", where=where)
    return function  # type: ignore[no-any-return]


def _number(score: Callable[[], Any]) -> tuple[float, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = score()
            if isinstance(value, bool | np.bool_):
                return math.nan, f"{value} is not a number"
            return float(value), ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a project's function may raise anything
        return math.nan, _in_words(error)


def _in_words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _estimator(model: Model, predicted: Predicted) -> Any:  # noqa: ANN401 - of scikit-learn
    """An estimator that returns these predictions, whatever it is asked."""
    fixed_classifier, fixed_regressor = _estimator_classes()
    if model.task == "regression":
        return fixed_regressor(predicted.numbers)
    numbers = predicted.numbers
    if numbers.ndim == 1:
        numbers = np.column_stack([1 - numbers, numbers])
    return fixed_classifier(numbers, predicted.decided)


@cache
def _estimator_classes() -> tuple[Any, Any]:
    """The classes of such estimators, defined on first use: scikit-learn is slow to import."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class FixedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, probabilities: Any, decided: Any) -> None:  # noqa: ANN401
            self.probabilities = probabilities
            self.decided = decided
            self.classes_ = np.arange(probabilities.shape[1])

        def predict_proba(self, rows: Any) -> Any:  # noqa: ANN401, ARG002
            return self.probabilities

        def predict(self, rows: Any) -> Any:  # noqa: ANN401, ARG002
            return self.decided

    class FixedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, numbers: Any) -> None:  # noqa: ANN401
            self.numbers = numbers

        def predict(self, rows: Any) -> Any:  # noqa: ANN401, ARG002
            return self.numbers

    return FixedClassifier, FixedRegressor
