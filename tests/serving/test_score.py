"""`mergeline score` and `mergeline.load`: a released model asked without a server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import mergeline
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.models.folder import load, model_digest
from mergeline.errors import BundleError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.serving.score import score
from tests.support.models import frame

# MLflow's own calls of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, first: Path) -> Project:
    """A project whose registry has two versions, the first in production, the second damaged."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run(["git", "init", "--quiet", "-b", "main", folder], check=True)
    tracking = Tracking(f"sqlite:///{folder / '.mergeline' / 'mlflow.db'}", folder / "artifacts")
    tracking.client.create_registered_model("delay")
    damaged = Path(shutil.copytree(first, folder / "damaged"))
    tags = {"mergeline.model_digest": model_digest(first), "mergeline.fingerprint": "f"}
    (damaged / "model.pkl").write_bytes(b"other bytes")
    for model in (first, damaged):
        tracking.client.create_model_version(
            "delay", source=str(model), tags={**tags, "mergeline.stage": "None"}
        )
    tracking.move("delay", 1, "Production")
    return Project.at(folder, {})


def nothing(done: int, total: int) -> None:
    """Takes the progress of a score."""


def expected(first: Path, rows: pd.DataFrame) -> Any:
    return load(first, model_digest(first)).predict(rows)


@pytest.mark.parametrize(
    "kind",
    [
        "parquet",
        "delta",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("csv", "folder", "glob")),
    ],
)
def test_rows_of_files_are_written_with_the_answers_in_their_order(
    project: Project, first: Path, tmp_path: Path, kind: str
) -> None:
    from deltalake import write_deltalake

    rows = frame(rows=300, seed=5).assign(row=range(300))
    (tmp_path / "in").mkdir()
    source = {
        "parquet": "in/a.parquet", "csv": "in/a.csv", "folder": "in", "glob": "in/*.parquet",
        "delta": "table",
    }[kind]  # fmt: skip
    if kind == "csv":
        rows.to_csv(tmp_path / source, index=False)
    elif kind == "delta":
        write_deltalake(str(tmp_path / source), rows)
    else:
        rows[:100].to_parquet(tmp_path / "in" / "a.parquet", index=False)
        if kind != "parquet":
            rows[100:].to_parquet(tmp_path / "in" / "b.parquet", index=False)
        else:
            rows = rows[:100]
    told: list[tuple[int, int]] = []
    out = tmp_path / "out.parquet"
    said = score(
        project,
        str(tmp_path / source),
        str(out),
        "delay@production",
        progress=lambda *done: told.append(done),
    )
    written = pq.read_table(out)
    facts = json.loads(written.schema.metadata[b"mergeline"])
    assert facts == {
        "model": "delay",
        "version": 1,
        "stage": "Production",
        "fingerprint": "f",
        "model_digest": model_digest(first),
    }
    assert (said.rows, said.version) == (len(rows), 1)
    assert told[-1] == (len(rows), 0 if kind == "csv" else len(rows))
    table = written.to_pandas()
    assert table["row"].tolist() == rows["row"].tolist()
    answers = table[["probability_False", "probability_True"]].to_numpy()
    np.testing.assert_allclose(answers, expected(first, rows), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_many_batches_keep_their_order_and_csv_has_its_facts_beside_it(
    project: Project, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.serving.score._ROWS", 70)
    rows = frame(rows=1_000, seed=6).assign(row=range(1_000))
    rows.to_parquet(tmp_path / "in.parquet", index=False)
    out = tmp_path / "out.csv"
    score(project, str(tmp_path / "in.parquet"), str(out), "delay@1", progress=nothing)
    written = pd.read_csv(out)
    assert written["row"].tolist() == list(range(1_000))
    np.testing.assert_allclose(
        written["probability_True"], expected(first, rows)[:, 1], rtol=0, atol=1e-12
    )
    assert json.loads((tmp_path / "out.csv.json").read_text())["version"] == 1


@pytest.mark.parametrize(
    "case",
    [
        ("in.parquet", "out.parquet", "delay", InputError, "--model takes NAME@STAGE"),
        ("in.parquet", "out.parquet", "delay@staging", NotFoundError, "no version of delay"),
        ("in.parquet", "out.parquet", "dealy@production", NotFoundError, "did you mean 'delay'"),
        ("in.parquet", "out.xlsx", "delay@1", InputError, "must end in .parquet or .csv"),
        ("none.parquet", "out.parquet", "delay@1", NotFoundError, "no such file"),
        ("none/*.parquet", "out.parquet", "delay@1", NotFoundError, "no such file"),
        ("bad.parquet", "out.parquet", "delay@1", NotFoundError, "no rows can be read"),
        ("in.parquet", "out.parquet", "delay@2", BundleError, "bytes are"),
        ("text.parquet", "out.parquet", "delay@1", InputError, "'windy' is not of type double"),
        ("less.parquet", "out.parquet", "delay@1", InputError, "the column 'wind' is missing"),
    ],
)
def test_what_cannot_be_scored_is_said_and_leaves_nothing(
    project: Project, tmp_path: Path, case: tuple[str, str, str, type[Exception], str]
) -> None:
    source, out, which, kind, said = case
    rows = frame(rows=5)
    rows.to_parquet(tmp_path / "in.parquet")
    rows.assign(wind="windy").to_parquet(tmp_path / "text.parquet")
    rows.drop(columns="wind").to_parquet(tmp_path / "less.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=said):
        score(project, str(tmp_path / source), str(tmp_path / out), which, progress=nothing)
    assert sorted(tmp_path.iterdir()) == before


def test_load_gives_the_released_estimator_and_no_other(project: Project, first: Path) -> None:
    root = project.repository.root
    rows = frame(rows=5)
    estimator = mergeline.load("delay", project=root)
    assert estimator.predict_proba(rows).tolist() == expected(first, rows).tolist()
    with pytest.raises(BundleError, match="bytes are"):
        mergeline.load("delay", version=2, project=root)
    with pytest.raises(NotFoundError, match=r"no version of delay is 'staging'"):
        mergeline.load("delay", stage="staging", project=root)
