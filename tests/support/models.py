"""Real MLflow model folders: a classifier and a regression of delays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROW: dict[str, Any] = {"origin": "JFK", "hour": 17, "wind": 8.5}


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Rows that a model takes."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "hour": random.integers(0, 24, rows),
            "wind": random.normal(8, 3, rows),
        }
    )


def late(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """The label of rows."""
    noise = np.random.default_rng(1).normal(0, 5, len(rows))
    return (rows["hour"] + rows["wind"] + noise > 22).to_numpy()


def classifier(strength: float) -> Pipeline:
    """Fitted; the stronger, the further from always the same probability."""
    rows = frame()
    codes = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["origin"]), remainder="passthrough"
    )
    return make_pipeline(codes, LogisticRegression(C=strength, max_iter=2000)).fit(rows, late(rows))


def regression() -> LinearRegression:
    """Fitted on the columns that are numbers."""
    rows = frame()[["hour", "wind"]]
    return LinearRegression().fit(rows, rows["hour"] * 2.0 + rows["wind"])


def save(model: Any, folder: Path, rows: pd.DataFrame, **options: Any) -> Path:
    """Save a model with the signature of rows, as a stage does; its folder."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    ask = getattr(model, "predict_proba", model.predict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(rows, ask(rows)),
            pip_requirements=["scikit-learn"],
            pyfunc_predict_fn=ask.__name__,
            **{"serialization_format": "cloudpickle", **options},
        )
    return folder
