from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergeline.adapters.forge.github import GitHubForge
from tests.support.forge_worlds import FolderWorld, GiteaWorld, GitHubWorld, World
from tests.support.gitea_server import GiteaServer

DESCRIPTION = "node_modules/@octokit/openapi/generated/api.github.com.json"


@pytest.fixture
def github() -> Iterator[GitHubWorld]:
    """A server that answers as GitHub does, and the people around it."""
    world = GitHubWorld()
    yield world
    world.server.close()


@pytest.fixture
def enterprise() -> Iterator[GitHubWorld]:
    """The same at the addresses of an Enterprise Server."""
    world = GitHubWorld(enterprise=True)
    yield world
    world.server.close()


@pytest.fixture
def folder(tmp_path: Path) -> FolderWorld:
    """A forge in a folder, and the people around it."""
    return FolderWorld(tmp_path / "forge")


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Prism in front of a port: it refuses what GitHub's own description does not allow.

    Yields:
        Prism's port, and the port of the server behind it.
    """
    front, behind = _free_port(), _free_port()
    upstream = f"http://127.0.0.1:{behind}"
    with _prism(["proxy", "--errors"], front, tmp_path_factory.mktemp("prism"), upstream):
        yield front, behind


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    """A repository for which Prism answers by itself, with the examples of GitHub's description.

    Some of those are not as the description demands, so only requests are held against it.
    """
    front = _free_port()
    with _prism(["mock"], front, tmp_path_factory.mktemp("prism")):
        yield GitHubForge("octo/flights", "a-robot", f"http://127.0.0.1:{front}", patient=False)


@contextlib.contextmanager
def _prism(how: list[str], port: int, folder: Path, *upstream: str) -> Iterator[None]:
    home = os.environ.get("PRISM_HOME")
    if not home:
        pytest.fail(
            "PRISM_HOME names no folder; make one: npm install --prefix FOLDER "
            "@octokit/openapi @stoplight/prism-cli"
        )
    program, log = str(Path(home) / "node_modules/.bin/prism"), folder / "log"
    command = [program, *how, "--port", str(port), DESCRIPTION, *upstream]
    with (
        log.open("wb") as printed,
        subprocess.Popen(
            command, cwd=home, stdout=printed, stderr=printed, start_new_session=True
        ) as run,
    ):
        try:
            _wait_for(port, run, log)
            yield
        finally:
            os.killpg(run.pid, signal.SIGTERM)  # it has a child, which outlives it


@pytest.fixture
def described(prism: tuple[int, int]) -> Iterator[GitHubWorld]:
    """GitHub behind Prism. The description has no GraphQL, which only a job's token needs."""
    front, behind = prism
    world = GitHubWorld(token="a-robot", port=behind, url=f"http://127.0.0.1:{front}")
    yield world
    world.server.close()


@pytest.fixture(scope="session")
def gitea_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GiteaServer]:
    """A real Gitea, without jobs."""
    with contextlib.closing(GiteaServer(tmp_path_factory.mktemp("gitea"))) as server:
        yield server


@pytest.fixture
def gitea(gitea_server: GiteaServer) -> GiteaWorld:
    """A repository on a real Gitea, and the people around it."""
    return GiteaWorld(gitea_server)


@pytest.fixture(
    params=[
        "github",
        "enterprise",
        "folder",
        pytest.param("described", marks=pytest.mark.slow),
        pytest.param("gitea", marks=pytest.mark.forge),
    ]
)
def world(request: pytest.FixtureRequest) -> World:
    """Each forge in turn: what holds for one must hold for all."""
    forge: World = request.getfixturevalue(request.param)
    return forge


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int, run: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if run.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"Prism is not up: {log.read_text()[-500:]}")
