"""Leave the rows on which mergeline compares the delay models: build/delay/holdout.parquet."""

from __future__ import annotations

from pathlib import Path

import yaml

from pipelines import features

HOLDOUT = Path("build/delay/holdout.parquet")


def main() -> None:
    """Write key, label, slices and the model's raw columns of the days held out."""
    params = yaml.safe_load(Path("params.yaml").read_text())["evaluate"]
    rows = features.flights().filter(features.held_out(params["holdout_every"])).collect()
    HOLDOUT.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(HOLDOUT)
    print(f"held out {rows.height:,} flights of {rows['flight_date'].n_unique()} days")


if __name__ == "__main__":
    main()
