"""A registry of model folders in memory, and a real scoring server on it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn

from mergeline.adapters.model_folder import model_digest
from mergeline.core.release.version import Version
from mergeline.serving.app import make_app
from mergeline.serving.served_versions import ServedVersions
from mergeline.serving.server import uvicorn_settings


@dataclass
class Registry:
    """A registry's list of versions, over real model folders.

    Attributes:
        known: by model and number.
        fetched: model and version of each download, in order.
        trouble: what asking for the versions raises.
    """

    known: dict[tuple[str, int], Version] = field(default_factory=dict)
    folders: dict[tuple[str, int], Path] = field(default_factory=dict)
    fetched: list[tuple[str, int]] = field(default_factory=list)
    trouble: Exception | None = None

    def register(self, folder: Path, stage: str = "None", model: str = "delay") -> Version:
        """Add a folder as the model's next version."""
        number = 1 + sum(name == model for name, _ in self.known)
        digest = model_digest(folder)
        version = Version(model, number, stage, f"print-{digest[:8]}", digest, "run")
        self.known[model, number] = version
        self.folders[model, number] = folder
        return version

    def move(self, version: Version, stage: str) -> None:
        """Give a version a stage, and archive the version that held it in the same moment."""
        moved = {
            key: replace(held, stage="Archived")
            if held.model == version.model and held.stage == stage
            else held
            for key, held in self.known.items()
        }
        key = version.model, version.number
        self.known = {**moved, key: replace(moved[key], stage=stage)}

    def versions(self) -> list[Version]:
        """All versions."""
        if self.trouble:
            raise self.trouble
        return list(self.known.values())

    def fetch(self, version: Version, into: Path) -> Path:
        """Copy a version's files; their folder."""
        key = version.model, version.number
        self.fetched.append(key)
        return Path(shutil.copytree(self.folders[key], into / "model"))


@contextlib.contextmanager
def listening(served_versions: ServedVersions) -> Iterator[str]:
    """A real server in a thread; its address."""
    config = uvicorn_settings(make_app(served_versions))
    config.port = 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
