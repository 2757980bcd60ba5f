"""What a training script calls: a split that no drop moves, and what a stage leaves."""

from __future__ import annotations

import datetime as dt
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

import mergeline
from mergeline.adapters.models.folder import load, model_digest, read_inputs
from mergeline.adapters.row_files import read_holdout, read_inputs_hashes, read_training_rows
from mergeline.core.declare.model import parse_model
from mergeline.errors import DeclarationError, InputError, MergelineError
from tests.support import models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns about a type hint of its own
    import mlflow.pyfunc

YAML = """\
task: binary
stage: train
outputs: build/late
label: late
classes: [false, true]
key: [id]
metrics: [roc_auc]
slices: [origin]
gate: {primary: roc_auc}
"""
DECLARED = parse_model("late", YAML)


# --- held out -------------------------------------------------------------------------------------


def parcels(count: int, first: int = 0) -> pd.DataFrame:
    number = np.arange(first, first + count)
    day = pd.Timestamp("2013-01-01") + pd.to_timedelta(number // 50, unit="D")
    return pd.DataFrame({"id": number, "town": number % 97, "day": day})


def test_rows_that_come_move_no_row_across() -> None:
    before, after = parcels(5_000), pd.concat([parcels(3_000, 9_000), parcels(5_000)])
    held, now = (set(one["id"][mergeline.held_out(one, "id")]) for one in (before, after))
    assert held == now & set(before["id"])
    assert 0.18 < len(held) / len(before) < 0.22


def test_a_larger_share_holds_out_all_of_a_smaller_one() -> None:
    rows = parcels(2_000)
    tenth, third = (mergeline.held_out(rows, "id", share=share) for share in (0.1, 0.33))
    assert not (tenth & ~third).any()
    assert 0.28 < third.mean() < 0.38


def test_a_group_is_held_out_whole() -> None:
    rows = parcels(5_000)
    held = mergeline.held_out(rows, group="town")
    assert (pd.Series(held).groupby(rows["town"]).nunique() == 1).all()
    assert 0 < held.mean() < 1


def test_frames_of_every_kind_and_keys_of_every_type_are_split_alike() -> None:
    rows = parcels(500)
    held = mergeline.held_out(rows, ["id", "day"])
    as_polars = pl.from_pandas(rows)
    for frame in (
        as_polars,
        as_polars.lazy(),
        as_polars.with_columns(pl.col("id").cast(pl.Int16), pl.col("day").cast(pl.Date)),
    ):
        assert np.array_equal(mergeline.held_out(frame, ["id", "day"]), held)
    renamed = rows.rename(columns={"id": "number"}).astype({"number": float})
    assert np.array_equal(mergeline.held_out(renamed, ["number", "day"]), held)
    assert as_polars.filter(held).height == held.sum() == len(rows[held])


@pytest.mark.parametrize("moment", ["2013-01-04", dt.date(2013, 1, 4)])
def test_rows_of_later_days_are_held_out(moment: Any) -> None:
    days = ["2013-01-03 23:00", "2013-01-04 00:00", "2013-01-04 23:59", "2013-01-05 00:00"]
    expected = [False, False, False, True]
    stamps = pd.to_datetime(days)
    for times in (days, stamps, stamps.tz_localize("UTC"), [one.date() for one in stamps]):
        frame = pd.DataFrame({"time": times})
        assert mergeline.held_out(frame, after=("time", moment)).tolist() == expected
    to_the_hour = mergeline.held_out(pd.DataFrame({"time": days}), after=("time", "2013-01-04 12"))
    assert to_the_hour.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "exactly one of key, group and after"),
        ({"key": "id", "group": "town"}, "exactly one of key, group and after"),
        ({"key": "ids"}, "no column 'ids' (did you mean 'id'?)"),
        ({"key": "id", "share": 1.5}, "share: between 0 and 1"),
        ({"group": "one"}, "held out by group='one'"),
        ({"key": "gaps"}, "gaps lacks a value in 1 row"),
        ({"after": ("day", "2099-01-01")}, "none is held out by after="),
        ({"after": ("day", "soon")}, "after: 'soon' is no date or time"),
        ({"after": ("words", "2013-01-01")}, "words holds no dates or times"),
    ],
)
def test_a_split_that_cannot_be_meant_is_refused(how: dict[str, Any], said: str) -> None:
    rows = parcels(100).assign(one=1, words="x", gaps=[float("nan"), *map(float, range(99))])
    with pytest.raises(InputError) as refusal:
        mergeline.held_out(rows, **how)
    assert said in str(refusal.value)


# --- save -----------------------------------------------------------------------------------------

