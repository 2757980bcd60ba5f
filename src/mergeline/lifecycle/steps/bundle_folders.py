"""What lies in a bundle, or in a folder of bundles: candidates, and reports."""

from __future__ import annotations

from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, MANIFEST, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.errors import BundleError

_MOST_BYTES = 16_000_000
_MOST_MODELS = 10


def bundle_folders(bundle: Path) -> list[Path]:
    """The bundle itself, or those in the folder; none if there are only reports of failed runs.

    Raises:
        BundleError: there is neither a candidate nor a report.
    """
    if (bundle / MANIFEST).is_file():
        return [bundle]
    inside = sorted(path.parent for path in bundle.glob(f"[!.]*/{MANIFEST}"))
    report = f"{EVALUATION_FILES}/{REPORT}"
    if not inside and not (bundle / report).exists() and not any(bundle.glob(f"[!.]*/{report}")):
        raise BundleError(
            "no bundle here", where=str(bundle), next_step="Name what evaluate --bundle left"
        )
    return inside


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
    reports = []
    for path in paths:
        where = path.relative_to(bundle).as_posix()
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise BundleError("cannot be a report", where=where, next_step="Evaluate again")
        reports.append(read_report(path.read_bytes(), where=where))
    return reports
