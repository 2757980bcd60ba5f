"""Holds the versions that are served, swaps them as the registry changes, and asks them."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
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

Key = tuple[str, int]


@dataclass(frozen=True)
class ServedVersion:
    """A version, and its model or the problem that kept it from loading.

    Attributes:
        tries: how often loading it has failed.
        next_try: when it may be tried again, by the monotonic clock.
    """

    version: Version
    model: LoadedModel | None
    problem: str = ""
    tries: int = 0
    next_try: float = 0.0

    def __str__(self) -> str:
        stage = self.version.stage.lower()
        notes = [stage] if stage != "none" else []
        notes += ["not loaded"] if self.model is None else []
        return f"v{self.version.number}" + (f" ({', '.join(notes)})" if notes else "")


@dataclass(frozen=True)
class Routing:
    """What is served at one moment; replaced as a whole, so that no request sees half of it.

    Attributes:
        versions: sorted by model and number.
        stages: the version that answers for each model and stage; never one that cannot be
            loaded: the one before it keeps answering.
    """

    versions: Mapping[Key, ServedVersion] = field(default_factory=dict)
    stages: Mapping[tuple[str, str], ServedVersion] = field(default_factory=dict)

    def of(self, model: str) -> list[ServedVersion]:
        """Every version of a model that is, or should be, served, oldest first.

        Raises:
            NotFoundError: there is no such model.
        """
        versions = [served for key, served in self.versions.items() if key[0] == model]
        if not versions:
            names = self.models()
            hint = did_you_mean(model, names) if names else "nothing is served yet"
            raise NotFoundError(f"no model {model!r:.80} ({hint})")
        return versions

    def models(self) -> list[str]:
        """Names of the models."""
        return sorted({model for model, _ in self.versions})

    def __str__(self) -> str:
        models = (f"{name} {', '.join(map(str, self.of(name)))}" for name in self.models())
        return "; ".join(models) or "nothing to serve yet: release a model"


class ServedVersions:
    """Holds the models of every version that is not archived.

    Args:
        versions: gives the versions that the registry has now.
        fetch: puts the MLflow folder of a version into a folder and returns its path.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        versions: Callable[[], Sequence[Version]],
        fetch: Callable[[Version, Path], Path],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._versions = versions
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._registry_was_read = False
        self.routing = Routing()
        self.problem = "the registry was not read yet"

    def reconcile(self) -> None:
        """Follow the registry: load new versions first, then drop those that are not served.

        When the registry cannot be read, the loaded versions stay, and `problem` says so.
        """
        with self._lock:
            try:
                registered = self._versions()
            except Exception as error:  # noqa: BLE001 - whatever it is, serving goes on
                self.problem = f"the registry cannot be read: {error}"
                return
            wanted = {
                (version.model, version.number): self._serve(version)
                for version in sorted(registered, key=lambda version: version.number)
                if version.stage != "Archived"
            }
            stages = self._stages(wanted.values())
            # One that answers on, since its successor cannot be loaded, may be archived by now.
            kept = {(held.version.model, held.version.number): held for held in stages.values()}
            self.routing = Routing(dict(sorted((kept | wanted).items())), stages)
            self._registry_was_read = True
            self.problem = ""

    def _serve(self, version: Version) -> ServedVersion:
        known = self.routing.versions.get((version.model, version.number))
        if known and known.version.model_digest != version.model_digest:
            known = None
        if known and (known.model or self._clock() < known.next_try):
            return replace(known, version=version)
        try:
            return ServedVersion(version, self._load(version))
        except Exception as error:  # noqa: BLE001 - one bad version must not stop the others
            tries = known.tries + 1 if known else 1
            pause = min(2.0**tries, _LONGEST_PAUSE)
            return ServedVersion(version, None, _problem(error), tries, self._clock() + pause)

    def _load(self, version: Version) -> LoadedModel:
        if not version.model_digest:
            raise BundleError(
                "the registry has no digest of it, so its bytes cannot be checked",
                next_step="Release it with mergeline",
            )
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(
                prefix="mergeline-serve-", ignore_cleanup_errors=True
            )
            folder = self._fetch(version, Path(stack.enter_context(scratch)))
            model = load(folder, version.model_digest)
            if model.folder is not None:
                weakref.finalize(model, stack.pop_all().close)
        for name, column in model.inputs.items():
            if column.type not in KINDS:
                raise BundleError(
                    f"column {name!r} is of type {column.type}, which JSON cannot carry"
                )
        return model

    def _stages(self, wanted: Iterable[ServedVersion]) -> dict[tuple[str, str], ServedVersion]:
        """The version that answers for each stage, out of versions in ascending order."""
        stages: dict[tuple[str, str], ServedVersion] = {}
        for served in wanted:
            place = served.version.model, served.version.stage
            if served.model and served.version.stage in STAGES:
                stages[place] = served
            elif place in self.routing.stages:
                stages.setdefault(place, self.routing.stages[place])
        return stages

    @property
    def ready(self) -> bool:
        """Whether a version answers for every model that has one in production.

        A registry out of reach, or a bad version beside a good one, is a problem to report but no
        reason to take this server out of rotation.
        """
        routing = self.routing
        return self._registry_was_read and all(
            (model, "Production") in routing.stages
            for (model, _), served in routing.versions.items()
            if served.version.stage == "Production"
        )

    def problems(self) -> list[str]:
        """Every problem, a sentence each."""
        failed = [
            f"{model} v{number}: {served.problem}"
            for (model, number), served in self.routing.versions.items()
            if served.problem
        ]
        return [self.problem, *failed] if self.problem else failed

    def summary(self) -> str:
        """What is served, or why that is not known, in a line."""
        return self.problem if self.problem and not self.routing.versions else str(self.routing)

    def by_version(self, model: str, number: int) -> ServedVersion:
        """One version.

        Raises:
            NotFoundError: it is not served.
        """
        versions = self.routing.of(model)
        for served in versions:
            if served.version.number == number:
                return served
        numbers = ", ".join(f"v{served.version.number}" for served in versions)
        raise NotFoundError(f"{model} v{number} is not served (served: {numbers})")

    def by_stage(self, model: str, stage: str) -> ServedVersion:
        """The version that answers for a stage, in any case.

        Raises:
            NotFoundError: no such stage, or no version of the model is in it.
        """
        routing = self.routing
        versions = routing.of(model)
        name = stage.capitalize()
        if name not in STAGES:
            hint = did_you_mean(stage.lower(), [known.lower() for known in STAGES])
            raise NotFoundError(f"no stage {stage!r:.80} ({hint})")
        if (model, name) in routing.stages:
            return routing.stages[model, name]
        for served in versions:
            if served.version.stage == name:
                return served
        raise NotFoundError(f"no version of {model} is in {name}", next_step="See /models")


def predict(served: ServedVersion, rows: object) -> dict[str, Any]:
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
        "classes": [plain(label) for label in served.model.classes],
        "predictions": predictions.tolist(),
    }


def plain(value: Any) -> Any:  # noqa: ANN401 - a class label
    """A NumPy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _problem(error: Exception) -> str:
    if isinstance(error, MergelineError):
        # Without `where`, which is a scratch folder, gone by now.
        return str(MergelineError(error.message, next_step=error.next_step))
    return f"{type(error).__name__}: {error}"
