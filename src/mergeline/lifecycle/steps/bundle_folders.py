"""What lies in a bundle, or in a folder of bundles: candidates, and reports."""

from __future__ import annotations

from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, MANIFEST, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.errors import BundleError


def bundle_folders(bundle: Path) -> list[Path]:
    """The bundles with a candidate in a folder: itself, or the folders in it.

    Raises:
        BundleError: there is neither one, nor the report of a failed run.
    """
    if (bundle / MANIFEST).is_file():
        return [bundle]
    inside = sorted(path.parent for path in bundle.glob(f"[!.]*/{MANIFEST}"))
    failed = [*bundle.glob(f"{EVALUATION_FILES}/{REPORT}")]
    failed += bundle.glob(f"[!.]*/{EVALUATION_FILES}/{REPORT}")
    if not inside and not failed:
        raise BundleError(
            "no bundle here", where=str(bundle), next_step="Name what evaluate --bundle left"
        )
    return inside


_MOST_BYTES = 16_000_000


_MOST_MODELS = 10


def read_reports(bundle: Path) -> list[Report]:
    """The reports of a bundle, or of the bundles in a folder; a failed run's too.

    Raises:
        BundleError: there is none, or one that cannot be a report.
        DeclarationError: one is not of a report's form.
    """
    name = f"{EVALUATION_FILES}/{REPORT}"
    paths = [bundle / name] if (bundle / name).exists() else sorted(bundle.glob(f"[!.]*/{name}"))
    if not paths or len(paths) > _MOST_MODELS:
        raise BundleError(
            f"{len(paths)} reports there" if paths else "no report there",
            where=str(bundle),
            next_step="Name what evaluate --bundle left",
        )
    return [_read(path, path.relative_to(bundle).as_posix()) for path in paths]


def _read(path: Path, where: str) -> Report:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise BundleError("cannot be a report", where=where, next_step="Evaluate again")
    return read_report(path.read_bytes(), where=where)
