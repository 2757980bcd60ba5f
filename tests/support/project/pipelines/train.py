import yaml
from pipelines.rows import parcels
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mergeline


def main():
    with open("params.yaml") as file:
        params = yaml.safe_load(file)
    rows = parcels(params["evaluate"]["holdout_every"], held_out=False)
    frame = rows.select("weight", "distance").to_pandas()
    model = make_pipeline(
        make_column_transformer((StandardScaler(), params["train"]["use"])),
        LogisticRegression(C=params["train"]["C"]),
    ).fit(frame, rows["late"].to_numpy())
    mergeline.save(model, name="late", train=rows)
    print("fitted on", rows.height)


if __name__ == "__main__":
    main()
