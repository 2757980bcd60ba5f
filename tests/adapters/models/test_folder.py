"""Model folders: the digest is of the estimator alone, and nothing else is ever unpickled."""

from __future__ import annotations

import importlib.util
import marshal
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from mergeline.adapters.models.folder import LoadedModel, load, model_digest, read_inputs
from mergeline.errors import BundleError
from tests.support.models import classifier, frame, late, regression, save


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(classifier(1.0), tmp_path_factory.mktemp("model") / "model", frame())


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def describe(folder: Path, **changes: object) -> None:
    document = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**document, **changes}))


def load_unseen(folder: Path) -> LoadedModel:
    """Load a model that these tests made, whatever its bytes are."""
    return load(folder, model_digest(folder))


def test_the_same_fit_saved_twice_has_one_digest(saved: Path, tmp_path: Path) -> None:
    again = save(classifier(1.0), tmp_path / "again", frame())
    assert (again / "MLmodel").read_bytes() != (saved / "MLmodel").read_bytes()
    assert model_digest(again) == model_digest(saved)
    assert model_digest(save(classifier(0.5), tmp_path / "other", frame())) != model_digest(saved)


def test_a_loaded_classifier_answers_as_the_fitted_one(folder: Path) -> None:
    model = load(folder, model_digest(folder))
    rows = frame(50, seed=2)
    expected = classifier(1.0).predict_proba(rows)
    np.testing.assert_array_equal(model.predict(rows[["wind", "hour", "origin"]]), expected)
    assert model.classes == (False, True)
    assert model.size_bytes == (folder / "model.pkl").stat().st_size
    assert model.latency_ms(rows) > 0


def test_a_loaded_regression_answers_with_one_number_a_row(tmp_path: Path) -> None:
    rows = frame()[["hour", "wind"]]
    model = load_unseen(save(regression(), tmp_path / "model", rows))
    assert model.predict(rows).shape == (len(rows),)
    assert model.classes == ()


def test_other_bytes_than_expected_are_not_unpickled(folder: Path, tmp_path: Path) -> None:
    expected = model_digest(folder)
    trace = tmp_path / "ran"
    (folder / "model.pkl").write_bytes(f"cos\nsystem\n(S'touch {trace}'\ntR.".encode())
    with pytest.raises(BundleError, match="bytes are"):
        load(folder, expected)
    assert not trace.exists()


def test_the_inputs_can_be_read_without_loading(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"no pickle")
    assert {name: kind.type for name, kind in read_inputs(folder).items()} == {
        "origin": "string",
        "hour": "long",
        "wind": "double",
    }


def test_rows_that_a_model_cannot_score_are_a_finding(folder: Path) -> None:
    rows = frame(3).astype({"wind": "object"})
    rows.loc[1, "wind"] = "strong"
    with pytest.raises(BundleError, match="cannot score these rows"):
        load_unseen(folder).predict(rows)


class Leaver(LinearRegression):  # type: ignore[misc]
    """Ends the process, when it is loaded or when it is asked."""

    def __init__(self, when: str = "asked") -> None:
        super().__init__()
        self.when = when

    def __reduce__(self) -> Any:
        return (sys.exit, (0,)) if self.when == "loaded" else super().__reduce__()

    def predict(self, rows: Any) -> Any:
        return super().predict(rows) if self.when == "loaded" else sys.exit(0)


