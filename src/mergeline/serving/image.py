"""The server of an image: the one model that the image has, and no registry.

    python3 -m mergeline.serving.image           serve, on port 8000 of every address
    python3 -m mergeline.serving.image health    ask that server whether it is ready

It starts only if the model's bytes have the digest that the image was made for. Which version the
model was registered as, and its stage, are not known when an image is made. Whoever starts it says
so: MERGELINE_VERSION (0 unless it is said) and MERGELINE_STAGE (Production).
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mergeline.core.release.image import DESCRIPTION, MODEL, PORT, Content
from mergeline.core.release.version import Version
from mergeline.errors import BundleError, InputError, MergelineError

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where nothing else can be written to
_PATIENCE = 4.0  # seconds
_REFUSED, _FAILED = 2, 3
_STAGES = ("None", "Staging", "Production")


class Embedded:
    """A source of one version, whose folder is in the image."""

    def __init__(self, version: Version, folder: Path) -> None:
        self._version = version
        self._folder = folder

    def standing(self) -> Sequence[Version]:
        """That version."""
        return [self._version]

    def versions(self, model: str) -> Sequence[Version]:  # noqa: ARG002
        """That version."""
        return [self._version]

    def model_files(self, model: str, number: int, into: Path) -> Path:  # noqa: ARG002
        """Its folder, where it is."""
        return self._folder

    def holdout(self, version: Version, into: Path) -> None:
        """None: people's rows are in no image."""


def embedded(root: Path, environment: Mapping[str, str]) -> Embedded:
    """The version that lies in an image.

    Args:
        root: folder that the image's paths are below.
        environment: what whoever starts it says of it.

    Raises:
        BundleError: the image is damaged, or was made for another Python.
        InputError: what is said of it is nonsense.
    """
    try:
        content = Content(**json.loads((root / DESCRIPTION).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BundleError("the image does not say what it is", where=DESCRIPTION) from error
    python = ".".join(map(str, sys.version_info[:2]))
    if content.python != python:
        raise BundleError(
            f"the model needs Python {content.python}, and the base has {python}",
            where="serving.base",
            next_step=f"Name a base with Python {content.python}",
        )
    number = environment.get("MERGELINE_VERSION", "0")
    stage = environment.get("MERGELINE_STAGE", "Production").capitalize()
    if not number.isdecimal() or stage not in _STAGES:
        raise InputError(
            f"MERGELINE_VERSION is {number!r} and MERGELINE_STAGE {stage!r}",
            next_step=f"Say a whole number, and one of {', '.join(_STAGES)}",
        )
    version = Version(
        content.model, int(number), stage, content.fingerprint, content.model_digest, ""
    )
    return Embedded(version, root / MODEL)


def serve(source: Embedded, *, host: str, port: int, token: str) -> None:
    """Serve until the process is told to stop.

    Raises:
        DeployError: the address cannot be listened on.
        BundleError: the model cannot be loaded, or its bytes are not what they should be.
    """
    from mergeline.serving.app import Application, Settings
    from mergeline.serving.connections import Server, listen, uvicorn_settings
    from mergeline.serving.served_versions import ServedVersions

    served_versions = ServedVersions(source)
    served_versions.reconcile()
    if not served_versions.ready:
        raise BundleError("; ".join(served_versions.problems()))
    _say(f"now {served_versions.summary()}")
    with listen(host, port) as listener:
        server = Server(uvicorn_settings(Application(served_versions, Settings(token=token))))
        signal.signal(signal.SIGTERM, server.handle_exit)
        _say(f"serving on port {port}")
        server.run(sockets=[listener])


def is_healthy(port: int) -> bool:
    """Whether the server on this machine is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Serve, or tell whether it is served."""
    port = int(os.environ.get("PORT", PORT))
    if sys.argv[1:] == ["health"]:
        sys.exit(0 if is_healthy(port) else 1)
    _find_scratch()
    token = os.environ.get("MERGELINE_SERVER_TOKEN", "")
    try:
        serve(embedded(Path("/"), os.environ), host="0.0.0.0", port=port, token=token)  # noqa: S104 - in a container
    except InputError as error:
        _say(f"error: {error}")
        sys.exit(_REFUSED)
    except MergelineError as error:
        _say(f"error: {error}")
        sys.exit(_FAILED)


def _find_scratch() -> None:
    """Where the whole file system is read-only, only memory takes temporary files."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = str(_SHARED_MEMORY)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the log of a server


if __name__ == "__main__":
    main()
