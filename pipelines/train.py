"""Train the delay model: build/delay/model and the keys of the rows that it was fitted on."""

from __future__ import annotations

import logging
import shutil
from importlib.metadata import version
from pathlib import Path

import mlflow.sklearn
import yaml
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from pipelines import features

OUTPUTS = Path("build/delay")


def make_model(params: dict[str, float]) -> Pipeline:
    """An unfitted classifier that takes a frame of the raw columns."""
    # A tree cuts codes as often as it needs, so their order does not matter.
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer(
            (codes, features.CATEGORIES), ("passthrough", features.NUMBERS), remainder="drop"
        ),
        HistGradientBoostingClassifier(**params, early_stopping=False),
    )


def main() -> None:
    """Fit on the days that are not held out."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    threads = params["train"].pop("threads")
    held_out = features.held_out(params["evaluate"]["holdout_every"])
    rows = features.flights().filter(~held_out).collect()
    frame = rows.select(features.INPUTS).to_pandas()

    model = make_model(params["train"])
    with threadpool_limits(threads):
        model.fit(frame, rows[features.LABEL].to_numpy())
        example = frame.head(5)
        probabilities = model.predict_proba(example)
    optional = dict.fromkeys([*features.PLANE, *features.WEATHER], float("nan"))

    # MLflow recommends skops, which writes other bytes each time for the same model, and misses
    # pip where uv made the environment.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(OUTPUTS / "model", ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        OUTPUTS / "model",
        signature=infer_signature(example.assign(**optional), probabilities),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "pandas")],
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        metadata={"classes": model.classes_.tolist()},
    )
    rows.select(features.KEY).write_parquet(OUTPUTS / "training_rows.parquet")
    print(f"fitted on {rows.height:,} flights of {rows['flight_date'].n_unique()} days")


if __name__ == "__main__":
    main()
