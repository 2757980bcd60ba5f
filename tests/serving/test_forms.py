"""The forms of a model, and the proof that a form answers as the model does."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from mergeline.adapters.models.folder import LoadedModel, load, model_digest
from mergeline.adapters.scoring_server import records
from mergeline.errors import BundleError
from mergeline.serving import proof
from mergeline.serving.forms import OnArrays, candidates
from mergeline.serving.proof import choose
from mergeline.serving.rows import Batch, to_batch
from tests.support.models import frame, save

ROWS = frame(rows=300, seed=3)
LATE = (ROWS["hour"] + ROWS["wind"] > 20).to_numpy()
THREE = ROWS["hour"].to_numpy() % 3


def one_hot(**options: Any) -> Any:
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", **options), ["origin"]), remainder="passthrough"
    )


def ordinal(**options: Any) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **options)
    return make_column_transformer((encoder, ["origin"]), remainder="passthrough")


def scaled() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_column_transformer(
        (OneHotEncoder(drop="first"), ["origin"]), (numbers, ["wind"]), (MinMaxScaler(), ["hour"])
    )


def loaded(model: Any, target: Any, folder: Path, rows: pd.DataFrame = ROWS) -> LoadedModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = save(model.fit(rows, target), folder / "model", rows)
    return load(saved, model_digest(saved))


def batch_of(model: LoadedModel, rows: pd.DataFrame = ROWS) -> Batch:
    return to_batch(records(rows), model.inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "target", "form"),
    [
        (make_pipeline(one_hot(), LogisticRegression(max_iter=500)), LATE, "compiled"),
        (make_pipeline(scaled(), LogisticRegression()), LATE, "compiled"),
        (make_pipeline(one_hot(), LogisticRegression(max_iter=500)), THREE, "compiled"),
        (make_pipeline(scaled(), Ridge()), ROWS["wind"], "compiled"),
        (make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=9)), LATE, "compiled"),
        (make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=9)), THREE, "compiled"),
        (make_pipeline(ordinal(), HistGradientBoostingRegressor(max_iter=9)), LATE, "compiled"),
        (make_pipeline(one_hot(), RandomForestClassifier(5)), LATE, "compiled"),
        (make_pipeline(one_hot(), RandomForestRegressor(5)), ROWS["wind"], "compiled"),
        (make_pipeline(ordinal(), GradientBoostingClassifier(n_estimators=9)), LATE, "compiled"),
        (make_pipeline(ordinal(), ExtraTreesClassifier(5)), THREE, "compiled"),
        (make_pipeline(one_hot(sparse_output=False), PCA(2), LogisticRegression()), LATE, "arrays"),
        (make_pipeline(scaled(), KNeighborsClassifier()), LATE, "arrays"),
    ],
)
def test_a_pipeline_has_the_fastest_form_that_answers_as_it_does(
    model: Any, target: Any, form: str, tmp_path: Path
) -> None:
    model = loaded(model, target, tmp_path)
    chosen = choose(model)
    assert chosen.name == form, chosen.reason
    assert "rows asked" in chosen.reason
    for rows in (ROWS, ROWS.head(1)):
        batch = batch_of(model, rows)
        expected, said = model.predict(batch.frame()), chosen.answer(batch)
        np.testing.assert_allclose(said, expected, rtol=0, atol=1e-12)
    assert chosen.labels == bool(model.classes)
    assert (
        chosen.exact
        or "Linear" in str(model.raw)
        or "Ridge" in str(model.raw)
        or "Logistic" in str(model.raw)
    )


def test_lightgbm_is_compiled_too(tmp_path: Path) -> None:
    import lightgbm

    trees = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = loaded(make_pipeline(ordinal(), trees), LATE, tmp_path)
        assert choose(model).name == "compiled"


class Doubled(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step of the project's own."""

    def fit(self, rows: Any, target: Any = None) -> Doubled:
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return rows[["hour", "wind"]] * 2


def test_a_step_that_is_not_known_leaves_the_data_frame(tmp_path: Path) -> None:
    chosen = choose(loaded(make_pipeline(Doubled(), LinearRegression()), LATE, tmp_path))
    assert chosen.name == "frame"
    assert "a step of " in chosen.reason


def wrong_by(much: float, at: float) -> Any:
    """Forms whose compiled one is wrong beside one threshold only."""

    def made(model: LoadedModel, **options: bool) -> list[OnArrays]:
        compiled, *others = candidates(model, **options)
        right = compiled.few

        def few(matrix: Any) -> Any:
            answers = right(matrix).copy()
            answers[matrix[:, 1] == at] += much
            return answers

        return [replace(compiled, few=few), *others]

    return made


def test_a_form_that_is_wrong_one_unit_beside_one_threshold_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ROWS[["hour", "wind"]]
    model = loaded(HistGradientBoostingRegressor(max_iter=5), ROWS["wind"], tmp_path, numbers)
    tree = model.estimator._predictors[0][0].nodes
    threshold = float(tree["num_threshold"][(tree["is_leaf"] == 0) & (tree["feature_idx"] == 1)][0])
    beside = float(np.nextafter(threshold, np.inf))
    monkeypatch.setattr(proof, "candidates", wrong_by(1e-9, beside))
    chosen = choose(model)
    assert chosen.name == "arrays"
    assert chosen.reason.startswith("compiled: an answer differs by ")
    monkeypatch.setattr(proof, "candidates", wrong_by(0.0, beside))
    assert choose(model).name == "compiled"


def test_rows_of_the_holdout_are_part_of_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ROWS[["hour", "wind"]]
    model = loaded(LinearRegression(), ROWS["wind"], tmp_path, numbers)
    odd = float(numbers["wind"][17])
    monkeypatch.setattr(proof, "candidates", wrong_by(1e-6, odd))
    assert choose(model).name == "compiled"
    assert choose(model, batch_of(model, numbers)).name == "arrays"


def test_what_a_model_refuses_its_form_refuses(tmp_path: Path) -> None:
    encoder = make_column_transformer((OneHotEncoder(), ["origin"]), remainder="passthrough")
    model = loaded(make_pipeline(encoder, LogisticRegression(max_iter=500)), LATE, tmp_path)
    chosen = choose(model)
    assert chosen.name == "compiled"
    for change in ({"wind": None}, {"origin": "XXX"}):
        row = records(ROWS.head(1))[0] | change
        batch = to_batch([row], model.inputs)
        for ask in (chosen.answer, lambda one: model.predict(one.frame())):
            with pytest.raises(BundleError, match="cannot score these rows"):
                ask(batch)


def test_a_missing_number_is_answered_where_the_model_knows_it(tmp_path: Path) -> None:
    rows = ROWS.assign(wind=ROWS["wind"].where(ROWS["hour"] > 3))
    trees = HistGradientBoostingClassifier(max_iter=9)
    model = loaded(make_pipeline(ordinal(), trees), LATE, tmp_path, rows)
    chosen = choose(model)
    batch = to_batch([records(ROWS.head(1))[0] | {"wind": None}], model.inputs)
    np.testing.assert_allclose(chosen.answer(batch), model.predict(batch.frame()), atol=1e-12)
