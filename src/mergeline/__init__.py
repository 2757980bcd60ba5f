"""mergeline: merge is the release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    from mergeline.adapters.scoring_server import Client

__all__ = ["Client", "hash_inputs", "held_out", "load", "save", "table"]


def __getattr__(name: str) -> type[Client]:
    """`Client`, imported when it is asked for: `import mergeline` stays instant."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mergeline.adapters.scoring_server import Client

    return Client


def load(
    model: str,
    *,
    stage: str = "production",
    version: int | None = None,
    project: str | Path = ".",
) -> Any:  # noqa: ANN401 - of whatever library the model is
    """The estimator of a released model, whose bytes are those that were released.

    Args:
        model: its name.
        stage: `production` or `staging`.
        version: instead of a stage.
        project: folder of the working tree, or one inside it.

    Returns:
        The scikit-learn estimator; for a model of another library, MLflow's `PyFuncModel`.

    Raises:
        NotFoundError: there is no such model, or no version of it in the stage.
        BundleError: its bytes do not have the digest that the registry names.
    """
    from mergeline.serving.registered import load_estimator

    return load_estimator(model, stage=stage, version=version, project=Path(project))


def table(name: str, project: str | Path = ".") -> pl.LazyFrame:
    """The rows of the snapshot that the working tree pins, to pick from lazily.

    The rows, and their order, are the same on every machine: `data/<name>.snapshot.json` names the
    snapshot by its digest.

    Args:
        name: of the table, as in `data/<name>.yaml`.
        project: folder of the working tree, or one inside it.

    Raises:
        NotFoundError: nothing is pinned yet, or the table does not hold it.
        TableError: the table is damaged, or cannot be reached.
    """
    from mergeline.lifecycle.steps import snapshots

    return snapshots.table(name, Path(project))


def hash_inputs(frame: pd.DataFrame | pl.DataFrame) -> npt.NDArray[np.uint64]:
    """A hash of each row of what a model takes, for the column `inputs_hash` of its training rows.

    By these hashes an evaluation tells which rows of the holdout have the inputs of a row that the
    model was trained on. Equal rows have equal hashes, whatever types their columns came in.

    Args:
        frame: the input columns of the model's signature and no others, in any order.

    Returns:
        The hashes, shape (n,), in the order of the rows.
    """
    from mergeline.adapters import row_files

    return row_files.hash_inputs(frame)


def held_out(
    frame: pd.DataFrame | pl.DataFrame | pl.LazyFrame,
    key: str | Sequence[str] | None = None,
    *,
    share: float = 0.2,
    group: str | Sequence[str] | None = None,
    after: tuple[str, dt.date | str] | None = None,
) -> npt.NDArray[np.bool_]:
    """Which rows are held out: a split that no new drop moves.

    By a hash of a row's own key or group, or by time. `held = held_out(frame, key="id")` makes
    `frame[~held]` the training rows and `frame[held]` the holdout of pandas; with Polars,
    `frame.filter(~held)` and `frame.filter(held)`.

    Args:
        frame: the rows.
        key: column or columns that name a row; for rows that are independent of each other.
        share: of the keys or groups that is held out, about. More are held out with a larger share,
            and none of a smaller share's comes back.
        group: column or columns of rows that belong together: a group is held out whole.
        after: a column of dates or times and a moment: rows later than that are held out. After a
            day means on later days.

    Returns:
        True for the rows held out, shape (n,).

    Raises:
        InputError: not exactly one of key, group and after is given; there is no such column, or a
            row has no value in it; no row is held out, or every row is.
    """
    from mergeline.lifecycle.steps import training_script

    return training_script.held_out(frame, key, share=share, group=group, after=after)


def save(
    model: Any,  # noqa: ANN401 - of any library
    *,
    name: str,
    train: pd.DataFrame | pl.DataFrame,
    holdout: pd.DataFrame | pl.DataFrame | None = None,
    inputs: Sequence[str] | None = None,
    optional: Sequence[str] | None = None,
    project: str | Path = ".",
) -> None:
    """Leave what the stages of a model must leave, in the folder that its declaration names.

    `model/` is an MLflow model with signature and classes; `training_rows.parquet` has the keys of
    the rows and hashes of their inputs; `holdout.parquet` is the holdout with all its columns. The
    saved model is asked for some rows first, as a judge asks it.

    Args:
        model: any estimator with `predict`, and with `predict_proba` where it is a classifier
            (scikit-learn, LightGBM, XGBoost, CatBoost …); an `mlflow.pyfunc.PythonModel`; or the
            folder of an MLflow model.
        name: of the model, as in `models/<name>.yaml`.
        train: the rows that it was fitted on: key and inputs.
        holdout: the rows on which it is judged: key, label, cluster, slices and inputs. None where
            another stage leaves them.
        inputs: the columns that it takes; None: as it was fitted, or as its signature says.
        optional: those that a caller may leave out; None: those that lack values in `train`.
        project: folder of the working tree.

    Raises:
        InputError: a column is missing, a row is on both sides, or the model cannot be saved or
            asked. Nothing was left.
        DeclarationError: the model is not declared, or answers other than declared.
    """
    from mergeline.lifecycle.steps import training_script

    training_script.save(
        model,
        name=name,
        train=train,
        holdout=holdout,
        inputs=inputs,
        optional=optional,
        project=Path(project),
    )
