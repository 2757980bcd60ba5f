"""The stages as DVC runs them, on January."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from mergeline.adapters.row_files import read_holdout, read_training_rows
from mergeline.core.declare.model import parse_model
from pipelines import features

pytestmark = pytest.mark.slow  # it trains the reference model
ROOT = Path(__file__).resolve().parents[2]
MODEL = parse_model("delay", (ROOT / "models/delay.yaml").read_bytes())


def stage(name: str, project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", f"pipelines.{name}"],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(january: Path) -> Path:
    done = [stage(name, january, PYTHONHASHSEED="1") for name in ("train", "evaluate")]
    assert [one.stderr for one in done] == ["", ""]  # neither warns
    return january


def test_no_flight_is_both_trained_on_and_held_out(trained: Path) -> None:
    outputs = trained / MODEL.outputs
    holdout = read_holdout(outputs / "holdout.parquet", MODEL)
    fitted = set(read_training_rows(outputs / "training_rows.parquet", MODEL).tolist())
    held = set(holdout.rows.row_id.tolist())
    assert fitted
    assert not fitted & held
    assert len(held) == len(holdout.frame)
    # 27,004 flights were planned in January, 521 of them cancelled
    assert len(fitted) + len(held) == 27_004 - 521


def test_no_day_is_on_both_sides(trained: Path) -> None:
    outputs = trained / MODEL.outputs
    days = [
        set(pl.read_parquet(outputs / name)["flight_date"])
        for name in ("holdout.parquet", "training_rows.parquet")
    ]
    assert not days[0] & days[1]
    assert len(days[0]) + len(days[1]) == 31


# MLflow warns about a type hint of its own when it is imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_model_answers_with_probabilities_of_the_declared_classes(trained: Path) -> None:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(trained / MODEL.outputs / "model"))
    assert model.metadata.get_input_schema().input_names() == features.INPUTS
    assert tuple(model.metadata.metadata["classes"]) == MODEL.classes
    frame = pd.read_parquet(trained / MODEL.outputs / "holdout.parquet")[features.INPUTS].head(3)
    frame.loc[0, "carrier"] = "ZZ"  # never seen
    frame.loc[1, [*features.PLANE, *features.WEATHER]] = float("nan")
    probabilities = model.predict(frame)
    assert probabilities.shape == (3, 2)
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_the_models_bytes_depend_on_neither_hash_seed_nor_cores(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / MODEL.outputs, tmp_path / "first")
    stage("train", trained, PYTHONHASHSEED="2", OMP_NUM_THREADS="4")
    for name in ("model/model.pkl", "training_rows.parquet"):
        assert (trained / MODEL.outputs / name).read_bytes() == (
            tmp_path / "first" / name
        ).read_bytes()
