"""Packages that a model needs and the judge does not have: installed from the change's own lock.

The lock is a stranger's. It is read as data, and of it only names, versions and hashes count: they
are installed with uv from the judge's own index, as wheels only, into a folder. Nothing of them
runs while they are installed; later they run behind walls (`system.confinement`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from mergeline.errors import BundleError, WallsError
from mergeline.system.atomic_writes import folder_written_whole
from mergeline.system.locks import file_lock

LOCKS = ("uv.lock", "requirements.txt")
# What the process that asks a model imports (`adapters.models.child`), beside the model's own.
_ASKING = ("numpy", "pandas", "pyarrow", "pyyaml", "threadpoolctl")
_SECONDS = 600.0
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w, .-]*\])?\s*==\s*[\w.!+-]+\s*(;[^#@]*)?")
_HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}(?=\s|$)")


def packages_of(files: Mapping[str, bytes], state: Path) -> Path:
    """The folder of the packages that a lock names; made if it is not there.

    Args:
        files: `uv.lock` with its `pyproject.toml`, or `requirements.txt`, by name.
        state: such folders are kept in it, by the digest of what they hold.

    Raises:
        BundleError: the lock names something else than released packages of one version each, or
            one of them has no wheel for this machine.
        WallsError: uv is not installed.
    """
    beside = Path(sys.executable).parent
    uv = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise WallsError(
            "the change has another dependency lock, and what it names cannot be installed",
            next_step="Install uv",
        )
    with tempfile.TemporaryDirectory(prefix="mergeline-lock-") as scratch:
        text = _exported(uv, files, Path(scratch)) if "uv.lock" in files else ""
        wanted = list(_requirements(text or _decoded(files["requirements.txt"])))
        named = {_canonical(line) for line in wanted}
        wanted += [f"{name}=={version(name)}" for name in _ASKING if name not in named]
        requirements = "\n".join(wanted) + "\n"
        described = f"{sys.version_info[:2]} {sys.platform}\n{requirements}"
        folder = state / "packages" / hashlib.sha256(described.encode()).hexdigest()[:20]
        with file_lock(f"{folder}.lock"):
            if not folder.is_dir():
                _install(uv, requirements, folder)
    return folder


def _canonical(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s=;\[]", requirement)[0]).lower()


def _exported(uv: str, files: Mapping[str, bytes], scratch: Path) -> str:
    """The requirements of `uv.lock` for this machine, which uv reads without building anything."""
    if "pyproject.toml" not in files:
        raise BundleError("uv.lock has no pyproject.toml beside it", where="uv.lock")
    for name in ("uv.lock", "pyproject.toml"):
        (scratch / name).write_bytes(files[name])
    return _run(
        [uv, "export", "--frozen", "--no-emit-project", "--no-annotate", "--no-header"],
        cwd=scratch,
    )


def _requirements(text: str) -> Iterator[str]:
    """The lines of requirements, each of one version of a package.

    Raises:
        BundleError: one is anything else: an option, an address, a path, a range.
    """
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()  # noqa: PLW2901 - without its comment
        if not line:
            continue
        plain = _HASH.sub("", line).strip()
        if not _PINNED.fullmatch(plain) or "--" in plain:
            raise BundleError(
                f"the dependency lock has {line[:80]!r}, which is no version of a released package",
                next_step="Name packages as `name==version`",
            )
        yield line


def _install(uv: str, requirements: str, folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="mergeline-lock-") as scratch,
        folder_written_whole(folder) as part,
    ):
        named = Path(scratch) / "requirements.txt"
        named.write_text(requirements, encoding="utf-8")
        _run(
            [
                uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
                "--target", str(part), "--requirement", str(named),
            ],
            cwd=Path(scratch),
        )  # fmt: skip


def _run(command: list[str], cwd: Path) -> str:
    """What uv prints; it runs where no project is, so that no settings of one count.

    Raises:
        BundleError: it refuses, or takes too long.
    """
    try:
        done = subprocess.run(
            [*command, "--python", sys.executable],
            cwd=cwd, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
            check=False, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BundleError("the dependency lock took too long to install") from error
    if done.returncode != 0:
        words = " ".join(done.stderr.replace("│", " ").split())[-300:]
        raise BundleError(
            f"what the dependency lock names cannot be installed: {words}",
            next_step="Name versions that have wheels for the machine that judges",
        )
    return done.stdout


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError("it is not UTF-8", where="requirements.txt") from error
