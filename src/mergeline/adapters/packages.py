"""Packages by a project's lock, installed into a folder: for a judge, or for an image.

The lock is a stranger's. It is read as data, and of it only names, versions and hashes count: they
are installed with uv from the own index, as wheels only, into a folder. Nothing of them runs while
they are installed; later they run behind walls (`system.confinement`), or in the image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions, version
from pathlib import Path

from mergeline.errors import BundleError, WallsError
from mergeline.system.atomic_writes import folder_written_whole
from mergeline.system.locks import file_lock

LOCKS = ("uv.lock", "requirements.txt")
_PLATFORMS = {  # of images, as uv calls them: glibc of 2018 and later
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
# What the process that asks a model imports (`adapters.models.child`), beside the model's own.
_ASKING = ("numpy", "pandas", "pyarrow", "pyyaml", "threadpoolctl")
_SECONDS = 600.0
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w, .-]*\])?\s*==\s*[\w.!+-]+\s*(;[^#@]*)?")
# A package by its name, maybe within bounds; nothing that leads elsewhere.
_NAMED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w, .-]*\])?\s*([=<>!~][\s\w.*+!,=<>~-]*)?(;[^#@]*)?")
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
    uv = _uv("the change has another dependency lock, and what it names cannot be installed")
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


def lock_for(
    needs: Iterable[str], files: Mapping[str, bytes], *, python: str, platform: str
) -> str:
    """The packages of an image, each in one version and with the hashes of its files.

    A version that the project's lock names is taken; another is the one that is installed here.

    Args:
        needs: packages by name, or with bounds.
        files: as for `packages_of`; none where the project has no such lock.
        python: of the image, such as 3.11.
        platform: such as linux/amd64.

    Raises:
        BundleError: there is no wheel for one, bounds contradict the lock, or one of the needs is
            no package by its name.
        WallsError: uv is not installed.
    """
    uv = _uv("the packages of an image cannot be found")
    wanted = sorted(set(needs))
    for line in wanted:
        if not _NAMED.fullmatch(line):
            raise BundleError(
                f"the model needs {line[:80]!r}, which is no released package",
                where="requirements.txt",
                next_step="Name packages as `name==version`",
            )
    with tempfile.TemporaryDirectory(prefix="mergeline-lock-") as scratch:
        folder = Path(scratch)
        whole = "uv.lock" in files and "pyproject.toml" in files
        text = _exported(uv, files, folder) if whole else ""
        text = text or _decoded(files.get("requirements.txt", b""))
        pins = [_HASH.sub("", line).strip() for line in _lines(text)]
        pins = [line for line in pins if _PINNED.fullmatch(line)]
        named = {_canonical(line) for line in pins}
        pins += [
            f"{one.name}=={one.version}"
            for one in distributions()
            if _canonical(one.name) not in named | {"mergeline"}
        ]
        (folder / "needs.txt").write_text("\n".join(wanted), encoding="utf-8")
        (folder / "pins.txt").write_text("\n".join(pins), encoding="utf-8")
        return _run(
            [
                uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate",
                "--no-header", "--only-binary", ":all:", "--python-platform",
                _PLATFORMS[platform], "--python-version", python,
                "--constraint", "pins.txt", "needs.txt",
            ],
            cwd=folder,
        )  # fmt: skip


def install_for(lock: str, folder: Path, *, python: str, platform: str) -> None:
    """Install what `lock_for` gave into a folder, for another platform than this maybe.

    Raises:
        BundleError: a package cannot be had, or is not what the lock says.
    """
    uv = _uv("the packages of an image cannot be installed")
    with tempfile.TemporaryDirectory(prefix="mergeline-lock-") as scratch:
        (Path(scratch) / "lock.txt").write_text(lock, encoding="utf-8")
        _run(
            [
                uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes",
                "--only-binary", ":all:", "--python-platform", _PLATFORMS[platform],
                "--python-version", python, "--target", str(folder),
                "--requirement", "lock.txt",
            ],
            cwd=Path(scratch),
        )  # fmt: skip


def _uv(problem: str) -> str:
    beside = Path(sys.executable).parent
    uv = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise WallsError(problem, next_step="Install uv")
    return uv


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
    for line in _lines(text):
        plain = _HASH.sub("", line).strip()
        if not _PINNED.fullmatch(plain) or "--" in plain:
            raise BundleError(
                f"the dependency lock has {line[:80]!r}, which is no version of a released package",
                next_step="Name packages as `name==version`",
            )
        yield line


def _lines(text: str) -> Iterator[str]:
    """The lines of requirements, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        if plain := re.sub(r"(^|\s)#.*", "", line).strip():
            yield plain


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
