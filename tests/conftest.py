"""Fixtures of a whole line: built once with everything real, copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mergeline.adapters.bundles import read_candidate
from tests.support.line import Line, borrow_line, copy_line
from tests.support.parcels import BETTER, OTHER, WORSE
from tests.support.stand_ins import as_in_process, smoke_test_by, stages_in_process


def pytest_configure(config: pytest.Config) -> None:
    # What MLflow makes of its own libraries is not ours to mend.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy")
    # No test is timed: on a busy machine an example may take any time.
    settings.register_profile("untimed", settings.default, deadline=None)
    settings.load_profile("untimed")


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The line that `line` and `clone` copy: built once, with a real server's smoke test."""
    with pytest.MonkeyPatch.context() as patch, stages_in_process():
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        line = Line(tmp_path_factory.mktemp("line"))
        line.build()
        line.first = line.release()
        for name, edit in {"better": BETTER, "worse": WORSE}.items():
            line.review(line.propose(name, edit))
        number = line.propose("other", OTHER)
        line.review(number, line.bundle)
        fingerprint = read_candidate(line.bundle).fingerprint[:20]
        for left in (line.state / "candidates").glob(f"*{fingerprint}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        line.check_out("origin/main")
    return line


@pytest.fixture
def line(_built: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line of its own, v1 in production.

    Pull request 1 proposes a better model and 2 a worse one, both evaluated here; 3 proposes
    another, whose evaluation on another machine left `line.bundle`. The runner has main checked
    out. Stages run in this process and are counted in `line.quick`; the smoke test, which starts a
    server, is left to the tests that ask for it.
    """
    yield from _played(copy_line(_built, tmp_path / "line"), monkeypatch)


@pytest.fixture
def clone(_built: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """The same for a test that writes to no store: the runner's clone, the bundle and the DVC
    remote are its own.

    That the stores stay as they are is held after the test.
    """
    before = _built.kept()
    yield from _played(borrow_line(_built, tmp_path / "line"), monkeypatch)
    after = _built.kept()
    assert {path: digest for path, digest in after.items() if ".lock" not in path} == {
        path: digest for path, digest in before.items() if ".lock" not in path
    }


@pytest.fixture(autouse=True)
def _no_store_is_left_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow writes the store that it is told of into this process's environment."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def _played(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with stages_in_process() as line.quick:
        smoke_test_by(monkeypatch, as_in_process)
        yield line
