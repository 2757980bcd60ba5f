"""Fit, log the run with MLflow's defaults, leave the model for the next stage."""

import sys
from pathlib import Path

import joblib
import mlflow
import yaml
from threadpoolctl import threadpool_limits

sys.path.insert(0, ".")
from by_hand.rows import held_out, read_rows

from pipelines.features import INPUTS, LABEL
from pipelines.train import make_model

params = yaml.safe_load(Path("params.yaml").read_text())
threads = params["train"].pop("threads")
rows = read_rows()
rows = rows[~held_out(rows, params["evaluate"]["holdout_every"])]

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("delay")
with mlflow.start_run() as run:
    mlflow.log_params(params["train"])
    model = make_model(params["train"])
    with threadpool_limits(threads):
        model.fit(rows[INPUTS], rows[LABEL])
    mlflow.sklearn.log_model(
        model,
        name="model",
        input_example=rows[INPUTS].head(5),
        serialization_format="cloudpickle",
    )
Path("build").mkdir(exist_ok=True)
joblib.dump(model, "build/model.joblib")
Path("build/run").write_text(run.info.run_id)
