"""A registry of model folders in memory, and a real scoring server on it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mergeline.adapters.models.folder import model_digest
from mergeline.core.release.version import Version
from mergeline.serving.app import Application, Settings
from mergeline.serving.connections import Server, uvicorn_settings
from mergeline.serving.served_versions import ServedVersions


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
    holdouts: dict[tuple[str, int], Path] = field(default_factory=dict)
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

    def standing(self) -> list[Version]:
        """Versions that are not archived."""
        if self.trouble:
            raise self.trouble
        return [version for version in self.known.values() if version.stage != "Archived"]

    def versions(self, model: str) -> list[Version]:
        """All versions of a model."""
        if self.trouble:
            raise self.trouble
        return [version for version in self.known.values() if version.model == model]

    def model_files(self, model: str, number: int, into: Path) -> Path:
        """Copy a version's files; their folder."""
        self.fetched.append((model, number))
        return Path(shutil.copytree(self.folders[model, number], into / "model"))

    def holdout(self, version: Version, into: Path) -> Path | None:
        """The rows that a test gave it."""
        return self.holdouts.get((version.model, version.number))


@contextlib.contextmanager
def listening(served_versions: ServedVersions, settings: Settings | None = None) -> Iterator[str]:
    """A real server in a thread; its address."""
    server = Server(uvicorn_settings(Application(served_versions, settings)))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        until(lambda: server.started)
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
