from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import Registry, listening
from tests.support.models import classifier, frame, regression, save


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier."""
    return save(classifier(0.01), tmp_path_factory.mktemp("models") / "first", frame())


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier that answers otherwise than `first`."""
    return save(classifier(1.0), tmp_path_factory.mktemp("models") / "second", frame())


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a regression, which takes numbers only."""
    rows = frame()[["hour", "wind"]]
    return save(regression(), tmp_path_factory.mktemp("models") / "numbers", rows)


@pytest.fixture
def registry() -> Registry:
    """An empty registry."""
    return Registry()


@pytest.fixture
def served_versions(registry: Registry) -> ServedVersions:
    """The versions of that registry, which a test refreshes itself."""
    return ServedVersions(registry)


@pytest.fixture
def address(served_versions: ServedVersions) -> Iterator[str]:
    """Address of a scoring server over these versions."""
    with listening(served_versions) as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=address, trust_env=False) as http:
        yield http
