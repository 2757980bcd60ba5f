"""One model folder served by itself, for the smoke test: without a registry, behind walls.

    python -m mergeline.serving.single FOLDER VERSION

VERSION is a version as JSON. The folder is loaded only if its bytes are that version's. Standard
input is the socket that the server listens on: behind walls it can open none. It serves until its
process is ended.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from mergeline.core.declare.strict import read_json
from mergeline.core.release.version import Version
from mergeline.serving.app import Application
from mergeline.serving.connections import Server, uvicorn_settings
from mergeline.serving.served_versions import ServedVersions


class _Folder:
    """A source of one version, whose folder is here."""

    def __init__(self, version: Version, folder: Path) -> None:
        self._version = version
        self._folder = folder

    def standing(self) -> Sequence[Version]:
        return [self._version]

    def versions(self, model: str) -> Sequence[Version]:  # noqa: ARG002
        return [self._version]

    def model_files(self, model: str, number: int, into: Path) -> Path:  # noqa: ARG002
        return self._folder

    def holdout(self, version: Version, into: Path) -> None:
        """None: nobody has to wait for this server's answers."""


def main() -> None:
    """Serve it on the socket that is given."""
    folder, described = sys.argv[1:]
    version = read_json(Version, described, where="VERSION")
    served_versions = ServedVersions(_Folder(version, Path(folder)))
    served_versions.reconcile()
    with socket.socket(fileno=os.dup(0)) as listener:
        Server(uvicorn_settings(Application(served_versions))).run(sockets=[listener])


if __name__ == "__main__":
    main()
