"""Save a fitted model as the folder of an MLflow model that the judge can load and ask."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# What a loaded model may need of what its fit has imported.
_LIBRARIES = ("sklearn", "pandas", "lightgbm", "xgboost", "catboost", "torch", "tensorflow")


def save_model(
    model: Any,  # noqa: ANN401 - of any library
    folder: Path,
    rows: pd.DataFrame,
    *,
    classes: Sequence[object],
    example: pd.DataFrame | None,
    project: Path,
) -> None:
    """Save a model in a new folder.

    Args:
        model: an estimator with `predict`, and with `predict_proba` where it is a classifier; an
            `mlflow.pyfunc.PythonModel`; or the folder of an MLflow model, which is copied.
        folder: where; it does not exist yet.
        rows: of its input columns, whose types become the signature. A column that lacks a value in
            one of them is optional.
        classes: the order of a pyfunc's probabilities; empty for a regression.
        example: rows that are kept beside the model, for people to try it.
        project: whose own modules the model carries along, since no judge can import them.

    Raises:
        InputError: it is none of these, or cannot be pickled.
    """
    if isinstance(model, str | Path):
        shutil.copytree(model, folder)
        return
    options: dict[str, Any] = {
        "pip_requirements": _requirements(),
        "metadata": {"classes": list(classes)} if classes else None,
        "input_example": example,
    }
    with _quiet(), _carried_along(project):
        import mlflow.pyfunc

        try:
            if isinstance(model, mlflow.pyfunc.PythonModel):
                options["signature"] = _signature(rows, model.predict(None, rows))
                mlflow.pyfunc.save_model(folder, python_model=model, **options)
            else:
                _save_estimator(model, folder, rows, options)
        except (TypeError, AttributeError, ImportError, ValueError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"{type(model).__name__} cannot be saved: {lines[0][:200]}",
                next_step="Fit it before; hand over an estimator that can be pickled (of LightGBM "
                "and XGBoost the scikit-learn classes), an mlflow.pyfunc.PythonModel or the "
                "folder of an MLflow model",
            ) from error


def _save_estimator(
    model: Any,  # noqa: ANN401 - of any library
    folder: Path,
    rows: pd.DataFrame,
    options: dict[str, Any],
) -> None:
    import mlflow.sklearn

    ask = getattr(model, "predict_proba", None) or model.predict
    # The default format, skops, writes other bytes each time for the same model. Whatever the
    # library, a pickled estimator keeps its `predict_proba`, which MLflow's own flavours of
    # LightGBM, XGBoost and CatBoost do not ask.
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=_signature(rows, ask(rows)),
        pyfunc_predict_fn=ask.__name__,
        serialization_format="cloudpickle",
        **options,
    )


def _signature(rows: pd.DataFrame, answer: object) -> object:
    from mlflow.models import infer_signature

    return infer_signature(rows, answer)


def _requirements() -> list[str]:
    """The packages of what is imported by now, in their versions."""
    packages = packages_distributions()
    imported = [module for module in _LIBRARIES if module in sys.modules and module in packages]
    names = [packages[module][0] for module in imported]
    return [f"{name}=={version(name)}" for name in names]


@contextlib.contextmanager
def _carried_along(project: Path) -> Iterator[None]:
    """Classes and functions of the project's own modules are pickled with their code."""
    import cloudpickle

    root, outside = project.resolve(), {"site-packages", "dist-packages"}
    own = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name == "__main__" or not file or outside & set(Path(file).parts):
            continue
        if Path(file).resolve().is_relative_to(root):
            own.append(module)
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what MLflow says of pickles, of pip, and of whole numbers that may be missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.sklearn  # noqa: F401 - importing it sets up its logging

        logger = logging.getLogger("mlflow")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