@pytest.mark.parametrize(
    ("when", "problem"),
    [("loaded", "cannot be loaded"), ("asked", "cannot score these rows")],
)
def test_a_model_that_ends_the_process_is_a_finding(
    tmp_path: Path, when: str, problem: str
) -> None:
    rows = frame()[["hour", "wind"]]
    folder = save(regression(), tmp_path / "model", rows)
    (folder / "model.pkl").write_bytes(pickle.dumps(Leaver(when).fit(rows, rows["hour"])))
    with pytest.raises(BundleError, match=rf"{problem}: it ends the process \(SystemExit\(0\)\)"):
        load_unseen(folder).predict(rows)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"signature": None}, "its signature names no columns"),
        ({"signature": {"inputs": "[{]"}}, "its signature names no columns"),
        ({"signature": {"inputs": '[{"type": "tensor"}]'}}, "its signature names no columns"),
        ({"flavors": {}}, "neither a scikit-learn estimator nor a pyfunc model"),
        ({"flavors": None}, "names no flavour"),
        (
            {"flavors": {"sklearn": {"pickled_model": "../x", "serialization_format": "pickle"}}},
            "scikit-learn estimator is missing",
        ),
    ],
)
def test_a_folder_that_is_no_such_model_is_refused(
    folder: Path, changes: dict[str, object], problem: str
) -> None:
    (folder.parent / "x").write_bytes(b"outside")
    describe(folder, **changes)
    with pytest.raises(BundleError, match=problem):
        load_unseen(folder)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"flavors: [", b"- a list"])
def test_an_unreadable_description_is_refused(folder: Path, content: bytes | None) -> None:
    (folder / "MLmodel").unlink()
    if content is not None:
        (folder / "MLmodel").write_bytes(content)
    with pytest.raises(BundleError):
        model_digest(folder)


def test_a_file_that_is_no_pickle_says_so(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"no pickle")
    with pytest.raises(BundleError, match="the model cannot be loaded") as refused:
        load_unseen(folder)
    assert "requirements.txt" in refused.value.next_step


def test_code_of_the_project_s_own_must_be_carried_by_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cloudpickle
    from sklearn.preprocessing import FunctionTransformer

    (tmp_path / "own_features.py").write_text("def double(rows): return rows * 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own_features")
    rows = frame()[["hour", "wind"]]
    model = make_pipeline(FunctionTransformer(own.double), LinearRegression())
    model.fit(rows, rows["hour"])
    by_name = save(model, tmp_path / "by-name", rows)
    cloudpickle.register_pickle_by_value(own)
    try:
        by_value = save(model, tmp_path / "by-value", rows)
    finally:
        cloudpickle.unregister_pickle_by_value(own)
    expected = model.predict(rows)
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "own_features")
    with pytest.raises(BundleError, match="No module named 'own_features'") as refused:
        load_unseen(by_name)
    assert "register_pickle_by_value" in refused.value.next_step
    np.testing.assert_allclose(load_unseen(by_value).predict(rows), expected)


@pytest.mark.filterwarnings("ignore")  # MLflow's advice on how to write such models
def test_a_model_of_another_kind_is_asked_through_pyfunc(tmp_path: Path) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    rows = pd.DataFrame({"hour": [0.0, 12.0]})

    class Steady(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            share = model_input["hour"].to_numpy() / 24
            return np.column_stack([1 - share, share])

    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        mlflow.pyfunc.save_model(
            folder,
            python_model=Steady(),
            signature=infer_signature(rows, np.zeros((2, 2))),
            pip_requirements=["mlflow"],
            metadata={"classes": [False, True]},
        )
    assert model_digest(one) == model_digest(two)
    model = load(one, model_digest(two))
    assert model.classes == (False, True)
    assert model.predict(rows).tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert model.size_bytes > 0
    with (one / "python_model.pkl").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match="bytes are"):
        load(one, model_digest(two))


