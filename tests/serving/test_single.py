"""One model folder served by itself, behind walls: what a smoke test asks."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.scoring_server import Client, confined_server
from mergeline.core.declare.strict import write_json
from mergeline.core.release.version import Version
from mergeline.errors import DeployError
from mergeline.system.confinement import Walls, probe
from tests.support.models import ROW


@pytest.fixture(params=["landlock", "bubblewrap", pytest.param("none", marks=pytest.mark.slow)])
def walls(request: pytest.FixtureRequest) -> Walls:
    if request.param != "none" and (sys.platform != "linux" or probe(request.param)):
        pytest.skip(f"{request.param} is no wall on this machine")
    return Walls(request.param, ())


def described(folder: Path) -> str:
    return write_json(Version("delay", 4, "None", "print", model_digest(folder), "run"))


@pytest.mark.slow
def test_a_folder_is_served_through_the_socket_that_is_given(walls: Walls, first: Path) -> None:
    with confined_server(walls, first, described(first)) as client:
        answer = client.predict("delay", [ROW], version=4)
    assert (answer.version, answer.model_digest) == (4, model_digest(first))


def test_other_bytes_than_the_version_s_are_not_loaded(first: Path) -> None:
    bad = write_json(Version("delay", 4, "None", "print", "0" * 64, "run"))
    with (
        pytest.raises(DeployError, match="bytes are"),
        confined_server(Walls("none", ()), first, bad) as client,
    ):
        client.predict("delay", [ROW], version=4)


class Ends:
    """Ends the process that loads it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


# httpcore leaves the socket to the garbage collector where nobody listens.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_ends_is_said_and_not_waited_for(first: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(first, tmp_path / "model"))
    (folder / "model.pkl").write_bytes(pickle.dumps(Ends()))
    with (
        pytest.raises(DeployError, match="does not answer"),
        confined_server(Walls("none", ()), folder, described(folder), patience=30.0) as client,
    ):
        client.predict("delay", [ROW], version=4)
    assert isinstance(client, Client)
