"""Holds the versions that are served, swaps them as the registry changes, and asks them."""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from mergeline.adapters.models.folder import LoadedModel, load, read_inputs
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.release.version import Version
from mergeline.errors import BundleError, DeployError, InputError, MergelineError, NotFoundError
from mergeline.serving.forms import Form
from mergeline.serving.http import Answer
from mergeline.serving.kept_forms import KeptForms
from mergeline.serving.proof import choose
from mergeline.serving.rows import KINDS, Batch, RowReader
from mergeline.serving.tables import proof_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A protocol at work: it gives the rows that it read and gets what the model answers to them, or
# gives work that takes long and gets what came of it; it returns the answer to the request.
Asking = Generator[Batch | Callable[[], Any], Any, Answer]

STAGES = ("Production", "Staging")
MEMORY = 1_000_000_000  # bytes for models without a stage
_FEW = 64  # numbers
_LONGEST_PAUSE = 30.0  # seconds between tries to load a version that cannot be loaded

Key = tuple[str, int]


class Source(Protocol):
    """Where versions and their files come from."""

    def standing(self) -> Sequence[Version]:
        """The versions of all models that are not archived."""
        ...

    def versions(self, model: str) -> Sequence[Version]:
        """All versions of a model, archived ones too."""
        ...

    def model_files(self, model: str, number: int, into: Path) -> Path:
        """Put the MLflow folder of a version into a folder; its path."""
        ...

    def holdout(self, version: Version, into: Path) -> Path | None:
        """Put the rows of a version's holdout into a folder as Parquet; None if there are none."""
        ...


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A loaded model, the reader of its rows, and the form in which it is asked."""

    loaded: LoadedModel
    reader: RowReader
    form: Form

    @property
    def answers_as_mlflow(self) -> bool:
        """Whether MLflow's scoring server asks the same method, and gets the same bits."""
        method = "predict_proba" if self.classes else "predict"
        asked = self.loaded.is_sklearn and self.loaded.scoring_function == method
        return asked and self.form.exact

    @property
    def labels_as_mlflow(self) -> bool:
        """Whether it asks for the class, which is known to be the most probable one."""
        return self.form.labels and self.loaded.scoring_function == "predict"

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The columns that it takes."""
        return self.loaded.inputs

    @property
    def classes(self) -> tuple[Any, ...]:
        """The order of the probabilities; empty for a regression."""
        return self.loaded.classes


@dataclass(frozen=True)
class ServedVersion:
    """A version, and its model or the problem that kept it from loading.

    Attributes:
        model: None if loading failed, or if nobody has asked a version without a stage yet.
        lost: whether the registry no longer names it, and did not archive it either.
        tries: how often loading it has failed.
        next_try: when it may be tried again, by the monotonic clock.
    """

    version: Version
    model: ServedModel | None = None
    problem: str = ""
    lost: bool = False
    tries: int = 0
    next_try: float = 0.0

    @property
    def key(self) -> Key:
        """Model and number."""
        return self.version.model, self.version.number

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """What each answer says of it, whatever the protocol."""
        return {
            "mergeline-model": quote(self.version.model),
            "mergeline-version": str(self.version.number),
            "mergeline-model-digest": self.version.model_digest,
        }

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """What each answer of mergeline's own protocol says of it."""
        return {
            "model": self.version.model,
            "version": self.version.number,
            "stage": self.version.stage,
            "fingerprint": self.version.fingerprint,
            "model_digest": self.version.model_digest,
            "classes": [plain(label) for label in self.model.classes] if self.model else [],
        }

    def __str__(self) -> str:
        stage = self.version.stage.lower()
        notes = [stage] if stage != "none" else []
        notes += ["not loaded"] if self.model is None and self.problem else []
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

    A version in a stage is loaded when it enters it, and one that is alone at once; any other when
    it is asked for, and it is let go when others need its place.

    Args:
        source: gives the versions that the registry has now, and their files.
        memory: bytes that models without a stage may take, by the size of their files.
        kept: compiled forms; without them each model's estimator is loaded, and its form proven.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        memory: int = MEMORY,
        kept: KeptForms | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._memory = memory
        self._kept = kept
        self._clock = clock
        self._following = threading.Lock()
        self._swapping = threading.Lock()
        self._loading: dict[Key, threading.Lock] = {}
        self._asked: dict[Key, float] = {}  # when a version without a stage was, last
        self.loading = True  # until the registry was looked at once, and what it names was loaded
        self.registry_was_read = False
        self.routing = Routing()
        self.problem = "the registry was not read yet"

    def reconcile(self) -> None:
        """Follow the registry: load new versions first, then drop those that are not served.

        When the registry cannot be read, the loaded versions stay, and `problem` says so. So does a
        version that the registry has lost: it ends when the registry says that it is archived, or
        when a later version takes its stage.
        """
        with self._following:
            try:
                named = {
                    (version.model, version.number): version
                    for version in self._source.standing()
                    if version.stage != "Archived"
                }
                lost = self._lost(named)
            except Exception as error:  # noqa: BLE001 - whatever it is, serving goes on
                self.problem = f"the registry cannot be read: {error}"
                self.loading = False
                return
            served = lost | {
                key: self._follow(version, alone=len(named) == 1) for key, version in named.items()
            }
            with self._swapping:
                # Others may have been loaded meanwhile, because somebody asked for them.
                served = {key: self._as_loaded(one) for key, one in sorted(served.items())}
                stages = self._stages(served)
                # One that answers on, since its successor cannot be loaded, may be archived by now.
                kept = {held.key: held for held in stages.values()}
                self.routing = Routing(dict(sorted((kept | served).items())), stages)
            self.registry_was_read = True
            self.loading = False
            self.problem = ""

    def _lost(self, named: Mapping[Key, Version]) -> dict[Key, ServedVersion]:
        """What is loaded, and neither named by the registry nor archived there."""
        missing = [
            one for key, one in self.routing.versions.items() if key not in named and one.model
        ]
        lost = {}
        for model in {one.version.model for one in missing}:
            archived = {
                (version.number, version.model_digest)
                for version in self._source.versions(model)
                if version.stage == "Archived"
            }
            for one in missing:
                identity = one.version.number, one.version.model_digest
                if one.version.model == model and identity not in archived:
                    lost[one.key] = replace(one, lost=True)
        return lost

    def _follow(self, version: Version, *, alone: bool) -> ServedVersion:
        known = self.routing.versions.get((version.model, version.number))
        if known and known.version.model_digest != version.model_digest:
            known = None
        if known and (known.model or self._clock() < known.next_try):
            return replace(known, version=version, lost=False)
        if version.stage in STAGES or alone or (known and known.problem):
            return self._try(version, known)
        return ServedVersion(version)

    def _try(self, version: Version, known: ServedVersion | None) -> ServedVersion:
        try:
            return ServedVersion(version, self._load(version))
        except Exception as error:  # noqa: BLE001 - one bad version must not stop the others
            tries = known.tries + 1 if known else 1
            pause = min(2.0**tries, _LONGEST_PAUSE)
            return ServedVersion(
                version, problem=_problem(error), tries=tries, next_try=self._clock() + pause
            )

    def _load(self, version: Version) -> ServedModel:
        if not version.model_digest:
            raise BundleError(
                "the registry has no digest of it, so its bytes cannot be checked",
                next_step="Release it with mergeline",
            )
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="mergeline-serve-", ignore_cleanup_errors=True)
            )
            folder = self._source.model_files(version.model, version.number, Path(scratch))
            for name, column in read_inputs(folder).items():
                if column.type not in KINDS:
                    raise BundleError(
                        f"column {name!r} is of type {column.type}, which JSON cannot carry"
                    )

            def holdout() -> Path | None:
                return self._holdout(version, Path(scratch))

            kept = self._kept and self._kept.find(folder, version.model_digest, holdout)
            model, form = kept or _proven(folder, version.model_digest, holdout)
            if model.folder is not None:
                weakref.finalize(model, stack.pop_all().close)
        return ServedModel(model, RowReader(model.inputs), form)

    def _holdout(self, version: Version, scratch: Path) -> Path | None:
        """Rows kept from its training, for the proof of its form; None if there are none."""
        try:
            return self._source.holdout(version, scratch / "holdout")
        except Exception:  # noqa: BLE001 - the proof has other rows
            return None

    def _as_loaded(self, one: ServedVersion) -> ServedVersion:
        now = self.routing.versions.get(one.key)
        same = now and now.version.model_digest == one.version.model_digest
        return replace(one, model=now.model) if now and same and not one.model else one

    def _stages(self, served: Mapping[Key, ServedVersion]) -> dict[tuple[str, str], ServedVersion]:
        """The version that answers for each stage."""
        held = {
            (one.version.model, one.version.stage): one
            for one in served.values()
            if one.version.stage in STAGES and not one.lost
        }
        stages = {place: one for place, one in held.items() if one.model}
        for place, before in self.routing.stages.items():
            now = served.get(before.key)
            holder = held.get(place)
            if holder and not holder.model:  # its successor cannot be loaded
                stages[place] = before
            elif now and now.lost and not (holder and holder.key > before.key):
                # An older holder does not take it: a backup from before the release says that.
                stages[place] = now
        return stages

    def on_demand(self, served: ServedVersion) -> ServedVersion:
        """The version with its model, which is loaded now unless it was, or cannot be.

        Several threads may ask for it at once; one loads it.
        """
        if served.model is None and self._clock() >= served.next_try:
            with self._swapping:
                alone = self._loading.setdefault(served.key, threading.Lock())
            with alone:
                served = self.routing.versions.get(served.key, served)
                if served.model is None and self._clock() >= served.next_try:
                    served = self._try(served.version, served)
                    self._put(served)
        self._asked[served.key] = self._clock()
        return served

    def _put(self, served: ServedVersion) -> None:
        """Take up what was loaded on demand, and let go of what was asked for least lately."""
        with self._swapping:
            if served.key not in self.routing.versions:
                return
            versions = {**self.routing.versions, served.key: served}
            held = {one.key for one in self.routing.stages.values()} | {served.key}
            others = sorted(
                (one for key, one in versions.items() if one.model and key not in held),
                key=lambda one: self._asked.get(one.key, 0.0),
            )
            sizes = {one.key: one.model.loaded.size_bytes for one in [*others, served] if one.model}
            taken = sum(sizes.values())
            for one in others:
                if taken <= self._memory:
                    break
                if not one.lost:  # it could not come back
                    taken -= sizes[one.key]
                    versions[one.key] = replace(one, model=None)
            self.routing = replace(self.routing, versions=versions)

    @property
    def ready(self) -> bool:
        """Whether a version answers for every model that has one in production, and there is any.

        A registry out of reach, or a bad version beside a good one, is a problem to report but no
        reason to take this server out of rotation.
        """
        routing = self.routing
        return (
            self.registry_was_read
            and bool(routing.stages or any(not one.problem for one in routing.versions.values()))
            and all(
                (model, "Production") in routing.stages
                for (model, _), served in routing.versions.items()
                if served.version.stage == "Production"
            )
        )

    def problems(self) -> list[str]:
        """Every problem, a sentence each."""
        problems = [self.problem] if self.problem else []
        for (model, number), served in self.routing.versions.items():
            if served.problem:
                problems.append(f"{model} v{number}: {served.problem}")
            if served.lost:
                problems.append(
                    f"{model} v{number}: the registry no longer names it (was it restored from a "
                    "backup?); it answers until it is archived or a later version takes its stage"
                )
        return problems

    def summary(self) -> str:
        """What is served, or why that is not known, in a line."""
        return self.problem if self.problem and not self.routing.versions else str(self.routing)

    def by_version(self, model: str, number: int) -> ServedVersion:
        """One version.

        Raises:
            NotFoundError: it is not served.
        """
        served = self.routing.versions.get((model, number))
        if served is None:
            versions = self.routing.of(model)
            numbers = ", ".join(f"v{served.version.number}" for served in versions)
            raise NotFoundError(f"{model} v{number} is not served (served: {numbers})")
        return served

    def by_stage(self, model: str, stage: str) -> ServedVersion:
        """The version that answers for a stage, in any case.

        Raises:
            NotFoundError: no such stage, or no version of the model is in it.
        """
        routing = self.routing
        name = stage.capitalize()
        if (model, name) in routing.stages:
            return routing.stages[model, name]
        versions = routing.of(model)
        if name not in STAGES:
            hint = did_you_mean(stage.lower(), [known.lower() for known in STAGES])
            raise NotFoundError(f"no stage {stage!r:.80} ({hint})")
        for served in versions:
            if served.version.stage == name:
                return served
        raise NotFoundError(f"no version of {model} is in {name}", next_step="See /models")


