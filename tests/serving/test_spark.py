"""A released model asked by real Spark."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mergeline
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.models.folder import load, model_digest
from mergeline.errors import BundleError
from tests.support.models import frame

pytestmark = [
    pytest.mark.spark,
    # MLflow's own calls of SQLAlchemy, and its advice.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def project(tmp_path: Path, first: Path) -> Path:
    """Of three versions: the first in production, one of other bytes, one of another loader."""
    subprocess.run(["git", "init", "--quiet", "-b", "main", tmp_path], check=True)
    tracking = Tracking(
        f"sqlite:///{tmp_path / '.mergeline' / 'mlflow.db'}", tmp_path / "artifacts"
    )
    tracking.client.create_registered_model("delay")
    damaged = Path(shutil.copytree(first, tmp_path / "damaged"))
    (damaged / "model.pkl").write_bytes(b"other bytes")
    other = Path(shutil.copytree(first, tmp_path / "other"))
    described = (other / "MLmodel").read_text()
    (other / "MLmodel").write_text(described.replace("mlflow.sklearn", "antigravity"))
    tags = {"mergeline.model_digest": model_digest(first), "mergeline.fingerprint": "f"}
    for model in (first, damaged, other):
        tracking.client.create_model_version(
            "delay", source=str(model), tags={**tags, "mergeline.stage": "None"}
        )
    tracking.move("delay", 1, "Production")
    return tmp_path


def test_spark_gets_the_released_model_s_answers_and_of_no_other_bytes(
    spark: Any, project: Path, first: Path
) -> None:
    from pyspark.sql.functions import struct

    rows = frame(rows=50, seed=5)
    ask = mergeline.spark_udf(spark, "delay", project=project)
    given = spark.createDataFrame(rows).withColumn("said", ask(struct(*rows.columns))).toPandas()
    expected = load(first, model_digest(first)).predict(rows)
    np.testing.assert_allclose(np.stack(given["said"]), expected, rtol=0, atol=1e-12)
    with pytest.raises(BundleError, match="bytes are"):
        mergeline.spark_udf(spark, "delay", version=2, project=project)
    with pytest.raises(BundleError, match=r"names another loader than mlflow\.sklearn"):
        mergeline.spark_udf(spark, "delay", version=3, project=project)
