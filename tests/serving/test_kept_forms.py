"""Compiled forms on disk: what is read back answers as what was proven."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from mergeline.adapters.models.folder import LoadedModel, load, model_digest
from mergeline.adapters.scoring_server import records
from mergeline.errors import BundleError
from mergeline.serving.forms import OnArrays
from mergeline.serving.kept_forms import KeptForms, _opened, _read, keep
from mergeline.serving.proof import choose
from mergeline.serving.rows import to_batch
from mergeline.serving.served_versions import ServedVersions, model_of, predict
from tests.serving.test_forms import LATE, ROWS, THREE, one_hot, ordinal, scaled
from tests.support.model_server import Registry
from tests.support.models import ROW, save


def nothing() -> None:
    """No holdout."""


def opened(file: Path, folder: Path, digest: str) -> tuple[LoadedModel, OnArrays]:
    kept = _read(file)
    assert kept is not None
    model, form = _opened(kept, file, folder, digest)
    assert isinstance(form, OnArrays)
    return model, form


def odd_rows() -> pd.DataFrame:
    """Rows with what is missing, unseen, large or small."""
    odd = pd.DataFrame(
        {
            "origin": ["JFK", "XXX", "EWR", ""],
            "hour": [0, 23, 2**53 + 1, -5],
            "wind": [np.nan, 1e30, -0.0, 5e-324],
        }
    )
    return pd.concat([ROWS, odd], ignore_index=True)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (make_pipeline(one_hot(), LogisticRegression(max_iter=500)), LATE),
        (make_pipeline(scaled(), Ridge()), ROWS["wind"]),
        (make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=9)), LATE),
        (make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=9)), THREE),
        (make_pipeline(ordinal(), HistGradientBoostingRegressor(max_iter=9)), LATE),
        (make_pipeline(one_hot(), RandomForestClassifier(5)), LATE),
        (make_pipeline(ordinal(), GradientBoostingClassifier(n_estimators=9)), LATE),
    ],
)
def test_a_form_that_was_kept_answers_as_it_did_without_its_estimator(
    model: Any, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(model.fit(ROWS, target), tmp_path / "model", ROWS)
    digest = model_digest(folder)
    loaded = load(folder, digest)
    form = choose(loaded, alone=True)
    assert isinstance(form, OnArrays)
    assert form.name == "compiled", form.reason
    keep(loaded, form, tmp_path / "a.form")
    with monkeypatch.context() as patch:
        patch.setattr("mergeline.adapters.models.folder._unpickle", lambda _: pytest.fail("loaded"))
        again, read = opened(tmp_path / "a.form", folder, digest)
        assert (again.inputs, again.classes) == (loaded.inputs, loaded.classes)
        facts = ("name", "reason", "labels", "exact", "refused", "joins")
        assert [getattr(read, fact) for fact in facts] == [getattr(form, fact) for fact in facts]
        for rows in (ROWS, ROWS.head(1), ROWS.tail(3)) if form.refused else (odd_rows(), ROWS):
            batch = to_batch(records(rows), loaded.inputs)
            try:
                expected = form.answer(batch)
            except BundleError as error:
                with pytest.raises(BundleError, match=str(error)[:30]):
                    read.answer(batch)
            else:
                assert np.array_equal(read.answer(batch), expected)
    # Whoever needs the estimator gets it, from bytes that are checked again.
    assert np.array_equal(again.predict(ROWS), loaded.predict(ROWS))


@pytest.mark.slow
def test_it_is_made_once_in_a_process_that_ends_and_other_bytes_are_refused(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, digest = KeptForms(tmp_path / "forms"), model_digest(first)
    registry = Registry()
    registry.register(first, "Production")
    versions = ServedVersions(registry, kept=kept)
    versions.reconcile()
    served = versions.by_stage("delay", "production")
    model = model_of(served)
    assert model.form.name == "compiled"
    batch = to_batch([ROW], model.inputs)
    expected = load(first, digest).predict(pd.DataFrame([ROW]))
    np.testing.assert_allclose(predict(model, batch), expected, rtol=0, atol=1e-12)
    monkeypatch.setattr(
        "mergeline.serving.kept_forms.start_child", lambda *_, **__: pytest.fail("made again")
    )
    assert kept.find(first, digest, nothing)
    tampered = Path(shutil.copytree(first, tmp_path / "tampered"))
    with (tampered / "model.pkl").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(BundleError, match="bytes are"):
        kept.find(tampered, digest, nothing)


def test_what_has_no_compiled_form_is_known_to_have_none(tmp_path: Path) -> None:
    model = make_pipeline(scaled(), KNeighborsClassifier()).fit(ROWS, LATE)
    folder = save(model, tmp_path / "model", ROWS)
    digest = model_digest(folder)
    loaded = load(folder, digest)
    keep(loaded, choose(loaded, alone=True), tmp_path / "a.form")
    said = _read(tmp_path / "a.form")
    assert said is not None
    assert said.kernel is None


def test_a_damaged_form_is_none(tmp_path: Path) -> None:
    trees = make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=9)).fit(ROWS, LATE)
    folder = save(trees, tmp_path / "model", ROWS)
    loaded = load(folder, model_digest(folder))
    keep(loaded, choose(loaded, alone=True), tmp_path / "a.form")
    assert _read(tmp_path / "a.form")
    with (tmp_path / "a.trees").open("ab") as stream:
        stream.write(b"\0")
    assert _read(tmp_path / "a.form") is None
    (tmp_path / "a.form").write_bytes(b"\x80")
    assert _read(tmp_path / "a.form") is None