@pytest.fixture
def own_code(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Saves a model that multiplies the hour, by a factor that a module beside it holds."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.preprocessing import FunctionTransformer

    rows = frame()[["hour", "wind"]]

    def saved(factor: int) -> Path:
        source = tmp_path / f"code-{factor}"
        source.mkdir()
        (source / "own_factor.py").write_text(
            f"FACTOR = {factor}\ndef scale(rows): return rows[['hour']] * FACTOR\n"
        )
        sys.path.insert(0, str(source))
        try:
            module = importlib.import_module("own_factor")
            model = make_pipeline(FunctionTransformer(module.scale), LinearRegression())
            model.fit(rows, rows["hour"])
            model[-1].coef_, model[-1].intercept_ = np.array([1.0]), 0.0
            mlflow.sklearn.save_model(
                model,
                tmp_path / f"model-{factor}",
                code_paths=[str(source / "own_factor.py")],
                signature=infer_signature(rows, rows["wind"]),
                pip_requirements=["scikit-learn"],
                serialization_format="cloudpickle",
            )
        finally:
            sys.path.remove(str(source))
            del sys.modules["own_factor"]
        return tmp_path / f"model-{factor}"

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield saved
    sys.dont_write_bytecode = before


@pytest.mark.filterwarnings("ignore")
def test_two_models_that_bring_modules_of_one_name_each_run_with_their_own(
    own_code: Callable[[int], Path],
) -> None:
    three, seven = own_code(3), own_code(7)
    path = list(sys.path)
    first = load(three, model_digest(three))
    second = load(seven, model_digest(seven))
    rows = pd.DataFrame({"hour": [2], "wind": [1.0]})
    assert (first.predict(rows)[0], second.predict(rows)[0]) == (6.0, 14.0)
    assert "own_factor" not in sys.modules
    assert sys.path == path


@pytest.mark.filterwarnings("ignore")
def test_code_beside_a_model_is_in_its_digest_and_its_bytecode_is_never_run(
    own_code: Callable[[int], Path],
) -> None:
    folder = own_code(3)
    digest = model_digest(folder)
    source = folder / "code" / "own_factor.py"
    evil = compile("FACTOR = 666\ndef scale(rows): return rows[['hour']] * FACTOR", source, "exec")
    at = source.stat()
    cached = Path(importlib.util.cache_from_source(str(source)))
    cached.parent.mkdir()
    stamp = int(at.st_mtime).to_bytes(4, "little") + at.st_size.to_bytes(4, "little")
    cached.write_bytes(importlib.util.MAGIC_NUMBER + bytes(4) + stamp + marshal.dumps(evil))
    assert model_digest(folder) == digest
    rows = pd.DataFrame({"hour": [2], "wind": [1.0]})
    assert load(folder, digest).predict(rows).tolist() == [6.0]
    source.write_text(source.read_text().replace("3", "4"))
    with pytest.raises(BundleError, match="bytes are"):
        load(folder, digest)


@pytest.mark.filterwarnings("ignore")
def test_a_description_that_names_another_file_to_unpickle_is_other_bytes(
    own_code: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = own_code(3)
    digest = model_digest(folder)
    flavours = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    flavours["sklearn"]["pickled_model"] = str(tmp_path / "elsewhere.pkl")
    describe(folder, flavors=flavours)
    with pytest.raises(BundleError, match="bytes are"):
        load(folder, digest)


def test_a_model_with_another_number_of_answers_than_classes_is_refused(tmp_path: Path) -> None:
    rows = frame()[["hour", "wind"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        two = LinearRegression().fit(rows, np.column_stack([late(frame()), rows["wind"]]))
    with pytest.raises(BundleError, match=r"answers in shape \(1, 2\), not \(1,\)"):
        load_unseen(save(two, tmp_path / "model", rows)).predict(pd.DataFrame(rows.head(1)))


@pytest.mark.slow
def test_a_flavour_that_answers_with_classes_is_asked_for_probabilities(tmp_path: Path) -> None:
    import lightgbm
    import mlflow.lightgbm
    from mlflow.models import infer_signature

    rows = frame(200)[["hour", "wind"]]
    labels = late(rows)
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows, model.predict_proba(rows))
        mlflow.lightgbm.save_model(
            model, tmp_path / "model", signature=signature, pip_requirements=["lightgbm"]
        )
        loaded = load(tmp_path / "model", model_digest(tmp_path / "model"))
        np.testing.assert_array_equal(loaded.predict(rows), model.predict_proba(rows))
    assert len(loaded.classes) == 2
