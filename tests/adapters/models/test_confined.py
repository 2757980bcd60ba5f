"""Hostile models, asked behind walls: each is contained and becomes a finding."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from mergeline.adapters.models.confined import confined_model
from mergeline.adapters.models.folder import load, model_digest
from mergeline.errors import BundleError
from mergeline.system.confinement import Limits, Walls, probe
from tests.support.line import content_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
FRAME = pd.DataFrame({"weight": np.linspace(0, 1, 60), "distance": np.linspace(1, 0, 60)})
ROOM = Limits(seconds=60, memory_mb=2_000)
Saved = Callable[..., Path]
SHORT = Limits(seconds=5, memory_mb=2_000)


class Hostile:
    """Does something in `predict_proba`, then answers. Its process need not import scikit-learn."""

    def __init__(self, code: str = "") -> None:
        self.code = code

    def fit(self, rows: pd.DataFrame, labels: Any) -> Hostile:
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        exec(self.code, {"self": self, "rows": rows})
        positive = rows["weight"].to_numpy()
        return np.column_stack([1 - positive, positive])


class HostileLoading:
    """Does something while it is loaded, and is no model at all."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: dict[str, str]) -> None:
        exec(state["code"], {})


@pytest.fixture(params=["landlock", pytest.param("bubblewrap", marks=pytest.mark.slow)])
def walls(request: pytest.FixtureRequest) -> Walls:
    if request.param == "bubblewrap" and (gaps := probe("bubblewrap")):
        pytest.skip(f"bubblewrap is no wall on this machine: {gaps[0]}")
    return Walls(request.param, ())


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_template(tmp_path_factory.mktemp("hostile"))


def save_template(place: Path) -> Path:
    """A model's folder as MLflow writes it."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    folder = place / "model"
    with warnings.catch_warnings(), by_value():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            hostile(""), folder, signature=infer_signature(FRAME, np.zeros((60, 2))),
            pip_requirements=["scikit-learn"], serialization_format="cloudpickle",
        )  # fmt: skip
    return folder


@pytest.fixture
def saved(template: Path, tmp_path: Path) -> Saved:
    """Saves a model that runs `code` each time it is asked."""

    def save(code: str = "") -> Path:
        folder = Path(shutil.copytree(template, tmp_path / "model"))
        with by_value():
            (folder / "model.pkl").write_bytes(cloudpickle.dumps(hostile(code)))
        return folder

    return save


def hostile(code: str) -> Hostile:
    return Hostile(code).fit(FRAME, FRAME["weight"] > 0.5)


@contextlib.contextmanager
def by_value() -> Iterator[None]:
    """This module is pickled with what it defines, as a project's own code is."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def asked(folder: Path, walls: Walls, limits: Limits = ROOM) -> Any:
    """The answers of a model behind walls."""
    with confined_model(folder, model_digest(folder), walls, limits=limits) as model:
        model.load()
        return model.predict(FRAME)


def test_a_model_behind_walls_answers_as_it_does_without(walls: Walls, saved: Saved) -> None:
    folder = saved()
    with confined_model(folder, model_digest(folder), walls) as model:
        model.load()
        answers = model.predict(FRAME)
        batches = model.answer(np.arange(59, -1, -1), at_once=7)
        assert model.classes == (False, True)
        assert model.latency_ms(20) > 0
        assert 0 < model.load_seconds < 60
        assert 50 < model.peak_memory_mb < 2_000
    np.testing.assert_array_equal(batches[::-1], answers)
    np.testing.assert_array_equal(answers, load(folder, model_digest(folder)).predict(FRAME))


def test_bytes_of_another_digest_are_not_loaded(walls: Walls, saved: Saved) -> None:
    folder = saved()
    with (
        pytest.raises(BundleError, match="bytes are"),
        confined_model(folder, "0" * 64, walls) as model,
    ):
        model.load()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(0)", "ends its process"),
        ("import sys; sys.exit(0)", "ends the process"),
        ("import os; os.abort()", "instead of answering"),
        ("held = [bytearray(10**8) for _ in range(100)]", "MemoryError|more memory"),
        ("import os\nwhile True: os.fork()", "Operation not permitted"),
        ("import os; os.kill(os.getppid(), 9)", "Operation not permitted"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Operation not permitted"),
        ("import subprocess; subprocess.run(['id'])", "Operation not permitted"),
        ("open('/etc/shadow').read()", "No such file|Permission denied"),
    ],
)
def test_a_hostile_model_is_contained_and_said(
    walls: Walls, saved: Saved, code: str, message: str
) -> None:
    folder = saved(code)
    with pytest.raises(BundleError, match=message):
        asked(folder, walls)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(0)", "the model"),
        ("import os; os.kill(os.getppid(), 9)", "Operation not permitted"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Operation not permitted"),
        ("open('/etc/shadow').read()", "No such file|Permission denied"),
        ("import os\nwhile True: os.fork()", "Operation not permitted"),
        ("held = [bytearray(10**8) for _ in range(100)]", "MemoryError|more memory"),
        ("raise ValueError('first\\n::error file=a::owned')", "first$"),
        ("import time; time.sleep(600)", "took longer|ended with"),
    ],
)
def test_a_model_that_is_hostile_while_it_is_loaded_is_contained_and_said(
    walls: Walls, saved: Saved, code: str, message: str
) -> None:
    folder = saved()
    with by_value():
        (folder / "model.pkl").write_bytes(cloudpickle.dumps(HostileLoading(code)))
    with pytest.raises(BundleError, match=message) as found:
        asked(folder, walls, SHORT if "sleep" in code else ROOM)
    assert "::" not in str(found.value)


