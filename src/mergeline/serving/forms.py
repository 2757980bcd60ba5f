"""The forms in which a model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mergeline.adapters.models.folder import LoadedModel
from mergeline.serving.rows import Batch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Form(Protocol):
    """A way to ask a model.

    Attributes:
        name: as `/models` says it.
        reason: why this form and no faster one.
        quick: whether a row takes less than a millisecond.
    """

    name: str
    reason: str
    quick: bool

    def answer(self, batch: Batch) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, classes), or numbers, shape (n,).

        Raises:
            BundleError: the model fails on these rows.
        """
        ...


class Frame:
    """The estimator itself, asked with a data frame: any model."""

    name = "frame"
    reason = "the estimator itself"
    quick = False

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def answer(self, batch: Batch) -> npt.NDArray[np.float64]:
        """As the estimator answers."""
        return self._model.predict(batch.frame())
