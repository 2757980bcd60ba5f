"""Released models of a project's registry: finding one, and loading it by its digest."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.models.folder import LoadedModel, load
from mergeline.adapters.store.store import Store
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.release.bundle import CANDIDATE_FILES, HOLDOUT
from mergeline.core.release.version import Version
from mergeline.errors import BundleError, NotFoundError
from mergeline.lifecycle.steps.project import Project


class Registered:
    """A project's registry as the source of what is served; rows are in its store."""

    def __init__(self, tracking: Tracking, store: Store) -> None:
        self._store = store
        self.standing = tracking.standing
        self.versions = tracking.versions
        self.model_files = tracking.model_files

    def holdout(self, version: Version, into: Path) -> Path | None:
        """The holdout of the version's candidate; None where the store has only its keys."""
        stored = self._store.find(version.model, version.fingerprint)
        if stored is None or self._store.read_candidate(stored).rebuilt is not None:
            return None
        self._store.fetch(stored, into)
        return into / CANDIDATE_FILES / HOLDOUT


def released(tracking: Tracking, model: str, which: str) -> Version:
    """The version of a model in a stage (in any case), or of a number.

    Raises:
        NotFoundError: there is none.
    """
    versions = tracking.versions(model)
    if not versions:
        names = sorted({version.model for version in tracking.standing()})
        hint = f" ({did_you_mean(model, names)})" if names else ""
        raise NotFoundError(f"no model {model!r} is registered{hint}", next_step="Release it")
    for version in versions:
        if which in {str(version.number), f"v{version.number}"} or (
            version.stage.casefold() == which.casefold() and version.stage != "None"
        ):
            return version
    listed = ", ".join(f"v{version.number} ({version.stage})" for version in versions)
    raise NotFoundError(f"no version of {model} is {which!r} (registered: {listed})")


def checkable_files(tracking: Tracking, version: Version, into: Path) -> Path:
    """Put a registered version's files into a folder; where its MLflow folder is.

    Raises:
        BundleError: the registry has no digest that they could be checked by.
    """
    if not version.model_digest:
        raise BundleError(
            "the registry has no digest of it, so its bytes cannot be checked",
            where=f"{version.model} v{version.number}",
            next_step="Release it with mergeline",
        )
    return tracking.model_files(version.model, version.number, into)


def load_checked(tracking: Tracking, version: Version) -> LoadedModel:
    """Load a registered version; nothing is unpickled unless its bytes have its digest.

    Raises:
        BundleError: the registry has no digest of it, or its bytes are others.
    """
    scratch = Path(tempfile.mkdtemp(prefix="mergeline-load-"))
    try:
        model = load(checkable_files(tracking, version, scratch), version.model_digest)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    if model.folder is None:
        shutil.rmtree(scratch, ignore_errors=True)
    else:  # it may read from its files as long as the process lives
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return model


def load_estimator(model: str, *, stage: str, version: int | None, project: Path) -> Any:  # noqa: ANN401
    """See `mergeline.load`."""
    tracking = Project.at(project).tracking
    which = stage if version is None else str(version)
    return load_checked(tracking, released(tracking, model, which)).raw