ROWS = models.frame(400).assign(id=np.arange(400), late=models.late(models.frame(400)))
HELD = mergeline.held_out(ROWS, "id")
TRAIN, HOLDOUT = ROWS[~HELD].reset_index(drop=True), ROWS[HELD].reset_index(drop=True)
INPUTS = ["origin", "hour", "wind"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/late.yaml").write_text(YAML)
    return tmp_path


def declare(project: Path, old: str, new: str) -> None:
    path = project / "models/late.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def numbers_only(estimator: Any) -> Any:
    return estimator.fit(TRAIN[["hour", "wind"]], TRAIN["late"])


class Ready(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Says of every row the same."""

    def __init__(self, answer: list[float]) -> None:
        self.answer = answer

    def predict(self, context: Any, model_input: pd.DataFrame) -> Any:
        return np.tile(self.answer, (len(model_input), 1))


def answers(project: Path) -> Any:
    folder = project / "build/late/model"
    return load(folder, model_digest(folder)).predict(HOLDOUT)


def test_a_script_leaves_all_that_its_stage_must_leave(project: Path) -> None:
    model = models.classifier(1.0)
    mergeline.save(model, name="late", train=TRAIN, holdout=HOLDOUT, project=project)
    outputs = project / "build/late"
    names = ["holdout.parquet", "model", "training_rows.parquet"]
    assert sorted(path.name for path in outputs.iterdir()) == names
    np.testing.assert_array_equal(answers(project), model.predict_proba(HOLDOUT))
    held = read_holdout(outputs / "holdout.parquet", DECLARED)
    fitted = read_training_rows(outputs / "training_rows.parquet", DECLARED)
    assert not np.isin(held.rows.row_id, fitted).any()
    hashes = read_inputs_hashes(outputs / "training_rows.parquet", DECLARED)
    assert hashes is not None
    assert hashes.tolist() == mergeline.hash_inputs(TRAIN[INPUTS]).tolist()
    inputs = read_inputs(outputs / "model")
    assert {name: column.type for name, column in inputs.items()} == {
        "origin": "string", "hour": "long", "wind": "double"
    }  # fmt: skip
    assert all(column.required for column in inputs.values())


@pytest.mark.slow
def test_the_same_fit_is_saved_as_the_same_bytes_and_takes_the_place_of_the_last(
    project: Path,
) -> None:
    digests = []
    for model in (models.classifier(1.0), models.classifier(1.0), models.classifier(0.1)):
        mergeline.save(model, name="late", train=TRAIN, project=project)
        digests.append(model_digest(project / "build/late/model"))
    assert digests[0] == digests[1] != digests[2]
    assert not (project / "build/late/holdout.parquet").exists()


def test_frames_of_polars_keep_their_types(project: Path) -> None:
    declare(project, "key: [id]", "key: [id, day]")
    day = pl.lit(dt.date(2013, 7, 1)).alias("day")
    train, holdout = (pl.from_pandas(one).with_columns(day) for one in (TRAIN, HOLDOUT))
    model = models.classifier(1.0)
    mergeline.save(model, name="late", train=train, holdout=holdout, project=project)
    for name in ("holdout", "training_rows"):
        schema = pl.read_parquet_schema(project / f"build/late/{name}.parquet")
        assert schema["day"] == pl.Date
    hashes = pl.read_parquet(project / "build/late/training_rows.parquet")["inputs_hash"]
    assert hashes.to_list() == mergeline.hash_inputs(TRAIN[INPUTS]).tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda: numbers_only(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1)),
        lambda: Ready([0.75, 0.25]),
    ],
)
def test_models_of_other_libraries_answer_with_their_probabilities(
    project: Path, make: Callable[[], Any]
) -> None:
    inputs = ["hour", "wind"]
    mergeline.save(make(), name="late", train=TRAIN, inputs=inputs, project=project)
    said = answers(project)
    assert said.shape == (len(HOLDOUT), 2)
    np.testing.assert_allclose(said.sum(axis=1), 1)


def test_the_folder_of_an_mlflow_model_is_taken_as_it_is(project: Path) -> None:
    folder = models.save(models.classifier(1.0), project / "saved", models.frame())
    mergeline.save(folder, name="late", train=TRAIN, holdout=HOLDOUT, project=project)
    assert model_digest(project / "build/late/model") == model_digest(folder)


def test_a_regression_is_saved_with_its_numbers(project: Path) -> None:
    declare(project, "task: binary", "task: regression")
    declare(project, "classes: [false, true]\n", "")
    declare(project, "[roc_auc]\n", "[r2]\n")
    declare(project, "primary: roc_auc", "primary: r2")
    train = TRAIN.assign(late=TRAIN["wind"] * 2)
    model = LinearRegression().fit(train[["hour", "wind"]], train["late"])
    mergeline.save(model, name="late", train=train, project=project)
    np.testing.assert_allclose(answers(project), HOLDOUT["wind"] * 2)


@pytest.mark.slow
def test_columns_that_lack_values_or_are_named_are_optional(project: Path) -> None:
    model = numbers_only(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1))
    train = TRAIN.assign(wind=TRAIN["wind"].mask(TRAIN["id"] % 7 == 0))

    def optional(**how: Any) -> list[str]:
        mergeline.save(model, name="late", train=train, project=project, **how)
        inputs = read_inputs(project / "build/late/model").values()
        return [column.name for column in inputs if not column.required]

    assert optional() == ["wind"]
    assert optional(optional=["hour", "wind"]) == ["hour", "wind"]
    with pytest.raises(InputError, match="wind lacks values in train"):
        optional(optional=["hour"])


def test_the_project_s_own_code_goes_with_the_model(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = project / "own_features.py"
    source.write_text("def doubled(frame):\n    return frame * 2\n")
    module = types.ModuleType("own_features")
    module.__file__ = str(source)
    exec(source.read_text(), module.__dict__)
    monkeypatch.setitem(sys.modules, "own_features", module)
    codes = make_column_transformer((FunctionTransformer(module.doubled), ["hour", "wind"]))
    model = make_pipeline(codes, LogisticRegression()).fit(TRAIN[["hour", "wind"]], TRAIN["late"])
    mergeline.save(model, name="late", train=TRAIN, project=project)
    monkeypatch.delitem(sys.modules, "own_features")
    np.testing.assert_array_equal(answers(project), model.predict_proba(HOLDOUT[["hour", "wind"]]))


def on_numbers() -> Any:
    return LogisticRegression().fit(TRAIN[["hour", "wind"]].to_numpy(), TRAIN["late"])


def on_words() -> Any:
    words = np.where(TRAIN["late"], "late", "in time")
    return LogisticRegression().fit(TRAIN[["hour", "wind"]], words)


REFUSED: list[tuple[Callable[[], Any], dict[str, Any], str, str]] = [
    (lambda: numbers_only(LinearSVC()), {}, "numbers, not probabilities", "predict_proba"),
    (on_words, {}, "names classes [in time, late]", "Declare `classes`"),
    (on_numbers, {}, "its columns are not known", "inputs=[…]"),
    (lambda: Ready([0.0, 1.0, 0.0]), {"inputs": INPUTS}, "answers in shape", "for each of them"),
    (lambda: Ready([0.7, 0.7]), {"inputs": INPUTS}, "do not sum to one", "predict_proba"),
    (lambda: Ready([float("nan")] * 2), {"inputs": INPUTS}, "predicts NaN", "for every row"),
    (LogisticRegression, {"inputs": ["hour"]}, "cannot be saved", "Fit it"),
    (lambda: models.classifier(1.0), {"inputs": ["hours"]}, "no column 'hours'", "'hour'"),
    (lambda: models.classifier(1.0), {"train": ROWS}, "among the training rows too", "held_out"),
    (lambda: models.classifier(1.0), {"name": "lat"}, "no model 'lat' is declared", "'late'"),
    (
        lambda: models.classifier(1.0),
        {"holdout": HOLDOUT.drop(columns="late")},
        "holdout has no column 'late'",
        "known",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "how", "said", "fix"), REFUSED, ids=[r[2] for r in REFUSED])
def test_what_no_judge_could_take_is_refused_with_the_fix(
    project: Path, make: Callable[[], Any], how: dict[str, Any], said: str, fix: str
) -> None:
    mergeline.save(models.classifier(1.0), name="late", train=TRAIN, project=project)
    before = model_digest(project / "build/late/model")
    given: dict[str, Any] = {"name": "late", "train": TRAIN, "holdout": HOLDOUT}
    with pytest.raises(MergelineError) as refusal:
        mergeline.save(make(), project=project, **(given | how))
    assert said in str(refusal.value)
    assert fix in str(refusal.value)
    assert isinstance(refusal.value, InputError | DeclarationError)
    assert model_digest(project / "build/late/model") == before
    left = sorted(path.name for path in (project / "build/late").iterdir())
    assert left == ["model", "training_rows.parquet"]


def test_the_script_in_the_documents_leaves_a_candidate(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(project, "slices: [origin]\n", "")
    page = (Path(__file__).parents[3] / "docs/training.md").read_text(encoding="utf-8")
    script = page.partition("```python\n")[2].partition("```")[0]
    rng = np.random.default_rng(0)
    frame = {"id": range(300), "weight": rng.random(300), "distance": rng.random(300)}
    rows = pl.DataFrame(frame).with_columns(late=pl.col("weight") > 0.5)
    monkeypatch.setattr(mergeline, "table", lambda _: rows.lazy())
    monkeypatch.chdir(project)
    exec(script, {})
    names = {path.name for path in (project / "build/late").iterdir()}
    assert names == {"holdout.parquet", "model", "training_rows.parquet"}


def test_the_refusal_in_the_documents_is_the_one_that_is_given(project: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/training.md").read_text(encoding="utf-8")
    shown = " ".join(page.rpartition("```\n")[0].rpartition("```\n")[2].split())
    with pytest.raises(DeclarationError) as refusal:
        mergeline.save(on_words(), name="late", train=TRAIN, project=project)
    assert str(refusal.value).removeprefix(f"{project}/") == shown
