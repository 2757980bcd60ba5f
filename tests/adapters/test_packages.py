"""Packages of a change's own lock: installed as wheels, and imported behind walls only."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from mergeline.adapters import packages
from mergeline.adapters.models.confined import confined_model
from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.packages import packages_of
from mergeline.errors import BundleError
from mergeline.system.confinement import Limits, Walls, find_walls, start_confined

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's"),
    pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed"),
]


def wheel(folder: Path, name: str = "tiny", **files: str) -> str:
    """Puts a wheel into a folder; the line of a lock that names it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    content = {
        f"{name}.py": "answer = 42",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n",
        **files,
    }
    record = f"{info}/RECORD"
    lines = [
        f"{file},sha256={_record_digest(text)},{len(text.encode())}"
        for file, text in content.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**content, record: "\n".join([*lines, f"{record},,"])}.items():
            archive.writestr(file, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _record_digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands for the index; what asks a model is left out."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setattr(packages, "_ASKING", ())
    return tmp_path / "index"


def installed(tmp_path: Path, requirements: str) -> Path:
    return packages_of({"requirements.txt": requirements.encode()}, tmp_path / "state")


def printed(folder: Path, tmp_path: Path, code: str) -> str:
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    with start_confined(
        Walls("landlock", ()), "cProfile", ["-o", os.devnull, str(script)],
        readable=[script], packages=folder,
        limits=Limits(seconds=30),
    ) as child:  # fmt: skip
        return child.stdout.read(10_000).decode() + child.last_words()


def test_the_child_has_the_locks_packages_and_not_the_judges(tmp_path: Path, index: Path) -> None:
    folder = installed(tmp_path, wheel(index))
    code = """
import tiny
print(tiny.answer, tiny.__file__)
try:
    import numpy
except ImportError:
    print('no numpy')
from mergeline.errors import BundleError
print(BundleError.__name__)
"""
    text = printed(folder, tmp_path, code)
    assert text.split() == ["42", str(folder / "tiny.py"), "no", "numpy", "BundleError"]


def test_nothing_of_a_package_runs_before_the_walls_are_up(tmp_path: Path, index: Path) -> None:
    ran = tmp_path / "ran"
    hook = f"import os; print('hook'); open({str(ran)!r}, 'w')\n"
    folder = installed(tmp_path, wheel(index, **{"tiny.pth": hook, "sitecustomize.py": hook}))
    assert (folder / "tiny.pth").exists()
    text = printed(folder, tmp_path, "import tiny; print(tiny.answer)")
    assert "hook" in text
    assert "Permission denied" in text or "No such file" in text
    assert not ran.exists()


def test_a_lock_is_installed_once(tmp_path: Path, index: Path) -> None:
    line = wheel(index)
    folder = installed(tmp_path, line)
    shutil.rmtree(index)
    assert installed(tmp_path, f"# a comment\n{line}\n") == folder


@pytest.mark.parametrize(
    "line",
    [
        "tiny", "tiny>=1.0", "tiny @ https://example.org/tiny.whl", "-e .", "./tiny",
        "git+https://example.org/tiny", "--index-url https://example.org", "-r /etc/passwd",
        "tiny==1.0 ; python_version > '3' --config-settings=a=b", "tiny==1.*",
    ],
)  # fmt: skip
def test_a_lock_that_names_more_than_released_versions_is_refused(
    tmp_path: Path, index: Path, line: str
) -> None:
    wheel(index)
    with pytest.raises(BundleError, match="no version of a released package"):
        installed(tmp_path, line)


def test_other_bytes_than_the_locks_and_what_has_no_wheel_are_refused(
    tmp_path: Path, index: Path
) -> None:
    line = wheel(index)
    for wrong in (line[:-4] + "0000", "other==1.0"):
        with pytest.raises(BundleError, match="cannot be installed") as refused:
            installed(tmp_path, wrong)
        assert "\n" not in str(refused.value)
    assert not list((tmp_path / "state" / "packages").glob("*/"))


def test_a_lock_of_uv_is_read_without_running_the_project(tmp_path: Path, index: Path) -> None:
    digest = wheel(index).rpartition(":")[2]
    ran = tmp_path / "ran"
    project = f"""
[project]
name = "shop"
dynamic = ["version"]
requires-python = ">=3.11"
dependencies = ["tiny"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[tool.uv]
index-url = "file://{ran}"
"""
    lock = f"""
version = 1
requires-python = ">=3.11"

[[package]]
name = "shop"
source = {{ editable = "." }}
dependencies = [{{ name = "tiny" }}]

[[package]]
name = "tiny"
version = "1.0"
source = {{ registry = "https://example.org/simple" }}
wheels = [
    {{ url = "https://example.org/tiny-1.0-py3-none-any.whl", hash = "sha256:{digest}" }},
]
"""
    files = {"pyproject.toml": project.encode(), "uv.lock": lock.encode()}
    assert (packages_of(files, tmp_path / "state") / "tiny.py").exists()
    with pytest.raises(BundleError, match="cannot be installed"):
        packages_of({**files, "uv.lock": b"version = ["}, tmp_path / "state")


@pytest.mark.slow  # installs from the index
def test_a_model_answers_with_packages_that_only_its_lock_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.adapters.models.test_confined import FRAME, by_value, hostile, save_template

    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    model = save_template(tmp_path)
    with by_value():
        (model / "model.pkl").write_bytes(cloudpickle.dumps(hostile("import tiny")))
    walls = find_walls()
    with confined_model(model, model_digest(model), walls) as asked:
        asked.load()
        with pytest.raises(BundleError, match="No module named 'tiny'"):
            asked.predict(FRAME)
    names = ("scikit-learn", "scipy", "joblib", "numpy", "python-dateutil", "six")
    pins = [f"{name}=={version(name)}" for name in (*names, "narwhals", "cloudpickle")]
    folder = installed(tmp_path, "\n".join([wheel(tmp_path / "index"), *pins]))
    with confined_model(model, model_digest(model), walls, packages=folder) as asked:
        asked.load()
        answers = asked.predict(pd.DataFrame(FRAME))
    np.testing.assert_array_equal(answers[:, 1], FRAME["weight"])