def _proven(
    folder: Path, digest: str, holdout: Callable[[], Path | None]
) -> tuple[LoadedModel, Form]:
    """A model that is loaded, and its form."""
    model = load(folder, digest)
    rows = holdout()
    return model, choose(model, proof_rows(rows, model.inputs) if rows else None)


def model_of(served: ServedVersion) -> ServedModel:
    """The model of a version.

    Raises:
        DeployError: the version could not be loaded.
    """
    if served.model is None:
        raise DeployError(
            served.problem or "it is not loaded yet",
            where=f"{served.version.model} v{served.version.number}",
            next_step="See /readyz",
        )
    return served.model


def predict(model: ServedModel, batch: Batch) -> npt.NDArray[np.float64]:
    """What a model answers: probabilities, shape (n, classes), or numbers, shape (n,).

    Raises:
        InputError: it has no finite answer to a row.
        BundleError: it fails on these rows.
    """
    return finite(model.form.answer(batch))


def finite(predictions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same predictions.

    Raises:
        InputError: one of them is not a finite number.
    """
    import numpy as np

    if predictions.size <= _FEW and all(map(math.isfinite, predictions.ravel().tolist())):
        return predictions  # an array takes its time for few numbers too
    finite = np.isfinite(predictions)
    if not finite.all():
        row = finite.reshape(len(finite), -1).all(axis=1).argmin()
        raise InputError("the model's answer to it is not a finite number", where=f"rows[{row}]")
    return predictions


def plain(value: Any) -> Any:  # noqa: ANN401 - a class label
    """A NumPy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _problem(error: Exception) -> str:
    if isinstance(error, MergelineError):
        # Without `where`, which is a scratch folder, gone by now.
        return str(MergelineError(error.message, next_step=error.next_step))
    return f"{type(error).__name__}: {error}"
