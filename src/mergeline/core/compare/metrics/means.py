"""Metrics that are a mean over rows: what each row adds, as scikit-learn defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import Predicted

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Loss = Callable[[Labels, Predicted], Floats]


def log_loss(labels: Labels, predicted: Predicted) -> Floats:
    """−log of the probability of the class that came true, clipped at the precision's epsilon."""
    numbers = predicted.numbers
    if numbers.ndim == 1:
        chosen = np.where(labels == 1, numbers, 1 - numbers)
    else:
        chosen = numbers[np.arange(len(labels)), labels]
    clipped = np.clip(chosen, predicted.epsilon, 1 - predicted.epsilon)
    return np.asarray(-np.log(clipped))


def brier(labels: Labels, predicted: Predicted) -> Floats:
    """Squared error of the probability; of three or more classes, summed over them."""
    numbers = predicted.numbers
    if numbers.ndim == 1:
        return np.asarray(np.square(labels - numbers))
    hit = numbers[np.arange(len(labels)), labels]
    return np.asarray(np.einsum("ij,ij->i", numbers, numbers) + 1 - 2 * hit)


def among_top_two(labels: Labels, predicted: Predicted) -> Floats:
    """One where the class is one of the two most probable; of equal ones the last are taken."""
    top = np.argsort(predicted.numbers, axis=1, kind="stable")[:, -2:]
    return np.asarray((top == labels[:, None]).any(axis=1), dtype=np.float64)


def absolute(labels: Labels, predicted: Predicted) -> Floats:
    """Absolute error."""
    return np.asarray(np.abs(labels - predicted.numbers))


def squared(labels: Labels, predicted: Predicted) -> Floats:
    """Squared error."""
    return np.asarray(np.square(labels - predicted.numbers))


def relative(labels: Labels, predicted: Predicted) -> Floats:
    """Absolute error as a share of the label."""
    least = float(np.finfo(np.float64).eps)
    return np.asarray(absolute(labels, predicted) / np.maximum(np.abs(labels), least))


def squared_log(labels: Labels, predicted: Predicted) -> Floats:
    """Squared error of log(1 + number); NaN where a number is −1 or less."""
    fine = (labels > -1) & (predicted.numbers > -1)
    y, numbers = np.where(fine, labels, np.nan), np.where(fine, predicted.numbers, np.nan)
    return np.asarray(np.square(np.log1p(y) - np.log1p(numbers)))


def poisson(labels: Labels, predicted: Predicted) -> Floats:
    """Poisson deviance; NaN where a prediction is not positive or a label is negative."""
    from scipy import special

    numbers = np.where((predicted.numbers > 0) & (labels >= 0), predicted.numbers, np.nan)
    return np.asarray(2 * (special.xlogy(labels, labels / numbers) - labels + numbers))


def gamma(labels: Labels, predicted: Predicted) -> Floats:
    """Gamma deviance; NaN where a number is not positive."""
    fine = (predicted.numbers > 0) & (labels > 0)
    y, numbers = np.where(fine, labels, np.nan), np.where(fine, predicted.numbers, np.nan)
    return np.asarray(2 * (np.log(numbers / y) + y / numbers - 1))


CLASSIFICATION: dict[str, Loss] = {
    "neg_log_loss": log_loss,
    "neg_brier_score": brier,
}
MULTICLASS: dict[str, Loss] = CLASSIFICATION | {"top_k_accuracy": among_top_two}
REGRESSION: dict[str, Loss] = {
    "neg_mean_absolute_error": absolute,
    "neg_mean_squared_error": squared,
    "neg_mean_absolute_percentage_error": relative,
    "neg_mean_squared_log_error": squared_log,
    "neg_mean_poisson_deviance": poisson,
    "neg_mean_gamma_deviance": gamma,
}
