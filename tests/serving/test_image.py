"""The server of an image: it starts with the bytes that it was made for, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mergeline.adapters.models.folder import model_digest, servable
from mergeline.core.release.image import DESCRIPTION, MODEL, Content
from mergeline.errors import BundleError, InputError
from mergeline.serving.image import embedded, serve
from tests.support.models import classifier, frame, save

PYTHON = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(classifier(1.0), tmp_path_factory.mktemp("saved") / "model", frame())


def unpacked(root: Path, saved: Path, *, python: str = PYTHON) -> Path:
    """The root of an image with a model."""
    for path, content in servable(saved).files.items():
        file = root / MODEL / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    described = Content("delay", "1" * 64, model_digest(saved), python)
    (root / DESCRIPTION).write_bytes(described.document())
    return root


def test_what_a_server_needs_of_a_model_is_the_same_model(tmp_path: Path, saved: Path) -> None:
    again = save(classifier(1.0), tmp_path / "again", frame())
    root, other = unpacked(tmp_path / "one", saved), unpacked(tmp_path / "two", again)
    assert model_digest(root / MODEL) == model_digest(saved)
    names = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    assert {(root / name).read_bytes() == (other / name).read_bytes() for name in names} == {True}
    assert servable(saved).needs == ("scikit-learn", "scikit-learn")


def test_version_and_stage_are_what_whoever_starts_it_says(tmp_path: Path, saved: Path) -> None:
    root = unpacked(tmp_path, saved)
    [version] = embedded(root, {}).standing()
    assert (version.number, version.stage) == (0, "Production")
    said = {"MERGELINE_VERSION": "7", "MERGELINE_STAGE": "staging"}
    [version] = embedded(root, said).standing()
    assert (version.number, version.stage) == (7, "Staging")
    for wrong in ({"MERGELINE_VERSION": "seven"}, {"MERGELINE_STAGE": "best"}):
        with pytest.raises(InputError, match="MERGELINE_VERSION"):
            embedded(root, wrong)


def test_a_base_with_another_python_is_refused(tmp_path: Path, saved: Path) -> None:
    root = unpacked(tmp_path, saved, python="3.9")
    with pytest.raises(BundleError, match=r"needs Python 3\.9"):
        embedded(root, {})


def test_an_image_that_does_not_say_what_it_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not say what it is"):
        embedded(tmp_path, {})


def test_other_bytes_are_not_served(tmp_path: Path, saved: Path) -> None:
    root = unpacked(tmp_path, saved)
    file = root / MODEL / "model.pkl"
    file.write_bytes(file.read_bytes() + b".")
    with pytest.raises(BundleError, match="the model's bytes are"):
        serve(embedded(root, {}), host="127.0.0.1", port=0, token="")


@pytest.mark.slow
def test_neither_mlflow_nor_dvc_is_needed_to_answer(tmp_path: Path, saved: Path) -> None:
    root = unpacked(tmp_path, saved)
    absent = ["mlflow", "dvc", "pyarrow", "polars", "deltalake", "git", "pydantic", "oras", "rich"]
    program = f"""
import asyncio, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from pathlib import Path
from mergeline.serving.app import Application
from mergeline.serving.image import embedded
from mergeline.serving.served_versions import ServedVersions
versions = ServedVersions(embedded(Path({str(root)!r}), {{}}))
versions.reconcile()
assert versions.ready, versions.problems()
application, said = Application(versions), []

def ask(path, body, kind):
    sent = iter([{{"type": "http.request", "body": body, "more_body": False}}])
    scope = {{"type": "http", "method": "POST", "raw_path": path, "path": path.decode(),
             "query_string": b"", "headers": [(b"content-type", kind)]}}
    async def receive(): return next(sent)
    answer = []
    async def send(part): answer.append(part)
    asyncio.run(application(scope, receive, send))
    return answer[0]["status"], b"".join(part.get("body", b"") for part in answer).decode()

row = {{"origin": "JFK", "hour": 17, "wind": 8.5}}
native, mlflow = json.dumps({{"rows": [row]}}), json.dumps({{"dataframe_records": [row]}})
print(json.dumps([
    ask(b"/models/delay/stages/production/predict", native.encode(), b"application/json"),
    ask(b"/invocations", mlflow.encode(), b"application/json"),
    ask(b"/invocations", b"PAR1", b"application/vnd.apache.parquet"),
]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    native, mlflow, parquet = json.loads(done.stdout)
    assert native[0] == 200, native
    row = frame().iloc[:1].assign(origin="JFK", hour=17, wind=8.5)
    [expected] = classifier(1.0).predict_proba(row).tolist()
    [answered] = json.loads(native[1])["predictions"]
    assert answered == pytest.approx(expected, abs=1e-12)
    assert mlflow[0] == 200, mlflow
    assert parquet[0] == 400, parquet
    assert "that needs pyarrow" in parquet[1]
