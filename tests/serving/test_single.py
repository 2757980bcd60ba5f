"""One model folder served by itself: what a smoke test asks."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.scoring_server import Client, running_server
from mergeline.core.declare.strict import write_json
from mergeline.core.release.version import Version
from mergeline.errors import DeployError
from mergeline.lifecycle.steps.smoke_test import without_secrets
from tests.support.models import ROW


def test_a_folder_is_served_without_a_registry_and_only_with_the_expected_bytes(
    first: Path, tmp_path: Path
) -> None:
    import os

    command = [sys.executable, "-P", "-m", "mergeline.serving.single", str(first)]
    environment = {**without_secrets(os.environ), "HOME": str(tmp_path)}
    good = Version("delay", 4, "None", "print", model_digest(first), "run")
    bad = Version("delay", 4, "None", "print", "0" * 64, "run")
    with running_server([*command, write_json(good)], cwd=tmp_path, env=environment) as address:
        answer = Client(address).predict("delay", [ROW], version=4)
        assert (answer.version, answer.model_digest) == (4, model_digest(first))
    with (
        running_server([*command, write_json(bad)], cwd=tmp_path, env=environment) as address,
        pytest.raises(DeployError, match="bytes are"),
    ):
        Client(address).predict("delay", [ROW], version=4)
    assert list(tmp_path.iterdir()) == []


class SlowToLoad:
    """Tells the process to stop, as an orchestrator may while it starts, and loads on."""

    def __reduce__(self) -> Any:
        stop = f"import os, time; os.kill(os.getpid(), {int(signal.SIGTERM)}); time.sleep(60)"
        return exec, (stop,)


def test_told_to_stop_while_a_model_loads_it_stops(first: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(first, tmp_path / "model"))
    (folder / "model.pkl").write_bytes(pickle.dumps(SlowToLoad()))
    version = Version("delay", 4, "None", "print", model_digest(folder), "run")
    command = [sys.executable, "-P", "-m", "mergeline.serving.single", str(folder)]
    ended = subprocess.run(
        [*command, write_json(version)], cwd=tmp_path, timeout=50, check=False, capture_output=True
    )
    assert ended.returncode == 0
    assert ended.stderr.startswith(b"serving on ")
    assert len(ended.stderr.splitlines()) == 1
