from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.support.gitea_server import GiteaServer, uv_folder
from tests.support.hosted import Hosted, write_reference


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GiteaServer]:
    """A real forge that runs jobs, and the people around it."""
    with contextlib.closing(GiteaServer(tmp_path_factory.mktemp("forge"))) as server:
        for user in ("ana", "ben", "mallory"):
            server.add_user(user)
        server.start_runner(uv_folder(), {})
        yield server


@pytest.fixture(scope="session")
def hosted(server: GiteaServer, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """The small project with its workflows, pushed to the forge."""
    return Hosted(server, "acme/parcels", tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def reference(server: GiteaServer, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """The reference project with its workflows, pushed to the forge."""
    return Hosted(server, "acme/flights", tmp_path_factory.mktemp("flights"), write_reference)
