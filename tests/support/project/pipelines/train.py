import logging
import shutil

import mlflow.sklearn
import yaml
from mlflow.models import infer_signature
from pipelines.rows import parcels
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main():
    with open("params.yaml") as file:
        params = yaml.safe_load(file)
    rows = parcels(params["evaluate"]["holdout_every"], held_out=False)
    frame = rows.select("weight", "distance").to_pandas()
    model = make_pipeline(
        make_column_transformer((StandardScaler(), params["train"]["use"])),
        LogisticRegression(C=params["train"]["C"]),
    ).fit(frame, rows["late"].to_numpy())
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    shutil.rmtree("build/late/model", ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        "build/late/model",
        signature=infer_signature(frame.head(3), model.predict_proba(frame.head(3))),
        input_example=frame.head(3),
        pip_requirements=["scikit-learn", "pandas"],
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
    rows.select("id").write_parquet("build/late/training_rows.parquet")
    print("fitted on", rows.height)


if __name__ == "__main__":
    main()
