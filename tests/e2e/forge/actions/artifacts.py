"""Artifacts and caches as folders, by GitHub's rules; the stand-ins of its actions call it.

An artifact belongs to a run, leaves hidden files out and follows links. A cache belongs to a ref,
is read from the own ref, the base and main, and a key is never overwritten. It says nothing of how
GitHub enforces that.
"""

import os
import shutil
import sys
from pathlib import Path

STORE = Path(os.environ["FORGE_STORE"])
REPOSITORY = os.environ["GITHUB_REPOSITORY"].replace("/", "+")


def upload() -> None:
    artifact = _artifact(os.environ["GITHUB_RUN_ID"])
    shutil.rmtree(artifact, ignore_errors=True)
    source, count = Path(os.environ["PLACE"]), 0
    for root, folders, files in os.walk(source, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(root, name) for name in files if not name.startswith(".")):
            target = artifact / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            count += 1
    print(f"{count} files")
    if not count and os.environ["NONE"] == "error":
        sys.exit(f"No files were found with the provided path: {source}")


def download() -> None:
    artifact = _artifact(os.environ["RUN"] or os.environ["GITHUB_RUN_ID"])
    if not artifact.is_dir():
        sys.exit(f"Unable to download artifact(s): Artifact not found for name: {artifact.name}")
    shutil.copytree(artifact, os.environ["PLACE"], dirs_exist_ok=True, symlinks=True)


def save() -> None:
    cached = _caches(os.environ["GITHUB_REF"]) / os.environ["KEY"]
    if not Path(os.environ["PLACE"]).exists():
        print("::warning::Path Validation Error: Path(s) specified do not exist")
    elif not cached.exists():
        shutil.copytree(os.environ["PLACE"], cached, symlinks=True)


def restore() -> None:
    base = os.environ.get("GITHUB_BASE_REF")
    refs = [os.environ["GITHUB_REF"], *([f"refs/heads/{base}"] if base else []), "refs/heads/main"]
    for caches in map(_caches, refs):
        found = [caches / os.environ["KEY"]] if (caches / os.environ["KEY"]).is_dir() else []
        for prefix in os.environ["PREFIXES"].split():
            found += sorted(caches.glob(f"{prefix}*"), key=lambda it: it.stat().st_mtime)[::-1]
        if found:
            shutil.copytree(found[0], os.environ["PLACE"], dirs_exist_ok=True, symlinks=True)
            with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
                outputs.write(f"cache-matched-key={found[0].name}\n")
            print(f"restored {found[0].name}")
            return
    print("no cache")


def _artifact(run: str) -> Path:
    return STORE / "artifacts" / REPOSITORY / run / os.environ["NAME"]


def _caches(ref: str) -> Path:
    return STORE / "caches" / REPOSITORY / ref.replace("/", "+")


{"upload": upload, "download": download, "save": save, "restore": restore}[sys.argv[1]]()