@pytest.mark.slow
def test_a_model_that_patches_mergeline_changes_only_what_it_says_itself(
    walls: Walls, saved: Saved
) -> None:
    code = """
import mergeline.adapters.models.confined as confined
import mergeline.core.gate.judge as gate
gate.judge = confined.confined_model = lambda *_, **__: 'pass'
import mergeline.adapters.models.folder as folder
folder.model_digest = lambda *_: '0' * 64
"""
    from mergeline.core.gate import judge as gate

    was = gate.judge
    folder = saved(code)
    digest = model_digest(folder)
    assert asked(folder, walls).shape == (60, 2)
    assert (gate.judge, model_digest(folder)) == (was, digest)


@pytest.mark.slow
@pytest.mark.parametrize("said", ["b''", "b'\\xff' * 64", "numbers(a)[:-8]", "numbers(a) * 2"])
def test_a_model_that_patches_the_program_that_asks_it_is_refused(
    walls: Walls, saved: Saved, said: str
) -> None:
    code = f"""
import sys
child = sys.modules['__main__']
numbers = child._numbers
child._numbers = lambda a: {said}
"""
    with pytest.raises(BundleError, match="the model"):
        asked(saved(code), walls)


@pytest.mark.slow
def test_a_model_that_writes_a_verdict_changes_no_file(
    walls: Walls, saved: Saved, tmp_path: Path
) -> None:
    places = [tmp_path / "judged" / "evaluation", Path.cwd() / "evaluation"]
    code = f"""
import pathlib
for place in {[str(place) for place in places]!r}:
    for name in ('report.json', 'report.md', 'evaluation.json'):
        try:
            pathlib.Path(place).mkdir(parents=True, exist_ok=True)
            pathlib.Path(place, name).write_text('{{"verdict": "pass"}}')
        except OSError:
            pass
"""
    folder = saved(code)
    (tmp_path / "judged" / "evaluation").mkdir(parents=True)
    report = tmp_path / "judged" / "evaluation" / "report.json"
    report.write_text('{"verdict": "fail"}')
    before = content_of(tmp_path)
    assert asked(folder, walls).shape == (60, 2)
    assert content_of(tmp_path) == before
    assert not places[1].exists()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "while True: pass"])
def test_a_model_that_takes_for_ever_is_ended(walls: Walls, saved: Saved, code: str) -> None:
    folder = saved(code)
    with pytest.raises(BundleError, match=r"took longer|ended with"):
        asked(folder, walls, SHORT)


def test_a_model_sees_no_labels_no_environment_and_nobody_elses_files(
    walls: Walls, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERGELINE_TEST_TOKEN", "a secret")
    labels = tmp_path / "holdout.parquet"
    labels.write_text("labels", encoding="utf-8")
    code = f"""
import os, pathlib
found = [p for p in pathlib.Path('/proc').glob('[0-9]*/environ')]
texts = []
here = pathlib.Path({str(Path.cwd())!r})
for path in [*found, pathlib.Path({str(labels)!r}), here / '.git/config']:
    try:
        texts.append(path.read_bytes())
    except OSError:
        pass
leaked = b'a secret' in b''.join(texts) or any(b'labels' in t or b'[core]' in t for t in texts)
leaked = leaked or 'MERGELINE_TEST_TOKEN' in os.environ
assert not leaked, 'it leaked'
assert list(rows.columns) == ['weight', 'distance']
import gc, pandas
frames = [each for each in gc.get_objects() if isinstance(each, pandas.DataFrame)]
assert not [each for each in frames if set(each.columns) - {{'weight', 'distance'}}], 'labels'
"""
    assert asked(saved(code), walls).shape == (60, 2)


def test_a_model_that_patches_its_libraries_changes_no_other_model(
    walls: Walls, saved: Saved, tmp_path: Path
) -> None:
    code = """
import numpy, sklearn.metrics
numpy.isfinite = lambda *_: numpy.True_
sklearn.metrics.roc_auc_score = lambda *_: 1.0
"""
    from sklearn.metrics import roc_auc_score

    asked(saved(code), walls)
    assert roc_auc_score([0, 1], [0.9, 0.1]) == 0
    assert not np.isfinite(np.nan)


def test_what_a_model_prints_reaches_neither_answers_nor_log(
    walls: Walls, saved: Saved, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "print('::error::owned' * 100_000); import os; os.write(1, b'x' * 100)"
    assert asked(saved(code), walls).shape == (60, 2)
    assert "owned" not in "".join(capfd.readouterr())


def test_an_answer_that_is_none_is_refused(walls: Walls, saved: Saved, tmp_path: Path) -> None:
    # The pipe that answers go out on is the model's to find; what it writes there is its own loss.
    code = """
import contextlib
import os
for handle in range(3, 30):
    try:
        os.write(handle, b'\\xff' * 64)
    except OSError:
        pass
"""
    with pytest.raises(BundleError, match="the model"):
        asked(saved(code), walls)


def test_a_models_error_is_one_line_without_commands(walls: Walls, saved: Saved) -> None:
    code = "raise ValueError('first\\n::error file=a::owned\\x1b[2J')"
    with pytest.raises(BundleError) as found:
        asked(saved(code), walls)
    text = str(found.value)
    assert "\n" not in text
    assert "::" not in text
    assert "\x1b" not in text


def test_no_scratch_folder_is_left(
    walls: Walls, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    asked(folder, walls)
    assert list(scratch.iterdir()) == []
