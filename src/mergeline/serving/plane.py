"""The data plane: which versions are served, and what they answer. It knows nothing of HTTP."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mergeline.adapters.model_folder import LoadedModel, load
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.release.version import Version
from mergeline.errors import BundleError, DeployError, InputError, MergelineError, NotFoundError
from mergeline.serving.rows import KINDS, to_frame

STAGES = ("Production", "Staging")
_LONGEST_PAUSE = 30.0  # seconds between tries to load a version that cannot be loaded

Versions = Callable[[], Sequence[Version]]
Fetch = Callable[[Version, Path], Path]
Registered = Callable[[str], Sequence[Version]]
Key = tuple[str, int]


@dataclass(frozen=True)
class Served:
    """A version, and its model or why there is none.

    Attributes:
        tries: how often loading it has failed.
        next_try: not before, by the monotonic clock.
    """

    version: Version
    model: LoadedModel | None
    problem: str = ""
    tries: int = 0
    next_try: float = 0.0

    @property
    def key(self) -> Key:
        """Its model and number."""
        return self.version.model, self.version.number

    def __str__(self) -> str:
        stage = self.version.stage.lower()
        said = [stage] if stage != "none" else []
        said += ["not loaded"] if self.model is None else []
        return f"v{self.version.number}" + (f" ({', '.join(said)})" if said else "")


@dataclass(frozen=True)
class Table:
    """What is served at one moment; replaced as a whole, so that no request sees half of it.

    Attributes:
        stages: who answers for each model's stage. A version that cannot be loaded never does:
            the one before it keeps answering.
    """

    versions: Mapping[Key, Served] = field(default_factory=dict)
    stages: Mapping[tuple[str, str], Served] = field(default_factory=dict)

    def of(self, model: str) -> list[Served]:
        """Every version of a model that is, or should be, served, oldest first.

        Raises:
            NotFoundError: there is no such model.
        """
        found = [one for key, one in sorted(self.versions.items()) if key[0] == model]
        if not found:
            names = self.models()
            hint = did_you_mean(model, names) if names else "nothing is served yet"
            raise NotFoundError(f"no model {model!r:.80} ({hint})")
        return found

    def models(self) -> list[str]:
        """Names of the models."""
        return sorted({model for model, _ in self.versions})

    def __str__(self) -> str:
        models = (f"{name} {', '.join(map(str, self.of(name)))}" for name in self.models())
        return "; ".join(models) or "nothing to serve yet: release a model"


class Plane:
    """Holds the models of every version that is not archived.

    Args:
        versions: what the registry has now.
        fetch: brings the MLflow folder of a version into a folder; where it is there.
        clock: seconds, monotonic.
        registered: all versions of a model, the archived too; asked for one that is not served.
    """

    def __init__(
        self,
        versions: Versions,
        fetch: Fetch,
        clock: Callable[[], float] = time.monotonic,
        registered: Registered = lambda _model: (),
    ) -> None:
        self._versions = versions
        self._fetch = fetch
        self._clock = clock
        self._registered = registered
        self._lock = threading.Lock()
        self._asked = False
        self.table = Table()
        self.problem = "the registry was not asked yet"

    def reconcile(self) -> None:
        """Take up what the registry has: load what is new first, then let go what is not served.

        When the registry cannot be asked, what is loaded goes on, and `problem` says so.
        """
        with self._lock:
            try:
                found = self._versions()
            except Exception as error:  # noqa: BLE001 - whatever it is, serving goes on
                self.problem = f"the registry cannot be asked: {error}"
                return
            wanted = sorted(
                (self._take(one) for one in found if one.stage != "Archived"),
                key=lambda one: one.key,
            )
            stages = self._stages(wanted)
            versions = {one.key: one for one in wanted}
            for holder in stages.values():
                versions.setdefault(holder.key, holder)
            self.table = Table(versions, stages)
            self._asked = True
            self.problem = ""

    def _take(self, version: Version) -> Served:
        known = self.table.versions.get((version.model, version.number))
        if known and known.version.model_digest == version.model_digest:
            if known.model or self._clock() < known.next_try:
                return replace(known, version=version)
        else:
            known = None
        try:
            return Served(version, self._load(version))
        except Exception as error:  # noqa: BLE001 - one bad version must not stop the others
            tries = known.tries + 1 if known else 1
            pause = min(2.0**tries, _LONGEST_PAUSE)
            return Served(version, None, _said(error), tries, self._clock() + pause)

    def _load(self, version: Version) -> LoadedModel:
        with contextlib.ExitStack() as stack:
            scratch = Path(tempfile.mkdtemp(prefix="mergeline-serve-"))
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            model = _load(version, self._fetch(version, scratch))
            if model.folder is not None:
                weakref.finalize(model, stack.pop_all().close)
        return model

    def _stages(self, wanted: Sequence[Served]) -> dict[tuple[str, str], Served]:
        """Who answers for each stage, out of versions in ascending order."""
        stages: dict[tuple[str, str], Served] = {}
        for one in wanted:
            place = one.version.model, one.version.stage
            if one.version.stage not in STAGES:
                continue
            if one.model:
                stages[place] = one
            elif place in self.table.stages:
                stages.setdefault(place, self.table.stages[place])
        return stages

    @property
    def ready(self) -> bool:
        """Whether every model that has a version in production is answered for.

        A registry out of reach, or a bad version beside a good one, is a problem to report but no
        reason to take this server out of rotation.
        """
        table = self.table
        needed = {
            (one.version.model, one.version.stage)
            for one in table.versions.values()
            if one.version.stage == STAGES[0]
        }
        return self._asked and needed <= table.stages.keys()

    def problems(self) -> list[str]:
        """All that is not as it should be, a sentence each."""
        failed = [
            f"{one.version.model} v{one.version.number}: {one.problem}"
            for _, one in sorted(self.table.versions.items())
            if one.problem
        ]
        return [self.problem, *failed] if self.problem else failed

    def said(self) -> str:
        """What is served, or why that is not known, in a line."""
        return self.problem if self.problem and not self.table.versions else str(self.table)

    def by_version(self, model: str, number: int) -> Served:
        """One version.

        Raises:
            NotFoundError: it is not served.
        """
        known = self.table.of(model)
        for one in known:
            if one.version.number == number:
                return one
        numbers = ", ".join(f"v{one.version.number}" for one in known)
        why = "archived" if self._is_archived(model, number) else "not served"
        raise NotFoundError(f"{model} v{number} is {why} (served: {numbers})")

    def _is_archived(self, model: str, number: int) -> bool:
        try:
            found = self._registered(model)
        except Exception:  # noqa: BLE001 - a registry out of reach only says less
            return False
        return any(one.number == number and one.stage == "Archived" for one in found)

    def by_stage(self, model: str, stage: str) -> Served:
        """The version that answers for a stage, in any case.

        Raises:
            NotFoundError: no such stage, or no version of the model is in it.
            DeployError: the version in it cannot be loaded, and none was before it.
        """
        table = self.table
        known = table.of(model)
        named = next((one for one in STAGES if one.lower() == stage.lower()), None)
        if named is None:
            hint = did_you_mean(stage.lower(), [one.lower() for one in STAGES])
            raise NotFoundError(f"no stage {stage!r:.80} ({hint})")
        if (model, named) in table.stages:
            return table.stages[model, named]
        for one in known:
            if one.version.stage == named:
                return one
        raise NotFoundError(f"no version of {model} is in {named}", next_step="See /models")


def predict(served: Served, rows: object) -> dict[str, Any]:
    """What a version answers to rows of raw columns, with its name and digest.

    Raises:
        InputError: the rows are not what the model takes, or it has no finite answer to one.
        DeployError: the version could not be loaded.
    """
    import numpy as np

    version = served.version
    if served.model is None:
        raise DeployError(
            served.problem, where=f"{version.model} v{version.number}", next_step="See /readyz"
        )
    predictions = served.model.predict(to_frame(rows, served.model.inputs))
    finite = np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1)
    if not finite.all():
        raise InputError(
            "the model's answer to it is not a finite number", where=f"rows[{finite.argmin()}]"
        )
    return {
        "model": version.model,
        "version": version.number,
        "stage": version.stage,
        "fingerprint": version.fingerprint,
        "model_digest": version.model_digest,
        "classes": [plain(one) for one in served.model.classes],
        "predictions": predictions.tolist(),
    }


def plain(value: Any) -> Any:  # noqa: ANN401 - a class label
    """A NumPy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _load(version: Version, folder: Path) -> LoadedModel:
    if not version.model_digest:
        raise BundleError(
            "the registry has no digest of it, so its bytes cannot be checked",
            next_step="Release it with mergeline",
        )
    model = load(folder, version.model_digest)
    for name, kind in model.inputs.items():
        if kind.type not in KINDS:
            raise BundleError(f"column {name!r} is of type {kind.type}, which JSON cannot carry")
    return model


def _said(error: Exception) -> str:
    if isinstance(error, MergelineError):
        # Not where: that is a scratch folder, gone by now.
        return str(MergelineError(error.message, next_step=error.next_step))
    return f"{type(error).__name__}: {error}"
