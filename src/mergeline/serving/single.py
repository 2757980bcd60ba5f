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
from pathlib import Path

from mergeline.core.declare.strict import read_json
from mergeline.core.release.version import Version
from mergeline.serving.app import Application
from mergeline.serving.connections import Server, uvicorn_settings
from mergeline.serving.image import Embedded
from mergeline.serving.served_versions import ServedVersions


def main() -> None:
    """Serve it on the socket that is given."""
    folder, described = sys.argv[1:]
    version = read_json(Version, described, where="VERSION")
    served_versions = ServedVersions(Embedded(version, Path(folder)))
    served_versions.reconcile()
    with socket.socket(fileno=os.dup(0)) as listener:
        Server(uvicorn_settings(Application(served_versions))).run(sockets=[listener])


if __name__ == "__main__":
    main()
