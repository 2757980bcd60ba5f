"""One model folder served by itself, for the smoke test: without a registry, without its secrets.

    python -m mergeline.serving.single FOLDER VERSION

VERSION is a registered version as JSON. The folder is loaded only if its bytes are that version's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mergeline.core.declare.strict import read_json
from mergeline.core.release.version import Version
from mergeline.serving.served_versions import ServedVersions
from mergeline.serving.server import Options, run

_POLL = 60.0  # seconds; nothing changes


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
    """Serve it on any free port until told to stop."""
    folder, described = sys.argv[1:]
    version = read_json(Version, described, where="VERSION")
    served_versions = ServedVersions(_Folder(version, Path(folder)))
    run(served_versions, Options(port=0, poll=_POLL))


if __name__ == "__main__":
    main()
