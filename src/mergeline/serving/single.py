"""One model folder served by itself, for the smoke test: without a registry, without its secrets.

    python -m mergeline.serving.single FOLDER VERSION

VERSION is a registered version as JSON. The folder is loaded only if its bytes are that version's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mergeline.core.declare.strict import read_json
from mergeline.core.release.version import Version
from mergeline.serving.served_versions import ServedVersions
from mergeline.serving.server import run

_POLL = 60.0  # seconds; nothing changes


def main() -> None:
    """Serve it on any free port until told to stop."""
    folder, described = sys.argv[1:]
    version = read_json(Version, described, where="VERSION")
    served_versions = ServedVersions(lambda: [version], lambda _version, _into: Path(folder))
    run(served_versions, host="127.0.0.1", port=0, poll=_POLL)


if __name__ == "__main__":
    main()
