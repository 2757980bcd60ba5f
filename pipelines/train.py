"""Train the delay model: build/delay/model and the keys of the rows that it was fitted on."""

from __future__ import annotations

from pathlib import Path

import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

import mergeline
from pipelines import features


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

    model = make_model(params["train"])
    with threadpool_limits(threads):
        model.fit(rows.select(features.INPUTS).to_pandas(), rows[features.LABEL].to_numpy())
    # Not every plane is known, nor every hour's weather, though a month's rows may have them all.
    optional = [*features.PLANE, *features.WEATHER]
    mergeline.save(model, name="delay", train=rows, optional=optional)
    print(f"fitted on {rows.height:,} flights of {rows['flight_date'].n_unique()} days")


if __name__ == "__main__":
    main()
