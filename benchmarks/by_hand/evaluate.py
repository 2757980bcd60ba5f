"""Metrics of the model on the days held out: to MLflow, and to the file that DVC compares."""

import json
import sys
from pathlib import Path

import joblib
import mlflow
import yaml
from sklearn.metrics import brier_score_loss, log_loss, recall_score, roc_auc_score

sys.path.insert(0, ".")
from by_hand.rows import held_out, read_rows

from pipelines.features import INPUTS, LABEL

params = yaml.safe_load(Path("params.yaml").read_text())["evaluate"]
rows = read_rows()
rows = rows[held_out(rows, params["holdout_every"])]
model = joblib.load("build/model.joblib")
late = model.predict_proba(rows[INPUTS])[:, 1]
metrics = {
    "roc_auc": roc_auc_score(rows[LABEL], late),
    "log_loss": log_loss(rows[LABEL], late),
    "brier_score": brier_score_loss(rows[LABEL], late),
    "recall": recall_score(rows[LABEL], late >= 0.3),
}
mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run(run_id=Path("build/run").read_text()):
    mlflow.log_metrics(metrics)
Path("metrics.json").write_text(json.dumps(metrics, indent=2))
