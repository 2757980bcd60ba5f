"""mergeline: merge is the release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    from mergeline.adapters.scoring_server import Client

__all__ = ["Client", "hash_inputs", "load", "table"]


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
